import { accessSync, constants, lstatSync, realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { printable } from '../bytes/index.js';
import { InputError, RefusalError } from '../errors.js';
import { identityAt, identityOf, lookAt, type InputFile } from './bulk-inputs.js';
import { explainWrite } from './files.js';

/** A file that is to be worked on, and what comes of it. */
export interface PlacedFile extends InputFile {
  readonly outputs: readonly string[];
}

/** Where outputs go. */
export interface Placing {
  /** The names of the outputs of a file, from its own: e.g. with `.sgn` behind. */
  readonly outputNames: (file: InputFile) => readonly string[];
  /** The folder of all outputs; beside each input unless given. */
  readonly out?: string | undefined;
  /** Other files that the command reads, such as keys: none is overwritten. */
  readonly guarded: readonly string[];
  /** Takes files whose output the disk can have no name for; without it such a failure is thrown. */
  readonly onUnusable?: (path: string, error: Error) => void;
}

/** @throws InputError `usage` for `--out ''`: a script whose variable is empty would write into the working folder */
export function requireOut(out: string | undefined): void {
  if (out !== '') return;
  throw new InputError('usage', '--out is empty', {
    hint: 'is a variable of a script empty? "--out ." is the folder where the command runs',
  });
}

/**
 * Finds the place of each output, and looks at all of them before anything is written.
 *
 * @throws RefusalError `unsafe-output` for an output that is an input, by whatever name, that two inputs give, that is a
 *   link, or that would leave `--out`; InputError `file-unwritable`, `usage` for an empty `--out`
 */
export function placeOutputs(files: readonly InputFile[], placing: Placing): readonly PlacedFile[] {
  requireOut(placing.out);
  const readFiles = new Map(files.map(({ identity, path }) => [identity, path]));
  for (const path of placing.guarded) {
    const identity = identityAt(path);
    if (identity !== undefined) readFiles.set(identity, path);
  }
  const folders = new Folders(placing.out);
  const taken = new Map<string, string>();
  return files.flatMap((file) => {
    const outputs = placing.outputNames(file).map((name) => outputPath(file, name, placing.out));
    const tooLong = outputs.map(explainTooLong).find((error) => error !== undefined);
    if (tooLong !== undefined) {
      if (placing.onUnusable === undefined) throw tooLong;
      placing.onUnusable(file.path, tooLong);
      return [];
    }
    for (const output of outputs) {
      const key = folders.check(output);
      const other = taken.get(key);
      // A folder that was given twice, the second time inside another: one file with one place.
      if (other === file.path) return [];
      if (other !== undefined) throw refuseSame(output, other, file.path);
      taken.set(key, file.path);
      checkPresent(output, readFiles);
    }
    return [{ ...file, outputs }];
  });
}

function outputPath(file: InputFile, name: string, out: string | undefined): string {
  // The name is the last part of a path; with a separator in it, it would be more than that.
  if (name === '' || name === '.' || name === '..' || name.includes(sep) || name.includes('/') || name.includes('\0')) {
    throw refuse(`${printable(file.path)} gives an output with the name "${printable(name)}"`, 'rename it');
  }
  return out === undefined ? join(dirname(file.path), name) : join(out, dirname(file.relative), name);
}

/** The folders of outputs; each is looked at once. */
class Folders {
  readonly #out: string | undefined;
  readonly #realOut: string | undefined;
  readonly #real = new Map<string, string>();

  constructor(out: string | undefined) {
    this.#out = out;
    this.#realOut = out === undefined ? undefined : realFolder(out);
  }

  /** @returns the same for two names of one place. */
  check(output: string): string {
    const folder = dirname(output);
    let real = this.#real.get(folder);
    if (real === undefined) {
      real = realFolder(folder);
      this.#requireInside(folder, real);
      requireWritable(folder, real);
      this.#real.set(folder, real);
    }
    const path = join(real, basename(output));
    const foldsCase = process.platform === 'win32' || process.platform === 'darwin';
    return foldsCase ? path.normalize('NFC').toLowerCase() : path;
  }

  #requireInside(folder: string, real: string): void {
    if (this.#realOut === undefined || this.#out === undefined) return;
    const path = relative(this.#realOut, real);
    if (path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path)) return;
    throw refuse(
      `${printable(folder)} leads out of ${printable(this.#out)}, to ${printable(real)}`,
      'give another --out, or remove the link',
    );
  }
}

/** The real path of a folder, or what it will be when it is made. */
function realFolder(folder: string): string {
  const path = resolve(folder);
  try {
    return realpathSync(path);
  } catch (error) {
    const above = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === path) throw explainWrite(error, folder);
    return join(realFolder(above), path.slice(above.length));
  }
}

/** As far as it shows beforehand: a PIN is not tried for files that have no place to go. */
function requireWritable(folder: string, real: string): void {
  let present = real;
  while (lookAt(present) === undefined && dirname(present) !== present) present = dirname(present);
  try {
    if (lookAt(present)?.isDirectory() !== true) {
      throw new InputError('file-unwritable', `${printable(present)} is no folder`, { hint: 'give another --out' });
    }
    accessSync(present, constants.W_OK);
  } catch (error) {
    throw explainWrite(error, folder);
  }
}

/** Why the disk can have no file of this name. */
function explainTooLong(output: string): InputError | undefined {
  try {
    lstatSync(output, { throwIfNoEntry: false });
    return undefined;
  } catch (error) {
    // What else is wrong with the place is told by the look at its folder.
    if ((error as NodeJS.ErrnoException).code !== 'ENAMETOOLONG') return undefined;
    return new InputError('file-unwritable', `${printable(output)} was not written: its name is too long`, {
      hint: 'give the file a shorter name: most disks take 255 bytes, with what is added to it',
      cause: error,
    });
  }
}

function checkPresent(output: string, readFiles: ReadonlyMap<string, string>): void {
  // Most outputs are new, and their folders were found good before.
  const link = lstatSync(output, { throwIfNoEntry: false });
  if (link === undefined) return;
  const present = lookAt(output);
  const input = present === undefined ? undefined : readFiles.get(identityOf(present));
  if (input !== undefined) {
    const which = input === output ? '' : ` (${printable(input)})`;
    throw refuse(`the output ${printable(output)} is also an input${which}`, 'give another --out');
  }
  if (link.isSymbolicLink()) {
    throw refuse(`the output ${printable(output)} is a link`, 'remove the link, or give another --out');
  }
  if (!link.isFile()) {
    throw new InputError('file-unwritable', `the output ${printable(output)} is there and is no file`, {
      hint: 'give another --out; nothing was written',
    });
  }
}

function refuseSame(output: string, first: string, second: string): RefusalError {
  return refuse(
    `${printable(first)} and ${printable(second)} would both become ${printable(output)}`,
    'give each its own --out',
  );
}

function refuse(what: string, hint: string): RefusalError {
  return new RefusalError('unsafe-output', what, { hint: `${hint}; nothing was written` });
}
