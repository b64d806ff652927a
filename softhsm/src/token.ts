import { createPublicKey, randomBytes, type KeyObject } from 'node:crypto';
import { equalBytes } from 'etoken-bridge/bytes';
import { InputError, ProofError } from 'etoken-bridge';
import { formatName, rsaModulus, type Certificate } from 'etoken-bridge/x509';
import { certificateAttributes } from './certificate-attributes.js';
import type { SoftHsm } from './configuration.js';
import type { RsaNumbers, TokenDescription } from './messages.js';
import { provision, type RunOperation } from './provisioning.js';

/** A token of a SoftHSM2 configuration. */
export interface SoftToken {
  readonly label: string;
  /** SoftHSM2 chooses it: 16 hex digits. */
  readonly serialNumber: string;
  /** `pkcs11:token=…;serial=…?module-path=…` (RFC 7512), without a PIN. */
  readonly uri: string;
}

/** A token that is to be made. */
export interface SoftTokenRequest {
  /** At most 32 bytes in UTF-8, and not yet used in the configuration. */
  readonly label: string;
  /** The user's PIN: 4 to 255 bytes. */
  readonly pin: string;
  /** The security officer's PIN: 4 to 255 bytes. */
  readonly soPin: string;
}

/** An RSA key that is to be made on a token. */
export interface TokenKeyRequest {
  /** The token's serial number. */
  readonly serialNumber: string;
  readonly pin: string;
  /** Size of the modulus. */
  readonly bits: 1024 | 2048;
  /** CKA_LABEL of both halves. */
  readonly label: string;
}

/** An RSA key on a token. Its private half can sign and cannot leave the token. */
export interface TokenKey {
  /** CKA_ID: 20 random bytes. */
  readonly keyId: Uint8Array;
  readonly label: string;
  readonly publicKey: KeyObject;
}

/** A certificate that is to be stored beside its key. */
export interface TokenCertificateRequest {
  /** The token's serial number. */
  readonly serialNumber: string;
  readonly pin: string;
  /** CKA_ID of the key, which the certificate gets too. */
  readonly keyId: Uint8Array;
  /** CKA_LABEL of the certificate. */
  readonly label: string;
  readonly certificate: Certificate;
}

/** The tokens of a configuration, in SoftHSM2's order. @throws DeviceError */
export async function listSoftTokens(softHsm: SoftHsm): Promise<readonly SoftToken[]> {
  const tokens = await provision(softHsm, (run) => run('listTokens', {}));
  return tokens.map((token) => softToken(softHsm, token));
}

/**
 * Makes an empty token.
 *
 * @throws RefusalError `already-present` when the configuration has a token of this label; InputError `usage` for a
 *   label or PIN that SoftHSM2 cannot hold; DeviceError.
 */
export async function createSoftToken(softHsm: SoftHsm, request: SoftTokenRequest): Promise<SoftToken> {
  checkTokenRequest(request);
  return provision(softHsm, (run) => initializeToken(softHsm, run, request));
}

/**
 * Generates an RSA key on a token (C_GenerateKeyPair). The private key is sensitive and not extractable, and can sign
 * and nothing else.
 *
 * @throws DeviceError `pin-incorrect`, `token-not-found` and others.
 */
export async function generateTokenKey(softHsm: SoftHsm, request: TokenKeyRequest): Promise<TokenKey> {
  return provision(softHsm, (run) => generateKey(run, request));
}

/**
 * Stores a certificate on a token, with the id of its key.
 *
 * @throws ProofError `key-mismatch` when the certificate is not for this key; DeviceError `key-not-found`,
 *   `pin-incorrect`, `token-not-found` and others.
 */
export async function storeTokenCertificate(softHsm: SoftHsm, request: TokenCertificateRequest): Promise<void> {
  await provision(softHsm, (run) => storeCertificate(run, request));
}

/** @throws InputError `usage` */
export function checkTokenRequest({ label, pin, soPin }: SoftTokenRequest): void {
  const labelLength = Buffer.byteLength(label);
  // PKCS#11 pads a label with blanks to 32 bytes, so that its own blanks at the end are lost.
  if (labelLength === 0 || labelLength > 32 || label.trimEnd() !== label || /[\0-\x1f]/.test(label)) {
    throw new InputError('usage', `"${label}" cannot be the label of a token`, {
      hint: 'a label has 1 to 32 bytes in UTF-8, no control characters, and no blank at its end',
    });
  }
  for (const [what, value] of [['PIN', pin] as const, ['SO PIN', soPin] as const]) {
    const length = Buffer.byteLength(value);
    if (length < 4 || length > 255 || value.includes('\0')) {
      throw new InputError('usage', `the ${what} cannot be used`, { hint: `a ${what} has 4 to 255 bytes` });
    }
  }
}

/** Makes a token in a provisioning process that is running. */
export async function initializeToken(
  softHsm: SoftHsm,
  run: RunOperation,
  { label, pin, soPin }: SoftTokenRequest,
): Promise<SoftToken> {
  return softToken(softHsm, await run('initializeToken', { label, pin, soPin }));
}

/** Generates a key in a provisioning process that is running. */
export async function generateKey(run: RunOperation, request: TokenKeyRequest): Promise<TokenKey> {
  const { serialNumber, pin, bits, label } = request;
  const keyId = new Uint8Array(randomBytes(20));
  const numbers = await run('generateKey', { serialNumber, pin, bits, label, keyId });
  return { keyId, label, publicKey: importNumbers(numbers) };
}

/** Stores a certificate in a provisioning process that is running. */
export async function storeCertificate(run: RunOperation, request: TokenCertificateRequest): Promise<void> {
  const { serialNumber, pin, keyId, label, certificate } = request;
  const key = await run('readKey', { serialNumber, pin, keyId });
  if (certificate.keyType !== 'rsa' || !equalBytes(rsaModulus(certificate.publicKey), key.modulus)) {
    throw new ProofError('key-mismatch', `the certificate ${formatName(certificate.subject)} is not for this key`, {
      hint: 'store the certificate that was issued for the public key of the token',
    });
  }
  const attributes = certificateAttributes(certificate);
  await run('storeCertificate', { serialNumber, pin, keyId, label, certificate: attributes });
}

function importNumbers({ modulus, publicExponent }: RsaNumbers): KeyObject {
  const encode = (number: Uint8Array): string => Buffer.from(number).toString('base64url');
  return createPublicKey({ key: { kty: 'RSA', n: encode(modulus), e: encode(publicExponent) }, format: 'jwk' });
}

function softToken(softHsm: SoftHsm, { label, serialNumber }: TokenDescription): SoftToken {
  const modulePath = escapeUri(softHsm.module).replaceAll('%2F', '/');
  const uri = `pkcs11:token=${escapeUri(label)};serial=${escapeUri(serialNumber)}?module-path=${modulePath}`;
  return { label, serialNumber, uri };
}

/** Percent-encodes all but RFC 3986's unreserved characters, which RFC 7512, 2.3 allows everywhere. */
function escapeUri(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
