import { printable } from '../bytes/index.js';
import { readBoolean, readDevice, readDigest, readServer, readServers, type CellReading } from './inventory-cells.js';
import { columnTitles, type ColumnMeaning } from './inventory-columns.js';
import { hasSecurityByDefault } from './inventory-models.js';
import {
  Shared,
  untold,
  type FileReading,
  type InventoryPhone,
  type InventorySource,
  type InventoryState,
  type ProblemList,
} from './inventory-phone.js';

/** A header line that was understood. */
export interface CsvHeader {
  readonly separator: string;
  /** As they were written. */
  readonly columns: readonly string[];
  /** Where each stands, counted from 0. */
  readonly at: Readonly<Partial<Record<ColumnMeaning, number>>>;
}

/** Makes phones of the cells of records. */
export class InventoryRows {
  readonly #header: CsvHeader;
  readonly #source: InventorySource;
  readonly #problems: ProblemList;
  readonly #phones = new Map<string, InventoryPhone>();
  readonly #shared = new Shared();
  /** What cells say is found out once for each of them: most of them repeat. */
  readonly #known = new Map<string, CellReading<unknown>>();
  /** How many phones of each model were decided by the model, and how. */
  readonly #byModel = new Map<string, { count: number; has: boolean }>();
  #withoutServers = 0;

  constructor(header: CsvHeader, source: InventorySource, problems: ProblemList) {
    this.#header = header;
    this.#source = source;
    this.#problems = problems;
  }

  add(line: number, cells: readonly string[]): void {
    if (cells.length !== this.#header.columns.length) {
      const [found, wanted] = [String(cells.length), String(this.#header.columns.length)];
      this.addBroken(line, cells, `it has ${found} columns, and the header has ${wanted}`);
      return;
    }
    const phone = this.#phoneOf(line, cells);
    if ('wrong' in phone) {
      const device = readDevice(this.#cellOf('device', cells) ?? '');
      if ('wrong' in device) this.#problems.add(line, phone.wrong);
      else this.#addRow(line, cells, device.value, phone.wrong);
      return;
    }
    const before = this.#phones.get(phone.device);
    if (before === undefined) {
      this.#phones.set(phone.device, phone);
      if (phone.state.securityByDefault && this.#cellOf('tvs', cells)?.trim() === '') this.#withoutServers += 1;
      return;
    }
    const message = `${phone.device} is here twice; line ${String(before.line)} is used`;
    // Where they contradict each other nobody can tell which one is right.
    if (before.state === phone.state) this.#problems.addKnown(line, message);
    else this.#addRow(line, cells, phone.device, message);
  }

  /** A line whose cells may not be where they belong: only what is certainly the name of a phone is taken for one. */
  addBroken(line: number, cells: readonly string[], message: string): void {
    const device = readDevice(this.#cellOf('device', cells) ?? '');
    if ('value' in device && /^SEP[0-9A-F]{12}$/.test(device.value)) {
      this.#addRow(line, cells, device.value, message);
    } else {
      this.#problems.add(line, message);
    }
  }

  #addRow(line: number, cells: readonly string[], device: string, message: string): void {
    this.#problems.addRow({ device, source: this.#source, line, cells, message });
  }

  #cellOf(meaning: ColumnMeaning, cells: readonly string[]): string | undefined {
    const place = this.#header.at[meaning];
    return place === undefined ? undefined : cells[place];
  }

  end(): FileReading {
    return { phones: this.#phones, notes: this.#notes(), source: this.#source };
  }

  #phoneOf(line: number, cells: readonly string[]): InventoryPhone | { readonly wrong: string } {
    const cell = (meaning: ColumnMeaning): string | undefined => this.#cellOf(meaning, cells);
    const device = readDevice(cell('device') ?? '');
    if ('wrong' in device) return device;
    const ctl = this.#read('ctl', cell('ctl') ?? '', readDigest);
    if ('wrong' in ctl) return ctl;
    const itl = this.#read('itl', cell('itl') ?? '', readDigest);
    if ('wrong' in itl) return itl;
    const tvs = this.#read('tvs', cell('tvs') ?? '', readServers);
    if ('wrong' in tvs) return tvs;
    const tftp = this.#read('tftp', cell('tftp') ?? '', readServer);
    if ('wrong' in tftp) return tftp;
    const told = this.#read('securityByDefault', cell('securityByDefault') ?? '', readBoolean);
    if ('wrong' in told) return told;
    const hasItl = itl.value !== undefined && itl.value !== untold;
    if (told.value === false && hasItl) {
      return { wrong: `it has an ITL, and ${columnTitles.securityByDefault} is no: one of them is wrong` };
    }
    const model = cell('model')?.trim();
    const state: InventoryState = {
      ctl: ctl.value,
      itl: itl.value,
      securityByDefault: told.value ?? this.#decideByModel(model, hasItl),
      tvsServers: tvs.value,
      tftpServer: tftp.value,
    };
    return {
      device: device.value,
      model: model === undefined || model === '' ? undefined : this.#shared.text(model),
      state: this.#shared.state(state),
      source: this.#source,
      line,
      cells: cells.map((one) => this.#shared.text(one)),
    };
  }

  #read<T>(
    meaning: ColumnMeaning,
    text: string,
    read: (text: string, column: string) => CellReading<T>,
  ): CellReading<T> {
    const key = `${meaning} ${text}`;
    const known = this.#known.get(key) as CellReading<T> | undefined;
    if (known !== undefined) return known;
    const reading = read(text, columnTitles[meaning]);
    if (this.#known.size < 20_000) this.#known.set(key, reading);
    return reading;
  }

  /** A phone that has an ITL has Security by Default, whatever its model is. */
  #decideByModel(model = '', hasItl: boolean): boolean {
    const known = this.#byModel.get(model);
    const entry = known ?? { count: 0, has: hasSecurityByDefault(model) };
    if (known === undefined) this.#byModel.set(model, entry);
    if (hasItl) return true;
    entry.count += 1;
    return entry.has;
  }

  #notes(): readonly string[] {
    return [...this.#noteServers(), ...this.#noteModels()];
  }

  #noteServers(): readonly string[] {
    if (this.#withoutServers === 0) return [];
    return [
      `${printable(this.#source.file)} has empty cells in the column ${columnTitles.tvs}: the usual servers are taken for ${String(this.#withoutServers)} phones; "none" says that a phone has none`,
    ];
  }

  #noteModels(): readonly string[] {
    const total = [...this.#byModel.values()].reduce((sum, { count }) => sum + count, 0);
    if (total === 0) return [];
    const without = [...this.#byModel].filter(([, { has, count }]) => !has && count > 0);
    const names = without.slice(0, 10).map(([model, { count }]) => `${printable(model)} (${String(count)})`);
    const more = without.length > names.length ? ', …' : '';
    const file = printable(this.#source.file);
    const column = this.#header.at.securityByDefault === undefined ? 'has no column' : 'has empty cells in the column';
    return [
      `${file} ${column} ${columnTitles.securityByDefault}: decided by ITL and model for ${String(total)} phones; without it ` +
        (names.length === 0 ? 'none' : `${names.join(', ')}${more}`),
    ];
  }
}
