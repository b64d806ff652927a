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

/** The value of padding. One for all: a header may have 65,535 of them. */
const noValue = new Uint8Array();

/**
 * Decodes elements up to the end of the reader. Grammar: `tag u8 · length u16 · value`, padding being the tag alone.
 * Duplicates of tags in the table and elements outside their container are faults; unknown tags are kept, however
 * often they occur. A container outside its place is not looked into, so nesting ends where the table ends.
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
  // One bit for each tag below 32, which all tags of today's tables are: an array would cost more than the reading.
  let seen = 0;
  while (reader.remaining > 0) {
    const offset = reader.offset;
    const tag = reader.u8('tag');
    const definition = table.get(tag);
    let inPlace = false;
    if (definition !== undefined) {
      inPlace = checkPlace(definition, offset, parent, report);
      if (definition.kind === 'padding') {
        elements.push({ tag, offset, value: noValue });
        continue;
      }
      const known = tag < 32 ? (seen & (1 << tag)) !== 0 : elements.some((element) => element.tag === tag);
      if (known) reportDuplicate(definition, offset, report);
      if (tag < 32) seen |= 1 << tag;
    }
    const value = decodeValue(reader, offset, tag, table, report);
    if (value === undefined) break;
    if (definition !== undefined) checkValue(definition, value, offset, report);
    if (inPlace && definition?.kind === 'container') {
      const inside = new Reader(input, offset + 3, offset + 3 + value.length);
      elements.push({ tag, offset, value, children: decodeElements(input, inside, table, report, tag) });
    } else elements.push({ tag, offset, value });
  }
  return elements;
}

/** The length and the value of an element; what there is of it when it was cut off, nothing without its length. */
function decodeValue(
  reader: Reader,
  offset: number,
  tag: number,
  table: ElementTable,
  report: ReportFault,
): Uint8Array | undefined {
  if (reader.remaining < 2) {
    reportTruncated(2, reader.remaining, offset, elementName(tag, table), report);
    reader.skip(reader.remaining, 'length');
    return undefined;
  }
  const length = reader.u16('length');
  const left = reader.remaining;
  if (length > left) reportTruncated(length, left, offset, elementName(tag, table), report);
  return reader.bytes(Math.min(length, left), 'value');
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
  definition: ElementDefinition,
  offset: number,
  parent: number | undefined,
  report: ReportFault,
): boolean {
  if (definition.parent === parent) return true;
  const place = { offset, element: definition.name };
  report(new FormatError('misplaced-element', 'an element outside the container it belongs in', place));
  return false;
}

function reportDuplicate(definition: ElementDefinition, offset: number, report: ReportFault): void {
  const place = { offset, element: definition.name };
  report(new FormatError('duplicate-element', 'an element that was there already', place));
}
