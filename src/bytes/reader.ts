import { FormatError } from '../errors.js';

/**
 * The one cursor that decoders read with. It never reads past its end, and knows the offset of everything in the
 * whole input, also inside a part of it.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #offset: number;

  /**
   * @param bytes the whole input.
   * @param start where reading begins, in bytes.
   * @param end where reading must stop, in bytes; the end of the input unless given.
   */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
  }

  /** Where the next byte is, counted from the start of the whole input. */
  get offset(): number {
    return this.#offset;
  }

  /** Where this reader stops, counted from the start of the whole input. */
  get end(): number {
    return this.#end;
  }

  /** How many bytes are left. */
  get remaining(): number {
    return this.#end - this.#offset;
  }

  /** The next byte, not yet taken; `undefined` at the end. */
  peek(): number | undefined {
    return this.#offset < this.#end ? this.#bytes[this.#offset] : undefined;
  }

  /** @throws FormatError `truncated` */
  u8(element: string): number {
    this.#need(1, element);
    const value = this.#bytes[this.#offset] ?? 0;
    this.#offset += 1;
    return value;
  }

  /** A big-endian number of two bytes. @throws FormatError `truncated` */
  u16(element: string): number {
    this.#need(2, element);
    const value = ((this.#bytes[this.#offset] ?? 0) << 8) | (this.#bytes[this.#offset + 1] ?? 0);
    this.#offset += 2;
    return value;
  }

  /** The next bytes, as a view of the input, not a copy. @throws FormatError `truncated` */
  bytes(length: number, element: string): Uint8Array {
    this.#need(length, element);
    const value = this.#bytes.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return value;
  }

  /** Steps over bytes without looking at them. @throws FormatError `truncated` */
  skip(length: number, element: string): void {
    this.#need(length, element);
    this.#offset += length;
  }

  #need(length: number, element: string): void {
    if (length > this.remaining) {
      throw new FormatError('truncated', `${String(length)} bytes expected, ${String(this.remaining)} left`, {
        offset: this.#offset,
        element,
      });
    }
  }
}
