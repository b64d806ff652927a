import { createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { formatHex, Reader } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { derTag, formatObjectIdentifier, insideDer, readDer, type DerValue } from './der.js';
import { decodeName, type DistinguishedName } from './name.js';

/** An X.509 certificate, with everything a trust list repeats of it byte for byte. */
export interface Certificate {
  /** The whole certificate. */
  readonly der: Uint8Array;
  /** The content bytes of the serial number, big-endian, exactly as the certificate has them. */
  readonly serialNumber: Uint8Array;
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly keyType: 'rsa' | 'ec' | 'other';
  /** Size of an RSA modulus or of an EC coordinate; 0 for other keys. */
  readonly keyBits: number;
  /** RSA: PKCS#1 RSAPublicKey in DER. EC: the uncompressed point. This is what a record's PUBLICKEY holds. */
  readonly publicKey: Uint8Array;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKeyInfo: Uint8Array;
  /** The issuer's signature over the certificate. */
  readonly signature: Uint8Array;
}

const rsaEncryption = '1.2.840.113549.1.1.1';
const ecPublicKey = '1.2.840.10045.2.1';

/**
 * Decodes one certificate (RFC 5280, 4.1).
 *
 * @throws FormatError `bad-certificate` for bytes that are no certificate, with the offset where that shows.
 */
export function decodeCertificate(der: Uint8Array): Certificate {
  try {
    return readCertificate(der);
  } catch (error) {
    if (!(error instanceof FormatError) || error.code === 'bad-certificate') throw error;
    throw new FormatError(
      'bad-certificate',
      `not a certificate in DER: ${error.message}`,
      { offset: error.offset },
      { cause: error, hint: 'give an X.509 certificate in DER or PEM' },
    );
  }
}

function readCertificate(der: Uint8Array): Certificate {
  const input = new Reader(der);
  // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature BIT STRING }
  const outer = readDer(input, 'Certificate', derTag.sequence);
  refuseMore(input, 'Certificate');
  const parts = insideDer(der, outer);
  const tbs = insideDer(der, readDer(parts, 'tbsCertificate', derTag.sequence));
  readDer(parts, 'signatureAlgorithm', derTag.sequence);
  const signature = readBitString(parts, 'signature').content;
  refuseMore(parts, 'signature');

  // TBSCertificate ::= SEQUENCE { [0] version OPTIONAL, serialNumber, signature, issuer, validity, subject, spki, … }
  if (tbs.peek() === derTag.explicit0) readDer(tbs, 'version');
  const serialNumber = readDer(tbs, 'serialNumber', derTag.integer).content;
  readDer(tbs, 'signature', derTag.sequence);
  const issuer = decodeName(der, readDer(tbs, 'issuer', derTag.sequence));
  const validity = insideDer(der, readDer(tbs, 'validity', derTag.sequence));
  const notBefore = readTime(validity, 'notBefore');
  const notAfter = readTime(validity, 'notAfter');
  const subject = decodeName(der, readDer(tbs, 'subject', derTag.sequence));
  const info = readDer(tbs, 'subjectPublicKeyInfo', derTag.sequence);
  const key = readPublicKey(der, info);
  return {
    der,
    serialNumber,
    subject,
    issuer,
    notBefore,
    notAfter,
    ...key,
    publicKeyInfo: der.subarray(info.offset, info.contentOffset + info.content.length),
    signature,
  };
}

function refuseMore(reader: Reader, element: string): void {
  if (reader.remaining === 0) return;
  const place = { offset: reader.offset, element };
  throw new FormatError('trailing-bytes', `${String(reader.remaining)} bytes after it`, place);
}

/** A bit string of whole bytes (X.690, 8.6): its bits, and where they start in the input. */
function readBitString(reader: Reader, what: string): Pick<DerValue, 'content' | 'contentOffset'> {
  const value = readDer(reader, what, derTag.bitString);
  if (value.content[0] !== 0) {
    throw new FormatError('bad-value', 'a bit string of whole bytes expected', {
      offset: value.contentOffset,
      element: what,
    });
  }
  return { content: value.content.subarray(1), contentOffset: value.contentOffset + 1 };
}

function readPublicKey(der: Uint8Array, info: DerValue): Pick<Certificate, 'keyType' | 'keyBits' | 'publicKey'> {
  // SubjectPublicKeyInfo ::= SEQUENCE { algorithm SEQUENCE { OID, parameters }, subjectPublicKey BIT STRING }
  const parts = insideDer(der, info);
  const algorithm = insideDer(der, readDer(parts, 'algorithm', derTag.sequence));
  const oid = formatObjectIdentifier(readDer(algorithm, 'algorithm', derTag.objectIdentifier).content);
  const { content: publicKey, contentOffset } = readBitString(parts, 'subjectPublicKey');
  if (oid === rsaEncryption) {
    const modulus = readModulus(der, new Reader(der, contentOffset, contentOffset + publicKey.length));
    return { keyType: 'rsa', keyBits: bitLength(modulus), publicKey };
  }
  if (oid === ecPublicKey) return { keyType: 'ec', keyBits: coordinateBits(publicKey), publicKey };
  return { keyType: 'other', keyBits: 0, publicKey };
}

/** ECPoint (SEC 1, 2.3.3): 4 and two coordinates, or 2 or 3 and one. */
function coordinateBits(point: Uint8Array): number {
  const coordinates = point[0] === 4 ? 2 : 1;
  return Math.floor(Math.max(0, point.length - 1) / coordinates) * 8;
}

/** RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017, A.1.1) */
function readModulus(input: Uint8Array, reader: Reader): Uint8Array {
  const parts = insideDer(input, readDer(reader, 'RSAPublicKey', derTag.sequence));
  refuseMore(reader, 'RSAPublicKey');
  const modulus = readDer(parts, 'modulus', derTag.integer).content;
  readDer(parts, 'publicExponent', derTag.integer);
  return withoutLeadingZeros(modulus);
}

function withoutLeadingZeros(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0);
  return start < 0 ? new Uint8Array() : number.subarray(start);
}

function bitLength(number: Uint8Array): number {
  return number.length === 0 ? 0 : number.length * 8 - Math.clz32(number[0] ?? 0) + 24;
}

/**
 * The size of an RSA modulus in bits.
 *
 * @param publicKey RSAPublicKey in DER (RFC 8017, A.1.1).
 * @throws FormatError when the bytes are no RSAPublicKey.
 */
export function rsaModulusBits(publicKey: Uint8Array): number {
  return bitLength(rsaModulus(publicKey));
}

/**
 * The modulus of an RSA key, big-endian, without leading zeros: what a token holds as CKA_MODULUS.
 *
 * @param publicKey RSAPublicKey in DER (RFC 8017, A.1.1).
 * @throws FormatError when the bytes are no RSAPublicKey.
 */
export function rsaModulus(publicKey: Uint8Array): Uint8Array {
  return readModulus(publicKey, new Reader(publicKey));
}

const timePatterns: Readonly<Record<number, RegExp>> = {
  [derTag.utcTime]: /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/,
  [derTag.generalizedTime]: /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/,
};

/** UTCTime or GeneralizedTime with seconds and in UTC, as RFC 5280, 4.1.2.5, wants them. */
function readTime(reader: Reader, what: string): Date {
  const value = readDer(reader, what);
  const text = String.fromCharCode(...value.content.subarray(0, 20));
  const fields = timePatterns[value.tag]?.exec(text)?.slice(1).map(Number) ?? [];
  const [digits = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = fields;
  // RFC 5280, 4.1.2.5.1: two-digit years from 50 on are 19xx.
  const year = value.tag === derTag.utcTime ? digits + (digits >= 50 ? 1900 : 2000) : digits;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const written = [date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes()];
  // A day or hour that does not exist moves a Date on to one that does.
  if (fields.length === 0 || written.join() !== [month, day, hour, minute].join() || second > 59) {
    throw new FormatError('bad-value', 'not a UTCTime or GeneralizedTime', { offset: value.offset, element: what });
  }
  return date;
}

/** How many prepared keys {@link importPublicKey} keeps: more than any trust list has signers. */
const keptKeys = 64;
const preparedKeys = new Map<string, KeyObject>();

/**
 * An RSA public key ready for verifying. The last few are kept, because a list's signer is asked for again and again.
 *
 * @param publicKey RSAPublicKey in DER, as a record's PUBLICKEY holds it.
 * @throws FormatError `bad-key`
 */
export function importPublicKey(publicKey: Uint8Array): KeyObject {
  const name = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString('latin1');
  const kept = preparedKeys.get(name);
  if (kept !== undefined) return kept;
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'pkcs1' });
  } catch (error) {
    throw new FormatError('bad-key', 'not an RSA public key (RSAPublicKey in DER)', { offset: 0 }, { cause: error });
  }
  const oldest = preparedKeys.keys().next();
  if (preparedKeys.size >= keptKeys && oldest.done !== true) preparedKeys.delete(oldest.value);
  preparedKeys.set(name, key);
  return key;
}

/**
 * Whether the issuer's key signed the certificate (only the signature, not names, dates or purposes). A key or
 * signature that node:crypto does not know gives false.
 */
export function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  try {
    const key = new X509Certificate(issuer.der).publicKey;
    return new X509Certificate(certificate.der).verify(key);
  } catch {
    return false;
  }
}

/** Whether the certificate is valid at a moment (RFC 5280, 4.1.2.5: both ends included). */
export function isValidAt(certificate: Certificate, moment: Date): boolean {
  return certificate.notBefore <= moment && moment <= certificate.notAfter;
}

/**
 * The serial number in hex for people, without leading zero bytes. Negative numbers, which RFC 5280 forbids and old
 * issuers wrote, are given as their bytes.
 */
export function formatSerialNumber(serialNumber: Uint8Array): string {
  return formatHex(withoutLeadingZeros(serialNumber)) || '00';
}
