import { TextDecoder } from 'node:util';
import { concatBytes } from '../bytes/index.js';

const newline = 0x0a;

/** A line end is looked for in so many bytes; what is longer is no line of an inventory. */
const longestBlock = 4 * 1024 * 1024;

/**
 * The text of a file that comes in parts: UTF-8, or UTF-16 as its byte order mark says. What is not UTF-8 is what Excel
 * writes as CSV, which is Windows-1252 in most places. A byte order mark stays in the text.
 */
export class InventoryText {
  readonly #take: (part: string) => void;
  readonly #windows = new TextDecoder('windows-1252');
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #utf16: TextDecoder | undefined;
  #rest: Uint8Array = new Uint8Array();
  #hasBegun = false;
  #isNotUtf8 = false;

  constructor(take: (part: string) => void) {
    this.#take = take;
  }

  /** Whether some of it was read as Windows-1252. */
  get isNotUtf8(): boolean {
    return this.#isNotUtf8;
  }

  write(bytes: Uint8Array): void {
    if (!this.#hasBegun && bytes.length > 1) {
      this.#hasBegun = true;
      const [first, second] = bytes;
      if (first === 0xff && second === 0xfe) this.#utf16 = new TextDecoder('utf-16le', { ignoreBOM: true });
      if (first === 0xfe && second === 0xff) this.#utf16 = new TextDecoder('utf-16be', { ignoreBOM: true });
    }
    if (this.#utf16 !== undefined) {
      this.#take(this.#utf16.decode(bytes, { stream: true }));
      return;
    }
    // Whole lines, so that no character is cut.
    const end = this.#rest.length > longestBlock ? bytes.length : bytes.lastIndexOf(newline) + 1;
    const whole = concatBytes(this.#rest, bytes.subarray(0, end));
    if (end === 0) {
      this.#rest = concatBytes(this.#rest, bytes);
      return;
    }
    this.#rest = bytes.slice(end);
    this.#take(this.#decode(whole));
  }

  end(): void {
    if (this.#utf16 !== undefined) this.#take(this.#utf16.decode());
    else this.#take(this.#decode(this.#rest));
    this.#rest = new Uint8Array();
  }

  #decode(bytes: Uint8Array): string {
    try {
      return this.#utf8.decode(bytes);
    } catch {
      this.#isNotUtf8 = true;
      return this.#windows.decode(bytes);
    }
  }
}
