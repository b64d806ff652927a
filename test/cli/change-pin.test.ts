import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';
import { afterEach, describe, expect, test } from 'vitest';
import { buildFaultShim, shimMissing } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { buildOddModule } from '../token/odd-token.js';
import { waitUntil } from '../token/soft-tokens.js';
import {
  expectFailure,
  jsonOf,
  plainEnvironment,
  program,
  run as runCommand,
  temporaryFolder,
  type Outcome,
} from './etoken-bridge.js';
import { noTerminal, openTerminal } from './terminal.js';

const folder = temporaryFolder();
const pins = { present: 'Kv7rJ2-present', next: 'Lm5hX9-next-one', wrong: 'Qx9mT4-pin-bad' } as const;
for (const [name, pin] of Object.entries(pins)) writeFileSync(join(folder, `${name}.pin`), pin, { mode: 0o600 });
const softHsm = await createSoftHsm(join(folder, 'softhsm'));
const authority = await createStandInAuthority();
const { token } = await createSastToken(softHsm, {
  ...{ label: 'SAST first', pin: pins.present, soPin: 'so-pin-1234', bits: 1024, authority },
});
const environment = { ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module };
const named = `token "SAST first" (serial ${token.serialNumber})`;

function run(words: readonly string[], env: Readonly<Record<string, string>> = {}): Outcome {
  const outcome = runCommand(words, { cwd: folder, env: { ...environment, ...env } });
  expectNoPin(outcome.stdout + outcome.stderr);
  return outcome;
}

function expectNoPin(text: string): void {
  for (const pin of Object.values(pins)) expect(text).not.toContain(pin);
}

/** Whether the PIN of a file opens the token. */
const opens = (name: keyof typeof pins): boolean => run(['token', 'check', '--pin-file', `${name}.pin`]).status === 0;
const change = ['token', 'change-pin'];
const toNext = [...change, '--pin-file', 'present.pin', '--new-pin-file', 'next.pin'];

/** Each test begins with the first PIN, and no wrong try counted. */
afterEach(() => {
  if (!opens('present')) run([...change, '--pin-file', 'next.pin', '--new-pin-file', 'present.pin']);
  expect(opens('present')).toBe(true);
});

describe('token change-pin', () => {
  test('with files: the new PIN works, the old one does not, and what is to be done next is said', () => {
    const outcome = run(toNext);
    expect(outcome).toEqual({
      status: 0,
      stdout: `the PIN of ${named} was changed\n`,
      stderr:
        'next: put the new PIN into present.pin and other PIN files, variables and services that hold the old one: each use of it is a wrong try\n',
    });
    expect([opens('next'), opens('present')]).toEqual([true, false]);
  });

  test('--json', () => {
    const outcome = run([...toNext, '--json', '--quiet', '--token', token.uri]);
    expect(jsonOf(outcome)).toEqual({
      changed: true,
      token: { label: 'SAST first', serialNumber: token.serialNumber, uri: token.uri },
      pin: { state: 'ok', words: 'ok' },
    });
    expect([outcome.status, outcome.stderr]).toEqual([0, '']);
  });

  test('the present PIN from the environment', () => {
    const words = [...change, '--new-pin-file', 'next.pin'];
    expect(run(words, { ETOKEN_BRIDGE_PIN: pins.present }).status).toBe(0);
    expect(opens('next')).toBe(true);
  });

  test('a wrong present PIN: 3, tried once, and nothing is changed', () => {
    const outcome = run([...change, '--pin-file', 'wrong.pin', '--new-pin-file', 'next.pin', '--debug']);
    expect(outcome.stderr).toContain(
      `error: ${named}: the PIN is wrong; few tries are left (C_SetPIN: CKR_PIN_INCORRECT)\nhint: check the PIN`,
    );
    expect([outcome.status, outcome.stdout]).toEqual([3, '']);
    const listed = jsonOf(run(['token', 'list', '--json'])) as { tokens: { pin: object }[] };
    expect(listed.tokens[0]?.pin).toEqual({ state: 'count-low', words: 'few tries are left' });
  });

  test('a new PIN that the token does not take, or the present one: 2, and none is tried', () => {
    writeFileSync(join(folder, 'short.pin'), 'abc', { mode: 0o600 });
    const short = run([...change, '--pin-file', 'wrong.pin', '--new-pin-file', 'short.pin']);
    expectFailure(short, 2, `the new PIN has 3 characters, and ${named} takes 4 to 255`, 'nothing was tried');
    const same = run([...change, '--pin-file', 'wrong.pin', '--new-pin-file', 'wrong.pin']);
    expectFailure(same, 2, 'the new PIN is the present one; nothing was tried');
    expect(run(['token', 'list']).stdout).toContain('  PIN     ok\n');
  });

  test('without a terminal a PIN that is not in a file is missed', () => {
    expectFailure(
      run([...change, '--new-pin-file', 'next.pin']),
      2,
      `present PIN of ${named} cannot be asked for`,
      '--pin-file',
    );
    const missing = run([...change, '--pin-file', 'wrong.pin']);
    expectFailure(missing, 2, `new PIN of ${named} (4 to 255 characters) cannot be asked for`, '--new-pin-file FILE');
  });

  test.skipIf(shimMissing !== undefined)(
    `on the final try: 3, unless that is wanted; locked: 3${skipReason(shimMissing)}`,
    () => {
      const shim = buildFaultShim(folder, softHsm.module);
      const env = { ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
      shim.setRules('C_GetTokenInfo flags=0x20000');
      expectFailure(
        run(toNext, env),
        3,
        `the PIN of ${named} has one try left, and it is not used`,
        '--use-final-pin-try',
      );
      expect(run([...toNext, '--use-final-pin-try'], env).status).toBe(0);
      shim.setRules('C_GetTokenInfo flags=0x40000');
      shim.takeCalls();
      expectFailure(run(toNext, env), 3, `the PIN of ${named} is locked`, 'unlock');
      expect(shim.takeCalls()).not.toContain('C_SetPIN');
      shim.setRules('C_GetTokenInfo flags=0x80000');
      expect(run(['token', 'list'], env).stdout).toContain(
        '  PIN     must be changed: it is the first one, or has expired\n',
      );
    },
  );

  test.skipIf(shimMissing !== undefined)(
    `broken off while the token changes it: 130, and that nobody knows which holds${skipReason(shimMissing)}`,
    async () => {
      const shim = buildFaultShim(folder, softHsm.module);
      shim.setRules('C_SetPIN hang');
      const child = spawn(process.execPath, [program, ...toNext, '--quiet'], {
        cwd: folder,
        env: plainEnvironment({ ...environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module }),
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      const ended = once(child, 'close');
      expect(await waitUntil(() => shim.takeCalls().includes('C_SetPIN'))).toBe(true);
      child.kill('SIGINT');
      expect(await ended).toEqual([130, null]);
      expect(stderr).toMatch(
        /^warning: whether the PIN of token "SAST first" \(serial \w+\) was changed is not known; .*try the new PIN once.*\ninterrupted\n$/,
      );
      shim.setRules();
    },
  );

  test.skipIf(shimMissing !== undefined)(
    `at a reader with keys both are entered there, and that is said${skipReason(shimMissing)}`,
    () => {
      const odd = buildOddModule(folder, softHsm.module);
      const pad = {
        ...odd.environment,
        ETOKEN_BRIDGE_MODULE: odd.module,
        ODD_TOKEN_PAD: '10',
        ODD_TOKEN_USER_PIN: pins.present,
        ODD_TOKEN_NEW_PIN: pins.next,
      };
      // One at the reader and one from a file cannot be: said before anybody is sent to the reader.
      const half = run([...change, '--new-pin-file', 'next.pin'], pad);
      expectFailure(half, 3, `the present PIN of ${named} is missing`, 'leave --new-pin-file out');
      expect(half.stderr).not.toContain('enter the');
      expect(odd.triedPins()).toEqual([]);
      // No file holds a PIN that was entered there.
      expect(run(change, pad)).toEqual({
        status: 0,
        stdout: `the PIN of ${named} was changed\n`,
        stderr: `enter the present PIN of ${named} at its reader, then the new one twice\n`,
      });
      expect(opens('next')).toBe(true);
    },
  );

  test('there is no option for a PIN itself', () => {
    for (const option of ['--pin', '--new-pin']) {
      const outcome = runCommand([...change, option, pins.next], { cwd: folder, env: environment });
      expect(outcome.status).toBe(2);
      expect(outcome.stderr).not.toContain(pins.next);
    }
  });
});

describe.skipIf(noTerminal !== undefined)(`token change-pin on a terminal${skipReason(noTerminal)}`, () => {
  const options = { cwd: folder, env: environment };
  const again = `the new PIN of ${named} again`;

  test('asks for the present PIN once and for the new one twice, and shows none', async () => {
    const terminal = openTerminal(change, options);
    await terminal.waitFor(`present PIN of ${named}`);
    terminal.type(`${pins.present}\r`);
    await terminal.waitFor(`new PIN of ${named} (4 to 255 characters)`);
    terminal.type(`${pins.next}\r`);
    await terminal.waitFor(again);
    terminal.type(`${pins.next}\r`);
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen()).toContain('next: put the new PIN into PIN files, variables and services');
    expectNoPin(terminal.screen());
    expect(opens('next')).toBe(true);
  });

  test('typed differently the second time: 2, and nothing is tried', async () => {
    const terminal = openTerminal([...change, '--pin-file', 'wrong.pin'], options);
    await terminal.waitFor(`new PIN of ${named}`);
    terminal.type(`${pins.next}\r`);
    await terminal.waitFor(again);
    terminal.type(`${pins.wrong}\r`);
    expect(await terminal.ended).toBe(2);
    expect(terminal.screen()).toContain('the new PIN was typed differently the second time; nothing was tried');
    expectNoPin(terminal.screen());
    expect(run(['token', 'list']).stdout).toContain('  PIN     ok\n');
  });

  test('too short: refused before it is typed again', async () => {
    const terminal = openTerminal([...change, '--pin-file', 'wrong.pin'], options);
    await terminal.waitFor(`new PIN of ${named}`);
    terminal.type('abc\r');
    expect(await terminal.ended).toBe(2);
    expect(terminal.screen()).toContain('the new PIN has 3 characters');
    expect(terminal.screen()).not.toContain(again);
    expect(run(['token', 'list']).stdout).toContain('  PIN     ok\n');
  });

  test('broken off: 130, and nothing is tried', async () => {
    const terminal = openTerminal([...change, '--pin-file', 'wrong.pin'], options);
    await terminal.waitFor(`new PIN of ${named}`);
    terminal.type('\u0003');
    expect(await terminal.ended).toBe(130);
    expect(run(['token', 'list']).stdout).toContain('  PIN     ok\n');
  });
});
