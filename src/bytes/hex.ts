const digits = '0123456789abcdef';

/**
 * Bytes as lower-case hex without separators.
 *
 * @param separator put between the bytes, e.g. `:`.
 */
export function formatHex(bytes: Uint8Array, separator = ''): string {
  let text = '';
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index] ?? 0;
    if (index > 0) text += separator;
    text += digits.charAt(byte >> 4) + digits.charAt(byte & 15);
  }
  return text;
}

/**
 * Hex back to bytes. Blanks and colons between the bytes are allowed; anything else gives `undefined`.
 */
export function parseHex(text: string): Uint8Array | undefined {
  const compact = text.replaceAll(/[\s:]/g, '');
  if (compact.length % 2 !== 0 || /[^0-9a-f]/i.test(compact)) return undefined;
  const bytes = new Uint8Array(compact.length / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(compact.slice(index * 2, index * 2 + 2), 16);
  }
  return bytes;
}
