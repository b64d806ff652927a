import { createHash } from 'node:crypto';
import { copyFile, lstat, mkdir, mkdtemp, open, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError } from '../errors.js';

/** A file to be written. */
export interface NewFile {
  /** Relative to the folder, with `/` between names. */
  readonly path: string;
  readonly content: string;
  /** Permissions, e.g. 0o600. */
  readonly mode: number;
}

/** How {@link placeFiles} treats what is there. */
export interface PlacingOptions {
  /** Whether existing files are replaced. They are kept in `backups/`, with the time and their SHA-1 in the name. */
  readonly overwrite: boolean;
}

/**
 * Writes several files into a folder: all of them, or none. They are written beside and renamed into place, the last one
 * last, so that a file that names the others never stands there without them. Makes the folder when there is none.
 *
 * @throws InputError `file-exists` when one is there and must not be overwritten, `file-unwritable` when writing fails;
 *   the folder is then as it was.
 */
export async function placeFiles(directory: string, files: readonly NewFile[], options: PlacingOptions): Promise<void> {
  const target = resolve(directory);
  const existing = await findExisting(directory, files, options.overwrite);
  const undo = new UndoList();
  try {
    if (await isThere(target)) await placeInside(target, files, existing, undo);
    else await placeWhole(target, files, undo);
  } catch (error) {
    await undo.run();
    if (error instanceof InputError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError('file-unwritable', `the files for ${directory} could not be written: ${reason}`, {
      hint: 'check the folder, its permissions and the free space; nothing was left behind',
      cause: error,
    });
  }
}

/** The steps that take back what was done, newest first. */
class UndoList {
  readonly #steps: (() => Promise<unknown>)[] = [];

  add(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (const step of this.#steps.reverse()) {
      // What cannot be taken back must not hide why it had to be.
      await step().catch(() => undefined);
    }
  }
}

/** A folder that does not exist yet appears whole, by one rename. */
async function placeWhole(target: string, files: readonly NewFile[], undo: UndoList): Promise<void> {
  const parent = dirname(target);
  await makeFolder(parent, undo);
  const beside = await mkdtemp(join(parent, `.${basename(target).slice(0, 40)}-`));
  undo.add(() => rm(beside, { recursive: true, force: true }));
  const whole = join(beside, 'new');
  await mkdir(whole);
  await writeFiles(whole, files);
  await rename(whole, target);
  await rmdir(beside).catch(() => undefined);
}

/** Into a folder that is there the files go one by one; a failure on the way takes all of them out again. */
async function placeInside(
  target: string,
  files: readonly NewFile[],
  existing: readonly NewFile[],
  undo: UndoList,
): Promise<void> {
  const beside = await mkdtemp(join(target, '.new-'));
  undo.add(() => rm(beside, { recursive: true, force: true }));
  await writeFiles(beside, files);
  for (const file of files) {
    const path = join(target, file.path);
    await makeFolder(dirname(path), undo, folderMode(file));
    if (existing.includes(file)) {
      const backup = await keepBackup(target, file.path, undo);
      await rename(join(beside, file.path), path);
      undo.add(() => rename(backup, path));
    } else {
      await rename(join(beside, file.path), path);
      undo.add(() => rm(path));
    }
  }
  await rm(beside, { recursive: true, force: true }).catch(() => undefined);
}

async function writeFiles(folder: string, files: readonly NewFile[]): Promise<void> {
  for (const file of files) {
    const path = join(folder, file.path);
    await mkdir(dirname(path), { recursive: true, mode: folderMode(file) });
    const handle = await open(path, 'wx', file.mode);
    try {
      await handle.writeFile(file.content);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** A folder of secret files is as secret as they are. */
function folderMode(file: NewFile): number {
  return (file.mode & 0o077) === 0 && file.path.includes('/') ? 0o700 : 0o777;
}

/** Makes a folder and those above it. Taking it back takes out those that were made, as far as they are empty. */
async function makeFolder(path: string, undo: UndoList, mode = 0o777): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode });
  if (first === undefined) return;
  undo.add(async () => {
    for (let folder = path; folder.length >= first.length; folder = dirname(folder)) await rmdir(folder);
  });
}

async function keepBackup(target: string, path: string, undo: UndoList): Promise<string> {
  const content = await readFile(join(target, path));
  const { mtime } = await stat(join(target, path));
  // The name that the command gives the backups of its lists: when the file was changed, and its SHA-1.
  const time = mtime
    .toISOString()
    .replaceAll(':', '-')
    .replace(/\.\d+Z$/, 'Z');
  const backup = join(target, 'backups', `${path}.${time}.${createHash('sha1').update(content).digest('hex')}`);
  await makeFolder(dirname(backup), undo, 0o700);
  await copyFile(join(target, path), backup);
  undo.add(() => rm(backup, { force: true }));
  return backup;
}

/**
 * Which of several files are there already.
 *
 * @throws InputError `file-exists` when some are and must not be overwritten, or when one is no file.
 */
export async function findExisting<File extends Pick<NewFile, 'path'>>(
  directory: string,
  files: readonly File[],
  overwrite: boolean,
): Promise<readonly File[]> {
  const existing: File[] = [];
  for (const file of files) {
    const path = join(directory, file.path);
    const found = await lstat(path).catch(noneThere);
    if (found === undefined) continue;
    if (!found.isFile() && !found.isSymbolicLink()) {
      throw new InputError('file-exists', `${path} is there and is not a file`, { hint: 'move it out of the way' });
    }
    existing.push(file);
  }
  if (existing.length === 0 || overwrite) return existing;
  const shown = existing.slice(0, 5).map(({ path }) => path);
  const more = existing.length > shown.length ? ` and ${existing.length - shown.length} more` : '';
  throw new InputError('file-exists', `in ${directory} there is already ${shown.join(', ')}${more}`, {
    hint: 'choose another folder, or say that existing files are to be overwritten',
  });
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(noneThere)) !== undefined;
}

function noneThere(error: unknown): undefined {
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return undefined;
  throw new InputError('file-unwritable', `${path ?? 'the folder'} cannot be used (${code ?? 'unknown error'})`, {
    hint: 'choose a folder, and check that nothing but folders is on the way to it',
    cause: error,
  });
}
