/**
 * The program of the token host: the child process that holds the PKCS#11 module (host-client.ts starts it). One
 * request after the other; every answer is sent before the next request is looked at.
 */
import { recordCall } from './call-record.js';
import { keepHeapSmall } from './host-heap.js';
import { HostFailureError } from './host-library.js';
import { HostModule } from './host-module.js';
import type { HostFailure, HostReply, HostRequest, ModuleToOpen } from './host-protocol.js';
import { HostSigning } from './host-signing.js';
import { killOwnTree } from './process-tree.js';

/** How long a host may live, in milliseconds, before it starts to watch its command from a thread of its own. */
const watchAfter = 250;
/** How often that thread looks, in milliseconds. */
const watchInterval = 500;
/** Libraries that pass on what is elsewhere: the first call may already wait for what never answers. */
const passesOn = /p11-kit/i;

keepHeapSmall();

let module: HostModule | undefined;
let signing: HostSigning | undefined;
let queue: Promise<void> = Promise.resolve();
let isWatching = false;

function send(reply: HostReply): void {
  recordCall(0, '');
  process.send?.(reply);
}

async function openModule({ modulePath, parameters }: ModuleToOpen): Promise<HostModule> {
  if (passesOn.test(modulePath)) await watchCommand();
  module ??= new HostModule(modulePath, parameters);
  return module;
}

function openedModule(): HostModule {
  if (module === undefined) throw new HostFailureError({ kind: 'internal', message: 'no module was opened before' });
  return module;
}

function startedSigning(): HostSigning {
  signing ??= new HostSigning(openedModule());
  return signing;
}

async function answer(request: HostRequest): Promise<Extract<HostReply, { answer: unknown }>['answer']> {
  switch (request.kind) {
    case 'tokens': {
      if (request.anew === true) module?.initializeAnew();
      return (await openModule(request)).tokens();
    }
    case 'inventory': {
      const opened = await openModule(request);
      const { takeInventory } = await import('./host-inventory.js');
      return takeInventory(opened);
    }
    case 'token':
      return openedModule().token(request.slotId);
    case 'unlock':
      return startedSigning().unlock(request);
    case 'sign':
      return startedSigning().sign(request);
    case 'changePin':
      return startedSigning().changePin(request);
    case 'close':
      if (signing === undefined) module?.close();
      else signing.close();
      return {};
  }
}

async function handle(request: HostRequest): Promise<void> {
  try {
    send({ id: request.id, answer: await answer(request) });
  } catch (error) {
    const failure: HostFailure =
      error instanceof HostFailureError
        ? error.failure
        : { kind: 'internal', message: error instanceof Error ? error.message : String(error) };
    send({ id: request.id, failure });
  }
}

/**
 * A call that hangs stops this thread, so that it would not see its command go. A second thread does; it costs more
 * than a whole short command, so only a host that lives longer gets one, or whose first call may hang.
 */
async function watchCommand(): Promise<void> {
  if (isWatching) return;
  isWatching = true;
  const { Worker } = await import('node:worker_threads');
  // This file again: a thread has no channel to the command.
  new Worker(new URL(import.meta.url), { argv: [String(process.ppid)] }).unref();
}

/** What the second thread does. */
function endWithout(command: number): void {
  setInterval(() => {
    if (process.ppid !== command) killOwnTree();
  }, watchInterval);
}

/** What the first thread does. */
function serve(): void {
  process.on('message', (request: HostRequest) => {
    queue = queue.then(() => handle(request));
  });
  // Nothing is left to do and nobody to tell.
  process.on('disconnect', killOwnTree);
  // Ctrl-C reaches the whole group of processes; what becomes of the token then is the command's decision.
  process.on('SIGINT', () => undefined);
  setTimeout(() => void watchCommand(), watchAfter).unref();
}

if (process.send === undefined) endWithout(Number(process.argv[2]));
else serve();
