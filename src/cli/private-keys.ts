import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { looksLikePkcs12 } from '../x509/index.js';

/** How much of a file is looked at, in bytes: certificates may stand before the key. */
const lookedAt = 64 * 1024;

const pemKey = /^[ \t]*-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/m;

/**
 * Whether a file holds a private key: in PEM (also behind certificates), PKCS#12, or DER (PKCS#1, PKCS#8, RFC 5915).
 * Such a file is never signed or encrypted for phones: what is signed is served to everybody.
 *
 * @param start the beginning of the file, or all of it; 64 KiB of it are looked at.
 */
function holdsPrivateKey(start: Uint8Array): boolean {
  const text = Buffer.from(start.buffer, start.byteOffset, Math.min(start.length, lookedAt));
  // First the quick look, for thousands of files that are none.
  const holdsPem = text.includes('PRIVATE KEY-----') && pemKey.test(text.toString('latin1'));
  return holdsPem || looksLikePkcs12(start) || looksLikeKeyDer(start);
}

/**
 * Refuses a file that holds a private key, see {@link holdsPrivateKey}. Called beside `refuseSigned`, with the same
 * bytes, and before a finished output is left as it is. In a folder it is passed over, and told.
 *
 * @throws InputError `private-key`
 */
export function refusePrivateKey(path: string, start: Uint8Array): void {
  if (!holdsPrivateKey(start)) return;
  throw new InputError('private-key', `${printable(path)} holds a private key`, {
    hint: 'signed files are served to everybody: keep keys in another folder, and remove signed copies of it',
  });
}

const tag = { integer: 0x02, octets: 0x04, sequence: 0x30 } as const;

/** SEQUENCE { INTEGER 0, a number or algorithm … }, or SEQUENCE { INTEGER 1, OCTET STRING … } (elliptic curves). */
function looksLikeKeyDer(start: Uint8Array): boolean {
  if (start[0] !== tag.sequence) return false;
  const first = start[1] ?? 0;
  const at = first < 0x80 ? 2 : 2 + (first & 0x7f);
  if (start[at] !== tag.integer || start[at + 1] !== 1) return false;
  const [version, next] = [start[at + 2], start[at + 3]];
  return version === 0 ? next === tag.integer || next === tag.sequence : version === 1 && next === tag.octets;
}
