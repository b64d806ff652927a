import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createSoftHsm, findSoftHsm, listSoftTokens } from 'softhsm-config';
import { filesBelow, readToken, temporaryFolder } from './soft-token.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const program = join(root, 'softhsm/dist/main.js');
const folder = temporaryFolder();
const isRoot = process.getuid?.() === 0;

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(words: readonly string[], environment: Record<string, string> = {}): Outcome {
  const env = { ...process.env, SOFTHSM2_MODULE: '', ...environment };
  return spawnSync(process.execPath, [program, ...words], { encoding: 'utf8', env });
}

/** Runs a shell script where mounts are its own, and end with it. */
function runApart(script: string): Outcome {
  const env = { ...process.env, SOFTHSM2_MODULE: '', NODE: process.execPath, PROGRAM: program, ROOT: root };
  return spawnSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'utf8', env });
}

/** A script that hides the library's folders, if they hold nothing else. `undefined`: that cannot be done here. */
function hideLibrary(): string | undefined {
  const module = findSoftHsm()?.module;
  if (module === undefined || !isRoot) return undefined;
  const folders = new Set([dirname(module), dirname(realpathSync(module))]);
  if ([...folders].some((path) => basename(path) !== 'softhsm')) return undefined;
  const script = [...folders].map((path) => `mount -t tmpfs tmpfs ${path}`).join(' && ');
  return runApart(script).status === 0 ? script : undefined;
}

const hiding = hideLibrary();
const cannotHide = 'needs root, and SoftHSM2 in folders of its own, to hide it for a moment';

describe('create', () => {
  test('makes a configuration with tokens, and prints how to use them', async () => {
    const directory = join(folder, 'two');
    const { status, stdout, stderr } = run(['create', directory]);
    expect(stderr).toMatch(/^made token soft-etoken-1 with SAST-ADN[0-9a-f]{8}\nmade token soft-etoken-2 with/);
    expect(status).toBe(0);
    const [environment, ...uris] = stdout.trimEnd().split('\n');
    expect(environment).toBe(`export SOFTHSM2_CONF=${join(directory, 'softhsm2.conf')}`);
    expect(uris).toHaveLength(2);

    const softHsm = await createSoftHsm(directory);
    const tokens = await listSoftTokens(softHsm);
    expect(tokens.map(({ uri }) => uri).sort()).toEqual([...uris].sort());
    const pin = readFileSync(join(directory, 'pin'), 'utf8');
    const soPin = readFileSync(join(directory, 'so-pin'), 'utf8');
    expect(pin).toMatch(/^\d{8}\n$/);
    expect(soPin).toMatch(/^\d{8}\n$/);
    expect(`${stdout}${stderr}`).not.toMatch(new RegExp(`${pin.trim()}|${soPin.trim()}`));
    for (const { mode } of filesBelow(directory)) expect(mode & 0o077).toBe(0);
    const contents = await readToken(softHsm, tokens[0]!, pin.trim());
    expect(contents.certificates).toHaveLength(1);
    expect(contents.signature).toHaveLength(256);
  });

  test('takes number, size and PIN, and prints JSON', async () => {
    const directory = join(folder, "with 'quotes' and blanks");
    const pinFile = join(folder, 'my-pin');
    writeFileSync(pinFile, 'tulip-4711\r\n', { mode: 0o600 });
    const words = ['create', directory, '--tokens', '1', '--bits', '1024', '--pin-file', pinFile, '--json'];
    const { status, stdout, stderr } = run(words);
    expect(status).toBe(0);
    expect(`${stdout}${stderr}`).not.toContain('tulip');
    const result = JSON.parse(stdout) as Record<string, unknown> & { tokens: Record<string, unknown>[] };
    expect(result).toMatchObject({
      module: findSoftHsm()?.module,
      directory,
      configuration: join(directory, 'softhsm2.conf'),
      environment: { SOFTHSM2_CONF: join(directory, 'softhsm2.conf') },
      pinFile,
      soPinFile: join(directory, 'so-pin'),
      tokens: [{ label: 'soft-etoken-1', keyBits: 1024, keyId: expect.stringMatching(/^[0-9a-f]{40}$/) as string }],
    });
    expect(result.tokens[0]?.['commonName']).toMatch(/^SAST-ADN[0-9a-f]{8} {8}$/);
    expect(existsSync(join(directory, 'pin'))).toBe(false);
    const softHsm = await createSoftHsm(directory);
    const [token] = await listSoftTokens(softHsm);
    expect((await readToken(softHsm, token!, 'tulip-4711')).signature).toHaveLength(128);
  });

  test('the line for the shell can be read back by a shell', () => {
    const directory = join(folder, "O'Brien $HOME");
    const { stdout } = run(['create', directory, '--tokens', '1', '--bits', '1024']);
    const [line] = stdout.split('\n');
    const shell = spawnSync('sh', ['-c', `${line ?? ''}; printf %s "$SOFTHSM2_CONF"`], { encoding: 'utf8' });
    expect(shell.stdout).toBe(join(directory, 'softhsm2.conf'));
  });

  test('does not touch a folder that has tokens', () => {
    const directory = join(folder, 'twice');
    expect(run(['create', directory, '--tokens', '1', '--bits', '1024']).status).toBe(0);
    const before = filesBelow(directory);
    const again = run(['create', directory]);
    expect(again.status).toBe(2);
    expect(again.stdout).toBe('');
    expect(again.stderr).toBe(
      `error: ${join(directory, 'softhsm2.conf')} is already there\nhint: choose a new folder\n`,
    );
    expect(filesBelow(directory)).toEqual(before);
  });

  test('leaves nothing behind when it fails', () => {
    const directory = join(folder, 'failing');
    const pinFile = join(folder, 'short-pin');
    writeFileSync(pinFile, '123\n');
    const short = run(['create', directory, '--pin-file', pinFile]);
    expect(short.status).toBe(2);
    expect(short.stderr).toBe('error: the PIN cannot be used\nhint: a PIN has 4 to 255 bytes\n');
    expect(existsSync(directory)).toBe(false);

    mkdirSync(directory, { mode: 0o700 });
    writeFileSync(join(directory, 'mine'), 'stays');
    const noLibrary = join(folder, 'no-library.so');
    writeFileSync(noLibrary, 'this is text');
    const broken = run(['create', directory], { SOFTHSM2_MODULE: noLibrary });
    expect(broken.status).toBe(3);
    expect(broken.stderr).toMatch(/^error: .*no-library\.so cannot be loaded: .*\nhint: SOFTHSM2_MODULE must name/);
    expect(filesBelow(directory).map(({ path }) => path)).toEqual([join(directory, 'mine')]);
  });

  test('says that the binding to PKCS#11 was not built', () => {
    // The same program where graphene-pk11 is not installed: it is an optional dependency.
    const apart = join(folder, 'without-binding');
    mkdirSync(join(apart, 'node_modules'), { recursive: true });
    symlinkSync(root, join(apart, 'node_modules/etoken-bridge'));
    cpSync(join(root, 'softhsm/dist'), join(apart, 'dist'), { recursive: true });
    writeFileSync(join(apart, 'package.json'), '{ "type": "module" }');
    const words = [join(apart, 'dist/main.js'), 'create', join(apart, 'tokens')];
    const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    expect(status).toBe(3);
    expect(stderr).toMatch(/^error: graphene-pk11 and pkcs11js, .* cannot be loaded: Cannot find module/);
    expect(stderr).toMatch(
      /\nhint: install Python 3, make and a C\+\+ compiler, let npm run the install script of pkcs11js.*\n$/,
    );
    expect(existsSync(join(apart, 'tokens'))).toBe(false);
  });

  test('says that a PIN file is missing', () => {
    const { status, stderr } = run(['create', join(folder, 'x'), '--pin-file', '/absent/pin']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^error: the PIN file \/absent\/pin does not exist\nhint: /);
  });
});

describe('usage', () => {
  test.each([
    { words: [], says: 'no command given' },
    { words: ['destroy'], says: 'there is no command destroy' },
    { words: ['constructor'], says: 'there is no command constructor' },
    { words: ['create'], says: 'create needs the folder to make' },
    { words: ['create', ''], says: 'create needs the folder to make' },
    { words: ['create', 'a', 'b'], says: 'create does not take b' },
    { words: ['create', 'a', '--tokens', '0'], says: '--tokens 0: a number from 1 to 99 expected' },
    { words: ['create', 'a', '--tokens', '1e1'], says: '--tokens 1e1: a number from 1 to 99 expected' },
    { words: ['create', 'a', '--bits', '4096'], says: '--bits 4096: 1024 or 2048 expected' },
    { words: ['create', 'a', '--pin', '1234'], says: "Unknown option '--pin'" },
    { words: ['find', '--tokens', '2'], says: 'find has no option --tokens' },
  ])('$words', ({ words, says }) => {
    const { status, stdout, stderr } = run(words);
    expect(stderr).toBe(`error: ${says}\nhint: softhsm-config --help lists what there is\n`);
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });

  test('--help explains it on standard output', () => {
    const { status, stdout } = run(['--help']);
    expect(status).toBe(0);
    expect(stdout).toContain('create DIR [--tokens N] [--bits 1024|2048] [--pin-file FILE]');
    expect(stdout.split('\n').every((line) => line.length <= 110)).toBe(true);
  });
});

describe('find and install', () => {
  test('print the path of the library that is there', () => {
    const module = findSoftHsm()?.module;
    expect(run(['find'])).toMatchObject({ status: 0, stdout: `${module ?? ''}\n`, stderr: '' });
    expect(run(['install'])).toMatchObject({ status: 0, stdout: `${module ?? ''}\n`, stderr: '' });
    expect(JSON.parse(run(['find', '--json']).stdout)).toEqual({ module });
  });

  test('SOFTHSM2_MODULE that names no file fails', () => {
    const { status, stderr } = run(['install'], { SOFTHSM2_MODULE: '/absent/libsofthsm2.so' });
    expect(status).toBe(3);
    expect(stderr).toMatch(/^error: SOFTHSM2_MODULE names \/absent\/libsofthsm2\.so, which does not exist\nhint: /);
  });

  test('without SoftHSM2 and a package manager they say what to do', ({ skip }) => {
    if (hiding === undefined) skip(cannotHide);
    const empty = join(folder, 'no-programs');
    mkdirSync(empty);
    const runHidden = (command: string): Outcome =>
      runApart(`${hiding ?? ''}; PATH=${empty}; export PATH; exec "$NODE" "$PROGRAM" ${command}`);
    const installing = runHidden('install');
    expect(installing.status).toBe(3);
    expect(installing.stdout).toBe('');
    expect(installing.stderr).toMatch(/^error: SoftHSM2 is not on this machine, and neither is a package manager/);
    expect(installing.stderr).toMatch(/\nhint: install the package softhsm2 \(Debian, Ubuntu\) or softhsm/);
    const finding = runHidden('find');
    expect(finding.status).toBe(3);
    expect(finding.stderr).toBe(
      'error: SoftHSM2 is not on this machine\n' +
        'hint: run softhsm-config install, or set SOFTHSM2_MODULE to the path of libsofthsm2.so\n',
    );
    const creating = runHidden(`create ${join(folder, 'hidden')}`);
    expect(creating.status).toBe(3);
    expect(creating.stderr).toBe(finding.stderr);
    expect(existsSync(join(folder, 'hidden'))).toBe(false);
  });

  const hasApt = existsSync('/usr/bin/apt-get');

  test('a user without sudo is told what root must run', ({ skip }) => {
    if (hiding === undefined) skip(cannotHide);
    if (!hasApt || !existsSync('/usr/bin/setpriv')) skip('needs apt-get and setpriv');
    if (existsSync('/usr/bin/sudo')) skip('sudo is installed');
    const asNobody = `setpriv --reuid 65534 --regid 65534 --clear-groups`;
    if (runApart(`${asNobody} "$NODE" "$PROGRAM" --help`).status !== 0) skip('the project is not readable for others');
    const { status, stderr } = runApart(`${hiding ?? ''}; exec ${asNobody} "$NODE" "$PROGRAM" install`);
    expect(status).toBe(3);
    expect(stderr).toMatch(/needs root or sudo\nhint: run as root: apt-get install softhsm2\n$/);
  });

  test('apt-get installs it where it and the package lists are missing', ({ skip }) => {
    if (!isRoot || !hasApt) skip('needs root and apt-get');
    // A copy of this machine that only this test sees: what it writes stays in memory, and is gone with it.
    const script = `
      work="${join(folder, 'copy')}" && mkdir "$work" && mount -t tmpfs tmpfs "$work" && mkdir "$work/changes" "$work/work" "$work/root" &&
      mount -t overlay overlay -o "lowerdir=/,upperdir=$work/changes,workdir=$work/work" "$work/root" || exit 77
      for kept in /dev /proc /sys /etc/resolv.conf "$ROOT"; do mount --rbind "$kept" "$work/root$kept" || exit 77; done
      chroot "$work/root" sh -c '
        dpkg --purge --force-depends softhsm2 libsofthsm2 softhsm2-common >/dev/null 2>&1
        rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
        "$NODE" "$PROGRAM" find && exit 76
        exec "$NODE" "$PROGRAM" install'`;
    const { status, stdout, stderr } = runApart(script);
    if (status === 77) skip(`this machine cannot be copied: ${stderr}`);
    if (/Could not resolve|Could not connect|Temporary failure|Failed to fetch/.test(stderr)) skip('no package index');
    expect(stderr).toContain('installing softhsm2 with apt-get\nfetching the package lists with apt-get\n');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\/usr\/lib\/.*libsofthsm2\.so\n$/);
  });
});

test('the program can be started by its name', () => {
  expect(readFileSync(program, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
});
