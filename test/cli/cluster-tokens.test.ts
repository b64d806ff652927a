import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { ctlMode, isEmptied } from '../../src/ctl/index.js';
import { decodeTrustList, verifyTrustList } from '../../src/trust-list/index.js';
import { expectFailure, jsonOf } from './etoken-bridge.js';
import { makeSoftTokens } from './soft-tokens.js';

const tokens = await makeSoftTokens();
const { folder, first, run } = tokens;
const clusterFile = join(folder, tokens.cluster);
const original = readFileSync(clusterFile, 'utf8');
const operation = ['--cluster', tokens.cluster, '--yes'];

/** Who signed the list, whether it verifies, whether its servers are there. */
function state(): string {
  const list = decodeTrustList(new Uint8Array(readFileSync(join(folder, 'cluster/CTLFile.tlv'))));
  const verification = verifyTrustList(list);
  const signer = verification.verified ? verification.signer.subjectName : 'nobody';
  return `${ctlMode(list)} ${isEmptied(list) ? 'emptied' : 'whole'}, signed by ${signer ?? ''}`;
}

describe('a list that tokens sign', () => {
  beforeEach(() => {
    writeFileSync(clusterFile, original);
    tokens.makeTokenList('cluster/CTLFile.tlv');
  });

  test('stays one with update-ctl and set non-secure-mode, which the token signs; set mixed-mode makes it tokenless', () => {
    expect(run(['cluster', 'update-ctl', ...operation, ...first.options]).status).toBe(0);
    expect(state()).toContain(`token whole, signed by cn="${first.commonName}"`);
    const emptied = run(['cluster', 'set', 'non-secure-mode', ...operation, ...first.options]);
    expect(emptied.stdout).toContain('Cluster set to Non Secure Mode');
    expect(state()).toContain(`token emptied, signed by cn="${first.commonName}"`);
    const mixed = run(['cluster', 'set', 'mixed-mode', ...operation]);
    expect(mixed.stderr).toMatch(/^warning: A4: /m);
    expect(mixed.status).toBe(0);
    expect(state()).toMatch(/^tokenless whole, signed by CN=cucm-pub/);
  });

  test('a PIN that is wrong: 3, and both files are as they were', () => {
    const before = state();
    const wrong = ['--token', first.token.uri, '--pin-file', tokens.wrongPinFile];
    expectFailure(run(['cluster', 'set', 'non-secure-mode', ...operation, ...wrong]), 3, /PIN/);
    expect(state()).toBe(before);
    expect(readFileSync(clusterFile, 'utf8')).toBe(original);
    // The right PIN makes the token forget the wrong one.
    expect(run(['cluster', 'update-ctl', ...operation, ...first.options]).status).toBe(0);
  });

  test('cluster check: two tokens are well; one is A5; 14SU3 is A14', () => {
    const badOf = (): string[] => {
      const outcome = run(['cluster', 'check', tokens.cluster, '--json']);
      const { findings } = jsonOf(outcome) as { findings: { severity: string; check: string }[] };
      return findings.filter(({ severity }) => severity !== 'ok').map(({ severity, check }) => `${severity} ${check}`);
    };
    const noBackup = 'warning recovery-backup';
    expect(badOf()).toEqual([noBackup]);
    writeFileSync(clusterFile, original.replace('release: 11.5.1', 'release: 14SU3'));
    expect(badOf()).toEqual(['critical A14', noBackup]);
    writeFileSync(clusterFile, original);
    const serial = Buffer.from(tokens.second.certificate.serialNumber).toString('hex');
    const words = [
      'ctl',
      'remove-token',
      'cluster/CTLFile.tlv',
      '--serial',
      serial,
      '--accept',
      'A5',
      ...first.options,
    ];
    expect(run(words).status).toBe(0);
    expect(badOf()).toEqual([noBackup, 'warning A5']);
  });
});

const noUtility = spawnSync('softhsm2-util', ['--version']).error !== undefined;

test.skipIf(noUtility)('the key of the cluster may be on a token, by the URI in the cluster file', () => {
  const key = join(folder, 'cluster/keys/cucm-pub/CallManager.key');
  const [pin, label] = [first.pin, first.token.label.trim()];
  const imported = spawnSync(
    'softhsm2-util',
    ['--import', key, '--token', label, '--label', 'CallManager', '--id', 'c0ff', '--pin', pin],
    { env: { ...process.env, ...tokens.environment }, encoding: 'utf8' },
  );
  expect([imported.status, imported.stderr]).toEqual([0, '']);
  const uri = `pkcs11:token=${encodeURIComponent(label)};id=%C0%FF`;
  writeFileSync(clusterFile, original.replace('keys/cucm-pub/CallManager.key', uri));
  const list = ['--ctl', 'cluster/on-token.tlv', '--pin-file', first.pinFile];
  const { status, stderr } = run(['cluster', 'set', 'mixed-mode', ...operation, ...list]);
  expect(stderr).toMatch(/^cluster\/on-token\.tlv: /);
  expect(status).toBe(0);
  const made = decodeTrustList(new Uint8Array(readFileSync(join(folder, 'cluster/on-token.tlv'))));
  expect(verifyTrustList(made).verified).toBe(true);
  expect(ctlMode(made)).toBe('tokenless');
  const checked = run(['cluster', 'check', tokens.cluster, '--ctl', 'cluster/on-token.tlv']);
  expect(checked.stdout).toContain(
    'ok        cucm-pub CallManager: its private key is on a token, which was not looked at',
  );
});
