import { execFileSync } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { OutputFolders, putSmallFile } from '../../src/cli/new-file.js';
import { decodeSignedFile } from '../../src/signed-file/index.js';
import { expectFailure, jsonOf, run, snapshot, temporaryFolder, type Outcome } from './etoken-bridge.js';
import { tellMemory, verifyWithOpenssl, type BulkDocument } from './signed-files.js';
import { makeSoftwareKey } from './software-keys.js';

const top = temporaryFolder();
const callManager = await makeSoftwareKey('cucm-pub', 0x4a);
const other = await makeSoftwareKey('cucm-sub', 0x4b);
const keyOptions = callManager.write(top, 'callmanager');
const otherOptions = other.write(top, 'other');

let folder = '';
let count = 0;

beforeEach(() => {
  count += 1;
  folder = join(top, `case-${String(count)}`);
  mkdirSync(folder);
});

function put(path: string, content: string | Uint8Array = `content of ${path}`): void {
  mkdirSync(join(folder, path, '..'), { recursive: true });
  writeFileSync(join(folder, path), content);
}

function contentOf(path: string): string {
  return new TextDecoder().decode(decodeSignedFile(new Uint8Array(readFileSync(join(folder, path)))).content);
}

function sign(...words: readonly string[]): Outcome {
  return run(['file', 'sign', ...words, ...(words.includes('--key') ? [] : keyOptions)], { cwd: folder });
}

function signJson(...words: readonly string[]): BulkDocument {
  return jsonOf(sign(...words, '--json')) as BulkDocument;
}

describe('a folder', () => {
  test('is signed with its tree, and openssl verifies what comes out', () => {
    put('tftp/SEP001122334455.cnf.xml');
    put('tftp/English/locale.xml');
    put('tftp/empty', '');
    put('tftp/large.loads', new Uint8Array(1_000_000).fill(7));
    const { status, stdout, stderr } = sign('tftp', '--out', 'out');
    expect(stderr).toBe('');
    expect(stdout).toBe(
      [
        'tftp/English/locale.xml: signed, out/English/locale.xml.sgn',
        'tftp/SEP001122334455.cnf.xml: signed, out/SEP001122334455.cnf.xml.sgn',
        'tftp/empty: signed, out/empty.sgn',
        'tftp/large.loads: signed, out/large.loads.sgn',
        '4 signed\n',
      ].join('\n'),
    );
    expect(status).toBe(0);
    for (const name of ['English/locale.xml', 'SEP001122334455.cnf.xml', 'empty', 'large.loads']) {
      const header = verifyWithOpenssl(join(folder, 'out', `${name}.sgn`), callManager.certificate, folder);
      expect(header.fileName).toBe(`${name.split('/').at(-1)!}.sgn`);
      expect(contentOf(`out/${name}.sgn`)).toBe(readFileSync(join(folder, 'tftp', name), 'utf8'));
    }
    expect(readdirSync(join(folder, 'out'), { recursive: true })).toHaveLength(5);
  });

  test('is signed in place without --out, and what is signed, linked, hidden or a backup is passed over', () => {
    put('tftp/a.xml');
    put('tftp/backups/old.xml');
    put('tftp/.hidden');
    put('outside.xml');
    symlinkSync('../outside.xml', join(folder, 'tftp/linked.xml'));
    symlinkSync('..', join(folder, 'tftp/loop'));
    const first = sign('tftp');
    expect(first.stderr).toContain('passed over: tftp/linked.xml: a link, not followed\n');
    expect(first.stderr).toContain('passed over: tftp/loop: a link, not followed\n');
    expect(first.stdout).toBe('tftp/a.xml: signed, tftp/a.xml.sgn\n1 signed\n');
    const again = signJson('tftp', '--continue');
    expect([again.done, again.alreadyDone]).toEqual([0, 1]);
    const reasons = Object.fromEntries(again.passedOver.map(({ path, reason }) => [path, reason]));
    expect(reasons).toMatchObject({ 'tftp/a.xml.sgn': 'signed already', 'tftp/.hidden': 'hidden' });
    expect(Object.keys(reasons)).toContain('tftp/backups');
    // A link that is given by its name is meant.
    expect(sign('tftp/linked.xml', '--out', 'given').status).toBe(0);
    expect(contentOf('given/linked.xml.sgn')).toBe('content of outside.xml');
  });

  test('one that has a signed file under another name passes it over; given by its name it is refused', () => {
    put('plain.xml');
    expect(sign('plain.xml', '--out', 'tftp').status).toBe(0);
    execFileSync('mv', [join(folder, 'tftp/plain.xml.sgn'), join(folder, 'tftp/odd.xml')]);
    put('tftp/new.xml');
    const { status, stderr, stdout } = sign('tftp', '--out', 'out');
    expect(stderr).toBe('passed over: tftp/odd.xml: signed already\n');
    expect([status, stdout]).toEqual([0, 'tftp/new.xml: signed, out/new.xml.sgn\n1 signed\n']);
    const named = sign('tftp/odd.xml', '--out', 'out');
    expect(named.stderr).toMatch(/^error: tftp\/odd.xml is signed already\nhint: .*"file strip"/);
    expect(named.status).toBe(2);
    expect(readdirSync(join(folder, 'out'))).toEqual(['new.xml.sgn']);
  });

  test('without files ends with 2 and says why', () => {
    mkdirSync(join(folder, 'empty'));
    expectFailure(sign('empty'), 2, 'there is no file to work on', 'the folder is empty');
    put('only/a.xml.sgn');
    expectFailure(sign('only'), 2, 'there is no file to work on', 'only/a.xml.sgn: signed already');
    expectFailure(sign('missing'), 2, 'there is no file or folder missing');
    expectFailure(sign('-'), 2, 'not read from standard input');
  });
});

describe('options', () => {
  test.each(['sha1', 'sha256', 'sha512'])('--digest %s and --timestamp: the same bytes each time', (digest) => {
    put('a.xml');
    const words = ['a.xml', '--digest', digest, '--timestamp', '2026-01-31T12:00:00Z', '--out'];
    expect(sign(...words, 'one').status).toBe(0);
    expect(sign(...words, 'two').status).toBe(0);
    const bytes = readFileSync(join(folder, 'one/a.xml.sgn'));
    expect(bytes.equals(readFileSync(join(folder, 'two/a.xml.sgn')))).toBe(true);
    const header = verifyWithOpenssl(join(folder, 'one/a.xml.sgn'), callManager.certificate, folder);
    expect([header.digestAlgorithm, header.timestamp]).toEqual([digest, Date.UTC(2026, 0, 31, 12) / 1000]);
  });

  test('--quiet prints the sum only, --json one document, and --jobs must be a number', () => {
    put('a.xml');
    expect(sign('a.xml', '--quiet').stdout).toBe('1 signed\n');
    const document = signJson('a.xml', '--out', 'out', '--jobs', '1');
    expect(document).toEqual({
      command: 'file sign',
      done: 1,
      alreadyDone: 0,
      notVerified: 0,
      failed: 0,
      notDone: 0,
      interrupted: false,
      error: null,
      files: [{ path: 'a.xml', outputs: ['out/a.xml.sgn'], state: 'signed', backup: null, warnings: [], error: null }],
      passedOver: [],
    });
    expectFailure(sign('a.xml', '--jobs', 'many'), 2, '--jobs cannot be many', 'from 1 to 256');
  });

  test('a key that is not the certificate’s is refused before anything is written', () => {
    put('a.xml');
    const before = snapshot(folder);
    const outcome = sign('a.xml', '--key', otherOptions[1]!, '--certificate', keyOptions[3]!);
    expectFailure(outcome, 4, 'is not the one of certificate CN=cucm-pub');
    expect(snapshot(folder)).toEqual(before);
  });

  test('--cluster signs with the CallManager key of a node', () => {
    const init = ['cluster', 'init', 'cluster', '--lab', '--key-bits', '1024', '--release', '11.5.1'];
    expect(run([...init, '--node', 'pub,10.0.0.1', '--node', 'sub,10.0.0.2'], { cwd: folder }).status).toBe(0);
    put('a.xml');
    const words = ['file', 'sign', 'a.xml', '--cluster', 'cluster/cluster.yaml', '--out'];
    expect(run([...words, 'pub'], { cwd: folder }).stdout).toContain('1 signed');
    expect(run([...words, 'sub', '--node', 'SUB'], { cwd: folder }).stdout).toContain('1 signed');
    const signer = (path: string): string =>
      decodeSignedFile(new Uint8Array(readFileSync(join(folder, path)))).header.signerName;
    expect([signer('pub/a.xml.sgn'), signer('sub/a.xml.sgn')]).toEqual([
      expect.stringContaining('CN=pub'),
      expect.stringContaining('CN=sub'),
    ]);
    expectFailure(run([...words, 'x', '--node', 'none'], { cwd: folder }), 2, 'has no node "none"');
    expectFailure(sign('a.xml', '--node', 'pub'), 2, '--node names a node of a cluster file');
  });
});

describe('--continue', () => {
  test('knows finished files by their content, and does the rest', () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) put(`tftp/${name}.xml`);
    put('tftp/large', new Uint8Array(700_000).fill(3));
    expect(signJson('tftp', '--out', 'out').done).toBe(6);
    const finished = readFileSync(join(folder, 'out/a.xml.sgn'));
    // Dates say nothing: a newer source with the same bytes is finished, an older one with others is not.
    utimesSync(join(folder, 'tftp/a.xml'), new Date(), new Date(Date.now() + 100_000));
    put('tftp/b.xml', 'CONTENT of tftp/b.xml');
    utimesSync(join(folder, 'tftp/b.xml'), new Date(0), new Date(0));
    const half = readFileSync(join(folder, 'out/c.xml.sgn'));
    writeFileSync(join(folder, 'out/c.xml.sgn'), half.subarray(0, half.length - 1));
    rmSync(join(folder, 'out/d.xml.sgn'));
    const flipped = readFileSync(join(folder, 'out/e.xml.sgn'));
    flipped[200]! ^= 1;
    writeFileSync(join(folder, 'out/e.xml.sgn'), flipped);
    const { done, alreadyDone, files } = signJson('tftp', '--out', 'out', '--continue');
    expect([done, alreadyDone]).toEqual([4, 2]);
    const states = files.map(({ path, state }) => `${path} ${state}`);
    expect(states).toEqual([
      'tftp/a.xml already-done',
      'tftp/b.xml signed',
      'tftp/c.xml signed',
      'tftp/d.xml signed',
      'tftp/e.xml signed',
      'tftp/large already-done',
    ]);
    expect(readFileSync(join(folder, 'out/a.xml.sgn')).equals(finished)).toBe(true);
    expect(contentOf('out/b.xml.sgn')).toBe('CONTENT of tftp/b.xml');
    // What was replaced is kept.
    expect(
      readdirSync(join(folder, 'out/backups'))
        .map((name) => name.slice(0, 5))
        .sort(),
    ).toEqual(['b.xml', 'c.xml', 'e.xml']);
    expect(files[1]!.backup).toMatch(/^.*out\/backups\/b\.xml\.sgn\.\d{4}-.*\.[0-9a-f]{40}$/);
  });

  test('another signer, digest, name or wished time is not finished', () => {
    put('a.xml');
    const words = ['a.xml', '--out', 'out', '--continue'];
    expect(signJson(...words).done).toBe(1);
    expect(signJson(...words).alreadyDone).toBe(1);
    expect(signJson(...words, '--digest', 'sha512').done).toBe(1);
    expect(signJson(...words, ...otherOptions, '--digest', 'sha512').done).toBe(1);
    expect(signJson(...words, ...otherOptions, '--digest', 'sha512').alreadyDone).toBe(1);
    const time = ['--timestamp', '2026-01-31T12:00:00Z', '--digest', 'sha512', ...otherOptions];
    expect(signJson(...words, ...time).done).toBe(1);
    expect(signJson(...words, ...time).alreadyDone).toBe(1);
    put('b.xml', 'content of a.xml');
    execFileSync('cp', [join(folder, 'out/a.xml.sgn'), join(folder, 'out/b.xml.sgn')]);
    expect(signJson('b.xml', '--out', 'out', '--continue', ...time).done).toBe(1);
  });
});

describe('what is written', () => {
  test('keeps what was there in backups/, with its permissions; the same bytes are left', () => {
    put('a.xml');
    const words = ['a.xml', '--timestamp', '2026-01-31T12:00:00Z'];
    expect(sign(...words).status).toBe(0);
    const path = join(folder, 'a.xml.sgn');
    execFileSync('chmod', ['640', path]);
    const { ino } = statSync(path);
    expect(sign(...words).status).toBe(0);
    expect(statSync(path).ino).toBe(ino);
    const before = readFileSync(path, 'latin1');
    const { stdout } = sign('a.xml', '--timestamp', '2026-01-31T12:00:01Z');
    const backup = /\(backup: (.*)\)/.exec(stdout)![1]!;
    expect(readFileSync(join(folder, backup), 'latin1')).toBe(before);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(statSync(path).ino).not.toBe(ino);
  });

  test('what a killed run left beside the outputs is removed', () => {
    put('a.xml');
    put('out/.a.xml.sgn.4194305-0123abcd.part', 'half');
    put(`out/.a.xml.sgn.${String(process.pid)}-0123abcd.part`, 'of one that runs');
    put('out/.other.sgn.4194305-0123abcd.part', 'not ours');
    expect(sign('a.xml', '--out', 'out').status).toBe(0);
    expect(readdirSync(join(folder, 'out')).sort()).toEqual([
      `.a.xml.sgn.${String(process.pid)}-0123abcd.part`,
      '.other.sgn.4194305-0123abcd.part',
      'a.xml.sgn',
    ]);
  });

  test('two names that are one on the disk are told by what was made a moment ago', async () => {
    const folders = new OutputFolders();
    const [one, two] = [join(folder, 'a.sgn'), join(folder, 'A.sgn')];
    await putSmallFile(one, Uint8Array.of(1), folders);
    linkSync(one, two);
    await expect(putSmallFile(two, Uint8Array.of(2), folders)).rejects.toMatchObject({ code: 'unsafe-output' });
    expect(readdirSync(folder).sort()).toEqual(['A.sgn', 'a.sgn']);
    expect([...readFileSync(one)]).toEqual([1]);
    // Another run replaces it, and keeps it.
    const put = await putSmallFile(one, Uint8Array.of(2), new OutputFolders());
    expect([...readFileSync(put.backup!)]).toEqual([1]);
  });

  test('a file of 200 MB is signed, verified and stripped in little memory', () => {
    execFileSync('truncate', ['-s', '200M', join(folder, 'firmware')]);
    const commands = [
      ['file', 'sign', 'firmware', '--out', 'signed', ...keyOptions],
      ['file', 'sign', 'firmware', '--out', 'signed', '--continue', ...keyOptions],
      ['file', 'verify', 'signed', '--certificate', keyOptions[3]!],
      ['file', 'strip', 'signed', '--out', 'plain', '--certificate', keyOptions[3]!],
    ];
    for (const words of commands) {
      const { status, stderr } = run(words, { cwd: folder, env: tellMemory });
      const memory = Number(/^memory (\d+)$/m.exec(stderr)?.[1]);
      expect([words[1], status, memory < 150 * 1024 || memory]).toEqual([words[1], 0, true]);
    }
    expect(statSync(join(folder, 'plain/firmware')).size).toBe(200 * 1024 * 1024);
    rmSync(join(folder), { recursive: true });
  });
});
