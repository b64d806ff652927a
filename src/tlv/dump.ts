import { formatHex, printable } from '../bytes/index.js';
import { decodeText } from './encode.js';
import { elementName, type Element, type ElementTable } from './element.js';

/** Bytes on one line of a dump. */
const lineLength = 16;

/**
 * A hex dump in which every element says what it is: offset, tag, name, length, then its bytes, 16 to a line, with
 * text beside them where the element is text.
 */
export function formatElements(elements: readonly Element[], table: ElementTable, indent = ''): string {
  return elements.map((element) => formatElement(element, table, indent)).join('');
}

function formatElement(element: Element, table: ElementTable, indent: string): string {
  const offset = element.offset.toString(16).padStart(6, '0');
  const kind = table.get(element.tag)?.kind;
  const title = `${offset}  ${indent}${String(element.tag)} ${elementName(element.tag, table)}`;
  if (kind === 'padding') return `${title}\n`;
  const words = kind === 'text' ? `  "${printable(decodeText(element.value))}"` : '';
  const head = `${title}, ${String(element.value.length)} bytes${words}\n`;
  if (element.children !== undefined) return head + formatElements(element.children, table, `${indent}  `);
  let lines = '';
  for (let start = 0; start < element.value.length; start += lineLength) {
    const at = (element.offset + 3 + start).toString(16).padStart(6, '0');
    lines += `${at}  ${indent}  ${formatHex(element.value.subarray(start, start + lineLength), ' ')}\n`;
  }
  return head + lines;
}
