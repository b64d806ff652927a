import { mkdir, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Certificate } from '../x509/index.js';
import type { KeyObject } from 'node:crypto';
import { startTftpServer, type TftpAddress, type TftpServer } from '../tftp/index.js';
import { createTvsKnowledge, startTvsServer, type TvsServer } from '../tvs/index.js';
import type { TvsAddress } from './configuration.js';

/** Where the services of a node listen. */
export interface NodePorts {
  /** The address of this machine that they listen on. */
  readonly host: string;
  /** UDP; 0 for any that is free. */
  readonly tftp: number;
  /** TCP; 0 for any that is free. */
  readonly tvs: number;
}

/** What a TVS server of the lab works with. */
export interface TvsIdentity {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  readonly trustStores: Readonly<Record<string, readonly Certificate[]>>;
}

/** One node of a lab: its folder, and the servers that run from it. */
export class LabNode {
  readonly name: string;
  /** What its TFTP server serves. */
  readonly folder: string;
  readonly #ports: NodePorts;
  readonly #log: (line: string) => void;
  #tftp: TftpServer | undefined;
  #tvs: TvsServer | undefined;
  #tvsPort: number;

  constructor(name: string, folder: string, ports: NodePorts, log: (line: string) => void) {
    this.name = name;
    this.folder = folder;
    this.#ports = ports;
    this.#tvsPort = ports.tvs;
    this.#log = log;
  }

  /** Where its TFTP server is reached; `undefined` while it does not run. */
  get tftp(): TftpAddress | undefined {
    return this.#tftp === undefined ? undefined : { host: this.#tftp.host, port: this.#tftp.port };
  }

  /** Where its TVS server is, or was, reached; `undefined` when it never ran. */
  get tvs(): TvsAddress | undefined {
    return this.#tvsPort === 0 ? undefined : { host: this.#ports.host, port: this.#tvsPort };
  }

  get isTvsRunning(): boolean {
    return this.#tvs !== undefined;
  }

  /** @param fallback servers that are asked for files that this one lacks (central TFTP). */
  async startTftp(fallback: readonly TftpAddress[] = []): Promise<void> {
    await this.stopTftp();
    await mkdir(this.folder, { recursive: true });
    const { host, tftp: port } = this.#ports;
    this.#tftp = await startTftpServer({ root: this.folder, host, port, fallback });
    this.#log(`${this.name}: TFTP on ${this.#tftp.host}:${String(this.#tftp.port)}`);
  }

  async stopTftp(): Promise<void> {
    const server = this.#tftp;
    this.#tftp = undefined;
    await server?.close();
  }

  /** Starts TVS, again on the port that it had: the phones have it in their configurations. */
  async startTvs({ certificate, key, trustStores }: TvsIdentity): Promise<void> {
    await this.stopTvs();
    const knowledge = createTvsKnowledge({ trustStores, ctlFile: join(this.folder, 'CTLFile.tlv') });
    const host = this.#ports.host;
    this.#tvs = await startTvsServer({ certificate, key, knowledge, host, port: this.#tvsPort });
    this.#tvsPort = this.#tvs.port;
    this.#log(`${this.name}: TVS on ${host}:${String(this.#tvsPort)}`);
  }

  async stopTvs(): Promise<void> {
    const server = this.#tvs;
    this.#tvs = undefined;
    await server?.close();
  }

  /** Puts a file into its folder; a transfer that runs goes on with the old one. */
  async putFile(name: string, bytes: Uint8Array): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const beside = join(this.folder, `.${name}.new`);
    await writeFile(beside, bytes);
    await rename(beside, join(this.folder, name));
  }

  /** Takes a file away, if it is there. */
  async removeFile(name: string): Promise<void> {
    await unlink(join(this.folder, name)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    });
  }

  async close(): Promise<void> {
    await this.stopTvs();
    await this.stopTftp();
  }
}
