import { printable } from '../bytes/index.js';

/** Text in double quotes for a message, printable and at most 60 characters of it. */
export function quoted(text: string): string {
  const characters = Array.from(text.slice(0, 121));
  const shown = characters.length > 60 ? `${characters.slice(0, 60).join('')}…` : text;
  return `"${printable(shown)}"`;
}
