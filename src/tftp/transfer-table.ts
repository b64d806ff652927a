import type { TftpAddress } from './datagram.js';
import type { Sending } from './sending.js';

/** What runs for one client's port. */
export interface Running {
  readonly client: TftpAddress;
  readonly name: string;
  /** `undefined` while other servers are asked for the file. */
  readonly sending: Sending | undefined;
  /** When it began, in milliseconds of `performance.now()`. */
  readonly since: number;
}

/** How many transfers may run. */
export interface TransferLimits {
  readonly most: number;
  readonly mostPerHost: number;
  /** Milliseconds after which a transfer that was never acknowledged makes room for others. */
  readonly patience: number;
}

/** The transfers that run, oldest first, one for each port of a client. */
export class TransferTable {
  readonly #limits: TransferLimits;
  readonly #running = new Map<string, Running>();

  constructor(limits: TransferLimits) {
    this.#limits = limits;
  }

  get(client: TftpAddress): Running | undefined {
    return this.#running.get(keyOf(client));
  }

  set(running: Running): void {
    const key = keyOf(running.client);
    // A new transfer from the same port is the youngest.
    this.#running.delete(key);
    this.#running.set(key, running);
  }

  /** @returns false when something else runs for that port meanwhile. */
  delete(running: Running): boolean {
    return this.get(running.client) === running && this.#running.delete(keyOf(running.client));
  }

  all(): readonly Running[] {
    return [...this.#running.values()];
  }

  /**
   * Makes room for one more transfer. Whoever asks from a forged address never acknowledges anything, and a client
   * that is there does so at once: what was never acknowledged gives way, the oldest first and without a word, so
   * that a client that missed the first packet asks again.
   *
   * @returns false when there is no room.
   */
  makeRoom(host: string): boolean {
    const { most, mostPerHost } = this.#limits;
    const ofHost = this.all().filter(({ client }) => client.host === host);
    if (ofHost.length >= mostPerHost) return this.#evictOne(ofHost);
    return this.#running.size < most || this.#evictOne(this.all());
  }

  #evictOne(candidates: readonly Running[]): boolean {
    const before = performance.now() - this.#limits.patience;
    const oldest = candidates.find(({ sending, since }) => sending?.isAcknowledged === false && since <= before);
    if (oldest === undefined) return false;
    this.delete(oldest);
    oldest.sending?.end();
    return true;
  }
}

function keyOf({ host, port }: TftpAddress): string {
  return `${host} ${String(port)}`;
}
