import { afterAll, describe, expect, test } from 'vitest';
import { tokensEnd } from '../../src/cluster/index.js';
import { RefusalError } from '../../src/errors.js';
import { planMigration, type Plan, type WantedMode } from '../../src/migration/index.js';
import { expectForetold, isWorking } from './foretold.js';
import { KeyPool, LabRun } from './lab-run.js';

const presentStates = [
  'no CTL',
  'tokenless',
  'two tokens',
  'one token',
  'tokens lost',
  'non-secure left-overs',
] as const;
type State = (typeof presentStates)[number];

const releases = ['9.1.2', '11.5.1', '12.5.1', '14SU3'] as const;

/** What is asked of the planner for each wanted state. */
const wishes: Readonly<Record<State, WantedMode>> = {
  'no CTL': 'no-ctl',
  tokenless: 'tokenless',
  'two tokens': 'token',
  'one token': 'token',
  'tokens lost': 'token',
  'non-secure left-overs': 'non-secure',
};

const pool = new KeyPool();
const counts = { cases: 0, refused: 0, kept: 0, lost: 0, labs: 0 };
afterAll(() => {
  console.log(
    `matrix: ${String(counts.cases)} cases in ${String(counts.labs)} labs: ${String(counts.kept)} kept, ${String(counts.lost)} lost, ${String(counts.refused)} refused; no disagreement`,
  );
});

/** Brings a new lab to a present state, in which every phone works. */
async function begin(state: State, release: string, nodes: 1 | 2): Promise<LabRun> {
  const run = await LabRun.start(pool, release, nodes);
  counts.labs += 1;
  const isOld = release === '9.1.2';
  if (state === 'tokenless') await run.serveFirstCtl([]);
  if (state === 'two tokens' || state === 'tokens lost') await run.serveFirstCtl([0, 1]);
  if (state === 'one token') await run.serveFirstCtl([0]);
  if (state === 'non-secure left-overs') {
    await run.serveFirstCtl(isOld ? [0, 1] : []);
    const signer = isOld ? run.token(0) : run.lab.clusterSigner();
    await run.lab.serveCtl((await run.build('to-non-secure', signer, [], [])).list, 'non-secure');
    await run.boot();
  }
  const boots = await run.boot();
  // A phone without Security by Default finds no TFTP server in an emptied CTL that could sign its configuration (P12).
  expect(boots.map(isWorking)).toEqual([true, state !== 'non-secure left-overs']);
  return run;
}

/** The tokens at hand. Who wants one token in the list has one; who wants them lost has none. */
function tokensAtHand(present: State, wanted: State): readonly number[] {
  if (wanted === 'tokens lost') return [];
  const [first, second] = present === 'tokens lost' ? [2, 3] : [0, 1];
  return wanted === 'one token' ? [first] : [first, second];
}

async function planOrRefusal(run: LabRun, wanted: State): Promise<Plan | string> {
  try {
    const options = { now: new Date(run.now), makeKey: (index: number) => pool.get(index + 60) };
    return await planMigration(run.situation(), { mode: wishes[wanted] }, options);
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    return error.code;
  }
}

/** What the flow says that an administrator would use who does not ask the planner. */
async function refusalOfFlow(run: LabRun, wanted: State): Promise<string | undefined> {
  const { ctl } = run.lab;
  const isToken = wishes[wanted] === 'token';
  const tokens = run.tokensAtHand;
  const [signer] = isToken ? tokens : [run.lab.clusterSigner()];
  // Without any token there is nobody who could sign; where tokens ended, that comes first.
  if (signer === undefined) return tokensEnd(run.lab.cluster.release) ? 'A14' : 'A5';
  const present = ctl === undefined ? 'none' : run.modeOfCtl();
  const flow = isToken
    ? ({ none: 'create-token', token: 'create-token', tokenless: 'to-token' } as const)[present]
    : ({ none: 'create-tokenless', token: 'to-tokenless', tokenless: 'update' } as const)[present];
  try {
    await run.build(flow, signer, isToken ? tokens : [], ['A3']);
    return undefined;
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    return error.code;
  }
}

/** What is served in the end. A cluster without a CTL needs none to be non-secure. */
function expectedCtl(present: State, wanted: State): string {
  const words = { 'no-ctl': 'none', token: 'token', tokenless: 'tokenless', 'non-secure': 'non-secure' } as const;
  return present === 'no CTL' && wishes[wanted] === 'non-secure' ? 'none' : words[wishes[wanted]];
}

/** Plans and runs one pair of states. @returns whether the lab is as it was before. */
async function compare(run: LabRun, present: State, wanted: State): Promise<boolean> {
  const name = `${present} to ${wanted}`;
  run.setTokensAtHand(tokensAtHand(present, wanted));
  const plan = await planOrRefusal(run, wanted);
  counts.cases += run.phones.length;
  if (typeof plan === 'string') {
    expect([name, await refusalOfFlow(run, wanted)]).toEqual([name, plan]);
    counts.refused += run.phones.length;
    return true;
  }
  await expectForetold(run, plan, name);
  const isRemoved = plan.steps.some(({ action }) => action.kind === 'remove-ctl-file');
  expect([name, run.describeCtl()]).toEqual([name, isRemoved ? 'none' : expectedCtl(present, wanted)]);
  counts.kept += plan.phones.kept;
  counts.lost += plan.phones.lost;
  return plan.steps.length === 0;
}

describe.each(releases)('release %s', (release) => {
  describe.each([1, 2] as const)('nodes %i', (nodes) => {
    describe.each(['up', 'down'] as const)('TVS %s', (tvs) => {
      test.each(presentStates)('from %s to every state, the lab does what was foretold', async (present) => {
        let run: LabRun | undefined;
        try {
          for (const wanted of presentStates) {
            if (run === undefined) {
              run = await begin(present, release, nodes);
              if (tvs === 'down') await run.cutTvs();
            }
            if (await compare(run, present, wanted)) continue;
            await run.close();
            run = undefined;
          }
        } finally {
          await run?.close();
        }
      });
    });
  });
});
