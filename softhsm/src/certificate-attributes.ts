import { concatBytes, Reader } from 'etoken-bridge/bytes';
import type { Certificate } from 'etoken-bridge/x509';
import type { CertificateAttributes } from './messages.js';

/** The tag of `[0] version` (RFC 5280, 4.1). */
const versionTag = 0xa0;

/**
 * What a certificate object on a token holds of its certificate (PKCS#11 v2.40, 4.6.3): CKA_SUBJECT, CKA_ISSUER and
 * CKA_SERIAL_NUMBER are whole DER values, cut from the certificate byte for byte.
 */
export function certificateAttributes(certificate: Certificate): CertificateAttributes {
  const { der } = certificate;
  // Certificate ::= SEQUENCE { TBSCertificate ::= SEQUENCE { version, serialNumber, signature, issuer, validity, subject
  const reader = new Reader(der);
  enterValue(reader);
  enterValue(reader);
  if (reader.peek() === versionTag) takeValue(der, reader);
  const serialNumber = takeValue(der, reader);
  takeValue(der, reader);
  const issuer = takeValue(der, reader);
  takeValue(der, reader);
  const subject = takeValue(der, reader);
  return { value: concatBytes(der), subject, issuer, serialNumber };
}

/** Steps over the tag and the length of a DER value (X.690, 8.1). Gives the length of its content in bytes. */
function enterValue(reader: Reader): number {
  reader.skip(1, 'tag');
  const first = reader.u8('length');
  if (first < 0x80) return first;
  return reader.bytes(first & 0x7f, 'length').reduce((length, byte) => length * 256 + byte, 0);
}

/** The next DER value, tag and length included, as bytes of their own. */
function takeValue(der: Uint8Array, reader: Reader): Uint8Array {
  const start = reader.offset;
  reader.skip(enterValue(reader), 'value');
  return der.slice(start, reader.offset);
}
