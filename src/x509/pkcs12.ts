import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type forgeModule from 'node-forge';
import type { asn1, pkcs12 } from 'node-forge';
import { equalBytes } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { decodeCertificate, type Certificate } from './certificate.js';
import { loadForge } from './forge.js';

/** What a PKCS#12 file holds: the key, the certificate that fits it, and the others. */
export interface Pkcs12 {
  readonly key: KeyObject;
  readonly certificate: Certificate;
  readonly others: readonly Certificate[];
}

/**
 * Reads a PKCS#12 file with one RSA key (RFC 7292), in the old encryption (3DES, RC2) and the new (PBES2 with AES).
 *
 * @throws FormatError `bad-password`, `bad-key` when there is no key, or none that fits a certificate in it,
 *   `bad-certificate` when there is no certificate, `bad-value` when the bytes are no PKCS#12.
 */
export async function decodePkcs12(bytes: Uint8Array, password: string): Promise<Pkcs12> {
  const forge = await loadForge();
  const parsed = openPkcs12(forge, bytes, password);
  const bags = parsed.safeContents.flatMap((content) => content.safeBags);
  const keys = bags.flatMap((bag) => (bag.key == null ? [] : [forge.pki.privateKeyToPem(bag.key)]));
  const certificates = bags
    .filter((bag) => bag.type === forge.pki.oids['certBag'])
    .map((bag) => {
      const asn1 = bag.cert == null ? bag.asn1 : forge.pki.certificateToAsn1(bag.cert);
      return decodeCertificate(new Uint8Array(Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'latin1')));
    });
  const pem = keys[0];
  if (pem === undefined) {
    throw new FormatError('bad-key', 'the PKCS#12 file holds no RSA private key', { offset: 0 });
  }
  const key = createPrivateKey(pem);
  const publicKeyInfo = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const certificate = certificates.find((one) => equalBytes(one.publicKeyInfo, publicKeyInfo));
  if (certificates.length === 0) {
    throw new FormatError('bad-certificate', 'the PKCS#12 file holds a private key and no certificate', { offset: 0 });
  }
  if (certificate === undefined) {
    throw new FormatError('bad-key', 'the PKCS#12 file holds no certificate for its private key', { offset: 0 });
  }
  return { key, certificate, others: certificates.filter((one) => one !== certificate) };
}

/**
 * The old encryption and the MAC take a password as UTF-16, PBES2 takes it as UTF-8 (RFC 7292, appendix B; RFC 8018,
 * 3), and node-forge passes on one and the same. Where that makes a difference, the second attempt gives it UTF-8, and
 * leaves the MAC out: a password that decrypts the key and fits its certificate is the right one.
 */
function openPkcs12(forge: typeof forgeModule, bytes: Uint8Array, password: string): pkcs12.Pkcs12Pfx {
  const parse = (): asn1.Asn1 => {
    const text = Buffer.from(bytes).toString('latin1');
    return forge.asn1.fromDer(text, { strict: true, parseAllBytes: true } as never);
  };
  try {
    return forge.pkcs12.pkcs12FromAsn1(parse(), false, password);
  } catch (error) {
    const asUtf8 = Buffer.from(password).toString('latin1');
    if (asUtf8 === password) throw explainFailure(error);
    try {
      const pfx = parse();
      // PFX ::= SEQUENCE { version, authSafe, macData OPTIONAL }
      if (Array.isArray(pfx.value)) pfx.value.length = Math.min(pfx.value.length, 2);
      return forge.pkcs12.pkcs12FromAsn1(pfx, false, asUtf8);
    } catch {
      throw explainFailure(error);
    }
  }
}

/** Whether bytes look like PKCS#12 rather than a certificate or key: SEQUENCE { INTEGER 3, … } (RFC 7292, 4). */
export function looksLikePkcs12(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0x30) return false;
  const first = bytes[1] ?? 0;
  const start = first < 0x80 || first === 0x80 ? 2 : 2 + (first & 0x7f);
  return bytes[start] === 2 && bytes[start + 1] === 1 && bytes[start + 2] === 3;
}

function explainFailure(error: unknown): FormatError {
  const message = error instanceof Error ? error.message : String(error);
  if (/password|MAC could not be verified|decrypt/i.test(message)) {
    return new FormatError(
      'bad-password',
      'the password does not open the PKCS#12 file',
      { offset: 0 },
      { hint: 'check the password; a trailing newline in a password file is not part of it' },
    );
  }
  return new FormatError('bad-value', 'not a PKCS#12 file, or a damaged one', { offset: 0 }, { cause: error });
}
