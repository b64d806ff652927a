import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { decodeSignedFile, verifySignedFile } from '../../src/signed-file/index.js';
import { fetchFile, startTftpServer } from '../../src/tftp/index.js';
import { run, temporaryFolder } from './etoken-bridge.js';
import { makeSoftwareKey } from './software-keys.js';
import { signedContent, startWatch, until, untilSigned } from './watched-folder.js';

const folder = temporaryFolder();
const cluster = await makeSoftwareKey('CUCM-pub', 7);
const other = await makeSoftwareKey('CUCM-other', 8);
const key = cluster.write(folder, 'cluster');
const otherKey = other.write(folder, 'other');
const quick = [...key, '--settle', '0.2'];
const { certificate } = cluster;
let made = 0;

/** Which file it is, and when it was changed: the same as long as nobody wrote. */
function stateOf(path: string): string {
  const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [ino, size, mtimeNs, ctimeNs].join(' ');
}

/** A folder of its own, with these files. */
function makeFolder(files: Readonly<Record<string, string>> = {}): string {
  made += 1;
  const path = join(folder, `served-${String(made)}`);
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return path;
}

function names(path: string): readonly string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('.etoken-bridge-watch'))
    .sort();
}

describe('what was there before', () => {
  test('is signed unless its signed file is by this signer and of this content', async () => {
    const served = makeFolder({ 'a.xml': 'a', 'b.xml': 'b', 'c.xml': 'c', 'd.xml': 'd' });
    for (const name of ['a.xml', 'b.xml']) run(['file', 'sign', join(served, name), ...key]);
    run(['file', 'sign', join(served, 'c.xml'), ...otherKey]);
    const before = stateOf(join(served, 'a.xml.sgn'));
    writeFileSync(join(served, 'b.xml'), 'B');
    writeFileSync(join(served, 'd.xml.sgn'), 'no signed file');
    const watcher = await startWatch(served, quick);
    await untilSigned(served, 'b.xml', 'B', certificate);
    await watcher.told('signed', 'c.xml');
    await watcher.told('signed', 'd.xml');
    expect(signedContent(join(served, 'c.xml.sgn'), certificate)).toBe('c');
    expect(stateOf(join(served, 'a.xml.sgn'))).toBe(before);
    expect(await watcher.stop()).toBe(0);
    expect(watcher.lines().at(-1)).toMatchObject({ event: 'ended', reason: 'SIGTERM', signed: 3, notSigned: [] });
  });

  test('is not signed again after a restart, nor by --once', async () => {
    const served = makeFolder({ 'a.xml': 'a', empty: '' });
    const first = run(['file', 'watch', served, '--once', ...quick]);
    expect(
      first.stdout
        .replaceAll(/^\S+Z /gm, '')
        .split('\n')
        .sort(),
    ).toEqual(['', 'signed a.xml', 'signed empty', `watching ${served}`]);
    expect(first.status).toBe(0);
    const before = names(served).map((name) => stateOf(join(served, name)));
    const again = run(['file', 'watch', served, '--once', ...quick]);
    expect(again).toMatchObject({ status: 0 });
    expect(again.stderr).toContain('0 signed, 0 not signed');
    const watcher = await startWatch(served, quick);
    writeFileSync(join(served, 'b.xml'), 'b');
    await watcher.told('signed', 'b.xml');
    await watcher.stop();
    for (const name of ['b.xml', 'b.xml.sgn']) unlinkSync(join(served, name));
    expect(names(served).map((name) => stateOf(join(served, name)))).toEqual(before);
  });
});

describe.each([
  ['with notices', []],
  ['with --poll', ['--poll', '0.3']],
])('a change, %s', (_what, words) => {
  test('a new file, a changed file, a changed file of the same length', async () => {
    const served = makeFolder();
    const watcher = await startWatch(served, [...quick, ...words]);
    for (const content of ['one', 'more', 'less', '']) {
      writeFileSync(join(served, 'a.xml'), content);
      await untilSigned(served, 'a.xml', content, certificate);
    }
    expect(await watcher.stop('SIGINT')).toBe(0);
    expect(watcher.lines().filter(({ event }) => event === 'signed')).toHaveLength(4);
  });

  test('editors that write beside and rename give one new signed file, and their own files none', async () => {
    const served = makeFolder({ 'a.xml': 'old' });
    const watcher = await startWatch(served, [...quick, ...words]);
    await watcher.told('signed', 'a.xml');
    // As vi with "backupcopy=no", and as GNOME's editors.
    writeFileSync(join(served, '4913'), '');
    unlinkSync(join(served, '4913'));
    writeFileSync(join(served, '.a.xml.swp'), 'swap');
    renameSync(join(served, 'a.xml'), join(served, 'a.xml~'));
    writeFileSync(join(served, 'a.xml'), 'by vi');
    await untilSigned(served, 'a.xml', 'by vi', certificate);
    writeFileSync(join(served, '.goutputstream-AB12CD'), 'by gedit');
    renameSync(join(served, '.goutputstream-AB12CD'), join(served, 'a.xml'));
    await untilSigned(served, 'a.xml', 'by gedit', certificate);
    await watcher.told('signed', 'a.xml', 3);
    await watcher.stop();
    expect(watcher.lines().filter(({ event }) => event === 'signed')).toHaveLength(3);
    expect(names(served).filter((name) => !name.startsWith('backups'))).toEqual(
      ['.a.xml.swp', 'a.xml', 'a.xml.sgn', 'a.xml~'].sort(),
    );
  });

  test('new folders, moved folders, and many files at once', async () => {
    const served = makeFolder();
    const watcher = await startWatch(served, [...quick, ...words]);
    const beside = makeFolder();
    mkdirSync(join(beside, 'deep/deeper'), { recursive: true });
    writeFileSync(join(beside, 'deep/deeper/a.xml'), 'a');
    renameSync(join(beside, 'deep'), join(served, 'deep'));
    await untilSigned(served, 'deep/deeper/a.xml', 'a', certificate);
    renameSync(join(served, 'deep'), join(served, 'moved'));
    writeFileSync(join(served, 'moved/deeper/b.xml'), 'b');
    await untilSigned(served, 'moved/deeper/b.xml', 'b', certificate);
    const many = Array.from({ length: 200 }, (_, index) => `SEP${String(index).padStart(12, '0')}.cnf.xml`);
    mkdirSync(join(served, 'many'));
    for (const name of many) writeFileSync(join(served, 'many', name), name);
    for (const name of many) await untilSigned(join(served, 'many'), name, name, certificate);
    expect(await watcher.stop()).toBe(0);
  });

  test('a signed file that others remove or overwrite comes back', async () => {
    const served = makeFolder({ 'a.xml': 'a' });
    const watcher = await startWatch(served, [...quick, ...words]);
    await untilSigned(served, 'a.xml', 'a', certificate);
    unlinkSync(join(served, 'a.xml.sgn'));
    await watcher.told('signed', 'a.xml', 2);
    run(['file', 'sign', join(served, 'a.xml'), ...otherKey]);
    await watcher.told('signed', 'a.xml', 3);
    expect(signedContent(join(served, 'a.xml.sgn'), certificate)).toBe('a');
    await watcher.stop();
  });
});

describe('a file that is being written', () => {
  test('is not signed as long as somebody has it open, however long: the old signed file stays', async () => {
    const served = makeFolder({ 'a.xml': 'the old content' });
    const watcher = await startWatch(served, quick);
    await watcher.told('signed', 'a.xml');
    const signed = join(served, 'a.xml.sgn');
    const seen = new Set<string>();
    const sample = (): void => void seen.add(signedContent(signed, certificate));
    const descriptor = openSync(join(served, 'a.xml'), 'w');
    writeSync(descriptor, 'the new ');
    // Told when it was quiet for the time to settle and would be signed.
    await until(
      () => {
        sample();
        return watcher.lines().some(({ event }) => event === 'open');
      },
      () => 'it was not noticed that the file is open',
    );
    expect(watcher.lines().find(({ event }) => event === 'open')).toMatchObject({ file: 'a.xml', pid: process.pid });
    // Others are signed in the meantime.
    writeFileSync(join(served, 'b.xml'), 'b');
    await untilSigned(served, 'b.xml', 'b', certificate);
    sample();
    expect([...seen]).toEqual(['the old content']);
    writeSync(descriptor, 'content');
    closeSync(descriptor);
    await until(
      () => {
        sample();
        return seen.size > 1;
      },
      () => 'it was not signed after it was closed',
    );
    expect([...seen]).toEqual(['the old content', 'the new content']);
    await watcher.stop();
  });

  test('phones get whole files only, while it changes all the time', async () => {
    const served = makeFolder({ 'a.xml': 'version 0' });
    const server = await startTftpServer({ root: served, host: '127.0.0.1', port: 0 });
    onTestFinished(() => server.close());
    const watcher = await startWatch(served, quick);
    await watcher.told('signed', 'a.xml');
    const body = (version: number): string => `version ${String(version)} `.repeat(20_000);
    const complete = new Set(['version 0']);
    const got = new Set<string>();
    for (let version = 1; version <= 5; version += 1) {
      const wanted = body(version);
      complete.add(wanted);
      // In place and in pieces, with phones that ask in between.
      const descriptor = openSync(join(served, 'a.xml'), 'r+');
      const piece = wanted.length / 4;
      for (let start = 0; start < wanted.length; start += piece) {
        writeSync(descriptor, wanted.slice(start, start + piece), start);
        await fetchOne();
      }
      closeSync(descriptor);
      for (const started = Date.now(); !got.has(wanted);) {
        if (Date.now() - started > 40_000) throw new Error(`version ${String(version)} is not served`);
        await fetchOne();
      }
    }
    await watcher.stop();

    async function fetchOne(): Promise<void> {
      const bytes = await fetchFile({ host: server.host, port: server.port, name: 'a.xml.sgn', blockSize: 8192 });
      const file = decodeSignedFile(bytes);
      expect(verifySignedFile(file, certificate)).toBe(true);
      const content = Buffer.from(file.content).toString();
      expect(complete.has(content)).toBe(true);
      got.add(content);
    }
  });

  test('--once leaves it and says so', () => {
    const served = makeFolder({ 'a.xml': 'a' });
    const descriptor = openSync(join(served, 'log.txt'), 'a');
    onTestFinished(() => closeSync(descriptor));
    const outcome = run(['file', 'watch', served, '--once', ...quick]);
    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toContain(`waits log.txt: process ${String(process.pid)} has it open`);
    expect(outcome.stderr).toContain('not signed: log.txt\n');
    expect(names(served)).toEqual(['a.xml', 'a.xml.sgn', 'log.txt']);
  });
});

describe('a file that is removed', () => {
  test('its signed file is kept, and that is said', async () => {
    const served = makeFolder({ 'a.xml': 'a' });
    const watcher = await startWatch(served, quick);
    await watcher.told('signed', 'a.xml');
    unlinkSync(join(served, 'a.xml'));
    await watcher.told('gone', 'a.xml');
    expect(watcher.lines().find(({ event }) => event === 'gone')).toMatchObject({ removed: false });
    await watcher.stop();
    expect(names(served)).toEqual(['a.xml.sgn']);
  });

  test('with --remove its signed file goes too, and nothing that others wrote', async () => {
    const served = makeFolder({ 'a.xml': 'a', 'b.xml': 'b', 'other.xml.sgn': 'only the signed one' });
    mkdirSync(join(served, 'sub'));
    writeFileSync(join(served, 'sub/c.xml'), 'c');
    const out = join(folder, 'out-of-removal');
    const watcher = await startWatch(served, [...quick, '--remove', '--out', out]);
    for (const name of ['a.xml', 'b.xml', 'sub/c.xml']) await watcher.told('signed', name);
    writeFileSync(join(out, 'b.xml.sgn'), 'by somebody else');
    for (const name of ['b.xml', 'a.xml']) unlinkSync(join(served, name));
    rmSync(join(served, 'sub'), { recursive: true });
    await watcher.told('gone', 'a.xml');
    await watcher.told('gone', 'sub/c.xml');
    await watcher.stop();
    expect(names(out)).toEqual(['b.xml.sgn', 'sub']);
    expect(readFileSync(join(out, 'b.xml.sgn'), 'utf8')).toBe('by somebody else');
    expect(names(served)).toEqual(['other.xml.sgn']);
  });
});
