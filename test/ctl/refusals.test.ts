import { describe, expect, test } from 'vitest';
import type { Cluster } from '../../src/cluster/index.js';
import {
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  removeToken,
  signCtl,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
} from '../../src/ctl/index.js';
import { ProofError } from '../../src/errors.js';
import { createSoftwareSigner } from '../../src/signer/index.js';
import { decodeTrustList, draftOfRecord, type RecordDraft, type TrustList } from '../../src/trust-list/index.js';
import {
  clusterIdentity,
  clusterOf,
  type Identity,
  node,
  options,
  publisher,
  publisherRenewed,
  recovery,
  subscriber,
  tokenA,
  tokenB,
  tokenC,
  tokenIdentity,
  publisherOutline,
  subscriberOutline,
} from './clusters.js';
import { foreignList } from './lists.js';
import {
  cluster,
  expectAcceptable,
  expectNeverAccepted,
  expectQuiet,
  expectRefused,
  newest,
  oneToken,
  pair,
  recovered,
  type Run,
  threeTokens,
  tokenless,
  tokens,
} from './runs.js';

describe('A5: fewer than two tokens', () => {
  test('create', async () => {
    const run: Run = (signer, each) => createTokenCtl(cluster, [tokenA.certificate], signer, each);
    await expectAcceptable(run, tokenA, 'A5', /one token/);
    await expectQuiet((signer, each) => createTokenCtl(cluster, pair, signer, each), tokenA);
  });

  test('two certificates for one key are one token', async () => {
    const twin = await tokenIdentity('SAST-ADN0054f509', '0102', { key: tokenA.key });
    const run: Run = (signer, each) => createTokenCtl(cluster, [tokenA.certificate, twin.certificate], signer, each);
    await expectAcceptable(run, tokenA, 'A5', /one token/);
  });

  test('remove-token down to one; from three to two is quiet', async () => {
    const serial = '31AF455500000008E983';
    await expectAcceptable((signer, each) => removeToken(tokens, serial, signer, each), tokenA, 'A5', /one token/);
    const list = await expectQuiet((signer, each) => removeToken(threeTokens, serial, signer, each), tokenA);
    expect(list.records).toHaveLength(5);
  });

  test('update of a list that has only one', async () => {
    await expectAcceptable((signer, each) => updateCtl(oneToken, cluster, signer, each), tokenA, 'A5', /one token/);
    await expectQuiet((signer, each) => updateCtl(tokens, cluster, signer, each), tokenA);
  });

  test('to-token with one', async () => {
    const uploaded = clusterOf({ uploaded: [tokenA] });
    const run: Run = (signer, each) => toToken(tokenless, uploaded, [tokenA.certificate], signer, each);
    await expectAcceptable(run, tokenA, 'A5', /one token/);
  });

  test('a token that is in the list twice is one token', async () => {
    const drafts = oneToken.records.map(draftOfRecord);
    const twice = await foreignList([...drafts, drafts[0]!], 0, tokenA.signer);
    await expectAcceptable((signer, each) => updateCtl(twice, cluster, signer, each), tokenA, 'A5', /one token/);
  });

  test('add-token to one is the way out', async () => {
    await expectQuiet((signer, each) => addToken(oneToken, tokenB.certificate, signer, each), tokenA);
  });
});

describe('A2: the signer is not in the present list', () => {
  const flows: readonly (readonly [string, (present: TrustList) => Run])[] = [
    ['update', (present) => (signer, each) => updateCtl(present, cluster, signer, each)],
    ['remove-token', (present) => (signer, each) => removeToken(present, '31AF455500000008E983', signer, each)],
    ['to-non-secure', (present) => (signer, each) => toNonSecure(present, signer, each)],
    ['sign', (present) => (signer, each) => signCtl(present, signer, each)],
  ];

  test.each(flows)('%s', async (name, flow) => {
    const result = await expectAcceptable(flow(tokens), tokenC, 'A2', /SAST-ADN00aa55cc/);
    // The list must verify: the accepted signer is in it now.
    expect(result.list.records.at(-1)!.subjectName).toContain('SAST-ADN00aa55cc');
    await expectQuiet(flow(threeTokens), tokenC, ...(name === 'to-non-secure' ? ['emptied'] : []));
  });

  test('add-token, also when the new token is the one that signs', async () => {
    const other = await tokenIdentity('SAST-ADN99999999', '99aa');
    const run: Run = (signer, each) => addToken(tokens, other.certificate, signer, each);
    const result = await expectAcceptable(run, tokenC, 'A2', /SAST-ADN00aa55cc/);
    expect(result.list.records).toHaveLength(tokens.records.length + 2);
    const itself = await expectAcceptable(run, other, 'A2', /SAST-ADN99999999/);
    expect(itself.list.records).toHaveLength(tokens.records.length + 1);
  });

  test('the hint names the signers that phones know', async () => {
    const error = await expectRefused((signer, each) => signCtl(tokens, signer, each), tokenC, 'A2');
    expect(error.hint).toMatch(/SAST-ADN0054f509.*3C:F9:27:00:00:00:AF:A2:DA:45.*SAST-ADN008580ef/);
  });

  test('a renewed certificate for the same key is another signer: phones look for issuer and serial', async () => {
    const again = await tokenIdentity('SAST-ADN0054f509', '777777', { key: tokenA.key });
    await expectRefused((signer, each) => signCtl(tokens, signer, each), again, 'A2');
  });

  test('accepted for a tokenless list, the list still has no such signer', async () => {
    for (const flow of [signCtl, toNonSecure]) {
      const run: Run = (signer, each) => flow(tokenless, signer, { ...each, accept: ['A2'] });
      await expectRefused(run, tokenC, 'A9', /would not be in the list as a signer/);
    }
  });

  test("accepted, a server's key does not become a token", async () => {
    const run: Run = (signer, each) => updateCtl(tokens, cluster, signer, { ...each, accept: ['A2'] });
    await expectRefused(run, publisher, 'wrong-mode', /is a server's certificate/);
  });
});

describe('A3: to-token without the certificates in Phone-SAST-trust', () => {
  const to =
    (target: Cluster): Run =>
    (signer, each) =>
      toToken(tokenless, target, pair, signer, each);

  test('none', async () => {
    const error = /SAST-ADN0054f509.*SAST-ADN008580ef/;
    await expectAcceptable(to(clusterOf()), tokenA, 'A3', error);
    await expectAcceptable(to(clusterOf({ uploaded: [] })), tokenA, 'A3', error);
  });

  test('only one', async () => {
    const error = /^not in the cluster file's Phone-SAST-trust: [^,]*SAST-ADN008580ef/;
    await expectAcceptable(to(clusterOf({ uploaded: [tokenA, tokenC] })), tokenA, 'A3', /SAST-ADN008580ef/);
    const refused = await expectRefused(to(clusterOf({ uploaded: [tokenA] })), tokenA, 'A3', error);
    expect(refused.message).not.toContain('SAST-ADN0054f509');
  });

  test('both', async () => {
    const list = await expectQuiet(to(clusterOf({ uploaded: [tokenC, tokenB, tokenA] })), tokenA, 'A3');
    expect(list.records).toHaveLength(5);
    const { notices } = await to(cluster)(tokenA.signer, options);
    expect(notices[0]!.message).toMatch(
      /present list has no token.*TVS.*without Security by Default .* deleted by hand/,
    );
  });

  test('a signer that was not named must be there too', async () => {
    await expectRefused(to(clusterOf({ uploaded: [tokenA, tokenB] })), tokenC, 'A3', /SAST-ADN00aa55cc/);
  });

  test('a certificate in another store does not count', async () => {
    const elsewhere = { ...cluster, trustStores: { 'Phone-trust': pair } };
    await expectRefused(to(elsewhere), tokenA, 'A3');
  });
});

describe('A14: tokens end with 14SU3', () => {
  const runs: readonly (readonly [string, (release: string) => Run])[] = [
    [
      'create',
      (release) => (signer, each) =>
        createTokenCtl({ ...cluster, release: clusterOf({ release }).release }, pair, signer, each),
    ],
    ['update', (release) => (signer, each) => updateCtl(tokens, clusterOf({ release }), signer, each)],
    [
      'add-token',
      (release) => (signer, each) =>
        addToken(tokens, tokenC.certificate, signer, { ...each, release: clusterOf({ release }).release }),
    ],
    [
      'to-token',
      (release) => (signer, each) => {
        const target = clusterOf({ release, uploaded: [tokenA, tokenB] });
        return toToken(tokenless, target, pair, signer, each);
      },
    ],
    [
      'sign',
      (release) => (signer, each) => signCtl(tokens, signer, { ...each, release: clusterOf({ release }).release }),
    ],
  ];

  test.each(runs)('%s', async (name, run) => {
    const always = name === 'to-token' ? ['A3'] : [];
    for (const release of ['14SU3', '14SU4', '15', '15SU1']) {
      await expectRefused(run(release), tokenA, 'A14', new RegExp(`release ${release}$`));
    }
    await expectAcceptable(run('14SU3'), tokenA, 'A14');
    for (const release of ['14SU2', '14', '12.5(1)SU9', '9.1']) await expectQuiet(run(release), tokenA, ...always);
  });

  test('without a release, add-token and sign cannot tell; tokenless lists are free of it', async () => {
    await expectQuiet((signer, each) => addToken(tokens, tokenC.certificate, signer, each), tokenA);
    await expectQuiet((signer, each) => signCtl(tokens, signer, { ...each, release: undefined }), tokenA);
    const latest = clusterOf({ release: '15' });
    await expectQuiet((signer, each) => updateCtl(recovered, latest, signer, each), recovery);
    await expectQuiet((signer, each) => signCtl(recovered, signer, { ...each, release: latest.release }), recovery);
  });
});

describe('A8: tokenless lists begin with 10.0', () => {
  const runs: readonly (readonly [string, Identity, (release: string) => Run])[] = [
    ['create', publisher, (release) => (signer, each) => createTokenlessCtl(clusterOf({ release }), signer, each)],
    ['update', publisher, (release) => (signer, each) => updateCtl(tokenless, clusterOf({ release }), signer, each)],
    [
      'to-tokenless',
      publisher,
      (release) => (signer, each) => toTokenless(tokens, clusterOf({ release }), signer, each),
    ],
  ];

  test.each(runs)('%s', async (_, identity, run) => {
    await expectAcceptable(run('9.1(2)'), identity, 'A8', /release 9\.1\(2\)/);
    const { notices } = await run('10.0')(identity.signer, options);
    expect(notices.map(({ check }) => check)).not.toContain('A8');
  });
});

describe('A9: the key that signs is not that of a signing record', () => {
  test('create and to-tokenless want the certificate that clusters sign with', async () => {
    const runs: Run[] = [
      (signer, each) => createTokenlessCtl(cluster, signer, each),
      (signer, each) => toTokenless(tokens, cluster, signer, each),
      (signer, each) => updateCtl(tokenless, cluster, signer, each),
    ];
    for (const run of runs) {
      for (const identity of [subscriber, publisherRenewed, tokenA]) {
        const error = await expectRefused(run, identity, 'A9', /not the certificate that signs/);
        expect(error.hint).toContain("the publisher's CallManager");
        const accepted: Run = (signer, each) => run(signer, { ...each, accept: ['A9'] });
        await expectRefused(accepted, identity, 'A9', /would not be in the list as a signer/);
      }
    }
  });

  test('from 12.0 CallManager may sign only where phones know it, or when that is accepted', async () => {
    await expectAcceptable((signer, each) => createTokenlessCtl(newest, signer, each), publisher, 'A9');
    await expectAcceptable((signer, each) => toTokenless(tokens, newest, signer, each), publisher, 'A9');
    await expectQuiet((signer, each) => updateCtl(recovered, newest, signer, each), publisher);
    await expectQuiet((signer, each) => signCtl(recovered, signer, each), publisher);
  });

  test('a private key that does not fit the certificate is no signer', () => {
    expect(() => createSoftwareSigner(tokenA.certificate, tokenB.key)).toThrow(ProofError);
    expect(() => createSoftwareSigner(tokenA.certificate, tokenB.key)).toThrow(/private key is not the one/);
    expect(createSoftwareSigner(tokenA.certificate, tokenA.key).certificate).toBe(tokenA.certificate);
  });

  test('a record whose key is not that of its certificate cannot sign', async () => {
    const drafts = tokens.records.map(draftOfRecord);
    const damaged = drafts.map((draft, index): RecordDraft =>
      index === 0 ? draft.map((one) => (one.tag === 7 ? { tag: 7, value: tokenC.certificate.publicKey } : one)) : draft,
    );
    const present = await foreignList(damaged, 4, tokenB.signer);
    await expectNeverAccepted((signer, each) => signCtl(present, signer, each), tokenA, 'A9', /another key/);
    await expectQuiet((signer, each) => signCtl(present, signer, each), tokenB);
  });

  describe('a present list that does not verify', () => {
    const flows: readonly (readonly [string, (present: TrustList) => Run])[] = [
      ['update', (present) => (signer, each) => updateCtl(present, cluster, signer, each)],
      ['add-token', (present) => (signer, each) => addToken(present, tokenC.certificate, signer, each)],
      ['remove-token', (present) => (signer, each) => removeToken(present, '6103de2b000000a1b2c3', signer, each)],
      ['to-non-secure', (present) => (signer, each) => toNonSecure(present, signer, each)],
      ['sign', (present) => (signer, each) => signCtl(present, signer, each)],
    ];

    test.each(flows)('%s', async (name, flow) => {
      const source = name === 'add-token' ? tokens : threeTokens;
      const bytes = source.bytes.slice();
      // One byte of the last address: the list parses, and its signature is wrong.
      bytes[bytes.length - 1] = 9;
      await expectAcceptable(flow(decodeTrustList(bytes)), tokenA, 'A9', /does not verify/);
      await expectQuiet(flow(source), tokenA, ...(name === 'to-non-secure' ? ['emptied'] : []));
    });

    test('no signing record', async () => {
      const bytes = tokens.bytes.slice();
      const serial = Buffer.from(bytes).indexOf('3cf927000000afa2da45', 'hex');
      bytes[serial] = 0x3d;
      const present = decodeTrustList(bytes);
      await expectAcceptable((signer, each) => signCtl(present, signer, each), tokenA, 'A9', /no function-0 record/);
    });
  });

  test('two signers with the same issuer and serial, but different keys', async () => {
    const twin = await tokenIdentity('SAST-ADN0054f509', '45DAA2AF00000027F93C');
    const create: Run = (signer, each) =>
      createTokenCtl(cluster, [tokenA.certificate, tokenB.certificate, twin.certificate], signer, each);
    await expectNeverAccepted(create, tokenA, 'A9', /same issuer and serial/);
    await expectNeverAccepted(create, twin, 'A9', /same issuer and serial/);
    const result = await expectAcceptable(create, tokenB, 'A9', /same issuer and serial/);
    const add: Run = (signer, each) => addToken(tokens, twin.certificate, signer, each);
    await expectNeverAccepted(add, tokenA, 'A9');
    await expectAcceptable(add, tokenB, 'A9');
    // Out of it again: no serial tells them apart, so nothing is removed by guessing.
    const remove: Run = (signer, each) => removeToken(result.list, '45DAA2AF00000027F93C', signer, each);
    await expectRefused(remove, tokenB, 'ambiguous-serial');
    // The same serial of another issuer is another signer.
    const other = await tokenIdentity('SAST-ADN0054f509', '45DAA2AF00000027F93C', {
      issuer: { name: [{ type: 'CN', value: 'Another CA' }], key: tokenA.key },
    });
    await expectQuiet((signer, each) => addToken(tokens, other.certificate, signer, each), tokenA);
  });

  test('servers with the same issuer and serial, but different keys: a notice', async () => {
    const authority = { name: [{ type: 'CN', value: 'lab CA' }], key: tokenC.key };
    const one = await clusterIdentity('cucm-1051-a-pub', { serialNumber: '01', issuer: authority });
    const other = await clusterIdentity('cucm-1051-a-sub1', { serialNumber: '01', issuer: authority });
    const nodes = [node({ ...publisherOutline, callManager: one }), node({ ...subscriberOutline, callManager: other })];
    const result = await createTokenlessCtl(clusterOf({ nodes }), one.signer, options);
    expect(result.notices.map(({ check }) => check)).toEqual(['same-serial']);
    // One certificate on two nodes is not that.
    const shared = [node({ ...publisherOutline, callManager: one }), node({ ...subscriberOutline, callManager: one })];
    await expectQuiet((signer, each) => createTokenlessCtl(clusterOf({ nodes: shared }), signer, each), one);
  });
});
