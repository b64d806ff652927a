/** Stands in the place of a checksum that the inventory does not tell: the phone may hold a list, or none. */
export const untold = 'not told';

/** What a phone decides by, as an inventory tells it. Phones that hold the same share one of these. */
export interface InventoryState {
  /** The checksum of the list in lower-case hex: 40 digits are SHA-1, 32 are MD5; `undefined`: it holds none; {@link untold}. */
  readonly ctl: string | undefined;
  readonly itl: string | undefined;
  readonly securityByDefault: boolean;
  /** `undefined`: the inventory does not say. */
  readonly tvsServers: readonly string[] | undefined;
  readonly tftpServer: string | undefined;
}

/** A file that phones were read from. */
export interface InventorySource {
  readonly file: string;
  readonly kind: 'csv' | 'alarms';
  /** The titles of its columns as they were written; the names of parameters where it is alarms. */
  readonly columns: readonly string[];
  /** Between cells: `,`, `;` or a tab. */
  readonly separator: string;
  /** Whether the file began with a byte order mark, which Excel needs to see UTF-8. */
  readonly byteOrderMark: boolean;
}

/** One phone of an inventory. */
export interface InventoryPhone {
  /** Its name, e.g. `SEPC80084AA8743`. */
  readonly device: string;
  readonly model: string | undefined;
  readonly state: InventoryState;
  /** Where it was read, and its cells as they were written, in the order of the columns. */
  readonly source: InventorySource;
  /** The line it begins in, counted from 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

/** A line that was not used. */
export interface InventoryProblem {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  readonly message: string;
}

/** A line that was not used, of which the name of the device is readable all the same. */
export interface UnusableRow extends Pick<InventoryPhone, 'device' | 'source' | 'line' | 'cells'> {
  readonly message: string;
}

/** The lines that were not used, and of whose phones no other line tells all the same. */
export interface UnusableLines {
  readonly count: number;
  /** Those of which the name of the device is readable, in the order of the file. */
  readonly rows: readonly UnusableRow[];
}

/** An inventory that was read. */
export interface Inventory {
  /** By the name of the device, in the order of the file. */
  readonly phones: ReadonlyMap<string, InventoryPhone>;
  /** The names of the devices by what they hold. */
  readonly states: ReadonlyMap<InventoryState, readonly string[]>;
  readonly sources: readonly InventorySource[];
  /** The first thousand of the lines that were not used. */
  readonly problems: readonly InventoryProblem[];
  readonly problemCount: number;
  readonly unusable: UnusableLines;
  /** What was decided where the inventory does not say it. */
  readonly notes: readonly string[];
}

/** What reading one file gave. */
export type FileReading = Pick<Inventory, 'phones' | 'notes'> & { readonly source: InventorySource };

/** Beyond these, problems are counted only: a file of another kind has one in every line. */
const mostProblems = 1000;

/** Collects the lines of one file that cannot be used. */
export class ProblemList {
  readonly problems: InventoryProblem[] = [];
  readonly rows: UnusableRow[] = [];
  count = 0;
  /** Lines of whose phones nothing else tells, and not even the name is readable. */
  nameless = 0;
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** A line that is of no phone that can be named. */
  add(line: number, message: string): void {
    this.nameless += 1;
    this.addKnown(line, message);
  }

  /** A line of a phone that can be named. */
  addRow(row: UnusableRow): void {
    this.rows.push(row);
    this.addKnown(row.line, row.message);
  }

  /** A line that says of its phone what another one says too. */
  addKnown(line: number, message: string): void {
    this.count += 1;
    if (this.problems.length < mostProblems) this.problems.push({ file: this.#file, line, message });
  }
}

/** The names of devices by what they hold. */
export function devicesByState(phones: Iterable<InventoryPhone>): ReadonlyMap<InventoryState, readonly string[]> {
  const states = new Map<InventoryState, string[]>();
  for (const { device, state } of phones) {
    const devices = states.get(state);
    if (devices === undefined) states.set(state, [device]);
    else devices.push(device);
  }
  return states;
}

/** Gives the same object for states that are the same, and the same string for cells that are. */
export class Shared {
  readonly #texts = new Map<string, string>();
  readonly #states = new Map<string, InventoryState>();

  /** Texts that come once only, such as descriptions, would fill the table for nothing. */
  text(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (this.#texts.size < 20_000 && text.length <= 256) this.#texts.set(text, text);
    return text;
  }

  state(state: InventoryState): InventoryState {
    const { ctl = '', itl = '', securityByDefault, tvsServers, tftpServer = '' } = state;
    const servers = tvsServers === undefined ? '?' : tvsServers.join(' ');
    const key = [ctl, itl, securityByDefault ? '1' : '0', servers, tftpServer].join('|');
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    this.#states.set(key, state);
    return state;
  }
}
