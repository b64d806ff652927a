import type { KeyObject } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { printable } from '../bytes/index.js';
import { NetworkError } from '../errors.js';
import type { Certificate } from '../x509/index.js';
import { serveConnection } from './connection.js';
import { ConnectionTable, type TableEntry } from './connection-table.js';
import type { TvsKnowledge } from './knowledge.js';
import { usualLimits, type TvsLimits } from './limits.js';
import { serverTls } from './secure-context.js';

/** The port of TVS. */
export const tvsPort = 2445;

/** A TVS server to be started. */
export interface TvsServerRequest {
  /** The TVS certificate, by whose hash phones know the server. */
  readonly certificate: Certificate;
  readonly key: KeyObject;
  readonly knowledge: TvsKnowledge;
  /** Where it listens: 127.0.0.1 unless told. */
  readonly host?: string;
  /** 2445 unless told; 0 takes a free one. */
  readonly port?: number;
  /** Whether TLS 1.0 and 1.1 with AES256-SHA are allowed too, which old phones need and which is weak. */
  readonly legacyTls?: boolean;
  /** Told what comes in and goes out, line by line, in the words of a cluster's log, safe to print. */
  readonly log?: (line: string) => void;
  readonly limits?: Partial<TvsLimits>;
}

/** A running TVS server. */
export interface TvsServer {
  readonly host: string;
  readonly port: number;
  /** Stops listening and closes every connection. */
  close(): Promise<void>;
}

/**
 * Starts a TVS server (tvs-protocol.md) over TLS 1.2 or later. Clients show no certificate. Requests may follow each
 * other without waiting; a client that breaks the protocol or a limit loses its own connection only.
 *
 * @throws NetworkError `cannot-listen`; InputError `usage` when certificate and key cannot be used for TLS.
 */
export async function startTvsServer(request: TvsServerRequest): Promise<TvsServer> {
  const { certificate, key, host = '127.0.0.1', port = tvsPort, legacyTls = false } = request;
  const limits = { ...usualLimits, ...request.limits };
  const tls = serverTls(certificate, key, legacyTls);
  // Without noDelay the end of an answer waits until the client confirms its beginning, which clients put off.
  const server = createServer({ ...tls, handshakeTimeout: limits.handshakeTime, noDelay: true });
  const table = new ConnectionTable(limits.connections);
  acceptConnections(server, table, request, limits);
  await listen(server, host, port);
  server.on('error', (error: Error) => request.log?.(printable(`ERROR:${error.message}`)));
  const address = server.address() as AddressInfo;
  return {
    host: address.address,
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        table.closeAll();
      }),
  };
}

/** A connection before and after its handshake. */
interface Arrival extends TableEntry {
  handshakeTimer: NodeJS.Timeout | undefined;
}

function acceptConnections(server: Server, table: ConnectionTable, request: TvsServerRequest, limits: TvsLimits): void {
  const { log: write } = request;
  const log = write === undefined ? undefined : (line: string) => write(printable(line));
  // The socket that was accepted and the one that TLS makes of it have nothing public in common but their peer.
  const arrivals = new Map<string, Arrival>();
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket);
    const arrival: Arrival = {
      address: socket.remoteAddress ?? '',
      close: () => socket.destroy(),
      handshakeTimer: setTimeout(() => socket.destroy(), limits.handshakeTime),
    };
    arrivals.set(peer, arrival);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(arrival.handshakeTimer);
      if (arrivals.get(peer) === arrival) arrivals.delete(peer);
      table.remove(arrival);
    });
    table.add(arrival);
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    const arrival = arrivals.get(peerOf(socket));
    if (arrival === undefined) {
      socket.destroy();
      return;
    }
    clearTimeout(arrival.handshakeTimer);
    table.touch(arrival);
    const { knowledge } = request;
    serveConnection(socket, { knowledge, limits, log, onMessage: () => table.touch(arrival) });
  });
  server.on('tlsClientError', (error, socket) => {
    log?.(`ERROR:TLS handshake failed: ${error.message}`);
    socket.destroy();
  });
}

function peerOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? ''}`;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      const hints: Partial<Record<string, string>> = {
        EADDRINUSE: 'another program listens there: choose another --port, or stop it',
        EACCES: 'ports below 1024 need the rights of an administrator: choose another --port',
        EADDRNOTAVAIL: 'choose an address of this machine as --host',
        ENOTFOUND: 'choose an address of this machine as --host',
      };
      const hint = hints[error.code ?? ''];
      const message = `TVS cannot listen on ${printable(host)}, port ${port}: ${error.code ?? error.message}`;
      reject(new NetworkError('cannot-listen', message, { cause: error, ...(hint === undefined ? {} : { hint }) }));
    };
    server.once('error', fail);
    server.listen(port, host, () => {
      server.removeListener('error', fail);
      resolve();
    });
  });
}
