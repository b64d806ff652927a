import type { KeyObject } from 'node:crypto';
import {
  issueLabCertificate,
  loadPrivateKey,
  type CertificateName,
  type Cluster,
  type ClusterNode,
  type KeySource,
} from '../cluster/index.js';
import { InputError } from '../errors.js';
import { createSoftwareSigner, type Signer } from '../signer/index.js';
import { generateRsaKey, issueCertificate, type Certificate, type DistinguishedName } from '../x509/index.js';

/** A cluster in memory with the private keys of its nodes. Every change makes a new cluster. */
export class LabCertificates {
  #cluster: Cluster;
  readonly #keys = new Map<string, KeyObject>();
  /** The size of RSA keys, in bits. */
  readonly keyBits: 1024 | 2048 | 4096;
  /** Where RSA keys come from. */
  readonly makeKey: KeySource;

  private constructor(cluster: Cluster, keyBits: 1024 | 2048 | 4096, makeKey: KeySource | undefined) {
    this.#cluster = cluster;
    this.keyBits = keyBits;
    this.makeKey = makeKey ?? generateRsaKey;
  }

  /**
   * Reads the private keys that the cluster file names.
   *
   * @param makeKey where the keys of renewed certificates come from: new ones unless given.
   *
   * @throws InputError `cluster-file` for a certificate without a key in a file: a lab has to sign with all of them.
   */
  static async load(cluster: Cluster, keyBits: 1024 | 2048 | 4096, makeKey?: KeySource): Promise<LabCertificates> {
    const made = new LabCertificates(cluster, keyBits, makeKey);
    for (const node of cluster.nodes) {
      for (const [name, certificate] of Object.entries(node.certificates) as [CertificateName, Certificate][]) {
        const reference = node.keys[name];
        if (reference?.kind !== 'file') {
          throw new InputError('cluster-file', `a lab needs the ${name} key of ${node.name} in a file`, {
            hint: 'make the cluster with "cluster init --lab"',
          });
        }
        made.#keys.set(`${node.name} ${name}`, await loadPrivateKey(reference, certificate));
      }
    }
    return made;
  }

  get cluster(): Cluster {
    return this.#cluster;
  }

  /** @throws InputError `usage` when the cluster has no node of this name. */
  node(name: string): ClusterNode {
    const node = this.#cluster.nodes.find((one) => one.name === name);
    if (node !== undefined) return node;
    const names = this.#cluster.nodes.map((one) => one.name).join(', ');
    throw new InputError('usage', `the lab has no node ${name}`, { hint: `its nodes are ${names}` });
  }

  /** The certificate and private key of a node. @throws InputError `usage` when the node has none of this name. */
  identity(nodeName: string, name: CertificateName): { readonly certificate: Certificate; readonly key: KeyObject } {
    const certificate = this.node(nodeName).certificates[name];
    const key = this.#keys.get(`${nodeName} ${name}`);
    if (certificate === undefined || key === undefined) {
      throw new InputError('usage', `node ${nodeName} of the lab has no ${name} certificate`);
    }
    return { certificate, key };
  }

  signer(nodeName: string, name: CertificateName): Signer {
    const { certificate, key } = this.identity(nodeName, name);
    return createSoftwareSigner(certificate, key);
  }

  /** Renews a certificate: the same names, a new key and serial number. */
  async renew(nodeName: string, name: CertificateName, now: Date): Promise<void> {
    const node = this.node(nodeName);
    const request = { now, keyBits: this.keyBits, makeKey: this.makeKey };
    const { certificate, key } = await issueLabCertificate(node, name, this.#cluster.release, request);
    this.#keys.set(`${nodeName} ${name}`, key);
    this.#replaceNode({ ...node, certificates: { ...node.certificates, [name]: certificate } });
  }

  /** Uploads certificates to a trust store. */
  upload(store: string, certificates: readonly Certificate[]): void {
    const { trustStores } = this.#cluster;
    const present = trustStores[store] ?? [];
    this.#cluster = { ...this.#cluster, trustStores: { ...trustStores, [store]: [...present, ...certificates] } };
  }

  /** Sets the cluster to mixed or non-secure mode. The lists change when they are built again. */
  setSecurityMode(securityMode: Cluster['securityMode']): void {
    this.#cluster = { ...this.#cluster, securityMode };
  }

  #replaceNode(changed: ClusterNode): void {
    const nodes = this.#cluster.nodes.map((node) => (node.name === changed.name ? changed : node));
    this.#cluster = { ...this.#cluster, nodes };
  }
}

/** How the vendor's authority is called in the certificates of its tokens. */
const tokenAuthority: DistinguishedName = [
  { type: 'CN', value: 'Cisco Manufacturing CA' },
  { type: 'O', value: 'Cisco Systems' },
];

/**
 * Stands in for a hardware token: a SAST certificate with a key in memory. Its names are those of the vendor's tokens.
 *
 * @param serial eight hex digits, the end of its name and its serial number.
 */
export async function createLabToken(
  serial: string,
  now: Date,
  keyBits: 1024 | 2048 = 1024,
  makeKey: KeySource = generateRsaKey,
): Promise<Signer> {
  const key = await makeKey(keyBits);
  const notAfter = new Date(now);
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + 10);
  const certificate = await issueCertificate(
    {
      subject: [
        { type: 'CN', value: `SAST-ADN${serial}`.padEnd(24) },
        { type: 'OU', value: 'IPCBU' },
        { type: 'O', value: 'Cisco Systems, Inc.' },
      ],
      publicKey: key,
      serialNumber: Uint8Array.from([0x31, 0xaf, 0x45, 0x55, 0, 0, ...Buffer.from(serial, 'hex')]),
      notBefore: now,
      notAfter,
    },
    { name: tokenAuthority, key },
  );
  return createSoftwareSigner(certificate, key);
}
