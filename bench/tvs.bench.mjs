// The TVS server as a process of its own, `tvs serve`, against `openssl s_server` with the same certificate and key.
// Both get their connections from `openssl s_time`, which costs less than either: TLS handshakes, one after the other.
// Then answers on one connection, with our client, against the plain figure that was set.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLabCluster } from '../dist/cluster/index.js';
import { openTvsClient } from '../dist/tvs/index.js';
import { decodeCertificates, formatClusterName } from '../dist/x509/index.js';

export const name = 'TVS with a certificate of RSA 2048 (median of interleaved rounds)';

const rounds = 5;
const secondsOfRound = 2;
const wantedAnswers = 10_000;
const answersOfRound = 20_000;
/** Questions that are on their way at a time. */
const together = 100;

const program = fileURLToPath(new URL('../dist/command/main.js', import.meta.url));
const median = (/** @type {number[]} */ values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const format = (/** @type {number} */ value) => `${Math.round(value).toLocaleString('en')} per second`;

/**
 * Starts a server, and waits until it says where it listens.
 *
 * @param {string} command
 * @param {string[]} words
 * @param {RegExp} pattern
 */
async function start(command, words, pattern) {
  const child = spawn(command, words, { stdio: ['pipe', 'pipe', 'ignore'] });
  let text = '';
  const port = await new Promise((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      if (text.length < 10_000) text += String(chunk);
      const found = pattern.exec(text)?.[1];
      if (found !== undefined) resolve(Number(found));
    });
    child.on('close', () => reject(new Error(`${command} ended`)));
  });
  return { child, port: Number(port) };
}

/** How many connections a second the server takes. @param {number} port */
async function connectionsOf(port) {
  const words = ['s_time', '-connect', `127.0.0.1:${port}`, '-new', '-time', String(secondsOfRound)];
  const child = spawn('openssl', words, { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.on('data', (chunk) => (text += String(chunk)));
  await new Promise((resolve) => child.on('close', resolve));
  const count = Number(/(\d+) connections in [\d.]+ real seconds/.exec(text)?.[1]);
  if (!(count > 0)) throw new Error(`openssl s_time counted nothing: ${text}`);
  return count / secondsOfRound;
}

/** How many answers a second come on one connection. @param {number} port @param {string} folder */
async function answersOf(port, folder) {
  const path = join(folder, 'certificates', 'cucm-pub', 'CallManager.pem');
  const [certificate] = decodeCertificates(new Uint8Array(readFileSync(path)));
  if (certificate === undefined) throw new Error('no certificate');
  const names = {
    subjectName: formatClusterName(certificate.subject),
    issuerName: formatClusterName(certificate.issuer),
    serialNumber: certificate.serialNumber,
  };
  const client = await openTvsClient({
    host: '127.0.0.1',
    port,
    device: 'CP-8861-SEP000000000000',
    acceptServer: () => true,
  });
  const started = process.hrtime.bigint();
  for (let done = 0; done < answersOfRound; done += together) {
    const answers = await Promise.all(Array.from({ length: together }, () => client.query(names)));
    if (answers.some(({ status }) => status !== 'success')) throw new Error('not trusted');
  }
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  await client.close();
  return answersOfRound / seconds;
}

export async function run() {
  const folder = mkdtempSync(join(tmpdir(), 'etoken-bridge-bench-'));
  const { clusterFile } = await createLabCluster({
    directory: folder,
    release: '10.5.2',
    securityMode: 'mixed',
    nodes: [{ name: 'cucm-pub', address: '10.48.46.195', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] }],
    now: new Date(),
    keyBits: 2048,
  });
  const place = (/** @type {string} */ kind) => join(folder, kind, 'cucm-pub', kind === 'keys' ? 'TVS.key' : 'TVS.pem');
  const serve = [program, 'tvs', 'serve', '--cluster', clusterFile, '--port', '0', '--quiet'];
  const ours = await start(process.execPath, serve, /:(\d+)\n/);
  const identity = ['-cert', place('certificates'), '-key', place('keys')];
  const theirs = await start('openssl', ['s_server', '-accept', '127.0.0.1:0', ...identity], /ACCEPT .*:(\d+)/);
  try {
    /** @type {{ ours: number, theirs: number, answers: number }[]} */
    const rates = [];
    for (let round = 0; round < rounds; round += 1) {
      // Whoever comes second finds the machine warm: they take turns at that.
      const first = round % 2 === 0 ? await connectionsOf(ours.port) : 0;
      const bare = await connectionsOf(theirs.port);
      const own = first === 0 ? await connectionsOf(ours.port) : first;
      rates.push({ ours: own, theirs: bare, answers: await answersOf(ours.port, folder) });
    }
    const answers = median(rates.map((rate) => rate.answers));
    return [
      {
        what: 'TLS connections of `tvs serve` against openssl s_server (openssl s_time)',
        ours: format(median(rates.map((rate) => rate.ours))),
        theirs: format(median(rates.map((rate) => rate.theirs))),
        ratio: median(rates.map((rate) => rate.ours / rate.theirs)),
        limit: '>= 0.5',
      },
      {
        what: `answers on one connection, ${together} questions at a time, against a plain figure`,
        ours: format(answers),
        theirs: format(wantedAnswers),
        ratio: answers / wantedAnswers,
        limit: '>= 1',
      },
    ];
  } finally {
    for (const { child } of [ours, theirs]) child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
