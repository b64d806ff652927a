import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { AlarmReader } from './alarm.js';
import { CsvInventoryReader, readHeader } from './inventory-csv.js';
import { LineSplitter, type TextLine } from './inventory-lines.js';
import { devicesByState, ProblemList, type FileReading, type Inventory } from './inventory-phone.js';

/** What reads the lines of one kind of file. */
interface LineReader {
  line(line: TextLine): void;
  end(): FileReading;
}

/**
 * Reads one inventory: CSV with a header line, or any log with DeviceTLInfo alarms of phones in it. Which of them it is
 * shows in the text. Lines that cannot be used are reported, and the rest is used.
 *
 * @param parts the text, in parts of any size.
 * @param file its name, for messages.
 * @throws InputError `file-unreadable` when it is neither, or its header lacks a column.
 */
export function readInventory(parts: Iterable<string>, file: string): Inventory {
  const reader = new InventoryReader(file);
  for (const part of parts) reader.write(part);
  return reader.end();
}

/** Reads one inventory whose text comes in parts; see {@link readInventory}. */
export class InventoryReader {
  readonly #file: string;
  readonly #problems: ProblemList;
  readonly #lines: LineSplitter;
  #reader: LineReader | undefined;
  #hasBegun = false;
  #byteOrderMark = false;
  #firstLine: string | undefined;
  #separator: string | undefined;

  /** @param file its name, for messages. */
  constructor(file: string) {
    this.#file = file;
    this.#problems = new ProblemList(file);
    this.#lines = new LineSplitter(
      (line) => this.#line(line),
      (number) => this.#problems.add(number, 'the line has more than a million characters'),
    );
  }

  write(part: string): void {
    if (part === '') return;
    if (!this.#hasBegun) this.#byteOrderMark = part.startsWith('\uFEFF');
    this.#lines.write(!this.#hasBegun && this.#byteOrderMark ? part.slice(1) : part);
    this.#hasBegun = true;
  }

  /** @throws InputError as {@link readInventory} */
  end(): Inventory {
    this.#lines.end();
    if (this.#reader === undefined) {
      throw this.#refuse(this.#problems.count > 0 ? 'has lines of more than a million characters only' : 'is empty');
    }
    const { phones, notes, source } = this.#reader.end();
    if (source.kind === 'alarms' && phones.size === 0 && this.#problems.count === 0) {
      const first = printable((this.#firstLine ?? '').slice(0, 80));
      throw this.#refuse(
        `is no inventory: no DeviceTLInfo alarm is in it, and its first line is no header ("${first}")`,
      );
    }
    const { count, rows, nameless } = this.#problems;
    const unusable = { count: nameless + rows.length, rows: rows.toSorted((left, right) => left.line - right.line) };
    // Records are read in batches, broken quotes at once.
    const problems = this.#problems.problems.sort((left, right) => left.line - right.line);
    const states = devicesByState(phones.values());
    return { phones, states, sources: [source], problems, problemCount: count, unusable, notes };
  }

  #line(line: TextLine): void {
    this.#reader ??= this.#recognise(line);
    this.#reader?.line(line);
  }

  /** Which kind of file it is shows in its first line that has something in it. */
  #recognise(line: TextLine): LineReader | undefined {
    if (line.text.trim() === '') return undefined;
    // Excel is told by such a line which separator a file has.
    const told = this.#firstLine === undefined ? /^"?sep=([,;\t])"?$/i.exec(line.text.trim())?.[1] : undefined;
    this.#firstLine ??= line.text;
    if (told !== undefined) {
      this.#separator = told;
      return undefined;
    }
    const header = readHeader(line.text, this.#separator);
    if (header === undefined || line.text.includes('<x-cisco-alarm')) {
      return new AlarmReader(this.#file, this.#problems);
    }
    if ('wrong' in header) throw this.#refuse(`${header.wrong} (line ${String(line.number)})`);
    return new CsvInventoryReader(this.#file, header, this.#byteOrderMark, this.#problems, line.number);
  }

  #refuse(what: string): InputError {
    return new InputError('file-unreadable', `the inventory ${printable(this.#file)} ${what}`, {
      hint:
        'give CSV with the columns device, model, CTL SHA-1, ITL SHA-1, TVS servers and Security by Default, ' +
        'or a log with DeviceTLInfo alarms of the phones',
    });
  }
}
