import { readDevice, readDigest, readServer, type CellReading } from './inventory-cells.js';
import { createXmlParser } from './inventory-libraries.js';

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

export const alarmName = 'DeviceTLInfo';
export const rootName = 'x-cisco-alarm';

/** An alarm in a log that cannot be used. */
export class BrokenAlarm extends Error {
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
export function parseAlarms(xml: string): readonly DeviceTlInfo[] {
  const parser = createXmlParser();
  const element = new AlarmElement((message, linesAfter = 0) => {
    throw new BrokenAlarm(message, parser.line - 1 - linesAfter);
  });
  parser.on('error', (error) => element.fail(error.message.replace(/^\d+:\d+: /, '').replace(/\.$/, '')));
  parser.on('doctype', () => element.fail('a DOCTYPE is not read'));
  parser.on('cdata', () => element.fail('CDATA is not read'));
  parser.on('text', (text) => element.text(text));
  parser.on('opentag', ({ name, attributes }) => element.open(name, attributes));
  parser.on('closetag', () => element.close());
  parser.write(xml).close();
  return element.found;
}

/** What was read so far of one `x-cisco-alarm` element. */
class AlarmElement {
  readonly found: DeviceTlInfo[] = [];
  readonly fail: (message: string, linesAfter?: number) => never;
  readonly #path: string[] = [];
  #parameters: Map<string, string> | undefined;
  #name: string | undefined;
  #value = '';

  constructor(fail: (message: string, linesAfter?: number) => never) {
    this.fail = fail;
  }

  text(text: string): void {
    if (this.#name !== undefined) this.#value += text;
    else if (this.#parameters !== undefined && text.trim() !== '') {
      this.fail('text between the parameters: the alarm is cut', text.trimStart().split('\n').length - 1);
    }
  }

  open(tag: string, attributes: Readonly<Record<string, string>>): void {
    const path = this.#path;
    path.push(tag);
    if (path.join('/') === `${rootName}/Alarm` && attributes['Name'] === alarmName) this.#parameters = new Map();
    if (this.#parameters === undefined) return;
    if (this.#name !== undefined || path.length > 4) {
      this.fail(`an element <${tag.slice(0, 40)}> within a parameter`);
    }
    if (path.join('/') !== `${rootName}/Alarm/ParameterList/${tag}`) return;
    const name = attributes['name'] ?? this.fail('a parameter without a name');
    if (this.#parameters.has(name)) {
      this.fail(`the parameter ${name.slice(0, 40)} is there twice: the alarm is cut`);
    }
    this.#name = name;
    this.#value = '';
  }

  close(): void {
    this.#path.pop();
    if (this.#path.length === 3 && this.#name !== undefined) {
      this.#parameters?.set(this.#name, this.#value);
      this.#name = undefined;
    } else if (this.#path.length === 1 && this.#parameters !== undefined) {
      this.found.push(describeAlarm(this.#parameters));
      this.#parameters = undefined;
    }
  }
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
  const readSignature = (name: string): string | undefined => {
    const text = read(name);
    // Phones write what they do not hold as `Not Installed`.
    if (text.trim() === '') throw new BrokenAlarm(`the parameter ${name} is empty`, 0);
    return valueOf(readDigest(text, name));
  };
  return {
    device: valueOf(readDevice(read('DeviceName'))),
    ctl: readSignature('CTL_Signature'),
    itl: readSignature('ITL_Signature'),
    tftpServer:
      valueOf(readServer(parameters.get('ITL_TFTP_Server') ?? '')) ??
      valueOf(readServer(parameters.get('CTL_TFTP_Server') ?? '')),
    parameters,
  };
}
