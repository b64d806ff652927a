import { randomBytes, type KeyObject } from 'node:crypto';
import { InputError } from '../errors.js';
import { issueCertificate, type Certificate } from '../x509/index.js';
import type { LabCertificates } from './certificates.js';
import type { LabPhone } from './phone.js';

/** A phone's own certificate, and the private key that only the phone has. */
export interface PhoneIdentity {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/**
 * A locally significant certificate (LSC) for a phone, valid for five years, as CAPF issues them.
 *
 * @throws InputError `usage` when no node runs CAPF.
 */
export async function issuePhoneCertificate(
  phone: LabPhone,
  certificates: LabCertificates,
  now: Date,
): Promise<PhoneIdentity> {
  const node = certificates.cluster.nodes.find((one) => one.certificates.CAPF !== undefined);
  if (node === undefined) {
    throw new InputError('usage', 'no node of the lab runs CAPF, so phones get no certificates', {
      hint: 'give the CAPF service to a node, or no phone an encrypted configuration',
    });
  }
  const capf = certificates.identity(node.name, 'CAPF');
  const key = await certificates.makeKey(certificates.keyBits);
  const notAfter = new Date(now);
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + 5);
  const certificate = await issueCertificate(
    {
      subject: [
        { type: 'CN', value: `${phone.state.profile.model}-${phone.deviceName}` },
        { type: 'OU', value: 'lab' },
      ],
      publicKey: key,
      serialNumber: new Uint8Array(randomBytes(8)),
      notBefore: now,
      notAfter,
    },
    { name: capf.certificate.subject, key: capf.key },
  );
  return { certificate, key };
}
