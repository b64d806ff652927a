// A file of 10 MB on loopback: our server and tftpd-hpa, each a process of its own, asked by the same client.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchFile } from 'etoken-bridge/tftp';

export const name = 'TFTP, 10 MB on loopback (median of interleaved transfers)';

const rounds = 9;
const size = 10_000_000;
const host = '127.0.0.1';
const command = fileURLToPath(new URL('../dist/command/main.js', import.meta.url));

async function freePort() {
  const socket = createSocket('udp4');
  await new Promise((resolve) => socket.bind(0, host, () => resolve(undefined)));
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(() => resolve(undefined)));
  return port;
}

/** Megabytes in a second of one transfer. */
async function rateOf(/** @type {number} */ port, /** @type {number} */ blockSize, /** @type {number} */ windowSize) {
  const started = process.hrtime.bigint();
  const bytes = await fetchFile({ host, port, name: 'file', blockSize, windowSize });
  if (bytes.length !== size) throw new Error('the file did not arrive whole');
  return size / 1e6 / (Number(process.hrtime.bigint() - started) / 1e9);
}

const median = (/** @type {number[]} */ values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const show = (/** @type {number} */ rate) => `${rate.toFixed(1)} MB/s`;

export async function run() {
  const folder = mkdtempSync(join(tmpdir(), 'etb-bench-'));
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, 'file'), Buffer.alloc(size, 'content'), { mode: 0o644 });
  const [ours, theirs] = [await freePort(), await freePort()];
  const serve = [command, 'tftp', 'serve', folder, '--port', String(ours), '--quiet'];
  const address = ['--foreground', '--address', `${host}:${String(theirs)}`];
  const servers = [
    spawn(process.execPath, serve, { stdio: 'ignore' }),
    spawn('in.tftpd', [...address, '--user', 'nobody', '--secure', folder], { stdio: 'ignore' }),
  ];
  // Without it the first transfer says so: it gets no answer.
  for (const server of servers) server.on('error', (error) => console.error(`${error.message} (tftpd-hpa)`));
  try {
    for (const port of [ours, theirs]) await fetchFile({ host, port, name: 'file', timeout: 200, retries: 50 });
    const blockSizes = [512, 1428, 8192];
    /** @type {Map<string, number[]>} */
    const rates = new Map();
    const measure = async (/** @type {string} */ key, /** @type {[number, number, number]} */ ...request) => {
      rates.set(key, [...(rates.get(key) ?? []), await rateOf(...request)]);
    };
    for (let round = 0; round < rounds; round += 1) {
      for (const blockSize of blockSizes) {
        await measure(`ours ${blockSize}`, ours, blockSize, 1);
        await measure(`theirs ${blockSize}`, theirs, blockSize, 1);
        await measure(`window ${blockSize}`, ours, blockSize, 16);
      }
    }
    const of = (/** @type {string} */ key) => median(rates.get(key) ?? []);
    /** @type {(what: string, one: number, other: number, limit: string) => import('./run.mjs').Row} */
    const row = (what, one, other, limit) => ({
      what,
      ours: show(one),
      theirs: show(other),
      ratio: one / other,
      limit,
    });
    return blockSizes.flatMap((bytes) => [
      row(`lock step, blocks of ${bytes}`, of(`ours ${bytes}`), of(`theirs ${bytes}`), '>= 0.5'),
      row(`windows of 16 blocks of ${bytes} against lock step`, of(`window ${bytes}`), of(`theirs ${bytes}`), '>= 1'),
    ]);
  } finally {
    for (const server of servers) server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
