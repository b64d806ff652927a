import { createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { decodeNumber, Reader } from '../bytes/index.js';
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
  if (input.remaining > 0) {
    throw new FormatError('trailing-bytes', `${String(input.remaining)} bytes after the certificate`, {
      offset: input.offset,
    });
  }
  const parts = insideDer(der, outer);
  const tbs = insideDer(der, readDer(parts, 'tbsCertificate', derTag.sequence));
  readDer(parts, 'signatureAlgorithm', derTag.sequence);
  const signature = readBitString(parts, 'signature');

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

function readBitString(reader: Reader, what: string): Uint8Array {
  const value = readDer(reader, what, derTag.bitString);
  if (value.content[0] !== 0) {
    throw new FormatError('bad-value', 'a bit string of whole bytes expected', {
      offset: value.contentOffset,
      element: what,
    });
  }
  return value.content.subarray(1);
}

function readPublicKey(der: Uint8Array, info: DerValue): Pick<Certificate, 'keyType' | 'keyBits' | 'publicKey'> {
  // SubjectPublicKeyInfo ::= SEQUENCE { algorithm SEQUENCE { OID, parameters }, subjectPublicKey BIT STRING }
  const parts = insideDer(der, info);
  const algorithm = insideDer(der, readDer(parts, 'algorithm', derTag.sequence));
  const oid = formatObjectIdentifier(readDer(algorithm, 'algorithm', derTag.objectIdentifier).content);
  const publicKey = readBitString(parts, 'subjectPublicKey');
  if (oid === rsaEncryption) return { keyType: 'rsa', keyBits: rsaModulusBits(publicKey), publicKey };
  if (oid === ecPublicKey) return { keyType: 'ec', keyBits: ((publicKey.length - 1) / 2) * 8, publicKey };
  return { keyType: 'other', keyBits: 0, publicKey };
}

/**
 * The size of an RSA modulus in bits.
 *
 * @param publicKey RSAPublicKey in DER (RFC 8017, A.1.1).
 * @throws FormatError when the bytes are no RSAPublicKey.
 */
export function rsaModulusBits(publicKey: Uint8Array): number {
  const modulus = rsaModulus(publicKey);
  return (modulus.length - 1) * 8 + (32 - Math.clz32(modulus[0] ?? 0));
}

/**
 * The modulus of an RSA key, big-endian, without leading zeros: what a token holds as CKA_MODULUS.
 *
 * @param publicKey RSAPublicKey in DER (RFC 8017, A.1.1).
 * @throws FormatError when the bytes are no RSAPublicKey.
 */
export function rsaModulus(publicKey: Uint8Array): Uint8Array {
  const outer = readDer(new Reader(publicKey), 'RSAPublicKey', derTag.sequence);
  const modulus = readDer(insideDer(publicKey, outer), 'modulus', derTag.integer).content;
  const start = modulus.findIndex((byte) => byte !== 0);
  return start < 0 ? new Uint8Array() : modulus.subarray(start);
}

function readTime(reader: Reader, what: string): Date {
  const value = readDer(reader, what);
  const text = String.fromCharCode(...value.content.subarray(0, 20));
  const pattern =
    value.tag === derTag.utcTime
      ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
      : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
  const digits = pattern.exec(text)?.slice(1).map(Number);
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = digits ?? [];
  // RFC 5280, 4.1.2.5.1: two-digit years from 50 on are 19xx.
  const century = value.tag === derTag.utcTime ? (year >= 50 ? 1900 : 2000) : 0;
  if (digits === undefined || month < 1 || month > 12 || day < 1 || day > 31) {
    throw new FormatError('bad-value', 'not a UTCTime or GeneralizedTime', { offset: value.offset, element: what });
  }
  return new Date(Date.UTC(century + year, month - 1, day, hour, minute, second));
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

/** Whether the issuer's key signed the certificate (only the signature, not names, dates or purposes). */
export function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  const key = new X509Certificate(issuer.der).publicKey;
  return new X509Certificate(certificate.der).verify(key);
}

/** Whether the certificate is valid at a moment (RFC 5280, 4.1.2.5: both ends included). */
export function isValidAt(certificate: Certificate, moment: Date): boolean {
  return certificate.notBefore <= moment && moment <= certificate.notAfter;
}

/** The serial number as a number in hex, without leading zeros, for people. */
export function formatSerialNumber(serialNumber: Uint8Array): string {
  return serialNumber.length <= 6 ? decodeNumber(serialNumber).toString(16) : Buffer.from(serialNumber).toString('hex');
}
