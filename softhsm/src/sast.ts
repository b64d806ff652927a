import { randomBytes, type KeyObject } from 'node:crypto';
import { formatHex } from 'etoken-bridge/bytes';
import { generateRsaKey, issueCertificate, type Certificate, type DistinguishedName } from 'etoken-bridge/x509';
import type { SoftHsm } from './configuration.js';
import { provision } from './provisioning.js';
import {
  checkTokenRequest,
  generateKey,
  initializeToken,
  storeCertificate,
  type SoftToken,
  type SoftTokenRequest,
} from './token.js';

/** The vendor's authority, as the certificates on its tokens name it. */
const authorityName: DistinguishedName = [
  { type: 'CN', value: 'Cisco Manufacturing CA' },
  { type: 'O', value: 'Cisco Systems' },
];

/** How many characters the common name of a SAST certificate has, filled up with blanks. */
const commonNameLength = 24;
const dayInMilliseconds = 86_400_000;

/** Stands in for the vendor's authority. Its key lives in memory and is never written. */
export interface StandInAuthority {
  readonly certificate: Certificate;
  /** The RSA-2048 private key. */
  readonly key: KeyObject;
}

/** What a SAST certificate is issued with. */
export interface SastCertificateRequest {
  readonly publicKey: KeyObject;
  /** The exact common name, blanks included. */
  readonly commonName: string;
  readonly authority: StandInAuthority;
  /** The first moment of its validity; the present one unless given. */
  readonly now?: Date;
  /** Ten years unless given. */
  readonly validDays?: number;
}

/** A soft eToken that is to be made. */
export interface SastTokenRequest extends SoftTokenRequest {
  /** Size of the RSA key; tokens sold for this purpose had 1024, later 2048. */
  readonly bits: 1024 | 2048;
  readonly authority: StandInAuthority;
  /** The first moment of the certificate's validity; the present one unless given. */
  readonly now?: Date;
  /** How long the certificate is valid; ten years unless given. */
  readonly validDays?: number;
}

/** A token with a SAST key and its certificate. */
export interface SastIdentity {
  readonly token: SoftToken;
  readonly certificate: Certificate;
  /** CKA_ID of the key and of the certificate. */
  readonly keyId: Uint8Array;
  /** 24 characters, blanks at the end included. */
  readonly commonName: string;
}

/**
 * Makes an authority that stands in for the vendor's: a self-signed certificate of CN=Cisco Manufacturing CA,
 * O=Cisco Systems, valid for twenty years, with an RSA-2048 key of its own for each call.
 */
export async function createStandInAuthority(options: { readonly now?: Date } = {}): Promise<StandInAuthority> {
  const notBefore = options.now ?? new Date();
  const key = await generateRsaKey(2048);
  const certificate = await issueCertificate(
    {
      subject: authorityName,
      publicKey: key,
      serialNumber: createSerialNumber(),
      notBefore,
      notAfter: new Date(notBefore.getTime() + 7305 * dayInMilliseconds),
      authority: true,
    },
    { name: authorityName, key },
  );
  return { certificate, key };
}

/** A fresh common name like the vendor's: `SAST-ADN`, 8 hex digits, and blanks up to 24 characters. */
export function createSastCommonName(): string {
  return `SAST-ADN${formatHex(randomBytes(4))}`.padEnd(commonNameLength);
}

/** Issues a SAST certificate that looks like the vendor's, for a key that was made on a token. */
export async function issueSastCertificate(request: SastCertificateRequest): Promise<Certificate> {
  const notBefore = request.now ?? new Date();
  return issueCertificate(
    {
      subject: [
        { type: 'CN', value: request.commonName },
        { type: 'OU', value: 'IPCBU' },
        { type: 'O', value: 'Cisco Systems, Inc.' },
      ],
      publicKey: request.publicKey,
      serialNumber: createSerialNumber(),
      notBefore,
      notAfter: new Date(notBefore.getTime() + (request.validDays ?? 3652) * dayInMilliseconds),
    },
    { name: authorityName, key: request.authority.key },
  );
}

/**
 * Makes a soft eToken: a token, an RSA key generated on it, and a SAST certificate for the key, stored with its id.
 *
 * @throws RefusalError `already-present` when the configuration has a token of this label; InputError `usage` for a
 *   label or PIN that SoftHSM2 cannot hold; DeviceError.
 */
export async function createSastToken(softHsm: SoftHsm, request: SastTokenRequest): Promise<SastIdentity> {
  checkTokenRequest(request);
  const { pin, bits, authority } = request;
  const commonName = createSastCommonName();
  const label = commonName.trimEnd();
  return provision(softHsm, async (run) => {
    const token = await initializeToken(softHsm, run, request);
    const { serialNumber } = token;
    const { keyId, publicKey } = await generateKey(run, { serialNumber, pin, bits, label });
    const certificate = await issueSastCertificate({
      publicKey,
      commonName,
      authority,
      ...(request.now === undefined ? {} : { now: request.now }),
      ...(request.validDays === undefined ? {} : { validDays: request.validDays }),
    });
    await storeCertificate(run, { serialNumber, pin, keyId, label, certificate });
    return { token, certificate, keyId, commonName };
  });
}

/**
 * A serial number shaped like the vendor's `31AF4555 0000 0008E983`: 10 bytes, of which the first is neither zero nor
 * negative, then two zero bytes and a small count.
 */
function createSerialNumber(): Uint8Array {
  const serialNumber = new Uint8Array(randomBytes(10));
  serialNumber[0] = 0x10 + ((serialNumber[0] ?? 0) % 0x70);
  serialNumber.fill(0, 4, 7);
  serialNumber[7] = (serialNumber[7] ?? 0) & 0x0f;
  return serialNumber;
}
