import { createSocket, type Socket } from 'node:dgram';
import { decodePacket, encodePacket, type TftpOption, type TftpPacket } from '../../src/tftp/index.js';

/** A client whose every packet the test decides. */
export interface RawClient {
  readonly socket: Socket;
  readonly received: { packet: TftpPacket; port: number }[];
  send(packet: TftpPacket | Uint8Array, port: number): void;
  request(name: string, port: number, options?: readonly TftpOption[], mode?: string): void;
  /** The next packet that was not taken yet. */
  next(): Promise<{ packet: TftpPacket; port: number }>;
}

/** Opens a client on an address of this machine. */
export async function openRawClient(address = '127.0.0.1'): Promise<RawClient> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, address, resolve));
  const received: { packet: TftpPacket; port: number }[] = [];
  const waiting: (() => void)[] = [];
  let taken = 0;
  socket.on('message', (bytes, from) => {
    received.push({ packet: decodePacket(Uint8Array.from(bytes)), port: from.port });
    waiting.shift()?.();
  });
  const send = (packet: TftpPacket | Uint8Array, port: number): void =>
    socket.send(packet instanceof Uint8Array ? packet : encodePacket(packet), port, '127.0.0.1');
  return {
    socket,
    received,
    send,
    request: (name, port, options = [], mode = 'octet') => send({ kind: 'read-request', name, mode, options }, port),
    next: async () => {
      while (received.length <= taken) await new Promise<void>((resolve) => waiting.push(resolve));
      taken += 1;
      return received[taken - 1]!;
    },
  };
}

/** Time for what must not come. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
