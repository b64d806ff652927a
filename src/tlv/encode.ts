import { Writer } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { elementName, type ElementDraft, type ElementTable } from './element.js';

/** The largest value that a length of two bytes can tell. */
const largestValue = 0xffff;

/**
 * Encodes elements one after the other. A container's length is that of what it holds. What
 * {@link decodeElements} gave is encoded to the same bytes.
 *
 * @throws FormatError `too-large` for a value above 65,535 bytes.
 */
export function encodeElements(elements: readonly ElementDraft[], table: ElementTable): Uint8Array {
  const writer = new Writer();
  for (const element of elements) writeElement(writer, element, table);
  return writer.finish();
}

function writeElement(writer: Writer, element: ElementDraft, table: ElementTable): void {
  const kind = table.get(element.tag)?.kind ?? 'plain';
  if (kind === 'padding') {
    writer.u8(element.tag);
    return;
  }
  // A container without children is one that stood outside its place: its bytes are kept as they were.
  const value =
    kind === 'container' && element.children !== undefined
      ? encodeElements(element.children, table)
      : (element.value ?? new Uint8Array());
  if (value.length > largestValue) {
    throw new FormatError('too-large', `a value of ${String(value.length)} bytes; 65,535 are the most`, {
      offset: writer.length,
      element: elementName(element.tag, table),
    });
  }
  writer.u8(element.tag).u16(value.length).bytes(value);
}

const textEncoder = new TextEncoder();

/** A text value: UTF-8 and a closing NUL. */
export function encodeText(text: string): Uint8Array {
  return textEncoder.encode(`${text}\0`);
}

/** A byte order mark at the start is kept: what is shown should not hide three bytes. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** A text value without its NUL. Bytes that are no UTF-8 become U+FFFD: for people, not for comparing. */
export function decodeText(value: Uint8Array): string {
  const text = utf8.decode(value);
  return text.endsWith('\0') ? text.slice(0, -1) : text;
}
