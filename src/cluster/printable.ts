/** Text from a file or certificate, safe to print: control and direction characters are written as `\u{…}`. */
export function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** Text in double quotes for a message, printable and at most 60 characters of it. */
export function quoted(text: string): string {
  const characters = Array.from(text.slice(0, 121));
  const shown = characters.length > 60 ? `${characters.slice(0, 60).join('')}…` : text;
  return `"${printable(shown)}"`;
}
