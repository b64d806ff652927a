import { afterAll, describe, expect, test } from 'vitest';
import { RefusalError } from '../../src/errors.js';
import { findDangers } from '../../src/migration/dangers.js';
import { planMigration, type PhoneGroup, type Situation, type Wanted } from '../../src/migration/index.js';
import { decodeTrustList } from '../../src/trust-list/index.js';
import { KeyPool, LabRun } from './lab-run.js';

const pool = new KeyPool();
const runs: LabRun[] = [];
afterAll(async () => {
  await Promise.all(runs.map((run) => run.close()));
});

interface Place {
  readonly run: LabRun;
  readonly situation: () => Situation;
}

/** A lab with one node, or two, of a release, with a CTL by tokens or by the cluster's own key, or without any. */
async function place(
  release: string,
  nodes: 1 | 2,
  ctl: 'no CTL' | 'tokenless' | 'two tokens' | 'one token' = 'no CTL',
): Promise<Place> {
  const run = await LabRun.start(pool, release, nodes);
  runs.push(run);
  if (ctl !== 'no CTL') await run.serveFirstCtl({ tokenless: [], 'two tokens': [0, 1], 'one token': [0] }[ctl]);
  return { run, situation: () => run.situation() };
}

/** Phones that have Security by Default: where the others are spoken of too, a check would fire for them. */
function withoutPlainPhones(situation: Situation): Situation {
  return { ...situation, phones: situation.phones.filter(({ securityByDefault }) => securityByDefault) };
}

function holding(situation: Situation, held: Partial<PhoneGroup>): Situation {
  return { ...situation, phones: situation.phones.map((phone) => ({ ...phone, ...held })) };
}

const pub = 'cucm-pub';
const sub = 'cucm-sub';

function renew(...names: readonly (readonly [string, 'CallManager' | 'TVS' | 'CAPF' | 'ITLRecovery'])[]): Wanted {
  return { renewals: names.map(([node, certificate]) => ({ node, certificate })) };
}

/** A situation and a wish, and every check that has to do with it: none fires but those. */
const cases: readonly (readonly [string, () => Promise<readonly [Situation, Wanted]>, readonly string[]])[] = [
  [
    'A1: CallManager and TVS of the only node, phones with an ITL only',
    async () => [(await place('11.5.1', 1)).situation(), renew([pub, 'CallManager'], [pub, 'TVS'])],
    ['A1', 'A11'],
  ],
  [
    'near A1: a second TVS server stands in the configuration of the phones',
    async () => [(await place('11.5.1', 2)).situation(), renew([pub, 'CallManager'], [pub, 'TVS'])],
    ['A11'],
  ],
  [
    'A1: the second TVS server is not in the configuration of the phones',
    async () => {
      const situation = holding((await place('11.5.1', 2)).situation(), { tvsServers: [pub] });
      return [situation, renew([pub, 'CallManager'], [pub, 'TVS'])];
    },
    ['A1', 'A11'],
  ],
  [
    'near A1: tokens sign the CTL',
    async () => [(await place('11.5.1', 1, 'two tokens')).situation(), renew([pub, 'CallManager'], [pub, 'TVS'])],
    ['A11'],
  ],
  [
    'near A1: from 12.0 ITLRecovery signs the ITL',
    async () => [(await place('12.0.1', 1)).situation(), renew([pub, 'CallManager'], [pub, 'TVS'])],
    ['A11'],
  ],
  [
    'near A1: only CallManager is renewed',
    async () => [(await place('11.5.1', 1)).situation(), renew([pub, 'CallManager'])],
    [],
  ],
  [
    'A1: a new host name renews both',
    async () => [(await place('11.5.1', 1)).situation(), { renamings: [{ node: pub, name: 'cucm-new' }] }],
    ['A1'],
  ],
  [
    'A2: no token at hand is in the CTL (and A5: those of the list may be lost)',
    async () => {
      const { run, situation } = await place('11.5.1', 1, 'two tokens');
      run.setTokensAtHand([2, 3]);
      return [situation(), { mode: 'token' }];
    },
    ['A2', 'A5'],
  ],
  [
    'near A2: one of the tokens at hand is in the CTL',
    async () => {
      const { run, situation } = await place('11.5.1', 1, 'two tokens');
      run.setTokensAtHand([1, 2]);
      return [situation(), { mode: 'token' }];
    },
    [],
  ],
  [
    'A3: tokens that are not in Phone-SAST-trust',
    async () => [withoutPlainPhones((await place('11.5.1', 1, 'tokenless')).situation()), { mode: 'token' }],
    ['A3'],
  ],
  [
    'A3: tokens in Phone-SAST-trust, and phones without Security by Default',
    async () => {
      const { run, situation } = await place('11.5.1', 1, 'tokenless');
      await run.lab.upload(
        'Phone-SAST-trust',
        run.tokens.slice(0, 2).map(({ certificate }) => certificate),
      );
      return [situation(), { mode: 'token' }];
    },
    ['A3'],
  ],
  [
    'near A3: tokens in Phone-SAST-trust, and every phone has Security by Default',
    async () => {
      const { run, situation } = await place('11.5.1', 1, 'tokenless');
      await run.lab.upload(
        'Phone-SAST-trust',
        run.tokens.slice(0, 2).map(({ certificate }) => certificate),
      );
      return [withoutPlainPhones(situation()), { mode: 'token' }];
    },
    [],
  ],
  [
    'near A3: there is no CTL that could lack the tokens',
    async () => [(await place('11.5.1', 1)).situation(), { mode: 'token' }],
    [],
  ],
  [
    'A4: phones with the ITL of the other node do not know the signer',
    async () => {
      const situation = withoutPlainPhones((await place('11.5.1', 2, 'two tokens')).situation());
      const list = situation.itls[sub]!;
      return [holding(situation, { itl: { kind: 'known', list } }), { mode: 'tokenless' }];
    },
    ['A4'],
  ],
  [
    'A4: phones without Security by Default hold a CTL',
    async () => [(await place('11.5.1', 1, 'two tokens')).situation(), { mode: 'tokenless' }],
    ['A4'],
  ],
  [
    'near A4: every phone has the ITL of the node whose key signs',
    async () => [withoutPlainPhones((await place('11.5.1', 2, 'two tokens')).situation()), { mode: 'tokenless' }],
    [],
  ],
  [
    'A5: one token for a first CTL',
    async () => {
      const { run, situation } = await place('11.5.1', 1);
      run.setTokensAtHand([0]);
      return [situation(), { mode: 'token' }];
    },
    ['A5'],
  ],
  [
    'A5: the CTL that is there names one token',
    async () => [(await place('11.5.1', 1, 'one token')).situation(), renew([pub, 'CallManager'])],
    ['A5'],
  ],
  [
    'near A5: the CTL that is there names two',
    async () => [(await place('11.5.1', 1, 'two tokens')).situation(), renew([pub, 'CallManager'])],
    [],
  ],
  [
    'A5: one token in the list, which a second one joins',
    async () => [(await place('11.5.1', 1, 'one token')).situation(), { mode: 'token' }],
    ['A5'],
  ],
  [
    'A6: the key that signs the tokenless CTL',
    async () => [(await place('11.5.1', 2, 'tokenless')).situation(), renew([pub, 'CallManager'])],
    ['A6'],
  ],
  [
    'near A6: CallManager of another node',
    async () => [(await place('11.5.1', 2, 'tokenless')).situation(), renew([sub, 'CallManager'])],
    [],
  ],
  [
    'near A6: from 12.0 ITLRecovery signs',
    async () => [(await place('12.0.1', 1, 'tokenless')).situation(), renew([pub, 'CallManager'])],
    [],
  ],
  [
    'near A6: tokens sign the CTL',
    async () => [(await place('11.5.1', 1, 'two tokens')).situation(), renew([pub, 'CallManager'])],
    [],
  ],
  [
    'A7: ITLRecovery and CallManager from 12.0 on',
    async () => [
      (await place('12.5.1', 1, 'tokenless')).situation(),
      renew([pub, 'ITLRecovery'], [pub, 'CallManager']),
    ],
    ['A7', 'A11'],
  ],
  [
    'near A7: only ITLRecovery',
    async () => [(await place('12.5.1', 1, 'tokenless')).situation(), renew([pub, 'ITLRecovery'])],
    [],
  ],
  [
    'near A7: before 12.0 ITLRecovery signs no CTL',
    async () => [
      (await place('11.5.1', 1, 'tokenless')).situation(),
      renew([pub, 'ITLRecovery'], [pub, 'CallManager']),
    ],
    ['A6', 'A11'],
  ],
  [
    'near A7: CallManager of another node',
    async () => [
      (await place('12.5.1', 2, 'tokenless')).situation(),
      renew([pub, 'ITLRecovery'], [sub, 'CallManager']),
    ],
    [],
  ],
  [
    'A8: a tokenless CTL below 10.0',
    async () => [(await place('10.5.1', 1, 'tokenless')).situation(), { release: '9.1.2' }],
    ['A8'],
  ],
  [
    'A8: to tokenless before 10.0',
    async () => [withoutPlainPhones((await place('9.1.2', 1)).situation()), { mode: 'tokenless' }],
    ['A8'],
  ],
  [
    'near A8: back to 10.0, the first that knows tokenless lists',
    async () => [(await place('10.5.1', 1, 'tokenless')).situation(), { release: '10.0' }],
    [],
  ],
  [
    'near A8: a token CTL below 10.0',
    async () => [(await place('10.5.1', 1, 'two tokens')).situation(), { release: '9.1.2' }],
    [],
  ],
  [
    'A9: a CTL whose signature is not that of its signer',
    async () => {
      const situation = (await place('11.5.1', 1, 'tokenless')).situation();
      const bytes = situation.ctl!.bytes.slice();
      bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1;
      return [{ ...situation, ctl: decodeTrustList(bytes) }, renew([pub, 'TVS'])];
    },
    ['A9'],
  ],
  [
    'near A9: the same CTL as it was',
    async () => [(await place('11.5.1', 1, 'tokenless')).situation(), renew([pub, 'TVS'])],
    [],
  ],
  [
    'A10: nobody vouches for the signer of the other cluster',
    async () => [(await place('11.5.1', 1)).situation(), { destination: (await place('11.5.1', 1)).situation() }],
    ['A10'],
  ],
  [
    'near A10: the signer is in Phone-SAST-trust of the old cluster',
    async () => {
      const destination = (await place('11.5.1', 1)).situation();
      const { run, situation } = await place('11.5.1', 1);
      const signer = destination.cluster.nodes[0]?.certificates.CallManager;
      await run.lab.upload('Phone-SAST-trust', signer === undefined ? [] : [signer]);
      return [situation(), { destination }];
    },
    [],
  ],
  [
    'A11: two certificates of one node',
    async () => [(await place('11.5.1', 1)).situation(), renew([pub, 'CallManager'], [pub, 'CAPF'])],
    ['A11'],
  ],
  [
    'near A11: two certificates of two nodes',
    async () => [(await place('11.5.1', 2)).situation(), renew([pub, 'CallManager'], [sub, 'CallManager'])],
    [],
  ],
  [
    'A12: the phones still hold the ITL from before both were renewed',
    async () => {
      const { run, situation } = await place('11.5.1', 1);
      await run.lab.renew(pub, 'CallManager');
      await run.lab.renew(pub, 'TVS');
      return [situation(), renew([pub, 'CAPF'])];
    },
    ['A12'],
  ],
  [
    'near A12: TVS is still the one of their ITL',
    async () => {
      const { run, situation } = await place('11.5.1', 1);
      await run.lab.renew(pub, 'CallManager');
      return [situation(), renew([pub, 'CAPF'])];
    },
    [],
  ],
  [
    'near A12: TVS was renewed, and the signer of the ITL was not',
    async () => {
      const { run, situation } = await place('11.5.1', 1);
      await run.lab.renew(pub, 'TVS');
      return [situation(), renew([pub, 'CAPF'])];
    },
    [],
  ],
  ...(
    [
      ['A13: one of two clusters behind a central TFTP has lists of its own', [true, false], ['A13']],
      ['near A13: both have', [true, true], []],
      ['near A13: neither has', [false, false], []],
    ] as const
  ).map(
    ([name, perDevice, expected]) =>
      [
        name,
        async () => {
          const clusters = perDevice.map((one, index) => ({ name: `cluster ${String(index)}`, perDevice: one }));
          return [
            { ...(await place('11.5.1', 1)).situation(), centralTftp: { clusters } },
            renew([pub, 'CAPF']),
          ] as const;
        },
        expected,
      ] as const,
  ),
  ['A14: to tokens from 14SU3 on', async () => [(await place('14SU3', 1)).situation(), { mode: 'token' }], ['A14']],
  [
    'A14: an upgrade to 14SU3 with a token CTL',
    async () => [(await place('12.5.1', 1, 'two tokens')).situation(), { release: '14SU3' }],
    ['A14'],
  ],
  ['near A14: to tokens with 14SU2', async () => [(await place('14SU2', 1)).situation(), { mode: 'token' }], []],
  [
    'near A14: tokenless before the upgrade to 14SU3',
    async () => [
      withoutPlainPhones((await place('12.5.1', 1, 'two tokens')).situation()),
      { mode: 'tokenless', release: '14SU3' },
    ],
    [],
  ],
];

test.each(cases)('%s', async (_name, make, expected) => {
  const [situation, wanted] = await make();
  expect(findDangers(situation, wanted).map(({ check }) => check)).toEqual(expected);
});

describe('what is refused', () => {
  const refused = cases.filter(([name]) => /^A(5: one token for|8|9|14)/.test(name));

  test.each(refused)('%s: no plan is made', async (_name, make, [expected]) => {
    const [situation, wanted] = await make();
    const planning = planMigration(situation, wanted, {
      now: new Date(runs[0]?.now ?? 0),
      makeKey: (index) => pool.get(index + 60),
    });
    await expect(planning).rejects.toThrow(RefusalError);
    await expect(planning).rejects.toMatchObject({ code: expected });
  });

  test('an accepted check is no refusal, and stands in the plan as accepted', async () => {
    const { run, situation } = await place('11.5.1', 1);
    run.setTokensAtHand([0]);
    const plan = await planMigration(
      situation(),
      { mode: 'token' },
      { now: new Date(run.now), accept: ['A5'], makeKey: (index) => pool.get(index + 60) },
    );
    expect(plan.findings.map(({ check, severity, message }) => [check, severity, message.slice(0, 9)])).toEqual([
      ['A5', 'warning', 'accepted:'],
    ]);
    expect(plan.steps.map(({ action }) => action.kind)).toContain('publish-ctl');
  });
});

describe('what contradicts itself', () => {
  const now = { now: new Date(0) };

  test('the cluster file is mixed, and there is no CTL', async () => {
    const situation = (await place('11.5.1', 1)).situation();
    const cluster = { ...situation.cluster, securityMode: 'mixed' as const };
    await expect(planMigration({ ...situation, cluster }, { mode: 'tokenless' }, now)).rejects.toThrow(
      /mixed, and there is no CTL/,
    );
  });

  test('the CTL is of another cluster', async () => {
    const situation = (await place('11.5.1', 1, 'tokenless')).situation();
    const other = (await place('11.5.1', 1)).run.lab.cluster;
    const nodes = other.nodes.map((node) => ({ ...node, name: `other-${node.name}`, address: '198.51.100.7' }));
    const cluster = { ...other, securityMode: 'mixed' as const, nodes };
    const planning = planMigration({ ...situation, cluster, itls: {} }, { mode: 'tokenless' }, now);
    await expect(planning).rejects.toMatchObject({
      code: 'cluster-file',
      message: expect.stringContaining('the CTL: the list names neither') as string,
    });
  });

  test('an ITL is given as CTL', async () => {
    const situation = (await place('11.5.1', 1)).situation();
    const planning = planMigration({ ...situation, ctl: situation.itls[pub] }, { mode: 'tokenless' }, now);
    await expect(planning).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('calls itself an ITL') as string,
    });
  });

  test('a wish that names what is not there', async () => {
    const situation = (await place('11.5.1', 1)).situation();
    await expect(planMigration(situation, {}, now)).rejects.toThrow(/nothing is wanted/);
    await expect(planMigration(situation, renew(['nobody', 'TVS']), now)).rejects.toThrow(/no node nobody/);
    await expect(planMigration(situation, { release: 'soon' }, now)).rejects.toThrow(/not a release/);
  });
});
