import { createHash } from 'node:crypto';
import { equalBytes, printable } from '../bytes/index.js';
import { InputError } from '../errors.js';

/** The fingerprint of a host key, as people compare it. */
export interface Fingerprint {
  readonly hash: 'sha256' | 'md5';
  readonly bytes: Uint8Array;
}

/**
 * Reads a fingerprint in the ways that ssh-keygen and the clusters print it: `SHA256:` and base64, or MD5 as sixteen
 * pairs of hex digits with colons, with or without `MD5:` before them.
 *
 * @throws InputError `usage`
 */
export function parseFingerprint(text: string): Fingerprint {
  const sha256 = /^SHA256:([A-Za-z0-9+/]{43})=?$/.exec(text.trim())?.[1];
  if (sha256 !== undefined) return { hash: 'sha256', bytes: new Uint8Array(Buffer.from(sha256, 'base64')) };
  const md5 = /^(?:MD5:)?((?:[0-9a-f]{2}:){15}[0-9a-f]{2})$/i.exec(text.trim())?.[1];
  if (md5 !== undefined) return { hash: 'md5', bytes: new Uint8Array(Buffer.from(md5.replaceAll(':', ''), 'hex')) };
  throw new InputError('usage', `${printable(text.slice(0, 80))} is not the fingerprint of a host key`, {
    hint: 'write it as ssh-keygen prints it: SHA256: and 43 letters, or sixteen pairs of hex digits with colons',
  });
}

/** The fingerprint of a host key as ssh prints it: `SHA256:` and base64 without its filler. */
export function formatFingerprint(key: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** The fingerprint of a host key as clusters print it: MD5, with colons. */
export function formatMd5Fingerprint(key: Uint8Array): string {
  const digest = createHash('md5').update(key).digest('hex');
  return (digest.match(/../g) ?? []).join(':');
}

/** Whether a host key has this fingerprint. */
export function hasFingerprint(key: Uint8Array, { hash, bytes }: Fingerprint): boolean {
  return equalBytes(createHash(hash).update(key).digest(), bytes);
}

/** The type that a host key says it has, e.g. `ssh-ed25519`: its first string (RFC 4253, 6.6). */
export function hostKeyType(key: Uint8Array): string {
  if (key.length < 4) return 'unknown';
  const length = new DataView(key.buffer, key.byteOffset, key.byteLength).getUint32(0);
  const type = Buffer.from(key.subarray(4, 4 + Math.min(length, 64))).toString('latin1');
  return /^[\w@.-]+$/.test(type) ? type : 'unknown';
}
