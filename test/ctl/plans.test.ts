import { describe, expect, test } from 'vitest';
import { encodeNumber } from '../../src/bytes/index.js';
import type { Cluster } from '../../src/cluster/index.js';
import {
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  type CtlResult,
  removeToken,
  signCtl,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
} from '../../src/ctl/index.js';
import { DeviceError, RefusalError } from '../../src/errors.js';
import type { Signer } from '../../src/signer/index.js';
import { draftOfRecord, type RecordDraft, type TrustList } from '../../src/trust-list/index.js';
import type { Certificate } from '../../src/x509/index.js';
import {
  clusterIdentity,
  clusterOf,
  counted,
  type Identity,
  node,
  options,
  publisher,
  publisherOutline,
  subscriber,
  subscriberOutline,
  tokenA,
  tokenB,
  tokenC,
  tokenIdentity,
} from './clusters.js';
import { foreignList } from './lists.js';
import { cluster, expectNeverAccepted, expectQuiet, expectRefused, pair, type Run, tokenless, tokens } from './runs.js';

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
    const { notices } = await createTokenCtl(
      clusterOf({ nodes, uploaded: [tokenA, tokenB] }),
      pair,
      tokenA.signer,
      options,
    );
    expect(notices.map(({ check }) => check)).toEqual(['no-tftp']);
    const tftp = [...nodes, node({ ...subscriberOutline, services: ['TFTP'] })];
    await expectQuiet(
      (signer, each) => createTokenCtl(clusterOf({ nodes: tftp, uploaded: [tokenA, tokenB] }), pair, signer, each),
      tokenA,
    );
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

describe('names of a certificate that cannot be written', () => {
  test.each([
    [
      'an empty subject',
      { subject: [] },
      /^the CallManager certificate of node cucm-1051-a-sub1 \(serial .* has no CN, /,
    ],
    ['an empty issuer', { issuer: { name: [], key: tokenC.key } }, /cucm-1051-a-sub1 .* in its issuer/],
    [
      'a NUL',
      { subject: [{ type: 'CN', value: 'cucm\0.lab' }] },
      /cucm-1051-a-sub1 .* control character in its subject/,
    ],
  ])('%s', async (_, request, words) => {
    const callManager = await clusterIdentity('cucm-1051-a-sub1', request);
    const target = clusterOf({ nodes: [node(publisherOutline), node({ ...subscriberOutline, callManager })] });
    const { signer, asked } = counted(publisher);
    for (const flow of [
      createTokenlessCtl(target, signer, options),
      updateCtl(tokenless, target, signer, options),
      toTokenless(tokens, target, signer, options),
    ]) {
      const error: unknown = await flow.catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'InputError', code: 'cluster-file' });
      expect((error as Error).message).toMatch(words);
    }
    expect(asked()).toBe(0);
  });
});
