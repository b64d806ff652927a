import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { DeviceError, RefusalError, type EtokenBridgeError } from 'etoken-bridge';
import type { SoftHsm } from './configuration.js';
import type { Failure, OperationName, Operations, Reply } from './messages.js';

/** Runs one operation on the tokens of a configuration. */
export type RunOperation = <Name extends OperationName>(
  operation: Name,
  given: Operations[Name]['given'],
) => Promise<Operations[Name]['result']>;

/** How long one operation may take, in milliseconds. Slow machines need many seconds for an RSA key. */
const operationLimit = 120_000;
/** How long the child may take to finish once it has nothing left to do, in milliseconds. */
const farewellLimit = 5_000;
/** How much of what the child writes on standard error is kept for the error when it crashes, in characters. */
const keptOutput = 2_000;

/** The work that was begun last on each configuration, by the path of the configuration. */
const begunLast = new Map<string, Promise<unknown>>();

/**
 * Starts a process that provisions the tokens of a configuration, and ends it when `work` is done. All PKCS#11 is in
 * that process: SoftHSM2 reads its configuration once in the life of a process, and a call that hangs or crashes must
 * not take this one with it.
 *
 * Works on one configuration follow each other, however many were asked for at once: SoftHSM2 2.6 does not survive
 * that two processes write to the same tokens (one of them then gets CKR_GENERAL_ERROR for good).
 *
 * @throws DeviceError with the PKCS#11 function and its return value, `binding-missing`, `module-failed`, `timeout` or
 *   `host-crashed`; RefusalError `already-present`.
 */
export async function provision<T>(softHsm: SoftHsm, work: (run: RunOperation) => Promise<T>): Promise<T> {
  const before = begunLast.get(softHsm.configuration);
  // Started before its turn: until the first request it loads only programs, and that takes the most time.
  const child = startChild(softHsm);
  const ended = endOf(child);
  const doing = (async () => {
    await before;
    try {
      return await work((operation, given) => ask(child, ended, operation, given));
    } finally {
      await dismiss(child, ended);
    }
  })();
  const done = doing.then(
    () => undefined,
    () => undefined,
  );
  begunLast.set(softHsm.configuration, done);
  try {
    return await doing;
  } finally {
    if (begunLast.get(softHsm.configuration) === done) begunLast.delete(softHsm.configuration);
  }
}

function startChild(softHsm: SoftHsm): ChildProcess {
  return fork(fileURLToPath(new URL('provisioning-child.js', import.meta.url)), [softHsm.module], {
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...process.env, ...softHsm.environment },
  });
}

/** Settles when the child is gone, with what to say if that was too early. */
function endOf(child: ChildProcess): Promise<DeviceError> {
  let written = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    written = (written + text).slice(-keptOutput);
  });
  return new Promise((settle) => {
    child.once('error', (error) => settle(crashed(`cannot be started: ${error.message}`, '')));
    // Not `close`: node does not emit it once this side has closed the channel.
    child.once('exit', (code, signal) => {
      const end = (): void => settle(crashed(`ended with ${signal ?? `exit code ${String(code)}`}`, written));
      if (child.stderr === null || child.stderr.closed) end();
      else child.stderr.once('close', end);
    });
  });
}

async function ask<Name extends OperationName>(
  child: ChildProcess,
  ended: Promise<DeviceError>,
  operation: Name,
  given: Operations[Name]['given'],
): Promise<Operations[Name]['result']> {
  let timer: NodeJS.Timeout | undefined;
  const reply = await new Promise<Reply>((resolve, reject) => {
    timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(tooSlow(operation));
    }, operationLimit);
    void ended.then(reject);
    child.once('message', (message) => resolve(message as Reply));
    // A child that is gone cannot be sent to; `ended` says why it went.
    child.send({ operation, given }, () => undefined);
  }).finally(() => clearTimeout(timer));
  if ('failure' in reply) throw errorOf(reply.failure);
  return reply.result;
}

async function dismiss(child: ChildProcess, ended: Promise<DeviceError>): Promise<void> {
  if (child.connected) child.disconnect();
  const timer = setTimeout(() => child.kill('SIGKILL'), farewellLimit);
  await ended;
  clearTimeout(timer);
}

function errorOf(failure: Failure): EtokenBridgeError {
  const { code, message, functionName, returnValue, hint } = failure;
  const details = hint === undefined ? {} : { hint };
  if (code === 'already-present') return new RefusalError(code, message, details);
  const place = {
    ...(functionName === undefined ? {} : { functionName }),
    ...(returnValue === undefined ? {} : { returnValue }),
  };
  return new DeviceError(code, message, place, details);
}

function crashed(how: string, written: string): DeviceError {
  const said = written.trim() === '' ? '' : `: ${written.trim()}`;
  return new DeviceError('host-crashed', `the process that works on the token ${how}${said}`);
}

function tooSlow(operation: OperationName): DeviceError {
  const seconds = String(operationLimit / 1000);
  return new DeviceError('timeout', `SoftHSM2 did not finish within ${seconds} seconds (${operation})`);
}
