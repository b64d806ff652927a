import { randomBytes, type KeyObject } from 'node:crypto';
import { generateRsaKey, issueCertificate, type Certificate, type DistinguishedName } from '../x509/index.js';
import type { CertificateName } from './cluster.js';
import { isAtLeast, type Release } from './release.js';

/** What a certificate of a cluster's own says of its owner. */
export interface CertificateOwner {
  readonly subject: DistinguishedName;
  /** DNS names and IP addresses. */
  readonly alternativeNames: readonly string[];
  /** Whether it may issue others. */
  readonly authority: boolean;
}

/** Where RSA private keys come from, of the size asked for in bits. */
export type KeySource = (bits: number) => Promise<KeyObject>;

/** Where random bytes come from, of the length asked for. */
export type RandomSource = (length: number) => Uint8Array;

/** How a key and its certificate are made. */
export interface SelfSignedRequest {
  readonly name: CertificateName;
  readonly release: Release;
  /** When it begins to be valid. */
  readonly now: Date;
  /** The size of the RSA key in bits. */
  readonly keyBits: number;
  readonly random: RandomSource;
  /** Newly made keys unless given. */
  readonly makeKey?: KeySource | undefined;
}

/** A key and its certificate. */
export interface KeyAndCertificate {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/** The operating system's random bytes. */
export const systemRandom: RandomSource = (length) => new Uint8Array(randomBytes(length));

/** Makes an RSA key and a self-signed certificate for it, with a new serial number. */
export async function issueSelfSigned(owner: CertificateOwner, request: SelfSignedRequest): Promise<KeyAndCertificate> {
  const { subject, alternativeNames, authority } = owner;
  const { name, release, now, keyBits, random, makeKey = generateRsaKey } = request;
  // Taken before anything is waited for, so that the same random source gives the same serial numbers.
  const serialNumber = positive(random(16));
  const notAfter = new Date(now);
  // Clusters sign ITLRecovery for 20 years from 12.0 on, everything else for 5.
  const years = name === 'ITLRecovery' && isAtLeast(release, '12.0') ? 20 : 5;
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + years);
  const key = await makeKey(keyBits);
  const certificate = await issueCertificate(
    { subject, publicKey: key, serialNumber, notBefore: now, notAfter, authority, alternativeNames },
    { name: subject, key },
  );
  return { certificate, key };
}

/** A serial number of 16 bytes that is above zero and that DER writes with 16 bytes. */
function positive(bytes: Uint8Array): Uint8Array {
  const serialNumber = Uint8Array.from(bytes);
  serialNumber[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return serialNumber;
}
