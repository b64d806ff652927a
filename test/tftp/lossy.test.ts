import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fetchFile } from '../../src/tftp/index.js';
import { closeServersAfterEach, contentOf, serve, temporaryFolder } from './folder.js';
import { startRelay } from './relay.js';

const folder = temporaryFolder();
closeServersAfterEach();

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const faults = { loss: 0.2, duplication: 0.2, reordering: 0.2 };
const plainSizes = [0, 1, 511, 512, 513, 512 * 8, 512 * 16, 512 * 16 + 1, 30_000];

/** Fetches through a relay that loses, doubles and delays a fifth of the datagrams each way. */
async function fetchThroughRelay(size: number, blockSize: number, windowSize: number): Promise<void> {
  const name = `${String(size)}.bin`;
  const content = contentOf(size);
  writeFileSync(join(folder, name), content);
  const server = await serve({ root: folder, retransmitAfter: 12, retries: 60 });
  const relay = await startRelay(server.port, faults, size * 100 + windowSize);
  try {
    const request = { host: '127.0.0.1', port: relay.port, name, blockSize, windowSize, timeout: 15, retries: 60 };
    const bytes = await fetchFile(request);
    expect(bytes.length).toBe(size);
    expect(digest(bytes)).toBe(digest(content));
    if (size > 10_000) expect(Math.min(...Object.values(relay.counts))).toBeGreaterThan(0);
  } finally {
    relay.close();
  }
}

describe.each([1, 8, 16])('20 %% loss, duplication and reordering each way, window %i', (windowSize) => {
  test.each(plainSizes)('%i bytes in blocks of 512 arrive whole', (size) => fetchThroughRelay(size, 512, windowSize));

  test('1 MB in blocks of 1428 arrives whole', () => fetchThroughRelay(1_000_000, 1428, windowSize));

  test('1 MiB, a multiple of the window, arrives whole', () => fetchThroughRelay(1024 * 1024, 4096, windowSize));
});

test('100 clients through one bad network each get their file', async () => {
  writeFileSync(join(folder, 'many.bin'), contentOf(6000));
  const server = await serve({ root: folder, retransmitAfter: 30, retries: 60 });
  const relay = await startRelay(server.port, faults, 7);
  const request = { host: '127.0.0.1', port: relay.port, name: 'many.bin', timeout: 40, retries: 60 };
  const all = await Promise.all(Array.from({ length: 100 }, () => fetchFile(request)));
  relay.close();
  expect(new Set(all.map(digest))).toEqual(new Set([digest(contentOf(6000))]));
});
