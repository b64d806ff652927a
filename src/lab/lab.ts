import { join } from 'node:path';
import {
  createLabCluster,
  publisherOf,
  uploadedCertificates,
  type CertificateName,
  type Cluster,
  type ClusterNode,
  type KeySource,
  type NodeOutline,
} from '../cluster/index.js';
import {
  createTokenCtl,
  createTokenlessCtl,
  tokenlessSigner,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
  type AcceptableCheck,
  type CtlOptions,
} from '../ctl/index.js';
import { InputError } from '../errors.js';
import { createItl, emptyItl, itlSigner, resetItl, type ItlSignerName } from '../itl/index.js';
import { createPhone, type HeldFiles, type PhoneProfile } from '../phone/index.js';
import type { Signer } from '../signer/index.js';
import type { TrustList } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { LabCertificates } from './certificates.js';
import { configurationFiles, formatConfiguration } from './configuration.js';
import { LabNode } from './node.js';
import { issuePhoneCertificate } from './phone-certificate.js';
import { LabPhone } from './phone.js';

/** A lab that is to be started. */
export interface LabRequest {
  /** The folder for its keys, certificates, and what its TFTP servers serve. */
  readonly directory: string;
  /** 11.5.1 unless given. */
  readonly release?: string;
  /** One publisher with all services unless given. All services listen on this machine, whatever address a node has. */
  readonly nodes?: readonly NodeOutline[];
  /** The size of the RSA keys in bits: 2048 unless given. */
  readonly keyBits?: 1024 | 2048 | 4096;
  /** Where the RSA keys come from: new ones unless given. */
  readonly makeKey?: KeySource;
  /** The moment it is. */
  readonly clock: () => Date;
  /** The address of this machine to listen on: 127.0.0.1 unless given. */
  readonly host?: string;
  /** Of the first node, UDP and TCP; the others follow in order. 0, for any that is free, unless given. */
  readonly tftpPort?: number;
  readonly tvsPort?: number;
  /** Told what starts and changes. */
  readonly log?: (line: string) => void;
}

const oneNode: readonly NodeOutline[] = [
  { name: 'cucm-pub', address: '192.0.2.10', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
];

/**
 * A whole cluster on this machine: certificates, trust lists, a TFTP and a TVS server for each node that has the
 * service. Its phones are told apart from it: they know what they downloaded and nothing else.
 *
 * Changes are made the way an administrator makes them: certificates are renewed, services restarted, lists written.
 * None of them happens by itself but what {@link Lab.publish} writes.
 */
export class Lab {
  readonly certificates: LabCertificates;
  readonly nodes: readonly LabNode[];
  readonly clock: () => Date;
  readonly #log: (line: string) => void;
  readonly #phones: LabPhone[] = [];
  readonly #lists = new Map<string, TrustList>();
  /** What CAPF issued, by device name: configurations are encrypted for these. */
  readonly #phoneCertificates = new Map<string, Certificate>();
  #ctl: TrustList | undefined;
  #isRolledBack = false;

  private constructor(certificates: LabCertificates, nodes: readonly LabNode[], request: LabRequest) {
    this.certificates = certificates;
    this.nodes = nodes;
    this.clock = request.clock;
    this.#log = request.log ?? (() => undefined);
  }

  /**
   * Makes the certificates, builds the lists of a non-secure cluster and starts the servers.
   *
   * @throws InputError as `createLabCluster`; errors of the servers, e.g. for a port that is taken.
   */
  static async start(request: LabRequest): Promise<Lab> {
    const keyBits = request.keyBits ?? 2048;
    requirePlaces(request);
    const { cluster } = await createLabCluster({
      directory: join(request.directory, 'cluster'),
      release: request.release ?? '11.5.1',
      securityMode: 'non-secure',
      nodes: request.nodes ?? oneNode,
      keyBits,
      now: request.clock(),
      makeKey: request.makeKey,
    });
    const certificates = await LabCertificates.load(cluster, keyBits, request.makeKey);
    const { host = '127.0.0.1', tftpPort = 0, tvsPort = 0, log = () => undefined } = request;
    const nodes = cluster.nodes.map(({ name }, index) => {
      const at = (first: number): number => (first === 0 ? 0 : first + index);
      const ports = { host, tftp: at(tftpPort), tvs: at(tvsPort) };
      return new LabNode(name, join(request.directory, 'tftp', name), ports, log);
    });
    const lab = new Lab(certificates, nodes, request);
    try {
      await lab.#startServices();
      await lab.publish();
    } catch (error) {
      await lab.close();
      throw error;
    }
    return lab;
  }

  get cluster(): Cluster {
    return this.certificates.cluster;
  }

  /** The CTL that the servers have; `undefined` before the cluster was first mixed. */
  get ctl(): TrustList | undefined {
    return this.#ctl;
  }

  get phones(): readonly LabPhone[] {
    return this.#phones;
  }

  /** The ITL that a node serves. */
  itl(nodeName: string): TrustList | undefined {
    return this.#lists.get(nodeName);
  }

  /** @throws InputError `usage` when there is no node of this name. */
  node(name: string): LabNode {
    this.certificates.node(name);
    const node = this.nodes.find((one) => one.name === name);
    if (node === undefined) throw new InputError('usage', `the lab has no node ${name}`);
    return node;
  }

  /** Adds a phone, and its configuration to the servers. @param held what it brings from elsewhere. */
  async addPhone(profile: PhoneProfile, held: HeldFiles = {}, write?: (line: string) => void): Promise<LabPhone> {
    const phone = await this.#makePhone(profile, held, write);
    await this.#publishConfigurations([phone]);
    return phone;
  }

  /** Takes in a phone of another cluster, with all that it holds. */
  async adopt(phone: LabPhone): Promise<void> {
    this.#phones.push(phone);
    if (phone.certificate !== undefined) this.#phoneCertificates.set(phone.deviceName, phone.certificate);
    await this.#publishConfigurations([phone]);
  }

  /** Adds many phones with nothing in hand. */
  async addPhones(profiles: readonly PhoneProfile[]): Promise<readonly LabPhone[]> {
    const phones: LabPhone[] = [];
    for (const profile of profiles) phones.push(await this.#makePhone(profile, {}));
    await this.#publishConfigurations(phones);
    return phones;
  }

  async #makePhone(profile: PhoneProfile, held: HeldFiles, write?: (line: string) => void): Promise<LabPhone> {
    const phone = new LabPhone(createPhone(profile, held), () => this.#timestamp(), write);
    if (profile.encryptedConfiguration) await this.#issueTo(phone);
    this.#phones.push(phone);
    return phone;
  }

  /** CAPF gives a phone a certificate, and its configuration is encrypted for that from now on. */
  async issuePhoneCertificate(phone: LabPhone): Promise<void> {
    await this.#issueTo(phone);
    this.#log(`CAPF: a certificate for ${phone.deviceName}`);
    await this.#publishConfigurations([phone]);
  }

  async #issueTo(phone: LabPhone): Promise<void> {
    const identity = await issuePhoneCertificate(phone, this.certificates, this.clock());
    phone.install(identity);
    this.#phoneCertificates.set(phone.deviceName, identity.certificate);
  }

  /** Uploads certificates to a trust store, and restarts TVS, which then knows them. */
  async upload(store: string, certificates: Parameters<LabCertificates['upload']>[1]): Promise<void> {
    this.certificates.upload(store, certificates);
    this.#log(`uploaded ${String(certificates.length)} certificates to ${store}`);
    await this.#restartTvs();
  }

  /**
   * Renews a certificate of a node. The services are restarted with it and the ITLs and configurations written again,
   * as a cluster does; the CTL is not: that is the administrator's (A6).
   */
  async renew(nodeName: string, name: CertificateName): Promise<void> {
    await this.certificates.renew(nodeName, name, this.clock());
    this.#log(`${nodeName}: ${name} renewed`);
    await this.#restartTvs();
    await this.publish();
  }

  async startTvs(nodeName: string): Promise<void> {
    const { certificate, key } = this.certificates.identity(nodeName, 'TVS');
    await this.node(nodeName).startTvs({ certificate, key, trustStores: uploadedCertificates(this.cluster) });
  }

  async stopTvs(nodeName: string): Promise<void> {
    await this.node(nodeName).stopTvs();
    this.#log(`${nodeName}: TVS stopped`);
  }

  /** TVS reads its certificates and the trust stores when it starts. */
  async #restartTvs(): Promise<void> {
    for (const node of this.nodes.filter((one) => one.isTvsRunning)) await this.startTvs(node.name);
  }

  /** To mixed mode: with the cluster's own key, or with tokens of which the first signs. */
  async toMixedMode(tokens: readonly Signer[] = []): Promise<TrustList> {
    this.certificates.setSecurityMode('mixed');
    const [first] = tokens;
    const { list } =
      first === undefined
        ? await createTokenlessCtl(this.cluster, this.clusterSigner(), this.#ctlOptions([]))
        : await createTokenCtl(this.cluster, certificatesOf(tokens), first, this.#ctlOptions(['A5']));
    return this.#publishCtl(list);
  }

  /** The CTL again, in its mode, with the present certificates. @param signer a token; else the cluster's key. */
  async updateCtl(signer?: Signer): Promise<TrustList> {
    const by = signer ?? this.clusterSigner();
    const { list } = await updateCtl(this.#needCtl(), this.cluster, by, this.#ctlOptions([]));
    return this.#publishCtl(list);
  }

  /** From tokens to the cluster's own key. */
  async toTokenless(): Promise<TrustList> {
    const { list } = await toTokenless(this.#needCtl(), this.cluster, this.clusterSigner(), this.#ctlOptions([]));
    return this.#publishCtl(list);
  }

  /** From the cluster's own key to tokens. @param accept checks that the administrator lets through, such as A3. */
  async toToken(tokens: readonly Signer[], accept: readonly AcceptableCheck[] = []): Promise<TrustList> {
    const [first] = tokens;
    if (first === undefined) throw new InputError('usage', 'a token list wants tokens');
    const options = this.#ctlOptions(['A5', ...accept]);
    const { list } = await toToken(this.#needCtl(), this.cluster, certificatesOf(tokens), first, options);
    return this.#publishCtl(list);
  }

  /** To non-secure mode: the servers of the CTL are emptied. @param signer a token; else the cluster's key. */
  async toNonSecure(signer?: Signer): Promise<TrustList> {
    this.certificates.setSecurityMode('non-secure');
    const { list } = await toNonSecure(this.#needCtl(), signer ?? this.clusterSigner(), this.#ctlOptions([]));
    return this.#publishCtl(list);
  }

  /** Serves a CTL that was built elsewhere. @param securityMode what the cluster is set to with it. */
  async serveCtl(list: TrustList, securityMode: Cluster['securityMode']): Promise<void> {
    this.certificates.setSecurityMode(securityMode);
    await this.#publishCtl(list);
  }

  /** Takes the CTL from every TFTP server, and from what TVS knows: the cluster is not mixed any more. */
  async removeCtl(): Promise<void> {
    this.#ctl = undefined;
    this.certificates.setSecurityMode('non-secure');
    await this.removeFile('CTLFile.tlv');
    this.#log('CTL: removed');
    await this.publish();
  }

  /** Prepares for a rollback or a move: every node serves an ITL without TFTP and TVS certificates (P6). */
  async emptyItls(): Promise<void> {
    this.#isRolledBack = true;
    await this.publish();
  }

  /** After {@link Lab.emptyItls}: every node serves its whole ITL again. */
  async fillItls(): Promise<void> {
    this.#isRolledBack = false;
    await this.publish();
  }

  /**
   * `utils itl reset localkey`: every TFTP node serves the publisher's ITL, signed with the recovery key. It is served
   * until {@link Lab.restartTftp}, or anything else that makes Cisco Tftp write its lists anew.
   *
   * @param signedBy which of the two signers in the list signs.
   */
  async resetItls(signedBy: ItlSignerName = 'ITLRecovery'): Promise<TrustList> {
    const publisher = publisherOf(this.cluster);
    const present = this.#lists.get(publisher.name);
    if (present === undefined) throw new InputError('usage', 'the publisher of the lab serves no ITL: it runs no TFTP');
    const signer = this.certificates.signer(publisher.name, signedBy);
    const list = await resetItl(present, signer, { timestamp: this.#timestamp() });
    for (const { name } of this.#tftpNodes()) {
      this.#lists.set(name, list);
      await this.node(name).putFile('ITLFile.tlv', list.bytes);
    }
    this.#log(`ITL: reset, signed by ${signedBy}`);
    return list;
  }

  /** Restarts Cisco Tftp on every node, which writes what it serves anew: ITLs have their usual signer again. */
  async restartTftp(): Promise<void> {
    await this.publish();
    this.#log('TFTP: restarted on every node');
  }

  /**
   * Makes all of a node's own certificates anew, together, as a cluster does when the node gets another host name. Its
   * name in the lab stays: phones are not told names.
   */
  async renewAll(nodeName: string): Promise<void> {
    const { certificates } = this.certificates.node(nodeName);
    for (const name of ['CallManager', 'CAPF', 'TVS'] as const) {
      if (certificates[name] !== undefined) await this.certificates.renew(nodeName, name, this.clock());
    }
    this.#log(`${nodeName}: all certificates renewed`);
    await this.#restartTvs();
    await this.publish();
  }

  /** Replaces a list on every TFTP server, whatever it is. */
  async replaceFile(name: string, bytes: Uint8Array): Promise<void> {
    await Promise.all(this.#tftpNodes().map(({ name: nodeName }) => this.node(nodeName).putFile(name, bytes)));
  }

  /** Takes a file from every TFTP server. */
  async removeFile(name: string): Promise<void> {
    await Promise.all(this.#tftpNodes().map(({ name: nodeName }) => this.node(nodeName).removeFile(name)));
  }

  /** Writes what the TFTP servers serve: CTL, ITLs, configurations. */
  async publish(): Promise<void> {
    for (const node of this.#tftpNodes()) {
      const { name, node: owner } = itlSigner(this.cluster, node);
      const signer = this.certificates.signer(owner.name, name);
      const options = { timestamp: this.#timestamp() };
      const full = await createItl(this.cluster, node, signer, options);
      const list = this.#isRolledBack ? await emptyItl(full, signer, options) : full;
      this.#lists.set(node.name, list);
      await this.node(node.name).putFile('ITLFile.tlv', list.bytes);
      if (this.#ctl !== undefined) await this.node(node.name).putFile('CTLFile.tlv', this.#ctl.bytes);
    }
    await this.#publishConfigurations(this.#phones);
  }

  /** Gives every phone lists under its own name beside the common ones, as clusters with Security by Default do. */
  async publishPerDevice(): Promise<void> {
    for (const { name } of this.#tftpNodes()) {
      for (const { deviceName } of this.#phones) {
        const itl = this.#lists.get(name);
        if (itl !== undefined) await this.node(name).putFile(`ITL${deviceName}.tlv`, itl.bytes);
        if (this.#ctl !== undefined) await this.node(name).putFile(`CTL${deviceName}.tlv`, this.#ctl.bytes);
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.close()));
  }

  async #startServices(): Promise<void> {
    for (const { name, services } of this.cluster.nodes) {
      if (services.includes('TFTP')) await this.node(name).startTftp();
      if (services.includes('TVS')) await this.startTvs(name);
    }
  }

  async #publishConfigurations(phones: readonly LabPhone[]): Promise<void> {
    const tvs = this.nodes.map((node) => node.tvs).filter((address) => address !== undefined);
    const isMixed = this.cluster.securityMode === 'mixed';
    for (const { name } of this.#tftpNodes()) {
      const signer = this.certificates.signer(name, 'CallManager');
      const node = this.node(name);
      for (const { deviceName } of phones) {
        const files = await configurationFiles({
          deviceName,
          content: formatConfiguration(deviceName, tvs, isMixed),
          signer,
          timestamp: this.#timestamp(),
          encryptedFor: this.#phoneCertificates.get(deviceName),
        });
        for (const [file, bytes] of files) await node.putFile(file, bytes);
      }
    }
  }

  async #publishCtl(list: TrustList): Promise<TrustList> {
    this.#ctl = list;
    this.#log(`CTL: ${String(list.bytes.length)} bytes, ${String(list.records.length)} records`);
    await this.publish();
    return list;
  }

  /** The publisher's key that signs tokenless lists. */
  clusterSigner(): Signer {
    const [publisher] = this.cluster.nodes;
    return this.certificates.signer(publisher?.name ?? '', tokenlessSigner(this.cluster).name);
  }

  #tftpNodes(): readonly ClusterNode[] {
    return this.cluster.nodes.filter(({ services }) => services.includes('TFTP'));
  }

  #needCtl(): TrustList {
    if (this.#ctl === undefined) throw new InputError('usage', 'the lab has no CTL: it was never in mixed mode');
    return this.#ctl;
  }

  #timestamp(): number {
    return Math.floor(this.clock().getTime() / 1000);
  }

  #ctlOptions(accept: readonly AcceptableCheck[]): CtlOptions {
    return { now: this.clock(), timestamp: this.#timestamp(), accept };
  }
}

/** Phones must be able to reach what their configurations name. @throws InputError `usage` */
function requirePlaces({ host, tftpPort = 0, tvsPort = 0, nodes = oneNode }: LabRequest): void {
  if (host === '0.0.0.0' || host === '::') {
    throw new InputError('usage', `phones are told where TVS is, and ${host} is no address that they can reach`, {
      hint: 'give the address of this machine that the phones see',
    });
  }
  for (const [what, first] of [['TFTP', tftpPort] as const, ['TVS', tvsPort] as const]) {
    const last = first + nodes.length - 1;
    if (first === 0 || last <= 65_535) continue;
    throw new InputError(
      'usage',
      `${what} of ${String(nodes.length)} nodes from port ${String(first)} on would need ${String(last)}`,
      {
        hint: 'begin at a lower port',
      },
    );
  }
}

function certificatesOf(tokens: readonly Signer[]): readonly Signer['certificate'][] {
  return tokens.map(({ certificate }) => certificate);
}
