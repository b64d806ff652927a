import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { decodeSignedFile, verifySignedFile } from '../../src/signed-file/index.js';
import { buildFaultShim, shimMissing, type FaultShim } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { jsonOf, plainEnvironment, program, run, temporaryFolder, type Outcome } from './etoken-bridge.js';
import { verifyWithOpenssl, type BulkDocument } from './signed-files.js';
import { makeSoftTokens } from './soft-tokens.js';
import { noTerminal, openTerminal } from './terminal.js';

/** More than go to the token at a time. */
const fileCount = 100;
const deviceRemoved = '0x32';

const tokens = await makeSoftTokens();
const shim: FaultShim | undefined =
  shimMissing === undefined ? buildFaultShim(temporaryFolder(), tokens.module) : undefined;
const environment = {
  ...tokens.environment,
  ETOKEN_BRIDGE_MODULE: shim?.module ?? tokens.module,
  ...shim?.environment,
};

/** The token behind the shim. */
const tokenOptions = ['--token-label', 'SAST first', '--pin-file', tokens.first.pinFile];

afterEach(() => shim?.setRules());

/** A folder with configurations. */
function makeFolder(): string {
  const folder = mkdtempSync(join(tokens.folder, 'files-'));
  mkdirSync(join(folder, 'tftp'));
  for (let index = 0; index < fileCount; index += 1) {
    writeFileSync(
      join(folder, `tftp/SEP${String(index).padStart(12, '0')}.cnf.xml`),
      `<device>${String(index)}</device>`,
    );
  }
  return folder;
}

const words = ['file', 'sign', 'tftp', '--out', 'out', ...tokenOptions];

function sign(folder: string, ...more: readonly string[]): Outcome {
  return run([...words, ...more], { cwd: folder, env: environment });
}

/** Starts signing, waits until some files are finished, does something to it, and waits for its end. */
async function disturb(folder: string, more: readonly string[], how: (processId: number) => void): Promise<Outcome> {
  const child = spawn(process.execPath, [program, ...words, ...more], {
    cwd: folder,
    env: plainEnvironment(environment),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = once(child, 'close');
  while (finishedFiles(folder).length === 0 && child.exitCode === null) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  how(child.pid!);
  const [status] = (await ended) as [number | null];
  return { status, stdout, stderr };
}

function finishedFiles(folder: string): readonly string[] {
  const out = join(folder, 'out');
  return existsSync(out) ? readdirSync(out).filter((name) => name.endsWith('.sgn')) : [];
}

/** Every file in the folder of outputs is whole, and nothing else is in it. */
function expectWhole(folder: string): void {
  const { certificate } = tokens.first;
  const names = readdirSync(join(folder, 'out'));
  for (const name of names) {
    const file = decodeSignedFile(new Uint8Array(readFileSync(join(folder, 'out', name))));
    expect([file.header.fileName, verifySignedFile(file, certificate)]).toEqual([name, true]);
  }
  verifyWithOpenssl(join(folder, 'out', names[0]!), certificate, folder);
}

describe.skipIf(shimMissing !== undefined)(`a folder, signed by a token${skipReason(shimMissing)}`, () => {
  test('takes one login and one host, and a signature for each file', () => {
    const folder = makeFolder();
    shim!.takeCalls();
    const { status, stdout, stderr } = sign(folder, '--quiet');
    expect(stderr).toMatch(/^warning: P12: .* is a SAST certificate/);
    expect([status, stdout]).toEqual([0, `${String(fileCount)} signed\n`]);
    const calls = shim!.takeCalls();
    const count = (name: string): number => calls.filter((call) => call === name).length;
    expect([count('C_Initialize'), count('C_Login'), count('C_Sign')]).toEqual([1, 1, fileCount]);
    expectWhole(folder);
    shim!.takeCalls();
    expect(sign(folder, '--continue', '--quiet').stdout).toBe(`0 signed, ${String(fileCount)} already done\n`);
    expect(shim!.takeCalls()).not.toContain('C_Sign');
  });

  test('pulled out half-way: what is finished is whole, the rest is named, and --continue does only the rest', async () => {
    const folder = makeFolder();
    shim!.setRules('C_Sign delay=15');
    const outcome = await disturb(folder, ['--json'], () => shim!.setRules(`C_Sign rv=${deviceRemoved}`));
    expect(outcome.stderr).toMatch(/^error: .*CKR_DEVICE_REMOVED/m);
    expect(outcome.status).toBe(3);
    const finished = finishedFiles(folder);
    expect(finished.length).toBeGreaterThan(0);
    expect(finished.length).toBeLessThan(fileCount);
    expectWhole(folder);
    const document = jsonOf(outcome) as BulkDocument;
    expect([document.done, document.failed, document.notDone]).toEqual([
      finished.length,
      0,
      fileCount - finished.length,
    ]);
    expect(document.error?.code).toBe('token-removed');
    const states = document.files.map(({ outputs, state }) => [outputs[0]!.slice('out/'.length), state]);
    expect(states.filter(([, state]) => state === 'signed').map(([name]) => name)).toEqual([...finished].sort());
    shim!.setRules();
    shim!.takeCalls();
    const rest = sign(folder, '--continue', '--quiet');
    expect(rest.stdout).toBe(`${String(document.notDone)} signed, ${String(document.done)} already done\n`);
    expect(shim!.takeCalls().filter((call) => call === 'C_Sign')).toHaveLength(document.notDone);
    expectWhole(folder);
  });

  test('each file that is left is named without --json too', async () => {
    const folder = makeFolder();
    shim!.setRules('C_Sign delay=15');
    const outcome = await disturb(folder, ['--quiet'], () => shim!.setRules(`C_Sign rv=${deviceRemoved}`));
    const finished = finishedFiles(folder);
    const left = [...outcome.stderr.matchAll(/^not done: tftp\/(.*)$/gm)].map(([, name]) => `${name!}.sgn`);
    expect([...left, ...finished].sort()).toEqual(
      readdirSync(join(folder, 'tftp'))
        .map((name) => `${name}.sgn`)
        .sort(),
    );
    expect(outcome.stdout).toBe(`${String(finished.length)} signed, ${String(left.length)} not done\n`);
    expect(outcome.status).toBe(3);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s: 130, what is finished is whole, the rest is named', async (signal) => {
    const folder = makeFolder();
    shim!.setRules('C_Sign delay=15');
    const outcome = await disturb(folder, ['--json'], (processId) => process.kill(processId, signal));
    expect(outcome.stderr).toMatch(/interrupted\n$/);
    expect(outcome.status).toBe(130);
    const document = jsonOf(outcome) as BulkDocument;
    const finished = finishedFiles(folder);
    expect(document.interrupted).toBe(true);
    expect(document.notDone).toBeGreaterThan(0);
    // One that was moved to its place in the very moment is whole, and named all the same.
    expect(finished.length).toBeGreaterThanOrEqual(document.done);
    expectWhole(folder);
    shim!.setRules();
    expect(sign(folder, '--continue', '--quiet').stdout).toBe(
      `${String(fileCount - finished.length)} signed, ${String(finished.length)} already done\n`,
    );
  });

  test('a wrong PIN, and a place that is not safe: nothing is written, and the PIN is not tried for the latter', () => {
    const folder = makeFolder();
    const wrong = run(
      ['file', 'sign', 'tftp', '--out', 'out', '--token-label', 'SAST first', '--pin-file', tokens.wrongPinFile],
      {
        cwd: folder,
        env: environment,
      },
    );
    expect(wrong.status).toBe(3);
    expect(existsSync(join(folder, 'out'))).toBe(false);
    shim!.takeCalls();
    writeFileSync(join(folder, 'a'), '');
    writeFileSync(join(folder, 'a.sgn'), '');
    const unsafe = run(['file', 'sign', 'a', 'a.sgn', ...tokenOptions], { cwd: folder, env: environment });
    expect(unsafe.status).toBe(4);
    expect(shim!.takeCalls()).toEqual([]);
    // One login with the right PIN: no try is lost for what follows.
    expect(sign(folder, '--quiet').status).toBe(0);
  });

  test.skipIf(noTerminal !== undefined)(`a terminal shows a bar${skipReason(noTerminal)}`, async () => {
    const folder = makeFolder();
    shim!.setRules('C_Sign delay=15');
    const terminal = openTerminal(words, { cwd: folder, env: environment });
    await terminal.waitFor(/\[#*-+\] signing files: \d+ of 100/);
    shim!.setRules();
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen()).toContain('100 signed');
    const silent = openTerminal([...words, '--json'], { cwd: folder, env: environment });
    expect(await silent.ended).toBe(0);
    expect(silent.screen()).not.toContain('signing files');
  });
});
