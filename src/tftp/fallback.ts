import { Writable } from 'node:stream';
import { EtokenBridgeError, NetworkError } from '../errors.js';
import { fetchInto } from './client.js';
import { resolveHost, type TftpAddress } from './datagram.js';
import type { TftpOption } from './packet.js';
import { serveBytes, type ServedFile } from './served-file.js';

/** What other servers said about a file. */
export type FallbackAnswer =
  /** `file` is to be closed by whoever asked. */
  | { readonly kind: 'file'; readonly file: ServedFile; readonly from: TftpAddress }
  /** `unsure`: those that gave another answer than that they lack the file, or none. */
  | { readonly kind: 'none'; readonly unsure: readonly { readonly server: TftpAddress; readonly reason: string }[] }
  /** Other files take all the memory that fetched files may take. */
  | { readonly kind: 'busy' };

/** The largest file that is fetched from another server, and what all of them may take at once, in bytes. */
const largestFetched = 128 * 1024 * 1024;

/**
 * The block size that other servers are asked with. Any server knows the option, and hardly another program asks for
 * this size: by it a server of this program knows the question of another one.
 */
const fallbackBlockSize = 1424;

/**
 * How long a server is waited for. Phones wait a few seconds for a first block: a server that is down must not use
 * that up, and one that was silent the last time gets less.
 */
const patience = {
  first: { timeout: 300, retries: 3 },
  afterSilence: { timeout: 300, retries: 1 },
} as const;

/** One file that is fetched, and how many wait for it or use it. */
interface Fetching {
  readonly answer: Promise<Fetched>;
  users: number;
}

type Fetched =
  | Exclude<FallbackAnswer, { kind: 'file' }>
  | { readonly kind: 'file'; readonly bytes: Uint8Array; readonly from: TftpAddress };

/** Asks other servers for files, one after the other. Who asks for a file that is being fetched waits for it too. */
export class Fallback {
  readonly #servers: readonly TftpAddress[];
  readonly #largestTotal: number;
  readonly #fetches = new Map<string, Fetching>();
  /** By name of a file: the IP address of the server that is asked for it at this moment. */
  readonly #asked = new Map<string, string>();
  readonly #silent = new Set<TftpAddress>();
  readonly #end = new AbortController();
  /** Bytes of all files that are being fetched or sent. */
  #held = 0;

  constructor(servers: readonly TftpAddress[], largestTotal: number = largestFetched) {
    this.#servers = servers;
    this.#largestTotal = largestTotal;
  }

  /** Never rejects. */
  async fetch(name: string): Promise<FallbackAnswer> {
    const fetching = this.#fetches.get(name) ?? this.#begin(name);
    fetching.users += 1;
    const answer = await fetching.answer;
    if (answer.kind !== 'file') return answer;
    const { bytes, from } = answer;
    const close = (): void => {
      fetching.users -= 1;
      if (fetching.users === 0) this.#held -= bytes.length;
    };
    return { kind: 'file', file: { ...serveBytes(bytes), close }, from };
  }

  /**
   * Whether a request is the question of a server that falls back to this one while this one asks it for the same
   * file: each would wait for the other, and neither has the file.
   *
   * The address alone does not tell it. A phone on the same machine, as in a lab, would be told that a file is not
   * there which is just being fetched, and would go on without its trust list. So the request must have the form of
   * such a question too. A server with another address than it was asked at is not recognized, and the time limit
   * ends the wait.
   */
  isAskedBack(name: string, client: TftpAddress, options: readonly TftpOption[]): boolean {
    if (this.#asked.get(name) !== plainAddress(client.host)) return false;
    return options.some((option) => option.name === 'blksize' && option.value === String(fallbackBlockSize));
  }

  /** Ends what is being fetched. */
  close(): void {
    this.#end.abort(new Error('the server is closed'));
  }

  #begin(name: string): Fetching {
    const answer = this.#ask(name).finally(() => {
      this.#fetches.delete(name);
      this.#asked.delete(name);
    });
    const fetching = { answer, users: 0 };
    this.#fetches.set(name, fetching);
    return fetching;
  }

  async #ask(name: string): Promise<Fetched> {
    const unsure: { server: TftpAddress; reason: string }[] = [];
    for (const server of this.#servers) {
      if (this.#end.signal.aborted) break;
      try {
        const bytes = await this.#fetchFrom(server, name);
        if (bytes === undefined) return { kind: 'busy' };
        this.#silent.delete(server);
        return { kind: 'file', bytes, from: server };
      } catch (error) {
        const code = error instanceof NetworkError ? error.code : undefined;
        if (code === 'timeout') this.#silent.add(server);
        else this.#silent.delete(server);
        if (code === 'file-not-found') continue;
        const reason = error instanceof EtokenBridgeError || error instanceof Error ? error.message : String(error);
        unsure.push({ server, reason });
      }
    }
    return { kind: 'none', unsure };
  }

  /** @returns undefined when there is no memory for the file now. */
  async #fetchFrom(server: TftpAddress, name: string): Promise<Uint8Array | undefined> {
    const host = await resolveHost(server.host);
    this.#asked.set(name, plainAddress(host));
    const parts: Uint8Array[] = [];
    const state = { length: 0, isFull: false };
    const memory = new Writable({
      write: (part: Uint8Array, _encoding, done) => {
        // Others take it: a file that is too large even alone ends by `maxLength` before.
        state.isFull = this.#held + part.length > this.#largestTotal;
        if (state.isFull) {
          done(new Error('no memory is left for fetched files'));
          return;
        }
        parts.push(part);
        state.length += part.length;
        this.#held += part.length;
        done();
      },
    });
    const limits = this.#silent.has(server) ? patience.afterSilence : patience.first;
    const request = { host, port: server.port, name, blockSize: fallbackBlockSize, ...limits };
    try {
      await fetchInto({ ...request, maxLength: this.#largestTotal, signal: this.#end.signal }, memory);
      return Buffer.concat(parts);
    } catch (error) {
      this.#held -= state.length;
      if (state.isFull) return undefined;
      throw error;
    }
  }
}

/** An IPv4 address as it is, also where a socket for IPv6 tells it. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}
