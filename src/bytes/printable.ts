/**
 * Text from a file, certificate or token, safe to print: control and direction characters and line separators, which
 * could move the cursor or fake lines, are written as `\u{…}`.
 */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
