import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Fallback } from '../../src/tftp/fallback.js';
import { fetchFile, type TftpEvent } from '../../src/tftp/index.js';
import { ServedFolder, type FileRefusal, type ServedFile } from '../../src/tftp/served-file.js';
import { closeServersAfterEach, contentOf, serve, temporaryFolder } from './folder.js';
import { openRawClient, pause } from './raw-client.js';

const host = '127.0.0.1';

closeServersAfterEach();

function opened(file: ServedFile | FileRefusal): ServedFile {
  if (typeof file === 'string') throw new Error(file);
  return file;
}

describe('files of the folder', () => {
  test('above the bound of all held bytes a file is read while it is sent', () => {
    const root = temporaryFolder();
    for (const name of ['a', 'b', 'c']) writeFileSync(join(root, name), contentOf(2000));
    const folder = new ServedFolder(root, 3000);
    const [first, again, second] = ['a', 'a', 'b'].map((name) => opened(folder.open(name)));
    for (const name of ['a', 'b']) writeFileSync(join(root, name), contentOf(2001));
    // Two of the same are one; what is not held is given up when somebody wrote to it.
    for (const file of [first, again]) expect(contentOf(2000).equals(file!.read(0, 2000)!)).toBe(true);
    expect(second!.read(0, 2000)).toBeUndefined();

    first!.close();
    again!.close();
    second!.close();
    const third = opened(folder.open('c'));
    writeFileSync(join(root, 'c'), contentOf(2001));
    expect(contentOf(2000).equals(third.read(0, 2000)!)).toBe(true);
    third.close();
  });

  test('forty files of 16 MB, asked for and never acknowledged, do not fill the memory', async () => {
    const root = temporaryFolder();
    const size = 16 * 1024 * 1024 - 1;
    for (let number = 0; number < 40; number += 1) {
      writeFileSync(join(root, String(number)), '');
      truncateSync(join(root, String(number)), size);
    }
    const { port } = await serve({ root });
    const clients = await Promise.all(Array.from({ length: 40 }, () => openRawClient()));
    const before = process.memoryUsage().arrayBuffers;
    for (const [number, client] of clients.entries()) client.request(String(number), port);
    await Promise.all(clients.map((client) => client.next()));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * 1024 * 1024);
    for (const { socket } of clients) socket.close();
    const request = { host, port, name: '39', blockSize: 8192, windowSize: 8 };
    expect(Buffer.alloc(size).equals(await fetchFile(request))).toBe(true);
  });
});

describe('files of other servers', () => {
  test('wait for each other when they do not fit together, and one that never fits is refused', async () => {
    const root = temporaryFolder();
    for (const name of ['a', 'b']) writeFileSync(join(root, name), contentOf(3000));
    writeFileSync(join(root, 'large'), contentOf(4001));
    const { port } = await serve({ root });
    const fallback = new Fallback([{ host, port }], 4000);
    const [first, again] = await Promise.all([fallback.fetch('a'), fallback.fetch('a')]);
    if (first.kind !== 'file' || again.kind !== 'file') throw new Error('the file was not fetched');
    expect(contentOf(3000).equals(first.file.read(0, 3000)!)).toBe(true);
    expect(await fallback.fetch('b')).toEqual({ kind: 'busy' });
    first.file.close();
    expect(await fallback.fetch('b')).toEqual({ kind: 'busy' });
    again.file.close();
    const second = await fallback.fetch('b');
    if (second.kind !== 'file') throw new Error(second.kind);
    second.file.close();
    expect(await fallback.fetch('large')).toMatchObject({ kind: 'none', unsure: [{ server: { host, port } }] });
    expect(await fallback.fetch('a')).toMatchObject({ kind: 'file' });
    fallback.close();
  });

  test('are not sent to a client that asks for something else meanwhile', async () => {
    const root = temporaryFolder();
    writeFileSync(join(root, 'a'), contentOf(3000));
    const central = await serve({ root });
    const events: TftpEvent[] = [];
    const options = { root: temporaryFolder(), fallback: [{ host, port: central.port }] };
    const { port } = await serve({ ...options, log: (event) => events.push(event) });
    const client = await openRawClient();
    client.request('a', port);
    client.request('../x', port);
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 2 });
    await pause(100);
    client.socket.close();
    expect(events.map(({ kind }) => kind)).toEqual(['request', 'request', 'refused']);
  });
});
