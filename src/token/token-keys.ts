import { equalBytes } from '../bytes/index.js';
import { decodeCertificate, rsaModulus, type Certificate } from '../x509/index.js';
import type { KeyObjectDescription, TokenObjects } from './host-protocol.js';
import type { TokenKey } from './token-info.js';

/** Each key once, however many objects there are of it; a private key's own words first. */
export function keysOf({ keys, certificates }: TokenObjects): readonly TokenKey[] {
  const found: { readonly key: TokenKey; readonly modulus: Uint8Array | undefined }[] = [];
  const add = (key: TokenKey, modulus: Uint8Array | undefined): void => {
    const same = found.some((other) =>
      modulus !== undefined && other.modulus !== undefined
        ? equalBytes(modulus, other.modulus)
        : key.id.length > 0 && equalBytes(key.id, other.key.id),
    );
    if (!same) found.push({ key, modulus });
  };
  for (const key of [...keys].sort((left, right) => left.kind.localeCompare(right.kind))) {
    add({ bits: bitsOf(key.modulus), type: keyTypeOf(key), id: key.id, label: key.label }, key.modulus);
  }
  for (const { der, id, label } of certificates) {
    const certificate = tryDecode(der);
    if (certificate === undefined) continue;
    const modulus = certificate.keyType === 'rsa' ? rsaModulus(certificate.publicKey) : undefined;
    // The certificate of an authority is on some tokens too; it tells of no key there.
    if (isAuthority(certificate, certificates)) continue;
    add({ bits: certificate.keyBits, type: certificate.keyType, id, label }, modulus);
  }
  return found.map(({ key }) => key);
}

/** Whether another certificate on the token names this one as its issuer. */
function isAuthority(certificate: Certificate, all: TokenObjects['certificates']): boolean {
  const subject = JSON.stringify(certificate.subject);
  return all.some(({ der }) => {
    const other = tryDecode(der);
    return other !== undefined && !equalBytes(other.der, certificate.der) && JSON.stringify(other.issuer) === subject;
  });
}

/** A certificate of a token; `undefined` for bytes that are none, which some tokens hold. */
export function tryDecode(der: Uint8Array): Certificate | undefined {
  try {
    return decodeCertificate(der);
  } catch {
    return undefined;
  }
}

function bitsOf(modulus: Uint8Array | undefined): number {
  return modulus === undefined ? 0 : (modulus.length - 1) * 8 + (32 - Math.clz32(modulus[0] ?? 0));
}

function keyTypeOf({ keyType, modulus }: KeyObjectDescription): TokenKey['type'] {
  if (keyType === 0 || (keyType === undefined && modulus !== undefined)) return 'rsa';
  return keyType === 3 ? 'ec' : 'other';
}
