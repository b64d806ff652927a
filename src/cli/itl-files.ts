import { existsSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import type { TrustList } from '../trust-list/index.js';
import { writeTogether } from './commands/cluster-files.js';
import { checkLinks, deviceListPath, linkList, otherLists, type DeviceFiles, type UndoStep } from './device-names.js';
import { checkOutput, makeFolder, takeBack } from './files.js';
import type { Output } from './output.js';
import { missingFolders, removeEmpty } from './tftp-folders.js';

/** A list that is to be written for a node. */
export interface ListTarget {
  readonly node: string;
  readonly path: string;
}

/** Lists that are to be written, and what must not be lost by it. */
export interface ListPlaces {
  readonly targets: readonly ListTarget[];
  /** The folder that is made with those below it, where it is not there. */
  readonly out?: string;
  /** Files that the command read. */
  readonly inputs: readonly string[];
  /** The input that one of the targets is the new state of. */
  readonly updates?: string | undefined;
  readonly devices?: DeviceFiles | undefined;
  /** Told how many of all names of phones are made. */
  readonly progress?: (done: number, total: number) => void;
}

/** A list that was written. */
export interface WrittenList extends ListTarget {
  readonly list: TrustList;
  /** Where the previous list is kept. */
  readonly backup: string | null;
  /** The names that phones ask for. */
  readonly devices: readonly string[];
  /** Names of phones beside it that lead to another list. */
  readonly others: readonly string[];
}

/**
 * Writes lists for several nodes: all of them, or none. That each has a place to go is looked at before they are made,
 * so that no PIN is asked for in vain.
 *
 * @param make gives the lists by the names of their nodes.
 * @throws InputError `file-exists`, `file-unwritable`, and what `make` throws
 */
export async function writeLists(
  places: ListPlaces,
  make: () => Promise<ReadonlyMap<string, TrustList>>,
): Promise<readonly WrittenList[]> {
  const { targets, inputs, updates } = places;
  const place = { inputs, ...(updates === undefined ? {} : { updates }) };
  const { names, kind } = places.devices ?? { names: [], kind: 'symbolic' };
  const namesBeside = (path: string): readonly string[] => names.map((name) => deviceListPath(path, name));
  const made = places.out === undefined ? [] : await makeFolders(places.out, targets);
  const undo: UndoStep[] = [];
  try {
    for (const { path } of targets) {
      await checkOutput({ ...place, path });
      await checkLinks(namesBeside(path), inputs);
    }
    const lists = await make();
    const wanted = targets.flatMap((target) => {
      const list = lists.get(target.node);
      return list === undefined ? [] : [{ ...target, list }];
    });
    const before = wanted.map(({ path }) => ({ file: realFile(path), wasThere: existsSync(path) }));
    const written = await writeTogether(wanted.map(({ path, list }) => ({ ...place, path, bytes: list.bytes })));
    for (const [index, { file, wasThere }] of before.entries()) {
      const backup = written[index]?.backup;
      undo.push({ path: file, takeBack: () => takeBack(file, backup, wasThere) });
    }
    const result: WrittenList[] = [];
    for (const [index, one] of wanted.entries()) {
      const devices = namesBeside(one.path);
      const earlier = index * devices.length;
      const total = wanted.length * devices.length;
      await linkList(one.path, devices, kind, (done) => places.progress?.(earlier + done, total), undo);
      const others = await otherLists(one.path);
      result.push({ ...one, backup: written[index]?.backup ?? null, devices, others });
    }
    return result;
  } catch (error) {
    const left = await undoAll(undo);
    await removeEmpty(made);
    throw left.length === 0 ? error : explainLeft(error, left);
  }
}

function realFile(path: string): string {
  return existsSync(path) ? realpathSync(path) : resolve(path);
}

/** The names first, then the lists that they lead to. @returns what could not be taken back. */
async function undoAll(steps: readonly UndoStep[]): Promise<readonly string[]> {
  const left: string[] = [];
  for (const { path, takeBack: undoOne } of steps.toReversed()) await undoOne().catch(() => left.push(path));
  return left;
}

/** What is new although the command failed must be known to whoever puts files on the servers. */
function explainLeft(error: unknown, left: readonly string[]): InputError {
  const reason = error instanceof Error ? error.message : String(error);
  const places = left.slice(0, 5).map(printable).join(', ');
  const more = left.length > 5 ? ` and ${String(left.length - 5)} more` : '';
  return new InputError('file-unwritable', `${reason}; and could not be put back: ${places}${more}`, {
    hint: 'these files are new, and the others are as they were: run the command again, or take the old ones from backups/',
    cause: error,
  });
}

/** Says which phones would go on getting an old list, since they ask for their own name first (rule P1). */
export function warnOfOthers(others: readonly string[], output: Output): void {
  const [first] = others;
  if (first === undefined) return;
  const more = others.length === 1 ? '' : ` and ${String(others.length - 1)} more`;
  const what = `P1: ${printable(first)}${more} beside it: another list, which these phones ask for first`;
  output.warning(`${what}; name them with --device or --devices, or remove the files`);
}

async function makeFolders(out: string, targets: readonly ListTarget[]): Promise<readonly string[]> {
  const folders = [out, ...new Set(targets.map(({ path }) => dirname(path)))];
  const missing = await missingFolders(folders);
  for (const folder of missing) await makeFolder(folder, 'give another --out');
  return missing;
}

/** How many names of phones a list got, in words; nothing where there are none. */
export function formatDevices({ length }: readonly string[], before: string): string {
  if (length === 0) return '';
  return `${before}${length === 1 ? 'the name of a phone' : `the names of ${String(length)} phones`}`;
}
