export { digestCode, digestCodes, headerElements, headerTag, modulusLengths } from './header-elements.js';
export {
  decodeHeaderElements,
  decodeSignedHeader,
  describeHeader,
  type HeaderElements,
  type SignedHeader,
  type Version,
} from './header.js';
export {
  signedParts,
  signWithHeader,
  verifySignature,
  type SignedHeaderDraft,
  type SignerIdentity,
} from './signing.js';
export {
  clusterIdentity,
  decodeSignedFile,
  signFile,
  verifySignedFile,
  type SignedFile,
  type SignFileOptions,
} from './signed-file.js';
