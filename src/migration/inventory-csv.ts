import { columnTitles, findColumns, type ColumnMeaning } from './inventory-columns.js';
import { loadCsvParse } from './inventory-libraries.js';
import type { TextLine } from './inventory-lines.js';
import type { FileReading, ProblemList } from './inventory-phone.js';
import { InventoryRows, type CsvHeader } from './inventory-rows.js';

const separators: readonly string[] = [',', ';', '\t'];

/** Without these nothing can be said about a phone. */
const requiredColumns: readonly ColumnMeaning[] = ['device', 'ctl', 'itl'];

/**
 * Reads the header of a CSV inventory: with the separator under which most of its columns are understood.
 *
 * @param told the separator, where the file says it.
 * @returns `undefined` when no column is that of devices, and `wrong` when others are missing or there twice.
 */
export function readHeader(text: string, told?: string): CsvHeader | { readonly wrong: string } | undefined {
  let best: { header: CsvHeader; twice: readonly ColumnMeaning[] } | undefined;
  for (const separator of told === undefined ? separators : [told]) {
    const columns = parseRecords(text, separator)?.[0];
    if (columns === undefined) continue;
    const { at, twice } = findColumns(columns);
    const isBetter = Object.keys(at).length > Object.keys(best?.header.at ?? {}).length;
    if (at.device !== undefined && (best === undefined || isBetter))
      best = { header: { separator, columns, at }, twice };
  }
  if (best === undefined) return undefined;
  const { header, twice } = best;
  // One word such as `name`, in a log, is no header.
  if (Object.keys(header.at).length < 2) return undefined;
  const missing = requiredColumns.filter((meaning) => header.at[meaning] === undefined);
  if (missing.length > 0) return { wrong: `has no column ${missing.map((one) => columnTitles[one]).join(', ')}` };
  if (twice.length > 0) return { wrong: `has two columns ${twice.map((one) => columnTitles[one]).join(', ')}` };
  return header;
}

/** The records of a text whose lines end with `\n`; `undefined` when quotes are wrong or a cell is far too long. */
function parseRecords(text: string, separator: string): readonly (readonly string[])[] | undefined {
  try {
    return loadCsvParse()(text, { delimiter: separator, record_delimiter: '\n', relax_column_count: true });
  } catch (error) {
    // It throws its own class only, and nothing else of it is of use: the line is known here.
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}

/** A record: a line, or several where a quoted cell has line ends in it. */
interface RecordText {
  /** Its first line. */
  readonly number: number;
  readonly text: string;
}

/** So many records are parsed at once. */
const batchSize = 1000;

/** A quoted cell may have so many lines: beyond, the quote was never closed. */
const mostLines = 64;

/**
 * Reads the records of a CSV inventory. A quote that is never closed costs its own line and no other: a record is what
 * has the right number of columns.
 */
export class CsvInventoryReader {
  readonly #header: CsvHeader;
  readonly #headerLine: number;
  readonly #rows: InventoryRows;
  #records: RecordText[] = [];
  /** Lines since a quote was opened. */
  #open: TextLine[] = [];

  constructor(file: string, header: CsvHeader, byteOrderMark: boolean, problems: ProblemList, headerLine: number) {
    const { columns, separator } = header;
    this.#header = header;
    this.#headerLine = headerLine;
    this.#rows = new InventoryRows(header, { file, kind: 'csv', columns, separator, byteOrderMark }, problems);
  }

  line(line: TextLine): void {
    if (line.number === this.#headerLine) return;
    if (this.#open.length > 0) this.#continue(line);
    else this.#begin(line);
  }

  end(): FileReading {
    while (this.#open.length > 0) this.#giveUp();
    this.#flush();
    return this.#rows.end();
  }

  #begin(line: TextLine): void {
    const { number, text } = line;
    if (!hasOpenQuote(text)) this.#record({ number, text });
    else if (text.startsWith('"') || text.includes(`${this.#header.separator}"`)) this.#open = [line];
    // It opens no cell, so that no later line closes it: an inch mark, for one.
    else this.#broken(line, 'a quote (") is not closed');
  }

  /** Its cells are where its separators are, as far as that can be told. */
  #broken({ number, text }: RecordText, message: string): void {
    this.#rows.addBroken(number, text.split(this.#header.separator), message);
  }

  #continue(line: TextLine): void {
    this.#open.push(line);
    if (!hasOpenQuote(line.text)) {
      if (this.#open.length >= mostLines) this.#giveUp();
      return;
    }
    const [first] = this.#open;
    const isEnd = line.text.endsWith('"') || line.text.includes(`"${this.#header.separator}`);
    const text = isEnd ? joinLines(this.#open) : '';
    if (first === undefined || !isEnd || this.#parse(text) === undefined) {
      this.#giveUp();
      return;
    }
    this.#open = [];
    this.#record({ number: first.number, text });
  }

  /** The quote was not closed by what followed: its line is reported, and the lines after it are read on their own. */
  #giveUp(): void {
    const [first, ...others] = this.#open;
    this.#open = [];
    if (first === undefined) return;
    this.#broken(first, 'a quote (") is not closed');
    for (const line of others) this.line(line);
  }

  /** The cells of one record; `undefined` if it is not one of this header. */
  #parse(text: string): readonly string[] | undefined {
    const [cells, ...others] = parseRecords(text, this.#header.separator) ?? [];
    return others.length === 0 && cells?.length === this.#header.columns.length ? cells : undefined;
  }

  #record(record: RecordText): void {
    if (record.text === '' || record.text.trim() === '') return;
    this.#records.push(record);
    if (this.#records.length >= batchSize) this.#flush();
  }

  #flush(): void {
    const records = this.#records;
    this.#records = [];
    if (records.length === 0) return;
    const { separator } = this.#header;
    const parsed = parseRecords(records.map(({ text }) => text).join('\n'), separator);
    if (parsed?.length === records.length) {
      for (const [index, cells] of parsed.entries()) this.#rows.add(records[index]?.number ?? 0, cells);
      return;
    }
    // One of them is broken: each on its own.
    for (const { number, text } of records) {
      const [cells, ...others] = parseRecords(text, separator) ?? [];
      if (cells === undefined || others.length > 0) this.#broken({ number, text }, 'its quotes (") are wrong');
      else this.#rows.add(number, cells);
    }
  }
}

/** Lines with the ends between them as they were written. */
function joinLines(lines: readonly TextLine[]): string {
  return lines.map(({ text, end }, index) => (index < lines.length - 1 ? text + end : text)).join('');
}

function hasOpenQuote(text: string): boolean {
  let isOpen = false;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at + 1)) isOpen = !isOpen;
  return isOpen;
}
