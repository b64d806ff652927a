import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { findSoftHsm } from 'softhsm-config';
import { expectFailure, initOneNode, program, root, run, temporaryFolder, type Outcome } from './etoken-bridge.js';
import { makeSoftwareKey } from './software-keys.js';

const bindings = ['pkcs11js', 'graphene-pk11'];

/** The built command as it is installed where optional packages are left out, or one of them was not built. */
function install(which: 'left-out' | 'not-built'): string {
  const folder = join(temporaryFolder(), which);
  const modules = join(folder, 'node_modules');
  mkdirSync(modules, { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  const built = dirname(relative(root, program));
  cpSync(join(root, built), join(folder, built), { recursive: true });
  const own = ['etoken-bridge', 'softhsm-config', ...bindings];
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!own.includes(name) && !name.startsWith('.'))
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  if (which === 'not-built') {
    for (const name of bindings) {
      const filter = (path: string): boolean => !/pkcs11js\/(build|prebuilds)(\/|$)/.test(path);
      cpSync(join(root, 'node_modules', name), join(modules, name), { recursive: true, dereference: true, filter });
    }
  }
  return join(folder, relative(root, program));
}

describe.each(['left-out', 'not-built'] as const)('pkcs11js %s', (which) => {
  const copy = install(which);
  const folder = temporaryFolder();
  const go = (...words: readonly string[]): Outcome => run(words, { cwd: folder, program: copy });
  const cluster = ['--cluster', 'cluster/cluster.yaml'];

  beforeAll(async () => {
    const [one, two] = [await makeSoftwareKey('SAST-one', 0x31), await makeSoftwareKey('SAST-two', 0x32)];
    one.write(folder, 'one');
    two.write(folder, 'two');
    const { status } = go(...initOneNode('cluster'));
    expect(status).toBe(0);
  });

  test('all that needs no token works', () => {
    const one = ['--key', 'one.key', '--certificate', 'one.pem'];
    const create = ['ctl', 'create', '--mode', 'token', '--out', '1.tlv', '--token-certificate', 'two.pem', ...cluster];
    const outcomes = [
      go('--version'),
      go('completion', 'bash'),
      go('cluster', 'show', 'cluster/cluster.yaml'),
      go(...create, ...one),
      go('ctl', 'show', '1.tlv'),
      go('ctl', 'verify', '1.tlv'),
      go('ctl', 'sign', '1.tlv', '--out', '2.tlv', '--key', 'two.key', '--certificate', 'two.pem'),
      go('ctl', 'to-tokenless', '1.tlv', '--out', '3.tlv', ...cluster),
      go('ctl', 'update', '3.tlv', '--out', '4.tlv', ...cluster),
      go('ctl', 'create', '--mode', 'tokenless', '--out', '5.tlv', ...cluster),
      go('ctl', 'to-non-secure', '5.tlv', '--out', '6.tlv', ...cluster),
    ];
    expect(outcomes.map(({ stderr }) => stderr).filter((text) => text.includes('error'))).toEqual([]);
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => 0));
    expect(go('ctl', 'diff', '1.tlv', '2.tlv').status).toBe(1);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tlv'))).toHaveLength(6);
  });

  test('what needs a token says which package is missing and how to get it: 3', () => {
    const module = ['--module', findSoftHsm()!.module];
    writeFileSync(join(folder, 'pin'), 'never-read', { mode: 0o600 });
    for (const words of [
      ['token', 'list'],
      ['token', 'certificates'],
      ['token', 'check', '--pin-file', 'pin'],
      ['token', 'export', '--out', 'sast'],
      ['ctl', 'create', '--mode', 'token', '--out', '9.tlv', '--pin-file', 'pin', ...cluster],
    ]) {
      const outcome = go(...words, ...module);
      expectFailure(outcome, 3, 'tokens cannot be used, because a package cannot be loaded: ', 'install pkcs11js');
      expect(outcome.stderr).toMatch(/cannot be loaded: (pkcs11js|graphene-pk11): /);
    }
    expect(readdirSync(folder)).not.toContain('9.tlv');
    expect(readdirSync(folder)).not.toContain('sast');
  });

  test('modules are found all the same, because looking for them loads none', () => {
    const { status, stdout } = go('token', 'modules', ...['--module', findSoftHsm()!.module]);
    expect(stdout).toMatch(/^found +SoftHSM2 /m);
    expect(status).toBe(0);
  });

  test('it is the copy that ran', () => {
    const path = join(dirname(dirname(dirname(copy))), 'package.json');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace(/"version": "[^"]+"/, '"version": "9.8.7-copy"'));
    expect(go('--version').stdout).toBe('9.8.7-copy\n');
  });
});
