import { describe, expect, test } from 'vitest';
import type { Cluster, ClusterNode } from '../../src/cluster/index.js';
import {
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  signCtl,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
} from '../../src/ctl/index.js';
import { draftOfRecord } from '../../src/trust-list/index.js';
import {
  clusterIdentity,
  clusterOf,
  type Identity,
  node,
  now,
  options,
  publisher,
  publisherOutline,
  publisherRenewed,
  recovery,
  recoveryRenewed,
  subscriberOutline,
  subscriberRenewed,
  tokenA,
  tokenB,
  tokenIdentity,
} from './clusters.js';
import { foreignList, foreignRecord, recordsOf, type Style } from './lists.js';
import {
  cluster,
  expectAcceptable,
  expectQuiet,
  newest,
  pair,
  recovered,
  type Run,
  tokenless,
  tokens,
} from './runs.js';

describe('A6 and A7: the signer of a tokenless list is new to phones', () => {
  const changed = (release: string, callManager: Identity, itlRecovery: Identity): Cluster =>
    clusterOf({
      release,
      nodes: [node({ ...publisherOutline, callManager, recovery: itlRecovery }), node(subscriberOutline)],
    });

  test('A6: CallManager renewed before 12.0', async () => {
    const target = changed('11.5', publisherRenewed, recovery);
    const { notices } = await updateCtl(tokenless, target, publisherRenewed.signer, options);
    expect(notices.map(({ check }) => check)).toEqual(['A6']);
    expect(notices[0]!.message).toMatch(/TVS must vouch for it; phones without Security by Default/);
    await expectQuiet((signer, each) => updateCtl(tokenless, cluster, signer, each), publisher);
  });

  test('A6: the change to 12.0, where ITLRecovery signs; signing once more with CallManager avoids it', async () => {
    const { notices, list } = await updateCtl(tokenless, newest, recovery.signer, options);
    expect(notices.map(({ check }) => check)).toEqual(['A6']);
    expect(notices[0]!.message).toMatch(/ITLRECOVERY_.*a list signed with .*cucm-1051-a-pub.*would make them know it/);
    expect(list.header.signerName).toContain('ITLRECOVERY');
    const between = await expectQuiet((signer, each) => updateCtl(tokenless, newest, signer, each), publisher);
    const after = await expectQuiet((signer, each) => updateCtl(between, newest, signer, each), recovery);
    expect(recordsOf(after)).toEqual(recordsOf(list));
  });

  test('A6 from 12.0: ITLRecovery renewed alone; CallManager renewed alone is quiet', async () => {
    const target = changed('12.5', publisher, recoveryRenewed);
    const { notices } = await updateCtl(recovered, target, recoveryRenewed.signer, options);
    expect(notices.map(({ check }) => check)).toEqual(['A6']);
    await expectQuiet(
      (signer, each) => updateCtl(recovered, changed('12.5', publisherRenewed, recovery), signer, each),
      recovery,
    );
  });

  test('A7: both renewed', async () => {
    const target = changed('12.5', publisherRenewed, recoveryRenewed);
    const run: Run = (signer, each) => updateCtl(recovered, target, signer, each);
    await expectAcceptable(run, recoveryRenewed, 'A7', /both renewed/);
    // Before 12.0 with a renewed CallManager there is only one signer, and TVS may vouch for it: A6.
    const { notices } = await updateCtl(
      tokenless,
      changed('11.5', publisherRenewed, recoveryRenewed),
      publisherRenewed.signer,
      options,
    );
    expect(notices.map(({ check }) => check)).toEqual(['A6']);
  });

  test('A7: CallManager renewed before the change to 12.0 was made known', async () => {
    const run: Run = (signer, each) => updateCtl(tokenless, changed('12.5', publisherRenewed, recovery), signer, each);
    await expectAcceptable(run, recovery, 'A7');
  });
});

describe('A4: to-tokenless', () => {
  test('CallManager is in the token list as a server only', async () => {
    const { notices } = await toTokenless(tokens, cluster, publisher.signer, options);
    expect(notices.map(({ check }) => check)).toEqual(['A4']);
    expect(notices[0]!.message).toMatch(/is in the present list as a server, not as a signer: phones must find it/);
  });

  test('ITLRecovery is not in it at all', async () => {
    const { notices } = await toTokenless(tokens, newest, recovery.signer, options);
    expect(notices[0]!.message).toMatch(/ITLRECOVERY_.* is not in the present list: phones must find it/);
  });
});

describe('expired-signer', () => {
  test('is a notice, to the second', async () => {
    const old = await tokenIdentity('SAST-ADN0e0e0e0e', '0e0e', { notAfter: new Date('2020-06-30T23:59:59Z') });
    const certificates = [old.certificate, tokenA.certificate];
    const uploaded = clusterOf({ uploaded: [old, tokenA] });
    const at = async (moment: string): Promise<string[]> => {
      const each = { ...options, now: new Date(moment) };
      const { notices } = await createTokenCtl(uploaded, certificates, old.signer, each);
      return notices.map(({ check, message }) => `${check} ${message}`);
    };
    expect(await at('2020-06-30T23:59:59Z')).toEqual([]);
    expect(await at('2020-07-01T00:00:00Z')).toEqual([
      'expired-signer CN=SAST-ADN0e0e0e0e        , OU=IPCBU, O=Cisco Systems, Inc. (serial 0E:0E) is valid only from 2015-01-01T00:00:00.000Z to 2020-06-30T23:59:59.000Z',
    ]);
    // Another token of the list is said to be expired by a word of its own.
    const { notices } = await createTokenCtl(uploaded, certificates, tokenA.signer, { ...options, now });
    expect(notices.map(({ check, message }) => `${check} ${message}`)).toEqual([
      expect.stringMatching(/^expired-token CN=SAST-ADN0e0e0e0e .* is valid only from 2015/),
    ]);
  });
});

describe('A3: create, for phones that hold an ITL', () => {
  const checksOf = async (target: Cluster): Promise<string[]> => {
    const { notices } = await createTokenCtl(target, pair, tokenA.signer, options);
    return notices.map(({ check, message }) => `${check} ${message}`);
  };

  test('names the tokens that are not in Phone-SAST-trust', async () => {
    const both = /^A3 not in .*Phone-SAST-trust: CN=SAST-ADN0054f509.*CN=SAST-ADN008580ef.*TVS/;
    for (const target of [clusterOf(), clusterOf({ uploaded: [] })]) {
      expect(await checksOf(target)).toEqual([expect.stringMatching(both)]);
    }
    const [one] = await checksOf(clusterOf({ uploaded: [tokenA] }));
    expect(one).toContain('SAST-ADN008580ef');
    expect(one).not.toContain('SAST-ADN0054f509');
    expect(await checksOf(clusterOf({ uploaded: [tokenB, tokenA] }))).toEqual([]);
  });
});

describe('server-removed', () => {
  const uploaded = [tokenA, tokenB];
  const smaller = clusterOf({ nodes: [node(publisherOutline)], uploaded });
  const runs: readonly (readonly [string, Identity, (target: Cluster) => Run, string[], string])[] = [
    ['update', tokenA, (target) => (signer, each) => updateCtl(tokens, target, signer, each), [], '10.48.47.154'],
    [
      'update of a tokenless list',
      publisher,
      (target) => (signer, each) => updateCtl(tokenless, target, signer, each),
      [],
      'cucm-1051-a-sub1',
    ],
    [
      'to-tokenless',
      publisher,
      (target) => (signer, each) => toTokenless(tokens, target, signer, each),
      ['A4'],
      '10.48.47.154',
    ],
    [
      'to-token',
      tokenA,
      (target) => (signer, each) => toToken(tokenless, target, pair, signer, each),
      ['A3'],
      'cucm-1051-a-sub1',
    ],
  ];

  test.each(runs)('%s', async (_, identity, run, always, host) => {
    const { notices } = await run(smaller)(identity.signer, options);
    expect(notices.map(({ check }) => check)).toEqual([...always, 'server-removed']);
    expect(notices.at(-1)!.message).toMatch(new RegExp(`^${host} leaves the list as CCM\\+TFTP: CN=cucm-1051-a-sub1`));
    const renewed = [node(publisherOutline), node({ ...subscriberOutline, callManager: subscriberRenewed })];
    await expectQuiet(run(clusterOf({ nodes: renewed, uploaded })), identity, ...always);
  });

  test('a service that a node no longer has', async () => {
    const nodes = [node({ ...publisherOutline, services: ['CallManager', 'TFTP'] }), node(subscriberOutline)];
    const { notices } = await updateCtl(tokens, clusterOf({ nodes }), tokenA.signer, options);
    expect(notices.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^10\.48\.47\.153 leaves the list as CAPF/),
    ]);
  });

  test('two records for CCM and TFTP become one without a loss, but a service of the two may go', async () => {
    const at = { name: '10.48.47.153', address: Uint8Array.of(10, 48, 47, 153) };
    const drafts = tokens.records.filter((record) => record.function === 0).map(draftOfRecord);
    const servers = [1, 3].map((role) => foreignRecord(publisher.certificate, role, at, {}));
    const split = await foreignList([...drafts, ...servers], 0, tokenA.signer);
    const checksOf = async (services: ClusterNode['services']): Promise<string[]> => {
      const nodes = [node({ ...publisherOutline, services })];
      const { notices } = await updateCtl(split, clusterOf({ nodes }), tokenA.signer, options);
      return notices.map(({ check, message }) => `${check} ${message}`);
    };
    expect(await checksOf(['CallManager', 'TFTP'])).toEqual([]);
    expect(await checksOf(['TFTP'])).toEqual([
      expect.stringMatching(/^server-removed 10\.48\.47\.153 leaves .* as CCM:/),
    ]);
  });
});

describe('emptied', () => {
  test('to-non-secure says who is left for phones, and so does whatever signs such a list again', async () => {
    const { list, notices } = await toNonSecure(tokens, tokenA.signer, options);
    expect(notices.map(({ check }) => check)).toEqual(['emptied']);
    expect(notices[0]!.message).toMatch(
      /from their ITL or from TVS; phones without Security by Default have no one left/,
    );
    await expectQuiet((signer, each) => signCtl(list, signer, each), tokenA, 'emptied');
    await expectQuiet((signer, each) => updateCtl(list, cluster, signer, each), tokenA);
  });
});

describe('A4: the spelling of the signer', () => {
  const at = { name: '10.48.47.153', address: Uint8Array.of(10, 48, 47, 153) };
  const messageOf = async (style: Style): Promise<string> => {
    const drafts = tokens.records.filter((record) => record.function === 0).map(draftOfRecord);
    const present = await foreignList(
      [...drafts, foreignRecord(publisher.certificate, 2, at, style)],
      0,
      tokenA.signer,
    );
    const { notices } = await toTokenless(present, cluster, publisher.signer, options);
    return notices.find(({ check }) => check === 'A4')!.message;
  };

  test.each([{ separator: ',' }, { reversedSerial: true }] as const)('%j is not that of ITL and TVS', async (style) => {
    expect(await messageOf(style)).toMatch(
      /issuer and serial as the present one spells them.*ITL and TVS compare bytes/,
    );
  });

  test("the cluster's own says nothing of it", async () => {
    const { notices } = await toTokenless(tokens, cluster, publisher.signer, options);
    expect(notices[0]!.message).not.toContain('compare bytes');
  });
});

describe('tokens that are odd', () => {
  test('expired, or not yet valid', async () => {
    const old = await tokenIdentity('SAST-ADN0e0e0e0e', '0e0e', { notAfter: new Date('2020-06-30T23:59:59Z') });
    const add: Run = (signer, each) => addToken(tokens, old.certificate, signer, each);
    expect((await add(tokenA.signer, options)).notices.map(({ check }) => check)).toEqual(['expired-token']);
    const early = { ...options, now: new Date('2014-12-31T23:59:59Z') };
    const { notices } = await createTokenCtl(cluster, pair, tokenA.signer, early);
    expect(notices.map(({ check }) => check)).toEqual(['expired-token', 'expired-signer']);
  });

  test.each([
    [
      'not-a-sast',
      { subject: [{ type: 'CN', value: 'Example SAST-CA' }] },
      /Example SAST-CA .*CN of a token begins with SAST-/,
    ],
    ['not-a-sast', { subject: [{ type: 'O', value: 'SAST-' }] }, /begins with SAST-/],
    ['weak-key', { bits: 512 }, /SAST-ADN0e0e0e0e .*RSA key of 512 bits/],
  ] as const)('%s', async (word, request, words) => {
    const odd = await tokenIdentity('SAST-ADN0e0e0e0e', '0e0e', request);
    const target = clusterOf({ uploaded: [tokenA, odd] });
    const certificates = [tokenA.certificate, odd.certificate];
    const runs: readonly (readonly [Run, Identity, string[]])[] = [
      [(signer, each) => createTokenCtl(target, certificates, signer, each), tokenA, []],
      [(signer, each) => toToken(tokenless, target, certificates, signer, each), odd, ['A3']],
      [(signer, each) => addToken(tokens, odd.certificate, signer, each), tokenA, []],
      [(signer, each) => signCtl(tokens, signer, { ...each, accept: ['A2'] }), odd, ['A2']],
    ];
    for (const [run, identity, always] of runs) {
      const { notices } = await run(identity.signer, options);
      expect(notices.map(({ check }) => check)).toEqual([...always, word]);
      expect(notices.at(-1)!.message).toMatch(words);
    }
  });
});

describe('key-size', () => {
  test('names the node and the certificate, once', async () => {
    const [callManager, capf] = await Promise.all([
      clusterIdentity('cucm-1051-a-sub1', { bits: 3072 }),
      clusterIdentity('CAPF-e41e7d87', { bits: 1536 }),
    ]);
    const nodes = [node({ ...publisherOutline, capf }), node({ ...subscriberOutline, callManager })];
    const words = [/the CAPF .* cucm-1051-a-pub .* 1536 bits/, /the CallManager .* cucm-1051-a-sub1 .* 3072 bits/];
    for (const run of [
      createTokenlessCtl(clusterOf({ nodes }), publisher.signer, options),
      updateCtl(tokens, clusterOf({ nodes }), tokenA.signer, options),
    ]) {
      const { notices } = await run;
      expect(notices.map(({ check }) => check)).toEqual(['key-size', 'key-size']);
      words.forEach((each, index) => expect(notices[index]!.message).toMatch(each));
    }
  });
});
