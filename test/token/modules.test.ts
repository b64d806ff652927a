import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { DeviceError } from '../../src/errors.js';
import { findModules, requireModule, usableModules, type ModuleSearch } from '../../src/token/index.js';
import { elf, elfMachine, machCpu, machO, pe, peMachine, universal } from './library-files.js';
import { temporaryFolder } from './soft-tokens.js';

const folder = temporaryFolder();
const linux: ModuleSearch = { platform: 'linux', architecture: 'x64', environment: {} };

function put(path: string, content: string | Uint8Array): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function refusal(path: string, search: ModuleSearch): DeviceError {
  const [candidate] = findModules({ ...search, modulePath: path });
  try {
    requireModule(candidate!);
  } catch (error) {
    if (error instanceof DeviceError) return error;
    throw error;
  }
  throw new Error(`${path} was taken`);
}

describe('a module that was named', () => {
  const mac: ModuleSearch = { platform: 'darwin', architecture: 'arm64', environment: {} };
  const windows: ModuleSearch = { platform: 'win32', architecture: 'x64', environment: {} };
  const wrong = 'module-wrong-architecture';
  const none = 'module-not-a-library';

  test.each<[string, string | Uint8Array, ModuleSearch, string, string]>([
    ['text', '/* GNU ld script */\n', linux, none, 'is a text file'],
    ['empty', '', linux, none, 'is an empty file'],
    ['image', Uint8Array.from({ length: 64 }, (_, index) => 255 - index), linux, none, 'is not a library'],
    ['x86', elf(elfMachine.x86, 1), linux, wrong, 'is built for 32-bit x86, and this Node.js is 64-bit x86'],
    ['arm64', elf(elfMachine.arm64), linux, wrong, 'is built for 64-bit ARM, and this Node.js is 64-bit x86'],
    ['sparc', elf(43), linux, wrong, 'ELF machine 43'],
    ['program', elf(elfMachine.x64, 2, 2), linux, none, 'is a program or object file'],
    ['dll-on-linux', pe(peMachine.x64), linux, wrong, 'is a library for Windows, and this is Linux'],
    ['so-on-mac', elf(elfMachine.arm64), mac, wrong, 'is a library for Linux, and this is macOS'],
    ['intel-on-mac', machO(machCpu.x64), mac, wrong, 'is built for 64-bit x86, and this Node.js is 64-bit ARM'],
    ['mac-program', machO(machCpu.arm64, 2), mac, none, 'is a program or object file'],
    ['java', Uint8Array.of(0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61, ...new Uint8Array(64)), mac, none, 'is not a library'],
    ['dll32', pe(peMachine.x86), windows, wrong, 'is built for 32-bit x86, and this Node.js is 64-bit x86'],
    ['exe', pe(peMachine.x64, 0x22), windows, none, 'is a program or object file'],
    ['mz-only', 'MZ and nothing behind it', windows, none, 'is a text file'],
  ])('%s is told from a library before it is loaded', (name, content, search, code, words) => {
    const error = refusal(put(join(folder, 'named', name), content), search);
    expect(error.code).toBe(code);
    expect(error.message).toContain(name);
    expect(error.message).toContain(words);
    expect(error.hint).toBeDefined();
  });

  test.each<[string, Uint8Array, ModuleSearch]>([
    ['good.so', elf(elfMachine.x64), linux],
    ['good.dylib', machO(machCpu.arm64), mac],
    ['universal.dylib', universal(machCpu.x64, machCpu.arm64), mac],
    ['good.dll', pe(peMachine.x64), windows],
  ])('%s is found', (name, content, search) => {
    const path = put(join(folder, 'named', name), content);
    expect(findModules({ ...search, modulePath: path })).toMatchObject([{ state: 'found', source: 'option' }]);
  });

  test('a directory, a missing file and a pipe each have words of their own', () => {
    mkdirSync(join(folder, 'directory'));
    expect(refusal(join(folder, 'directory'), linux)).toMatchObject({ code: none });
    expect(refusal(join(folder, 'directory'), linux).message).toContain('is a directory');
    expect(refusal(join(folder, 'absent.so'), linux)).toMatchObject({ code: 'module-missing' });
    expect(refusal(join(folder, 'absent.so'), linux).message).toContain('does not exist');
    execFileSync('mkfifo', [join(folder, 'pipe.so')]);
    expect(refusal(join(folder, 'pipe.so'), linux).message).toContain('is not a regular file');
  });

  test('is the only one that is looked at; the option counts before the environment', () => {
    const [one, two] = [join(folder, 'one.so'), join(folder, 'two.so')];
    const environment = { ETOKEN_BRIDGE_MODULE: two };
    expect(findModules({ ...linux, environment, modulePath: one }).map(({ path }) => path)).toEqual([one]);
    expect(findModules({ ...linux, environment })).toMatchObject([
      { path: two, source: 'environment ETOKEN_BRIDGE_MODULE', state: 'missing' },
    ]);
  });

  test('a spy is taken, with a warning that it writes the PIN down', () => {
    const spy = put(join(folder, 'pkcs11-spy.so'), elf(elfMachine.x64));
    const plain = put(join(folder, 'plain.so'), elf(elfMachine.x64));
    const warningOf = (search: ModuleSearch): string | undefined => findModules(search)[0]?.warning;
    expect(warningOf({ ...linux, modulePath: spy })).toContain('PIN');
    expect(warningOf({ ...linux, modulePath: plain })).toBeUndefined();
    expect(warningOf({ ...linux, modulePath: plain, environment: { PKCS11SPY: '/x.so' } })).toContain('PKCS11SPY');
  });
});

describe('modules that are installed', () => {
  const root = join(folder, 'root');
  const home = join(folder, 'home');
  const search: ModuleSearch = { ...linux, root, environment: { HOME: home } };
  const library = elf(elfMachine.x64);
  const triplet = '/usr/lib/x86_64-linux-gnu';

  beforeAll(() => {
    put(`${root}/usr/lib/libeToken.so`, library);
    put(`${root}${triplet}/softhsm/libsofthsm2.so`, library);
    mkdirSync(`${root}/usr/lib/softhsm`, { recursive: true });
    symlinkSync(`${root}${triplet}/softhsm/libsofthsm2.so`, `${root}/usr/lib/softhsm/libsofthsm2.so`);
    put(`${root}${triplet}/opensc-pkcs11.so`, elf(elfMachine.x86, 1));
    put(`${root}${triplet}/pkcs11/p11-kit-trust.so`, library);
    put(`${root}${triplet}/pkcs11/own.so`, library);
    put(`${root}${triplet}/pkcs11/user.so`, library);
    put(`${root}/opt/other.so`, library);
    const modules = `${root}/usr/share/p11-kit/modules`;
    put(`${modules}/softhsm2.module`, '# a comment\nmodule: /usr/lib/softhsm/libsofthsm2.so\n');
    put(`${modules}/own.module`, 'module: own.so\npriority: 1\n');
    put(`${modules}/p11-kit-trust.module`, 'module: p11-kit-trust.so\npriority: 5\ntrust-policy: yes\n');
    put(`${modules}/remote.module`, 'remote: |p11-kit remote /usr/lib/sac/libeToken.so\n');
    put(`${root}${triplet}/p11-kit-proxy.so`, library);
    put(`${modules}/told.module`, "module: told.so\nx-init-reserved: configdir='sql:/a b' flags=readOnly\n");
    put(`${modules}/disabled.module`, 'module: /opt/disabled.so\ndisable-in: firefox, etoken-bridge\n');
    put(`${modules}/elsewhere.module`, 'module: /opt/elsewhere.so\nenable-in: firefox\n');
    put(`${modules}/changed.module`, 'module: /opt/other.so\n');
    put(`${root}/etc/pkcs11/modules/changed.module`, 'disable-in: etoken-bridge\n');
    put(`${root}/opt/disabled.so`, library);
    put(`${root}/opt/elsewhere.so`, library);
    put(`${home}/.config/pkcs11/modules/user.module`, 'module: user.so\n');
  });

  const stateOf = (ending: string): unknown => findModules(search).find(({ path }) => path.endsWith(ending));

  test('every place is listed with what is there, the vendor before OpenSC and SoftHSM2 last', () => {
    const candidates = findModules(search);
    const families = candidates.filter(({ source }) => source === 'built-in table').map(({ family }) => family);
    expect(families[0]).toBe('SafeNet');
    expect(families.lastIndexOf('SafeNet')).toBeLessThan(families.indexOf('OpenSC'));
    expect(families.at(-1)).toBe('SoftHSM2');
    expect(candidates.every(({ path, detail }) => path.startsWith(folder) && detail !== '')).toBe(true);
    expect(stateOf('/usr/lib/libeToken.so')).toMatchObject({ state: 'found', detail: '64-bit x86 library' });
    expect(stateOf('/usr/lib64/libeToken.so')).toMatchObject({ state: 'missing' });
    expect(stateOf('/x86_64-linux-gnu/opensc-pkcs11.so')).toMatchObject({ state: 'wrong-architecture' });
  });

  test('p11-kit module files name more, with bare names in its own folder', () => {
    const source = `p11-kit module file ${root}/usr/share/p11-kit/modules/own.module`;
    expect(stateOf('/pkcs11/own.so')).toMatchObject({ state: 'found', source, family: 'unknown' });
    expect(stateOf('/pkcs11/user.so')).toMatchObject({
      state: 'found',
      source: `p11-kit module file ${home}/.config/pkcs11/modules/user.module`,
    });
  });

  test.each([
    ['p11-kit-trust.so', 'trusted certificates'],
    ['p11-kit-proxy.so', 'reaches tokens elsewhere, by a command'],
    ['disabled.so', 'disabled for etoken-bridge'],
    ['elsewhere.so', 'other programs only'],
    ['other.so', 'disabled for etoken-bridge'],
  ])('%s is passed over, and says why', (name, words) => {
    expect(stateOf(`/${name}`)).toMatchObject({
      state: 'passed-over',
      detail: expect.stringContaining(words) as string,
    });
  });

  test('what can be used is each library once, however many paths lead to it', () => {
    const usable = usableModules(findModules(search)).map(({ path }) => path.slice(root.length));
    expect(usable).toEqual([
      '/usr/lib/libeToken.so',
      '/usr/lib/softhsm/libsofthsm2.so',
      `${triplet}/pkcs11/own.so`,
      `${triplet}/pkcs11/user.so`,
    ]);
  });

  test('a module can be named as RFC 7512 does, without its path', () => {
    expect(findModules({ ...search, modulePath: 'softhsm2' })).toMatchObject([
      { path: `${root}/usr/lib/softhsm/libsofthsm2.so`, state: 'found', source: 'option' },
    ]);
    expect(findModules({ ...search, modulePath: 'libeToken.so' })).toMatchObject([
      { path: `${root}/usr/lib/libeToken.so`, family: 'SafeNet' },
    ]);
  });

  test('one that is only reached by a command is used where it is named', () => {
    expect(findModules({ ...search, modulePath: 'p11-kit-proxy' })).toMatchObject([
      { path: `${root}${triplet}/p11-kit-proxy.so`, state: 'found', family: 'p11-kit' },
    ]);
  });

  test('what a module is told: by its module file, and by the environment only where it is named', () => {
    const [ofFile, ofEnvironment] = ["configdir='sql:/a b' flags=readOnly", 'configdir=sql:/c'];
    const path = `${root}${triplet}/pkcs11/told.so`;
    const environment = { HOME: home, ETOKEN_BRIDGE_MODULE_PARAMETERS: ofEnvironment };
    expect(stateOf('/told.so')).toMatchObject({ parameters: ofFile });
    expect(findModules({ ...search, modulePath: path })).toMatchObject([{ parameters: ofFile }]);
    expect(findModules({ ...search, environment, modulePath: path })).toMatchObject([{ parameters: ofEnvironment }]);
    const found = findModules({ ...search, environment });
    expect(found.flatMap(({ parameters }) => parameters ?? [])).toEqual([ofFile]);
  });

  test('LD_LIBRARY_PATH is searched for the modules of SafeNet', () => {
    const environment = { HOME: home, LD_LIBRARY_PATH: '/opt/sac::relative' };
    const paths = findModules({ ...search, environment }).map(({ path }) => path);
    expect(paths).toContain(`${root}/opt/sac/libeTPkcs11.so`);
    expect(paths.some((path) => path.includes('relative'))).toBe(false);
  });

  test.each<[string, string, readonly string[]]>([
    ['darwin', 'arm64', ['/usr/local/lib/libeTPkcs11.dylib', '/opt/homebrew/lib/softhsm/libsofthsm2.so']],
    [
      'win32',
      'x64',
      ['C:\\Windows\\System32\\eTPKCS11.dll', 'D:\\Programs\\OpenSC Project\\OpenSC\\pkcs11\\opensc-pkcs11.dll'],
    ],
    ['win32', 'ia32', ['C:\\Windows\\SysWOW64\\eTPKCS11.dll']],
    ['linux', 'arm64', ['/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so']],
  ])('%s %s has a table of its own', (platform, architecture, expected) => {
    const environment = { ProgramFiles: 'D:\\Programs', windir: 'C:\\Windows' };
    const paths = findModules({ platform, architecture, environment }).map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining([...expected]));
  });

  test('a system without a table, and one without anything installed, have nothing to use', () => {
    expect(usableModules(findModules({ platform: 'sunos', environment: {}, root: join(folder, 'nothing') }))).toEqual(
      [],
    );
    expect(usableModules(findModules({ ...linux, root: join(folder, 'nothing') }))).toEqual([]);
  });
});
