export { describeTrustList, type RecordView, type TrustListView } from './describe.js';
export { diffTrustLists, type ChangedRecord, type TrustListDifference } from './diff.js';
export { formatAddress, formatMissingTrustList, formatTrustList, type FormatTrustListOptions } from './format.js';
export { recordHolds, type RecordElements, type TrustListRecord } from './record.js';
export { formatFunction, recordElements, recordFunction, recordTag } from './record-elements.js';
export { draftOfRecord, encodeRecords, signTrustList, type RecordDraft, type TrustListDraft } from './sign.js';
export {
  decodeTrustList,
  encodeTrustList,
  largestTrustList,
  readTrustList,
  signingRecords,
  trustListKind,
  type TrustList,
  type TrustListReading,
} from './trust-list.js';
export { verifyTrustList, type Verification } from './verify.js';
