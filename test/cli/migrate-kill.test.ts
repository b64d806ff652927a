import { rmSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeTrustList, verifyTrustList } from '../../src/trust-list/index.js';
import { snapshot } from './etoken-bridge.js';
import { makeSoftTokens } from './soft-tokens.js';
import {
  journalLength,
  journalOf,
  killWhen,
  makeLiveLab,
  runBeside,
  sha1,
  thereAndBack,
  writePlan,
} from './migrate-lab.js';

const lab = await makeLiveLab();
lab.upload(...lab.tokens);
const plan = thereAndBack(lab);
const path = writePlan(lab, plan);
const work = `${path}.work`;
const words = [
  ...['migrate', 'apply', path, '--yes', '--timestamp', '2026-03-01T12:00:00Z'],
  ...['--tftp-folder', `${lab.publisher}=${lab.served()}`],
  ...lab.serverOptions,
  ...lab.tokenOptions,
];

/** What an apply without any interruption leaves: the list that is served, and the lists of the folder. */
let undisturbed: { readonly served: string; readonly lists: ReadonlyMap<string, string>; readonly lines: number };
const knownLists = new Set([sha1(lab.tokenless)]);

function lists(): ReadonlyMap<string, string> {
  return new Map([...snapshot(work)].filter(([name]) => name.endsWith('-CTLFile.tlv')));
}

function startAfresh(): void {
  rmSync(work, { recursive: true, force: true });
  lab.putCtl(lab.tokenless);
}

/** How long an apply takes here, in milliseconds. */
let duration = 0;

beforeAll(async () => {
  startAfresh();
  const before = performance.now();
  const outcome = await runBeside(words);
  duration = performance.now() - before;
  expect(outcome.stderr).not.toContain('error:');
  expect(outcome.status).toBe(0);
  const served = lab.servedCtl();
  undisturbed = { served: sha1(served), lists: lists(), lines: journalOf(path).length };
  expect(undisturbed.served).not.toBe(sha1(lab.tokenless));
  for (const content of undisturbed.lists.values()) knownLists.add(sha1(Buffer.from(content, 'latin1')));
});

/** At any moment phones get a whole list that verifies. */
function expectWholeList(): void {
  const served = lab.servedCtl();
  expect(knownLists).toContain(sha1(served));
  expect(verifyTrustList(decodeTrustList(served)).verified).toBe(true);
}

/** Going on ends in the same state, byte for byte, each step begun and done once. */
async function expectGoingOn(): Promise<void> {
  expectWholeList();
  const outcome = await runBeside(words);
  expect(outcome.stderr).not.toContain('error:');
  expect(outcome.status).toBe(0);
  expect(sha1(lab.servedCtl())).toBe(undisturbed.served);
  expect(lists()).toEqual(undisturbed.lists);
  const entries = journalOf(path);
  for (const { id } of plan.steps) {
    for (const kind of ['begun', 'done']) {
      expect(entries.filter(({ entry, step }) => entry === kind && step === id)).toHaveLength(1);
    }
  }
}

/** Applies the plan from its beginning, and kills it as soon as something is so. */
async function killedWhen(due: () => boolean): Promise<boolean> {
  startAfresh();
  return killWhen(words, due);
}

describe('migrate apply that is killed', () => {
  test('at every step boundary goes on to the same end', { timeout: 300_000 }, async () => {
    let kills = 0;
    for (let line = 1; line <= undisturbed.lines; line += 1) {
      if (await killedWhen(() => journalLength(path) >= line)) kills += 1;
      await expectGoingOn();
    }
    console.log(`${kills} kills at ${undisturbed.lines} lines of the journal`);
    expect(kills).toBeGreaterThan(0);
  });

  test('inside its steps goes on to the same end', { timeout: 600_000 }, async () => {
    let kills = 0;
    for (let line = 1; line < undisturbed.lines; line += 1) {
      for (const milliseconds of [1, 4, 10]) {
        let reached: number | undefined;
        const due = (): boolean => {
          if (journalLength(path) >= line) reached ??= performance.now();
          return reached !== undefined && performance.now() >= reached + milliseconds;
        };
        if (await killedWhen(due)) kills += 1;
        await expectGoingOn();
      }
    }
    console.log(`${kills} kills inside of steps`);
    expect(kills).toBeGreaterThan(0);
  });

  test('before its first line goes on to the same end', { timeout: 300_000 }, async () => {
    let kills = 0;
    const moments = 12;
    for (let index = 1; index <= moments; index += 1) {
      const due = performance.now() + (duration * index) / moments;
      if (await killedWhen(() => performance.now() >= due)) kills += 1;
      await expectGoingOn();
    }
    console.log(`${kills} kills over ${Math.round(duration)} ms`);
    expect(kills).toBeGreaterThan(0);
  });

  test('while a token signs goes on to the same end', { timeout: 300_000 }, async () => {
    const soft = await makeSoftTokens();
    const other = await makeLiveLab({
      tokens: {
        certificates: [soft.first.certificate, soft.second.certificate],
        options: ['--token', soft.first.token.uri, '--pin-file', soft.first.pinFile],
      },
    });
    other.upload(...other.tokens);
    const whole = thereAndBack(other);
    const tokenPlan = writePlan(other, { ...whole, steps: whole.steps.slice(0, 3) });
    const apply = [
      ...['migrate', 'apply', tokenPlan, '--yes', '--timestamp', '2026-03-01T12:00:00Z'],
      ...['--tftp-folder', `${other.publisher}=${other.served()}`, ...other.serverOptions, ...other.tokenOptions],
    ];
    const options = { env: soft.environment };
    const ends = new Set<string>();
    let kills = 0;
    for (let milliseconds = 0; milliseconds <= 180; milliseconds += 15) {
      rmSync(`${tokenPlan}.work`, { recursive: true, force: true });
      other.putCtl(other.tokenless);
      let reached: number | undefined;
      const due = (): boolean => {
        // The third line says that the list is being built.
        if (journalLength(tokenPlan) >= 4) reached ??= performance.now();
        return reached !== undefined && performance.now() >= reached + milliseconds;
      };
      if (await killWhen(apply, due, options)) kills += 1;
      const outcome = await runBeside(apply, options);
      expect(outcome.stderr).not.toContain('error:');
      expect(outcome.status).toBe(0);
      ends.add(sha1(other.servedCtl()));
      expect(journalOf(tokenPlan).filter(({ entry }) => entry === 'done')).toHaveLength(3);
    }
    console.log(`${kills} kills while a token signs`);
    expect([...ends]).toHaveLength(1);
    expect(ends).not.toContain(sha1(other.tokenless));
  });

  test('again and again comes to its end', { timeout: 300_000 }, async () => {
    startAfresh();
    let kills = 0;
    for (let line = 2; line < undisturbed.lines; line += 1) {
      if (await killWhen(words, () => journalLength(path) >= line)) kills += 1;
      expectWholeList();
    }
    console.log(`${kills} kills of one apply`);
    await expectGoingOn();
  });
});
