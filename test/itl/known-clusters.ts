import type { KeyObject } from 'node:crypto';
import { formatHex, parseHex } from '../../src/bytes/index.js';
import {
  parseRelease,
  type CertificateName,
  type Cluster,
  type ClusterNode,
  type SecurityMode,
  type Service,
} from '../../src/cluster/index.js';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import { generateRsaKey, issueCertificate, type Certificate, type DistinguishedName } from '../../src/x509/index.js';
import { knownLists, type KnownList, type KnownRecord } from '../trust-list/known-lists.js';

/** A cluster whose certificates have the names, serials and lengths that a real one printed. Its keys are ours. */
export interface KnownCluster {
  readonly list: KnownList;
  readonly cluster: Cluster;
  readonly publisher: ClusterNode;
  readonly callManager: Signer;
  /** Of the clusters that have one. */
  readonly recovery: Signer | undefined;
}

export function knownList(id: string): KnownList {
  const list = knownLists.find((one) => one.id === id);
  if (list === undefined) throw new Error(`no list ${id}`);
  return list;
}

/** A name as `show` prints it, with the types that clusters leave out where they are given. */
function parseName(text: string, more: DistinguishedName = []): DistinguishedName {
  const own = text.split(';').map((part) => {
    const [type = '', value = ''] = part.split('=');
    return { type, value };
  });
  return [...own, ...more];
}

const modulusBits: Readonly<Record<number, number>> = { 140: 1024, 270: 2048 };

/** The domain of the authority, which its certificate names and no trust list repeats. */
const domain: DistinguishedName = [
  { type: 'DC', value: 'bbburns' },
  { type: 'DC', value: 'lab' },
];

interface Made {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/** A certificate as a record says that it is; `certificateLength` is met by a long alternative name. */
async function certificateOf(record: KnownRecord): Promise<Made> {
  const key = await generateRsaKey(modulusBits[record.publicKeyLength]!);
  const isSelfSigned = record.issuerName === record.subjectName;
  const issuer = isSelfSigned
    ? { name: parseName(record.subjectName), key }
    : { name: parseName(record.issuerName, domain), key: await generateRsaKey((record.signatureLength ?? 0) * 8) };
  const issue = (alternativeNames: readonly string[]): Promise<Certificate> =>
    issueCertificate(
      {
        subject: parseName(record.subjectName),
        publicKey: key,
        serialNumber: parseHex(record.serialNumber)!,
        notBefore: new Date('2011-07-27T00:00:00Z'),
        notAfter: new Date('2036-07-27T00:00:00Z'),
        alternativeNames,
      },
      issuer,
    );
  const wanted = record.certificateLength;
  let certificate = await issue([]);
  for (let filler = 1; wanted !== null && certificate.der.length !== wanted; filler += 1) {
    if (filler > wanted)
      throw new Error(`no certificate of ${String(wanted)} bytes: ${String(certificate.der.length)}`);
    certificate = await issue(['x'.repeat(filler)]);
  }
  return { certificate, key };
}

/** The clusters of the printed ITLs, rebuilt from what was printed. */
export async function rebuildCluster(id: string, release: string, securityMode: SecurityMode): Promise<KnownCluster> {
  const list = knownList(id);
  const find = (words: string, more: (record: KnownRecord) => boolean = () => true): KnownRecord | undefined =>
    list.records.find((record) => record.function === words && more(record));
  const [first] = list.records;
  if (first === undefined) throw new Error('no records');
  const isRecovery = (record: KnownRecord): boolean => record.subjectName.startsWith('CN=ITLRECOVERY');
  const tvs = list.records.filter((record) => record.function === 'TVS');
  const wanted: [CertificateName, KnownRecord | undefined][] = [
    ['CallManager', first],
    ['CAPF', find('CAPF')],
    ['TVS', tvs[0]],
    ['ITLRecovery', find('System Administrator Security Token', isRecovery)],
  ];
  const made = new Map<CertificateName, Made>();
  for (const [name, record] of wanted) if (record !== undefined) made.set(name, await certificateOf(record));
  const certificates = Object.fromEntries([...made].map(([name, { certificate }]) => [name, certificate]));
  const services: readonly Service[] = ['CallManager', 'TFTP', 'CAPF', 'TVS'];
  const publisher = { name: 'test10pub', address: '10.0.0.1', services, certificates, keys: {} };
  const others = await Promise.all(
    tvs.slice(1).map(async (record, index): Promise<ClusterNode> => ({
      name: `test10sub${index === 0 ? '' : String(index)}`,
      address: `10.0.0.${String(index + 2)}`,
      services: ['TVS', 'TFTP'],
      certificates: { TVS: (await certificateOf(record)).certificate },
      keys: {},
    })),
  );
  const cluster: Cluster = {
    release: parseRelease(release),
    securityMode,
    nodes: [publisher, ...others],
    trustStores: {},
  };
  const signerOf = (name: CertificateName): Signer | undefined => {
    const one = made.get(name);
    return one === undefined ? undefined : createSoftwareSigner(one.certificate, one.key);
  };
  const callManager = signerOf('CallManager');
  if (callManager === undefined) throw new Error('no CallManager');
  return { list, cluster, publisher, callManager, recovery: signerOf('ITLRecovery') };
}

/** A serial as `show` prints it. */
export const serial = (bytes: Uint8Array): string => formatHex(bytes, ':').toUpperCase();
