import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { addToken, createTokenCtl, createTokenlessCtl, removeToken, toToken } from '../../src/ctl/index.js';
import { draftOfRecord } from '../../src/trust-list/index.js';
import { decodeCertificates } from '../../src/x509/index.js';
import {
  clusterOf,
  counted,
  issue,
  node,
  options,
  publisher,
  publisherOutline,
  tokenA,
  tokenB,
  tokenC,
  tokenIdentity,
  tokenSubject,
  subscriber,
  subscriberOutline,
} from './clusters.js';
import { foreignList, recordsOf } from './lists.js';
import {
  cluster,
  expectNeverAccepted,
  expectQuiet,
  expectRefused,
  oneToken,
  type Run,
  threeTokens,
  tokenless,
  tokens,
} from './runs.js';

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

describe('names of a token that cannot be written', () => {
  test.each([
    ['an empty subject', { subject: [] }, /serial 0A:0B\) has no CN, .* in its subject/],
    [
      'nothing that clusters write',
      { subject: [{ type: 'DC', value: 'lab' }] },
      /DC=lab .* has no CN, .* in its subject/,
    ],
    ['an empty issuer', { issuer: { name: [], key: tokenC.key } }, /SAST-ADN0a0b .* in its issuer/],
    ['a NUL', { subject: [{ type: 'CN', value: 'SAST-A\0B' }] }, /SAST-A\\u\{0\}B .* control character in its subject/],
    ['a line feed', { subject: [{ type: 'CN', value: 'SAST-A\nB' }] }, /control character in its subject/],
  ])('%s', async (_, request, words) => {
    const odd = await tokenIdentity('SAST-ADN0a0b', '0a0b', request);
    const { signer, asked } = counted(tokenA);
    const certificates = [tokenA.certificate, odd.certificate];
    const runs: Run[] = [
      (each, all) => createTokenCtl(cluster, certificates, each, all),
      (each, all) => addToken(tokens, odd.certificate, each, all),
      (each, all) => toToken(tokenless, clusterOf({ uploaded: [tokenA, odd] }), certificates, each, all),
    ];
    for (const run of runs) {
      const error: unknown = await run(signer, options).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'InputError', code: 'usage' });
      expect((error as Error).message).toMatch(words);
    }
    expect(asked()).toBe(0);
  });
});
