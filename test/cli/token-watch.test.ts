import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createSastToken, createSoftHsm, createSoftToken, createStandInAuthority, type SoftHsm } from 'softhsm-config';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildFaultShim, shimMissing } from '../fault-shim/build.js';
import { waitUntil } from '../token/soft-tokens.js';
import { expectFailure, plainEnvironment, program, run, temporaryFolder } from './etoken-bridge.js';
import { childrenOf, isRunning } from './terminal.js';

const folder = temporaryFolder();
const words = { pin: 'Kv7rJ2-pin-one', soPin: 'so-pin-1234' };
let softHsm: SoftHsm;
let environment: Readonly<Record<string, string>>;
let serialNumber = '';

beforeAll(async () => {
  softHsm = await createSoftHsm(join(folder, 'softhsm'));
  environment = { ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module };
  const authority = await createStandInAuthority();
  const { token } = await createSastToken(softHsm, { ...words, label: 'SAST first', bits: 1024, authority });
  serialNumber = token.serialNumber;
});

/** A `token watch` that runs. */
interface Watching {
  readonly child: ChildProcess;
  /** Waits for a line of standard output that was not waited for before. */
  line(pattern: RegExp): Promise<string>;
  errors(): string;
  readonly ended: Promise<unknown>;
}

const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
});

function startWatch(options: readonly string[], env: Readonly<Record<string, string>> = {}): Watching {
  const child = spawn(process.execPath, [program, 'token', 'watch', '--interval', '0.1', ...options], {
    cwd: folder,
    env: plainEnvironment({ ...environment, ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let printed = '';
  let errors = '';
  let read = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const ended = once(child, 'close');
  return {
    child,
    errors: () => errors,
    ended,
    async line(pattern) {
      for (const began = Date.now(); Date.now() - began < 50_000;) {
        const lines = printed.split('\n').slice(0, -1);
        const index = lines.findIndex((text, place) => place >= read && pattern.test(text));
        if (index >= 0) {
          read = index + 1;
          return lines[index]!;
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error(`${String(pattern)} was not printed; there is ${printed}${errors}`);
    },
  };
}

const withoutShim = shimMissing === undefined ? '' : ` (skipped: ${shimMissing})`;
const withoutLinux = process.platform === 'linux' ? '' : ' (skipped: Linux only)';

describe('token watch', () => {
  const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;

  test('prints what is there, what is plugged in and what is pulled out, with times in UTC; ends with 0', async () => {
    const watch = startWatch([]);
    const present = await watch.line(/ present: /);
    expect(present).toMatch(
      new RegExp(
        `^${time} present: token "SAST first" \\(serial ${serialNumber}\\), PIN ok, pkcs11:token=SAST%20first;`,
      ),
    );
    const made = await createSoftToken(softHsm, { ...words, label: 'SAST second' });
    expect(await watch.line(/ plugged in: token "SAST second" /)).toContain(made.uri);
    const deleted = spawnSync('softhsm2-util', ['--delete-token', '--serial', made.serialNumber], {
      env: { ...process.env, ...softHsm.environment },
    });
    expect(deleted.status).toBe(0);
    const gone = await watch.line(/ pulled out: token "SAST second" /);
    expect(gone).toMatch(
      new RegExp(`^${time} pulled out: token "SAST second" \\(serial ${made.serialNumber}\\), pkcs11:`),
    );
    const processes = [watch.child.pid!, ...childrenOf(watch.child.pid!)];
    watch.child.kill('SIGTERM');
    expect(await watch.ended).toEqual([0, null]);
    expect(watch.errors()).toBe('looking for tokens every 0.1 s; Ctrl-C ends it\nended by SIGTERM\n');
    await expectGone(processes);
  });

  test('--json prints one document on each line, with stable keys', async () => {
    const watch = startWatch(['--json', '--quiet', '--token-label', 'SAST first']);
    const document = JSON.parse(await watch.line(/./)) as { time: string; event: string; token: object };
    expect(Object.keys(document)).toEqual(['time', 'event', 'token']);
    expect(document).toMatchObject({
      event: 'present',
      token: { label: 'SAST first', serialNumber, pin: { state: 'ok' } },
    });
    expect(document.time).toMatch(new RegExp(`^${time}$`));
    expect(Object.keys(document.token)).toEqual([
      ...['label', 'serialNumber', 'manufacturer', 'model', 'firmware', 'hardware'],
      ...['slotId', 'slotDescription', 'slotManufacturer', 'modulePath', 'library', 'initialised', 'pin'],
      ...['minPinLength', 'maxPinLength', 'loginRequired', 'protectedAuthenticationPath', 'writeProtected'],
      ...['flags', 'flagNames', 'uri'],
    ]);
    watch.child.kill('SIGINT');
    expect(await watch.ended).toEqual([0, null]);
    expect(watch.errors()).toBe('');
  });

  test.skipIf(shimMissing !== undefined)(
    `a module that crashes is named, and watching goes on${withoutShim}`,
    async () => {
      const place = join(folder, 'shim');
      mkdirSync(place);
      const shim = buildFaultShim(place, softHsm.module);
      const watch = startWatch(['--json'], { ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module });
      await watch.line(/"event":"present"/);
      shim.setRules('C_GetSlotList abort');
      const failed = JSON.parse(await watch.line(/module-failed/)) as object;
      expect(failed).toMatchObject({
        event: 'module-failed',
        module: shim.module,
        error: { code: 'host-crashed', function: 'C_GetSlotList', hint: expect.stringContaining('repeat') as string },
      });
      shim.setRules();
      expect(JSON.parse(await watch.line(/module-works/))).toMatchObject({ module: shim.module });
      const plain = startWatch([], { ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module });
      await plain.line(/ present: /);
      shim.setRules('C_GetSlotList rv=0x6');
      const line = await plain.line(/ failed: /);
      expect(line).toContain('C_GetSlotList: CKR_FUNCTION_FAILED');
      // The path of the module stands there once.
      expect(line.split(shim.module)).toHaveLength(2);
      shim.setRules();
      await plain.line(/ works again: /);
      for (const { child, ended } of [watch, plain]) {
        child.kill('SIGINT');
        expect(await ended).toEqual([0, null]);
      }
    },
  );

  const title = `says why a module of smart cards may show no token${withoutLinux}`;
  test.skipIf(process.platform !== 'linux')(title, async () => {
    const place = join(folder, 'no-daemon');
    mkdirSync(place);
    const empty = await createSoftHsm(join(place, 'softhsm'));
    const module = join(place, 'libeTPkcs11.so');
    symlinkSync(softHsm.module, module);
    const socket = join(place, 'none');
    const env = { ...empty.environment, ETOKEN_BRIDGE_MODULE: module, PCSCLITE_CSOCK_NAME: socket };
    const [plain, json] = [startWatch([], env), startWatch(['--json'], env)];
    expect(await plain.line(/ no token: /)).toContain(`${module}: the smart card daemon pcscd does not run`);
    const document = JSON.parse(await json.line(/./)) as object;
    expect(Object.keys(document)).toEqual(['time', 'event', 'module', 'reason']);
    expect(document).toMatchObject({ event: 'no-tokens', module, reason: expect.stringContaining(socket) as string });
    for (const { child, ended } of [plain, json]) {
      child.kill('SIGINT');
      expect(await ended).toEqual([0, null]);
    }
  });

  test.skipIf(shimMissing !== undefined)(`ends while a module hangs, and leaves no process${withoutShim}`, async () => {
    const place = join(folder, 'hang');
    mkdirSync(place);
    const shim = buildFaultShim(place, softHsm.module);
    shim.setRules('C_GetSlotList hang');
    const watch = startWatch([], { ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module });
    expect(await waitUntil(() => shim.calls().includes('C_GetSlotList'))).toBe(true);
    const processes = [watch.child.pid!, ...childrenOf(watch.child.pid!)];
    expect(processes).toHaveLength(2);
    watch.child.kill('SIGINT');
    expect(await watch.ended).toEqual([0, null]);
    await expectGone(processes);
  });

  test.each(['0', 'soon', '-1', '100000', ''])('--interval %j is wrong usage', (interval) => {
    const outcome = run(['token', 'watch', `--interval=${interval}`], { cwd: folder, env: environment });
    expectFailure(outcome, 2, '--interval is not a number of seconds from 0.1 to 3600');
  });

  test('without a module it ends with 3', () => {
    const outcome = run(['token', 'watch', '--quiet', '--module', '/nonexistent.so'], {
      cwd: folder,
      env: environment,
    });
    expectFailure(outcome, 3, '/nonexistent.so does not exist');
  });
});

/** A process that was killed ends a moment later. */
async function expectGone(processes: readonly number[]): Promise<void> {
  for (const began = Date.now(); processes.some(isRunning) && Date.now() - began < 20_000;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(processes.filter(isRunning)).toEqual([]);
}
