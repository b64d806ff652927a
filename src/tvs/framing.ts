import { FormatError } from '../errors.js';
import { checkTvsStart, decodeTvsHeader, largestTvsBody, tvsHeaderLength } from './message.js';

/**
 * Cuts a stream into messages, in whatever pieces its bytes arrive. It keeps no more than what has arrived and was not
 * taken, whatever length a message says it has.
 */
export class TvsMessageReader {
  readonly #largestBody: number;
  /** Grows by doubling, so that bytes that come one by one are not copied again for each of them. */
  #bytes: Uint8Array = new Uint8Array();
  #start = 0;
  #end = 0;

  /** @param largestBody the most bytes that a message may have after its first ten. */
  constructor(largestBody: number = largestTvsBody) {
    this.#largestBody = largestBody;
  }

  /** How many bytes were received and not yet taken as a message. */
  get pending(): number {
    return this.#end - this.#start;
  }

  /** Takes bytes as they arrive. They must not be changed afterwards: they are copied only when they are joined. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.pending === 0) {
      this.#bytes = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      return;
    }
    const wanted = this.pending + chunk.length;
    // The first bytes may be the caller's own: then there is no room behind them.
    if (this.#end + chunk.length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(wanted * 2, 64));
      grown.set(this.#bytes.subarray(this.#start, this.#end));
      this.#end = this.pending;
      this.#start = 0;
      this.#bytes = grown;
    }
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next whole message, or `undefined` until more bytes arrive.
   *
   * @throws FormatError `bad-value` as soon as the bytes cannot be a message; `too-large` for a length above the bound.
   *   Nothing can be read after that.
   */
  next(): Uint8Array | undefined {
    const waiting = this.#bytes.subarray(this.#start, this.#end);
    if (waiting.length < tvsHeaderLength) {
      checkTvsStart(waiting);
      return undefined;
    }
    const { bodyLength } = decodeTvsHeader(waiting);
    if (bodyLength > this.#largestBody) {
      const message = `a body of ${bodyLength} bytes; ${this.#largestBody} are the most that are taken`;
      throw new FormatError('too-large', message, { offset: 8, element: 'body length' });
    }
    const length = tvsHeaderLength + bodyLength;
    if (waiting.length < length) return undefined;
    this.#start += length;
    return waiting.subarray(0, length);
  }
}
