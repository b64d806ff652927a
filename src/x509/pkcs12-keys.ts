import { createHash } from 'node:crypto';
import { concatBytes } from '../bytes/index.js';

/** What bytes are derived for (RFC 7292, B.3): the number is hashed with the password. */
export const derivedFor = { key: 1, iv: 2, mac: 3 } as const;

/** What {@link derivePkcs12} derives from. */
export interface DerivationRequest {
  readonly hash: 'sha1' | 'sha256';
  readonly password: string;
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly purpose: (typeof derivedFor)[keyof typeof derivedFor];
  /** How many bytes are wanted. */
  readonly length: number;
}

/** The block of SHA-1 and SHA-256, in bytes. */
const blockLength = 64;

/** Keys, initialization vectors and MAC keys of PKCS#12 from a password (RFC 7292, B.2). */
export function derivePkcs12(request: DerivationRequest): Uint8Array {
  const { hash, salt, iterations, purpose, length } = request;
  const diversifier = new Uint8Array(blockLength).fill(purpose);
  const blocks = concatBytes(fillBlocks(salt), fillBlocks(bmpString(request.password)));
  const parts: Uint8Array[] = [];
  for (let derived = 0; derived < length;) {
    let part = createHash(hash).update(diversifier).update(blocks).digest();
    for (let round = 1; round < iterations; round += 1) part = createHash(hash).update(part).digest();
    parts.push(part);
    derived += part.length;
    addToBlocks(blocks, part);
  }
  return concatBytes(...parts).subarray(0, length);
}

/** The bytes, repeated to whole blocks; nothing for nothing. */
function fillBlocks(bytes: Uint8Array): Uint8Array {
  const filled = new Uint8Array(Math.ceil(bytes.length / blockLength) * blockLength);
  return filled.map((_, index) => bytes[index % bytes.length] ?? 0);
}

/** Adds the derived bytes, repeated to a block, and one to each block, as numbers. */
function addToBlocks(blocks: Uint8Array, part: Uint8Array): void {
  for (let start = 0; start < blocks.length; start += blockLength) {
    let carry = 1;
    for (let index = blockLength - 1; index >= 0; index -= 1) {
      const sum = (blocks[start + index] ?? 0) + (part[index % part.length] ?? 0) + carry;
      blocks[start + index] = sum & 0xff;
      carry = sum >> 8;
    }
  }
}

/** A password as PKCS#12 takes it: UTF-16, big-endian, with a closing zero (RFC 7292, B.1). */
export function bmpString(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(`${text}\0`, 'utf16le').swap16());
}
