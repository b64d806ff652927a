export { createItl, itlSigner, type ItlOptions, type ItlSigner, type ItlSignerName } from './create.js';
export { emptyItl } from './empty.js';
export { resetItl, type ResetOptions } from './reset.js';
