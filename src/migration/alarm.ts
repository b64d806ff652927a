import { alarmName, BrokenAlarm, parseAlarms, rootName, type DeviceTlInfo } from './alarm-xml.js';
import { readDevice } from './inventory-cells.js';
import type { TextLine } from './inventory-lines.js';
import {
  Shared,
  type FileReading,
  type InventoryPhone,
  type InventorySource,
  type ProblemList,
  type UnusableRow,
} from './inventory-phone.js';

export type { DeviceTlInfo } from './alarm-xml.js';

/** Far above what a phone sends in one REFER. */
const longestAlarm = 64 * 1024;

/** Phones send eight parameters. */
const mostColumns = 64;

/**
 * The DeviceTLInfo alarms in a text, with whatever stands between them.
 *
 * @param report told what is wrong with those that cannot be used, and in which line.
 */
export function parseDeviceTlInfo(text: string, report: ReportBroken = () => undefined): readonly DeviceTlInfo[] {
  const found: DeviceTlInfo[] = [];
  const search = new AlarmSearch((_line, alarm) => found.push(alarm), report);
  for (const [index, line] of text.split(/\r\n|\n|\r/).entries()) search.line(index + 1, line);
  search.end();
  return found;
}

/** Told what is wrong with an alarm, in which line, and of which device it is where that can be read. */
type ReportBroken = (line: number, message: string, device: string | undefined) => void;

/** The device of an alarm that cannot be used; `undefined` where it names none, or several. */
function deviceOf(xml: string): string | undefined {
  const [only, ...others] = xml.matchAll(/<String\s+name\s*=\s*["']DeviceName["']\s*>([^<>&]*)<\/String\s*>/g);
  const device = only === undefined || others.length > 0 ? undefined : readDevice(only[1] ?? '');
  return device === undefined || 'wrong' in device ? undefined : device.value;
}

/** Finds the alarms in the lines of a log: of a fleet and of one phone alike. */
export class AlarmSearch {
  readonly #take: (line: number, alarm: DeviceTlInfo) => void;
  readonly #report: ReportBroken;
  #begin = 0;
  #parts: string[] | undefined;
  #length = 0;

  constructor(take: (line: number, alarm: DeviceTlInfo) => void, report: ReportBroken) {
    this.#take = take;
    this.#report = report;
  }

  line(number: number, text: string): void {
    if (this.#parts === undefined && !text.includes(rootName)) return;
    let start = 0;
    for (const { 0: tag, index } of text.matchAll(/<(?:\/x-cisco-alarm\s*>|x-cisco-alarm(?=[\s>/]|$))/g)) {
      if (tag.startsWith('</')) {
        const end = index + tag.length;
        this.#finish(number, text.slice(start, end));
        start = end;
      } else {
        this.#cut('it is cut: another one begins before its end');
        this.#parts = [];
        this.#begin = number;
        this.#length = 0;
        start = index;
      }
    }
    this.#add(`${text.slice(start)}\n`);
  }

  end(): void {
    this.#cut('it is cut: its end is missing');
  }

  #add(text: string): void {
    if (this.#parts === undefined) return;
    this.#length += text.length;
    if (this.#length > longestAlarm) this.#cut('it is cut: no end within 64 KiB');
    else this.#parts.push(text);
  }

  #cut(message: string): void {
    if (this.#parts === undefined) return;
    // Alarms of other kinds are of no interest, whole or cut.
    const xml = this.#parts.join('');
    if (isOfTrustLists(xml)) this.#report(this.#begin, `${alarmName} alarm: ${message}`, deviceOf(xml));
    this.#parts = undefined;
  }

  #finish(number: number, last: string): void {
    if (this.#parts === undefined) {
      this.#report(number, 'the end of an alarm whose beginning is missing', undefined);
      return;
    }
    const xml = this.#parts.join('') + last;
    this.#parts = undefined;
    if (!isOfTrustLists(xml)) return;
    try {
      for (const alarm of parseAlarms(xml)) this.#take(this.#begin, alarm);
    } catch (error) {
      if (!(error instanceof BrokenAlarm)) throw error;
      this.#report(this.#begin + error.lines, `${alarmName} alarm: ${error.message}`, deviceOf(xml));
    }
  }
}

/** Cut ones too: the name of the alarm may be what is missing. */
function isOfTrustLists(xml: string): boolean {
  return xml.includes(alarmName) || !/<Alarm\s[^<>]*Name\s*=\s*("[^"<>\r\n]*"|'[^'<>\r\n]*')/.test(xml);
}

/** Reads the phones out of a log with DeviceTLInfo alarms: of each device, the last alarm counts. */
export class AlarmReader {
  readonly #search: AlarmSearch;
  readonly #phones = new Map<string, InventoryPhone>();
  readonly #shared = new Shared();
  readonly #columns: string[] = [];
  readonly #source: InventorySource;
  readonly #problems: ProblemList;
  readonly #broken: UnusableRow[] = [];
  #alarms = 0;

  constructor(file: string, problems: ProblemList) {
    this.#problems = problems;
    this.#source = { file, kind: 'alarms', columns: this.#columns, separator: ',', byteOrderMark: false };
    this.#search = new AlarmSearch(
      (line, alarm) => this.#take(line, alarm),
      (line, message, device) => this.#report(line, message, device),
    );
  }

  line(line: TextLine): void {
    this.#search.line(line.number, line.text);
  }

  end(): FileReading {
    this.#search.end();
    for (const row of this.#broken) {
      const isTold = (this.#phones.get(row.device)?.line ?? 0) > row.line;
      if (isTold) this.#problems.addKnown(row.line, row.message);
      else this.#problems.addRow(row);
    }
    const repeated = this.#alarms - this.#phones.size;
    const notes =
      repeated === 0 ? [] : [`${String(repeated)} alarms were followed by later ones of the same device, which count`];
    return { phones: this.#phones, notes, source: this.#source };
  }

  /** Of a device that is named, a later alarm may tell all the same. */
  #report(line: number, message: string, device: string | undefined): void {
    if (device === undefined) {
      this.#problems.add(line, message);
      return;
    }
    const cells: string[] = [];
    const column = this.#columnOf('DeviceName');
    if (column !== undefined) cells[column] = device;
    this.#broken.push({ device, source: this.#source, line, cells: whole(cells), message });
  }

  /** The place of a parameter among the columns; `undefined` when there are too many. */
  #columnOf(name: string): number | undefined {
    const column = this.#columns.indexOf(name);
    if (column !== -1) return column;
    return this.#columns.length >= mostColumns ? undefined : this.#columns.push(name) - 1;
  }

  #take(line: number, { device, ctl, itl, tftpServer, parameters }: DeviceTlInfo): void {
    this.#alarms += 1;
    const cells: string[] = [];
    for (const [name, value] of parameters) {
      const column = this.#columnOf(name);
      if (column !== undefined) cells[column] = this.#shared.text(value);
    }
    // Only phones with Security by Default send this alarm (it came with their ITL).
    const state = this.#shared.state({ ctl, itl, securityByDefault: true, tvsServers: undefined, tftpServer });
    this.#phones.set(device, {
      device,
      model: undefined,
      state,
      source: this.#source,
      line,
      cells: whole(cells),
    });
  }
}

/** Cells without gaps. */
function whole(cells: readonly string[]): readonly string[] {
  return Array.from({ length: cells.length }, (_, index) => cells[index] ?? '');
}
