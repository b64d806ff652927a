import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { expectFailure, jsonOf, run, snapshot, temporaryFolder, type Outcome } from './etoken-bridge.js';
import { verifyWithOpenssl, type BulkDocument } from './signed-files.js';
import { makeSoftwareKey } from './software-keys.js';

const top = temporaryFolder();
const callManager = await makeSoftwareKey('cucm-pub', 0x4a);
const keyOptions = callManager.write(top, 'callmanager');

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

function sign(...words: readonly string[]): Outcome {
  return run(['file', 'sign', ...words, ...(words.includes('--key') ? [] : keyOptions)], { cwd: folder });
}

function signJson(...words: readonly string[]): BulkDocument {
  return jsonOf(sign(...words, '--json')) as BulkDocument;
}

describe('names', () => {
  test('newlines, dots and 4-byte characters are kept, and printed safely', () => {
    const names = ['new\nline.xml', '..dots..', '...', '😀.xml', 'back\\slash', '-dash', "it's"];
    for (const name of names) put(`tftp/${name}`);
    const { status, stdout } = sign('tftp', '--out', 'out');
    expect(status).toBe(0);
    expect(stdout).toContain('tftp/new\\u{a}line.xml: signed, out/new\\u{a}line.xml.sgn\n');
    expect(stdout).toContain('tftp/😀.xml: signed, out/😀.xml.sgn\n');
    // Hidden names are passed over.
    const wanted = names.filter((name) => !name.startsWith('.')).map((name) => `${name}.sgn`);
    expect(readdirSync(join(folder, 'out')).sort()).toEqual(wanted.sort());
    expect(readdirSync(folder).sort()).toEqual(['out', 'tftp']);
    const header = verifyWithOpenssl(join(folder, 'out/😀.xml.sgn'), callManager.certificate, folder);
    expect(header.fileName).toBe('😀.xml.sgn');
    expect(sign('tftp/..dots..', 'tftp/...', '--out', 'given').status).toBe(0);
    expect(readdirSync(join(folder, 'given')).sort()).toEqual(['....sgn', '..dots...sgn']);
  });

  test('a path with .. does not lead out of --out', () => {
    put('tftp/a.xml');
    put('tftp/sub/b.xml');
    expect(sign('tftp/sub/../../tftp', 'tftp/sub/../a.xml', '--out', 'out/deep/../x').status).toBe(4);
    expect(sign('tftp/sub/..', '--out', 'out/x').status).toBe(0);
    expect(readdirSync(join(folder, 'out'), { recursive: true }).sort()).toEqual([
      'x',
      'x/a.xml.sgn',
      'x/sub',
      'x/sub/b.xml.sgn',
    ]);
  });

  test('a name that is not UTF-8 is an error that names it, and the others are signed', () => {
    put('tftp/a.xml');
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/tftp/b`), Buffer.from([0xff]), Buffer.from('.xml')]), 'b');
    const { status, stdout, stderr } = sign('tftp', '--out', 'out');
    expect(stderr).toMatch(/^error: the name of tftp\/b\uFFFD\.xml is not UTF-8\nhint: rename it/);
    expect([status, stdout]).toEqual([2, 'tftp/a.xml: signed, out/a.xml.sgn\n1 signed, 1 failed\n']);
  });
});

describe('outputs that are not safe end with 4 before anything is written', () => {
  const refused = (outcome: Outcome, before: ReadonlyMap<string, string>, error: RegExp | string): void => {
    expectFailure(outcome, 4, error);
    expect(outcome.stderr).toContain('refused (unsafe-output)');
    expect(outcome.stderr).toContain('nothing was written');
    expect(snapshot(folder)).toEqual(before);
  };

  test('an output that is an input: by its name, a hard link, a symbolic link', () => {
    put('a.xml');
    put('a.xml.sgn', 'plain, whatever its name says');
    put('zzz.xml');
    refused(sign('a.xml', 'a.xml.sgn'), snapshot(folder), 'the output a.xml.sgn is also an input');
    rmSync(join(folder, 'a.xml.sgn'));
    linkSync(join(folder, 'a.xml'), join(folder, 'a.xml.sgn'));
    refused(sign('zzz.xml', 'a.xml'), snapshot(folder), 'the output a.xml.sgn is also an input (a.xml)');
    rmSync(join(folder, 'a.xml.sgn'));
    symlinkSync('zzz.xml', join(folder, 'a.xml.sgn'));
    refused(sign('a.xml', 'zzz.xml'), snapshot(folder), 'the output a.xml.sgn is also an input (zzz.xml)');
    refused(sign('a.xml'), snapshot(folder), 'the output a.xml.sgn is a link');
  });

  test('an output that is the key', () => {
    put('a.xml');
    const key = join(folder, 'a.xml.sgn');
    execFileSync('cp', [keyOptions[1]!, key]);
    refused(sign('a.xml', '--key', key, '--certificate', keyOptions[3]!), snapshot(folder), 'is also an input');
  });

  test('two inputs that give one output', () => {
    put('one/a.xml');
    put('two/a.xml');
    refused(
      sign('one', 'two', '--out', 'out'),
      snapshot(folder),
      'one/a.xml and two/a.xml would both become out/a.xml.sgn',
    );
    // The same file twice is one, also by a folder inside another.
    put('one/sub/b.xml');
    expect(sign('one', 'one/sub', 'one/sub/b.xml').stdout).toContain('\n2 signed\n');
    expect(sign('one/a.xml', 'one/a.xml', '--out', 'out').stdout).toContain('1 signed');
  });

  test('a folder in --out that is a link to somewhere else', () => {
    put('tftp/sub/a.xml');
    mkdirSync(join(folder, 'elsewhere'));
    mkdirSync(join(folder, 'out'));
    symlinkSync('../elsewhere', join(folder, 'out/sub'));
    refused(sign('tftp', '--out', 'out'), snapshot(folder), 'out/sub leads out of out');
    // --out itself may be a link: it was given so.
    symlinkSync('elsewhere', join(folder, 'linked-out'));
    expect(sign('tftp', '--out', 'linked-out').status).toBe(0);
    expect(readdirSync(join(folder, 'elsewhere/sub'))).toEqual(['a.xml.sgn']);
  });

  test('a place that cannot be written ends with 2, before the key is used', () => {
    put('a.xml');
    put('file', '');
    mkdirSync(join(folder, 'out/a.xml.sgn'), { recursive: true });
    expectFailure(sign('a.xml', '--out', 'out'), 2, 'the output out/a.xml.sgn is there and is no file');
    expectFailure(sign('a.xml', '--out', 'file/below'), 2, /no folder|not written/);
  });
});

describe('names that are too long', () => {
  test.each([250, 251])('%i bytes: with .sgn there is room, and it is signed', (length) => {
    put(`tftp/${'x'.repeat(length)}`);
    const { status, stderr } = sign('tftp', '--continue');
    expect([status, stderr]).toEqual([0, '']);
    expect(readdirSync(join(folder, 'tftp')).sort()).toEqual(['x'.repeat(length), `${'x'.repeat(length)}.sgn`]);
  });

  test.each([252, 255])('%i bytes: an error that names it, and the others are signed', (length) => {
    put(`tftp/${'x'.repeat(length)}`);
    put('tftp/a.xml');
    const { status, stdout, stderr } = sign('tftp');
    expect(stderr).toMatch(
      /^error: tftp\/x+\.sgn was not written: its name is too long\nhint: give the file a shorter/,
    );
    expect([status, stdout]).toEqual([2, 'tftp/a.xml: signed, tftp/a.xml.sgn\n1 signed, 1 failed\n']);
    const { files } = signJson('tftp');
    expect(files.at(-1)).toMatchObject({ state: 'failed', error: { code: 'file-unwritable' } });
  });
});

describe('what scripts get wrong', () => {
  test('an empty --out and an empty path are told, and nothing is written', () => {
    put('a.xml');
    const before = snapshot(folder);
    expectFailure(sign('a.xml', '--out', ''), 2, '--out is empty');
    expectFailure(sign(''), 2, 'a file or folder has an empty name');
    expect(snapshot(folder)).toEqual(before);
  });

  test('a file in the place of the folder of backups is named', () => {
    put('a.xml');
    expect(sign('a.xml').status).toBe(0);
    put('backups');
    const outcome = sign('a.xml', '--digest', 'sha512');
    expectFailure(
      { ...outcome, stdout: '' },
      2,
      /the folder \S*backups cannot be made: a file of this name is there/,
      'move away',
    );
  });

  test('the help speaks of files, not of lists', () => {
    const { stdout } = run(['file', 'sign', '--help']);
    expect(stdout).toContain('TIMESTAMP of the signed files');
    expect(stdout).not.toMatch(/present\s+list|of\s+the\s+list/);
  });
});
