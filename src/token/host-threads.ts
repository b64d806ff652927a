/**
 * Runs in the token host only. Further threads that sign with the module of the first one: twice as many signatures a
 * second from software tokens and network modules, where C_SignAsync of pkcs11js gives half as many again.
 */
import { Worker } from 'node:worker_threads';
import { HostFailureError, type Share, type ShareResult } from './host-library.js';
import type { HostFailure } from './host-protocol.js';

/** What a thread is started with. */
export interface ThreadData {
  readonly path: string;
  /** Its number in the record of calls, from 1 on. */
  readonly thread: number;
}

/** What a thread says: that it has loaded the module, or what became of its share. */
export type ThreadMessage = 'ready' | { readonly signed: ShareResult } | { readonly failure: HostFailure };

interface Waiting {
  readonly resolve: (signed: ShareResult) => void;
  readonly reject: (error: Error) => void;
}

/** One thread, with at most one share at a time. */
export class SigningThread {
  readonly #worker: Worker;
  #ready = false;
  #waiting: Waiting | undefined;

  constructor(path: string, thread: number) {
    const workerData: ThreadData = { path, thread };
    this.#worker = new Worker(new URL('./host-thread.js', import.meta.url), { workerData });
    this.#worker.on('message', (message: ThreadMessage) => this.#receive(message));
    // A thread that cannot be had is done without; one that ends inside a share fails the batch.
    this.#worker.on('error', (error) => {
      this.#ready = false;
      this.#waiting?.reject(error);
    });
  }

  /** Whether it can take a share: not before it has loaded the module. */
  get ready(): boolean {
    return this.#ready;
  }

  sign(share: Share): Promise<ShareResult> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#worker.postMessage(share);
    });
  }

  #receive(message: ThreadMessage): void {
    if (message === 'ready') this.#ready = true;
    else if ('signed' in message) this.#waiting?.resolve(message.signed);
    else this.#waiting?.reject(new HostFailureError(message.failure));
  }
}
