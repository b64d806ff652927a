/** The program of a further signing thread of the token host (host-threads.ts starts it). */
import { parentPort, workerData } from 'node:worker_threads';
import { recordCall } from './call-record.js';
import { HostFailureError, loadLibrary, signShare, type Share } from './host-library.js';
import type { ThreadData, ThreadMessage } from './host-threads.js';

const { path, thread } = workerData as ThreadData;
const library = loadLibrary(path, thread);

function send(message: ThreadMessage): void {
  recordCall(thread, '');
  parentPort?.postMessage(message);
}

async function handle(share: Share): Promise<void> {
  try {
    const signed = await signShare(library, share, (...values) => library.C_Sign(...values));
    send({ signed });
  } catch (error) {
    if (!(error instanceof HostFailureError)) throw error;
    send({ failure: error.failure });
  }
}

parentPort?.on('message', (share: Share) => void handle(share));
send('ready');
