import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeFolder, readInput, writeOutput } from '../../src/cli/files.js';
import { InputError } from '../../src/errors.js';

let folder: string;
const built = new URL('../../dist/cli/files.js', import.meta.url).href;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'etb-files-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const oldBytes = new Uint8Array(5000).fill(1);
const newBytes = new Uint8Array(6000).fill(2);

function sha1(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex');
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InputError);
  return (error as InputError).code;
}

describe('writeOutput', () => {
  test('writes a new file and makes no backup', async () => {
    const path = join(folder, 'CTLFile.tlv');
    expect(await writeOutput({ path, bytes: newBytes })).toEqual({ path });
    expect(sha1(readFileSync(path))).toBe(sha1(newBytes));
    expect(readdirSync(folder)).toEqual(['CTLFile.tlv']);
  });

  test('keeps the previous file in backups/ with its time and SHA-1, and its permissions on the new one', async () => {
    const path = join(folder, 'CTLFile.tlv');
    writeFileSync(path, oldBytes);
    chmodSync(path, 0o640);
    utimesSync(path, new Date('2015-03-06T20:56:07Z'), new Date('2015-03-06T20:56:07Z'));
    const written = await writeOutput({ path, bytes: newBytes });
    const name = `CTLFile.tlv.2015-03-06T20-56-07Z.${sha1(oldBytes)}`;
    expect(written.backup).toBe(join(folder, 'backups', name));
    expect(sha1(readFileSync(join(folder, 'backups', name)))).toBe(sha1(oldBytes));
    expect(sha1(readFileSync(path))).toBe(sha1(newBytes));
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  test('writes through a link to the file it names', async () => {
    const target = join(folder, 'real.tlv');
    writeFileSync(target, oldBytes);
    symlinkSync(target, join(folder, 'link.tlv'));
    await writeOutput({ path: join(folder, 'link.tlv'), bytes: newBytes });
    expect(sha1(readFileSync(target))).toBe(sha1(newBytes));
  });

  test('refuses an output that is an input, also by another path, unless it is what is updated', async () => {
    const path = join(folder, 'cluster.yaml');
    writeFileSync(path, oldBytes);
    symlinkSync(path, join(folder, 'other-name'));
    const request = { path: join(folder, 'other-name'), bytes: newBytes, inputs: [path] };
    expect(await codeOf(writeOutput(request))).toBe('file-exists');
    expect(sha1(readFileSync(path))).toBe(sha1(oldBytes));
    await writeOutput({ ...request, updates: path });
    expect(sha1(readFileSync(path))).toBe(sha1(newBytes));
  });

  test('names a missing folder and a folder given as a file, and leaves nothing behind', async () => {
    expect(await codeOf(writeOutput({ path: join(folder, 'none', 'x'), bytes: newBytes }))).toBe('file-unwritable');
    mkdirSync(join(folder, 'taken'));
    expect(await codeOf(writeOutput({ path: join(folder, 'taken'), bytes: newBytes }))).toBe('file-unwritable');
    expect(readdirSync(folder)).toEqual(['taken']);
  });

  test('removes what a killed run left beside the file, and nothing else', async () => {
    const gone = spawnSync('true').pid;
    const mine = `.CTLFile.tlv.${gone}-00112233.part`;
    for (const name of [mine, `.other.tlv.${gone}-00112233.part`, '.CTLFile.tlv.notes.part']) {
      writeFileSync(join(folder, name), 'x');
    }
    await writeOutput({ path: join(folder, 'CTLFile.tlv'), bytes: newBytes });
    expect(readdirSync(folder).sort()).toEqual([
      '.CTLFile.tlv.notes.part',
      `.other.tlv.${gone}-00112233.part`,
      'CTLFile.tlv',
    ]);
  });
});

const canMount = process.getuid?.() === 0 && spawnSync('unshare', ['-m', 'true']).status === 0;

describe('a write that fails in the middle', () => {
  // Needs root for a small file system of its own.
  test.skipIf(!canMount)('leaves the old file whole when the disk is full, and no other file', () => {
    const script = `
      const { writeOutput } = await import(${JSON.stringify(built)});
      const { writeFileSync, readdirSync, readFileSync, existsSync } = await import('node:fs');
      const path = process.argv[1] + '/CTLFile.tlv';
      writeFileSync(path, Buffer.alloc(40_000, 1));
      const failure = await writeOutput({ path, bytes: new Uint8Array(60_000).fill(2) }).catch((error) => error);
      const whole = readFileSync(path).equals(Buffer.alloc(40_000, 1));
      console.log(JSON.stringify({ code: failure.code, message: failure.message, whole, files: readdirSync(process.argv[1]) }));
    `;
    const mount = 'mount -t tmpfs -o size=80k tmpfs "$1" && exec "$2" --input-type=module -e "$3" "$1"';
    const answer = execFileSync('unshare', ['-m', 'sh', '-c', mount, 'sh', folder, process.execPath, script], {
      encoding: 'utf8',
    });
    const result = JSON.parse(answer) as { code: string; message: string; whole: boolean; files: string[] };
    expect(result).toMatchObject({ code: 'file-unwritable', whole: true, files: ['CTLFile.tlv'] });
    expect(result.message).toContain('the disk is full');
  });

  test('SIGKILL between write and rename leaves the old or the new file whole', async () => {
    const path = join(folder, 'CTLFile.tlv');
    writeFileSync(path, oldBytes);
    const script = `
      const { writeOutput } = await import(${JSON.stringify(built)});
      for (let turn = 0; ; turn += 1) await writeOutput({ path: process.argv[1], bytes: new Uint8Array(6000).fill(turn % 250) });
    `;
    let leftBehind = 0;
    for (let attempt = 0; attempt < 40 && leftBehind < 3; attempt += 1) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], { stdio: 'ignore' });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      const watcher = watch(folder, (_event, name) => {
        if (name?.endsWith('.part')) child.kill('SIGKILL');
      });
      await ended;
      watcher.close();
      const bytes = readFileSync(path);
      expect([5000, 6000]).toContain(bytes.length);
      expect(new Set(bytes).size).toBe(1);
      leftBehind += readdirSync(folder).filter((name) => name.endsWith('.part')).length > 0 ? 1 : 0;
      await writeOutput({ path, bytes: oldBytes });
      expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
    }
    // Otherwise no kill hit the moment that this test is about.
    expect(leftBehind).toBeGreaterThan(0);
  });
});

describe('makeFolder', () => {
  test('makes the folders above it too, and uses those that are there', async () => {
    const path = join(folder, 'one/two/three');
    await makeFolder(path, 'hint');
    await makeFolder(path, 'hint');
    await Promise.all(['four', 'four', 'five'].map((name) => makeFolder(join(folder, 'new', name), 'hint')));
    expect(readdirSync(join(folder, 'one/two'))).toEqual(['three']);
    expect(readdirSync(join(folder, 'new')).sort()).toEqual(['five', 'four']);
    await makeFolder('/', 'hint');
  });

  test.each([
    ['file', 'a file of this name is there'],
    ['file/below', 'its folder is no folder'],
    ['loose/below', 'a file of this name is there'],
  ])('%s is refused', async (name, reason) => {
    writeFileSync(join(folder, 'file'), '');
    symlinkSync(join(folder, 'nowhere'), join(folder, 'loose'));
    await expect(makeFolder(join(folder, name), 'give another')).rejects.toMatchObject({
      code: 'file-unwritable',
      message: expect.stringContaining(`/${name} cannot be made: ${reason}`) as string,
      hint: 'give another',
    });
  });

  // In a process of its own, which can be ended when it does not come to its end.
  test.skipIf(!existsSync('/proc/self'))(
    'a folder that takes no folder is told, and not tried for ever',
    () => {
      for (const path of ['/proc/etoken-bridge', '/proc/etoken-bridge/below']) {
        const script = `
        const { makeFolder } = await import(${JSON.stringify(built)});
        const failure = await makeFolder(${JSON.stringify(path)}, 'give another').catch((error) => error);
        console.log(failure.code, failure.message);
      `;
        const words = ['--input-type=module', '-e', script];
        const { stdout } = spawnSync(process.execPath, words, {
          encoding: 'utf8',
          timeout: 10_000,
          killSignal: 'SIGKILL',
        });
        expect(stdout).toBe(`file-unwritable the folder ${path} cannot be made: no folder can be made in this place\n`);
      }
    },
    30_000,
  );
});

describe('readInput', () => {
  test('tells a missing file, a folder and a file that is too large apart', async () => {
    expect(await codeOf(readInput(join(folder, 'none'), 'trust list'))).toBe('file-missing');
    expect(await codeOf(readInput(folder, 'trust list'))).toBe('file-unreadable');
    const large = join(folder, 'large');
    execFileSync('truncate', ['-s', '100M', large]);
    expect(await codeOf(readInput(large, 'trust list'))).toBe('file-unreadable');
    expect(existsSync(large)).toBe(true);
  });
});
