import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  createSastCommonName,
  createSastToken,
  createSoftHsm,
  createSoftToken,
  createStandInAuthority,
  generateTokenKey,
  issueSastCertificate,
  storeTokenCertificate,
  type SoftHsm,
} from 'softhsm-config';
import { formatCertificatePem, type Certificate } from '../../src/x509/index.js';
import { decodeTrustList } from '../../src/trust-list/index.js';
import { initOneNode, run as runCommand, temporaryFolder, type Outcome } from './etoken-bridge.js';

const folder = temporaryFolder();
const authority = await createStandInAuthority();
const pin = '123456';
const sizes = { soPin: '12345678', pin, bits: 1024 } as const;
writeFileSync(join(folder, 'pin'), pin, { mode: 0o600 });

/** A SoftHSM2 of its own, and the commands beside it. */
async function makePlace(name: string): Promise<{ softHsm: SoftHsm; run: (...words: string[]) => Outcome }> {
  const softHsm = await createSoftHsm(join(folder, name));
  const env = { ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module };
  return { softHsm, run: (...words) => runCommand(words, { cwd: folder, env }) };
}

/** A key on a token, and a certificate for it that is stored beside it unless told. */
async function addCertificate(
  softHsm: SoftHsm,
  serialNumber: string,
  commonName: string,
  stored = true,
): Promise<Certificate> {
  const label = commonName.trim();
  const { keyId, publicKey } = await generateTokenKey(softHsm, { serialNumber, pin, bits: 1024, label });
  const certificate = await issueSastCertificate({ publicKey, commonName, authority });
  if (stored) await storeTokenCertificate(softHsm, { serialNumber, pin, keyId, label, certificate });
  return certificate;
}

expect(runCommand(initOneNode('cluster'), { cwd: folder }).status).toBe(0);
const create = ['ctl', 'create', '--mode', 'token', '--cluster', 'cluster/cluster.yaml', '--pin-file', 'pin', '--out'];

/** The tokens of a list, by their serial numbers. */
const tokensIn = (path: string): readonly (string | undefined)[] =>
  decodeTrustList(readFileSync(join(folder, path)))
    .records.filter((record) => record.function === 0)
    .map(({ subjectName }) => subjectName);

describe('a person has a card of another kind plugged in', async () => {
  const { softHsm, run } = await makePlace('with-card');
  const card = await createSoftToken(softHsm, { label: 'card', ...sizes });
  await addCertificate(softHsm, card.serialNumber, 'Ada Lovelace');
  const first = await createSastToken(softHsm, { label: 'first', ...sizes, authority });

  test('it does not count as a second token', () => {
    const outcome = run(...create, 'never.tlv');
    expect({ status: outcome.status, stderr: outcome.stderr }).toEqual({
      status: 4,
      stderr: expect.stringMatching(/^error: refused \(A5\): the list would hold one token/) as string,
    });
  });

  test('it neither signs nor joins the list', async () => {
    const second = await createSastToken(softHsm, { label: 'second', ...sizes, authority });
    expect(run(...create, 'CTLFile.tlv')).toMatchObject({ status: 0 });
    expect(tokensIn('CTLFile.tlv')).toHaveLength(2);
    expect(tokensIn('CTLFile.tlv').join()).not.toContain('Lovelace');
    const named = run(...create, 'named.tlv', '--token', second.token.uri);
    expect(named.status).toBe(0);
    expect(named.stdout).toContain(second.commonName.trim());
    expect(tokensIn('named.tlv')[0]).toContain(second.commonName.trim());
    expect(tokensIn('named.tlv')[1]).toContain(first.commonName.trim());
  });
});

test('A5: two certificates on one token are lost together', async () => {
  const { softHsm, run } = await makePlace('dual');
  const { serialNumber } = await createSoftToken(softHsm, { label: 'dual', ...sizes });
  await addCertificate(softHsm, serialNumber, createSastCommonName());
  await addCertificate(softHsm, serialNumber, createSastCommonName());
  const refused = run(...create, 'dual.tlv');
  expect(refused).toMatchObject({ status: 4 });
  expect(refused.stderr).toContain('refused (A5): the 2 SAST certificates that are plugged in are on one token');
  expect(run(...create, 'dual.tlv', '--accept', 'A5')).toMatchObject({ status: 0 });
  const signing = run('ctl', 'update', 'dual.tlv', '--cluster', 'cluster/cluster.yaml', '--pin-file', 'pin');
  expect(signing).toMatchObject({ status: 3 });
  const uris = [...signing.stderr.matchAll(/pkcs11:\S+/g)].map(([uri]) => uri);
  expect(new Set(uris).size).toBe(2);
  // Each of the printed URIs is enough to go on with.
  for (const uri of uris) {
    const words = [
      'ctl',
      'update',
      'dual.tlv',
      '--cluster',
      'cluster/cluster.yaml',
      '--pin-file',
      'pin',
      '--token',
      uri,
    ];
    expect(run(...words)).toMatchObject({ status: 0 });
  }
});

test('--certificate is enough for the one token that holds none', async () => {
  const { softHsm, run } = await makePlace('bare');
  const { serialNumber } = await createSoftToken(softHsm, { label: 'bare', ...sizes });
  const certificate = await addCertificate(softHsm, serialNumber, createSastCommonName(), false);
  writeFileSync(join(folder, 'bare.pem'), formatCertificatePem(certificate));
  const created = run(...create, 'bare.tlv', '--certificate', 'bare.pem', '--accept', 'A5');
  expect({ status: created.status, stderr: created.stderr }).toEqual({
    status: 0,
    stderr: expect.stringContaining('next: ') as string,
  });
  expect(run('ctl', 'sign', 'bare.tlv', '--certificate', 'bare.pem', '--pin-file', 'pin')).toMatchObject({ status: 0 });
});

describe('a token that is named', async () => {
  const { softHsm, run } = await makePlace('named');
  const tokens = [
    await createSastToken(softHsm, { label: 'one', ...sizes, authority }),
    await createSastToken(softHsm, { label: 'two', ...sizes, authority }),
  ];

  test('twice and differently is refused: one would win silently', () => {
    const words = [...create, 'two-names.tlv', '--token', tokens[0]!.token.uri, '--token-label', 'two'];
    const outcome = run(...words);
    expect(outcome.status).toBe(2);
    expect(outcome.stderr).toContain('--token names "one", and --token-label names "two"');
    const modules = run(...create, 'x.tlv', '--token', 'pkcs11:?module-path=/a.so', '--module', '/b.so');
    expect(modules.stderr).toContain('--token names "/a.so", and --module names "/b.so"');
  });

  test("is refused where the cluster's key signs", () => {
    const cluster = ['--cluster', 'cluster/cluster.yaml'];
    expect(run('ctl', 'create', '--mode', 'tokenless', '--out', 'tokenless.tlv', ...cluster)).toMatchObject({
      status: 0,
    });
    const outcome = run(
      'ctl',
      'sign',
      'tokenless.tlv',
      ...cluster,
      '--token',
      tokens[0]!.token.uri,
      '--pin-file',
      'pin',
    );
    expect(outcome.status).toBe(2);
    expect(outcome.stderr).toContain("a tokenless list is signed by the cluster's CallManager key, not by the token");
  });
});
