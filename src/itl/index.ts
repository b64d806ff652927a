export { isEmptiedRecord, recordDifference, type ExpectedRecord } from './compare.js';
export {
  createItl,
  expectedRecords,
  itlSigner,
  type ItlOptions,
  type ItlSigner,
  type ItlSignerName,
} from './create.js';
export { emptyItl } from './empty.js';
export { resetItl, type ResetOptions } from './reset.js';
