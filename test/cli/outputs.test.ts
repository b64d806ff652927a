import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { canMount, expectFailure, jsonOf, plainEnvironment, program, snapshot } from './etoken-bridge.js';
import { makeSoftTokens, pinStates } from './soft-tokens.js';

const tokens = await makeSoftTokens();
const { folder, first, second, cluster, wrongPinFile, run } = tokens;
const inFolder = (name: string): string => join(folder, name);
const sha1 = (name: string): string =>
  createHash('sha1')
    .update(readFileSync(inFolder(name)))
    .digest('hex');

/** Everything but SoftHSM2's own files, which may change when they are only looked at. */
function files(): ReadonlyMap<string, string> {
  return new Map([...snapshot(folder)].filter(([path]) => !path.startsWith(inFolder('softhsm'))));
}

beforeAll(() => {
  tokens.makeTokenList('made.tlv');
  copyFileSync(inFolder('made.tlv'), inFolder('CTLFile.tlv'));
});

describe('an update in place', () => {
  test('keeps the old file in backups/ with its time and SHA-1, and its permissions', () => {
    const changed = new Date('2015-03-06T20:56:07.000Z');
    utimesSync(inFolder('CTLFile.tlv'), changed, changed);
    chmodSync(inFolder('CTLFile.tlv'), 0o640);
    const old = sha1('CTLFile.tlv');
    const outcome = run(['ctl', 'sign', 'CTLFile.tlv', ...second.options]);
    const backup = `backups/CTLFile.tlv.2015-03-06T20-56-07Z.${old}`;
    expect(outcome.stdout).toContain(`backup:    ${inFolder(backup)}\n`);
    expect(outcome.status).toBe(0);
    expect(sha1(backup)).toBe(old);
    expect(readdirSync(inFolder('backups'))).toHaveLength(1);
    expect(sha1('CTLFile.tlv')).not.toBe(old);
    expect(statSync(inFolder('CTLFile.tlv')).mode & 0o777).toBe(0o640);
    expect(run(['ctl', 'verify', 'CTLFile.tlv']).status).toBe(0);
    expect(run(['ctl', 'verify', backup]).status).toBe(0);
  });

  test('--out of a file that is there keeps it too; --json names the backup', () => {
    const old = sha1('CTLFile.tlv');
    const outcome = run(['ctl', 'sign', 'made.tlv', '--out', 'CTLFile.tlv', '--json', ...first.options]);
    const { backup } = jsonOf(outcome) as { backup: string };
    expect(backup).toMatch(new RegExp(`/backups/CTLFile\\.tlv\\.[0-9TZ-]+\\.${old}$`));
    expect(createHash('sha1').update(readFileSync(backup)).digest('hex')).toBe(old);
  });

  test('the same bytes again change nothing, and make no backup', () => {
    const words = ['ctl', 'sign', 'made.tlv', '--out', 'same.tlv', '--timestamp', '2026-01-31T12:00:00Z'];
    expect(run([...words, ...first.options]).status).toBe(0);
    const before = files();
    const { mtimeMs } = statSync(inFolder('same.tlv'));
    expect(run([...words, ...first.options]).stdout).not.toContain('backup:');
    expect(files()).toEqual(before);
    expect(statSync(inFolder('same.tlv')).mtimeMs).toBe(mtimeMs);
  });
});

describe('an output that is an input is refused before a PIN is tried', () => {
  const key = 'cluster/keys/cucm-pub/CallManager.key';
  const certificate = 'cluster/certificates/cucm-pub/CallManager.pem';
  writeFileSync(inFolder('second.cer'), second.certificate.der);
  writeFileSync(inFolder('wrong-too.pin'), 'wrong-too', { mode: 0o600 });
  symlinkSync(inFolder('second.cer'), inFolder('link.cer'));
  const sign = ['ctl', 'sign', 'made.tlv', '--token', first.token.uri];
  const wrong = ['--pin-file', wrongPinFile];

  const add = ['ctl', 'add-token', 'made.tlv', '--token-certificate', 'second.cer', ...sign.slice(3)];
  const withKey = ['ctl', 'sign', 'made.tlv', '--key', key];
  const pinSource = `${first.token.uri}&pin-source=file:${inFolder('wrong-too.pin')}`;

  interface Overwriting {
    readonly what: string;
    readonly out: string;
    readonly words: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
  }
  const cases: readonly Overwriting[] = [
    { what: 'the cluster file', out: cluster, words: [...sign, '--cluster', cluster, ...wrong] },
    {
      what: 'a key that the cluster file names',
      out: key,
      words: ['ctl', 'to-tokenless', 'made.tlv', '--cluster', cluster],
    },
    {
      what: 'a key of another node',
      out: 'cluster/keys/cucm-sub1/TVS.key',
      words: [...sign, '--cluster', cluster, ...wrong],
    },
    {
      what: 'a certificate that the cluster file names',
      out: certificate,
      words: [...sign, '--cluster', cluster, ...wrong],
    },
    { what: '--key', out: key, words: [...withKey, '--certificate', certificate] },
    { what: '--certificate', out: certificate, words: [...withKey, '--certificate', certificate] },
    {
      what: '--key-password-file',
      out: 'wrong-too.pin',
      words: [...withKey, '--key-password-file', 'wrong-too.pin'],
    },
    { what: '--token-certificate', out: 'second.cer', words: [...add, ...wrong] },
    { what: 'a link to an input', out: 'link.cer', words: [...add, ...wrong] },
    { what: '--pin-file', out: 'wrong-too.pin', words: [...sign, '--pin-file', 'wrong-too.pin'] },
    {
      what: 'ETOKEN_BRIDGE_PIN_FILE',
      out: 'wrong-too.pin',
      words: sign,
      env: { ETOKEN_BRIDGE_PIN_FILE: inFolder('wrong-too.pin') },
    },
    { what: 'pin-source', out: 'wrong-too.pin', words: [...sign.slice(0, 4), pinSource] },
  ];

  test.each(cases)('$what', ({ out, words, env = {} }) => {
    const before = files();
    const outcome = run([...words, '--out', out], { env });
    expectFailure(outcome, 2, `the output ${out} is also an input`, 'give another --out; nothing was written');
    expect(files()).toEqual(before);
  });

  test('no PIN was tried by any of them', () => {
    expect(pinStates(tokens)).toEqual({ 'SAST first': 'ok', 'SAST second': 'ok' });
  });

  test('the file that is updated may be named as --out too', () => {
    copyFileSync(inFolder('made.tlv'), inFolder('twice.tlv'));
    linkSync(inFolder('twice.tlv'), inFolder('twice-linked.tlv'));
    expect(run(['ctl', 'sign', 'twice.tlv', '--out', './twice.tlv', ...second.options]).status).toBe(0);
    // A second name of the old file still has the old bytes.
    expect(sha1('twice-linked.tlv')).toBe(sha1('made.tlv'));
  });
});

describe('after a failure the old output is as it was, and no other file is there', () => {
  beforeEach(() => copyFileSync(inFolder('made.tlv'), inFolder('CTLFile.tlv')));
  mkdirSync(inFolder('a-folder'));
  writeFileSync(inFolder('photo.tlv'), Buffer.from('ffd8ffe000104a464946', 'hex'));

  test.each([
    ['a wrong PIN', ['ctl', 'sign', 'CTLFile.tlv', '--token', first.token.uri, '--pin-file', wrongPinFile], 3],
    ['a refusal', ['ctl', 'to-token', 'CTLFile.tlv', '--cluster', cluster, ...first.options], 4],
    ['an input that is no list', ['ctl', 'sign', 'photo.tlv', '--out', 'CTLFile.tlv', ...first.options], 2],
    ['no such input', ['ctl', 'sign', 'none.tlv', '--out', 'CTLFile.tlv', ...first.options], 2],
    ['no such cluster file', ['ctl', 'update', 'CTLFile.tlv', '--cluster', 'none.yaml', ...first.options], 2],
    [
      'a key that does not fit',
      [
        'ctl',
        'sign',
        'CTLFile.tlv',
        '--key',
        'cluster/keys/cucm-pub/TVS.key',
        '--certificate',
        'cluster/certificates/cucm-pub/CAPF.pem',
      ],
      4,
    ],
  ])('%s', (_what, words, status) => {
    const before = files();
    const outcome = run(words);
    expect([outcome.status, outcome.stdout]).toEqual([status, '']);
    expect(files()).toEqual(before);
    if (status === 3) expect(run(['token', 'check', ...first.options]).status).toBe(0);
  });

  test.each([
    ['a folder that is not there', 'none/CTLFile.tlv', 'its folder does not exist'],
    ['a file in place of a folder', 'made.tlv/CTLFile.tlv', 'its folder is no folder'],
    ['a folder in place of the file', 'a-folder', 'a-folder is no file'],
    ['a file system that takes no files', '/proc/CTLFile.tlv', '/proc/CTLFile.tlv was not written'],
  ])('%s: 2', (_what, out, error) => {
    const before = files();
    const words = ['ctl', 'sign', 'made.tlv', '--out', out, '--token', first.token.uri, '--pin-file', wrongPinFile];
    expectFailure(run(words), 2, error, 'give another --out');
    expect(files()).toEqual(before);
  });

  test('no PIN was tried for an output that has no place', () => {
    expect(pinStates(tokens)['SAST first']).toBe('ok');
  });

  test.skipIf(!canMount)('a folder that may not be written to, and a full disk (needs root to mount)', () => {
    // A file system of 40 KiB with the list on it, almost full: neither the new list nor a copy of the old one has room.
    const script = `
      set -e
      mount -t tmpfs -o size=40k tmpfs "$DISK"
      cp "$FOLDER/made.tlv" "$DISK/CTLFile.tlv"
      dd if=/dev/zero of="$DISK/filler" bs=1k count=32 2>/dev/null || true
      ls -A "$DISK" >"$FOLDER/full-before"; sha1sum "$DISK/CTLFile.tlv" >"$FOLDER/full-sum"
      status=0; "$NODE" "$PROGRAM" ctl sign "$DISK/CTLFile.tlv" $OPTIONS >"$FOLDER/full-out" 2>&1 || status=$?
      echo "full $status"
      ls -A "$DISK" | cmp - "$FOLDER/full-before"; sha1sum -c --quiet "$FOLDER/full-sum"
      rm "$DISK/filler"; mount -o remount,ro "$DISK"
      status=0; "$NODE" "$PROGRAM" ctl sign "$DISK/CTLFile.tlv" $OPTIONS >"$FOLDER/readonly-out" 2>&1 || status=$?
      echo "read-only $status"
      sha1sum -c --quiet "$FOLDER/full-sum"`;
    mkdirSync(inFolder('disk'));
    const env = {
      ...plainEnvironment(tokens.environment),
      DISK: inFolder('disk'),
      FOLDER: folder,
      NODE: process.execPath,
      PROGRAM: program,
      OPTIONS: `--token-serial ${first.token.serialNumber} --pin-file ${first.pinFile}`,
    };
    const { stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'utf8', env });
    expect(stderr).toBe('');
    expect(stdout).toBe('full 2\nread-only 2\n');
    expect(readFileSync(inFolder('full-out'), 'utf8')).toMatch(
      /^error: .*\/CTLFile\.tlv was not written: the disk is full; what was there before is unchanged\nhint: make room/,
    );
    expect(readFileSync(inFolder('readonly-out'), 'utf8')).toMatch(
      /^error: .*\/CTLFile\.tlv was not written: the disk is read-only; what was there before is unchanged\n/,
    );
  });
});
