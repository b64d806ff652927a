export { type AcceptableCheck, type Notice } from './checks.js';
export {
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  removeToken,
  signCtl,
  tokenlessSigner,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
} from './flows.js';
export { ctlMode, isEmptied, tokenRecords, type CtlMode } from './present.js';
export { type CtlOptions, type CtlResult } from './signing.js';
