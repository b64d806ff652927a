import { createSocket, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { NetworkError } from '../errors.js';

/** Where TFTP servers listen, unless told otherwise: UDP (RFC 1350). */
export const tftpPort = 69;

/** Where a datagram comes from or goes to. */
export interface TftpAddress {
  /** A name or an IP address. */
  readonly host: string;
  /** UDP port. */
  readonly port: number;
}

/** What the kernel is asked to keep of datagrams that were not read yet, in bytes. */
const receiveBuffer = 1024 * 1024;

/**
 * A socket for addresses that are known already: datagrams leave at once instead of after a look-up of each.
 *
 * @param address an IP address of the family that is wanted.
 */
export function openSocket(address: string): Socket {
  const family = isIP(address) === 6 ? 6 : 4;
  return createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    recvBufferSize: receiveBuffer,
    lookup: (host, _options, callback) => callback(null, host, family),
  });
}

/**
 * Passes on what arrives. Datagrams from port 0 are dropped: nothing can be sent there, and Node throws for the attempt.
 */
export function receiveDatagrams(socket: Socket, take: (bytes: Buffer, from: TftpAddress) => void): void {
  socket.on('message', (bytes, { address, port }) => {
    if (port !== 0) take(bytes, { host: address, port });
  });
}

/**
 * Sends a datagram, and never throws: one that cannot be sent is as good as lost, and time limits care for those.
 *
 * @param failed is told what the system says; unless given, the socket's `error` event tells it.
 */
export function sendDatagram(
  socket: Socket,
  bytes: Uint8Array | readonly Uint8Array[],
  { host, port }: TftpAddress,
  failed?: (error: Error | null) => void,
): void {
  try {
    socket.send(bytes, port, host, failed);
  } catch {
    // An address that Node does not take, or a socket that is closed already.
  }
}

/** Binds a socket. @param port 0 for any. */
export function bindSocket(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.removeListener('error', reject);
      resolve();
    });
  });
}

/** Closes a socket that may be closed already. */
export function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    try {
      socket.close(() => resolve());
    } catch {
      resolve();
    }
  });
}

/**
 * The IP address of a host, found as sockets find it. A name that has an IPv4 address gives that.
 *
 * @throws NetworkError `unreachable`
 */
export async function resolveHost(host: string): Promise<string> {
  if (isIP(host) !== 0) return host;
  let cause: unknown;
  for (const type of ['udp4', 'udp6'] as const) {
    const socket = createSocket(type);
    try {
      return await new Promise<string>((resolve, reject) => {
        socket.once('error', reject);
        socket.connect(9, host, (error?: Error) => {
          if (error === undefined || (error as Error | null) === null) resolve(socket.remoteAddress().address);
          else reject(error);
        });
      });
    } catch (error) {
      cause = error;
    } finally {
      await closeSocket(socket);
    }
  }
  throw new NetworkError('unreachable', `the host ${host} has no address`, {
    hint: 'check the name, or give the IP address',
    cause,
  });
}
