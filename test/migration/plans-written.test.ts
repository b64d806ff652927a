import { describe, expect, test } from 'vitest';
import {
  checkPlanFile,
  formatPlan,
  planMigration,
  type Plan,
  type Step,
  type Wanted,
} from '../../src/migration/index.js';
import { KeyPool, LabRun } from './lab-run.js';

const pool = new KeyPool();
const renew = (certificate: 'CallManager' | 'TVS' | 'CAPF' | 'ITLRecovery'): Wanted => ({
  renewals: [{ node: 'cucm-pub', certificate }],
});

async function plan(wanted: Wanted, tokens: readonly number[] | undefined): Promise<Plan> {
  const run = await LabRun.start(pool, '11.5.1', 2);
  try {
    if (tokens !== undefined) await run.serveFirstCtl(tokens);
    const options = { now: new Date(run.now), makeKey: (index: number) => pool.get(index + 60) };
    return await planMigration(run.situation(), wanted, options);
  } finally {
    await run.close();
  }
}

const kindsOf = (step: Step | undefined): readonly string[] => step?.checks.map(({ check }) => check) ?? [];
const stepOf = (made: Plan, kind: Step['action']['kind']): Step | undefined =>
  made.steps.find(({ action }) => action.kind === kind);

describe('what the planner writes', () => {
  test.each<readonly [string, Wanted, readonly number[] | undefined]>([
    ['to tokens', { mode: 'token' }, []],
    ['to tokens from nothing', { mode: 'token' }, undefined],
    ['to tokenless', { mode: 'tokenless' }, [0, 1]],
    ['to non-secure', { mode: 'non-secure' }, []],
    ['a renewed CallManager', renew('CallManager'), []],
    ['a renewed ITLRecovery', renew('ITLRecovery'), undefined],
    ['another host name', { renamings: [{ node: 'cucm-pub', name: 'cucm-new' }] }, [0, 1]],
    ['an upgrade', { release: '12.5.1' }, []],
    ['a downgrade', { release: '9.1.2' }, undefined],
  ])('is a plan without contradictions: %s', async (_name, wanted, tokens) => {
    const made = await plan(wanted, tokens);
    expect(made.steps.length).toBeGreaterThan(0);
    expect(checkPlanFile(formatPlan(made))).toMatchObject({ isEdited: false, problems: [] });
  });

  test('of a renewal: TVS itself is looked at, and Cisco Tftp restarted on every node', async () => {
    for (const certificate of ['TVS', 'CAPF', 'CallManager', 'ITLRecovery'] as const) {
      const step = stepOf(await plan(renew(certificate), undefined), 'renew');
      const isTvs = certificate === 'TVS';
      expect([certificate, kindsOf(step)]).toEqual([
        certificate,
        ['certificate-renewed', ...(isTvs ? ['tvs-answers'] : [])],
      ]);
      expect(step?.instructions.join('\n')).toContain('restart Cisco Tftp on cucm-pub, cucm-sub');
    }
  });

  test('of a renaming: no step passes for done by anybody saying so', async () => {
    const made = await plan({ renamings: [{ node: 'cucm-pub', name: 'cucm-new' }] }, [0, 1]);
    expect(kindsOf(stepOf(made, 'rename'))).toEqual(['node-renamed', 'tvs-answers']);
  });

  test('of the way back: the mode of before, the services, and the phones', async () => {
    const undo = stepOf(await plan({ mode: 'non-secure' }, []), 'publish-ctl')?.undo.join('\n');
    expect(undo).toContain('Put the CTLFile.tlv back');
    expect(undo).toContain('Cluster Security Mode must read 1 (mixed)');
    expect(undo).toContain('restart Cisco Tftp on cucm-pub, cucm-sub');
    expect(undo).toContain('Reset, which restarts every phone');
  });
});
