import { generateRsaKey, issueCertificate, type Certificate } from '../../src/x509/index.js';
import type { KeyObject } from 'node:crypto';

/** A phone's certificate and private key. */
export interface PhoneIdentity {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/** A certificate with its key. */
export async function makeIdentity(commonName: string, bits = 1024): Promise<PhoneIdentity> {
  const key = await generateRsaKey(bits);
  const subject = [
    { type: 'CN', value: commonName },
    { type: 'O', value: 'Example' },
  ];
  const certificate = await issueCertificate(
    {
      subject,
      publicKey: key,
      serialNumber: Uint8Array.of(0x4a, 1, 2, 3),
      notBefore: new Date('2026-01-01T00:00:00Z'),
      notAfter: new Date('2031-01-01T00:00:00Z'),
    },
    { name: subject, key },
  );
  return { certificate, key };
}

/** Bytes that are the same in every run, and all different. */
export function sameRandom(seed = 1): (length: number) => Uint8Array {
  let state = seed;
  return (length) =>
    Uint8Array.from({ length }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 16) & 0xff;
    });
}
