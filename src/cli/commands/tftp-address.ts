import { InputError } from '../../errors.js';
import type { TftpAddress } from '../../tftp/index.js';

/** Reads `host`, `host:port`, `[IPv6 address]:port` or a bare IPv6 address; the port is 69 unless given. */
export function parseTftpAddress(text: string): TftpAddress {
  const bracketed = /^\[([0-9A-Fa-f:.]+)\](?::(\d+))?$/.exec(text);
  const plain = /^([^:[\]\s]+)(?::(\d+))?$/.exec(text);
  const [, host, port] = bracketed ?? plain ?? (/^[0-9A-Fa-f:.]+$/.test(text) ? [text, text] : []);
  if (host === undefined) {
    throw new InputError('usage', `${text} is no address of a server`, { hint: 'give host, host:port or [IPv6]:port' });
  }
  return { host, port: parseWhole(port ?? '69', 'the port', 1, 65_535) };
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatTftpAddress({ host, port }: TftpAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
}

/** A whole number of an option. @throws InputError `usage` */
export function parseWhole(text: string, what: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new InputError('usage', `${what} cannot be ${text}`, {
    hint: `give a whole number from ${String(least)} to ${String(most)}`,
  });
}
