import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { encodeNumber } from '../../src/bytes/index.js';
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
  type AcceptableCheck,
  type CtlOptions,
  type CtlResult,
} from '../../src/ctl/index.js';
import { DeviceError, ProofError, RefusalError } from '../../src/errors.js';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import { decodeTrustList, draftOfRecord, type RecordDraft, type TrustList } from '../../src/trust-list/index.js';
import { decodeCertificates, type Certificate } from '../../src/x509/index.js';
import {
  clusterIdentity,
  clusterOf,
  counted,
  issue,
  node,
  now,
  options,
  publisher,
  publisherOutline,
  publisherRenewed,
  recovery,
  recoveryRenewed,
  subscriber,
  subscriberOutline,
  tokenA,
  tokenB,
  tokenC,
  tokenIdentity,
  tokenSubject,
  type Identity,
} from './clusters.js';
import { expectProven, foreignList, recordsOf } from './lists.js';

const cluster = clusterOf();
const newest = clusterOf({ release: '12.5' });
const pair = [tokenA.certificate, tokenB.certificate];

let tokens: TrustList;
let threeTokens: TrustList;
let oneToken: TrustList;
let tokenless: TrustList;
let recovered: TrustList;

beforeAll(async () => {
  tokens = (await createTokenCtl(cluster, pair, tokenA.signer, options)).list;
  threeTokens = (await addToken(tokens, tokenC.certificate, tokenA.signer, options)).list;
  const accepted: CtlOptions = { ...options, accept: ['A5'] };
  oneToken = (await createTokenCtl(cluster, [tokenA.certificate], tokenA.signer, accepted)).list;
  tokenless = (await createTokenlessCtl(cluster, publisher.signer, options)).list;
  recovered = (await createTokenlessCtl(newest, recovery.signer, options)).list;
});

type Run = (signer: Signer, options: CtlOptions) => Promise<CtlResult>;

/** The flow is refused with the code, the signer is never asked, and the message names the thing. */
async function expectRefused(run: Run, identity: Identity, code: string, words?: RegExp): Promise<RefusalError> {
  const { signer, asked } = counted(identity);
  const error: unknown = await run(signer, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RefusalError);
  expect(error).toMatchObject({ code });
  if (words !== undefined) expect((error as RefusalError).message).toMatch(words);
  expect(asked()).toBe(0);
  return error as RefusalError;
}

/** The check fires, its hint names it, and `accept` lets exactly that one through as a notice. */
async function expectAcceptable(
  run: Run,
  identity: Identity,
  check: AcceptableCheck,
  words?: RegExp,
): Promise<CtlResult> {
  const error = await expectRefused(run, identity, check, words);
  expect(error.hint).toContain(`--accept ${check} lets this one through`);
  const others = (['A2', 'A3', 'A5', 'A7', 'A8', 'A9', 'A14'] as const).filter((other) => other !== check);
  await expectRefused((signer, each) => run(signer, { ...each, accept: others }), identity, check);
  const { signer, asked } = counted(identity);
  const result = await run(signer, { ...options, accept: [check] });
  expectProven(result, signer);
  expect(asked()).toBe(1);
  expect(result.notices).toContainEqual({ check, message: `accepted: ${error.message}` });
  return result;
}

/** Acceptance changes nothing: what is refused would make a list that does not verify. */
async function expectNeverAccepted(run: Run, identity: Identity, code: string, words?: RegExp): Promise<void> {
  const error = await expectRefused(run, identity, code, words);
  expect(error.hint ?? '').not.toContain('--accept');
  const all: AcceptableCheck[] = ['A2', 'A3', 'A5', 'A7', 'A8', 'A9', 'A14'];
  await expectRefused((signer, each) => run(signer, { ...each, accept: all }), identity, code, words);
}

/** A near miss: the flow runs, and says nothing. */
async function expectQuiet(run: Run, identity: Identity): Promise<TrustList> {
  const result = await run(identity.signer, options);
  expect(result.notices).toEqual([]);
  return expectProven(result, identity.signer);
}

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

  test.each(flows)('%s', async (_, flow) => {
    const result = await expectAcceptable(flow(tokens), tokenC, 'A2', /SAST-ADN00aa55cc/);
    // The list must verify: the accepted signer is in it now.
    expect(result.list.records.at(-1)!.subjectName).toContain('SAST-ADN00aa55cc');
    await expectQuiet(flow(threeTokens), tokenC);
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

describe('remove-token', () => {
  test('last-token', async () => {
    const run: Run = (signer, each) => removeToken(oneToken, '45DAA2AF00000027F93C', signer, each);
    await expectNeverAccepted(run, tokenA, 'last-token', /last token/);
    const drafts = oneToken.records.map(draftOfRecord);
    const twice = await foreignList([...drafts, drafts[0]!], 0, tokenA.signer);
    const both: Run = (signer, each) => removeToken(twice, '45DAA2AF00000027F93C', signer, each);
    await expectNeverAccepted(both, tokenB, 'last-token');
  });

  test('signing-token; the other one may', async () => {
    const run: Run = (signer, each) => removeToken(threeTokens, '45DAA2AF00000027F93C', signer, each);
    await expectNeverAccepted(run, tokenA, 'signing-token', /cannot sign/);
    await expectQuiet(run, tokenB);
  });

  test.each(['45DAA2AF00000027F93D', '', ':', 'no hex', '45DAA2AF', '00'])('no-such-token: %j', async (serial) => {
    const run: Run = (signer, each) => removeToken(threeTokens, serial, signer, each);
    const error = await expectRefused(run, tokenB, 'no-such-token');
    expect(error.hint).toContain('3C:F9:27:00:00:00:AF:A2:DA:45');
  });

  test('no-such-token for the serial of a server', async () => {
    const run: Run = (signer, each) => removeToken(threeTokens, '70CAF64E090751B9DF22F49F754FC5BB', signer, each);
    await expectRefused(run, tokenB, 'no-such-token');
  });

  test('ambiguous-serial: what is one token read forwards is another read backwards', async () => {
    const forwards = await tokenIdentity('SAST-ADN00000001', '0a0b0c');
    const backwards = await tokenIdentity('SAST-ADN00000002', '0c0b0a');
    const { list: one } = await addToken(threeTokens, forwards.certificate, tokenA.signer, options);
    const { list: both } = await addToken(one, backwards.certificate, tokenA.signer, options);
    for (const serial of ['0a0b0c', '0C:0B:0A']) {
      const run: Run = (signer, each) => removeToken(both, serial, signer, each);
      await expectNeverAccepted(run, tokenA, 'ambiguous-serial', /SAST-ADN00000001.*SAST-ADN00000002/);
      expect(await expectQuiet((signer, each) => removeToken(one, serial, signer, each), tokenA)).toBeDefined();
    }
  });

  test('ambiguous-serial: two issuers gave the same one', async () => {
    const name = [{ type: 'CN', value: 'Another Manufacturing CA' }];
    const other = await tokenIdentity('SAST-ADN00000003', '31AF455500000008E983', {
      issuer: { name, key: tokenA.key },
    });
    const { list } = await addToken(tokens, other.certificate, tokenA.signer, options);
    const run: Run = (signer, each) => removeToken(list, '31AF455500000008E983', signer, each);
    await expectNeverAccepted(run, tokenA, 'ambiguous-serial');
  });

  test('a token that is there twice leaves as a whole', async () => {
    const drafts = threeTokens.records.map(draftOfRecord);
    const twice = await foreignList([...drafts, drafts.at(-1)!], 0, tokenA.signer);
    const { list } = await removeToken(twice, '6103de2b000000a1b2c3', tokenA.signer, options);
    expect(recordsOf(list)).toEqual(recordsOf(tokens));
  });
});

describe('already-present', () => {
  test('a token that is in the list; another one is quiet', async () => {
    const run: Run = (signer, each) => addToken(tokens, tokenB.certificate, signer, each);
    await expectNeverAccepted(run, tokenA, 'already-present', /SAST-ADN008580ef/);
    await expectQuiet((signer, each) => addToken(tokens, tokenC.certificate, signer, each), tokenA);
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
    await expectQuiet(to(clusterOf({ uploaded: [tokenC, tokenB, tokenA] })), tokenA);
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
    ['create', (release) => (signer, each) => createTokenCtl(clusterOf({ release }), pair, signer, each)],
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

  test.each(runs)('%s', async (_, run) => {
    for (const release of ['14SU3', '14SU4', '15', '15SU1']) {
      await expectRefused(run(release), tokenA, 'A14', new RegExp(`release ${release}$`));
    }
    await expectAcceptable(run('14SU3'), tokenA, 'A14');
    for (const release of ['14SU2', '14', '12.5(1)SU9', '9.1']) await expectQuiet(run(release), tokenA);
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
      await expectQuiet(flow(source), tokenA);
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
    const at = async (moment: string): Promise<string[]> => {
      const each = { ...options, now: new Date(moment) };
      const { notices } = await createTokenCtl(cluster, certificates, old.signer, each);
      return notices.map(({ check, message }) => `${check} ${message}`);
    };
    expect(await at('2020-06-30T23:59:59Z')).toEqual([]);
    expect(await at('2020-07-01T00:00:00Z')).toEqual([
      'expired-signer CN=SAST-ADN0e0e0e0e        , OU=IPCBU, O=Cisco Systems, Inc. (serial 0E:0E) is valid only from 2015-01-01T00:00:00.000Z to 2020-06-30T23:59:59.000Z',
    ]);
    // Only the signer matters: another token of the list may be expired.
    const { notices } = await createTokenCtl(cluster, certificates, tokenA.signer, { ...options, now });
    expect(notices).toEqual([]);
  });
});

describe('wrong-mode', () => {
  test('each flow says which one fits the list', async () => {
    const uploaded = clusterOf({ uploaded: [tokenA, tokenB] });
    const cases: readonly (readonly [Run, Identity, string])[] = [
      [(signer, each) => addToken(tokenless, tokenC.certificate, signer, each), publisher, 'ctl to-token'],
      [(signer, each) => removeToken(tokenless, '01', signer, each), publisher, 'ctl to-token'],
      [(signer, each) => toTokenless(tokenless, cluster, signer, each), publisher, 'ctl update'],
      [(signer, each) => toToken(tokens, uploaded, pair, signer, each), tokenA, 'ctl update'],
    ];
    for (const [run, identity, hint] of cases) {
      await expectNeverAccepted(run, identity, 'wrong-mode');
      expect((await expectRefused(run, identity, 'wrong-mode')).hint).toContain(hint);
    }
  });

  test('an ITL is no CTL', async () => {
    const drafts = tokenless.records.map(draftOfRecord);
    const itl = await foreignList(drafts, 0, publisher.signer, { fileName: Buffer.from('ITLFile.tlv\0') });
    const runs: Run[] = [
      (signer, each) => updateCtl(itl, cluster, signer, each),
      (signer, each) => signCtl(itl, signer, each),
      (signer, each) => toNonSecure(itl, signer, each),
      (signer, each) => addToken(itl, tokenC.certificate, signer, each),
      (signer, each) => removeToken(itl, '01', signer, each),
      (signer, each) => toTokenless(itl, cluster, signer, each),
      (signer, each) => toToken(itl, cluster, pair, signer, each),
    ];
    for (const run of runs) await expectNeverAccepted(run, publisher, 'wrong-mode', /calls itself an ITL/);
    const named = await foreignList(drafts, 0, publisher.signer, { fileName: Buffer.from('CTLSEP001122334455.tlv\0') });
    await expectQuiet((signer, each) => signCtl(named, signer, each), publisher);
  });

  test("a server's certificate is no token", async () => {
    const certificates: Certificate[] = [tokenA.certificate, subscriber.certificate];
    const uploaded = clusterOf({ uploaded: [tokenA, subscriber] });
    const runs: Run[] = [
      (signer, each) => createTokenCtl(cluster, certificates, signer, each),
      (signer, each) => addToken(tokens, subscriber.certificate, signer, each),
      (signer, each) => toToken(tokenless, uploaded, certificates, signer, each),
    ];
    for (const run of runs) await expectNeverAccepted(run, tokenA, 'wrong-mode', /cucm-1051-a-sub1.*is a server's/);
    await expectNeverAccepted((signer, each) => createTokenCtl(cluster, pair, signer, each), publisher, 'wrong-mode');
  });
});

describe('too-large', () => {
  /** A token list of exactly so many bytes: a record of a function that nobody touches fills it up. */
  async function listOf(length: number): Promise<TrustList> {
    const filler = (bytes: number): RecordDraft => [
      { tag: 4, value: encodeNumber(26, 2) },
      { tag: 50, value: new Uint8Array(bytes) },
    ];
    const drafts = tokens.records.map(draftOfRecord);
    const small = await foreignList([...drafts, filler(0)], 0, tokenA.signer);
    return foreignList([...drafts, filler(length - small.bytes.length)], 0, tokenA.signer);
  }

  test('65,535 bytes are built, 65,536 are refused before anyone signs', async () => {
    const largest = await listOf(65_535);
    expect(largest.bytes).toHaveLength(65_535);
    const same = await expectQuiet((signer, each) => signCtl(largest, signer, each), tokenA);
    expect(same.bytes).toHaveLength(65_535);
    const above = await listOf(65_536);
    const run: Run = (signer, each) => signCtl(above, signer, each);
    await expectNeverAccepted(run, tokenA, 'too-large', /65536 bytes in 6 records/);
  });

  test('the longer signature of another signer counts', async () => {
    const large = await tokenIdentity('SAST-ADN2048beef', '2048', { bits: 2048 });
    const { list } = await addToken(tokens, large.certificate, tokenA.signer, options);
    const drafts = list.records.map(draftOfRecord);
    const filled = (bytes: number): Promise<TrustList> =>
      foreignList(
        [
          ...drafts,
          [
            { tag: 4, value: encodeNumber(26, 2) },
            { tag: 50, value: new Uint8Array(bytes) },
          ],
        ],
        0,
        tokenA.signer,
      );
    const empty = await filled(0);
    const present = await filled(65_535 - empty.bytes.length);
    await expectQuiet((signer, each) => signCtl(present, signer, each), tokenA);
    await expectNeverAccepted((signer, each) => signCtl(present, signer, each), large, 'too-large');
  });

  test('too many nodes', async () => {
    const many = await Promise.all(
      Array.from({ length: 64 }, (_, index) => clusterIdentity(`node-${index}`, { key: tokenC.key })),
    );
    const nodesOf = (count: number): Cluster =>
      clusterOf({
        nodes: [
          node(publisherOutline),
          ...many.slice(0, count).map((callManager, index) =>
            node({
              name: `node-${index}`,
              address: `10.1.0.${index + 1}`,
              services: ['CallManager', 'TFTP'],
              callManager,
            }),
          ),
        ],
      });
    let fitting = 0;
    for (let count = 50; count <= 64; count += 1) {
      const { signer, asked } = counted(publisher);
      const result = await createTokenlessCtl(nodesOf(count), signer, options).catch((error: unknown) => error);
      if (result instanceof RefusalError) {
        expect(result.code).toBe('too-large');
        expect(asked()).toBe(0);
      } else {
        fitting = Math.max(fitting, count);
        expect((result as CtlResult).list.bytes.length).toBeLessThanOrEqual(65_535);
      }
    }
    expect(fitting).toBeGreaterThan(50);
    expect(fitting).toBeLessThan(64);
  });
});

describe('keys that phones cannot use', () => {
  test('a token whose key cannot sign trust lists does not join a list', async () => {
    const odd = await issue({ subject: tokenSubject('SAST-ADN3072abcd'), serialNumber: '3072', bits: 3072 });
    const certificates = [tokenA.certificate, odd.certificate];
    const runs: Run[] = [
      (signer, each) => createTokenCtl(cluster, certificates, signer, each),
      (signer, each) => addToken(tokens, odd.certificate, signer, each),
      (signer, each) => toToken(tokenless, clusterOf({ uploaded: [tokenA, odd] }), certificates, signer, each),
    ];
    for (const run of runs) {
      const { signer, asked } = counted(tokenA);
      await expect(run(signer, options)).rejects.toMatchObject({ name: 'ProofError', code: 'unsupported-key' });
      expect(asked()).toBe(0);
    }
  });

  test('an ECDSA certificate where the RSA one is wanted', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ctl-ec-'));
    const file = join(directory, 'ec.pem');
    execFileSync(
      'openssl',
      [
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:brainpoolP512r1',
          '-nodes',
          '-days',
          '3650',
        ],
        ...['-subj', '/CN=cucm-1051-a-sub1-EC', '-keyout', join(directory, 'key.pem'), '-out', file],
      ],
      { stdio: 'pipe' },
    );
    const [certificate] = decodeCertificates(readFileSync(file));
    rmSync(directory, { recursive: true });
    expect(certificate!.keyType).toBe('ec');
    // As many bits as an RSA key may have.
    expect(certificate!.keyBits).toBe(512);
    const elliptic = { ...subscriber, certificate: certificate! };
    const nodes = [node(publisherOutline), node({ ...subscriberOutline, callManager: elliptic })];
    const { signer, asked } = counted(publisher);
    await expect(createTokenlessCtl(clusterOf({ nodes }), signer, options)).rejects.toMatchObject({
      code: 'cluster-file',
      hint: 'name the RSA certificate of CallManager, not the ECDSA one (CallManager-ECDSA)',
    });
    await expect(addToken(tokens, certificate!, tokenA.signer, options)).rejects.toMatchObject({
      code: 'unsupported-key',
    });
    expect(asked()).toBe(0);
  });
});

describe('a cluster file that cannot make a list', () => {
  const { callManager: _callManager, ...withoutCallManager } = publisherOutline;
  const { recovery: _recovery, ...withoutRecovery } = publisherOutline;
  const { capf: _capf, ...withoutCapf } = publisherOutline;

  test.each([
    ['no nodes', clusterOf({ nodes: [] }), /no nodes/],
    ['no CallManager certificate', clusterOf({ nodes: [node(withoutCallManager)] }), /has no CallManager certificate/],
    ['no CAPF certificate', clusterOf({ nodes: [node(withoutCapf)] }), /has no CAPF certificate/],
    [
      'no ITLRecovery certificate from 12.0',
      clusterOf({ release: '12.0', nodes: [node(withoutRecovery)] }),
      /has no ITLRecovery certificate/,
    ],
    [
      'nobody for phones to register with',
      clusterOf({ nodes: [node({ ...publisherOutline, services: ['CAPF', 'TVS'] })] }),
      /runs CallManager or TFTP/,
    ],
  ])('%s', async (_, target, words) => {
    const { signer, asked } = counted(publisher);
    for (const flow of [createTokenlessCtl(target, signer, options), updateCtl(tokenless, target, signer, options)]) {
      const error: unknown = await flow.catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'InputError', code: 'cluster-file' });
      expect((error as Error).message).toMatch(words);
      expect((error as RefusalError).hint).toBeDefined();
    }
    expect(asked()).toBe(0);
  });

  test('ITLRecovery is not wanted before 12.0', async () => {
    const target = clusterOf({ release: '11.5', nodes: [node(withoutRecovery), node(subscriberOutline)] });
    await expectQuiet((signer, each) => createTokenlessCtl(target, signer, each), publisher);
  });

  test('no TFTP server: a notice, because phones then need the ITL or TVS for every file', async () => {
    const nodes = [node({ ...publisherOutline, services: ['CallManager', 'CAPF'] })];
    const { notices } = await createTokenCtl(clusterOf({ nodes }), pair, tokenA.signer, options);
    expect(notices.map(({ check }) => check)).toEqual(['no-tftp']);
    const tftp = [...nodes, node({ ...subscriberOutline, services: ['TFTP'] })];
    await expectQuiet((signer, each) => createTokenCtl(clusterOf({ nodes: tftp }), pair, signer, each), tokenA);
  });
});

describe('TIMESTAMP', () => {
  test.each([-1, 1.5, Number.NaN, 2 ** 32, Date.UTC(2026, 0, 1)])('%d is no number of seconds', async (timestamp) => {
    const { signer, asked } = counted(tokenA);
    await expect(signCtl(tokens, signer, { ...options, timestamp })).rejects.toMatchObject({ code: 'usage' });
    expect(asked()).toBe(0);
  });

  test.each([0, 2 ** 32 - 1])('%d is', async (timestamp) => {
    const { list } = await signCtl(tokens, tokenA.signer, { ...options, timestamp });
    expect(list.header.timestamp).toBe(timestamp);
  });
});

describe('a signer that fails', () => {
  const flows: readonly Run[] = [
    (signer, each) => createTokenCtl(cluster, pair, signer, each),
    (signer, each) => updateCtl(tokens, cluster, signer, each),
    (signer, each) => signCtl(tokens, signer, each),
  ];

  test('its error passes through unchanged', async () => {
    const failure = new DeviceError('token-removed', 'the token was removed', { functionName: 'C_Sign' });
    const signer: Signer = { ...tokenA.signer, sign: () => Promise.reject(failure) };
    for (const run of flows) await expect(run(signer, options)).rejects.toBe(failure);
  });

  test('a wrong signature never becomes a list', async () => {
    const signers: Signer[] = [
      { ...tokenA.signer, sign: (request) => tokenB.signer.sign(request) },
      { ...tokenA.signer, sign: () => Promise.resolve(new Uint8Array(128)) },
    ];
    for (const signer of signers) {
      for (const run of flows) {
        await expect(run(signer, options)).rejects.toMatchObject({ name: 'ProofError', code: 'signature-mismatch' });
      }
    }
    const short: Signer = { ...tokenA.signer, sign: () => Promise.resolve(new Uint8Array(127)) };
    for (const run of flows) await expect(run(short, options)).rejects.toMatchObject({ code: 'key-mismatch' });
  });

  test('a digest that it cannot sign is said before it is asked', async () => {
    const { signer, asked } = counted(tokenA);
    const old: Signer = { ...signer, digests: ['sha1'] };
    await expect(signCtl(tokens, old, { ...options, digestAlgorithm: 'sha512' })).rejects.toMatchObject({
      code: 'unsupported-digest',
    });
    expect(asked()).toBe(0);
    await expectQuiet((_, each) => signCtl(tokens, old, each), tokenA);
  });
});
