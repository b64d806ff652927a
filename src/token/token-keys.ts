import { createHash, createPublicKey } from 'node:crypto';
import { equalBytes } from '../bytes/index.js';
import { decodeCertificate, rsaModulus, type Certificate } from '../x509/index.js';
import type { KeyObjectDescription, TokenObjects } from './host-protocol.js';
import type { TokenContents, TokenKey } from './token-info.js';

/** What can be seen of keys and certificates. */
export function contentsOf(objects: TokenObjects): TokenContents {
  const certificates = objects.certificates.flatMap(({ der, id, label }) => {
    const certificate = tryDecode(der);
    return certificate === undefined ? [] : [{ certificate, id, label }];
  });
  return { keys: keysOf(objects), certificates };
}

/** Each key once, however many objects there are of it; a private key's own words first. */
export function keysOf({ keys, certificates }: TokenObjects): readonly TokenKey[] {
  const found: { key: TokenKey; readonly modulus: Uint8Array | undefined }[] = [];
  const add = (key: TokenKey, modulus: Uint8Array | undefined): void => {
    const same = found.find((other) =>
      modulus !== undefined && other.modulus !== undefined
        ? equalBytes(modulus, other.modulus)
        : key.id.length > 0 && equalBytes(key.id, other.key.id),
    );
    if (same === undefined) found.push({ key, modulus });
    // The private half may tell less of the key than its public half or certificate.
    else
      same.key = { ...same.key, bits: same.key.bits || key.bits, fingerprint: same.key.fingerprint ?? key.fingerprint };
  };
  for (const key of [...keys].sort((left, right) => left.kind.localeCompare(right.kind))) {
    const { id, label, modulus } = key;
    // A public key does not tell what its private key wants.
    const alwaysAuthenticates = key.kind === 'private' ? key.alwaysAuthenticates : undefined;
    const fingerprint = fingerprintOf(publicKeyInfoOf(key));
    add({ bits: bitsOf(modulus), type: keyTypeOf(key), id, label, alwaysAuthenticates, fingerprint }, modulus);
  }
  for (const { der, id, label } of certificates) {
    const certificate = tryDecode(der);
    if (certificate === undefined) continue;
    const modulus = certificate.keyType === 'rsa' ? rsaModulus(certificate.publicKey) : undefined;
    // The certificate of an authority is on some tokens too; it tells of no key there.
    if (isAuthority(certificate, certificates)) continue;
    const fingerprint = fingerprintOf(certificate.publicKeyInfo);
    const { keyBits: bits, keyType: type } = certificate;
    add({ bits, type, id, label, alwaysAuthenticates: undefined, fingerprint }, modulus);
  }
  return found.map(({ key }) => key);
}

/** The SubjectPublicKeyInfo of the public half, from the numbers of an RSA key. */
function publicKeyInfoOf({ modulus, publicExponent }: KeyObjectDescription): Uint8Array | undefined {
  if (modulus === undefined || publicExponent === undefined) return undefined;
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
  try {
    const key = createPublicKey({ key: { kty: 'RSA', n: text(modulus), e: text(publicExponent) }, format: 'jwk' });
    return key.export({ type: 'spki', format: 'der' });
  } catch {
    // What the token says is no key: there is nothing to take a fingerprint of.
    return undefined;
  }
}

/** SHA-256 of a SubjectPublicKeyInfo, as openssl and browsers take it. */
function fingerprintOf(publicKeyInfo: Uint8Array | undefined): Uint8Array | undefined {
  return publicKeyInfo === undefined ? undefined : new Uint8Array(createHash('sha256').update(publicKeyInfo).digest());
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
