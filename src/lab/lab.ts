import { join } from 'node:path';
import { createLabCluster, uploadedCertificates, type CertificateName, type Cluster } from '../cluster/index.js';
import type { AcceptableCheck } from '../ctl/index.js';
import { InputError } from '../errors.js';
import type { ItlSignerName } from '../itl/index.js';
import { createPhone, type HeldFiles, type PhoneProfile } from '../phone/index.js';
import type { Signer } from '../signer/index.js';
import type { TrustList } from '../trust-list/index.js';
import { LabCertificates } from './certificates.js';
import { CtlFlows } from './ctl-flows.js';
import { LabNode } from './node.js';
import { issuePhoneCertificate } from './phone-certificate.js';
import { LabPhone } from './phone.js';
import { oneNode, requirePlaces, type LabRequest } from './request.js';
import { ServedFiles } from './served-files.js';

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
  readonly #files: ServedFiles;
  readonly #flows: CtlFlows;

  private constructor(certificates: LabCertificates, nodes: readonly LabNode[], request: LabRequest) {
    this.certificates = certificates;
    this.nodes = nodes;
    this.clock = request.clock;
    this.#log = request.log ?? (() => undefined);
    this.#files = new ServedFiles(certificates, nodes, () => this.#timestamp());
    this.#flows = new CtlFlows(certificates, request.clock);
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
    return this.#files.ctl;
  }

  get phones(): readonly LabPhone[] {
    return this.#phones;
  }

  /** The ITL that a node serves. */
  itl(nodeName: string): TrustList | undefined {
    return this.#files.itl(nodeName);
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
    await this.#files.publishConfigurations([phone]);
    return phone;
  }

  /** Takes in a phone of another cluster, with all that it holds. */
  async adopt(phone: LabPhone): Promise<void> {
    this.#phones.push(phone);
    if (phone.certificate !== undefined) this.#files.encryptFor(phone.deviceName, phone.certificate);
    await this.#files.publishConfigurations([phone]);
  }

  /** Adds many phones with nothing in hand. */
  async addPhones(profiles: readonly PhoneProfile[]): Promise<readonly LabPhone[]> {
    const phones: LabPhone[] = [];
    for (const profile of profiles) phones.push(await this.#makePhone(profile, {}));
    await this.#files.publishConfigurations(phones);
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
    await this.#files.publishConfigurations([phone]);
  }

  async #issueTo(phone: LabPhone): Promise<void> {
    const identity = await issuePhoneCertificate(phone, this.certificates, this.clock());
    phone.install(identity);
    this.#files.encryptFor(phone.deviceName, identity.certificate);
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
    return this.#publishCtl(await this.#flows.create(tokens));
  }

  /** The CTL again, in its mode, with the present certificates. @param signer a token; else the cluster's key. */
  async updateCtl(signer?: Signer): Promise<TrustList> {
    return this.#publishCtl(await this.#flows.update(this.ctl, signer));
  }

  /** From tokens to the cluster's own key. */
  async toTokenless(): Promise<TrustList> {
    return this.#publishCtl(await this.#flows.toTokenless(this.ctl));
  }

  /** From the cluster's own key to tokens. @param accept checks that the administrator lets through, such as A3. */
  async toToken(tokens: readonly Signer[], accept: readonly AcceptableCheck[] = []): Promise<TrustList> {
    return this.#publishCtl(await this.#flows.toToken(this.ctl, tokens, accept));
  }

  /** To non-secure mode: the servers of the CTL are emptied. @param signer a token; else the cluster's key. */
  async toNonSecure(signer?: Signer): Promise<TrustList> {
    this.certificates.setSecurityMode('non-secure');
    return this.#publishCtl(await this.#flows.toNonSecure(this.ctl, signer));
  }

  /** Serves a CTL that was built elsewhere. @param securityMode what the cluster is set to with it. */
  async serveCtl(list: TrustList, securityMode: Cluster['securityMode']): Promise<void> {
    this.certificates.setSecurityMode(securityMode);
    await this.#publishCtl(list);
  }

  /** Takes the CTL from every TFTP server, and from what TVS knows: the cluster is not mixed any more. */
  async removeCtl(): Promise<void> {
    this.#files.ctl = undefined;
    this.certificates.setSecurityMode('non-secure');
    await this.removeFile('CTLFile.tlv');
    this.#log('CTL: removed');
    await this.publish();
  }

  /** Prepares for a rollback or a move: every node serves an ITL without TFTP and TVS certificates (P6). */
  async emptyItls(): Promise<void> {
    this.#files.isRolledBack = true;
    await this.publish();
  }

  /** After {@link Lab.emptyItls}: every node serves its whole ITL again. */
  async fillItls(): Promise<void> {
    this.#files.isRolledBack = false;
    await this.publish();
  }

  /**
   * `utils itl reset localkey`: every TFTP node serves the publisher's ITL, signed with the recovery key. It is served
   * until {@link Lab.restartTftp}, or anything else that makes Cisco Tftp write its lists anew.
   *
   * @param signedBy which of the two signers in the list signs.
   */
  async resetItls(signedBy: ItlSignerName = 'ITLRecovery'): Promise<TrustList> {
    const list = await this.#files.resetItls(signedBy);
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
    await this.#files.replace(name, bytes);
  }

  /** Takes a file from every TFTP server. */
  async removeFile(name: string): Promise<void> {
    await this.#files.remove(name);
  }

  /** Writes what the TFTP servers serve: CTL, ITLs, configurations. */
  async publish(): Promise<void> {
    await this.#files.publish(this.#phones);
  }

  /** Gives every phone lists under its own name beside the common ones, as clusters with Security by Default do. */
  async publishPerDevice(): Promise<void> {
    await this.#files.publishPerDevice(this.#phones);
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

  async #publishCtl(list: TrustList): Promise<TrustList> {
    this.#files.ctl = list;
    this.#log(`CTL: ${String(list.bytes.length)} bytes, ${String(list.records.length)} records`);
    await this.publish();
    return list;
  }

  /** The publisher's key that signs tokenless lists. */
  clusterSigner(): Signer {
    return this.#flows.clusterSigner();
  }

  #timestamp(): number {
    return Math.floor(this.clock().getTime() / 1000);
  }
}
