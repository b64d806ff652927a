import { concatBytes } from '../bytes/index.js';
import { derTag } from './der.js';

/** One DER value: its tag, its length in the fewest bytes, its content (X.690, 8.1 and 10.1). */
export function encodeDer(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const bytes = concatBytes(...content);
  const { length } = bytes;
  if (length < 0x80) return concatBytes(Uint8Array.of(tag, length), bytes);
  const digits = base256(length);
  return concatBytes(Uint8Array.of(tag, 0x80 | digits.length, ...digits), bytes);
}

/** The bytes of a number without leading zeros; one zero byte for 0. */
function base256(value: number): number[] {
  const digits = [value & 0xff];
  for (let left = Math.floor(value / 256); left > 0; left = Math.floor(left / 256)) digits.unshift(left & 0xff);
  return digits;
}

export function encodeSequence(...content: readonly Uint8Array[]): Uint8Array {
  return encodeDer(derTag.sequence, ...content);
}

export function encodeSet(...content: readonly Uint8Array[]): Uint8Array {
  return encodeDer(derTag.set, ...content);
}

export function encodeOctetString(content: Uint8Array): Uint8Array {
  return encodeDer(derTag.octetString, content);
}

/** An INTEGER that is not negative (X.690, 8.3). */
export function encodeInteger(value: number): Uint8Array {
  const digits = base256(value);
  const sign = (digits[0] ?? 0) < 0x80 ? [] : [0];
  return encodeDer(derTag.integer, Uint8Array.of(...sign, ...digits));
}

/** NULL: the parameters of algorithms that have none (RFC 8017, A.1). */
export const derNull: Uint8Array = Uint8Array.of(0x05, 0x00);

/** An object identifier from its dotted form (X.690, 8.19). */
export function encodeObjectIdentifier(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      digits.unshift((left & 0x7f) | 0x80);
    return digits;
  });
  return encodeDer(derTag.objectIdentifier, Uint8Array.from(bytes));
}
