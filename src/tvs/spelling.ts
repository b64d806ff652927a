import { formatHex } from '../bytes/index.js';
import { formatClusterName, formatTokenName, type Certificate } from '../x509/index.js';

/** By what a certificate is looked up: upper-case hex serial followed by the issuer (tvs-protocol.md). */
export function lookUpKey(serialNumber: Uint8Array, issuerName: string): string {
  return `${formatHex(withoutLeadingZeros(serialNumber)).toUpperCase()}${issuerName}`;
}

/**
 * Every key under which trust lists may ask for a certificate: as clusters spell it, and as the CTL client does, which
 * writes the serials of the vendor's tokens reversed. The cluster's is the first.
 */
export function lookUpKeys(certificate: Certificate): readonly string[] {
  const { serialNumber } = certificate;
  const tokenName = formatTokenName(certificate.issuer);
  const keys = [
    lookUpKey(serialNumber, formatClusterName(certificate.issuer)),
    lookUpKey(serialNumber, tokenName),
    lookUpKey(serialNumber.slice().reverse(), tokenName),
    lookUpKey(withoutLeadingZeros(serialNumber).slice().reverse(), tokenName),
  ];
  return [...new Set(keys)];
}

/** DER adds a zero byte before a high bit, and writers of lists differ in whether they keep it. */
function withoutLeadingZeros(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0);
  return start <= 0 ? number : number.subarray(start);
}
