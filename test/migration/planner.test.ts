import { afterAll, describe, expect, test } from 'vitest';
import { planMigration, type Plan, type Situation, type Wanted } from '../../src/migration/index.js';
import { isWorking } from './foretold.js';
import { KeyPool, LabRun } from './lab-run.js';

const pool = new KeyPool();
const runs: LabRun[] = [];
afterAll(async () => {
  await Promise.all(runs.map((run) => run.close()));
});

type Ctl = 'no CTL' | 'tokenless' | 'two tokens';

async function start(release: string, nodes: 1 | 2, ctl: Ctl): Promise<LabRun> {
  const run = await LabRun.start(pool, release, nodes);
  runs.push(run);
  if (ctl !== 'no CTL') await run.serveFirstCtl(ctl === 'tokenless' ? [] : [0, 1]);
  return run;
}

function plan(run: LabRun, situation: Situation, wanted: Wanted): Promise<Plan> {
  return planMigration(situation, wanted, { now: new Date(run.now), makeKey: (index) => pool.get(index + 60) });
}

/** Without the phone that has no Security by Default: it is nowhere saved by TVS, and would hide what is. */
function withoutPlainPhone(situation: Situation): Situation {
  return { ...situation, phones: situation.phones.filter(({ securityByDefault }) => securityByDefault) };
}

/** Runs a plan to its end, and says of each phone whether it worked at each restart. */
async function walk(run: LabRun, { steps }: Plan): Promise<readonly string[]> {
  const seen: string[] = [];
  for (const step of steps) {
    if (step.action.kind === 'restart-phones') {
      const boots = await run.boot();
      seen.push(boots.map((boot) => (isWorking(boot) ? 'works' : 'lost')).join(', '));
    } else await run.carryOut(step);
  }
  return seen;
}

function kinds({ steps }: Plan): readonly string[] {
  return steps.map(({ action }) => action.kind);
}

const pub = 'cucm-pub';
const both: Wanted = {
  renewals: [
    { node: pub, certificate: 'CallManager' },
    { node: pub, certificate: 'TVS' },
  ],
};

describe('the planner finds the way that saves the phones', () => {
  test('CallManager and TVS of one node are renewed one at a time, the phones restarting in between', async () => {
    const run = await start('11.5.1', 1, 'no CTL');
    const made = await plan(run, withoutPlainPhone(run.situation()), both);
    expect(kinds(made)).toEqual(['renew', 'restart-phones', 'renew', 'restart-phones']);
    expect(made.phones).toMatchObject({ total: 1, kept: 1, lost: 0 });
    expect(made.steps[2]?.requires.join()).toMatch(/Five minutes .*CallManager.*A11/);
    expect(await walk(run, made)).toEqual(['works, works', 'works, works']);
  });

  test('together, without a restart in between, they lose every phone with an ITL: what the plan avoids', async () => {
    const run = await start('11.5.1', 1, 'no CTL');
    const made = await plan(run, withoutPlainPhone(run.situation()), both);
    const hasty = { ...made, steps: made.steps.filter(({ id }) => id !== '2-restart-phones') };
    expect(await walk(run, hasty)).toEqual(['lost, works']);
  });

  test('from 12.0 the CTL is updated between ITLRecovery and CallManager (A7)', async () => {
    const run = await start('12.5.1', 1, 'tokenless');
    const wanted: Wanted = {
      renewals: [
        { node: pub, certificate: 'CallManager' },
        { node: pub, certificate: 'ITLRecovery' },
      ],
    };
    const made = await plan(run, run.situation(), wanted);
    const [first, second] = made.steps.flatMap(({ action }, index) => (action.kind === 'renew' ? [index] : []));
    const updates = made.steps.flatMap(({ action }, index) => (action.kind === 'publish-ctl' ? [index] : []));
    expect(updates.some((index) => index > (first ?? 0) && index < (second ?? 0))).toBe(true);
    expect(made.phones).toMatchObject({ total: 2, kept: 2, lost: 0 });
    // The phone without Security by Default is saved by a list that the CallManager key signs in between.
    expect(made.steps.map(({ action }) => (action.kind === 'build-ctl' ? action.signer : undefined))).toContainEqual({
      kind: 'cluster',
      name: 'CallManager',
    });
    expect((await walk(run, made)).at(-1)).toBe('works, works');
  });

  test('tokens go to Phone-SAST-trust before the CTL is theirs (A3)', async () => {
    const run = await start('11.5.1', 1, 'tokenless');
    const made = await plan(run, withoutPlainPhone(run.situation()), { mode: 'token' });
    expect(kinds(made)).toEqual(['upload', 'build-ctl', 'publish-ctl', 'restart-phones']);
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
  });

  test('TVS that was stopped is started, where a phone depends on it', async () => {
    const run = await start('11.5.1', 1, 'tokenless');
    await run.lab.stopTvs(pub);
    const situation = { ...withoutPlainPhone(run.situation()), tvs: { [pub]: 'stopped' } as const };
    const made = await plan(run, situation, { mode: 'token' });
    expect(kinds(made)[0]).toBe('start-tvs');
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
    expect((await walk(run, made)).at(-1)).toBe('works, lost');
  });

  test('TVS that nobody can start is not started: the phone is lost, and the plan says at which step', async () => {
    const run = await start('11.5.1', 1, 'tokenless');
    await run.cutTvs();
    const made = await plan(run, withoutPlainPhone(run.situation()), { mode: 'token' });
    expect(kinds(made)).not.toContain('start-tvs');
    const [group] = made.phones.groups;
    expect(group).toMatchObject({ outcome: 'lost', rule: 'P5', deletion: 'both' });
    expect(made.steps.find(({ id }) => id === group?.step)?.action.kind).toBe('restart-phones');
  });

  test('a second TVS server goes into the configuration of the phones before their only one is renamed', async () => {
    const run = await start('11.5.1', 2, 'no CTL');
    const situation = withoutPlainPhone(run.situation());
    const alone = { ...situation, phones: situation.phones.map((phone) => ({ ...phone, tvsServers: [pub] })) };
    const made = await plan(run, alone, { renamings: [{ node: pub, name: 'cucm-new' }] });
    expect(made.steps[0]?.action).toEqual({ kind: 'add-tvs-servers', nodes: ['cucm-sub'] });
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
  });

  test('phones that hold an older list than is served restart first', async () => {
    const run = await start('11.5.1', 1, 'no CTL');
    const before = run.situation();
    await run.lab.renew(pub, 'CallManager');
    const situation = { ...run.situation(), phones: before.phones };
    const made = await plan(run, withoutPlainPhone(situation), { renewals: [{ node: pub, certificate: 'TVS' }] });
    expect(kinds(made)).toEqual(['restart-phones', 'renew', 'restart-phones']);
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
  });

  test("the other cluster's signers go to Phone-SAST-trust before phones move, and the ITLs need not be emptied", async () => {
    const run = await start('11.5.1', 1, 'no CTL');
    const other = await start('11.5.1', 1, 'no CTL');
    const { nodes } = other.lab.cluster;
    const destination = {
      ...other.situation(),
      cluster: { ...other.lab.cluster, nodes: nodes.map((node) => ({ ...node, address: '198.51.100.9' })) },
    };
    const made = await plan(run, withoutPlainPhone(run.situation()), { destination });
    expect(kinds(made)).toEqual(['upload', 'move-phones', 'restart-phones']);
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
  });

  test('tokens end with 14SU3: the CTL goes tokenless before the upgrade', async () => {
    const run = await start('12.5.1', 1, 'two tokens');
    const made = await plan(run, withoutPlainPhone(run.situation()), { mode: 'tokenless', release: '14SU3' });
    expect(kinds(made).indexOf('publish-ctl')).toBeLessThan(kinds(made).indexOf('change-release'));
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
  });
});

/**
 * The tech note on certificates and host names: a new name makes CallManager and TVS of the node anew together, so that
 * with one node and an ITL only nobody is left whom the phones trust, unless the ITL was emptied before; with more nodes
 * TVS of another one vouches; with tokens in the CTL the updated CTL carries the phones over.
 */
describe('a node gets another host name', () => {
  const renamings = [{ node: pub, name: 'cucm-new' }];

  test('one node, ITL only: every phone would be stuck; emptying the ITLs before it saves them', async () => {
    const run = await start('11.5.1', 1, 'no CTL');
    const made = await plan(run, withoutPlainPhone(run.situation()), { renamings });
    expect(made.findings.map(({ check }) => check)).toEqual(['A1']);
    expect(kinds(made)).toEqual([
      'empty-itls',
      'restart-phones',
      'rename',
      'restart-phones',
      'fill-itls',
      'restart-phones',
    ]);
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
    expect(await walk(run, made)).toEqual(['works, works', 'works, works', 'works, works']);
    const hasty = await start('11.5.1', 1, 'no CTL');
    expect(await walk(hasty, { ...made, steps: made.steps.slice(2, 4) })).toEqual(['lost, works']);
  });

  test('more nodes, ITL only: TVS of the other node vouches', async () => {
    const run = await start('11.5.1', 2, 'no CTL');
    const made = await plan(run, withoutPlainPhone(run.situation()), { renamings });
    expect(made.findings).toEqual([]);
    expect(kinds(made)).toEqual(['rename', 'restart-phones']);
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
    expect(await walk(run, made)).toEqual(['works, works']);
  });

  test.each([1, 2] as const)(
    '%i node(s), CTL and ITL: the CTL is updated with a token, and carries the phones over',
    async (nodes) => {
      const run = await start('10.5.1', nodes, 'two tokens');
      const made = await plan(run, run.situation(), { renamings });
      expect(kinds(made)).toEqual(['rename', 'build-ctl', 'publish-ctl', 'restart-phones']);
      expect(made.phones).toMatchObject({ kept: 2, lost: 0 });
      expect(await walk(run, made)).toEqual(['works, works']);
      // A phone that restarts before the CTL is there would be stuck until then.
      expect(made.steps.map(({ safe }) => safe)).toEqual([false, false, true, true]);
    },
  );
});

describe('what a plan says', () => {
  test('each step has a name of its own, who does it, what to do, how it is checked and taken back', async () => {
    const run = await start('11.5.1', 2, 'tokenless');
    const made = await plan(run, run.situation(), { mode: 'token' });
    expect(new Set(made.steps.map(({ id }) => id)).size).toBe(made.steps.length);
    for (const step of made.steps) {
      expect(step.title).not.toBe('');
      expect(step.instructions.length).toBeGreaterThan(0);
      expect(step.checks.length).toBeGreaterThan(0);
      expect(step.undo.length).toBeGreaterThan(0);
    }
    const publish = made.steps.find(({ action }) => action.kind === 'publish-ctl');
    expect(publish?.checks.map((check) => ('node' in check ? check.node : ''))).toEqual(['cucm-pub', 'cucm-sub']);
    expect(publish?.instructions.join('\n')).toMatch(/restart Cisco Tftp on cucm-pub, cucm-sub/);
  });

  test('it stops being safe where the first phone is lost', async () => {
    const run = await start('11.5.1', 1, 'tokenless');
    const made = await plan(run, run.situation(), { mode: 'token' });
    expect(made.steps.map(({ action, safe }) => [action.kind, safe])).toEqual([
      ['upload', true],
      ['build-ctl', true],
      ['publish-ctl', false],
      ['restart-phones', false],
      ['delete-list', false],
      ['restart-phones', true],
    ]);
  });

  test('phones whose lists nobody knows are neither kept nor lost', async () => {
    const run = await start('11.5.1', 1, 'tokenless');
    const situation = run.situation();
    const [first] = situation.phones;
    const phones =
      first === undefined ? [] : [{ ...first, ctl: { kind: 'unknown', digest: 'ab'.repeat(20) } as const }];
    const made = await plan(run, { ...situation, phones }, { mode: 'token' });
    expect(made.phones).toMatchObject({ total: 1, kept: 0, lost: 0, unknown: 1 });
    expect(made.phones.groups[0]?.reason).toContain('ab'.repeat(20));
  });

  test('the present state and the plan are the same for the same phones, however many there are', async () => {
    const run = await start('11.5.1', 1, 'tokenless');
    const situation = run.situation();
    const many = {
      ...situation,
      phones: situation.phones.map((phone) => ({
        ...phone,
        devices: Array.from({ length: 1000 }, (_, index) => `SEP${String(index).padStart(12, '0')}`),
      })),
    };
    const [few, thousands] = [await plan(run, situation, { mode: 'token' }), await plan(run, many, { mode: 'token' })];
    expect(thousands.steps.map(({ id }) => id)).toEqual(few.steps.map(({ id }) => id));
    expect(thousands.phones).toMatchObject({ total: 2000, kept: 1000, lost: 1000 });
    expect(thousands.phones.groups.every(({ devices }) => devices.length <= 5)).toBe(true);
  });
});
