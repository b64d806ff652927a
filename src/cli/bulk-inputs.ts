import { readdirSync, statSync, type BigIntStats, type Dirent } from 'node:fs';
import { basename, join } from 'node:path';
import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { explainRead } from './files.js';
import { isFolderPassedOver } from './watched-names.js';

/** A file that a command is to work on. */
export interface InputFile {
  /** Where it is, as it was given, or below a folder that was given. */
  readonly path: string;
  /** Its place below `--out`: its name, or its path inside the folder that was given. */
  readonly relative: string;
  /** Whether it was given by itself, and not by its folder. */
  readonly named: boolean;
  /** Bytes. */
  readonly size: number;
  /** Which file of the disk it is, whatever its name. */
  readonly identity: string;
}

/** Something in a folder that was left alone. */
export interface PassedOver {
  readonly path: string;
  readonly reason: string;
  /** Whether a person would expect it to be worked on, and has to be told. */
  readonly unexpected: boolean;
}

/** What was found. */
export interface CollectedFiles {
  readonly files: readonly InputFile[];
  readonly passedOver: readonly PassedOver[];
  /** Files that cannot be worked on, with the reason. */
  readonly unusable: readonly { readonly path: string; readonly error: Error }[];
}

/** What to look for. */
export interface Collecting {
  /** Why a file of a folder is left alone; `undefined` for those that are wanted. Files that are given by name are wanted. */
  readonly whyPassedOver: (name: string) => string | undefined;
  /** A folder that is made by the command itself: it is not looked into. */
  readonly out?: string | undefined;
}

/** Which file of the disk something is: two names of one file have the same. */
export function identityOf({ dev, ino }: BigIntStats): string {
  return `${String(dev)}:${String(ino)}`;
}

/** Which file of the disk a path leads to, links followed; `undefined` where there is none. */
export function identityAt(path: string): string | undefined {
  const information = lookAt(path);
  return information === undefined ? undefined : identityOf(information);
}

/** What a path leads to, links followed; `undefined` where there is nothing. */
export function lookAt(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(code)) return undefined;
    throw explainRead(error, path, 'file or folder');
  }
}

/**
 * Finds the files that are given by name or by their folder, folders through and through, in the order of their names.
 * Links in a folder are not followed; one that is given by name is.
 *
 * @throws InputError `file-missing`, `file-unreadable`, `usage`
 */
export function collectFiles(paths: readonly string[], collecting: Collecting): CollectedFiles {
  const found = new Collection(collecting);
  for (const path of paths) found.add(path);
  return found;
}

class Collection implements CollectedFiles {
  readonly files: InputFile[] = [];
  readonly passedOver: PassedOver[] = [];
  readonly unusable: { readonly path: string; readonly error: Error }[] = [];
  readonly #collecting: Collecting;
  readonly #out: string | undefined;
  readonly #known = new Set<string>();

  constructor(collecting: Collecting) {
    this.#collecting = collecting;
    this.#out = collecting.out === undefined ? undefined : identityAt(collecting.out);
  }

  add(path: string): void {
    if (path === '') {
      throw new InputError('usage', 'a file or folder has an empty name', {
        hint: 'is a variable of a script empty? "." is the folder where the command runs',
      });
    }
    if (path === '-') {
      throw new InputError('usage', 'signed files are not read from standard input', {
        hint: 'give files or folders; ./- is a file of this name',
      });
    }
    const information = this.#look(path);
    if (information.isDirectory()) this.#walk(path, '');
    else this.#take(path, basename(path), true, information);
  }

  #look(path: string): BigIntStats {
    try {
      return statSync(path, { bigint: true });
    } catch (error) {
      throw explainRead(error, path, 'file or folder');
    }
  }

  #take(path: string, relative: string, named: boolean, information: BigIntStats): void {
    if (!information.isFile()) {
      throw new InputError('file-unreadable', `${printable(path)} is neither a file nor a folder`, {
        hint: 'give files and folders',
      });
    }
    // Given twice, by itself and by its folder for instance: it is one file with one place.
    const place = `${relative}\0${path}`;
    if (this.#known.has(place)) return;
    this.#known.add(place);
    this.files.push({ path, relative, named, size: Number(information.size), identity: identityOf(information) });
  }

  #walk(folder: string, relative: string): void {
    let entries: Dirent<Buffer>[];
    try {
      entries = readdirSync(folder, { withFileTypes: true, encoding: 'buffer' });
    } catch (error) {
      const unreadable = explainRead(error, folder, 'folder');
      if (relative === '') throw unreadable;
      this.unusable.push({ path: folder, error: unreadable });
      return;
    }
    entries.sort((left, right) => Buffer.compare(left.name, right.name));
    for (const entry of entries) this.#visit(folder, relative, entry);
  }

  #visit(folder: string, relative: string, entry: Dirent<Buffer>): void {
    const name = entry.name.toString('utf8');
    const path = join(folder, name);
    const below = join(relative, name);
    if (!Buffer.from(name, 'utf8').equals(entry.name)) {
      const error = new InputError('file-unreadable', `the name of ${printable(path)} is not UTF-8`, {
        hint: 'rename it: FILENAME of a signed file is UTF-8, and phones ask for it so',
      });
      this.unusable.push({ path, error });
    } else if (entry.isSymbolicLink()) {
      this.#passOver(path, 'a link, not followed', true);
    } else if (entry.isDirectory()) {
      this.#enter(path, below);
    } else if (entry.isFile()) {
      const why = this.#collecting.whyPassedOver(name);
      if (why === undefined) this.#takeFound(path, below);
      else this.#passOver(path, why, false);
    } else {
      this.#passOver(path, 'no file', true);
    }
  }

  #enter(path: string, below: string): void {
    if (this.#out !== undefined && identityAt(path) === this.#out) this.#passOver(path, 'the folder of --out', false);
    else if (isFolderPassedOver(path)) this.#passOver(path, 'a folder of backups, or hidden', false);
    else this.#walk(path, below);
  }

  /** A file may be gone between the look at its folder and the look at itself: then it is no file of the folder. */
  #takeFound(path: string, below: string): void {
    const information = lookAt(path);
    if (information?.isFile() === true) this.#take(path, below, false, information);
  }

  #passOver(path: string, reason: string, unexpected: boolean): void {
    this.passedOver.push({ path, reason, unexpected });
  }
}
