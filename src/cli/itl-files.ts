import { dirname } from 'node:path';
import type { TrustList } from '../trust-list/index.js';
import { writeTogether } from './commands/cluster-files.js';
import { checkLinks, deviceListPath, linkList, type DeviceFiles } from './device-names.js';
import { checkOutput, makeFolder } from './files.js';
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
    const written = await writeTogether(wanted.map(({ path, list }) => ({ ...place, path, bytes: list.bytes })));
    const result: WrittenList[] = [];
    for (const [index, one] of wanted.entries()) {
      const devices = namesBeside(one.path);
      const before = index * devices.length;
      const total = wanted.length * devices.length;
      await linkList(one.path, devices, kind, (done) => places.progress?.(before + done, total));
      result.push({ ...one, backup: written[index]?.backup ?? null, devices });
    }
    return result;
  } catch (error) {
    await removeEmpty(made);
    throw error;
  }
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
