export {
  bootPhone,
  type Boot,
  type BootEvent,
  type Booting,
  type BootQuestion,
  type BootReply,
  type BootRequest,
  type FileDecision,
} from './boot.js';
export {
  bootFiles,
  missingTrustList,
  offerUnsignedConfiguration,
  p1AsksUnsigned,
  type BootFile,
} from './boot-rules.js';
export {
  decide,
  decideAsync,
  type Deciding,
  type Decision,
  type Outcome,
  type Rule,
  type TvsQuestion,
  type TvsReply,
  type Used,
} from './decision.js';
export { checkPeer } from './peer-rules.js';
export {
  findFileSigner,
  offerSignedFile,
  type Decrypted,
  type DecryptFile,
  type SignedFileOutcome,
} from './signed-file-rules.js';
export { type HeldLists, type SignerLookup } from './signer-lookup.js';
export {
  createPhone,
  deleteTrustList,
  setTvsServers,
  type CachedCertificate,
  type HeldFiles,
  type PhoneProfile,
  type PhoneState,
} from './state.js';
export { offerTrustList, p6Applies, type ListKind } from './trust-list-rules.js';
export { acceptsTvsServer, p9MayAskTvs } from './tvs-rules.js';
