export {
  DeviceError,
  EtokenBridgeError,
  FormatError,
  InputError,
  ProofError,
  RefusalError,
  type DeviceErrorCode,
  type ErrorDetails,
  type FormatErrorCode,
  type InputErrorCode,
  type ProofErrorCode,
  type RefusalCode,
} from './errors.js';
export {
  decodeTrustList,
  describeTrustList,
  diffTrustLists,
  encodeTrustList,
  formatTrustList,
  readTrustList,
  signTrustList,
  verifyTrustList,
  type TrustList,
  type TrustListDifference,
  type TrustListDraft,
  type TrustListReading,
  type TrustListRecord,
  type TrustListView,
  type Verification,
} from './trust-list/index.js';
export { createSoftwareSigner, type DigestAlgorithm, type Signer, type SignRequest } from './signer/index.js';
export { decodeCertificate, decodeCertificates, type Certificate } from './x509/index.js';
