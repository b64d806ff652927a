/** The program of a further signing thread of the token host (host-threads.ts starts it). */
import { parentPort, workerData } from 'node:worker_threads';
import { recordCall } from './call-record.js';
import { keepHeapSmall } from './host-heap.js';
import { HostFailureError, loadLibrary, signShare, type Share } from './host-library.js';
import type { ThreadData, ThreadMessage } from './host-threads.js';

keepHeapSmall();
const { path, thread } = workerData as ThreadData;
const library = loadLibrary(path, thread);

async function answer(share: Share): Promise<ThreadMessage> {
  try {
    return { signed: await signShare(library, share, (...values) => library.C_Sign(...values)) };
  } catch (error) {
    if (!(error instanceof HostFailureError)) throw error;
    return { failure: error.failure };
  }
}

parentPort?.on('message', (share: Share) => {
  void answer(share).then((message) => parentPort?.postMessage(message));
});
recordCall(thread, '');
parentPort?.postMessage('ready' satisfies ThreadMessage);
