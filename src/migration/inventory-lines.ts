/** A line of a text, and its end as it was written: `\n`, `\r\n`, `\r`, or nothing at the end of the text. */
export interface TextLine {
  /** Counted from 1. */
  readonly number: number;
  readonly text: string;
  readonly end: string;
}

/** So many characters a line may have. What is longer is no line of an inventory, and is not kept. */
const longestLine = 1024 * 1024;

const lineEnd = /\r\n|\n|\r/g;

/** Cuts a text that comes in parts into lines. A line that is too long comes empty, with `tooLong` called before. */
export class LineSplitter {
  readonly #take: (line: TextLine) => void;
  readonly #tooLong: (number: number) => void;
  #rest = '';
  #number = 1;
  #isSkipping = false;

  constructor(take: (line: TextLine) => void, tooLong: (number: number) => void) {
    this.#take = take;
    this.#tooLong = tooLong;
  }

  write(part: string): void {
    const text = this.#rest + part;
    let start = 0;
    lineEnd.lastIndex = 0;
    for (let found = lineEnd.exec(text); found !== null; found = lineEnd.exec(text)) {
      // The other half of a line end may be in the next part.
      if (found[0] === '\r' && lineEnd.lastIndex === text.length) break;
      this.#line(text.slice(start, found.index), found[0]);
      start = lineEnd.lastIndex;
    }
    this.#rest = text.slice(start);
    if (this.#rest.length <= longestLine) return;
    if (!this.#isSkipping) this.#tooLong(this.#number);
    this.#isSkipping = true;
    this.#rest = this.#rest.endsWith('\r') ? '\r' : '';
  }

  end(): void {
    const isReturn = this.#rest.endsWith('\r');
    const text = isReturn ? this.#rest.slice(0, -1) : this.#rest;
    if (text !== '' || isReturn || this.#isSkipping) this.#line(text, isReturn ? '\r' : '');
    this.#rest = '';
  }

  #line(text: string, end: string): void {
    if (!this.#isSkipping && text.length > longestLine) this.#tooLong(this.#number);
    const isTooLong = this.#isSkipping || text.length > longestLine;
    this.#take({ number: this.#number, text: isTooLong ? '' : text, end });
    this.#isSkipping = false;
    this.#number += 1;
  }
}
