import { nodesWith, publisherOf, type Cluster, type ClusterNode } from '../cluster/index.js';
import { InputError } from '../errors.js';
import { createItl, emptyItl, itlSigner, resetItl, type ItlSignerName } from '../itl/index.js';
import type { TrustList } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import type { LabCertificates } from './certificates.js';
import { configurationFiles, formatConfiguration } from './configuration.js';
import type { LabNode } from './node.js';
import type { LabPhone } from './phone.js';

/** What the TFTP servers of a lab serve: CTL, ITLs, and the configurations of its phones. */
export class ServedFiles {
  /** The CTL that the servers have; `undefined` before the cluster was first mixed. */
  ctl: TrustList | undefined;
  /** Whether ITLs are served without TFTP and TVS certificates (P6). */
  isRolledBack = false;
  readonly #certificates: LabCertificates;
  readonly #nodes: readonly LabNode[];
  readonly #timestamp: () => number;
  readonly #itls = new Map<string, TrustList>();
  /** What CAPF issued, by device name: configurations are encrypted for these. */
  readonly #phoneCertificates = new Map<string, Certificate>();

  /** @param timestamp seconds since 1970-01-01 UTC, now. */
  constructor(certificates: LabCertificates, nodes: readonly LabNode[], timestamp: () => number) {
    this.#certificates = certificates;
    this.#nodes = nodes;
    this.#timestamp = timestamp;
  }

  /** The ITL that a node serves. */
  itl(nodeName: string): TrustList | undefined {
    return this.#itls.get(nodeName);
  }

  /** From now on the configuration of a phone is encrypted for this certificate. */
  encryptFor(deviceName: string, certificate: Certificate): void {
    this.#phoneCertificates.set(deviceName, certificate);
  }

  /** Writes CTL, ITLs, and the configurations of these phones. */
  async publish(phones: readonly LabPhone[]): Promise<void> {
    for (const [owner, server] of this.#servers()) {
      const list = await this.#makeItl(owner);
      this.#itls.set(owner.name, list);
      await server.putFile('ITLFile.tlv', list.bytes);
      if (this.ctl !== undefined) await server.putFile('CTLFile.tlv', this.ctl.bytes);
    }
    await this.publishConfigurations(phones);
  }

  async #makeItl(node: ClusterNode): Promise<TrustList> {
    const { name, node: owner } = itlSigner(this.#cluster, node);
    const signer = this.#certificates.signer(owner.name, name);
    const options = { timestamp: this.#timestamp() };
    const full = await createItl(this.#cluster, node, signer, options);
    return this.isRolledBack ? emptyItl(full, signer, options) : full;
  }

  /** Writes the configurations of these phones on every server. */
  async publishConfigurations(phones: readonly LabPhone[]): Promise<void> {
    const tvs = this.#nodes.map((node) => node.tvs).filter((address) => address !== undefined);
    const isMixed = this.#cluster.securityMode === 'mixed';
    for (const [{ name }, server] of this.#servers()) {
      const signer = this.#certificates.signer(name, 'CallManager');
      for (const { deviceName } of phones) {
        const files = await configurationFiles({
          deviceName,
          content: formatConfiguration(deviceName, tvs, isMixed),
          signer,
          timestamp: this.#timestamp(),
          encryptedFor: this.#phoneCertificates.get(deviceName),
        });
        for (const [file, bytes] of files) await server.putFile(file, bytes);
      }
    }
  }

  /** Gives these phones lists under their own names beside the common ones, as clusters with Security by Default do. */
  async publishPerDevice(phones: readonly LabPhone[]): Promise<void> {
    for (const [{ name }, server] of this.#servers()) {
      for (const { deviceName } of phones) {
        const itl = this.#itls.get(name);
        if (itl !== undefined) await server.putFile(`ITL${deviceName}.tlv`, itl.bytes);
        if (this.ctl !== undefined) await server.putFile(`CTL${deviceName}.tlv`, this.ctl.bytes);
      }
    }
  }

  /** Every server serves the publisher's ITL, signed anew. @throws InputError `usage` when the publisher serves none. */
  async resetItls(signedBy: ItlSignerName): Promise<TrustList> {
    const publisher = publisherOf(this.#cluster);
    const present = this.#itls.get(publisher.name);
    if (present === undefined) throw new InputError('usage', 'the publisher of the lab serves no ITL: it runs no TFTP');
    const signer = this.#certificates.signer(publisher.name, signedBy);
    const list = await resetItl(present, signer, { timestamp: this.#timestamp() });
    for (const [{ name }, server] of this.#servers()) {
      this.#itls.set(name, list);
      await server.putFile('ITLFile.tlv', list.bytes);
    }
    return list;
  }

  /** Replaces a file on every server, whatever it is. */
  async replace(name: string, bytes: Uint8Array): Promise<void> {
    await Promise.all(this.#servers().map(([, server]) => server.putFile(name, bytes)));
  }

  /** Takes a file from every server. */
  async remove(name: string): Promise<void> {
    await Promise.all(this.#servers().map(([, server]) => server.removeFile(name)));
  }

  get #cluster(): Cluster {
    return this.#certificates.cluster;
  }

  /** The nodes with TFTP, each as the cluster file has it and as it runs. */
  #servers(): readonly (readonly [ClusterNode, LabNode])[] {
    return nodesWith(this.#cluster, 'TFTP').flatMap((node) => {
      const server = this.#nodes.find(({ name }) => name === node.name);
      return server === undefined ? [] : [[node, server] as const];
    });
  }
}
