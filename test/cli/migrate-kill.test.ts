import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Plan } from '../../src/migration/index.js';
import { decodeTrustList, verifyTrustList } from '../../src/trust-list/index.js';
import { plainEnvironment, program, snapshot } from './etoken-bridge.js';
import { makeSoftTokens } from './soft-tokens.js';
import {
  firstSteps,
  journalOf,
  makeLiveLab,
  phonesRestarted,
  runBeside,
  sha1,
  thereAndBack,
  writePlan,
  type LiveLab,
} from './migrate-lab.js';

const hook = fileURLToPath(new URL('migrate-kill-before.mjs', import.meta.url));

/** How the command ended: by which signal, or with which exit code. */
interface End {
  readonly signal: string | null;
  readonly status: number | null;
  readonly stderr: string;
}

/** Runs the command with the hook, which kills it or writes down what it does. */
function runHooked(words: readonly string[], env: Readonly<Record<string, string>>): Promise<End> {
  const child = spawn(process.execPath, ['--import', hook, program, ...words], {
    env: plainEnvironment(env),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve) => {
    child.on('close', (status, signal) => resolve({ signal, status, stderr }));
  });
}

/** A walk that is killed at every moment at which it changes a file, each time from the same beginning. */
interface Walk {
  readonly lab: LiveLab;
  readonly plan: Plan;
  readonly path: string;
  readonly words: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly startAfresh: () => Promise<void>;
}

/** What a walk without any interruption leaves behind. */
interface Undisturbed {
  readonly served: string | undefined;
  readonly lists: ReadonlyMap<string, string>;
  readonly entries: readonly string[];
  /** Each change of a file, in order: the function and the paths. */
  readonly changes: readonly string[];
}

function listsOf(path: string): ReadonlyMap<string, string> {
  return new Map([...snapshot(`${path}.work`)].filter(([name]) => /^[^/]+-CTLFile\.tlv$/.test(name)));
}

function servedSha1(lab: LiveLab): string | undefined {
  return existsSync(join(lab.served(), 'CTLFile.tlv')) ? sha1(lab.servedCtl()) : undefined;
}

function entriesOf(path: string): readonly string[] {
  return journalOf(path).map(({ entry, step }) => `${String(entry)} ${String(step)}`);
}

async function walkUndisturbed(
  { lab, path, words, env = {}, startAfresh }: Walk,
  among?: string,
): Promise<Undisturbed> {
  await startAfresh();
  const trace = join(lab.folder, 'trace');
  rmSync(trace, { force: true });
  const more = among === undefined ? {} : { KILL_AMONG: among };
  const end = await runHooked(words, { ...env, ...more, TRACE: trace });
  expect(end.stderr).not.toContain('error:');
  expect(end.status).toBe(0);
  const changes = readFileSync(trace, 'utf8').split('\n').slice(0, -1);
  return { served: servedSha1(lab), lists: listsOf(path), entries: entriesOf(path), changes };
}

/** Phones get a whole list that verifies, at any moment. */
function expectWholeList(lab: LiveLab): void {
  expect(verifyTrustList(decodeTrustList(lab.servedCtl())).verified).toBe(true);
}

/** Kills a walk before its n-th change, goes on with it, and compares. */
async function expectGoingOn(walk: Walk, undisturbed: Undisturbed, n: number, among?: string): Promise<void> {
  const { lab, path, words, env = {}, startAfresh } = walk;
  await startAfresh();
  const more = among === undefined ? {} : { KILL_AMONG: among };
  const killed = await runHooked(words, { ...env, ...more, KILL_AT: String(n) });
  const where = `before change ${n}: ${undisturbed.changes[n - 1] ?? ''}`;
  expect([where, killed.signal]).toEqual([where, 'SIGKILL']);
  expectWholeList(lab);
  const outcome = await runBeside(words, { env });
  expect([where, outcome.stderr]).toEqual([where, expect.not.stringContaining('error:')]);
  expect([where, outcome.status]).toEqual([where, 0]);
  expect([where, servedSha1(lab)]).toEqual([where, undisturbed.served]);
  expect([where, listsOf(path)]).toEqual([where, undisturbed.lists]);
  // Every step is begun once and done once.
  expect([where, entriesOf(path)]).toEqual([where, undisturbed.entries]);
  const left = [`${path}.work`, lab.served()].flatMap((folder) => readdirSync(folder));
  expect([where, left.filter((name) => name.startsWith('.') || name.startsWith('lock'))]).toEqual([where, []]);
}

const time = ['--timestamp', '2026-03-01T12:00:00Z'];

async function makeWalk(count: number, isBack: boolean): Promise<Walk> {
  const lab = await makeLiveLab();
  lab.upload(...lab.tokens);
  const plan = firstSteps(thereAndBack(lab), count);
  const path = writePlan(lab, plan);
  const common = [
    ...[path, '--yes', ...phonesRestarted(plan), '--tftp-folder', `${lab.publisher}=${lab.served()}`],
    ...lab.serverOptions,
    ...lab.tokenOptions,
  ];
  const apply = ['migrate', 'apply', ...common, ...time];
  const startAfresh = async (): Promise<void> => {
    rmSync(`${path}.work`, { recursive: true, force: true });
    lab.putCtl(lab.tokenless);
    if (isBack) expect((await runBeside(apply)).status).toBe(0);
  };
  const words = isBack ? ['migrate', 'undo', ...common, '--back-to', '1-upload'] : apply;
  return { lab, plan, path, words, startAfresh };
}

/** Kills before every change, or before every one of some functions. */
async function sweep(walk: Walk, among?: string): Promise<number> {
  const undisturbed = await walkUndisturbed(walk, among);
  const { length } = undisturbed.changes;
  for (let n = 1; n <= length; n += 1) await expectGoingOn(walk, undisturbed, n, among);
  return length;
}

describe('a plan whose command is killed', () => {
  test('before any change of a file goes on to the same end', { timeout: 600_000 }, async () => {
    const walk = await makeWalk(3, false);
    const kills = await sweep(walk);
    console.log(`${kills} kills: before every change of an apply of ${walk.plan.steps.length} steps`);
    // Two lines for each step, and the list that is built and put there.
    expect(kills).toBeGreaterThan(4 * walk.plan.steps.length);
  });

  test('at any line of the journal of a long one goes on to the same end', { timeout: 600_000 }, async () => {
    const walk = await makeWalk(7, false);
    const kills = await sweep(walk, 'fsyncSync');
    console.log(`${kills} kills: at every line of an apply of ${walk.plan.steps.length} steps`);
    expect(kills).toBeGreaterThanOrEqual(2 * walk.plan.steps.length);
  });

  test('on the way back, before any change, goes on to the same end', { timeout: 600_000 }, async () => {
    const walk = await makeWalk(4, true);
    const kills = await sweep(walk);
    console.log(`${kills} kills: before every change of an undo of three steps`);
    // Two lines for each step that is undone, and the last line.
    expect(kills).toBeGreaterThan(2 * 3 + 1);
  });

  test('while the list that a token signed is kept goes on to the same end', { timeout: 600_000 }, async () => {
    const soft = await makeSoftTokens();
    const lab = await makeLiveLab({
      tokens: {
        certificates: [soft.first.certificate, soft.second.certificate],
        options: ['--token', soft.first.token.uri, '--pin-file', soft.first.pinFile],
      },
    });
    lab.upload(...lab.tokens);
    const plan = firstSteps(thereAndBack(lab), 3);
    const path = writePlan(lab, plan);
    const words = [
      ...['migrate', 'apply', path, '--yes', ...time, '--tftp-folder', `${lab.publisher}=${lab.served()}`],
      ...lab.serverOptions,
      ...lab.tokenOptions,
    ];
    const startAfresh = (): Promise<void> => {
      rmSync(`${path}.work`, { recursive: true, force: true });
      lab.putCtl(lab.tokenless);
      return Promise.resolve();
    };
    const walk = { lab, plan, path, words, env: soft.environment, startAfresh };
    const undisturbed = await walkUndisturbed(walk);
    const moments = undisturbed.changes.flatMap((change, index) => (change.includes('2-build-ctl') ? [index + 1] : []));
    for (const n of moments) await expectGoingOn(walk, undisturbed, n);
    console.log(`${moments.length} kills while the list of a token is kept`);
    expect(moments.length).toBeGreaterThanOrEqual(2);
  });

  test('again and again comes to its end', { timeout: 600_000 }, async () => {
    const walk = await makeWalk(7, false);
    const undisturbed = await walkUndisturbed(walk);
    await walk.startAfresh();
    let kills = 0;
    // Each run gets a little further before it is killed: always before its tenth change.
    for (let runs = 0; runs <= undisturbed.changes.length; runs += 1) {
      const end = await runHooked(walk.words, { KILL_AT: '10' });
      expectWholeList(walk.lab);
      if (end.signal === null) break;
      kills += 1;
    }
    expect((await runBeside(walk.words)).status).toBe(0);
    expect(servedSha1(walk.lab)).toBe(undisturbed.served);
    expect(listsOf(walk.path)).toEqual(undisturbed.lists);
    console.log(`${kills} kills of one apply`);
    expect(kills).toBeGreaterThan(1);
  });
});
