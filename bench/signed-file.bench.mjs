// Signed files in bulk: configurations of 8 KB with a software key against the signatures of `openssl speed` on as many
// processors, then with a SoftHSM2 token against pkcs11js in this process; and one file of 500 MB, signed in chunks by
// a process of its own, against `openssl dgst`. The command `file sign` is measured beside the library, with 10,000
// configurations and with the large file: it starts, reads, writes and makes last what it signs.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FileSigning, SignedFileReader, decodeSignedFile, signFile, verifySignedFile } from 'etoken-bridge/signed-file';
import { createSoftwareSigner, gatherSignatures } from 'etoken-bridge/signer';
import { openTokenSigner, parseTokenUri } from 'etoken-bridge/token';
import { decodeCertificate, generateRsaKey, issueCertificate } from 'etoken-bridge/x509';
import { makeSoftToken } from './soft-token.mjs';

/** @typedef {import('etoken-bridge/signer').Signer} Signer */

export const name = 'Signed files in bulk (RSA-2048, median of interleaved rounds)';

const rounds = 5;
const softwareRounds = 9;
const filesOfRound = 2500;
const commandRounds = 3;
const filesOfCommand = 10_000;
const tokenFilesOfRound = 400;
const configurationLength = 8192;
const processors = 2;
/** So many files are under way at a time, as with `--jobs` of the command: for a token, enough for its batches. */
const together = { software: 16, token: 64 };
const largeLength = 500_000_000;
const mostMemory = 150;

const program = fileURLToPath(import.meta.url);
const command = fileURLToPath(new URL('../dist/command/main.js', import.meta.url));
/** Says at its end how much memory a process had. */
const tellMemory =
  "data:text/javascript,process.on('exit',()=>console.error('megabytes',Math.round(process.resourceUsage().maxRSS/1024)))";
/** Of memory where there is one: a disk tells more of itself than of the command. */
const places = existsSync('/dev/shm') ? ['/dev/shm', tmpdir()] : [tmpdir()];
const median = (/** @type {number[]} */ values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const rate = (/** @type {number} */ value) => `${Math.round(value).toLocaleString('en')} per second`;

/** Files signed in a second. @param {Signer} signer @param {number} count @param {number} underWay */
async function signMany(signer, count, underWay) {
  const contents = Array.from({ length: 32 }, () => new Uint8Array(randomBytes(configurationLength)));
  let next = 0;
  /** @type {Uint8Array | undefined} */
  let last;
  const work = async () => {
    while (next < count) {
      const index = next;
      next += 1;
      const options = { name: `SEP${String(index).padStart(12, '0')}.cnf.xml`, timestamp: 1_800_000_000 };
      last = await signFile(contents[index % 32] ?? new Uint8Array(), options, signer);
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: underWay }, work));
  const seconds = (performance.now() - started) / 1000;
  if (last === undefined || !verifySignedFile(decodeSignedFile(last), signer.certificate))
    throw new Error('not signed');
  return count / seconds;
}

/** Signatures in a second, of openssl on all processors. */
function opensslSignatures() {
  const words = ['speed', '-seconds', '2', '-multi', String(processors), 'rsa2048'];
  const text = String(spawnSync('openssl', words).stdout);
  const found = Number(/rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)/.exec(text)?.[1]);
  if (!(found > 0)) throw new Error(`openssl speed counted nothing: ${text}`);
  return found;
}

async function softwareIdentity() {
  const key = await generateRsaKey(2048);
  const subject = [{ type: 'CN', value: 'cucm-pub' }];
  const dates = { notBefore: new Date('2020-01-01T00:00:00Z'), notAfter: new Date('2040-01-01T00:00:00Z') };
  const request = { subject, publicKey: key, serialNumber: Uint8Array.of(0x4a, 1, 2), ...dates };
  return { key, certificate: await issueCertificate(request, { name: subject, key }) };
}

/** @param {Signer} signer */
async function softwareRow(signer) {
  /** @type {{ ours: number, theirs: number }[]} */
  const rates = [];
  await signMany(signer, filesOfRound, together.software);
  for (let round = 0; round < softwareRounds; round += 1) {
    const theirs = opensslSignatures();
    rates.push({ ours: await signMany(signer, filesOfRound, together.software), theirs });
  }
  return {
    what: `${softwareRounds} times ${filesOfRound} configurations of 8 KB, software key, against openssl speed -multi ${processors}`,
    ours: rate(median(rates.map(({ ours }) => ours))),
    theirs: rate(median(rates.map(({ theirs }) => theirs))),
    ratio: median(rates.map(({ ours, theirs }) => ours / theirs)),
    limit: '>= 0.85',
  };
}

/**
 * Runs `file sign`.
 *
 * @param {string} folder where the key is.
 * @param {readonly string[]} words
 * @param {readonly string[]} [before] words for Node.js.
 */
function runCommand(folder, words, before = []) {
  const key = ['--key', join(folder, 'key.pem'), '--certificate', join(folder, 'certificate.der')];
  const all = [...before, command, 'file', 'sign', ...words, ...key];
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, all, { encoding: 'utf8' });
  const seconds = (performance.now() - started) / 1000;
  if (status !== 0) throw new Error(stderr);
  return { seconds, stderr };
}

/** The most memory of `file sign`, in megabytes: not while it is timed. @param {string} folder @param {string[]} words */
function memoryOfCommand(folder, words) {
  const { stderr } = runCommand(folder, words, ['--import', tellMemory]);
  const megabytes = Number(/^megabytes (\d+)$/m.exec(stderr)?.[1]);
  if (!(megabytes > 0)) throw new Error(stderr);
  return megabytes;
}

/** @param {string} folder @param {string} place */
function commandRow(folder, place) {
  const root = mkdtempSync(join(place, 'etb-bench-'));
  try {
    const input = join(root, 'in');
    mkdirSync(input);
    for (let index = 0; index < filesOfCommand; index += 1)
      writeFileSync(join(input, `SEP${String(index).padStart(12, '0')}.cnf.xml`), randomBytes(configurationLength));
    /** @type {{ ours: number, theirs: number }[]} */
    const rates = [];
    for (let round = 0; round < commandRounds; round += 1) {
      const theirs = opensslSignatures();
      const out = join(root, `out-${round}`);
      rates.push({ ours: filesOfCommand / runCommand(folder, [input, '--out', out, '-q']).seconds, theirs });
      rmSync(out, { recursive: true });
    }
    return {
      what: `${commandRounds} times \`file sign\` of ${filesOfCommand} configurations of 8 KB in ${place}, against openssl speed -multi ${processors}`,
      ours: rate(median(rates.map(({ ours }) => ours))),
      theirs: rate(median(rates.map(({ theirs }) => theirs))),
      ratio: median(rates.map(({ ours, theirs }) => ours / theirs)),
      limit: '>= 0.85',
    };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Signatures in a second. @param {ReturnType<Awaited<ReturnType<typeof makeSoftToken>>['openInProcess']>} token */
function bareRate(token) {
  const started = performance.now();
  for (let index = 0; index < tokenFilesOfRound; index += 1) {
    token.sign({ digestAlgorithm: 'sha1', digest: randomBytes(20) });
  }
  return (tokenFilesOfRound / (performance.now() - started)) * 1000;
}

/** @param {string} folder */
async function tokenRow(folder) {
  const { uri, environment, askPin, openInProcess } = await makeSoftToken(folder);
  const inProcess = openInProcess();
  const token = await openTokenSigner({ uri: parseTokenUri(uri), environment, pin: askPin, sessions: 2 });
  try {
    const signer = gatherSignatures(token);
    /** @type {{ ours: number, theirs: number }[]} */
    const rates = [];
    for (let round = 0; round <= rounds; round += 1) {
      const found = { theirs: bareRate(inProcess), ours: await signMany(signer, tokenFilesOfRound, together.token) };
      if (round > 0) rates.push(found);
    }
    return {
      what: `${rounds} times ${tokenFilesOfRound} configurations of 8 KB, token with two sessions, against pkcs11js in-process`,
      ours: rate(median(rates.map(({ ours }) => ours))),
      theirs: rate(median(rates.map(({ theirs }) => theirs))),
      ratio: median(rates.map(({ ours, theirs }) => ours / theirs)),
      limit: '>= 1.5',
    };
  } finally {
    await token.close();
    inProcess.close();
  }
}

/**
 * Signs a large file in this process, which does nothing else.
 *
 * @param {string} folder
 * @param {boolean} writes whether the signed file is written too.
 */
async function signLarge(folder, writes) {
  const certificate = decodeCertificate(new Uint8Array(readFileSync(join(folder, 'certificate.der'))));
  const signer = createSoftwareSigner(certificate, readFileSync(join(folder, 'key.pem'), 'utf8'));
  const started = performance.now();
  const signing = new FileSigning({ name: 'firmware.loads', timestamp: 1_800_000_000 }, signer);
  const input = await open(join(folder, 'firmware'));
  const output = writes ? await open(join(folder, 'firmware.sgn'), 'w') : undefined;
  const buffers = Array.from({ length: 4 }, () => Buffer.allocUnsafeSlow(1024 * 1024));
  /** @type {(Promise<unknown> | undefined)[]} */
  const writing = [];
  let position = 0;
  const read = async (/** @type {number} */ turn) => {
    const place = turn % buffers.length;
    await writing[place];
    const buffer = buffers[place] ?? Buffer.alloc(0);
    return buffer.subarray(0, (await input.read(buffer, 0, buffer.length, position)).bytesRead);
  };
  // The next part is read, and the last one written, while this one is hashed.
  let coming = read(0);
  for (let turn = 0; ; turn += 1) {
    const part = await coming;
    if (part.length === 0) break;
    if (output !== undefined) {
      writing[turn % buffers.length] = output.write(part, 0, part.length, signing.headerLength + position);
    }
    position += part.length;
    coming = read(turn + 1);
    signing.update(part);
  }
  await Promise.all(writing);
  const header = await signing.finish();
  await output?.write(header, 0, header.length, 0);
  const seconds = (performance.now() - started) / 1000;
  await output?.close();
  await input.close();
  console.log(JSON.stringify({ seconds, megabytes: process.resourceUsage().maxRSS / 1024 }));
}

/** @param {string} folder @param {'read' | 'write'} what @returns {{ seconds: number, megabytes: number }} */
function runLarge(folder, what) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, folder, what], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/** Whether the large file that was written is the other one behind its header, signed. @param {string} folder */
async function checkLarge(folder) {
  const certificate = decodeCertificate(new Uint8Array(readFileSync(join(folder, 'certificate.der'))));
  const reader = new SignedFileReader();
  const file = await open(join(folder, 'firmware.sgn'));
  for await (const chunk of file.createReadStream({ highWaterMark: 1024 * 1024 })) reader.update(chunk);
  const verdict = reader.finish();
  if (verdict.bodyLength !== largeLength || !verdict.isSignedBy(certificate)) throw new Error('not signed');
}

/** @param {string} folder */
async function largeRows(folder) {
  const path = join(folder, 'firmware');
  const part = randomBytes(1_000_000);
  const file = openSync(path, 'w');
  for (let written = 0; written < largeLength; written += part.length) writeSync(file, part);
  closeSync(file);
  if (statSync(path).size !== largeLength) throw new Error('the file is not as large as it should be');
  /** @type {{ ours: number, theirs: number, command: number, megabytes: number }[]} */
  const times = [];
  for (let round = 0; round <= rounds; round += 1) {
    const ours = runLarge(folder, 'read');
    const started = performance.now();
    const { status } = spawnSync('openssl', ['dgst', '-sha1', path]);
    if (status !== 0) throw new Error('openssl dgst failed');
    const theirs = (performance.now() - started) / 1000;
    rmSync(`${path}.sgn`, { force: true });
    const command = runCommand(folder, [path, '-q']).seconds;
    // The first round brings the file into memory.
    if (round > 0) times.push({ ...ours, ours: ours.seconds, theirs, command });
  }
  rmSync(`${path}.sgn`);
  const ofCommand = memoryOfCommand(folder, [path, '-q']);
  const written = runLarge(folder, 'write');
  await checkLarge(folder);
  const speed = (/** @type {number} */ seconds) => `${Math.round(largeLength / seconds / 1e6)} MB per second`;
  const memory = Math.max(ofCommand, written.megabytes, ...times.map(({ megabytes }) => megabytes));
  return [
    {
      what: 'read, digest (SHA-1) and sign a file of 500 MB, against openssl dgst',
      ours: speed(median(times.map(({ ours }) => ours))),
      theirs: speed(median(times.map(({ theirs }) => theirs))),
      ratio: median(times.map(({ ours, theirs }) => theirs / ours)),
      limit: '>= 0.7',
    },
    {
      what: '`file sign` of a file of 500 MB, start and writing included, against openssl dgst',
      ours: speed(median(times.map(({ command }) => command))),
      theirs: speed(median(times.map(({ theirs }) => theirs))),
      ratio: median(times.map(({ command, theirs }) => theirs / command)),
      limit: '>= 0.7',
    },
    {
      what: 'the most memory of a process that does this, and writes the signed file',
      ours: `${Math.round(memory)} MB`,
      theirs: `${mostMemory} MB`,
      ratio: memory / mostMemory,
      limit: '<= 1',
    },
  ];
}

export async function run() {
  const folder = mkdtempSync(join(tmpdir(), 'etb-bench-'));
  try {
    const { key, certificate } = await softwareIdentity();
    writeFileSync(join(folder, 'certificate.der'), certificate.der);
    writeFileSync(join(folder, 'key.pem'), key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    const software = await softwareRow(createSoftwareSigner(certificate, key));
    const commands = places.map((place) => commandRow(folder, place));
    return [software, ...commands, await tokenRow(folder), ...(await largeRows(folder))];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === program) await signLarge(process.argv[2] ?? '', process.argv[3] === 'write');
