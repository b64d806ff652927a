export { digestCode, digestCodes, headerElements, headerTag, modulusLengths } from './header-elements.js';
export {
  decodeHeaderElements,
  decodeSignedHeader,
  describeHeader,
  type HeaderElements,
  type SignedHeader,
  type Version,
} from './header.js';
export type { FurtherElements, SignedHeaderDraft, SignerIdentity } from './header-layout.js';
export { signedParts, signWithHeader, verifySignature } from './signing.js';
export {
  clusterIdentity,
  decodeSignedFile,
  requirePlain,
  signFile,
  verifySignedFile,
  type SignedFile,
  type SignFileOptions,
} from './signed-file.js';
export { FileSigning } from './file-signing.js';
export { SignedFileReader, type FileVerdict } from './file-reader.js';
export {
  ContentMeasurement,
  decodeEncryptedFile,
  decryptFile,
  encryptFile,
  FileDecryption,
  FileEncryption,
  type EncryptedFile,
  type EncryptFileOptions,
  type MeasuredContent,
} from './encrypted-file.js';
export { decodeEncryption, type Encryption } from './encryption.js';
export { formatCompanion, isCompanion } from './companion.js';
export { parseXml, type XmlElement } from './xml.js';
