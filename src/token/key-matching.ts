import { equalBytes, formatHex } from '../bytes/index.js';
import { DeviceError, ProofError } from '../errors.js';
import { formatName, isSastName, rsaModulus, type Certificate } from '../x509/index.js';
import type { KeyObjectDescription, TokenObjects } from './host-protocol.js';
import { tryDecode } from './token-keys.js';
import { formatTokenUri, type TokenUri } from './token-uri.js';

/** A certificate object of a token, decoded. */
export interface TokenCertificate {
  readonly certificate: Certificate;
  readonly id: Uint8Array;
  readonly label: string;
}

/** A private key and the certificate that is for it, when there is one. */
export interface SigningKey {
  readonly key: KeyObjectDescription;
  readonly certificate: TokenCertificate | undefined;
}

const rsaKeyType = 0;

/** The certificates of a token, each once; objects that are no X.509 certificates are left out. */
export function certificatesOf(objects: TokenObjects): readonly TokenCertificate[] {
  const found: TokenCertificate[] = [];
  for (const { der, id, label } of objects.certificates) {
    const certificate = tryDecode(der);
    if (certificate === undefined) continue;
    if (found.some((other) => equalBytes(other.certificate.der, certificate.der))) continue;
    found.push({ certificate, id, label });
  }
  return found;
}

/**
 * The key that a certificate is for: by public key; where the token does not tell that, by CKA_ID, then by label.
 * Vendors' software does not always give both the same id.
 */
export function keyOfCertificate(
  { certificate, id, label }: TokenCertificate,
  keys: readonly KeyObjectDescription[],
): KeyObjectDescription | undefined {
  const modulus = certificate.keyType === 'rsa' ? rsaModulus(certificate.publicKey) : undefined;
  const byKey = keys.find(
    (key) => modulus !== undefined && key.modulus !== undefined && equalBytes(key.modulus, modulus),
  );
  if (byKey !== undefined) return byKey;
  // A key that tells its modulus, and another one, is not the key: only those that tell nothing are left.
  const silent = keys.filter((key) => key.modulus === undefined || modulus === undefined);
  return (
    silent.find((key) => id.length > 0 && equalBytes(key.id, id)) ??
    silent.find((key) => label !== '' && key.label === label)
  );
}

/** Private keys, with the modulus of their public half where they do not tell their own. */
export function privateKeysOf({ keys }: TokenObjects): readonly KeyObjectDescription[] {
  const publicKeys = keys.filter(({ kind }) => kind === 'public');
  return keys
    .filter(({ kind }) => kind === 'private')
    .map((key) => {
      if (key.modulus !== undefined || key.id.length === 0) return key;
      const modulus = publicKeys.find(({ id }) => equalBytes(id, key.id))?.modulus;
      return modulus === undefined ? key : { ...key, modulus };
    });
}

/**
 * The one key of a token that is meant, with its certificate: what id, label and a given certificate leave over; of
 * several, the one with a SAST certificate.
 *
 * @param wanted `id` and `object` are those of the key or of its certificate.
 * @param given a certificate for a key that has none on its token, or another than the one there.
 * @param name the token's name, for messages.
 * @throws DeviceError `key-not-found`, `several-keys`; ProofError `key-mismatch` when no key fits the certificate.
 */
export function selectSigningKey(
  objects: TokenObjects,
  wanted: TokenUri,
  name: string,
  given?: Certificate,
): SigningKey {
  const pairs = pairKeys(objects);
  if (pairs.length === 0) throw noKey(objects, name);
  const asked = pairs.filter((pair) => matchesObject(pair, wanted));
  if (asked.length === 0) {
    throw new DeviceError(
      'key-not-found',
      `${name} has no signing key with this id or label; there are:\n${list(pairs)}`,
    );
  }
  const fitting = given === undefined ? asked : asked.filter(({ key }) => mayFit(key, given));
  if (given !== undefined && fitting.length === 0) {
    throw new ProofError('key-mismatch', `the certificate ${formatName(given.subject)} is not for a key of ${name}`, {
      hint: 'give the certificate that was issued for the key on this token',
    });
  }
  const [only, another] = preferred(fitting);
  if (only === undefined || another !== undefined) {
    throw new DeviceError(
      'several-keys',
      `${name} has several signing keys:\n${list(fitting)}`,
      {},
      { hint: 'say which one is meant, by id or object' },
    );
  }
  return only;
}

/** The RSA keys that may sign, each with the certificate for it: a SAST certificate first, then the newest. */
function pairKeys(objects: TokenObjects): readonly SigningKey[] {
  const certificates = [...certificatesOf(objects)].sort(
    (left, right) =>
      Number(isSastName(right.certificate.subject)) - Number(isSastName(left.certificate.subject)) ||
      right.certificate.notAfter.getTime() - left.certificate.notAfter.getTime(),
  );
  const keys = privateKeysOf(objects);
  return keys
    .filter(({ keyType, usable }) => (keyType ?? rsaKeyType) === rsaKeyType && usable !== false)
    .map((key) => ({ key, certificate: certificates.find((one) => keyOfCertificate(one, keys) === key) }));
}

function preferred(pairs: readonly SigningKey[]): readonly SigningKey[] {
  const ofVendor = pairs.filter(
    ({ certificate }) => certificate !== undefined && isSastName(certificate.certificate.subject),
  );
  if (ofVendor.length > 0) return ofVendor;
  const certified = pairs.filter(({ certificate }) => certificate !== undefined);
  return certified.length > 0 ? certified : pairs;
}

function matchesObject({ key, certificate }: SigningKey, { id, object }: TokenUri): boolean {
  const idMatches =
    id === undefined || equalBytes(key.id, id) || (certificate !== undefined && equalBytes(certificate.id, id));
  return idMatches && (object === undefined || key.label === object || certificate?.label === object);
}

/** A key that does not tell its modulus may fit: its first signature shows whether it does. */
function mayFit(key: KeyObjectDescription, certificate: Certificate): boolean {
  if (certificate.keyType !== 'rsa') return false;
  return key.modulus === undefined || equalBytes(key.modulus, rsaModulus(certificate.publicKey));
}

function noKey(objects: TokenObjects, name: string): DeviceError {
  const others = objects.keys.filter(({ kind }) => kind === 'private').length;
  const what = others === 0 ? 'no private key' : `no RSA key that may sign (${others} others)`;
  return new DeviceError(
    'key-not-found',
    `${name} has ${what}`,
    {},
    {
      hint: 'trust lists are signed with an RSA key; check that this is the token that was meant',
    },
  );
}

function list(pairs: readonly SigningKey[]): string {
  return pairs
    .map(({ key, certificate }) => {
      const subject = certificate === undefined ? 'no certificate' : formatName(certificate.certificate.subject);
      const uri = formatTokenUri({ ...(key.label === '' ? {} : { object: key.label }), id: key.id });
      return `  id ${formatHex(key.id)}, label "${key.label}", ${subject}\n    ${uri}`;
    })
    .join('\n');
}
