import { createHash, timingSafeEqual } from 'node:crypto';
import { concatBytes, parseHex } from '../bytes/index.js';

/** The digests that trust lists and signed files can name. */
export type DigestAlgorithm = 'sha1' | 'sha256' | 'sha512';

export const digestAlgorithms: readonly DigestAlgorithm[] = ['sha1', 'sha256', 'sha512'];

/** DigestInfo up to the digest itself (RFC 8017, 9.2, note 1). */
const digestInfoPrefixes: Readonly<Record<DigestAlgorithm, Uint8Array>> = {
  sha1: fromHex('3021300906052b0e03021a05000414'),
  sha256: fromHex('3031300d060960864801650304020105000420'),
  sha512: fromHex('3051300d060960864801650304020305000440'),
};

/** DigestInfo in DER, as RSA PKCS#1 v1.5 signs it: 35, 51 or 83 bytes (RFC 8017, 9.2). */
export function encodeDigestInfo(algorithm: DigestAlgorithm, digest: Uint8Array): Uint8Array {
  return concatBytes(digestInfoPrefixes[algorithm], digest);
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
