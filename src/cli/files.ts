import { createHash, randomBytes } from 'node:crypto';
// `promises` of node:fs is loaded when it is first used, and commands that only read never do.
import { constants, promises, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { formatHex } from '../bytes/index.js';
import { InputError } from '../errors.js';

/** The largest file a command reads whole: far above every list, certificate and cluster file. */
const largestInput = 16 * 1024 * 1024;

/**
 * Reads an input file, or standard input for `-`.
 *
 * @throws InputError `file-missing`, `file-unreadable`
 */
export async function readInput(path: string, what: string): Promise<Uint8Array> {
  if (path === '-') return readStandardInput(what);
  try {
    const information = statSync(path);
    if (information.isDirectory()) {
      throw new InputError('file-unreadable', `${what} ${path} is a folder`, { hint: 'give a file' });
    }
    refuseLarge(information.size, path, what);
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw explainRead(error, path, what);
  }
}

async function readStandardInput(what: string): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    refuseLarge(length, 'on standard input', what);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function refuseLarge(length: number, path: string, what: string): void {
  if (length <= largestInput) return;
  throw new InputError('file-unreadable', `${what} ${path} is larger than 16 MiB`, { hint: 'is it the right file?' });
}

function explainRead(error: unknown, path: string, what: string): InputError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new InputError('file-missing', `there is no ${what} ${path}`, { hint: 'check the path', cause: error });
  }
  const reason = code === 'EACCES' || code === 'EPERM' ? 'no permission to read it' : (code ?? 'reading failed');
  return new InputError('file-unreadable', `${what} ${path} cannot be read: ${reason}`, { cause: error });
}

/** What is written, and what it must not overwrite. */
export interface WriteRequest {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Files the command read. Overwriting one is refused, unless it is `updates`. */
  readonly inputs?: readonly string[];
  /** The input that this output is the new state of. */
  readonly updates?: string;
  /** Permissions of a new file; those of the old one are kept. */
  readonly mode?: number;
}

/** What was written. */
export interface WrittenFile {
  readonly path: string;
  /** Where the previous file is kept; undefined when there was none, or it was the same. */
  readonly backup?: string;
}

/** Files that are being written at this moment, to be removed when the user breaks off. */
const unfinished = new Set<string>();

/** The files that would be left half-written if the process ended now. */
export function unfinishedFiles(): readonly string[] {
  return [...unfinished];
}

/**
 * Writes a file so that at every moment the old or the new one is there whole: beside it, synced, renamed. The
 * previous file is kept in `backups/` with its time and SHA-1. After a failure nothing has changed.
 *
 * @throws InputError `file-exists` for an output that is another input, `file-unwritable`
 */
export async function writeOutput(request: WriteRequest): Promise<WrittenFile> {
  const path = await resolveOutput(request);
  const folder = dirname(path);
  await removeAbandoned(path);
  const beside = join(folder, `.${basename(path)}.${String(process.pid)}-${randomBytes(4).toString('hex')}.part`);
  unfinished.add(beside);
  try {
    const previous = await readPrevious(path);
    if (previous === undefined) {
      await writeSynced(beside, request.bytes, request.mode ?? 0o644);
    } else {
      await writeSynced(beside, request.bytes, previous.mode);
    }
    const backup = previous === undefined ? undefined : await keepBackup(path, previous.bytes, previous.changed);
    await promises.rename(beside, path);
    await syncFolder(folder);
    return { path: request.path, ...(backup === undefined ? {} : { backup }) };
  } catch (error) {
    await promises.unlink(beside).catch(() => undefined);
    throw explainWrite(error, request.path);
  } finally {
    unfinished.delete(beside);
  }
}

/** The file that is really written, links followed; refused when it is an input that is not being updated. */
async function resolveOutput(request: WriteRequest): Promise<string> {
  const target = await promises.realpath(request.path).catch(() => resolve(request.path));
  const updated =
    request.updates === undefined ? undefined : await promises.realpath(request.updates).catch(() => undefined);
  if (target === updated) return target;
  for (const input of request.inputs ?? []) {
    if (target === (await promises.realpath(input).catch(() => resolve(input)))) {
      throw new InputError('file-exists', `the output ${request.path} is also an input (${input})`, {
        hint: 'give another --out; nothing was written',
      });
    }
  }
  return target;
}

interface PreviousFile {
  readonly bytes: Uint8Array;
  readonly changed: Date;
  readonly mode: number;
}

async function readPrevious(path: string): Promise<PreviousFile | undefined> {
  try {
    const information = await promises.stat(path);
    if (!information.isFile())
      throw new InputError('file-unwritable', `${path} is no file`, { hint: 'give another --out' });
    await promises.access(path, constants.W_OK);
    return { bytes: await promises.readFile(path), changed: information.mtime, mode: information.mode & 0o777 };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeSynced(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  const file = await promises.open(path, 'wx', mode);
  try {
    await file.writeFile(bytes);
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Keeps the previous file under its time and SHA-1: by a second name for it where the disk can, else as a copy. */
async function keepBackup(path: string, bytes: Uint8Array, changed: Date): Promise<string> {
  const folder = join(dirname(path), 'backups');
  await promises.mkdir(folder, { recursive: true });
  const time = changed
    .toISOString()
    .replaceAll(':', '-')
    .replace(/\.\d+Z$/, 'Z');
  const sha1 = formatHex(createHash('sha1').update(bytes).digest());
  const backup = join(folder, `${basename(path)}.${time}.${sha1}`);
  try {
    await promises.link(path, backup);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return backup;
    await copyWhole(path, backup);
  }
  await syncFolder(folder);
  return backup;
}

async function copyWhole(path: string, backup: string): Promise<void> {
  const beside = `${backup}.${String(process.pid)}.part`;
  unfinished.add(beside);
  try {
    await promises.copyFile(path, beside);
    const file = await promises.open(beside, 'r+');
    await file.sync().finally(() => file.close());
    await promises.rename(beside, backup);
  } catch (error) {
    await promises.unlink(beside).catch(() => undefined);
    throw error;
  } finally {
    unfinished.delete(beside);
  }
}

async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open folders: there the rename is as safe as the system makes it.
  const handle = await promises.open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/** Removes what an earlier run left when it was killed between writing and renaming. */
async function removeAbandoned(path: string): Promise<void> {
  const start = `.${basename(path)}.`;
  const names = await promises.readdir(dirname(path)).catch(() => []);
  for (const name of names) {
    const writer = /^(\d+)-[0-9a-f]{8}\.part$/.exec(name.startsWith(start) ? name.slice(start.length) : '')?.[1];
    if (writer !== undefined && !isRunning(Number(writer)))
      await promises.unlink(join(dirname(path), name)).catch(() => undefined);
  }
}

function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function explainWrite(error: unknown, path: string): Error {
  if (error instanceof InputError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  const reasons: Readonly<Record<string, string>> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    EACCES: 'no permission to write there',
    EPERM: 'no permission to write there',
    EROFS: 'the disk is read-only',
    ENOENT: 'its folder does not exist',
    ENOTDIR: 'its folder is no folder',
  };
  const reason = reasons[code ?? ''] ?? code ?? 'writing failed';
  return new InputError('file-unwritable', `${path} was not written: ${reason}; what was there before is unchanged`, {
    cause: error,
    hint: 'make room or give another --out',
  });
}
