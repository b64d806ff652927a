import { FormatError } from '../errors.js';
import { Reader } from '../bytes/index.js';

/** One DER value: its tag byte, where it starts, and its content as a view of the input. */
export interface DerValue {
  readonly tag: number;
  /** Bytes from the start of the input to the tag. */
  readonly offset: number;
  /** Bytes from the start of the input to the content. */
  readonly contentOffset: number;
  readonly content: Uint8Array;
}

export const derTag = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  universalString: 0x1c,
  sequence: 0x30,
  set: 0x31,
  explicit0: 0xa0,
} as const;

/**
 * Reads one DER value (X.690, 8.1 and 10.1: definite lengths in the fewest bytes).
 *
 * @throws FormatError `truncated`, `bad-length`, `bad-value`
 */
export function readDer(reader: Reader, what: string, tag?: number): DerValue {
  const offset = reader.offset;
  const found = reader.u8(what);
  if (tag !== undefined && found !== tag) {
    throw new FormatError('bad-value', `DER tag ${hexByte(tag)} expected, ${hexByte(found)} found`, {
      offset,
      element: what,
    });
  }
  const length = readLength(reader, what);
  const contentOffset = reader.offset;
  return { tag: found, offset, contentOffset, content: reader.bytes(length, what) };
}

function readLength(reader: Reader, what: string): number {
  const offset = reader.offset;
  const first = reader.u8(what);
  if (first < 0x80) return first;
  const count = first & 0x7f;
  if (count === 0 || count > 4) {
    throw new FormatError('bad-length', 'an indefinite or oversized DER length', { offset, element: what });
  }
  let length = 0;
  for (let index = 0; index < count; index += 1) length = length * 256 + reader.u8(what);
  if (length < 0x80 || length < 256 ** (count - 1)) {
    throw new FormatError('bad-length', 'a DER length that is longer than it need be', { offset, element: what });
  }
  return length;
}

/** A reader over the content of a DER value that still counts offsets from the start of the input. */
export function insideDer(input: Uint8Array, value: DerValue): Reader {
  return new Reader(input, value.contentOffset, value.contentOffset + value.content.length);
}

/** The bytes of the first DER value of an input, without what follows it. */
export function firstDerValue(input: Uint8Array): Uint8Array {
  const { contentOffset, content } = readDer(new Reader(input), 'SEQUENCE');
  return input.subarray(0, contentOffset + content.length);
}

/** An object identifier in dotted form (X.690, 8.19). */
export function formatObjectIdentifier(content: Uint8Array): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f);
    if ((byte & 0x80) === 0) {
      if (arcs.length === 0) {
        const first = Math.min(2, Math.floor(arc / 40));
        arcs.push(first, arc - first * 40);
      } else arcs.push(arc);
      arc = 0;
    }
  }
  return arcs.join('.');
}

function hexByte(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
