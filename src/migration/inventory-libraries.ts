import { createRequire } from 'node:module';
import type * as CsvParse from 'csv-parse/sync';

// Both are loaded when an inventory is read, not when this room is imported: most commands read none.
const require = createRequire(import.meta.url);

/** The part of `SaxesParser` that is used. The declarations of saxes 6.0.0 do not compile as strictly as this project. */
export interface XmlParser {
  /** The line of the next character, counted from 1. */
  readonly line: number;
  on(name: 'error', handler: (error: Error) => void): void;
  on(name: 'doctype' | 'text' | 'cdata', handler: (text: string) => void): void;
  on(
    name: 'opentag',
    handler: (tag: { readonly name: string; readonly attributes: Readonly<Record<string, string>> }) => void,
  ): void;
  on(name: 'closetag', handler: () => void): void;
  write(text: string): this;
  close(): this;
}

/** `parse` of the `csv-parse` package: one text in, its records out. */
export function loadCsvParse(): typeof CsvParse.parse {
  return (require('csv-parse/sync') as typeof CsvParse).parse;
}

/** A new parser of the `saxes` package. */
export function createXmlParser(): XmlParser {
  const { SaxesParser } = require('saxes') as { SaxesParser: new () => XmlParser };
  return new SaxesParser();
}
