import { createHash, timingSafeEqual } from 'node:crypto';
import { concatBytes, parseHex } from '../bytes/index.js';
import { ProofError } from '../errors.js';

/** The digests that trust lists and signed files can name. */
export type DigestAlgorithm = 'sha1' | 'sha256' | 'sha512';

export const digestAlgorithms: readonly DigestAlgorithm[] = ['sha1', 'sha256', 'sha512'];

/** DigestInfo up to the digest itself (RFC 8017, 9.2, note 1). */
const digestInfoPrefixes: Readonly<Record<DigestAlgorithm, Uint8Array>> = {
  sha1: fromHex('3021300906052b0e03021a05000414'),
  sha256: fromHex('3031300d060960864801650304020105000420'),
  sha512: fromHex('3051300d060960864801650304020305000440'),
};

/** How many bytes each digest has. */
const digestLengths: Readonly<Record<DigestAlgorithm, number>> = { sha1: 20, sha256: 32, sha512: 64 };

/** What PKCS#1 v1.5 adds to DigestInfo at the least (RFC 8017, 9.2, step 3). */
const leastPadding = 11;

/**
 * DigestInfo in DER, as RSA PKCS#1 v1.5 signs it: 35, 51 or 83 bytes (RFC 8017, 9.2).
 *
 * @throws ProofError `unsupported-digest` for a digest that is not as long as its algorithm says.
 */
export function encodeDigestInfo(algorithm: DigestAlgorithm, digest: Uint8Array): Uint8Array {
  if (digest.length !== digestLengths[algorithm]) {
    const found = `${String(digest.length)} bytes are no ${algorithm} digest`;
    throw new ProofError('unsupported-digest', `${found}; it has ${String(digestLengths[algorithm])}`);
  }
  return concatBytes(digestInfoPrefixes[algorithm], digest);
}

/** The digests that a key of so many bits can sign: a 512-bit key has no room for SHA-512. */
export function digestsOf(keyBits: number): readonly DigestAlgorithm[] {
  const room = Math.ceil(keyBits / 8) - leastPadding;
  return digestAlgorithms.filter((name) => digestInfoPrefixes[name].length + digestLengths[name] <= room);
}

/** The digest of several byte strings, one after the other. */
export function digestOf(algorithm: DigestAlgorithm, ...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** Whether two digests are the same, in time that does not depend on where they differ. */
export function equalDigests(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

function fromHex(text: string): Uint8Array {
  return parseHex(text) ?? new Uint8Array();
}
