import { createPrivateKey, type KeyObject } from 'node:crypto';
import { Reader } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { decodeCertificate, type Certificate } from './certificate.js';
import { derTag, firstDerValue, insideDer, readDer } from './der.js';

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
 * @throws FormatError `bad-certificate`; in PEM, the offset is that of the block.
 */
export function decodeCertificates(bytes: Uint8Array): readonly Certificate[] {
  const text = pemText(bytes);
  if (text === undefined) return [decodeCertificate(bytes)];
  const certificates = pemBlocks(text)
    .filter(({ label }) => certificateLabels.includes(label))
    .map(decodeCertificateBlock);
  if (certificates.length === 0) {
    throw new FormatError('bad-certificate', 'PEM without a CERTIFICATE block', { offset: 0 });
  }
  return certificates;
}

/** One block of PEM: its label, where it starts, and what stands between its two lines. */
interface PemBlock {
  readonly label: string;
  readonly offset: number;
  readonly body: string;
}

/** CERTIFICATE is the right one (RFC 7468, 5.1); OpenSSL writes and reads the others too. */
const certificateLabels = ['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE'];

function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  const begin = /-----BEGIN ([A-Z0-9 ]+)-----/g;
  for (let match = begin.exec(text); match !== null; match = begin.exec(text)) {
    const label = match[1] ?? '';
    const end = text.indexOf(`-----END ${label}-----`, begin.lastIndex);
    if (end < 0) {
      throw new FormatError('bad-certificate', `a PEM block (${label}) without its END line`, { offset: match.index });
    }
    blocks.push({ label, offset: match.index, body: text.slice(begin.lastIndex, end) });
    begin.lastIndex = end;
  }
  return blocks;
}

function decodeCertificateBlock({ label, offset, body }: PemBlock): Certificate {
  const base64 = body.replaceAll(/\s/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    throw new FormatError('bad-certificate', 'a PEM block that is not base64', { offset });
  }
  const der = new Uint8Array(Buffer.from(base64, 'base64'));
  try {
    // A TRUSTED CERTIFICATE is followed by what OpenSSL trusts it for.
    return decodeCertificate(label.startsWith('TRUSTED') ? firstDerValue(der) : der);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError('bad-certificate', `in this PEM block: ${error.message}`, { offset }, { cause: error });
  }
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
  if (text === undefined ? looksEncrypted(bytes) : text.includes('ENCRYPTED')) {
    const what = password === undefined ? 'the private key is encrypted' : 'the password does not open the private key';
    throw new FormatError('bad-password', what, { offset: 0 }, { hint: 'give the password of the key' });
  }
  throw new FormatError('bad-key', 'no private key in PEM or DER (PKCS#8 or PKCS#1)', { offset: 0 });
}

/** EncryptedPrivateKeyInfo ::= SEQUENCE { encryptionAlgorithm, encryptedData OCTET STRING } (RFC 5958, 3) */
function looksEncrypted(bytes: Uint8Array): boolean {
  try {
    const outer = insideDer(bytes, readDer(new Reader(bytes), 'EncryptedPrivateKeyInfo', derTag.sequence));
    readDer(outer, 'encryptionAlgorithm', derTag.sequence);
    return outer.peek() === derTag.octetString;
  } catch {
    return false;
  }
}

/** The text of a file in PEM. A file in DER may hold such text too, but begins as no text does. */
function pemText(bytes: Uint8Array): string | undefined {
  if (bytes[0] === derTag.sequence && (bytes[1] ?? 0) >= 0x80) return undefined;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return text.includes('-----BEGIN ') ? text.toString('latin1') : undefined;
}
