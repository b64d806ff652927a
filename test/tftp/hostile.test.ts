import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { encodePacket, fetchFile, type TftpEvent } from '../../src/tftp/index.js';
import { closeServersAfterEach, contentOf, serve, temporaryFolder } from './folder.js';
import { openRawClient, pause, type RawClient } from './raw-client.js';

const host = '127.0.0.1';
const folder = temporaryFolder();
writeFileSync(join(folder, 'CTLFile.tlv'), contentOf(4947));

closeServersAfterEach();

const clients: RawClient[] = [];

async function rawClient(address?: string): Promise<RawClient> {
  const client = await openRawClient(address);
  clients.push(client);
  return client;
}

afterEach(() => {
  for (const { socket } of clients.splice(0)) socket.close();
});

/** Sends a datagram whose source port is 0, which no ordinary socket does. @returns whether it could be sent. */
function sendFromPortZero(bytes: Uint8Array, port: number): boolean {
  const program = [
    'import socket, struct, sys',
    'data = bytes.fromhex(sys.argv[2])',
    'raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)',
    // source port | destination port | length | no checksum
    'header = struct.pack(">HHHH", 0, int(sys.argv[1]), 8 + len(data), 0)',
    'raw.sendto(header + data, ("127.0.0.1", 0))',
  ].join('\n');
  const arguments_ = ['-c', program, String(port), Buffer.from(bytes).toString('hex')];
  return spawnSync('python3', arguments_, { stdio: 'ignore' }).status === 0;
}

const canForge = sendFromPortZero(Buffer.from([0]), 9);

describe('datagrams from port 0', () => {
  const request = encodePacket({ kind: 'read-request', name: 'CTLFile.tlv', mode: 'octet', options: [] });
  const write = encodePacket({ kind: 'write-request', name: 'x', mode: 'octet', options: [] });
  const acknowledgement = encodePacket({ kind: 'acknowledgement', block: 1 });

  test.skipIf(!canForge)('do arrive here (python3 and root needed)', async () => {
    const { socket } = await rawClient();
    const port = new Promise<number>((resolve) => socket.once('message', (_bytes, from) => resolve(from.port)));
    sendFromPortZero(acknowledgement, socket.address().port);
    expect(await port).toBe(0);
  });

  test.skipIf(!canForge)('change nothing for the server, a transfer and the client', async () => {
    const events: TftpEvent[] = [];
    const { port } = await serve({ root: folder, log: (event) => events.push(event) });
    for (const bytes of [request, write, Buffer.from([0, 1, 0x78])]) sendFromPortZero(bytes, port);

    const client = await rawClient();
    client.request('CTLFile.tlv', port);
    const { port: transfer } = await client.next();
    sendFromPortZero(acknowledgement, transfer);
    client.send(acknowledgement, transfer);
    expect((await client.next()).packet).toMatchObject({ kind: 'data', block: 2 });
    expect(events).toEqual([expect.objectContaining({ kind: 'request' })]);

    const server = await rawClient();
    const fetching = fetchFile({ host, port: server.socket.address().port, name: 'x', blockSize: 512 });
    const { port: receiving } = await server.next();
    server.send({ kind: 'data', block: 1, data: new Uint8Array(512) }, receiving);
    await server.next();
    sendFromPortZero(encodePacket({ kind: 'data', block: 2, data: new Uint8Array(3) }), receiving);
    await pause(30);
    server.send({ kind: 'data', block: 2, data: new Uint8Array(1) }, receiving);
    expect((await fetching).length).toBe(513);
  });
});

describe('transfers that nobody acknowledges', () => {
  const longest = [{ name: 'timeout', value: '255' }];

  test('end soon, whatever time the client asked for', async () => {
    const events: TftpEvent[] = [];
    const { port } = await serve({ root: folder, retransmitAfter: 30, retries: 2, log: (event) => events.push(event) });
    const client = await rawClient();
    client.request('CTLFile.tlv', port, longest);
    for (let time = 0; time < 3; time += 1) {
      expect((await client.next()).packet).toMatchObject({ kind: 'option-acknowledgement' });
    }
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 0 });
    await pause(30);
    expect(events.at(-1)).toMatchObject({ kind: 'transfer', end: { kind: 'timeout' } });
  });

  test('the time that the client asked for counts from its first acknowledgement on', async () => {
    const { port } = await serve({ root: folder, retransmitAfter: 30, retries: 2 });
    const client = await rawClient();
    client.request('CTLFile.tlv', port, longest);
    const { port: transfer } = await client.next();
    client.send({ kind: 'acknowledgement', block: 0 }, transfer);
    expect((await client.next()).packet).toMatchObject({ kind: 'data', block: 1 });
    await pause(150);
    expect(client.received).toHaveLength(2);
    client.send({ kind: 'acknowledgement', block: 1 }, transfer);
    expect((await client.next()).packet).toMatchObject({ kind: 'data', block: 2 });
  });

  test('one address gets a quarter of all, and another is served meanwhile', async () => {
    const { port } = await serve({ root: folder, maxTransfers: 8 });
    const greedy = await Promise.all(Array.from({ length: 12 }, () => rawClient()));
    for (const client of greedy) client.request('CTLFile.tlv', port, longest);
    await pause(100);
    expect(greedy.filter(({ received }) => received.length > 0)).toHaveLength(2);
    const other = await rawClient('127.0.0.2');
    other.request('CTLFile.tlv', port);
    expect((await other.next()).packet).toMatchObject({ kind: 'data', block: 1 });
  });

  test('make room for others when the table is full; those that were acknowledged stay', async () => {
    const events: TftpEvent[] = [];
    const limits = { maxTransfers: 3, maxTransfersPerHost: 3, retransmitAfter: 200, retries: 50 };
    const { port } = await serve({ root: folder, ...limits, log: (event) => events.push(event) });
    const real = await rawClient();
    real.request('CTLFile.tlv', port, longest);
    const { port: transfer } = await real.next();
    real.send({ kind: 'acknowledgement', block: 0 }, transfer);
    await real.next();
    for (const client of [await rawClient(), await rawClient()]) {
      client.request('CTLFile.tlv', port, longest);
      await client.next();
    }
    const bytes = await fetchFile({ host, port, name: 'CTLFile.tlv', timeout: 100, retries: 20 });
    expect(contentOf(4947).equals(bytes)).toBe(true);
    expect(events.filter((event) => event.kind === 'transfer' && event.end.kind === 'ended')).toHaveLength(1);
    expect(events.some(({ kind }) => kind === 'busy')).toBe(true);
    real.send({ kind: 'acknowledgement', block: 1 }, transfer);
    expect((await real.next()).packet).toMatchObject({ kind: 'data', block: 2 });
  });
});
