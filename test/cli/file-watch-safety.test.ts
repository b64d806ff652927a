import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { NewFile, OutputFolders } from '../../src/cli/new-file.js';
import { plainEnvironment, program, run, temporaryFolder } from './etoken-bridge.js';
import { makeSoftwareKey } from './software-keys.js';
import { signedContent, startWatch, type WatchLine } from './watched-folder.js';

const folder = temporaryFolder();
const cluster = await makeSoftwareKey('CUCM-pub', 7);
const phone = await makeSoftwareKey('SEP001122334455', 9);
const key = cluster.write(folder, 'cluster');
const phoneCertificate = phone.write(folder, 'phone').at(-1) ?? '';
const quick = [...key, '--settle', '0.2'];
const { certificate } = cluster;
let made = 0;

function makeFolder(files: Readonly<Record<string, string>> = {}): string {
  made += 1;
  const path = join(folder, `served-${String(made)}`);
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return path;
}

function linesOf(stdout: string): readonly WatchLine[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as WatchLine);
}

describe('what must not be served', () => {
  test('a configuration that phones get encrypted is passed over, and signed once it no longer is', async () => {
    const name = 'SEP001122334455.cnf.xml';
    const served = makeFolder({ [name]: '<device><password>secret</password></device>', 'a.xml': 'a' });
    const words = ['file', 'encrypt', join(served, name), '--phone-certificate', phoneCertificate, ...key];
    expect(run(words)).toMatchObject({ status: 0 });
    const companion = readFileSync(join(served, `${name}.sgn`));
    const once = run(['file', 'watch', served, '--once', '--json', ...quick]);
    expect(once.status).toBe(0);
    expect(linesOf(once.stdout).filter(({ event }) => event === 'passed-over')).toMatchObject([{ file: name }]);
    const watcher = await startWatch(served, [...quick, '--remove']);
    await watcher.told('passed-over', name);
    writeFileSync(join(served, name), '<device><password>changed</password></device>');
    writeFileSync(join(served, 'b.xml'), 'b');
    await watcher.told('signed', 'b.xml');
    expect(readFileSync(join(served, `${name}.sgn`))).toEqual(companion);
    unlinkSync(join(served, `${name}.enc.sgn`));
    unlinkSync(join(served, `${name}.sgn`));
    await watcher.told('signed', name);
    await watcher.stop();
    expect(watcher.lines().filter(({ event }) => event === 'passed-over')).toHaveLength(1);
  });

  test('the companion of a configuration that is removed stays', async () => {
    const name = 'SEP001122334455.cnf.xml';
    const served = makeFolder({ [name]: '<device/>', 'a.xml': 'a' });
    run(['file', 'encrypt', join(served, name), '--phone-certificate', phoneCertificate, ...key]);
    const watcher = await startWatch(served, [...quick, '--remove']);
    await watcher.told('passed-over', name);
    await watcher.told('signed', 'a.xml');
    for (const one of [name, 'a.xml']) unlinkSync(join(served, one));
    await watcher.told('gone', 'a.xml');
    await watcher.stop();
    expect(existsSync(join(served, `${name}.sgn`))).toBe(true);
  });

  test('a copy of a private key is refused, with what to do', () => {
    const served = makeFolder({ 'a.xml': 'a' });
    writeFileSync(join(served, 'copy.pem'), readFileSync(join(folder, 'cluster.key')));
    const outcome = run(['file', 'watch', served, '--once', ...quick]);
    expect(outcome.status).toBe(2);
    expect(outcome.stderr).toContain('copy.pem is not signed');
    expect(outcome.stderr).toContain('hint: signed files are served to everybody');
    expect(existsSync(join(served, 'copy.pem.sgn'))).toBe(false);
    expect(signedContent(join(served, 'a.xml.sgn'), certificate)).toBe('a');
  });
});

describe('one file that fails', () => {
  test('names at the limit of the disk are signed or named, and the others are signed', () => {
    const long = (length: number): string => `${'n'.repeat(length - 4)}.xml`;
    const served = makeFolder({ 'a.xml': 'a' });
    for (const length of [240, 250, 251, 252, 255]) writeFileSync(join(served, long(length)), String(length));
    const outcome = run(['file', 'watch', served, '--once', '--json', ...quick]);
    expect(outcome.status).toBe(2);
    const lines = linesOf(outcome.stdout);
    expect(lines.at(-1)).toMatchObject({ event: 'ended', signed: 4, notSigned: [long(252), long(255)] });
    const failed = lines.find(({ event }) => event === 'failed');
    expect(failed).toMatchObject({ code: 'file-unwritable' });
    expect(failed?.['reason']).toContain('its name is too long');
    expect(failed?.['hint']).toContain('255 bytes');
    expect(signedContent(join(served, `${long(251)}.sgn`), certificate)).toBe('251');
    // The one before is kept, although its name leaves no room for time and SHA-1.
    writeFileSync(join(served, long(251)), 'another');
    run(['file', 'watch', served, '--once', ...quick]);
    expect(signedContent(join(served, `${long(251)}.sgn`), certificate)).toBe('another');
    expect(readdirSync(join(served, 'backups'))).toHaveLength(1);
    expect(readdirSync(served).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('a name that is not UTF-8 fails --once, in a folder and of one', () => {
    const served = makeFolder({ 'a.xml': 'a' });
    writeFileSync(Buffer.concat([Buffer.from(`${served}/b`), Buffer.of(0xe9), Buffer.from('.xml')]), 'b');
    const odd = Buffer.concat([Buffer.from(`${served}/d`), Buffer.of(0xe9)]);
    mkdirSync(odd);
    onTestFinished(() => rmdirSync(odd));
    const outcome = run(['file', 'watch', served, '--once', '--json', ...quick]);
    expect(outcome.status).toBe(2);
    const lines = linesOf(outcome.stdout);
    expect(lines.filter(({ event }) => event === 'failed')).toHaveLength(2);
    expect(lines.at(-1)).toMatchObject({ signed: 1, notSigned: ['b\uFFFD.xml', 'd\uFFFD'] });
  });

  /** Root may look into everything, unless it gives that up. */
  const asOthers =
    process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--'] : ['env'];
  const [first = '', ...rest] = asOthers;
  const refused =
    spawnSync(first, [...rest, 'test', '-r', program]).status === 0 ? '' : ' (setpriv does not work here)';

  test.skipIf(refused !== '')(`a folder that cannot be looked into fails --once${refused}`, () => {
    const place = mkdtempSync(join(tmpdir(), 'etb-unreadable-'));
    onTestFinished(() => rmSync(place, { recursive: true, force: true }));
    const served = join(place, 'served');
    const closed = join(served, 'closed');
    mkdirSync(closed, { recursive: true });
    writeFileSync(join(served, 'a.xml'), 'a');
    const words = [...['file', 'watch', served, '--once', '--json', '--settle', '0.2'], ...cluster.write(place, 'key')];
    chmodSync(closed, 0o000);
    const options = { encoding: 'utf8', env: plainEnvironment() } as const;
    const outcome = spawnSync(first, [...rest, process.execPath, program, ...words], options);
    chmodSync(closed, 0o700);
    expect(outcome.stderr).toContain('no permission to read it; nothing in it is signed');
    expect(outcome.status).toBe(2);
    const lines = linesOf(outcome.stdout);
    expect(lines.find(({ event }) => event === 'failed')).toMatchObject({ file: 'closed', code: 'file-unreadable' });
    expect(lines.at(-1)).toMatchObject({ signed: 1, notSigned: ['closed'] });
  });
});

describe('files made in one run', () => {
  test('a number that another run has used again is no name of this run', async () => {
    const served = makeFolder();
    const folders = new OutputFolders();
    const first = await NewFile.begin(join(served, 'first'), folders);
    first.writeNow(new TextEncoder().encode('first'));
    await first.put();
    // As it looks when another run puts its own file in the place of the first one, and the number is given again.
    renameSync(join(served, 'first'), join(served, 'second'));
    writeFileSync(join(served, 'first'), 'of another run');
    const second = await NewFile.begin(join(served, 'second'), folders);
    second.writeNow(new TextEncoder().encode('second'));
    expect(await second.put()).toMatchObject({ unchanged: false });
    expect(readFileSync(join(served, 'second'), 'utf8')).toBe('second');
  });
});
