import { closeSync, openSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { knownLists, rebuildKnownList } from '../trust-list/known-lists.js';
import { expectFailure, plainEnvironment, program, run, snapshot, temporaryFolder, version } from './etoken-bridge.js';

const folder = temporaryFolder();
const tokenless = join(folder, 'CTLFile.tlv');
writeFileSync(tokenless, (await rebuildKnownList(knownLists.find(({ id }) => id === 'ctl-tokenless')!)).bytes);

/** Every command and the options of its own. */
const commands: Readonly<Record<string, readonly string[]>> = {
  'token modules': ['--module', '--all'],
  'token list': ['--token', '--module', '--token-label', '--token-serial'],
  'token certificates': ['--token', '--pin-file', '--use-final-pin-try', '--login'],
  'token export': ['--token', '--out', '--format'],
  'token check': ['--token', '--pin-file', '--signature-pin-file', '--use-final-pin-try', '--certificate'],
  'token watch': ['--token', '--module', '--token-label', '--token-serial', '--interval'],
  'token change-pin': ['--token', '--pin-file', '--new-pin-file', '--use-final-pin-try'],
  'ctl show': ['--values'],
  'ctl verify': ['--against', '--itl'],
  'ctl diff': [],
  'ctl create': ['--cluster', '--mode', '--out', '--token-certificate', '--token', '--pin-file', '--accept'],
  'ctl update': ['--cluster', '--out', '--token', '--pin-file', '--key', '--digest', '--timestamp', '--accept'],
  'ctl add-token': ['--cluster', '--out', '--token-certificate', '--token', '--pin-file', '--accept'],
  'ctl remove-token': ['--serial', '--cluster', '--out', '--token', '--pin-file', '--accept'],
  'ctl to-tokenless': ['--cluster', '--out', '--key', '--certificate', '--key-password-file', '--accept'],
  'ctl to-token': ['--cluster', '--out', '--token-certificate', '--token', '--pin-file', '--accept'],
  'ctl to-non-secure': ['--cluster', '--out', '--token', '--pin-file', '--key', '--accept'],
  'ctl sign': [
    '--cluster',
    '--out',
    '--token',
    '--module',
    '--token-label',
    '--token-serial',
    '--pin-file',
    '--digest',
  ],
  'itl show': ['--values'],
  'itl verify': ['--against', '--ctl'],
  'itl diff': [],
  'itl create': [
    ...['--cluster', '--out', '--node', '--hash', '--device', '--devices', '--link', '--token', '--pin-file'],
    ...['--key', '--digest', '--timestamp'],
  ],
  'itl empty': ['--cluster', '--out', '--token', '--pin-file', '--key', '--digest', '--timestamp'],
  'itl backup-key': [
    ...['--cluster', '--out', '--sftp', '--recovery-password-file', '--key-password-file', '--encryption'],
    '--password-changed',
  ],
  'itl reset localkey': [
    ...['--cluster', '--out', '--itl', '--signer', '--device', '--devices', '--link', '--token', '--pin-file'],
    ...['--key', '--key-password-file', '--digest', '--timestamp'],
  ],
  'itl reset remotekey': [
    ...['--cluster', '--out', '--itl', '--recovery-password-file', '--key-password-file', '--host-key'],
    ...['--device', '--devices', '--link', '--digest', '--timestamp'],
  ],
  'file sign': [
    ...['--out', '--jobs', '--continue', '--token', '--module', '--token-label', '--token-serial', '--pin-file'],
    ...['--key', '--certificate', '--key-password-file', '--cluster', '--node', '--digest', '--timestamp'],
  ],
  'file verify': ['--ctl', '--itl', '--certificate', '--jobs'],
  'file strip': ['--ctl', '--itl', '--certificate', '--out', '--jobs'],
  'file encrypt': [
    ...['--phone-certificate', '--phone-certificates', '--out', '--jobs', '--continue', '--token', '--pin-file'],
    ...['--key', '--certificate', '--cluster', '--node', '--digest', '--timestamp'],
  ],
  'file decrypt': ['--key', '--key-password-file', '--ctl', '--itl', '--certificate', '--out', '--jobs'],
  'file watch': [
    '--out',
    '--settle',
    '--poll',
    '--remove',
    '--once',
    '--token',
    '--pin-file',
    '--key',
    '--cluster',
    '--node',
  ],
  'cluster init': ['--release', '--security-mode', '--node', '--lab', '--key-bits', '--force'],
  'cluster show': [],
  'cluster export': ['--out', '--format'],
  'cluster check': ['--ctl', '--itl', '--days', '--key-password-file'],
  'cluster set': ['--cluster', '--ctl', '--yes', '--key', '--key-password-file', '--digest', '--timestamp', '--accept'],
  'cluster update-ctl': ['--cluster', '--ctl', '--yes', '--token', '--pin-file', '--key', '--accept'],
  'cluster renew': ['--cluster', '--node', '--import', '--key-password-file', '--accept', '--yes'],
  'phone boot': ['--ctl', '--itl', '--tvs', '--mac', '--model', '--no-security-by-default', '--save', '--log'],
  'phone offer': ['--ctl', '--itl', '--tvs', '--mac', '--encrypted-configuration'],
  'phone clusters': ['--ctl', '--itl', '--tvs', '--no-security-by-default', '--cluster'],
  'fleet check': ['--phones', '--lists', '--strict', '--ctl', '--itl', '--cluster', '--lost'],
  diagnose: [
    ...['--itl', '--ctl', '--held-itl', '--held-ctl', '--phone-itl-checksum', '--phone-ctl-checksum'],
    ...['--configuration', '--cluster', '--tvs', '--tvs-certificate', '--log', '--phone-verification'],
    ...['--old-key-backup', '--no-security-by-default', '--timeout', '--legacy-tls'],
  ],
  'migrate plan': ['--cluster', '--to', '--ctl', '--itl', '--phones', '--out', '--lost', '--token-certificate'],
  'migrate show': [],
  'migrate apply': [
    ...['--cluster', '--work', '--ctl', '--tftp', '--tvs', '--tftp-folder', '--yes', '--phones-restarted', '--dry-run'],
    ...['--token-certificate', '--token', '--pin-file', '--key', '--digest', '--timestamp', '--accept'],
  ],
  'migrate undo': [
    ...['--cluster', '--work', '--ctl', '--tftp', '--tvs', '--tftp-folder', '--yes', '--dry-run', '--back-to'],
    ...['--token', '--pin-file'],
  ],
  'tvs serve': ['--cluster', '--node', '--ctl', '--host', '--port', '--legacy-tls'],
  'tvs query': ['--certificate', '--list', '--server-certificate'],
  'tvs verify': ['--server-certificate'],
  'tftp serve': ['--host', '--port', '--fallback'],
  'tftp get': ['--out', '--blksize', '--windowsize'],
  lab: [
    '--stories',
    '--story',
    '--dir',
    '--cluster-mode',
    '--nodes',
    '--phones',
    '--tftp-port',
    '--tvs-port',
    '--once',
  ],
};

describe('help', () => {
  test.each(Object.entries(commands))('%s --help names its options and ends with 0', (command, options) => {
    const { status, stdout, stderr } = run([...command.split(' '), '--help']);
    expect(stdout).toMatch(new RegExp(`^Usage: etoken-bridge ${command}`));
    for (const option of [...options, '--json', '--quiet', '--no-color', '--debug', '--help']) {
      expect(stdout).toMatch(new RegExp(`^ +(-\\w, )?${option}\\b`, 'm'));
    }
    expect([status, stderr]).toEqual([0, '']);
  });

  test('the list of commands is whole: each group names what it has, and nothing else', () => {
    const groups = [...new Set(Object.keys(commands).map((command) => command.split(' ')[0]!))];
    for (const group of groups) {
      const { stdout } = run([group, '--help']);
      const listed = [...stdout.slice(stdout.indexOf('Commands:')).matchAll(/^ {2}([a-z-]+)/gm)].map(
        ([, name]) => name,
      );
      const own = Object.keys(commands).filter((command) => command.startsWith(`${group} `));
      const names = new Set(own.map((command) => command.split(' ')[1]));
      expect(listed.filter((name) => name !== 'help')).toEqual([...names]);
    }
    const { stdout } = run(['--help']);
    const listed = [...stdout.slice(stdout.indexOf('Commands:')).matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name);
    expect(listed).toEqual([...groups, 'completion', 'help']);
  });

  test('the help tells the exit codes', () => {
    const { stdout } = run(['--help']);
    expect([...stdout.matchAll(/^ {2}(\d+) {2}/gm)].map(([, code]) => Number(code))).toEqual([0, 1, 2, 3, 4, 130]);
  });

  test('--version prints the version of the package', () => {
    expect(run(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  test.each([[[]], [['ctl']], [['token']], [['cluster']], [['itl', 'reset']]])(
    'without a command (%j) the help goes to standard error, and the exit code is 2: a script that forgot it stops',
    (words) => {
      const { status, stdout, stderr } = run(words);
      expect(stderr).toContain('Commands:');
      expect([status, stdout]).toEqual([2, '']);
    },
  );
});

describe('wrong usage ends with 2 and a line that helps', () => {
  const cases: readonly (readonly [words: readonly string[], error: string, hint: string])[] = [
    [['bogus'], "unknown command 'bogus'", 'add --help'],
    [['ctl', 'shwo', 'x'], "unknown command 'shwo'", 'Did you mean show?'],
    [['ctl', 'show'], "missing required argument 'file'", 'add --help'],
    [['ctl', 'diff', 'one'], "missing required argument 'new'", 'add --help'],
    [['ctl', 'show', 'one', 'two'], 'too many arguments', 'add --help'],
    [['ctl', 'show', '--bogus', 'one'], "unknown option '--bogus'", 'add --help'],
    [['ctl', 'verify', '--vlaues', 'one'], "unknown option '--vlaues'", 'add --help'],
    [['ctl', 'show', '--value', 'one'], "unknown option '--value'", 'Did you mean --values?'],
    [['ctl', 'create', '--mode', 'token', '--out', 'x'], "required option '--cluster <file>'", 'add --help'],
    [['ctl', 'create', '--cluster', 'x', '--out', 'x'], "required option '--mode <mode>'", 'add --help'],
    [
      ['ctl', 'create', '--cluster', 'x', '--out', 'x', '--mode', 'both'],
      "argument 'both' is invalid",
      'token, tokenless',
    ],
    [['ctl', 'remove-token', 'x'], "required option '--serial <hex>'", 'add --help'],
    [['ctl', 'sign', 'x', '--digest', 'md5'], "argument 'md5' is invalid", 'sha1, sha256, sha512'],
    [['ctl', 'sign', 'x', '--accept', 'B4'], '--accept B4: the checks are A1 to A14', 'hint: name one check'],
    [['ctl', 'sign', 'x', '--accept', 'A15'], '--accept A15: the checks are A1 to A14', 'hint: name one check'],
    [['ctl', 'sign', 'x', '--accept', 'A3,A5'], '--accept A3,A5: the checks are A1 to A14', 'hint: name one check'],
    [
      ['ctl', 'sign', 'x', '--timestamp', 'yesterday'],
      '--timestamp yesterday',
      'hint: write it as 2026-01-31T12:00:00Z',
    ],
    [['ctl', 'sign', 'x', '--timestamp', '2026-13-01T00:00:00Z'], '--timestamp 2026-13-01', 'hint: write it as'],
    [['ctl', 'sign', 'x', '--timestamp', '2026-01-31T12:00:00+02:00'], '--timestamp 2026-01-31', 'hint: write it as'],
    [['ctl', 'sign', 'x', '--timestamp', '1969-12-31'], '--timestamp 1969-12-31', 'hint: write it as'],
    [['ctl', 'sign', 'x', '--timestamp', '2106-02-08'], '--timestamp 2106-02-08', 'hint: write it as'],
    [['ctl', 'sign', 'x', '--pin', '123456'], 'a PIN is not taken as an argument', 'hint: give --pin-file FILE'],
    [['token', 'check', '--pin=123456'], 'a PIN is not taken as an argument', 'hint: give --pin-file FILE'],
    [['token', 'export', '--out', 'x', '--format', 'p7b'], "argument 'p7b' is invalid", 'der, pem'],
    [['token', 'export'], "required option '--out <folder>'", 'add --help'],
    [['cluster', 'init', '--security-mode', 'safe'], "argument 'safe' is invalid", 'mixed, non-secure'],
    [['cluster', 'init', '--lab', '--key-bits', '3072'], "argument '3072' is invalid", '1024, 2048, 4096'],
    [['itl', 'create', '--cluster', 'x'], "required option '--out <path>'", 'add --help'],
    [['itl', 'create', '--cluster', 'x', '--out', 'x', '--hash', 'md5'], "argument 'md5' is invalid", 'sha1, sha256'],
    [
      ['itl', 'create', '--cluster', 'x', '--out', 'x', '--link', 'soft'],
      "argument 'soft' is invalid",
      'symbolic, hard',
    ],
    [['itl', 'reset', 'localkey', '--out', 'x'], "required option '--cluster <file>'", 'add --help'],
    [['itl', 'reset', 'local'], "unknown command 'local'", 'localkey'],
    [['file', 'sign', '--key', 'x'], "missing required argument 'path'", 'add --help'],
    [['file', 'decrypt', 'x'], "required option '--key <file>'", 'add --help'],
    [['file', 'sign', 'x', '--digest', 'md5'], "argument 'md5' is invalid", 'sha1, sha256, sha512'],
    [['completion', 'tcsh'], "'tcsh' is invalid", 'bash, zsh, fish'],
    [['completion'], "missing required argument 'shell'", 'add --help'],
  ];

  test.each(cases)('%j', (words, error, hint) => {
    const before = snapshot(folder);
    const { status, stdout, stderr } = run(words, { cwd: folder });
    expect(stderr).toMatch(/^error: /);
    expect(stderr).toContain(error);
    expect(stderr).toContain(hint);
    expect(stderr).not.toContain('123456');
    expect([status, stdout]).toEqual([2, '']);
    expect(snapshot(folder)).toEqual(before);
  });
});

describe('an unexpected error', () => {
  const surprise = 'JSON.stringify = () => { throw new TypeError("surprise") }';
  const later = 'setTimeout(() => { throw new TypeError("surprise") })';
  const rejected = 'void Promise.reject(new TypeError("surprise"))';

  test.each([
    ['in a command', surprise],
    ['in a callback', later],
    ['in a promise that nobody waits for', rejected],
  ])('%s shows its stack with --debug only, and asks for a report', (_where, code) => {
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
    const { status, stderr } = run(['ctl', 'verify', '--json', tokenless], { env });
    expect(status).toBe(2);
    expect(stderr).toBe(
      'error: surprise\nhint: this is a defect of etoken-bridge; run again with --debug and report what it prints\n',
    );
    const debugged = run(['ctl', 'verify', '--json', '--debug', tokenless], { env });
    expect(debugged.stderr).toMatch(/^error: surprise\nTypeError: surprise\n\s+at /);
    expect(debugged.status).toBe(2);
  });

  test('an expected error shows its stack with --debug, and never a defect', () => {
    const { stderr } = run(['ctl', 'verify', '--debug', join(folder, 'none')]);
    expect(stderr).toMatch(/^error: there is no trust list .*\nhint: check the path\nInputError: .*\n\s+at /);
  });
});

describe('standard output', () => {
  test('a reader that stops early is no failure', () => {
    const script = `"$0" "$1" ctl show "$2" | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script, process.execPath, program, tokenless], {
      encoding: 'utf8',
      env: plainEnvironment(),
    });
    expect(stdout).toBe('The checksum value of the CTL file:\n0\n');
    expect(stderr).toBe('');
  });

  test('a full disk behind it is a failure that is told', () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = spawnSync(process.execPath, [program, 'ctl', 'show', tokenless], {
      encoding: 'utf8',
      env: plainEnvironment(),
      stdio: ['ignore', full, 'pipe'],
    });
    closeSync(full);
    expect(stderr).toBe('error: standard output cannot be written: ENOSPC\n');
    expect(status).toBe(2);
  });

  test('--quiet leaves out notes, and keeps the result and the errors', () => {
    const made = run(['cluster', 'init', 'quiet', '--quiet', '--release', '11.5.1'], { cwd: folder });
    expect(made).toEqual({ status: 0, stdout: 'quiet/cluster.yaml\n', stderr: '' });
    expect(run(['cluster', 'init', 'loud', '--release', '11.5.1'], { cwd: folder }).stderr).toMatch(
      /^next: edit loud\/cluster.yaml/,
    );
    expectFailure(run(['ctl', 'verify', '--quiet', 'none'], { cwd: folder }), 2, 'there is no trust list none');
  });
});
