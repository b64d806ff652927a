import { createHash, randomBytes } from 'node:crypto';
// `promises` of node:fs is loaded when it is first used, and commands that only read never do.
import { constants, promises, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { equalBytes, formatHex, printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { trackUnfinished } from './unfinished-files.js';

/** The largest file a command reads whole: far above every list, certificate and cluster file. */
const largestInput = 16 * 1024 * 1024;

/** Standard input can be read once; a second reader would get an empty file. */
let standardInputRead = false;

/**
 * Reads an input file, or standard input for `-`.
 *
 * @param what the file's kind, for messages, e.g. `trust list`.
 * @param largest how many bytes it may have: 16 MiB unless told.
 * @throws InputError `file-missing`, `file-unreadable`, `usage` for a second `-`
 */
export async function readInput(path: string, what: string, largest: number = largestInput): Promise<Uint8Array> {
  if (path === '-') return readStandardInput(what, largest);
  try {
    const information = statSync(path);
    if (information.isDirectory()) {
      throw new InputError('file-unreadable', `the ${what} ${printable(path)} is a folder`, { hint: 'give a file' });
    }
    refuseLarge(information.size, path, what, largest);
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw explainRead(error, path, what);
  }
}

async function readStandardInput(what: string, largest: number): Promise<Uint8Array> {
  if (standardInputRead) {
    throw new InputError('usage', `the ${what} cannot come from standard input too`, {
      hint: 'standard input (-) can be read once: give a file for the other',
    });
  }
  standardInputRead = true;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    refuseLarge(length, 'on standard input', what, largest);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function refuseLarge(length: number, path: string, what: string, largest: number): void {
  if (length <= largest) return;
  const size = `${String(largest / 1024 / 1024)} MiB`;
  throw new InputError('file-unreadable', `the ${what} ${printable(path)} is larger than ${size}`, {
    hint: 'check that it is the right file; no trust list is larger than 64 KiB',
  });
}

/** Why a file or folder cannot be read. */
export function explainRead(error: unknown, path: string, what: string): InputError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new InputError('file-missing', `there is no ${what} ${printable(path)}`, {
      hint: 'check the path',
      cause: error,
    });
  }
  const reason = code === 'EACCES' || code === 'EPERM' ? 'no permission to read it' : (code ?? 'reading failed');
  return new InputError('file-unreadable', `the ${what} ${printable(path)} cannot be read: ${reason}`, {
    hint: 'check the file and its permissions',
    cause: error,
  });
}

/** Where an output goes, and what it must not overwrite. */
export interface OutputPlace {
  readonly path: string;
  /** Files the command read. Overwriting one is refused, unless it is `updates`. */
  readonly inputs?: readonly string[];
  /** The input that this output is the new state of. */
  readonly updates?: string;
  /** The option that names it, for hints: `--out` unless told. */
  readonly option?: string;
}

/** What is written, and where. */
export interface WriteRequest extends OutputPlace {
  readonly bytes: Uint8Array;
  /** Permissions of a new file; those of the old one are kept. */
  readonly mode?: number;
}

/** What was written. */
export interface WrittenFile {
  readonly path: string;
  /** Where the previous file is kept; undefined when there was none, or it was the same. */
  readonly backup?: string;
}

/**
 * Refuses an output that cannot be written, as far as that shows beforehand: a PIN is not tried, and nobody is asked
 * for one, for a list that has no place to go.
 *
 * @throws InputError `usage` for `-`, `file-exists` for an output that is another input, `file-unwritable`
 */
export async function checkOutput(place: OutputPlace): Promise<void> {
  if (place.path === '-') {
    throw new InputError('usage', 'a list is not written to standard output', {
      hint: 'give a file; --out ./- is a file of this name',
    });
  }
  const path = await resolveOutput(place);
  const beside = nameBeside(path);
  const tracked = trackUnfinished(beside);
  try {
    await readPrevious(path);
    // By trying: whether a folder takes a file depends on more than its permissions.
    await promises.writeFile(beside, '', { flag: 'wx' });
  } catch (error) {
    throw explainWrite(error, place.path);
  } finally {
    await promises.unlink(beside).catch(() => undefined);
    tracked.end();
  }
}

/**
 * Makes a folder, and those above it; one that is there is used.
 *
 * @throws InputError `file-unwritable`
 */
export async function makeFolder(path: string, hint: string): Promise<void> {
  try {
    await makeLevels(resolve(path));
  } catch (error) {
    throw new InputError('file-unwritable', `the folder ${printable(path)} cannot be made: ${folderReason(error)}`, {
      cause: error,
      hint,
    });
  }
}

/** Not with `recursive` of Node.js: that never ends where a folder is there and still says ENOENT, such as /proc. */
async function makeLevels(path: string): Promise<void> {
  try {
    await makeLevel(path);
  } catch (error) {
    const above = dirname(path);
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT' && above !== path && !(await isFolder(above));
    if (!isMissing) throw error;
    await makeLevels(above);
    await makeLevel(path);
  }
}

async function makeLevel(path: string): Promise<void> {
  try {
    await promises.mkdir(path);
  } catch (error) {
    if (!(await isFolder(path))) throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  const information = await promises.stat(path).catch(() => undefined);
  return information?.isDirectory() === true;
}

/**
 * Writes a file so that at every moment the old or the new one is there whole: beside it, synced, renamed. The
 * previous file is kept in `backups/` with its time and SHA-1. After a failure nothing has changed. A file that has
 * these bytes already is left as it is.
 *
 * @throws InputError `file-exists` for an output that is another input, `file-unwritable`
 */
export async function writeOutput(request: WriteRequest): Promise<WrittenFile> {
  const path = await resolveOutput(request);
  const folder = dirname(path);
  await removeAbandoned(folder, [basename(path)]);
  const beside = nameBeside(path);
  const tracked = trackUnfinished(beside);
  try {
    const previous = await readPrevious(path);
    if (previous !== undefined && equalBytes(previous.bytes, request.bytes)) return { path: request.path };
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
    tracked.end();
  }
}

/**
 * Undoes what {@link writeOutput} did.
 *
 * @param backup where the old content is kept; `undefined` for a file that is new, or that had these bytes before.
 * @param wasThere whether there was a file before.
 */
export async function takeBack(path: string, backup: string | undefined, wasThere: boolean): Promise<void> {
  if (backup !== undefined) await restoreBackup(backup, path);
  else if (!wasThere) await promises.unlink(path);
}

/** Puts the old content of a file back; the folder of backups goes where nothing else is in it. */
export async function restoreBackup(backup: string, path: string): Promise<void> {
  await promises.rename(backup, path);
  await promises.rmdir(dirname(backup)).catch(() => undefined);
}

/** No disk in use has longer names, in bytes. */
const longestName = 255;

/** What {@link nameBeside} adds at the most: a process has a number of seven digits. */
const besideLength = '.'.length + '.4194304-00000000.part'.length;

/** Names differ within a process by counting, and from those of an earlier process of this number by where that began. */
let besideNumber = randomBytes(4).readUInt32BE();

/** A name for what is to become a file, which an earlier run's rest is told by. */
export function nameBeside(path: string): string {
  besideNumber = (besideNumber + 1) % 2 ** 32;
  const number = besideNumber.toString(16).padStart(8, '0');
  return join(dirname(path), `.${labelBeside(basename(path))}.${String(process.pid)}-${number}.part`);
}

/** How a file is named beside its place: by its name, or by the digest of one that leaves no room for more. */
function labelBeside(name: string): string {
  if (Buffer.byteLength(name) + besideLength <= longestName) return name;
  return createHash('sha1').update(name).digest('hex');
}

/** As much of a name as leaves room for what is added to it, by whole characters. */
function shorten(name: string, room: number): string {
  let short = name;
  while (Buffer.byteLength(short) > room) short = Array.from(short).slice(0, -1).join('');
  return short;
}

/** The file that is really written, links followed; refused when it is an input that is not being updated. */
async function resolveOutput(place: OutputPlace): Promise<string> {
  const real = (path: string): Promise<string> => promises.realpath(path).catch(() => resolve(path));
  const target = await real(place.path);
  if (place.updates !== undefined && target === (await real(place.updates))) return target;
  for (const input of place.inputs ?? []) {
    if (target !== (await real(input))) continue;
    const which = input === place.path ? '' : ` (${printable(input)})`;
    throw new InputError('file-exists', `the output ${printable(place.path)} is also an input${which}`, {
      hint: `give another ${place.option ?? '--out'}; nothing was written`,
    });
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
    if (!information.isFile()) {
      throw new InputError('file-unwritable', `${printable(path)} is no file`, { hint: 'give another --out' });
    }
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
export async function keepBackup(path: string, bytes: Uint8Array, changed: Date): Promise<string> {
  return keepBackupAs(path, formatHex(createHash('sha1').update(bytes).digest()), changed);
}

/** The same for a file whose SHA-1 is known, such as one that is too large to be held. */
export async function keepBackupAs(path: string, sha1: string, changed: Date): Promise<string> {
  const folder = join(dirname(path), 'backups');
  await makeLevels(folder).catch((error: unknown) => {
    throw new InputError(
      'file-unwritable',
      `${printable(path)} was not written: the folder ${printable(folder)} cannot be made: ${folderReason(error)}`,
      { cause: error, hint: 'the file that was there before is to be kept in it: move away what is in its place' },
    );
  });
  const time = changed
    .toISOString()
    .replaceAll(':', '-')
    .replace(/\.\d+Z$/, 'Z');
  const label = `.${time}.${sha1}`;
  const backup = join(folder, `${shorten(basename(path), longestName - besideLength - label.length)}${label}`);
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
  const tracked = trackUnfinished(beside);
  try {
    await promises.copyFile(path, beside);
    const file = await promises.open(beside, 'r+');
    await file.sync().finally(() => file.close());
    await promises.rename(beside, backup);
  } catch (error) {
    await promises.unlink(beside).catch(() => undefined);
    throw error;
  } finally {
    tracked.end();
  }
}

/** Makes the names in a folder last. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open folders: there the rename is as safe as the system makes it.
  const handle = await promises.open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/**
 * Removes what earlier runs left in a folder when they were killed between writing and renaming.
 *
 * @param outputs the names of the files that are written here.
 */
export async function removeAbandoned(folder: string, outputs: Iterable<string>): Promise<void> {
  const labels = new Set(Array.from(outputs, labelBeside));
  const names = await promises.readdir(folder).catch(() => []);
  for (const name of names) {
    const [, label, writer] = /^\.(.+)\.(\d+)-[0-9a-f]{8}\.part$/s.exec(name) ?? [];
    if (label !== undefined && labels.has(label) && !isRunning(Number(writer)))
      await promises.unlink(join(folder, name)).catch(() => undefined);
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

const writeFailures: Readonly<Partial<Record<string, string>>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EACCES: 'no permission to write there',
  EPERM: 'no permission to write there',
  EROFS: 'the disk is read-only',
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'its folder is no folder',
  ENAMETOOLONG: 'its name is too long',
};

/** What to do where another place is not the first thing to think of. */
const writeHints: Readonly<Partial<Record<string, string>>> = {
  ENOSPC: 'make room, or give another --out',
  EDQUOT: 'make room, or give another --out',
  ENAMETOOLONG: 'a name has at most 255 bytes, with what is added to it, such as .sgn: give the file a shorter one',
};

/** Where a folder fails for other reasons than a file. */
const folderFailures: Readonly<Partial<Record<string, string>>> = {
  EEXIST: 'a file of this name is there',
  ENOENT: 'no folder can be made in this place',
};

function folderReason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return folderFailures[code] ?? writeFailures[code] ?? code;
}

/** Why a file cannot be written. */
export function explainWrite(error: unknown, path: string): Error {
  if (error instanceof InputError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const reason = writeFailures[code] ?? (code === '' ? 'writing failed' : code);
  const hint = writeHints[code] ?? 'give another --out';
  return new InputError(
    'file-unwritable',
    `${printable(path)} was not written: ${reason}; what was there before is unchanged`,
    { cause: error, hint },
  );
}
