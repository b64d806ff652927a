import { createSocket, type Socket } from 'node:dgram';

/** What a relay does to datagrams: the probability of each, 0 to 1. */
export interface Faults {
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
}

/** A relay between a client and a server on 127.0.0.1, as a bad network would be. */
export interface Relay {
  readonly port: number;
  readonly counts: { passed: number; lost: number; duplicated: number; held: number };
  close(): void;
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Starts a relay in front of a server: each client and each transfer gets sockets of its own, both ways lossy. */
export async function startRelay(serverPort: number, faults: Faults, seed: number): Promise<Relay> {
  const random = seededRandom(seed);
  const counts = { passed: 0, lost: 0, duplicated: 0, held: 0 };
  const sockets = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  const pass = (from: Socket, bytes: Uint8Array, port: number): void => {
    const send = (): void => {
      if (sockets.has(from)) from.send(bytes, port, '127.0.0.1');
    };
    if (random() < faults.loss) {
      counts.lost += 1;
      return;
    }
    const times = random() < faults.duplication ? 2 : 1;
    counts.duplicated += times - 1;
    for (let time = 0; time < times; time += 1) {
      counts.passed += 1;
      if (random() < faults.reordering) {
        counts.held += 1;
        const timer = setTimeout(send, 1 + random() * 5);
        timers.add(timer);
      } else send();
    }
  };
  const open = async (): Promise<Socket> => {
    const socket = createSocket('udp4');
    sockets.add(socket);
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return socket;
  };
  const front = await open();
  const clients = new Map<number, Promise<Socket>>();
  front.on('message', (bytes, client) => {
    let towards = clients.get(client.port);
    towards ??= open().then((back) => {
      // The server's port of a transfer gets a socket of its own towards the client: that is its TID there.
      const transfers = new Map<number, Promise<Socket>>();
      back.on('message', (answer, server) => {
        let side = transfers.get(server.port);
        side ??= open().then((socket) => {
          socket.on('message', (reply) => pass(back, reply, server.port));
          return socket;
        });
        transfers.set(server.port, side);
        void side.then((socket) => pass(socket, answer, client.port));
      });
      return back;
    });
    clients.set(client.port, towards);
    void towards.then((back) => pass(back, bytes, serverPort));
  });
  return {
    port: front.address().port,
    counts,
    close: () => {
      for (const timer of timers) clearTimeout(timer);
      for (const socket of sockets) socket.close();
      sockets.clear();
    },
  };
}
