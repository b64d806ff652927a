import { Reader } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { elementName, type Element, type ElementDefinition, type ElementTable } from './element.js';

/**
 * What becomes of a fault. A strict reader throws it; a lenient one notes it, and decoding goes on as far as it can.
 */
export type ReportFault = (fault: FormatError) => void;

/** The strict way: the first fault ends the reading. */
export const throwFault: ReportFault = (fault) => {
  throw fault;
};

/**
 * Decodes elements up to the end of the reader. Grammar: `tag u8 · length u16 · value`, padding being the tag alone.
 * Duplicates and elements outside their container are faults; unknown tags are kept.
 *
 * @param parent the tag of the container that is read, if one is.
 * @throws FormatError through `report`: `truncated`, `bad-length`, `bad-text`, `duplicate-element`,
 *   `misplaced-element`
 */
export function decodeElements(
  input: Uint8Array,
  reader: Reader,
  table: ElementTable,
  report: ReportFault = throwFault,
  parent?: number,
): Element[] {
  const elements: Element[] = [];
  while (reader.remaining > 0) {
    const element = decodeElement(input, reader, table, report);
    if (element === undefined) break;
    const definition = table.get(element.tag);
    if (definition !== undefined) checkPlace(element, definition, elements, parent, report);
    elements.push(element);
  }
  return elements;
}

function decodeElement(
  input: Uint8Array,
  reader: Reader,
  table: ElementTable,
  report: ReportFault,
): Element | undefined {
  const offset = reader.offset;
  const tag = reader.u8('tag');
  const definition = table.get(tag);
  if (definition?.kind === 'padding') return { tag, offset, value: input.subarray(offset + 1, offset + 1) };
  if (reader.remaining < 2) {
    reportTruncated(2, reader.remaining, offset, elementName(tag, table), report);
    reader.skip(reader.remaining, 'length');
    return undefined;
  }
  const length = reader.u16('length');
  const fits = length <= reader.remaining;
  if (!fits) reportTruncated(length, reader.remaining, offset, elementName(tag, table), report);
  const start = reader.offset;
  const value = reader.bytes(fits ? length : reader.remaining, 'value');
  if (definition === undefined) return { tag, offset, value };
  checkValue(definition, value, offset, report);
  if (definition.kind !== 'container') return { tag, offset, value };
  const inside = new Reader(input, start, start + value.length);
  return { tag, offset, value, children: decodeElements(input, inside, table, report, tag) };
}

function reportTruncated(wanted: number, left: number, offset: number, name: string, report: ReportFault): void {
  report(
    new FormatError('truncated', `${String(wanted)} bytes expected, ${String(left)} left where it stands`, {
      offset,
      element: name,
    }),
  );
}

function checkValue(definition: ElementDefinition, value: Uint8Array, offset: number, report: ReportFault): void {
  const { name, kind, lengths } = definition;
  if (lengths !== undefined && !lengths.includes(value.length)) {
    const wanted = lengths.join(' or ');
    report(
      new FormatError('bad-length', `${wanted} bytes expected, ${String(value.length)} found`, {
        offset,
        element: name,
      }),
    );
  }
  if (kind !== 'text') return;
  const nul = value.indexOf(0);
  if (nul === value.length - 1 && nul >= 0) return;
  const what = nul < 0 ? 'a text without its closing NUL' : 'a text with a NUL before its end';
  report(new FormatError('bad-text', what, { offset, element: name }));
}

function checkPlace(
  element: Element,
  definition: ElementDefinition,
  before: readonly Element[],
  parent: number | undefined,
  report: ReportFault,
): void {
  const place = { offset: element.offset, element: definition.name };
  if (definition.parent !== parent) {
    report(new FormatError('misplaced-element', 'an element outside the container it belongs in', place));
  }
  if (definition.kind === 'padding') return;
  for (const other of before) {
    if (other.tag === element.tag) {
      report(new FormatError('duplicate-element', 'an element that was there already', place));
      return;
    }
  }
}
