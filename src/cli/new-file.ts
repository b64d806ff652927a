import {
  closeSync,
  fchmodSync,
  fdatasync,
  fstatSync,
  fsync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  write,
  writeSync,
  type Stats,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import { equalBytes, printable } from '../bytes/index.js';
import { InputError, RefusalError } from '../errors.js';
import { explainWrite, keepBackupAs, makeFolder, nameBeside, removeAbandoned, syncFolder } from './files.js';
import { digestSource, withSource } from './source-file.js';
import { trackUnfinished } from './unfinished-files.js';

const writeAt = promisify(write);
const syncFile = promisify(fsync);
const syncContent = promisify(fdatasync);

/** After so many bytes the disk begins to take them, while the next ones are made. */
const syncedTogether = 64 * 1024 * 1024;

/** What became of an output. */
export interface PutFile {
  readonly path: string;
  /** Bytes. */
  readonly length: number;
  /** Whether the file that was there had these bytes, and was left. */
  readonly unchanged: boolean;
  /** Where the file that was there before is kept. */
  readonly backup?: string;
}

/**
 * The folders that one run writes into. They are made when the first file comes; what killed runs left in them is
 * removed then, and their names are made to last once, at the end, not for each file.
 */
export class OutputFolders {
  readonly #ready = new Map<string, Promise<void>>();
  #last: Promise<void> = Promise.resolve();
  readonly #outputs: ReadonlyMap<string, readonly string[]>;
  readonly #made = new Map<string, string>();

  /** @param outputs the paths of all that will be written, where that is known. */
  constructor(outputs: readonly string[] = []) {
    const names = new Map<string, string[]>();
    for (const path of outputs) {
      const others = names.get(dirname(path));
      if (others === undefined) names.set(dirname(path), [basename(path)]);
      else others.push(basename(path));
    }
    this.#outputs = names;
  }

  /** @throws InputError `file-unwritable` */
  prepare(path: string): Promise<void> {
    const folder = dirname(path);
    let ready = this.#ready.get(folder);
    if (ready === undefined) {
      const make = async (): Promise<void> => {
        await makeFolder(folder, 'give another --out');
        await removeAbandoned(folder, this.#outputs.get(folder) ?? [basename(path)]);
      };
      // One after the other: a folder and the one above it are not made at the same time.
      ready = this.#last.then(make);
      this.#last = ready.catch(() => undefined);
      this.#ready.set(folder, ready);
    }
    return ready;
  }

  /**
   * That a file is the work of this run already shows on disks that know one name for two.
   *
   * @throws RefusalError `unsafe-output`
   */
  refuseMade(path: string, { dev, ino }: Stats): void {
    const made = this.#made.get(`${String(dev)}:${String(ino)}`);
    // Another run may have put its own file in the place of that one: then its number is that of any new file.
    if (made === undefined) return;
    const present = statSync(made, { throwIfNoEntry: false });
    if (present?.dev !== dev || present.ino !== ino) return;
    throw new RefusalError('unsafe-output', `${printable(path)} was made from another file a moment ago`, {
      hint: 'on this disk the two names are one: give them different names, or each its own --out',
    });
  }

  noteMade(path: string, { dev, ino }: Stats): void {
    this.#made.set(`${String(dev)}:${String(ino)}`, path);
  }

  /** Makes the new names last. */
  async sync(): Promise<void> {
    for (const folder of this.#ready.keys()) await syncFolder(folder);
  }
}

/** A file on its way: it is written beside its place, and moved there when it is whole and on the disk. */
export class NewFile {
  readonly path: string;
  readonly #beside: string;
  readonly #descriptor: number;
  readonly #tracked: { readonly end: () => void };
  readonly #folders: OutputFolders;
  readonly #mode: number;
  #length = 0;
  #open = true;
  #inPlace = false;
  /** What the disk was told to take. A failure is told here and nowhere else. */
  #syncing: Promise<void> = Promise.resolve();
  #synced = 0;

  private constructor(path: string, folders: OutputFolders, mode: number) {
    this.path = path;
    this.#folders = folders;
    this.#mode = mode;
    this.#beside = nameBeside(path);
    this.#tracked = trackUnfinished(this.#beside);
    try {
      this.#descriptor = openSync(this.#beside, 'wx', mode);
    } catch (error) {
      this.#tracked.end();
      throw explainWrite(error, path);
    }
  }

  /**
   * @param mode its permissions. Those of a file that is there are kept, unless this one is for its owner only.
   * @throws InputError `file-unwritable`
   */
  static async begin(path: string, folders: OutputFolders, mode = 0o644): Promise<NewFile> {
    await folders.prepare(path);
    return new NewFile(path, folders, mode);
  }

  /** @throws InputError `file-unwritable` */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.length;) {
        const part = bytes.subarray(done);
        done += (await writeAt(this.#descriptor, part, 0, part.length, position + done)).bytesWritten;
      }
    } catch (error) {
      throw explainWrite(error, this.path);
    }
    this.#length = Math.max(this.#length, position + bytes.length);
    if (this.#length - this.#synced >= syncedTogether) this.#syncSoFar();
  }

  /** The same at once, for a file that is small. @throws InputError `file-unwritable` */
  writeNow(bytes: Uint8Array): void {
    try {
      while (this.#length < bytes.length) {
        this.#length += writeSync(this.#descriptor, bytes, this.#length, bytes.length - this.#length, this.#length);
      }
    } catch (error) {
      throw explainWrite(error, this.path);
    }
  }

  /**
   * Puts the file into its place. The one that was there is kept in `backups/`, or left when it is the same.
   *
   * @param isOther whether the one that is there is known to be another, or none.
   */
  async put(isOther = false): Promise<PutFile> {
    const { path } = this;
    try {
      const before = isOther ? undefined : this.#lookAtPrevious();
      if (before !== undefined && (await this.#isSame(before))) {
        this.discard();
        return { path, length: this.#length, unchanged: true };
      }
      await this.#syncing;
      await syncFile(this.#descriptor);
      // Now, and not before: nothing else of this process happens between this look and the move.
      const previous = this.#lookAtPrevious();
      const backup = previous === undefined ? undefined : await this.#backUp(previous);
      const information = fstatSync(this.#descriptor);
      this.#close();
      renameSync(this.#beside, path);
      this.#inPlace = true;
      this.#tracked.end();
      this.#folders.noteMade(path, information);
      return { path, length: this.#length, unchanged: false, ...(backup === undefined ? {} : { backup }) };
    } catch (error) {
      this.discard();
      throw error instanceof RefusalError ? error : explainWrite(error, path);
    }
  }

  /** Leaves nothing of the file; what was there before stays. It can be called again. */
  discard(): void {
    if (this.#inPlace) return;
    this.#close();
    try {
      unlinkSync(this.#beside);
    } catch {
      // It is gone, or in its place.
    }
    this.#tracked.end();
  }

  /** @throws RefusalError `unsafe-output`; InputError `file-unwritable` */
  #lookAtPrevious(): Stats | undefined {
    const previous = statSync(this.path, { throwIfNoEntry: false });
    if (previous === undefined) return undefined;
    this.#folders.refuseMade(this.path, previous);
    if (!previous.isFile()) {
      throw new InputError('file-unwritable', `${printable(this.path)} is no file`, { hint: 'give another --out' });
    }
    return previous;
  }

  async #backUp(previous: Stats): Promise<string> {
    const isPrivate = (this.#mode & 0o077) === 0;
    fchmodSync(this.#descriptor, previous.mode & (isPrivate ? this.#mode : 0o777));
    return keepBackupAs(this.path, await digestFile(this.path), previous.mtime);
  }

  #syncSoFar(): void {
    this.#synced = this.#length;
    this.#syncing = this.#syncing.then(() => syncContent(this.#descriptor));
    this.#syncing.catch(() => undefined);
  }

  async #isSame(previous: Stats): Promise<boolean> {
    if (previous.size !== this.#length) return false;
    const [made, present] = [await digestFile(this.#beside), await digestFile(this.path)];
    return made === present;
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    // Nothing that is under way may find another file under the number of this one.
    if (this.#synced === 0) closeSync(this.#descriptor);
    else void this.#syncing.catch(() => undefined).then(() => closeSync(this.#descriptor));
  }
}

/** Makes a small file in one go; one that is there with the same bytes is left as it is. */
export async function putSmallFile(
  path: string,
  bytes: Uint8Array,
  folders: OutputFolders,
  mode?: number,
): Promise<PutFile> {
  if (await hasBytes(path, bytes)) return { path, length: bytes.length, unchanged: true };
  const file = await NewFile.begin(path, folders, mode);
  try {
    file.writeNow(bytes);
    return await file.put(true);
  } finally {
    file.discard();
  }
}

/** Whether a file is there and has these bytes. */
export async function hasBytes(path: string, bytes: Uint8Array): Promise<boolean> {
  const present = lookAt(path);
  if (present?.isFile() !== true || present.size !== bytes.length) return false;
  return withSource(path, (source) => Promise.resolve(equalBytes(source.readWhole(), bytes)));
}

/** @throws InputError `file-unwritable` */
function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw explainWrite(error, path);
  }
}

/** SHA-1, as backups are named. */
async function digestFile(path: string): Promise<string> {
  return withSource(path, (source) => digestSource(source, 'sha1'));
}
