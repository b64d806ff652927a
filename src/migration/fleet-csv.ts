import type { FleetFate, FleetVerdict } from './fleet-verdict.js';
import type { Inventory, InventoryPhone, InventorySource } from './inventory-phone.js';

/** The columns that are added; those of an earlier run are replaced. */
export const verdictColumns = ['fleet check: verdict', 'fleet check: rule', 'fleet check: reason'] as const;

/** What spreadsheets take for the beginning of a formula. */
const formulaStart = /^(\s*[=+\-@]|[\t\r\n])/;

/**
 * The phones of some fates as CSV, in the order of the inventory: all columns as they were, with verdict, rule and
 * reason added; after them, with the unknown ones, the lines that cannot be used, where they name a device. Separator and byte order mark are those of the first CSV file that was read.
 *
 * Cells of a CSV file come out exactly as they came in, also those that begin with `=`, `+`, `-` or `@`: they are the
 * administrator's own, `-` stands for no list, and telephone numbers begin with `+`. Cells of alarms, which come from
 * the network, get an apostrophe before such a character, so that no spreadsheet computes them. What is added never
 * begins with one.
 */
export function formatPhonesCsv(
  inventory: Inventory,
  verdicts: readonly Pick<FleetVerdict, 'group' | 'fate' | 'because'>[],
  fates: readonly FleetFate[] = ['lost', 'unknown'],
): string {
  const wanted = new Map<string, (typeof verdicts)[number]>();
  for (const verdict of verdicts) {
    if (verdict.fate !== undefined && fates.includes(verdict.fate))
      for (const device of verdict.group.devices) wanted.set(device, verdict);
  }
  const csv = inventory.sources.find(({ kind }) => kind === 'csv');
  const separator = csv?.separator ?? ',';
  const columns = new Columns(inventory.sources);
  const rows = [[...columns.titles, ...verdictColumns]];
  for (const phone of inventory.phones.values()) {
    const verdict = wanted.get(phone.device);
    if (verdict === undefined) continue;
    const { rule = '', reason = '' } = verdict.because ?? {};
    rows.push([...columns.cellsOf(phone), verdict.fate ?? '', rule, reason]);
  }
  for (const row of fates.includes('unknown') ? inventory.unusable.rows : []) {
    rows.push([...columns.cellsOf(row), 'unknown', '', `line ${String(row.line)} cannot be used: ${row.message}`]);
  }
  const text = rows.map((row) => `${row.map((cell) => formatCell(cell, separator)).join(separator)}\r\n`).join('');
  return csv?.byteOrderMark === true ? `\uFEFF${text}` : text;
}

function formatCell(text: string, separator: string): string {
  const isPlain = !/["\r\n]/.test(text) && !text.includes(separator) && text === text.trim();
  return isPlain ? text : `"${text.replaceAll('"', '""')}"`;
}

/** The columns of several files side by side; a title that is in two files is one column. */
class Columns {
  readonly titles: string[] = [];
  readonly #places = new Map<InventorySource, readonly (number | undefined)[]>();

  constructor(sources: readonly InventorySource[]) {
    const known = new Map<string, number>();
    for (const source of sources) {
      const seen = new Map<string, number>();
      const places = source.columns.map((title) => {
        if ((verdictColumns as readonly string[]).includes(title)) return undefined;
        // Two columns of one file may have the same title, or none.
        const count = (seen.get(title) ?? 0) + 1;
        seen.set(title, count);
        const key = `${String(count)} ${title}`;
        const place = known.get(key) ?? this.titles.push(title) - 1;
        known.set(key, place);
        return place;
      });
      this.#places.set(source, places);
    }
  }

  cellsOf({ source, cells }: Pick<InventoryPhone, 'source' | 'cells'>): readonly string[] {
    const row = this.titles.map(() => '');
    const places = this.#places.get(source) ?? [];
    for (const [index, cell] of cells.entries()) {
      const place = places[index];
      if (place !== undefined) row[place] = source.kind === 'alarms' ? withoutFormula(cell) : cell;
    }
    return row;
  }
}

function withoutFormula(text: string): string {
  return formulaStart.test(text) ? `'${text}` : text;
}
