import { isIPv6 } from 'node:net';
import { printable } from '../../bytes/index.js';
import { InputError } from '../../errors.js';
import { tvsPort } from '../../tvs/index.js';

/** Where a server is. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** `HOST[:PORT]`; an IPv6 address with a port stands in brackets. @throws InputError `usage` */
export function parseEndpoint(text: string): Endpoint {
  if (isIPv6(text)) return { host: text, port: tvsPort };
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || host.trim() === '') {
    throw new InputError('usage', `${printable(text)} is not HOST or HOST:PORT`, {
      hint: 'an IPv6 address with a port stands in brackets: [::1]:2445',
    });
  }
  const chosen = port === undefined ? tvsPort : parsePort(port);
  if (chosen === 0) throw new InputError('usage', 'no server has the port 0', { hint: 'TVS has 2445' });
  return { host, port: chosen };
}

/** @throws InputError `usage` */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  if (port >= 0 && port <= 65_535) return port;
  throw new InputError('usage', `${printable(text)} is no port`, { hint: 'give a number from 0 to 65535' });
}

export function formatEndpoint({ host, port }: Endpoint): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}
