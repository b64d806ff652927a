import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createStandInAuthority } from 'softhsm-config';
import { expectFailure, jsonOf, type Outcome } from '../cli/etoken-bridge.js';
import { opencryptoki, setUserPin } from './opencryptoki.js';
import { nameOf, runWith, temporaryFolder, userPin, wrongPin, type RunningModule } from './running-module.js';
import { mostTries, tpmWithCertificate as tpm } from './tpm.js';

// The PIN really locks here, by the tokens' own count. The tests of a module follow on one another.

const folder = temporaryFolder();
const authority = await createStandInAuthority();
const file = (name: string): string => join(folder, name);
let running: RunningModule;

beforeAll(() => {
  writeFileSync(file('right'), userPin, { mode: 0o600 });
  writeFileSync(file('wrong'), wrongPin, { mode: 0o600 });
});

/** Runs `token …` on the token that is tested, with a PIN from a file where one is wanted. */
function token(command: string, pin?: 'right' | 'wrong', ...more: readonly string[]): Outcome {
  const withPin = pin === undefined ? [] : ['--pin-file', file(pin)];
  const outcome = runWith(running, ['token', command, '--token-label', running.label, ...withPin, ...more], {
    cwd: folder,
  });
  for (const one of [userPin, wrongPin]) expect(outcome.stdout + outcome.stderr).not.toContain(one);
  return outcome;
}

function pinState(): { readonly state: string; readonly words: string } | undefined {
  const { tokens } = jsonOf(token('list', undefined, '--json')) as {
    tokens: { pin: { state: string; words: string } }[];
  };
  return tokens[0]?.pin;
}

function expectListed(state: string, words: string): void {
  expect(pinState()).toEqual({ state, words });
  expect(token('list').stdout).toMatch(new RegExp(`^  PIN +${words}$`, 'm'));
}

describe(nameOf(opencryptoki), () => {
  const given = test.skipIf(opencryptoki.missing !== undefined);

  beforeAll(async () => {
    if (opencryptoki.missing !== undefined) return undefined;
    running = await opencryptoki.start(file('opencryptoki'), authority);
    return () => running.close();
  });

  given('the first wrong PIN: few tries are left, says the error and says token list', () => {
    expectListed('ok', 'ok');
    const words = 'the PIN is wrong; few tries are left';
    expectFailure(token('check', 'wrong'), 3, `${words} (C_Login: CKR_PIN_INCORRECT)`, 'it was tried once');
    expectListed('count-low', 'few tries are left');
  });

  given('the second: one try is left', () => {
    const words = 'the PIN is wrong; one try is left before the PIN locks';
    expectFailure(token('check', 'wrong'), 3, `${words} (C_Login: CKR_PIN_INCORRECT)`, 'it was tried once');
    expectListed('final-try', 'one try is left before the PIN locks');
  });

  given('the last one is not used, by no command and not even for the right PIN, unless that is said', () => {
    const outcomes = [
      token('check', 'wrong'),
      token('check', 'right'),
      token('certificates', 'right', '--login'),
      token('export', 'right', '--login', '--out', 'exported'),
    ];
    for (const outcome of outcomes) {
      expectFailure(outcome, 3, 'has one try left, and it is not used', '--use-final-pin-try');
    }
    expect(existsSync(file('exported'))).toBe(false);
    expectListed('final-try', 'one try is left before the PIN locks');
  });

  given('--use-final-pin-try with the right PIN: it counts from the beginning', () => {
    expect(token('check', 'right', '--use-final-pin-try').status).toBe(0);
    expectListed('ok', 'ok');
  });

  given('three wrong PINs, the last one by --use-final-pin-try: locked', () => {
    for (let tries = 1; tries <= 2; tries += 1) expectFailure(token('check', 'wrong'), 3, 'CKR_PIN_INCORRECT');
    const outcome = token('check', 'wrong', '--use-final-pin-try');
    expectFailure(outcome, 3, /the PIN is (wrong, and the PIN is )?locked/, 'administrator PIN');
    expectListed('locked', 'locked');
  });

  given('then no PIN is tried at all, and the message says who can help', () => {
    for (const more of [[], ['--use-final-pin-try']]) {
      expectFailure(token('check', 'right', ...more), 3, `the PIN of token "${running.label}"`, 'can unlock it');
    }
    expectListed('locked', 'locked');
  });

  given('the security officer sets the PIN anew, and the next run works', () => {
    setUserPin(running);
    expectListed('ok', 'ok');
    expect(token('check', 'right').status).toBe(0);
  });
});

describe(nameOf(tpm), () => {
  const given = test.skipIf(tpm.missing !== undefined);

  beforeAll(async () => {
    if (tpm.missing !== undefined) return undefined;
    running = await tpm.start(file('tpm'), authority);
    return () => running.close();
  });

  given('no flag tells how many tries are left: each wrong PIN is one run and one try', () => {
    for (let tries = 1; tries <= mostTries; tries += 1) {
      expectFailure(token('check', 'wrong'), 3, 'the PIN is wrong (C_Login: CKR_PIN_INCORRECT)', 'it was tried once');
      expectListed('ok', 'ok');
    }
  });

  given('locked: it is named when it happens, also for the right PIN', () => {
    for (const pin of ['wrong', 'right'] as const) {
      const outcome = token('check', pin);
      expectFailure(outcome, 3, 'the PIN is locked (C_Login: CKR_PIN_LOCKED)', 'can unlock it');
    }
    expectListed('ok', 'ok');
  });
});
