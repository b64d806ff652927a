import type { KeyObject } from 'node:crypto';
import { encodeNumber } from '../../src/bytes/index.js';
import { createSoftwareSigner } from '../../src/signer/index.js';
import { encodeText } from '../../src/tlv/index.js';
import { recordTag, signTrustList, type RecordDraft, type TrustList } from '../../src/trust-list/index.js';
import type { SignerNames } from '../../src/tvs/index.js';
import {
  formatClusterName,
  formatTokenName,
  generateRsaKey,
  issueCertificate,
  type Certificate,
  type DistinguishedName,
} from '../../src/x509/index.js';

export interface Identity {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

const dates = { notBefore: new Date('2015-01-01T00:00:00Z'), notAfter: new Date('2040-01-01T00:00:00Z') };

/** A node's certificate, self-signed as clusters make them. */
export async function makeNode(commonName: string, serial: readonly number[], bits = 1024): Promise<Identity> {
  const key = await generateRsaKey(bits);
  const subject: DistinguishedName = [
    { type: 'C', value: 'PL' },
    { type: 'O', value: 'Cisco' },
    { type: 'OU', value: 'TAC' },
    { type: 'CN', value: commonName },
  ];
  const request = { subject, publicKey: key, serialNumber: Uint8Array.from(serial), ...dates };
  return { key, certificate: await issueCertificate(request, { name: subject, key }) };
}

/** A token of the vendor: its own name has blanks at the end, its issuer is the Manufacturing CA. */
export async function makeToken(commonName: string, serial: readonly number[]): Promise<Identity> {
  const [key, authorityKey] = [await generateRsaKey(1024), await generateRsaKey(1024)];
  const subject = [
    { type: 'CN', value: `${commonName}        ` },
    { type: 'OU', value: 'IPCBU' },
    { type: 'O', value: 'Cisco Systems, Inc.' },
  ];
  const issuer = [
    { type: 'CN', value: 'Cisco Manufacturing CA' },
    { type: 'O', value: 'Cisco Systems' },
  ];
  const request = { subject, publicKey: key, serialNumber: Uint8Array.from(serial), ...dates };
  return { key, certificate: await issueCertificate(request, { name: issuer, key: authorityKey }) };
}

/** As clusters name a signer in their lists. */
export function clusterNames({ certificate }: Identity): SignerNames {
  return {
    subjectName: formatClusterName(certificate.subject),
    issuerName: formatClusterName(certificate.issuer),
    serialNumber: certificate.serialNumber,
  };
}

/** As the CTL client names a token of the vendor: other types, other order, serial reversed. */
export function tokenNames({ certificate }: Identity): SignerNames {
  return {
    subjectName: formatTokenName(certificate.subject),
    issuerName: formatTokenName(certificate.issuer),
    serialNumber: certificate.serialNumber.slice().reverse(),
  };
}

export interface Entry {
  readonly function: number;
  readonly identity: Identity;
  readonly names: SignerNames;
}

/** A CTL with these records, signed by the first. */
export async function signCtlOf(entries: readonly Entry[], timestamp = 1_425_674_983): Promise<TrustList> {
  const [first] = entries;
  const { certificate, key } = first!.identity;
  const draft = {
    version: { major: 1, minor: 2 },
    digestAlgorithm: 'sha1' as const,
    fileName: encodeText('CTLFile.tlv'),
    timestamp,
    records: entries.map(recordOf),
    signingRecord: 0,
  };
  return signTrustList(draft, createSoftwareSigner(certificate, key));
}

function recordOf({ function: role, identity: { certificate }, names }: Entry): RecordDraft {
  return [
    { tag: recordTag.dnsName, value: encodeText('cucm-pub') },
    { tag: recordTag.subjectName, value: encodeText(names.subjectName) },
    { tag: recordTag.function, value: encodeNumber(role, 2) },
    { tag: recordTag.issuerName, value: encodeText(names.issuerName) },
    { tag: recordTag.serialNumber, value: names.serialNumber },
    { tag: recordTag.publicKey, value: certificate.publicKey },
    { tag: recordTag.certificate, value: certificate.der },
  ];
}
