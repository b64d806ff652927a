// The lists that benchmarks offer to phones, and who signs them.
import { createSoftwareSigner, signTrustList } from 'etoken-bridge';
import { clusterIdentity } from 'etoken-bridge/signed-file';
import { generateRsaKey, issueCertificate } from 'etoken-bridge/x509';

/** @typedef {{ certificate: import('etoken-bridge').Certificate, signer: import('etoken-bridge').Signer }} Identity */

/** @param {string} commonName @returns {Promise<Identity>} */
export async function identityOf(commonName) {
  const key = await generateRsaKey(2048);
  const subject = [{ type: 'CN', value: commonName }];
  const dates = { notBefore: new Date('2020-01-01T00:00:00Z'), notAfter: new Date('2040-01-01T00:00:00Z') };
  const serialNumber = Uint8Array.from(Buffer.from(commonName));
  const certificate = await issueCertificate(
    { subject, publicKey: key, serialNumber, ...dates },
    { name: subject, key },
  );
  return { certificate, signer: createSoftwareSigner(certificate, key) };
}

/** A record; an empty one without an identity. @param {Identity | undefined} identity @param {number} role */
function record(identity, role) {
  const opening = [
    { tag: 2, value: Uint8Array.of(0x20, 0) },
    { tag: 4, value: Uint8Array.of(0, role) },
  ];
  if (identity === undefined) return opening;
  const { certificate } = identity;
  const { signerName, issuerName, serialNumber } = clusterIdentity(certificate);
  return [
    ...opening,
    { tag: 3, value: signerName },
    { tag: 5, value: issuerName },
    { tag: 6, value: serialNumber },
    { tag: 7, value: certificate.publicKey },
    { tag: 9, value: certificate.der },
  ];
}

/**
 * A list with its signer first.
 *
 * @param {'CTL' | 'ITL'} kind
 * @param {Identity} signer
 * @param {number} timestamp
 * @param {readonly (readonly [Identity | undefined, number])[]} others each with its role.
 */
export function listOf(kind, signer, timestamp, others) {
  return signTrustList(
    {
      version: { major: 1, minor: 2 },
      digestAlgorithm: 'sha1',
      fileName: Buffer.from(`${kind}File.tlv\0`),
      timestamp,
      records: [record(signer, 0), ...others.map(([identity, role]) => record(identity, role))],
      signingRecord: 0,
    },
    signer.signer,
  );
}
