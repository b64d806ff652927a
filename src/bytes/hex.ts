/** Every byte in hex. */
const hexOfByte: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * Bytes as lower-case hex without separators.
 *
 * @param separator put between the bytes, e.g. `:`.
 */
export function formatHex(bytes: Uint8Array, separator = ''): string {
  return Array.from(bytes, (byte) => hexOfByte[byte]).join(separator);
}

/**
 * Hex back to bytes. Blanks and colons between the bytes are allowed; anything else gives `undefined`, also a blank or
 * colon inside a byte.
 */
export function parseHex(text: string): Uint8Array | undefined {
  const parts = text.split(/[\s:]+/);
  if (parts.some((part) => part.length % 2 !== 0 || /[^0-9a-f]/i.test(part))) return undefined;
  const compact = parts.join('');
  const bytes = new Uint8Array(compact.length / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(compact.slice(index * 2, index * 2 + 2), 16);
  }
  return bytes;
}
