import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { constants, freemem, setPriority } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { plainEnvironment, program, type Outcome } from '../cli/etoken-bridge.js';
import { makeSoftTokens, pins, pinStates } from '../cli/soft-tokens.js';
import { skipReason } from '../skip-reason.js';

const tokens = await makeSoftTokens();
const { first, folder, environment } = tokens;
tokens.makeTokenList('CTLFile.tlv');

/** So many signatures, and two hundred processes at once, are a load that other tests must not suffer from. */
const priority = constants.priority.PRIORITY_LOW;

/** What runs; a test that ends early leaves nothing behind. */
const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

interface StartOptions {
  readonly more?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** As `nice` counts: 19 gives way to everything else. */
  readonly priority?: number;
}

function start(words: readonly string[], { more = {}, cwd = folder, priority }: StartOptions = {}): Promise<Outcome> {
  const child = spawn(process.execPath, words, {
    cwd,
    env: plainEnvironment({ ...environment, ...more }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  if (child.pid !== undefined && priority !== undefined) setPriority(child.pid, priority);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return once(child, 'close').then(([status]) => ({ status: status as number | null, stdout, stderr }));
}

const many = 100_000;
/** How many signatures are made before memory is looked at: the host was seen to grow up to here, and no further. */
const warmUp = 60_000;
/** Two spans of as many signatures are compared, each by the least memory that was seen in it. */
const span = (many - warmUp) / 2;
/**
 * What memory may grow by from one span to the next, in MB. What V8 throws away only later comes and goes within a span;
 * 20,000 signatures of 128 bytes that were kept, each in an array of its own, would be more than 6 MB.
 */
const most = 5;

/** Signs with one login, and prints the memory of the host and its own now and then, in MB. */
const signMany = `
  import { readFileSync } from 'node:fs';
  import { createHash } from 'node:crypto';
  import { openTokenSigner, Pin } from ${JSON.stringify(new URL('../../dist/token/index.js', import.meta.url).href)};
  const { SERIAL: tokenSerial, PIN } = process.env;
  const limits = { callTimeout: 120_000, interactionTimeout: 120_000 };
  const signer = await openTokenSigner({ tokenSerial, pin: async () => new Pin(PIN), sessions: 2, ...limits });
  const [host] = readFileSync(\`/proc/\${process.pid}/task/\${process.pid}/children\`, 'utf8').split(' ');
  const memory = (id) => Number(/VmRSS:\\s+(\\d+)/.exec(readFileSync(\`/proc/\${id}/status\`, 'utf8'))[1]) / 1024;
  for (let done = 0; done < ${String(many)};) {
    const requests = Array.from({ length: 1000 }, (_, index) => {
      const digest = new Uint8Array(createHash('sha512').update(String(done + index)).digest());
      return { digestAlgorithm: 'sha512', digest };
    });
    const signatures = await signer.signBatch(requests);
    done += signatures.length;
    if (done % 10_000 === 0) console.log(JSON.stringify({ done, host: memory(host), command: memory('self') }));
  }
  await signer.close();`;

const memoryMissing = existsSync('/proc/self/status') ? undefined : 'memory is read from /proc';

test.skipIf(memoryMissing !== undefined)(
  `100,000 signatures in one host: its memory does not grow, nor that of the command${skipReason(memoryMissing)}`,
  async () => {
    const started = performance.now();
    const secret = { SERIAL: first.token.serialNumber, PIN: pins.first };
    // As little room for what is thrown away soon as the host has, so that what is kept can be told from it.
    const words = ['--max-semi-space-size=2', '--input-type=module', '-e', signMany];
    const { status, stdout, stderr } = await start(words, { more: secret, priority });
    const seconds = (performance.now() - started) / 1000;
    expect([status, stderr]).toEqual([0, '']);
    const marks = stdout.trim().split('\n').map((line) => JSON.parse(line) as { done: number; host: number; command: number }); // prettier-ignore
    expect(marks.at(-1)?.done).toBe(many);
    const rows = marks.map(({ done, host, command }) =>
      [String(done).padStart(8), host.toFixed(1).padStart(8), command.toFixed(1).padStart(8)].join(' '),
    );
    const rate = `${String(many)} signatures in ${seconds.toFixed(0)} s, ${(many / seconds).toFixed(0)} in a second`;
    process.stdout.write(`    DONE  HOST MB  COMMAND MB\n${rows.join('\n')}\n${rate}\n`);
    for (const which of ['host', 'command'] as const) {
      const leastFrom = (from: number): number => {
        const within = marks.filter(({ done }) => done >= from && done <= from + span).map((mark) => mark[which]);
        expect(within).toHaveLength(span / 10_000 + 1);
        return Math.min(...within);
      };
      const [before, after] = [leastFrom(warmUp), leastFrom(warmUp + span)];
      const words = `${which}: at least ${before.toFixed(1)} MB, then ${after.toFixed(1)} MB`;
      const each = (((after - before) * 1024 * 1024) / span).toFixed(1);
      process.stdout.write(`${words}: ${each} bytes for each signature\n`);
      expect(after - before, words).toBeLessThan(most);
    }
  },
  1_500_000,
);

/** Two processes of some 40 MB for each of 200 commands. */
const neededMemory = 8;
const freeMemory = freemem() / 1024 ** 3;
const roomMissing =
  freeMemory < neededMemory
    ? `needs ${String(neededMemory)} GiB of memory, and ${freeMemory.toFixed(1)} are free`
    : undefined;

const title =
  '200 commands that sign with one token at the same moment: each succeeds or says why not, and no signature is wrong';
test.skipIf(roomMissing !== undefined)(
  `${title}${skipReason(roomMissing)}`,
  async () => {
    const count = 200;
    const timestamp = ['--timestamp', '2026-01-01T00:00:00Z'];
    const options = [...timestamp, '--token', first.token.uri, '--pin-file', first.pinFile];
    const alone = await start([program, 'ctl', 'sign', 'CTLFile.tlv', '--out', 'alone.tlv', ...options]);
    expect(alone.status, alone.stderr).toBe(0);
    // A signature of this kind has only one right form: the same list, signed again, is the same file.
    const right = readFileSync(join(folder, 'alone.tlv'));
    mkdirSync(join(folder, 'many'));
    writeFileSync(join(folder, 'many/CTLFile.tlv'), readFileSync(join(folder, 'CTLFile.tlv')));
    const started = performance.now();
    const runs = Array.from({ length: count }, (_, index) =>
      start([program, 'ctl', 'sign', 'CTLFile.tlv', '--out', `${String(index)}.tlv`, ...options], {
        more: { ETOKEN_BRIDGE_TOKEN_TIMEOUT: '300' },
        cwd: join(folder, 'many'),
        priority,
      }),
    );
    const outcomes = await Promise.all(runs);
    const seconds = (performance.now() - started) / 1000;
    const done = outcomes.filter(({ status }) => status === 0).length;
    const refused = outcomes.filter(({ status }) => status !== 0);
    process.stdout.write(`${String(count)} commands at once: ${String(done)} signed, ${String(refused.length)} refused, ${seconds.toFixed(0)} s\n`); // prettier-ignore
    for (const { stderr } of refused) process.stdout.write(stderr);
    for (const [index, { status, stdout, stderr }] of outcomes.entries()) {
      const path = join(folder, 'many', `${String(index)}.tlv`);
      if (status === 0) {
        expect(readFileSync(path).equals(right)).toBe(true);
        continue;
      }
      // SoftHSM2 reads the files of a token while another process writes them, and then says that it failed.
      expect([status, stdout, existsSync(path)]).toEqual([3, '', false]);
      expect(stderr).toMatch(/^error: .*token.*\n([^\n]*\n)*hint: [^\n]+\n$/);
    }
    // How many depends on what else the machine does: 80 and more were seen.
    expect(done).toBeGreaterThan(count / 10);
    expect(pinStates(tokens)['SAST first']).toBe('ok');
  },
  900_000,
);
