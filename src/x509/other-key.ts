import { createPublicKey, type KeyObject } from 'node:crypto';
import { concatBytes, Reader } from '../bytes/index.js';
import { decodeCertificate, type Certificate } from './certificate.js';
import { derTag, insideDer, readDer } from './der.js';

/**
 * A certificate as it would be with another key: all else stays byte for byte, so that its signature proves nothing any
 * more. It stands in for the real one where lists are built on trial, without the real private key.
 *
 * @param key the public key, or a private one whose public half is taken.
 */
export function withOtherKey(certificate: Certificate, key: KeyObject): Certificate {
  const { der } = certificate;
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const info = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }));
  // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature } (RFC 5280, 4.1)
  const parts = insideDer(der, readDer(new Reader(der), 'Certificate', derTag.sequence));
  const tbs = readDer(parts, 'tbsCertificate', derTag.sequence);
  const fields = insideDer(der, tbs);
  if (fields.peek() === derTag.explicit0) readDer(fields, 'version');
  for (const before of ['serialNumber', 'signature', 'issuer', 'validity', 'subject']) readDer(fields, before);
  const { offset } = readDer(fields, 'subjectPublicKeyInfo', derTag.sequence);
  const end = tbs.contentOffset + tbs.content.length;
  const changed = encodeSequence(der.subarray(tbs.contentOffset, offset), info, der.subarray(fields.offset, end));
  return decodeCertificate(encodeSequence(changed, der.subarray(end)));
}

/** X.690, 8.1.3: the length in one byte, or the count of its bytes and the bytes. */
function encodeSequence(...parts: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...parts);
  const digits: number[] = [];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  const length = content.length < 0x80 ? [content.length] : [0x80 + digits.length, ...digits];
  return concatBytes(Uint8Array.of(derTag.sequence, ...length), content);
}
