import { join } from 'node:path';
import { createLabCluster, type CertificateName, type Cluster } from '../../src/cluster/index.js';
import {
  createTokenCtl,
  createTokenlessCtl,
  toNonSecure,
  toToken,
  toTokenless,
  tokenlessSigner,
  updateCtl,
  type AcceptableCheck,
} from '../../src/ctl/index.js';
import { createItl, emptyItl, itlSigner } from '../../src/itl/index.js';
import { LabCertificates } from '../../src/lab/index.js';
import { signFile } from '../../src/signed-file/index.js';
import type { Signer } from '../../src/signer/index.js';
import { encodeText } from '../../src/tlv/index.js';
import { draftOfRecord, recordHolds, signTrustList, type TrustList } from '../../src/trust-list/index.js';
import type { TvsEvidence, TvsSignerReply } from '../../src/migration/index.js';
import { signersToAsk } from '../../src/migration/index.js';

export const start = new Date('2026-01-31T12:00:00Z');
export const now = Math.floor(start.getTime() / 1000);

const services = ['CallManager', 'TFTP', 'CAPF', 'TVS'] as const;

interface SmallClusterRequest {
  readonly folder: string;
  readonly release: string;
  readonly nodes?: 1 | 2;
  /** The beginning of the names of its nodes. */
  readonly name?: string;
}

/** A cluster with its keys, and the lists that it writes at each moment. Nothing listens anywhere. */
export class SmallCluster {
  readonly certificates: LabCertificates;
  readonly clusterFile: string;
  readonly name: string;
  #timestamp = now;

  private constructor(certificates: LabCertificates, clusterFile: string, name: string) {
    this.certificates = certificates;
    this.clusterFile = clusterFile;
    this.name = name;
  }

  static async make({ folder, release, nodes = 1, name = 'cucm' }: SmallClusterRequest): Promise<SmallCluster> {
    const all = [
      { name: `${name}-pub`, address: '192.0.2.10', services },
      { name: `${name}-sub`, address: '192.0.2.11', services: ['CallManager', 'TFTP', 'TVS'] as const },
    ];
    const { cluster, clusterFile } = await createLabCluster({
      directory: join(folder, `${name}-${release}-${String(nodes)}`),
      release,
      securityMode: 'non-secure',
      nodes: all.slice(0, nodes),
      now: start,
      keyBits: 1024,
    });
    return new SmallCluster(await LabCertificates.load(cluster, 1024), clusterFile, name);
  }

  get cluster(): Cluster {
    return this.certificates.cluster;
  }

  get publisher(): string {
    return `${this.name}-pub`;
  }

  /** Seconds since 1970-01-01 UTC, one more each time: no two lists are the same. */
  #next(): number {
    this.#timestamp += 1;
    return this.#timestamp;
  }

  async renew(...names: readonly CertificateName[]): Promise<void> {
    for (const name of names) await this.certificates.renew(this.publisher, name, start);
  }

  /** The ITL that a node serves now. */
  itl(node = this.publisher): Promise<TrustList> {
    return this.itlOf(this.cluster, node);
  }

  /** The ITL that a node serves in a cluster of these nodes. */
  async itlOf(cluster: Cluster, node = this.publisher): Promise<TrustList> {
    const owner = this.certificates.node(node);
    const { name, node: signing } = itlSigner(cluster, owner);
    return createItl(cluster, owner, this.certificates.signer(signing.name, name), { timestamp: this.#next() });
  }

  async emptyItl(): Promise<TrustList> {
    const { name, node } = itlSigner(this.cluster, this.certificates.node(this.publisher));
    return emptyItl(await this.itl(), this.certificates.signer(node.name, name), { timestamp: this.#next() });
  }

  /** What "utils itl reset localkey" writes: the ITL of now, signed by ITLRecovery. */
  async recoveryItl(): Promise<TrustList> {
    return this.resigned(await this.itl(), this.certificates.signer(this.publisher, 'ITLRecovery'), 'ITLFile.tlv');
  }

  /** A list with the records of another, signed by one of its signers, under any name. */
  async resigned(list: TrustList, signer: Signer, fileName: string): Promise<TrustList> {
    const { version, digestAlgorithm } = list.header;
    const signingRecord = list.records.findIndex(
      (record) => record.function === 0 && recordHolds(record, signer.certificate.der),
    );
    return signTrustList(
      {
        version,
        digestAlgorithm,
        fileName: encodeText(fileName),
        timestamp: this.#next(),
        records: list.records.map(draftOfRecord),
        signingRecord,
      },
      signer,
    );
  }

  get clusterSigner(): Signer {
    return this.certificates.signer(this.publisher, tokenlessSigner(this.cluster).name);
  }

  #options(...accept: readonly AcceptableCheck[]): {
    timestamp: number;
    now: Date;
    accept: readonly AcceptableCheck[];
  } {
    return { timestamp: this.#next(), now: start, accept };
  }

  async tokenlessCtl(): Promise<TrustList> {
    this.certificates.setSecurityMode('mixed');
    return (await createTokenlessCtl(this.cluster, this.clusterSigner, this.#options())).list;
  }

  async tokenCtl(tokens: readonly Signer[]): Promise<TrustList> {
    this.certificates.setSecurityMode('mixed');
    const certificates = tokens.map(({ certificate }) => certificate);
    return (await createTokenCtl(this.cluster, certificates, tokens[0]!, this.#options('A5', 'A14'))).list;
  }

  async updateCtl(list: TrustList, signer: Signer = this.clusterSigner): Promise<TrustList> {
    return (await updateCtl(list, this.cluster, signer, this.#options('A2', 'A7', 'A9', 'A14', 'A5'))).list;
  }

  async toToken(list: TrustList, tokens: readonly Signer[]): Promise<TrustList> {
    const certificates = tokens.map(({ certificate }) => certificate);
    return (await toToken(list, this.cluster, certificates, tokens[0]!, this.#options('A3', 'A5', 'A14'))).list;
  }

  async toTokenless(list: TrustList): Promise<TrustList> {
    return (await toTokenless(list, this.cluster, this.clusterSigner, this.#options())).list;
  }

  async toNonSecure(list: TrustList): Promise<TrustList> {
    return (await toNonSecure(list, this.clusterSigner, this.#options())).list;
  }

  /** The configuration of a phone, signed by the TFTP server of a node. */
  async configuration(node = this.publisher): Promise<Uint8Array> {
    const content = new TextEncoder().encode('<device/>\n');
    const options = { name: 'SEP001122334455.cnf.xml', timestamp: this.#next() };
    return signFile(content, options, this.certificates.signer(node, 'CallManager'));
  }

  tvsCertificate(node = this.publisher): Uint8Array {
    return this.certificates.identity(node, 'TVS').certificate.der;
  }
}

/** A TVS server that shows a certificate and answers every question about these files in the same way. */
export function answering(
  certificate: Uint8Array,
  files: { readonly ctl?: TrustList; readonly itl?: TrustList; readonly configuration?: Uint8Array },
  reply: (files: number) => TvsSignerReply['reply'],
  server = '192.0.2.10:2445',
): TvsEvidence {
  const signers = signersToAsk({
    served: { ctl: files.ctl?.bytes, itl: files.itl?.bytes },
    configuration: files.configuration,
  });
  const replies = signers.map(({ issuerName, serialNumber }, index) => {
    return { issuerName, serialNumber, reply: reply(index) };
  });
  return { kind: 'answered', server, certificate, replies };
}
