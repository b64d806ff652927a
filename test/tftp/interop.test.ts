import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchFile } from '../../src/tftp/index.js';
import { closeServersAfterEach, contentOf, serve, temporaryFolder } from './folder.js';
import { startRelay } from './relay.js';

const run = promisify(execFile);
const folder = temporaryFolder();
const host = '127.0.0.1';
const sizes = [0, 1, 511, 512, 513, 4947, 1_000_000];

chmodSync(folder, 0o755);
for (const size of sizes) writeFileSync(join(folder, `${String(size)}.bin`), contentOf(size), { mode: 0o644 });
closeServersAfterEach();

function has(program: string, word: string): boolean {
  return spawnSync(program, [word], { stdio: 'ignore' }).error === undefined;
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

/** How another program fetches a file into `out`. */
interface OtherClient {
  readonly program: string;
  readonly what: string;
  readonly words: (port: string, name: string, out: string) => string[];
}

const others: readonly OtherClient[] = [
  {
    program: 'curl',
    what: 'curl, blksize 512',
    words: (port, name, out) => ['-sS', '--max-time', '30', '-o', out, `tftp://${host}:${port}/${name}`],
  },
  {
    program: 'curl',
    what: 'curl, blksize 1428',
    words: (port, name, out) => [
      ...['-sS', '--max-time', '30', '--tftp-blksize', '1428', '-o', out],
      `tftp://${host}:${port}/${name}`,
    ],
  },
  {
    program: 'curl',
    what: 'curl without options',
    words: (port, name, out) => [
      ...['-sS', '--max-time', '30', '--tftp-no-options', '-o', out],
      `tftp://${host}:${port}/${name}`,
    ],
  },
  {
    program: 'tftp',
    what: 'tftp-hpa',
    words: (port, name, out) => ['-m', 'octet', host, port, '-c', 'get', name, out],
  },
  {
    program: 'atftp',
    what: 'atftp',
    words: (port, name, out) => ['-g', '-r', name, '-l', out, host, port],
  },
  {
    program: 'atftp',
    what: 'atftp, blksize 1024, tsize and timeout',
    words: (port, name, out) => [
      ...['--option', 'blksize 1024', '--option', 'tsize', '--option', 'timeout 2'],
      ...['-g', '-r', name, '-l', out, host, port],
    ],
  },
  {
    program: 'atftp',
    what: 'atftp, windowsize 8',
    words: (port, name, out) => ['--option', 'windowsize 8', '-g', '-r', name, '-l', out, host, port],
  },
];

describe.each(others)('$what', ({ program, words }) => {
  test.skipIf(!has(program, '--version')).each(sizes)('%i bytes from our server', async (size) => {
    const { port } = await serve({ root: folder });
    const out = join(temporaryOut, `${program}-${String(size)}`);
    await run(program, words(String(port), `${String(size)}.bin`, out), { timeout: 40_000 });
    // Some of them make no file of no bytes.
    const got = size === 0 && !existsSync(out) ? Buffer.alloc(0) : readFileSync(out);
    expect(got.equals(contentOf(size))).toBe(true);
  });
});

const temporaryOut = temporaryFolder();

test.skipIf(!has('curl', '--version'))('curl is told that a file is not there, and may not be read', async () => {
  const { port } = await serve({ root: folder });
  const fetching = (name: string): Promise<unknown> =>
    run('curl', ['-sS', '--path-as-is', `tftp://${host}:${String(port)}/${name}`]);
  await expect(fetching('none')).rejects.toMatchObject({ code: 68 });
  await expect(fetching('../none')).rejects.toMatchObject({ code: 69 });
});

describe.skipIf(!has('in.tftpd', '-V') || process.getuid?.() !== 0)('our client from tftpd-hpa', () => {
  let daemon: ChildProcess;
  let port: number;

  beforeAll(async () => {
    port = await freePort();
    const words = ['--foreground', '--address', `${host}:${String(port)}`, '--user', 'nobody', '--secure', folder];
    daemon = spawn('in.tftpd', ['--retransmit', '30000', ...words], { stdio: 'ignore' });
    await fetchFile({ host, port, name: '1.bin', timeout: 100, retries: 100 });
  });

  afterAll(() => {
    daemon.kill();
  });

  test.each(sizes.flatMap((size) => [512, 1428, 8192].map((blockSize) => [size, blockSize] as const)))(
    '%i bytes in blocks of %i; a windowsize that it does not know is passed over',
    async (size, blockSize) => {
      const request = { host, port, name: `${String(size)}.bin`, blockSize };
      for (const windowSize of [1, 8]) {
        expect(contentOf(size).equals(await fetchFile({ ...request, windowSize }))).toBe(true);
      }
    },
  );

  test('a file that is not there', async () => {
    await expect(fetchFile({ host, port, name: 'none' })).rejects.toMatchObject({ code: 'file-not-found' });
  });

  test.each([0, 511, 512, 513, 4947])('%i bytes through a network that loses, doubles and delays', async (size) => {
    const relay = await startRelay(port, { loss: 0.2, duplication: 0.2, reordering: 0.2 }, size + 3);
    // tftpd-hpa doubles its waits, and gives up: asked again it starts anew, as phones do.
    const request = { host, port: relay.port, name: `${String(size)}.bin`, timeout: 20, retries: 40, blockSize: 1428 };
    let bytes: Uint8Array | undefined;
    for (let attempt = 0; bytes === undefined && attempt < 10; attempt += 1) {
      bytes = await fetchFile(request).catch(() => undefined);
    }
    relay.close();
    expect(contentOf(size).equals(bytes ?? Buffer.from('nothing'))).toBe(true);
  });

  test('our server falls back to it', async () => {
    const own = await serve({ root: temporaryOut, fallback: [{ host, port }] });
    expect(contentOf(4947).equals(await fetchFile({ host, port: own.port, name: '4947.bin' }))).toBe(true);
  });
});
