import { EtokenBridgeError, NetworkError } from '../errors.js';
import { fetchFile } from './client.js';
import type { TftpAddress } from './datagram.js';

/** What other servers said about a file. */
export type FallbackAnswer =
  | { readonly kind: 'file'; readonly bytes: Uint8Array; readonly from: TftpAddress }
  /** `unsure`: those that gave another answer than that they lack the file, or none. */
  | { readonly kind: 'none'; readonly unsure: readonly { readonly server: TftpAddress; readonly reason: string }[] };

/** The largest file that is fetched from another server, in bytes: it is held in memory. */
const largestFetched = 128 * 1024 * 1024;

/**
 * Asks other servers for files, one after the other. Who asks for a file that is being fetched waits for the same
 * fetch: two servers that fall back to each other end so, instead of asking each other for ever.
 */
export class Fallback {
  readonly #servers: readonly TftpAddress[];
  readonly #fetches = new Map<string, Promise<FallbackAnswer>>();
  readonly #end = new AbortController();

  constructor(servers: readonly TftpAddress[]) {
    this.#servers = servers;
  }

  /** Never rejects. */
  fetch(name: string): Promise<FallbackAnswer> {
    const running = this.#fetches.get(name);
    if (running !== undefined) return running;
    const fetching = this.#ask(name).finally(() => this.#fetches.delete(name));
    this.#fetches.set(name, fetching);
    return fetching;
  }

  /** Ends what is being fetched. */
  close(): void {
    this.#end.abort(new Error('the server is closed'));
  }

  async #ask(name: string): Promise<FallbackAnswer> {
    const unsure: { server: TftpAddress; reason: string }[] = [];
    for (const server of this.#servers) {
      if (this.#end.signal.aborted) break;
      try {
        // Phones wait a few seconds for a first block and then ask again: a dead server must not use that up.
        const request = { ...server, name, timeout: 500, retries: 3, maxLength: largestFetched };
        return { kind: 'file', bytes: await fetchFile({ ...request, signal: this.#end.signal }), from: server };
      } catch (error) {
        if (error instanceof NetworkError && error.code === 'file-not-found') continue;
        const reason = error instanceof EtokenBridgeError || error instanceof Error ? error.message : String(error);
        unsure.push({ server, reason });
      }
    }
    return { kind: 'none', unsure };
  }
}
