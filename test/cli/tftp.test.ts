import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectFailure, jsonOf, plainEnvironment, program, run, snapshot, temporaryFolder } from './etoken-bridge.js';

const folder = temporaryFolder();
const served = join(folder, 'served');
const content = Buffer.from('x'.repeat(5000));

mkdirSync(join(served, 'Desktops'), { recursive: true });
mkdirSync(join(folder, 'empty'));
writeFileSync(join(served, 'CTLFile.tlv'), content);
writeFileSync(join(served, 'Desktops', 'List.xml'), '<list/>');
symlinkSync('/etc/passwd', join(served, 'out'));

/** A server that runs as a process of its own. */
interface Served {
  readonly child: ChildProcess;
  readonly address: string;
  readonly log: () => string;
  readonly ended: Promise<number | null>;
}

async function start(...words: string[]): Promise<Served> {
  const child = spawn(process.execPath, [program, 'tftp', 'serve', '--port', '0', ...words], {
    env: plainEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (text: Buffer) => (log += text.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout });
  const address = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve);
    void ended.then(() => reject(new Error(log)));
  });
  return { child, address, log: () => log, ended };
}

let server: Served;

beforeAll(async () => {
  server = await start(served);
});

afterAll(() => {
  server.child.kill('SIGKILL');
});

describe('tftp serve', () => {
  test('prints the address it listens on first', () => {
    expect(server.address).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('ends with exit code 0 on %s', async (signal) => {
    const own = await start(served);
    own.child.kill(signal);
    expect(await own.ended).toBe(0);
    await expect.poll(own.log).toContain(`ended by ${signal}`);
  });

  test('what a client sends does not forge lines of the log', async () => {
    const own = await start(served);
    const socket = createSocket('udp4');
    const request = Buffer.concat([Buffer.from([0, 1]), Buffer.from('a\u001b[31m\r\nFORGED\0octet\0x\nFORGED\0y\0')]);
    await new Promise<void>((resolve, reject) => {
      const port = Number(own.address.split(':')[1]);
      socket.send(request, port, '127.0.0.1', (error) => (error === null ? resolve() : reject(error)));
    });
    await expect.poll(own.log).toContain('FORGED');
    own.child.kill();
    await own.ended;
    socket.close();
    expect(own.log()).not.toMatch(/^FORGED/m);
    expect(own.log()).not.toContain('\u001b');
  });

  test('falls back to other servers', async () => {
    const own = await start(join(folder, 'empty'), '--fallback', server.address);
    const out = join(folder, 'passed-on');
    const outcome = run(['tftp', 'get', own.address, 'CTLFile.tlv', '--out', out]);
    own.child.kill();
    expect(await own.ended).toBe(0);
    expect(outcome).toMatchObject({ status: 0, stdout: `${out}\n` });
    expect(readFileSync(out).equals(content)).toBe(true);
    await expect.poll(own.log).toContain(`CTLFile.tlv fetched from ${server.address}`);
  });

  test('a folder that is not there, a port that is in use, and addresses that are none are refused', () => {
    expectFailure(run(['tftp', 'serve', join(folder, 'none')]), 2, 'there is no folder', 'check the path');
    const port = server.address.split(':')[1] ?? '';
    expectFailure(run(['tftp', 'serve', served, '--port', port]), 2, 'the port is in use', 'another port');
    expectFailure(run(['tftp', 'serve', served, '--port', '65536']), 2, 'the port cannot be 65536', '0 to 65535');
    expectFailure(run(['tftp', 'serve', served, '--fallback', 'a:b']), 2, 'is not HOST or HOST:PORT', 'in brackets');
  });
});

describe('tftp get', () => {
  test('writes the file under the last part of its name, and logs nothing but the result', async () => {
    const cwd = join(folder, 'cwd');
    mkdirSync(cwd);
    expect(run(['tftp', 'get', server.address, 'Desktops/List.xml'], { cwd })).toEqual({
      status: 0,
      stdout: 'List.xml\n',
      stderr: '',
    });
    expect(snapshot(cwd)).toEqual(new Map([[join(cwd, 'List.xml'), '<list/>']]));
    await expect.poll(server.log).toContain(`got Desktops/List.xml: 7 bytes`);
  });

  test('takes sizes of blocks and windows, and prints a document with --json', async () => {
    const out = join(folder, 'sized');
    const words = [
      'tftp',
      'get',
      server.address,
      'CTLFile.tlv',
      '--out',
      out,
      '--blksize',
      '1024',
      '--windowsize',
      '4',
    ];
    expect(jsonOf(run([...words, '--json']))).toEqual({ path: out, length: 5000 });
    expect(readFileSync(out).equals(content)).toBe(true);
    await expect.poll(server.log).toContain('asks for CTLFile.tlv blksize=1024 windowsize=4 tsize=0');
  });

  test('the file that was there is kept in backups, and nothing changes after a failure', () => {
    const own = join(folder, 'kept');
    mkdirSync(own);
    const out = join(own, 'CTLFile.tlv');
    writeFileSync(out, 'old');
    expectFailure(run(['tftp', 'get', server.address, 'none', '--out', out]), 1, 'file not found', 'check the name');
    expectFailure(run(['tftp', 'get', server.address, 'out', '--out', out]), 2, /refuses the file out \(error 2/);
    expect(snapshot(own)).toEqual(new Map([[out, 'old']]));
    expect(jsonOf(run(['tftp', 'get', server.address, 'CTLFile.tlv', '--out', out, '--json']))).toMatchObject({
      backup: expect.stringContaining(join(own, 'backups', 'CTLFile.tlv')) as string,
    });
  });

  test('wrong usage ends with 2 before anything is asked', () => {
    expectFailure(
      run(['tftp', 'get', server.address, 'x', '--blksize', '7']),
      2,
      '--blksize cannot be 7',
      '8 to 65464',
    );
    expectFailure(run(['tftp', 'get', server.address, 'x', '--windowsize', '0']), 2, '--windowsize cannot be 0');
    expectFailure(run(['tftp', 'get', 'host:port', 'x']), 2, 'is not HOST or HOST:PORT', 'in brackets');
    expectFailure(run(['tftp', 'get', server.address, 'x/']), 2, 'does not say how', '--out');
    const nowhere = join(folder, 'no', 'folder');
    expectFailure(run(['tftp', 'get', server.address, 'CTLFile.tlv', '--out', nowhere]), 2, 'was not written');
    expect(existsSync(nowhere)).toBe(false);
  });

  test('a server that does not answer ends with 2 and what to check', () => {
    const outcome = run(['tftp', 'get', '127.0.0.1:1', 'x', '--out', join(folder, 'x')]);
    expectFailure(outcome, 2, 'does not answer', 'UDP');
  });
});
