import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import {
  groupPhones,
  InventoryReader,
  joinInventories,
  KnownLists,
  untold,
  type Fleet,
  type Inventory,
  type OfferedList,
} from '../migration/index.js';
import { InventoryText } from './inventory-text.js';
import { explainRead, readInput } from './files.js';
import type { Output, OutputOptions } from './output.js';

/** The options of commands that read an inventory of phones. */
export interface InventoryOptions extends OutputOptions {
  readonly phones: readonly string[];
  /** A folder of trust lists that phones may hold. */
  readonly lists?: string;
  readonly strict?: boolean;
}

/** What is at hand besides the inventory. */
export interface AtHand {
  /** Lists that are known without being in the folder, such as those of the server. */
  readonly lists?: readonly OfferedList[];
  /** The TVS servers of phones whose inventory names none. */
  readonly tvsServers?: readonly string[];
}

/** The phones of an inventory, by what they hold. */
export interface ReadPhones extends Fleet {
  readonly inventory: Inventory;
  /** Lines that cannot be used, and of whose phones nothing else tells: phones of which nobody can tell. */
  readonly unusable: number;
  /** The lists that are at hand. */
  readonly known: KnownLists;
  /** Every file that was read, so that no output overwrites one. */
  readonly files: readonly string[];
}

/** So many broken lines are shown. */
const mostShown = 20;

/** A file of the folder that is larger is no trust list. */
const largestList = 1024 * 1024;

const chunkSize = 1024 * 1024;

/** Files are read in parts and may be larger; standard input is read whole. */
const largestPiped = 512 * 1024 * 1024;

/**
 * Reads the inventories that `--phones` names, and the trust lists of `--lists`. Lines that cannot be used are told as
 * warnings, and the rest is used; what had to be decided is told as notes.
 *
 * @throws InputError `file-missing`, `file-unreadable` for a file that is no inventory, and with `--strict` for any
 *   line that cannot be used
 */
export async function readPhones(options: InventoryOptions, output: Output, atHand: AtHand = {}): Promise<ReadPhones> {
  const inventories: Inventory[] = [];
  for (const path of options.phones) inventories.push(await readInventoryFile(path, output));
  const inventory = joinInventories(inventories);
  reportProblems(inventory, options.strict === true, output);
  for (const note of inventory.notes) output.note(note);
  const known = new KnownLists();
  for (const { name, list } of atHand.lists ?? []) known.add(name, list);
  const files = options.lists === undefined ? [] : await readLists(options.lists, known, output);
  const fleet = groupPhones(inventory, known, { tvsServers: atHand.tvsServers });
  reportUnknown(fleet, options.lists, output);
  const { count: unusable } = inventory.unusable;
  return { ...fleet, inventory, unusable, known, files: [...options.phones.filter((path) => path !== '-'), ...files] };
}

async function readInventoryFile(path: string, output: Output): Promise<Inventory> {
  const reader = new InventoryReader(path);
  const text = new InventoryText((part) => reader.write(part));
  if (path === '-') text.write(await readInput(path, 'inventory', largestPiped));
  else readInParts(path, text, output);
  text.end();
  if (text.isNotUtf8) output.note(`${path} is not UTF-8 text; it was read as Windows-1252`);
  return reader.end();
}

/** Inventories may be larger than any other input. */
function readInParts(path: string, text: InventoryText, output: Output): void {
  let file: number | undefined;
  try {
    const { size } = statSync(path);
    file = openSync(path, 'r');
    const total = Math.ceil(size / 1024);
    let read = 0;
    for (;;) {
      const chunk = new Uint8Array(chunkSize);
      const count = readSync(file, chunk);
      if (count === 0) break;
      text.write(chunk.subarray(0, count));
      read += count;
      // A pipe does not tell its size.
      if (total > 0)
        output.progress(Math.min(Math.ceil(read / 1024), total - 1), total, `reading ${printable(path)}, KiB`);
    }
    output.progress(1, 1, '');
  } catch (error) {
    if (error instanceof InputError) throw error;
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw explainRead(error, path, 'inventory');
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function reportProblems({ problems, problemCount }: Inventory, isStrict: boolean, output: Output): void {
  if (problemCount === 0) return;
  const shown = problems
    .slice(0, mostShown)
    .map(({ file, line, message }) => `${printable(file)}, line ${String(line)}: ${printable(message)}`);
  const more = problemCount - shown.length;
  const lines = `${String(problemCount)} ${problemCount === 1 ? 'line' : 'lines'}`;
  const rest = more > 0 ? [`and ${String(more)} more`] : [];
  if (isStrict) {
    const list = [...shown, ...rest].map((line) => `\n  ${line}`).join('');
    throw new InputError('file-unreadable', `${lines} of the inventory cannot be used:${list}`, {
      hint: 'correct them, or leave out --strict to go on with the rest',
    });
  }
  for (const line of shown) output.warning(line);
  output.warning(
    `${lines} of the inventory cannot be used, and what they tell is left out${rest.map((text) => ` (${text})`).join('')}`,
  );
}

/** Adds the trust lists of a folder and those below it. @returns their paths. */
async function readLists(folder: string, known: KnownLists, output: Output): Promise<readonly string[]> {
  const paths = filesOf(folder);
  const skipped: string[] = [];
  const lists: string[] = [];
  for (const [index, path] of paths.entries()) {
    output.progress(index, paths.length, `reading ${printable(folder)}`);
    const reason =
      statSync(path).size > largestList ? 'too large' : known.addFile(path, await readInput(path, 'trust list'));
    (reason === undefined ? lists : skipped).push(path);
  }
  output.progress(1, 1, '');
  if (skipped.length > 0) {
    const names = skipped.slice(0, 3).join(', ');
    output.note(
      `${String(skipped.length)} files of ${folder} are no trust lists: ${names}${skipped.length > 3 ? ', …' : ''}`,
    );
  }
  return lists;
}

function filesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
      .sort();
  } catch (error) {
    throw explainRead(error, folder, 'folder of trust lists');
  }
}

function reportUnknown({ unknown, size }: Fleet, folder: string | undefined, output: Output): void {
  if (size === 0) output.warning('the inventory has no phone that can be used');
  for (const { kind, digest, phones, mixedUpWith } of unknown.slice(0, mostShown)) {
    const name = kind.toUpperCase();
    const who = `${String(phones)} ${phones === 1 ? 'phone holds' : 'phones hold'}`;
    if (mixedUpWith !== undefined) {
      const other = kind === 'ctl' ? 'an ITL' : 'a CTL';
      output.warning(`${who} the ${name} ${digest}, and that is ${mixedUpWith}, ${other}: are the columns mixed up?`);
      continue;
    }
    if (digest === untold) {
      output.warning(
        `of ${String(phones)} ${phones === 1 ? 'phone' : 'phones'} the inventory does not tell the ${name}: nobody can ` +
          `tell what they accept. Write the checksum into the empty cells, or none where a phone holds no ${name}`,
      );
      continue;
    }
    const place = folder ?? 'a folder that --lists names';
    output.warning(
      `${who} the ${name} ${digest}, which is not at hand: nobody can tell what they accept. Fetch it from the TFTP ` +
        `server that they had, or from a backup of it, into ${place}`,
    );
  }
  const more = unknown.length - mostShown;
  if (more > 0) output.warning(`and ${String(more)} more lists that are not at hand`);
}
