import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyPassedOver } from '../../src/cli/watched-names.js';
import { expectFailure, jsonOf, run, temporaryFolder } from './etoken-bridge.js';
import { makeSoftwareKey } from './software-keys.js';
import { startWatch, until, untilSigned } from './watched-folder.js';

const folder = temporaryFolder();
const cluster = await makeSoftwareKey('CUCM-pub', 7);
const other = await makeSoftwareKey('CUCM-other', 8);
const key = cluster.write(folder, 'cluster');
const otherKey = other.write(folder, 'other');
const quick = [...key, '--settle', '0.2'];
const { certificate } = cluster;
let made = 0;

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

describe('names and places', () => {
  test('names with line breaks and characters of four bytes; what is signed already, links and folders are left', async () => {
    const strange = 'a\nb \u{1F4DE}.xml';
    const served = makeFolder({ [strange]: 'strange', 'CTLFile.tlv': 'no list', 'x.tmp': 'x' });
    const elsewhere = makeFolder({ 'secret.xml': 'secret' });
    symlinkSync(join(elsewhere, 'secret.xml'), join(served, 'link.xml'));
    symlinkSync(elsewhere, join(served, 'folder'));
    mkdirSync(join(served, '.git'));
    writeFileSync(join(served, '.git/config'), 'x');
    run(['file', 'sign', join(elsewhere, 'secret.xml'), ...key]);
    renameSync(join(elsewhere, 'secret.xml.sgn'), join(served, 'hidden-list'));
    const watcher = await startWatch(served, quick);
    await untilSigned(served, strange, 'strange', certificate);
    appendFileSync(join(served, 'x.tmp'), 'y');
    writeFileSync(join(served, 'last.xml'), 'last');
    await untilSigned(served, 'last.xml', 'last', certificate);
    await until(
      () => watcher.log().includes('link.xml is not signed'),
      () => watcher.log(),
    );
    expect(await watcher.stop()).toBe(0);
    expect(watcher.lines().filter(({ event }) => event === 'signed')).toHaveLength(2);
    expect(names(served).filter((name) => name.endsWith('.sgn'))).toEqual([`${strange}.sgn`, 'last.xml.sgn']);
    expect(names(elsewhere)).toEqual(['secret.xml']);
  });

  test.each([
    ['.a.xml.swp', 'hidden'],
    ['a.xml~', 'editor'],
    ['#a.xml#', 'editor'],
    ['4913', 'temporary'],
    ['.goutputstream-ABC', 'hidden'],
    ['A.TMP', 'temporary'],
    ['firmware.bin.filepart', 'on its way'],
    ['ITLSEP001122334455.tlv', 'signed already'],
    ['SEP001122334455.cnf.xml.enc.sgn', 'signed already'],
  ])('%j is passed over', (name, why) => {
    expect(whyPassedOver(`/srv/tftp/${name}`)).toContain(why);
  });

  test.each(['SEP001122334455.cnf.xml', 'dialplan.xml', 'ringlist.xml', '49130', 'sip88xx.12-8-1.loads'])(
    '%j is signed',
    (name) => expect(whyPassedOver(`/srv/tftp/${name}`)).toBeUndefined(),
  );

  test('a folder for the signed files inside the folder, and no file that the command reads itself', async () => {
    const served = makeFolder({ 'a.xml': 'a' });
    const inside = cluster.write(served, 'private');
    const watcher = await startWatch(served, [...inside, '--settle', '0.2', '--out', join(served, 'signed')]);
    await watcher.told('signed', 'a.xml');
    await watcher.told('failed', 'private.key');
    writeFileSync(join(served, 'b.xml'), 'b');
    await watcher.told('signed', 'b.xml');
    expect(await watcher.stop()).toBe(0);
    expect(watcher.log()).toContain('not signed: private.key');
    expect(names(join(served, 'signed'))).toEqual(['a.xml.sgn', 'b.xml.sgn']);
    expect(names(served).filter((name) => name.endsWith('.sgn'))).toEqual(['signed/a.xml.sgn', 'signed/b.xml.sgn']);
  });

  test('an output that is a link is refused, and signed once that is gone', async () => {
    const served = makeFolder({ 'a.xml': 'a', 'b.xml': 'b' });
    const victim = join(makeFolder({ victim: 'untouched' }), 'victim');
    symlinkSync(victim, join(served, 'a.xml.sgn'));
    const watcher = await startWatch(served, quick);
    await watcher.told('failed', 'a.xml');
    await watcher.told('signed', 'b.xml');
    expect(readFileSync(victim, 'utf8')).toBe('untouched');
    unlinkSync(join(served, 'a.xml.sgn'));
    writeFileSync(join(served, 'a.xml'), 'a again');
    await untilSigned(served, 'a.xml', 'a again', certificate);
    await watcher.stop();
  });
});

describe('what is refused', () => {
  test('a second watcher of one folder, which would sign with another key in turn', async () => {
    const served = makeFolder();
    const watcher = await startWatch(served, quick);
    expectFailure(run(['file', 'watch', served, ...otherKey]), 2, 'another process', 'wait until it has ended');
    await watcher.stop();
    expect(readdirSync(served)).toEqual([]);
  });

  test('a folder that is none, and times that are none', () => {
    const served = makeFolder({ 'a.xml': 'a' });
    expectFailure(run(['file', 'watch', join(served, 'none'), ...key]), 2, 'there is no folder', 'check the path');
    expectFailure(run(['file', 'watch', join(served, 'a.xml'), ...key]), 2, 'is no folder', 'the folder to watch');
    expectFailure(run(['file', 'watch', served, '--settle', 'x', ...key]), 2, '--settle cannot be x', 'give seconds');
    expectFailure(run(['file', 'watch', served, '--poll', '0', ...key]), 2, '--poll cannot be 0', 'give seconds');
    expect(names(served)).toEqual(['a.xml']);
  });

  test('a file that cannot be signed is named, and fails --once', () => {
    const served = makeFolder({ 'a.xml': 'a' });
    mkdirSync(join(served, 'a.xml.sgn'));
    const outcome = run(['file', 'watch', served, '--once', '--json', ...quick]);
    expect(outcome.status).toBe(2);
    const last = { ...outcome, stdout: outcome.stdout.trimEnd().split('\n').at(-1) ?? '' };
    expect(jsonOf(last)).toMatchObject({ event: 'ended', reason: 'done', signed: 0, notSigned: ['a.xml'] });
    expect(existsSync(join(served, 'a.xml.sgn'))).toBe(true);
  });
});
