import { afterAll, describe, expect, test } from 'vitest';
import { planMigration, type Wanted } from '../../src/migration/index.js';
import { expectForetold } from './foretold.js';
import { KeyPool, LabRun } from './lab-run.js';

const pool = new KeyPool();
const counts = { cases: 0, kept: 0, lost: 0 };
afterAll(() => {
  console.log(
    `renewals: ${String(counts.cases)} cases: ${String(counts.kept)} kept, ${String(counts.lost)} lost; no disagreement`,
  );
});

const pub = 'cucm-pub';
const renew = (...names: readonly ('CallManager' | 'TVS' | 'CAPF' | 'ITLRecovery')[]): Wanted => ({
  renewals: names.map((certificate) => ({ node: pub, certificate })),
});

const wishes: Readonly<Record<string, Wanted>> = {
  CallManager: renew('CallManager'),
  TVS: renew('TVS'),
  CAPF: renew('CAPF'),
  'CallManager and TVS': renew('CallManager', 'TVS'),
  'TVS, CAPF and CallManager': renew('TVS', 'CAPF', 'CallManager'),
  ITLRecovery: renew('ITLRecovery'),
  'ITLRecovery and CallManager': renew('ITLRecovery', 'CallManager'),
  'another host name': { renamings: [{ node: pub, name: 'cucm-new' }] },
};

describe.each(['10.5.1', '11.5.1', '12.5.1'])('release %s', (release) => {
  describe.each([1, 2] as const)('nodes %i', (nodes) => {
    describe.each(['up', 'down'] as const)('TVS %s', (tvs) => {
      test.each([
        ['no CTL', undefined],
        ['a tokenless CTL', []],
        ['a CTL of two tokens', [0, 1]],
      ] as const)('%s: the lab does what was foretold of every renewal', async (_name, tokens) => {
        for (const [what, wanted] of Object.entries(wishes)) {
          const run = await LabRun.start(pool, release, nodes);
          try {
            if (tokens !== undefined) await run.serveFirstCtl(tokens);
            if (tvs === 'down') await run.cutTvs();
            const options = { now: new Date(run.now), makeKey: (index: number) => pool.get(index + 60) };
            const plan = await planMigration(run.situation(), wanted, options);
            await expectForetold(run, plan, what);
            expect(plan.phones.unknown).toBe(0);
            counts.cases += run.phones.length;
            counts.kept += plan.phones.kept;
            counts.lost += plan.phones.lost;
          } finally {
            await run.close();
          }
        }
      });
    });
  });
});
