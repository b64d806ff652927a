import { createPrivateKey, type KeyObject } from 'node:crypto';
import { FormatError } from '../errors.js';
import { decodeCertificate, type Certificate } from './certificate.js';

const blockPattern = /-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g;

/** A certificate as PEM (RFC 7468, 5), 64 characters to a line. */
export function formatCertificatePem(certificate: Certificate): string {
  const lines =
    Buffer.from(certificate.der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/**
 * Every certificate of a file in PEM (text around the blocks is passed over) or the one of a file in DER.
 *
 * @throws FormatError `bad-certificate`
 */
export function decodeCertificates(bytes: Uint8Array): readonly Certificate[] {
  const text = pemText(bytes);
  if (text === undefined) return [decodeCertificate(bytes)];
  const certificates: Certificate[] = [];
  for (const match of text.matchAll(blockPattern)) {
    if (match[1] !== 'CERTIFICATE' && match[1] !== 'TRUSTED CERTIFICATE') continue;
    const body = (match[2] ?? '').replaceAll(/\s/g, '');
    if (!/^[A-Za-z0-9+/]+=*$/.test(body)) {
      throw new FormatError('bad-certificate', 'a PEM block that is not base64', { offset: match.index });
    }
    certificates.push(decodeCertificate(new Uint8Array(Buffer.from(body, 'base64'))));
  }
  if (certificates.length === 0) {
    throw new FormatError('bad-certificate', 'PEM without a CERTIFICATE block', { offset: 0 });
  }
  return certificates;
}

/**
 * A private key in PEM or DER (PKCS#8 or PKCS#1), encrypted or not.
 *
 * @param password of an encrypted key.
 * @throws FormatError `bad-key`, or `bad-password` when the key is encrypted and the password missing or wrong.
 */
export function decodePrivateKey(bytes: Uint8Array, password?: string): KeyObject {
  const text = pemText(bytes);
  const passphrase = password === undefined ? {} : { passphrase: password };
  const attempts =
    text === undefined
      ? [
          () => createPrivateKey({ key: Buffer.from(bytes), format: 'der', type: 'pkcs8', ...passphrase }),
          () => createPrivateKey({ key: Buffer.from(bytes), format: 'der', type: 'pkcs1' }),
        ]
      : [() => createPrivateKey({ key: text, format: 'pem', ...passphrase })];
  for (const attempt of attempts) {
    try {
      return attempt();
    } catch {
      // The next form is tried; what failed says nothing that could be shown beside a key.
    }
  }
  if (text?.includes('ENCRYPTED') === true) {
    const what = password === undefined ? 'the private key is encrypted' : 'the password does not open the private key';
    throw new FormatError('bad-password', what, { offset: 0 }, { hint: 'give the password of the key' });
  }
  throw new FormatError('bad-key', 'no private key in PEM or DER (PKCS#8 or PKCS#1)', { offset: 0 });
}

function pemText(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return text.includes('-----BEGIN ') ? text.toString('latin1') : undefined;
}
