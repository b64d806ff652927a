import { connect, createServer, type Socket } from 'node:net';

/** A relay in front of a server that is cut off for good. */
export interface TcpRelay {
  readonly port: number;
  readonly close: () => void;
}

/**
 * Starts a relay that passes so many bytes in one direction, and then cuts both connections off.
 *
 * @param direction whose bytes are counted.
 */
export async function startTcpRelay(
  serverPort: number,
  direction: 'from-server' | 'to-server',
  bytes: number,
): Promise<TcpRelay> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(serverPort, '127.0.0.1');
    let left = bytes;
    const cut = (): void => {
      near.resetAndDestroy();
      far.resetAndDestroy();
    };
    const pass = (from: Socket, to: Socket, counted: boolean): void => {
      sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => to.destroy());
      from.on('data', (chunk) => {
        if (counted) left -= chunk.length;
        if (left < 0) cut();
        else to.write(chunk);
      });
    };
    pass(near, far, direction === 'to-server');
    pass(far, near, direction === 'from-server');
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
  return {
    port,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
