import { promises } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { equalBytes, printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { explainWrite, keepBackup, nameBeside, readInput, restoreBackup, syncFolder } from './files.js';
import { trackUnfinished } from './unfinished-files.js';

/** How a list gets a second name: a link to its file, or a file of its own with the same bytes. */
export type LinkKind = 'hard' | 'symbolic' | 'copy';

/** The phones whose names a list gets beside its own, since they ask for these first (rule P1). */
export interface DeviceFiles {
  /** Names such as `SEP001122334455`. */
  readonly names: readonly string[];
  readonly kind: LinkKind;
}

/** A name that was made, and what makes it undone. */
export interface UndoStep {
  readonly path: string;
  readonly takeBack: () => Promise<void>;
}

/** Above all inventories, and far below what a folder can hold. */
const mostDevices = 100_000;

/**
 * The phones that options name.
 *
 * @param given MAC addresses in any usual spelling, or device names.
 * @param path a file with one of them on each line; empty lines and what follows `#` are left out.
 * @returns device names, each once, in their order.
 * @throws InputError `usage` for what is none; `file-missing`, `file-unreadable`
 */
export async function readDevices(given: readonly string[], path: string | undefined): Promise<readonly string[]> {
  const names = given.map((text) => parseDevice(text, '--device'));
  if (path !== undefined) {
    const text = new TextDecoder().decode(await readInput(path, 'list of phones'));
    for (const [index, line] of text.split(/\r\n|\r|\n/).entries()) {
      const word = line
        .replace(/^\ufeff/, '')
        .replace(/#.*/, '')
        .trim();
      if (word !== '') names.push(parseDevice(word, `${printable(path)}, line ${String(index + 1)}`));
    }
  }
  if (names.length > mostDevices) {
    throw new InputError('usage', `${String(names.length)} phones are named, and ${String(mostDevices)} are the most`);
  }
  return [...new Set(names)];
}

function parseDevice(text: string, where: string): string {
  const digits = text.replace(/^SEP/i, '').replaceAll(/[:.-]/g, '').toUpperCase();
  if (/^[0-9A-F]{12}$/.test(digits)) return `SEP${digits}`;
  throw new InputError('usage', `${where}: ${printable(text.slice(0, 60))} is no MAC address`, {
    hint: 'write it as 001122334455, 00:11:22:33:44:55 or SEP001122334455',
  });
}

/** The file under which a phone asks for its ITL. */
export function deviceListPath(listPath: string, device: string): string {
  return join(dirname(listPath), `ITL${device}.tlv`);
}

/**
 * Refuses names that would take the place of a file which the command reads.
 *
 * @throws InputError `file-exists`; `file-unwritable` for a folder of such a name
 */
export async function checkLinks(paths: readonly string[], inputs: readonly string[]): Promise<void> {
  if (paths.length === 0) return;
  // Another name for an input does no harm to it; its own name, or the file that it leads to, would be gone.
  const places = inputs.map(async (input) => [
    await placeOf(input),
    await promises.realpath(input).catch(() => resolve(input)),
  ]);
  const kept = new Set((await Promise.all(places)).flat());
  for (const path of paths) {
    await refuseFolder(path);
    if (!kept.has(await placeOf(path))) continue;
    throw new InputError('file-exists', `the output ${printable(path)} is also an input`, {
      hint: 'give another --out; nothing was written',
    });
  }
}

async function refuseFolder(path: string): Promise<void> {
  const present = await promises.lstat(path).catch(() => undefined);
  if (present === undefined || present.isFile() || present.isSymbolicLink()) return;
  throw new InputError('file-unwritable', `${printable(path)} is no file`, {
    hint: 'give another --out; nothing was written',
  });
}

/** The name itself, links above it followed. */
async function placeOf(path: string): Promise<string> {
  const folder = dirname(resolve(path));
  return join(await promises.realpath(folder).catch(() => folder), basename(path));
}

/**
 * Gives a list further names in its folder, each made beside and renamed, so that at every moment the old or the new one
 * is there whole. A file that stood there with other bytes is kept in `backups/`.
 *
 * @param list the file, which is there.
 * @param progress told how many are made, now and then.
 * @param undo gets what takes each name back, as long as the list is there.
 * @throws InputError `file-unwritable`
 */
export async function linkList(
  list: string,
  paths: readonly string[],
  kind: LinkKind,
  progress: (done: number) => void,
  undo: UndoStep[],
): Promise<void> {
  for (const [index, path] of paths.entries()) {
    undo.push(await linkOne(list, path, kind));
    if ((index + 1) % 100 === 0 || index + 1 === paths.length) progress(index + 1);
  }
  if (paths.length > 0) await syncFolder(dirname(list));
}

async function linkOne(list: string, path: string, kind: LinkKind): Promise<UndoStep> {
  const beside = nameBeside(path);
  const tracked = trackUnfinished(beside);
  try {
    const present = await promises.lstat(path).catch(() => undefined);
    const target = present?.isSymbolicLink() === true ? await promises.readlink(path) : undefined;
    const backup = present?.isFile() === true ? await keepOther(path, list, present.mtime) : undefined;
    await makeName(list, beside, kind);
    await promises.rename(beside, path);
    // Of two names for one file, renaming leaves both (POSIX rename).
    await promises.unlink(beside).catch(() => undefined);
    return {
      path,
      takeBack: async () => {
        if (backup !== undefined) await restoreBackup(backup, path);
        else if (target !== undefined) await promises.unlink(path).then(() => promises.symlink(target, path));
        else if (present === undefined) await promises.unlink(path);
        // It had the bytes that the list has now, and the list will get others.
        else if (kind === 'symbolic') await promises.unlink(path).then(() => promises.copyFile(list, path));
      },
    };
  } catch (error) {
    await promises.unlink(beside).catch(() => undefined);
    throw explainLink(error, path, kind);
  } finally {
    tracked.end();
  }
}

async function makeName(list: string, beside: string, kind: LinkKind): Promise<void> {
  if (kind === 'hard') await promises.link(list, beside);
  else if (kind === 'symbolic') await promises.symlink(basename(list), beside);
  else {
    await promises.copyFile(list, beside);
    const file = await promises.open(beside, 'r+');
    await file.sync().finally(() => file.close());
  }
}

async function keepOther(path: string, list: string, changed: Date): Promise<string | undefined> {
  const bytes = await promises.readFile(path);
  return equalBytes(bytes, await promises.readFile(list)) ? undefined : keepBackup(path, bytes, changed);
}

/**
 * The names of phones beside a list that do not lead to its bytes: those phones would go on getting an old list.
 *
 * @param list the file, which is there; under another name than `ITLFile.tlv` it is none that phones are given.
 * @returns paths.
 */
export async function otherLists(list: string): Promise<readonly string[]> {
  if (basename(list) !== 'ITLFile.tlv') return [];
  const own = await promises.stat(list);
  const bytes = await promises.readFile(list);
  const others: string[] = [];
  for (const name of (await promises.readdir(dirname(list))).sort()) {
    if (!/^ITLSEP[0-9A-F]{12}\.tlv$/i.test(name)) continue;
    const path = join(dirname(list), name);
    const there = await promises.stat(path).catch(() => undefined);
    if (there?.dev === own.dev && there.ino === own.ino) continue;
    const isSame = there?.size === own.size && equalBytes(await promises.readFile(path), bytes);
    if (!isSame) others.push(path);
  }
  return others;
}

function explainLink(error: unknown, path: string, kind: LinkKind): Error {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (kind === 'copy' || !['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EMLINK', 'ENOSYS'].includes(code)) {
    return explainWrite(error, path);
  }
  return new InputError('file-unwritable', `${printable(path)} cannot be a ${kind} link here: ${code}`, {
    hint: 'give --link copy; nothing was written',
    cause: error,
  });
}
