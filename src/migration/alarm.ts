import { readDevice, readDigest, readServer, type CellReading } from './inventory-cells.js';
import { createXmlParser } from './inventory-libraries.js';
import type { TextLine } from './inventory-lines.js';
import {
  Shared,
  type FileReading,
  type InventoryPhone,
  type InventorySource,
  type ProblemList,
} from './inventory-phone.js';

/** What a phone reports at registration about its trust lists (transcript phone-alarm-DeviceTLInfo-7821.txt). */
export interface DeviceTlInfo {
  readonly device: string;
  /** Of the CTL file, in lower-case hex; `undefined` where none is installed. */
  readonly ctl: string | undefined;
  readonly itl: string | undefined;
  /** Where it got its ITL, else its CTL. */
  readonly tftpServer: string | undefined;
  /** All parameters as they were written, in the order of the alarm. */
  readonly parameters: ReadonlyMap<string, string>;
}

const alarmName = 'DeviceTLInfo';
const rootName = 'x-cisco-alarm';

/** Far above what a phone sends in one REFER. */
const longestAlarm = 64 * 1024;

/** Phones send eight parameters. */
const mostColumns = 64;

/** An alarm in a log that cannot be used. */
class BrokenAlarm extends Error {
  /** Lines after the first of the alarm. */
  readonly lines: number;

  constructor(message: string, lines: number) {
    super(message);
    this.lines = lines;
  }
}

/**
 * Reads one `x-cisco-alarm` element. A DOCTYPE is refused and no entity but those of XML itself is known, so that
 * nothing is ever expanded.
 *
 * @returns what it says of trust lists, alarm by alarm; nothing for alarms of other kinds.
 */
function parseAlarms(xml: string): readonly DeviceTlInfo[] {
  const parser = createXmlParser();
  const found: DeviceTlInfo[] = [];
  const path: string[] = [];
  let parameters: Map<string, string> | undefined;
  let name: string | undefined;
  let value = '';
  const fail = (message: string, linesAfter = 0): never => {
    throw new BrokenAlarm(message, parser.line - 1 - linesAfter);
  };
  parser.on('error', (error) => fail(error.message.replace(/^\d+:\d+: /, '').replace(/\.$/, '')));
  parser.on('doctype', () => fail('a DOCTYPE is not read'));
  parser.on('text', (text) => {
    if (name !== undefined) value += text;
    else if (parameters !== undefined && text.trim() !== '') {
      fail('text between the parameters: the alarm is cut', text.trimStart().split('\n').length - 1);
    }
  });
  parser.on('cdata', () => fail('CDATA is not read'));
  parser.on('opentag', ({ name: tag, attributes }) => {
    path.push(tag);
    if (path.join('/') === `${rootName}/Alarm` && attributes['Name'] === alarmName) parameters = new Map();
    if (parameters === undefined) return;
    if (name !== undefined || path.length > 4) fail(`an element <${tag.slice(0, 40)}> within a parameter`);
    if (path.join('/') !== `${rootName}/Alarm/ParameterList/${tag}`) return;
    name = attributes['name'] ?? fail('a parameter without a name');
    if (parameters.has(name)) fail(`the parameter ${name.slice(0, 40)} is there twice: the alarm is cut`);
    value = '';
  });
  parser.on('closetag', () => {
    path.pop();
    if (path.length === 3 && name !== undefined) {
      parameters?.set(name, value);
      name = undefined;
    } else if (path.length === 1 && parameters !== undefined) {
      found.push(describeAlarm(parameters));
      parameters = undefined;
    }
  });
  parser.write(xml).close();
  return found;
}

/** @throws BrokenAlarm for the alarm as a whole: its first line is told. */
function describeAlarm(parameters: ReadonlyMap<string, string>): DeviceTlInfo {
  const valueOf = <T>(reading: CellReading<T>): T => {
    if ('wrong' in reading) throw new BrokenAlarm(reading.wrong, 0);
    return reading.value;
  };
  const read = (name: string): string => {
    const value = parameters.get(name);
    if (value === undefined) throw new BrokenAlarm(`the parameter ${name} is missing`, 0);
    return value;
  };
  return {
    device: valueOf(readDevice(read('DeviceName'))),
    ctl: valueOf(readDigest(read('CTL_Signature'), 'CTL_Signature')),
    itl: valueOf(readDigest(read('ITL_Signature'), 'ITL_Signature')),
    tftpServer:
      valueOf(readServer(parameters.get('ITL_TFTP_Server') ?? '')) ??
      valueOf(readServer(parameters.get('CTL_TFTP_Server') ?? '')),
    parameters,
  };
}

/**
 * The DeviceTLInfo alarms in a text, with whatever stands between them.
 *
 * @param report told what is wrong with those that cannot be used, and in which line.
 */
export function parseDeviceTlInfo(
  text: string,
  report: (line: number, message: string) => void = () => undefined,
): readonly DeviceTlInfo[] {
  const found: DeviceTlInfo[] = [];
  const search = new AlarmSearch((_line, alarm) => found.push(alarm), report);
  for (const [index, line] of text.split(/\r\n|\n|\r/).entries()) search.line(index + 1, line);
  search.end();
  return found;
}

/** Finds the alarms in the lines of a log. */
class AlarmSearch {
  readonly #take: (line: number, alarm: DeviceTlInfo) => void;
  readonly #report: (line: number, message: string) => void;
  #begin = 0;
  #parts: string[] | undefined;
  #length = 0;

  constructor(take: (line: number, alarm: DeviceTlInfo) => void, report: (line: number, message: string) => void) {
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
    if (isOfTrustLists(this.#parts.join(''))) this.#report(this.#begin, `${alarmName} alarm: ${message}`);
    this.#parts = undefined;
  }

  #finish(number: number, last: string): void {
    if (this.#parts === undefined) {
      this.#report(number, 'the end of an alarm whose beginning is missing');
      return;
    }
    const xml = this.#parts.join('') + last;
    this.#parts = undefined;
    if (!isOfTrustLists(xml)) return;
    try {
      for (const alarm of parseAlarms(xml)) this.#take(this.#begin, alarm);
    } catch (error) {
      if (!(error instanceof BrokenAlarm)) throw error;
      this.#report(this.#begin + error.lines, `${alarmName} alarm: ${error.message}`);
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
  #alarms = 0;

  constructor(file: string, problems: ProblemList) {
    this.#source = { file, kind: 'alarms', columns: this.#columns, separator: ',', byteOrderMark: false };
    this.#search = new AlarmSearch(
      (line, alarm) => this.#take(line, alarm),
      (line, message) => problems.add(line, message),
    );
  }

  line(line: TextLine): void {
    this.#search.line(line.number, line.text);
  }

  end(): FileReading {
    this.#search.end();
    const repeated = this.#alarms - this.#phones.size;
    const notes =
      repeated === 0 ? [] : [`${String(repeated)} alarms were followed by later ones of the same device, which count`];
    return { phones: this.#phones, notes, source: this.#source };
  }

  #take(line: number, { device, ctl, itl, tftpServer, parameters }: DeviceTlInfo): void {
    this.#alarms += 1;
    const cells: string[] = [];
    for (const [name, value] of parameters) {
      let column = this.#columns.indexOf(name);
      if (column === -1 && this.#columns.length >= mostColumns) continue;
      if (column === -1) column = this.#columns.push(name) - 1;
      cells[column] = this.#shared.text(value);
    }
    // Only phones with Security by Default send this alarm (it came with their ITL).
    const state = this.#shared.state({ ctl, itl, securityByDefault: true, tvsServers: undefined, tftpServer });
    this.#phones.set(device, {
      device,
      model: undefined,
      state,
      source: this.#source,
      line,
      cells: Array.from({ length: cells.length }, (_, index) => cells[index] ?? ''),
    });
  }
}
