export { type AcceptableCheck, type Notice } from './checks.js';
export {
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  removeToken,
  signCtl,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
} from './flows.js';
export { ctlMode, isEmptied, tokenRecords, type CtlMode } from './present.js';
export { type CtlOptions, type CtlResult } from './signing.js';
export { tokenlessSigner } from './wanted.js';
