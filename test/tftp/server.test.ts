import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { fetchFile, fetchInto, startTftpServer, type TftpEvent } from '../../src/tftp/index.js';
import { closeServersAfterEach, contentOf, serve, temporaryFolder } from './folder.js';
import { openRawClient, pause, type RawClient } from './raw-client.js';

const outside = temporaryFolder();
const folder = join(outside, 'served');
const host = '127.0.0.1';

mkdirSync(join(folder, 'Desktops'), { recursive: true });
mkdirSync(join(outside, 'served-too'));
writeFileSync(join(outside, 'secret'), 'secret');
writeFileSync(join(outside, 'served-too', 'secret'), 'secret');
writeFileSync(join(folder, 'CTLFile.tlv'), contentOf(4947));
writeFileSync(join(folder, 'Desktops', 'List.xml'), '<list/>');
writeFileSync(join(folder, 'name with ü'), 'u');
symlinkSync('CTLFile.tlv', join(folder, 'link-inside'));
symlinkSync('../secret', join(folder, 'link-outside'));
symlinkSync('../served-too', join(folder, 'folder-outside'));
symlinkSync('loop', join(folder, 'loop'));
execFileSync('mkfifo', [join(folder, 'pipe')]);

closeServersAfterEach();

const clients: RawClient[] = [];

async function rawClient(): Promise<RawClient> {
  const client = await openRawClient();
  clients.push(client);
  return client;
}

afterEach(() => {
  for (const { socket } of clients.splice(0)) socket.close();
});

describe('the folder', () => {
  test.each([
    ['CTLFile.tlv', 4947],
    ['Desktops/List.xml', 7],
    ['name with ü', 1],
    ['link-inside', 4947],
  ])('%s is served', async (name, length) => {
    const { port } = await serve({ root: folder });
    expect((await fetchFile({ host, port, name })).length).toBe(length);
  });

  test.each([
    '../secret',
    '/etc/passwd',
    '//etc/passwd',
    `${folder}/CTLFile.tlv`,
    'Desktops/../../secret',
    'Desktops/../CTLFile.tlv',
    '..\\secret',
    'Desktops\\List.xml',
    '..',
    '.',
    './CTLFile.tlv',
    'Desktops/',
    'Desktops//List.xml',
    'C:/secret',
    'C:secret',
    'CTLFile.tlv\n',
    '\u007f',
    '../served-too/secret',
    'link-outside',
    'folder-outside/secret',
    'Desktops',
    'pipe',
    'loop',
  ])('%j is refused with error 2', async (name) => {
    const { port } = await serve({ root: folder });
    await expect(fetchFile({ host, port, name })).rejects.toMatchObject({ code: 'access-denied' });
  });

  test.each(['', 'ctlfile.tlv/x', 'SEP001122334455.cnf.xml', 'CTLFile.tlv/x', 'a'.repeat(400)])(
    '%j is not there or no name',
    async (name) => {
      const { port } = await serve({ root: folder });
      const client = await rawClient();
      client.request(name, port);
      const code = name === '' ? 2 : 1;
      expect((await client.next()).packet).toMatchObject({ kind: 'error', code });
    },
  );

  test('a name with a zero byte ends there: what follows is the mode', async () => {
    const { port } = await serve({ root: folder });
    const client = await rawClient();
    client.send(Buffer.from('\0\x01CTLFile.tlv\0/../../secret\0octet\0', 'latin1'), port);
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 4 });
  });

  test('a file is sent as it was when it was opened', async () => {
    const root = temporaryFolder();
    const old = contentOf(20_000);
    writeFileSync(join(root, 'a'), old);
    const { port } = await serve({ root });
    const client = await rawClient();
    client.request('a', port);
    const parts: Uint8Array[] = [];
    for (;;) {
      const { packet, port: transfer } = await client.next();
      if (packet.kind !== 'data') throw new Error(packet.kind);
      parts.push(packet.data);
      if (packet.block === 2) writeFileSync(join(root, 'a'), contentOf(20_001));
      if (packet.block === 4) {
        writeFileSync(join(root, 'b'), 'new');
        renameSync(join(root, 'b'), join(root, 'a'));
      }
      client.send({ kind: 'acknowledgement', block: packet.block }, transfer);
      if (packet.data.length < 512) break;
    }
    expect(Buffer.concat(parts).equals(old)).toBe(true);
  });

  test('a file too large to hold is sent whole, and never as a mixture', async () => {
    const root = temporaryFolder();
    const large = contentOf(17 * 1024 * 1024 + 5);
    writeFileSync(join(root, 'large'), large);
    const { port } = await serve({ root });
    const request = { host, port, name: 'large', blockSize: 8192, windowSize: 8 };
    expect(Buffer.from(await fetchFile(request)).equals(large)).toBe(true);

    const client = await rawClient();
    client.request('large', port, [{ name: 'blksize', value: '65464' }]);
    const { port: transfer } = await client.next();
    for (let block = 0; ; block += 1) {
      client.send({ kind: 'acknowledgement', block }, transfer);
      const { packet } = await client.next();
      if (block === 2) writeFileSync(join(root, 'large'), contentOf(17 * 1024 * 1024 + 6));
      if (packet.kind === 'data') continue;
      expect(packet).toMatchObject({ kind: 'error', code: 0 });
      break;
    }
  });
});

describe('requests', () => {
  test('writing is refused with error 2, other modes with 4, and upper case is the same mode', async () => {
    const { port } = await serve({ root: folder });
    const client = await rawClient();
    client.send({ kind: 'write-request', name: 'new', mode: 'octet', options: [] }, port);
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 2 });
    client.request('CTLFile.tlv', port, [], 'netascii');
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 4 });
    client.request('CTLFile.tlv', port, [], 'OcTeT');
    expect((await client.next()).packet).toMatchObject({ kind: 'data', block: 1 });
  });

  test.each([
    [
      [
        ['BLKSIZE', '1000'],
        ['TSize', '0'],
      ],
      [
        ['blksize', '1000'],
        ['tsize', '4947'],
      ],
    ],
    [
      [
        ['blksize', '70000'],
        ['windowsize', '9999'],
      ],
      [
        ['blksize', '65464'],
        ['windowsize', '2'],
      ],
    ],
    [
      [
        ['timeout', '3'],
        ['multicast', ''],
        ['windowsize', '4'],
      ],
      [
        ['timeout', '3'],
        ['windowsize', '4'],
      ],
    ],
    [
      [
        ['blksize', '7'],
        ['timeout', '256'],
        ['windowsize', '0'],
        ['tsize', '0'],
      ],
      [['tsize', '4947']],
    ],
    [
      [
        ['blksize', '8'],
        ['blksize', '9'],
      ],
      [['blksize', '8']],
    ],
  ])('%j is granted as %j', async (asked, granted) => {
    const { port } = await serve({ root: folder });
    const client = await rawClient();
    const named = (list: string[][]): { name: string; value: string }[] =>
      list.map(([name = '', value = '']) => ({ name, value }));
    client.request('CTLFile.tlv', port, named(asked));
    expect((await client.next()).packet).toEqual({ kind: 'option-acknowledgement', options: named(granted) });
  });

  test('options that are all unknown are passed over: the first block is the answer', async () => {
    const { port } = await serve({ root: folder });
    const client = await rawClient();
    client.request('CTLFile.tlv', port, [{ name: 'multicast', value: '' }]);
    expect((await client.next()).packet).toMatchObject({ kind: 'data', block: 1 });
  });

  test('a malformed request is told so; other bytes are not answered', async () => {
    const { port } = await serve({ root: folder });
    const client = await rawClient();
    for (const bytes of ['', '\0', 'garbage', '\0\x05\0\x01x\0', '\0\x04\0\x01', '\0\x03\0\x01x', '\0\x09']) {
      client.send(Buffer.from(bytes, 'latin1'), port);
    }
    client.send(Buffer.from('\0\x01no end', 'latin1'), port);
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 4 });
    await pause(50);
    expect(client.received).toHaveLength(1);
  });

  test('the same request twice starts one transfer; another name from the same port ends the first', async () => {
    const events: TftpEvent[] = [];
    const { port } = await serve({ root: folder, log: (event) => events.push(event) });
    const client = await rawClient();
    client.request('CTLFile.tlv', port);
    client.request('CTLFile.tlv', port);
    await client.next();
    await pause(50);
    expect(client.received).toHaveLength(1);
    client.request('Desktops/List.xml', port);
    const { packet, port: transfer } = await client.next();
    expect(packet).toMatchObject({ kind: 'data', block: 1, data: Uint8Array.from(Buffer.from('<list/>')) });
    client.send({ kind: 'acknowledgement', block: 1 }, transfer);
    await pause(50);
    expect(events.map((event) => (event.kind === 'transfer' ? event.end.kind : event.kind))).toEqual([
      'request',
      'request',
      'ended',
      'sent',
    ]);
  });
});

describe('transfers', () => {
  test('a duplicate acknowledgement never makes a block be sent again (Sorcerer’s Apprentice)', async () => {
    const { port } = await serve({ root: folder });
    const client = await rawClient();
    client.request('CTLFile.tlv', port);
    const blocks = Math.floor(4947 / 512) + 1;
    for (let block = 1; block <= blocks; block += 1) {
      const { packet, port: transfer } = await client.next();
      expect(packet).toMatchObject({ kind: 'data', block });
      for (let time = 0; time < 3; time += 1) client.send({ kind: 'acknowledgement', block }, transfer);
      // One from before, as a slow network delivers it.
      if (block < blocks) client.send({ kind: 'acknowledgement', block: block - 1 }, transfer);
    }
    await pause(100);
    const data = client.received.filter(({ packet }) => packet.kind === 'data');
    expect(data).toHaveLength(blocks);
  });

  test('nor in windows: each block of a window is sent once', async () => {
    const { port } = await serve({ root: folder });
    const client = await rawClient();
    client.request('CTLFile.tlv', port, [{ name: 'windowsize', value: '4' }]);
    const { port: transfer } = await client.next();
    const blocks = Math.floor(4947 / 512) + 1;
    for (const block of [0, 4, 8, blocks]) {
      for (let time = 0; time < 3; time += 1) client.send({ kind: 'acknowledgement', block }, transfer);
      await pause(30);
    }
    const data = client.received.flatMap(({ packet }) => (packet.kind === 'data' ? [packet.block] : []));
    expect(data).toEqual(Array.from({ length: blocks }, (_, index) => index + 1));
  });

  test('an acknowledgement inside a window moves the window there', async () => {
    const { port } = await serve({ root: folder });
    const client = await rawClient();
    client.request('CTLFile.tlv', port, [{ name: 'windowsize', value: '4' }]);
    const { port: transfer } = await client.next();
    client.send({ kind: 'acknowledgement', block: 0 }, transfer);
    for (let block = 1; block <= 4; block += 1) await client.next();
    client.send({ kind: 'acknowledgement', block: 2 }, transfer);
    for (let block = 3; block <= 6; block += 1) expect((await client.next()).packet).toMatchObject({ block });
  });

  test('what is not acknowledged is sent again, so often and no more, and the client is told', async () => {
    const events: TftpEvent[] = [];
    const { port } = await serve({ root: folder, retransmitAfter: 30, retries: 3, log: (event) => events.push(event) });
    const client = await rawClient();
    client.request('CTLFile.tlv', port);
    for (let time = 0; time < 4; time += 1) expect((await client.next()).packet).toMatchObject({ block: 1 });
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 0 });
    await pause(60);
    expect(client.received).toHaveLength(5);
    expect(events.at(-1)).toMatchObject({ end: { kind: 'timeout', complete: false }, packets: 4, resent: 3 });
  });

  test('a packet from another port is answered with error 5 and changes nothing', async () => {
    const { port } = await serve({ root: folder });
    const client = await rawClient();
    const stranger = await rawClient();
    client.request('Desktops/List.xml', port);
    const { port: transfer } = await client.next();
    stranger.send({ kind: 'acknowledgement', block: 1 }, transfer);
    expect((await stranger.next()).packet).toMatchObject({ kind: 'error', code: 5 });
    stranger.send({ kind: 'error', code: 5, message: '' }, transfer);
    await pause(30);
    expect(stranger.received).toHaveLength(1);
    stranger.send({ kind: 'acknowledgement', block: 1 }, transfer);
    expect((await stranger.next()).packet).toMatchObject({ code: 5 });
  });

  test('the numbers of blocks roll over', async () => {
    const root = temporaryFolder();
    const content = contentOf(8 * 65_536 * 2 + 24);
    writeFileSync(join(root, 'long'), content);
    const { port } = await serve({ root });
    const bytes = await fetchFile({ host, port, name: 'long', blockSize: 8, windowSize: 32 });
    expect(Buffer.from(bytes).equals(content)).toBe(true);
    writeFileSync(join(root, 'exact'), content.subarray(0, 8 * 65_536));
    const exact = await fetchFile({ host, port, name: 'exact', blockSize: 8 });
    expect(Buffer.from(exact).equals(content.subarray(0, 8 * 65_536))).toBe(true);
  });

  test('200 transfers at once, and above the bound requests wait for their turn', async () => {
    const events: TftpEvent[] = [];
    const { port } = await serve({
      root: folder,
      maxTransfers: 20,
      maxTransfersPerHost: 20,
      log: (event) => events.push(event),
    });
    const request = { host, port, name: 'CTLFile.tlv', timeout: 100, retries: 50, blockSize: 512 };
    const all = await Promise.all(Array.from({ length: 200 }, () => fetchFile(request)));
    expect(all.every((bytes) => contentOf(4947).equals(bytes))).toBe(true);
    expect(events.some(({ kind }) => kind === 'busy')).toBe(true);
  });

  test('closing tells the clients, and is quick', async () => {
    const server = await serve({ root: folder });
    const client = await rawClient();
    client.request('CTLFile.tlv', server.port);
    await client.next();
    await server.close();
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 0 });
  });
});

describe('fallback', () => {
  test('a file that is not here comes from the first server that has it; a server that is down is passed over', async () => {
    const [own, second, third] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
    writeFileSync(join(second, 'both'), 'second');
    writeFileSync(join(third, 'both'), 'third');
    writeFileSync(join(third, 'only'), contentOf(3000));
    const two = await serve({ root: second });
    const three = await serve({ root: third });
    const events: TftpEvent[] = [];
    const fallback = [two, three].map(({ port }) => ({ host, port }));
    const { port } = await serve({ root: own, fallback, log: (event) => events.push(event) });
    expect(Buffer.from(await fetchFile({ host, port, name: 'both' })).toString()).toBe('second');
    expect(contentOf(3000).equals(await fetchFile({ host, port, name: 'only' }))).toBe(true);
    await expect(fetchFile({ host, port, name: 'none' })).rejects.toMatchObject({ code: 'file-not-found' });
    await expect(fetchFile({ host, port, name: '../x' })).rejects.toMatchObject({ code: 'access-denied' });
    await two.close();
    const request = { host, port, timeout: 4000 };
    expect(contentOf(3000).equals(await fetchFile({ ...request, name: 'only' }))).toBe(true);
    // Whether the file is there cannot be told while a server is down.
    await expect(fetchFile({ ...request, name: 'none' })).rejects.toMatchObject({ code: 'tftp-error' });
    expect(events.some((event) => event.kind === 'fallback' && event.failure !== undefined)).toBe(true);
  });

  test('two servers that fall back to each other say at once that a file is not there', async () => {
    const [first, second] = [temporaryFolder(), temporaryFolder()];
    writeFileSync(join(second, 'there'), contentOf(2000));
    const before = await serve({ root: first });
    const two = await serve({ root: second, fallback: [{ host, port: before.port }] });
    await before.close();
    const one = await serve({ root: first, port: before.port, fallback: [{ host, port: two.port }] });
    for (const { port } of [one, two]) {
      const started = performance.now();
      await expect(fetchFile({ host, port, name: 'x' })).rejects.toMatchObject({ code: 'file-not-found' });
      expect(performance.now() - started).toBeLessThan(300);
    }
    // Phones with the address of that server are no such question: all of them get the file.
    const request = { host, port: one.port, name: 'there' };
    const all = await Promise.all(Array.from({ length: 10 }, () => fetchFile(request)));
    expect(all.every((bytes) => contentOf(2000).equals(bytes))).toBe(true);
  });

  test('a server that stays silent is waited for less the next time, and for its normal time when it is back', async () => {
    const silent = await rawClient();
    const { port } = await serve({ root: temporaryFolder(), fallback: [{ host, port: silent.socket.address().port }] });
    const requests = async (): Promise<number> => {
      const before = silent.received.length;
      await expect(fetchFile({ host, port, name: 'x', timeout: 3000 })).rejects.toMatchObject({ code: 'tftp-error' });
      return silent.received.length - before;
    };
    expect(await requests()).toBe(4);
    expect(await requests()).toBe(2);
    const fetching = fetchFile({ host, port, name: 'x', timeout: 3000 });
    while (silent.received.length < 7) await pause(5);
    silent.send({ kind: 'error', code: 1, message: '' }, silent.received[6]!.port);
    await expect(fetching).rejects.toMatchObject({ code: 'file-not-found' });
    expect(await requests()).toBe(4);
  });
});

describe('starting', () => {
  test('a port in use, a missing folder and an unknown host are told', async () => {
    const { port } = await serve({ root: folder });
    await expect(startTftpServer({ root: folder, port })).rejects.toMatchObject({ code: 'cannot-listen' });
    await expect(startTftpServer({ root: join(folder, 'none'), port: 0 })).rejects.toMatchObject({
      code: 'file-missing',
    });
    const file = join(folder, 'CTLFile.tlv');
    await expect(startTftpServer({ root: file, port: 0 })).rejects.toMatchObject({
      code: 'file-missing',
      message: `${file} is a file, and only a folder can be served`,
    });
  });
});

describe('the client', () => {
  test('a server that does not answer is a timeout, a file above the limit is too large', async () => {
    const { port } = await serve({ root: folder });
    const silent = await rawClient();
    const late = { host, port: silent.socket.address().port, name: 'x', timeout: 20, retries: 2 };
    await expect(fetchFile(late)).rejects.toMatchObject({ code: 'timeout' });
    expect(silent.received).toHaveLength(3);
    for (const blockSize of [512, 1428]) {
      const request = { host, port, name: 'CTLFile.tlv', maxLength: 4946, blockSize };
      await expect(fetchFile(request)).rejects.toMatchObject({ code: 'too-large' });
    }
    expect((await fetchFile({ host: 'localhost', port, name: 'CTLFile.tlv', maxLength: 4947 })).length).toBe(4947);
  });

  test.each([
    [[{ name: 'blksize', value: '2000' }]],
    [[{ name: 'windowsize', value: '2' }]],
    [[{ name: 'blksize', value: '0' }]],
  ])('an acknowledgement of options that were not asked for is refused: %j', async (options) => {
    const server = await rawClient();
    const fetching = fetchFile({ host, port: server.socket.address().port, name: 'x' });
    const { port } = await server.next();
    server.send({ kind: 'option-acknowledgement', options }, port);
    await expect(fetching).rejects.toMatchObject({ code: 'tftp-error' });
    expect((await server.next()).packet).toMatchObject({ kind: 'error', code: 8 });
  });

  test('a stream that is slow holds the server back, and its error ends the transfer', async () => {
    const { port } = await serve({ root: folder });
    const parts: Buffer[] = [];
    const slow = new Writable({
      highWaterMark: 600,
      write: (chunk: Buffer, _encoding, done) => {
        parts.push(chunk);
        setTimeout(done, 5);
      },
    });
    const request = { host, port, name: 'CTLFile.tlv', blockSize: 512 };
    expect(await fetchInto(request, slow)).toEqual({ length: 4947 });
    await new Promise<void>((resolve) => slow.end(resolve));
    expect(Buffer.concat(parts).equals(contentOf(4947))).toBe(true);
    const full = new Writable({ write: (_chunk, _encoding, done) => done(new Error('the disk is full')) });
    await expect(fetchInto(request, full)).rejects.toThrow('the disk is full');
  });
});
