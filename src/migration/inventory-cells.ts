import { untold } from './inventory-phone.js';

/** What a cell says, or what is wrong with it. */
export type CellReading<T> = { readonly value: T } | { readonly wrong: string };

/** What inventories and phones write for a list or server that is not there. */
const noneWords: ReadonlySet<string> = new Set(['-', 'none', 'not installed', 'n/a']);

/** Longer than every name of a device that a cluster takes. */
const longestDeviceName = 128;

/**
 * The name of a device: `SEP` and the 12 hex digits of its MAC address; for other devices letters, digits, `.`, `_` and
 * `-`. A MAC address alone, with or without `:`, `-` and `.`, is that of a phone.
 */
export function readDevice(text: string): CellReading<string> {
  const name = text.trim();
  if (name === '') return { wrong: 'no device name' };
  const mac = name.replaceAll(/[:.-]/g, '');
  if (/^[0-9a-f]{12}$/i.test(mac)) return { value: `SEP${mac.toUpperCase()}` };
  if (/^sep/i.test(name)) {
    if (/^sep[0-9a-f]{12}$/i.test(name)) return { value: name.toUpperCase() };
    return { wrong: `the device name ${quote(name)} is not SEP and 12 hex digits` };
  }
  const isName = /^[a-z0-9][a-z0-9._-]*$/i.test(name) && name.length <= longestDeviceName;
  return isName ? { value: name } : { wrong: `${quote(name)} is no device name` };
}

/**
 * The checksum of a list: SHA-1 (40 hex digits) or MD5 (32), with or without blanks or colons between the bytes; in
 * lower case without them. `undefined` where no list is held, {@link untold} for an empty cell, which says neither.
 */
export function readDigest(text: string, column: string): CellReading<string | undefined> {
  const word = text.trim().toLowerCase();
  if (word === '') return { value: untold };
  if (noneWords.has(word)) return { value: undefined };
  const digits = word.replaceAll(/[\s:]/g, '');
  if (/^([0-9a-f]{40}|[0-9a-f]{32})$/.test(digits)) return { value: digits };
  const found = /^[0-9a-f]*$/.test(digits) ? `${String(digits.length)} hex digits` : quote(text.trim());
  return { wrong: `${column} is ${found}, not 40 hex digits (SHA-1), 32 (MD5) or "none"` };
}

/** The TVS servers of a device, separated by blanks, `;`, `|` or commas; `undefined` for an empty cell. */
export function readServers(text: string): CellReading<readonly string[] | undefined> {
  if (text.trim() === '') return { value: undefined };
  if (noneWords.has(text.trim().toLowerCase())) return { value: [] };
  const servers = text.split(/[\s;|,]+/).filter((server) => server !== '');
  const wrong = servers.find((server) => !/^[a-z0-9[\]:._-]{1,255}$/i.test(server));
  if (wrong !== undefined) return { wrong: `${quote(wrong)} is no name or address of a TVS server` };
  return { value: servers };
}

/** The name or address of one server; `undefined` where none is told. */
export function readServer(text: string): CellReading<string | undefined> {
  const server = text.trim();
  if (server === '' || noneWords.has(server.toLowerCase())) return { value: undefined };
  if (!/^[a-z0-9[\]:._-]{1,255}$/i.test(server))
    return { wrong: `${quote(server)} is no name or address of a TFTP server` };
  return { value: server };
}

const booleanWords: ReadonlyMap<string, boolean> = new Map([
  ...['yes', 'true', '1', 'y', 'on'].map((word) => [word, true] as const),
  ...['no', 'false', '0', 'n', 'off'].map((word) => [word, false] as const),
]);

/** Yes or no; `undefined` for an empty cell, which says neither. */
export function readBoolean(text: string, column: string): CellReading<boolean | undefined> {
  const word = text.trim().toLowerCase();
  if (word === '') return { value: undefined };
  const value = booleanWords.get(word);
  return value === undefined ? { wrong: `${column} is ${quote(text.trim())}, not yes or no` } : { value };
}

/** Text of a file in a message, shortened. */
function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 39)}…` : text);
}
