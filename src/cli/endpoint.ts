import { isIPv6 } from 'node:net';
import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';

/** Where a server is. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** `HOST[:PORT]`; an IPv6 address with a port stands in brackets. @throws InputError `usage` */
export function parseEndpoint(text: string, defaultPort: number): Endpoint {
  if (isIPv6(text)) return { host: text, port: defaultPort };
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:\s]+))(?::(\d+))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) {
    throw new InputError('usage', `${printable(text)} is not HOST or HOST:PORT`, {
      hint: 'an IPv6 address with a port stands in brackets: [::1]:2445',
    });
  }
  return { host, port: port === undefined ? defaultPort : parseWhole(port, 'the port', 1, 65_535) };
}

/** A port to listen on; 0 takes a free one. @throws InputError `usage` */
export function parsePort(text: string): number {
  return parseWhole(text, 'the port', 0, 65_535);
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return isIPv6(host) ? `[${host}]:${String(port)}` : `${host}:${String(port)}`;
}

/** A whole number of an option. @param what the option, in words. @throws InputError `usage` */
export function parseWhole(text: string, what: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new InputError('usage', `${what} cannot be ${printable(text)}`, {
    hint: `give a whole number from ${String(least)} to ${String(most)}`,
  });
}
