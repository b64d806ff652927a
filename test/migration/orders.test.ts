import { afterAll, describe, expect, test } from 'vitest';
import { findDangers } from '../../src/migration/dangers.js';
import { planMigration, type Plan, type Renewal, type Situation, type Wanted } from '../../src/migration/index.js';
import { createTokenCtl } from '../../src/ctl/index.js';
import { expectForetold } from './foretold.js';
import { KeyPool, LabRun } from './lab-run.js';

const pool = new KeyPool();
const runs: LabRun[] = [];
afterAll(async () => {
  await Promise.all(runs.map((run) => run.close()));
});

async function start(release: string, nodes: 1 | 2 | 4, tokens?: readonly number[]): Promise<LabRun> {
  const run = await LabRun.start(pool, release, nodes);
  runs.push(run);
  if (tokens !== undefined) await run.serveFirstCtl(tokens);
  return run;
}

function plan(run: LabRun, wanted: Wanted, situation: Situation = run.situation()): Promise<Plan> {
  return planMigration(situation, wanted, { now: new Date(run.now), makeKey: (index) => pool.get(index + 60) });
}

function onlyItl(situation: Situation): Situation {
  return { ...situation, phones: situation.phones.filter(({ securityByDefault }) => securityByDefault) };
}

function kinds({ steps }: Plan): readonly string[] {
  return steps.map(({ action }) => action.kind);
}

const pub = 'cucm-pub';

describe('the order of what is wanted', () => {
  test('many renewals do not keep the planner from starting TVS', async () => {
    const run = await start('11.5.1', 4);
    const nodes = ['cucm-pub', 'cucm-sub', 'cucm-sub2', 'cucm-sub3'];
    const renewals = nodes.flatMap((node): Renewal[] => [
      { node, certificate: 'CallManager' },
      { node, certificate: 'TVS' },
    ]);
    const tvs = Object.fromEntries(nodes.map((node) => [node, 'stopped'] as const));
    const made = await plan(run, { renewals }, { ...onlyItl(run.situation()), tvs });
    expect(kinds(made).slice(0, 4)).toEqual(['start-tvs', 'start-tvs', 'start-tvs', 'start-tvs']);
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
  });

  test('to tokenless and a renewed CallManager: the CTL names the new one in the end', async () => {
    const run = await start('11.5.1', 1);
    const wanted: Wanted = { mode: 'tokenless', renewals: [{ node: pub, certificate: 'CallManager' }] };
    const made = await plan(run, wanted, onlyItl(run.situation()));
    expect(kinds(made).lastIndexOf('publish-ctl')).toBeGreaterThan(kinds(made).indexOf('renew'));
    for (const step of made.steps) {
      if (step.action.kind === 'restart-phones') await run.boot();
      else await run.carryOut(step);
    }
    const certificate = run.lab.cluster.nodes[0]?.certificates.CallManager;
    expect(
      run.lab.ctl?.records.some(
        (record) => Buffer.compare(record.certificate ?? Buffer.alloc(0), certificate?.der ?? Buffer.alloc(1)) === 0,
      ),
    ).toBe(true);
  });

  test('a token CTL carries the phones over a new host name, and goes tokenless afterwards', async () => {
    const run = await start('11.5.1', 1, [0, 1]);
    const made = await plan(
      run,
      { mode: 'tokenless', renamings: [{ node: pub, name: 'cucm-new' }] },
      onlyItl(run.situation()),
    );
    expect(kinds(made)[0]).toBe('rename');
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
  });

  test('from 9.1 the release comes first, then tokenless lists', async () => {
    const run = await start('9.1.2', 1);
    const made = await plan(run, { mode: 'tokenless', release: '11.5.1' });
    expect(kinds(made).slice(0, 3)).toEqual(['change-release', 'restart-phones', 'build-ctl']);
    expect(made.to).toMatchObject({ mode: 'tokenless', release: '11.5.1' });
    expect(made.phones.lost).toBe(0);
  });

  test('a renewal of a node that gets another name is written with the name that it then has', async () => {
    const run = await start('11.5.1', 2);
    const wanted: Wanted = {
      renamings: [{ node: pub, name: 'cucm-new' }],
      renewals: [{ node: pub, certificate: 'ITLRecovery' }],
    };
    const made = await plan(run, wanted, onlyItl(run.situation()));
    const renamed = kinds(made).indexOf('rename');
    const renewed = made.steps.findIndex(({ action }) => action.kind === 'renew');
    const action = made.steps[renewed]?.action;
    expect(action?.kind === 'renew' ? action.node : '').toBe(renewed < renamed ? pub : 'cucm-new');
    expect(made.phones.lost).toBe(0);
  });

  test('naming the mode that the CTL has keeps the way through the other signer', async () => {
    const run = await start('12.5.1', 1, []);
    await run.cutTvs();
    const renewals: Renewal[] = [
      { node: pub, certificate: 'CallManager' },
      { node: pub, certificate: 'ITLRecovery' },
    ];
    const made = await plan(run, { mode: 'tokenless', renewals });
    await expectForetold(run, made, 'through the other signer');
    expect(made.phones.lost).toBe(0);
  });

  test('between a renewal and the CTL that names it no phone is out of service', async () => {
    const run = await start('11.5.1', 1, [0, 1]);
    const made = await plan(run, { renewals: [{ node: pub, certificate: 'CallManager' }] });
    expect(kinds(made)).toEqual(['renew', 'build-ctl', 'publish-ctl', 'restart-phones']);
    await expectForetold(run, made, 'no outage');
  });
});

describe('what is at hand', () => {
  test('nodes whose names begin alike are not mixed up', async () => {
    const run = await start('11.5.1', 2);
    const situation = onlyItl(run.situation());
    const named = (name: string): string => (name === pub ? 'cucm-1' : 'cucm-10');
    const cluster = {
      ...situation.cluster,
      nodes: situation.cluster.nodes.map((node) => ({ ...node, name: named(node.name) })),
    };
    const itls = Object.fromEntries(Object.entries(situation.itls).map(([name, itl]) => [named(name), itl]));
    const phones = situation.phones.map((phone) => ({ ...phone, tvsServers: ['cucm-10'] }));
    const changed = { ...situation, cluster, itls, phones, tvs: { 'cucm-10': 'unreachable' } as const };
    const made = await plan(run, { renewals: [{ node: 'cucm-1', certificate: 'CallManager' }] }, changed);
    expect(made.steps.map(({ action }) => action)).toContainEqual({ kind: 'add-tvs-servers', nodes: ['cucm-1'] });
    expect(made.phones.lost).toBe(0);
  });

  test('a TVS that is stopped is started and given to the phones whose own one is out of reach', async () => {
    const run = await start('11.5.1', 2);
    const situation = onlyItl(run.situation());
    const phones = situation.phones.map((phone) => ({ ...phone, tvsServers: ['cucm-sub'] }));
    const tvs = { [pub]: 'stopped', 'cucm-sub': 'unreachable' } as const;
    const made = await plan(
      run,
      { renewals: [{ node: pub, certificate: 'CallManager' }] },
      { ...situation, phones, tvs },
    );
    expect(kinds(made).slice(0, 2)).toEqual(['start-tvs', 'add-tvs-servers']);
    expect(made.phones.lost).toBe(0);
  });

  test('phones whose inventory names no TVS server have those of the cluster', async () => {
    const run = await start('11.5.1', 1);
    const before = onlyItl(run.situation());
    await run.lab.renew(pub, 'CallManager');
    const phones = before.phones.map((phone) => ({ ...phone, tvsServers: [] }));
    const made = await plan(run, { renewals: [{ node: pub, certificate: 'CAPF' }] }, { ...run.situation(), phones });
    expect(made.phones).toMatchObject({ kept: 1, lost: 0 });
  });

  test('two clusters that share their tokens: the lists of the other are known by the token', async () => {
    const run = await start('11.5.1', 1, [0, 1]);
    const other = await start('11.5.1', 1);
    const cluster = {
      ...other.lab.cluster,
      securityMode: 'mixed' as const,
      nodes: other.lab.cluster.nodes.map((node) => ({ ...node, name: 'other-pub', address: '198.51.100.9' })),
    };
    const tokens = [run.token(0), run.token(1)];
    const { list: ctl } = await createTokenCtl(
      cluster,
      tokens.map(({ certificate }) => certificate),
      run.token(1),
      {
        timestamp: Math.floor(run.now / 1000),
        now: new Date(run.now),
      },
    );
    run.setTokensAtHand([]);
    const itls = { 'other-pub': Object.values(other.situation().itls)[0] };
    const destination = { cluster, ctl, itls: itls as Situation['itls'], tvs: {} };
    expect(findDangers(run.situation(), { destination })).toEqual([]);
    const made = await plan(run, { destination });
    expect(kinds(made)).toEqual(['move-phones', 'restart-phones']);
    expect(made.phones).toMatchObject({ kept: 2, lost: 0 });
  });

  test('the checks that were let through are written into the steps that need them', async () => {
    const run = await start('11.5.1', 1);
    run.setTokensAtHand([0]);
    const options = {
      now: new Date(run.now),
      accept: ['A5'] as const,
      makeKey: (index: number) => pool.get(index + 60),
    };
    const made = await planMigration(run.situation(), { mode: 'token' }, options);
    expect(made.steps.flatMap(({ action }) => (action.kind === 'build-ctl' ? [action.accept] : []))).toEqual([['A5']]);
  });

  test('tokens are lost and nobody can sign: to no CTL the file is taken away, and the CTL deleted at each phone', async () => {
    const run = await start('9.1.2', 1, [0, 1]);
    run.setTokensAtHand([]);
    const situation = run.situation();
    const made = await plan(run, { mode: 'no-ctl' }, situation).catch((error: unknown) => error as Error);
    expect(made).toMatchObject({ to: { mode: 'no-ctl' } });
  });
});

describe('A1 and A10 where they apply', () => {
  test('A1: a token CTL saves nobody when its tokens are lost', async () => {
    const run = await start('11.5.1', 1, [0, 1]);
    run.setTokensAtHand([]);
    const wanted: Wanted = { renamings: [{ node: pub, name: 'cucm-new' }] };
    expect(findDangers(run.situation(), wanted).map(({ check }) => check)).toEqual(['A1', 'A2', 'A5']);
  });
});

describe('what cannot be planned says why', () => {
  test.each<readonly [string, Wanted, RegExp]>([
    ['a name that a node has', { renamings: [{ node: pub, name: 'cucm-sub' }] }, /name of a node already/],
    ['a name that is none', { renamings: [{ node: pub, name: 'bad name; rm -rf' }] }, /is no host name/],
    [
      'a renewal that is named twice',
      {
        renewals: [
          { node: pub, certificate: 'TVS' },
          { node: pub, certificate: 'TVS' },
        ],
      },
      /renewed twice/,
    ],
    [
      'a renewal beside a new name',
      { renamings: [{ node: pub, name: 'new' }], renewals: [{ node: pub, certificate: 'TVS' }] },
      /renewed twice/,
    ],
    ['a release before Security by Default', { release: '7.1.5' }, /has no Security by Default/],
  ])('%s', async (_name, wanted, message) => {
    const run = await start('11.5.1', 2);
    await expect(plan(run, wanted)).rejects.toThrow(message);
  });

  test('a destination with the addresses of the source, without its ITL, or with another one', async () => {
    const run = await start('11.5.1', 1);
    const other = await start('11.5.1', 1);
    await expect(plan(run, { destination: other.situation() })).rejects.toThrow(/address of a node in both clusters/);
    await expect(plan(run, { destination: { ...other.situation(), itls: {} } })).rejects.toThrow(
      /ITL that cucm-pub of the new cluster/,
    );
    const nodes = other.lab.cluster.nodes.map((node) => ({ ...node, address: '198.51.100.9' }));
    const mixed = { ...other.lab.cluster, securityMode: 'mixed' as const, nodes };
    await expect(plan(run, { destination: { ...other.situation(), cluster: mixed } })).rejects.toThrow(
      /mixed, and there is no CTL/,
    );
  });

  test('a CallManager certificate that is not RSA', async () => {
    const run = await start('11.5.1', 1);
    const situation = run.situation();
    const nodes = situation.cluster.nodes.map((node) => {
      const { CallManager } = node.certificates;
      const changed = CallManager === undefined ? {} : { CallManager: { ...CallManager, keyType: 'ec' as const } };
      return { ...node, certificates: { ...node.certificates, ...changed } };
    });
    const cluster = { ...situation.cluster, nodes };
    await expect(plan(run, { mode: 'tokenless' }, { ...situation, cluster })).rejects.toThrow(/has no RSA key/);
  });
});
