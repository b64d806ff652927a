import type { KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import { formatCertificatePem, generateRsaKey, issueCertificate, type Certificate } from '../../src/x509/index.js';

/** A software key of 1024 bits with a self-signed certificate. */
export interface SoftwareKey {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  readonly signer: Signer;
  /** Writes `<name>.key` and `<name>.pem`; gives `--key FILE --certificate FILE`. */
  write(folder: string, name: string): readonly string[];
}

export async function makeSoftwareKey(commonName: string, serialNumber: number): Promise<SoftwareKey> {
  const key = await generateRsaKey(1024);
  const name = [{ type: 'CN', value: commonName }];
  const certificate = await issueCertificate(
    {
      subject: name,
      publicKey: key,
      serialNumber: Uint8Array.of(serialNumber, 1, 2, 3),
      notBefore: new Date('2020-01-01T00:00:00Z'),
      notAfter: new Date('2040-01-01T00:00:00Z'),
    },
    { name, key },
  );
  return {
    certificate,
    key,
    signer: createSoftwareSigner(certificate, key),
    write: (folder, file) => {
      writeFileSync(join(folder, `${file}.key`), key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
      writeFileSync(join(folder, `${file}.pem`), formatCertificatePem(certificate));
      return ['--key', join(folder, `${file}.key`), '--certificate', join(folder, `${file}.pem`)];
    },
  };
}
