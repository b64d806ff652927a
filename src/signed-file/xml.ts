import { createRequire } from 'node:module';
import { FormatError } from '../errors.js';

// Loaded when a configuration is read, not when this room is imported: most commands read none.
const require = createRequire(import.meta.url);

/** The part of `SaxesParser` that is used. The declarations of saxes 6.0.0 do not compile as strictly as this project. */
interface XmlParser {
  /** Where the next character is, as an index into the text. */
  readonly position: number;
  on(name: 'error', handler: (error: Error) => void): void;
  on(name: 'doctype' | 'text' | 'cdata', handler: (text: string) => void): void;
  on(name: 'xmldecl', handler: (declaration: { readonly encoding?: string }) => void): void;
  on(name: 'opentag', handler: (tag: { readonly name: string }) => void): void;
  on(name: 'closetag', handler: () => void): void;
  write(text: string): this;
  close(): this;
}

/** An element of a document. */
export interface XmlElement {
  readonly name: string;
  /** The element as it was written, tags included. */
  readonly source: string;
  /** Its own text, without that of the elements inside. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface OpenElement {
  readonly name: string;
  readonly start: number;
  text: string;
  readonly children: XmlElement[];
}

/** The encodings whose bytes are UTF-8. */
const readableEncodings = /^(utf-?8|us-ascii)$/i;

/**
 * Reads a document in UTF-8. Nothing in it is looked up elsewhere: a document type is refused.
 *
 * @returns its root.
 * @throws FormatError `bad-text` for what is no such document.
 */
export function parseXml(bytes: Uint8Array): XmlElement {
  const text = decodeUtf8(bytes);
  const { SaxesParser } = require('saxes') as { SaxesParser: new () => XmlParser };
  const parser = new SaxesParser();
  const fault = (what: string, hint = 'correct the file: phones read XML in UTF-8'): FormatError => {
    const offset = new TextEncoder().encode(text.slice(0, parser.position)).length;
    return new FormatError('bad-text', what, { offset }, { hint });
  };
  const open: OpenElement[] = [];
  let root: XmlElement | undefined;
  parser.on('error', (error) => {
    throw fault(`no well-formed XML (line and column ${error.message})`);
  });
  parser.on('doctype', () => {
    throw fault('a document type, which no configuration has', 'remove <!DOCTYPE …> from the file');
  });
  parser.on('xmldecl', ({ encoding = 'UTF-8' }) => {
    if (!readableEncodings.test(encoding)) throw fault(`the encoding is ${encoding}; UTF-8 is read`);
  });
  const addText = (part: string): void => {
    const element = open.at(-1);
    if (element !== undefined) element.text += part;
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.on('opentag', ({ name }) => {
    // Only a tag begins with this character: inside attributes it is not well-formed.
    open.push({ name, start: text.lastIndexOf('<', parser.position - 1), text: '', children: [] });
  });
  parser.on('closetag', () => {
    const element = open.pop();
    if (element === undefined) return;
    const { name, children } = element;
    const whole = { name, source: text.slice(element.start, parser.position), text: element.text, children };
    const parent = open.at(-1);
    if (parent === undefined) root = whole;
    else parent.children.push(whole);
  });
  parser.write(text).close();
  if (root === undefined) throw fault('no element');
  return root;
}

/** @throws FormatError `bad-text` */
function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const readable = new TextEncoder().encode(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes));
    const offset = Math.max(
      0,
      readable.findIndex((byte, index) => byte !== bytes[index]),
    );
    throw new FormatError('bad-text', 'no UTF-8', { offset }, { hint: 'save the file in UTF-8' });
  }
}
