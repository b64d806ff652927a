export { createItl, itlSigner, type ItlOptions } from './create.js';
export { emptyItl } from './empty.js';
