import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findSoftHsm, installSoftHsm, planInstallation, softHsmCandidates } from 'softhsm-config';

const folder = mkdtempSync(join(tmpdir(), 'softhsm-find-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const library = join(folder, 'libsofthsm2.so');
writeFileSync(library, 'a file in the place of the library');

describe('finding SoftHSM2', () => {
  test('takes the first of the paths that is a file', () => {
    mkdirSync(join(folder, 'folder.so'));
    const candidates = [join(folder, 'absent.so'), join(folder, 'folder.so'), library, '/also/absent.so'];
    expect(findSoftHsm({ environment: {}, candidates })).toEqual({ module: library });
  });

  test('finds nothing where nothing is', () => {
    expect(findSoftHsm({ environment: {}, candidates: [] })).toBeUndefined();
    expect(findSoftHsm({ environment: { SOFTHSM2_MODULE: '' }, candidates: ['/absent.so'] })).toBeUndefined();
  });

  test('SOFTHSM2_MODULE wins over the paths', () => {
    const other = join(folder, 'other.so');
    writeFileSync(other, '');
    expect(findSoftHsm({ environment: { SOFTHSM2_MODULE: other }, candidates: [library] })).toEqual({ module: other });
  });

  test('SOFTHSM2_MODULE that names no file is an error, even when the paths have the library', () => {
    const named = (path: string) => () =>
      findSoftHsm({ environment: { SOFTHSM2_MODULE: path }, candidates: [library] });
    expect(named('/absent/libsofthsm2.so')).toThrow(
      expect.objectContaining({
        name: 'DeviceError',
        code: 'module-missing',
        message: 'SOFTHSM2_MODULE names /absent/libsofthsm2.so, which does not exist',
        hint: expect.stringContaining('unset it') as string,
      }),
    );
    expect(named(folder)).toThrow(expect.objectContaining({ code: 'module-not-a-library' }));
  });

  test('knows where each system keeps it', () => {
    expect(softHsmCandidates('linux', 'arm64').slice(0, 2)).toEqual([
      '/usr/lib/softhsm/libsofthsm2.so',
      '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
    ]);
    expect(softHsmCandidates('linux', 'an-unknown-processor').join()).not.toContain('<');
    expect(softHsmCandidates('darwin', 'arm64')[0]).toBe('/opt/homebrew/lib/softhsm/libsofthsm2.so');
    expect(softHsmCandidates('win32', 'x64')[0]).toBe('C:\\SoftHSM2\\lib\\softhsm2-x64.dll');
    expect(softHsmCandidates('plan9', 'x64')).toEqual([]);
  });
});

describe('planning an installation', () => {
  const having =
    (...programs: string[]): ((name: string) => boolean) =>
    (name) =>
      programs.includes(name);

  test('as root each package manager is run as it is', () => {
    const line = (program: string): string | undefined =>
      planInstallation({ isRoot: true, hasProgram: having(program, 'sudo') })?.installing.join(' ');
    expect(line('apt-get')).toBe('apt-get -o DPkg::Lock::Timeout=120 -q -y --no-install-recommends install softhsm2');
    expect(line('dnf')).toBe('dnf -q -y --setopt=install_weak_deps=False install softhsm');
    expect(line('apk')).toBe('apk -q --no-cache add softhsm');
    expect(line('brew')).toBe('brew install -q softhsm');
  });

  test('otherwise through sudo, which asks nothing and gets the settings behind it', () => {
    const plan = planInstallation({ isRoot: false, hasProgram: having('apt-get', 'sudo') });
    expect(plan?.allowed).toBe(true);
    expect(plan?.installing.slice(0, 5)).toEqual(['sudo', '-n', 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get']);
    expect(plan?.refreshing?.slice(0, 5)).toEqual(['sudo', '-n', 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get']);
    expect(planInstallation({ isRoot: false, hasProgram: having('dnf', 'sudo') })?.installing.slice(0, 3)).toEqual([
      'sudo',
      '-n',
      'dnf',
    ]);
  });

  test('Homebrew never runs through sudo', () => {
    const plan = planInstallation({ isRoot: false, hasProgram: having('brew', 'sudo') });
    expect(plan).toMatchObject({
      allowed: true,
      packageName: 'softhsm',
      installing: ['brew', 'install', '-q', 'softhsm'],
    });
  });

  test('without root and sudo it is not allowed, and without a package manager there is no plan', () => {
    expect(planInstallation({ isRoot: false, hasProgram: having('apt-get') })?.allowed).toBe(false);
    expect(planInstallation({ isRoot: true, hasProgram: having('sudo') })).toBeUndefined();
  });
});

describe('installing SoftHSM2', () => {
  test('does nothing where it is already', async () => {
    const lines: string[] = [];
    const search = { environment: { PATH: '' }, candidates: [library] };
    await expect(installSoftHsm({ search, log: (line) => lines.push(line) })).resolves.toEqual({ module: library });
    expect(lines).toEqual([]);
  });

  test('says what to install where there is no package manager', async () => {
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    await expect(installSoftHsm({ search: { environment: { PATH: empty }, candidates: [] } })).rejects.toMatchObject({
      name: 'DeviceError',
      code: 'install-failed',
      message: expect.stringContaining('apt-get, dnf, apk, brew') as string,
      hint: expect.stringMatching(/softhsm2 \(Debian, Ubuntu\).*SOFTHSM2_MODULE/) as string,
    });
  });

  test('tells what a package manager said that fails', async () => {
    const programs = join(folder, 'programs');
    mkdirSync(programs);
    // A package manager that cannot do its work, as on a machine without a network.
    writeFileSync(join(programs, 'brew'), '#!/bin/sh\necho "no route to the package index" >&2\nexit 1\n', {
      mode: 0o755,
    });
    const search = { environment: { PATH: programs }, candidates: [] };
    await expect(installSoftHsm({ search })).rejects.toMatchObject({
      code: 'install-failed',
      message: 'SoftHSM2 could not be installed: brew install -q softhsm failed: no route to the package index',
      hint: 'run brew install softhsm and see what it says',
    });
  });
});
