import { existsSync, promises, realpathSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { equalBytes, printable } from '../../bytes/index.js';
import { InputError } from '../../errors.js';
import { FileLock } from '../file-lock.js';
import {
  checkOutput,
  readInput,
  takeBack,
  writeOutput,
  type OutputPlace,
  type WriteRequest,
  type WrittenFile,
} from '../files.js';

/**
 * Refuses a file of the cluster that cannot be written; no option names another place for it.
 *
 * @throws InputError as {@link checkOutput}
 */
export async function checkWritable(place: OutputPlace): Promise<void> {
  await checkOutput(place).catch(rethrowWithoutOut);
}

/** Hints of outputs speak of `--out`, which commands that change the files of a cluster do not have. */
function rethrowWithoutOut(error: unknown): never {
  if (!(error instanceof InputError) || error.hint?.includes('--out') !== true) throw error;
  const code = error.cause instanceof Error && 'code' in error.cause ? error.cause.code : undefined;
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  throw new InputError(error.code, error.message, {
    hint: isFull
      ? 'make room, and run the command again'
      : 'look at the file, its folder and their permissions, then run the command again; the cluster file names it',
    cause: error,
  });
}

/**
 * Does some work on a cluster while no other process of this command changes it.
 *
 * @param path the cluster file.
 * @throws InputError `usage` when another one does, `file-unwritable`
 */
export async function whileLocked<T>(path: string, work: () => Promise<T>): Promise<T> {
  // By whichever name it is called.
  const file = realpathSync(path);
  const lock = new FileLock(dirname(file), `${basename(file)}.lock`, {
    what: path,
    hint: 'check the permissions of the folder',
  });
  lock.take();
  try {
    return await work();
  } finally {
    lock.release();
  }
}

/**
 * Writes several files: all of them, or none. They are written in their order, each so that the old or the new one is
 * there whole; where one fails, those before it get their old content back. A process that is killed on the way leaves
 * the first ones new and the others old.
 *
 * @throws InputError as {@link writeOutput}
 */
export async function writeTogether(requests: readonly WriteRequest[]): Promise<readonly WrittenFile[]> {
  for (const request of requests) await checkWritable(request);
  const undo: (() => Promise<void>)[] = [];
  const written: WrittenFile[] = [];
  try {
    for (const request of requests) {
      const path = await promises.realpath(request.path).catch(() => resolve(request.path));
      const wasThere = existsSync(path);
      const file = await writeOutput(request);
      written.push(file);
      undo.push(() => takeBack(path, file.backup, wasThere));
    }
    return written;
  } catch (error) {
    // What cannot be taken back must not hide why it had to be.
    for (const step of undo.reverse()) await step().catch(() => undefined);
    return rethrowWithoutOut(error);
  }
}

/**
 * Refuses to go on with a file that somebody changed since it was read: the change would be overwritten.
 *
 * @param before what was read, as text or bytes.
 * @throws InputError `usage`
 */
export async function refuseChanged(path: string, before: string | Uint8Array): Promise<void> {
  const bytes = typeof before === 'string' ? new TextEncoder().encode(before) : before;
  if (equalBytes(await readInput(path, 'file'), bytes)) return;
  throw new InputError('usage', `${printable(path)} was changed since it was read`, {
    hint: 'nothing was written: look at the change, and run the command again',
  });
}
