export { concatBytes, decodeNumber, encodeNumber, Writer } from './writer.js';
export { equalBytes } from './compare.js';
export { formatHex, parseHex } from './hex.js';
export { Reader } from './reader.js';
export { printable } from './printable.js';
