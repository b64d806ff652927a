import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  changeTokenPin,
  listTokens,
  openTokenSigner,
  type ChangePinOptions,
  type Environment,
  type PinRequest,
} from '../../src/token/index.js';
import { buildFaultShim, shimMissing, type FaultShim } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { buildOddModule, type OddModule } from './odd-token.js';
import {
  makeSoftTokens,
  pinSource,
  requestFor,
  rightPin,
  temporaryFolder,
  wrongPin,
  type SoftTokens,
} from './soft-tokens.js';

const folder = temporaryFolder();
const newPin = 'Lm5&hX9-newer';
let soft: SoftTokens;

beforeAll(async () => {
  soft = await makeSoftTokens(folder, [
    { label: 'CTL one', bits: 1024 },
    { label: 'CTL two', bits: 1024 },
  ]);
});

function change(more: Partial<ChangePinOptions> = {}): ReturnType<typeof changeTokenPin> {
  const { environment } = soft;
  return changeTokenPin({
    environment,
    tokenLabel: 'CTL one',
    pin: pinSource().ask,
    newPin: pinSource(newPin).ask,
    ...more,
  });
}

/** Whether a PIN opens a token. */
async function opens(
  pin: string,
  environment: Environment = soft.environment,
  tokenLabel = 'CTL one',
): Promise<boolean> {
  try {
    const signer = await openTokenSigner({ environment, tokenLabel, pin: pinSource(pin).ask });
    await signer.sign(requestFor('sha1', Uint8Array.of(1)));
    await signer.close();
    return true;
  } catch {
    return false;
  }
}

/** Each test begins with the first PIN, and no wrong try counted. */
beforeEach(async () => {
  if (!(await opens(rightPin))) await change({ pin: pinSource(newPin).ask, newPin: pinSource(rightPin).ask });
});

describe('changeTokenPin', () => {
  test('makes the new PIN the only one, and leaves other tokens alone', async () => {
    const token = await change();
    expect(token).toMatchObject({ label: 'CTL one', pin: { state: 'ok' } });
    expect([await opens(newPin), await opens(rightPin)]).toEqual([true, false]);
    expect(await opens(rightPin, soft.environment, 'CTL two')).toBe(true);
  });

  test('asks for the present PIN first, each once, and shows neither', async () => {
    const asked: string[] = [];
    const ask = (name: string, value: string): PinRequest => {
      const source = pinSource(value);
      return (token, warnings) => {
        asked.push(name);
        return source.ask(token, warnings);
      };
    };
    const options = { pin: ask('present', wrongPin), newPin: ask('new', newPin) };
    const error: unknown = await change(options).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'pin-incorrect',
      functionName: 'C_SetPIN',
      returnValue: 'CKR_PIN_INCORRECT',
      message: expect.stringContaining('the PIN is wrong; few tries are left') as string,
    });
    expect(asked).toEqual(['present', 'new']);
    for (const pin of [wrongPin, newPin, rightPin]) expect(inspect(error, { depth: 9 })).not.toContain(pin);
    expect(await opens(rightPin)).toBe(true);
  });

  test.each([
    ['too short', 'abc', 'the new PIN has 3 characters, and token "CTL one"'],
    ['too long', 'x'.repeat(256), 'the new PIN has 256 characters'],
    ['too long in bytes', 'é'.repeat(128), 'the new PIN has 128 characters, which are 256 bytes, and token "CTL one"'],
    ['the present one', rightPin, 'the new PIN is the present one'],
  ])('a new PIN that is %s is refused before anything is tried', async (_what, value, words) => {
    const attempt = change({ newPin: pinSource(value).ask, pin: pinSource(value === rightPin ? value : wrongPin).ask });
    await expect(attempt).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining(words) as string });
    const [token] = await listTokens({ environment: soft.environment, uri: { token: 'CTL one' } });
    expect(token).toMatchObject({ pin: { state: 'ok' }, minPinLength: 4, maxPinLength: 255 });
  });

  test('a PIN that is missing is said, and none is tried', async () => {
    const none: PinRequest = () => Promise.resolve(undefined);
    await expect(change({ pin: none })).rejects.toMatchObject({
      code: 'pin-missing',
      message: expect.stringContaining('the present PIN of token "CTL one"') as string,
    });
    await expect(change({ newPin: none })).rejects.toMatchObject({
      code: 'pin-missing',
      message: expect.stringContaining('the new PIN of token "CTL one"') as string,
    });
  });

  test('with two tokens and none named nothing is asked for', async () => {
    const pin = pinSource();
    const attempt = changeTokenPin({ environment: soft.environment, pin: pin.ask, newPin: pin.ask });
    await expect(attempt).rejects.toMatchObject({ code: 'several-tokens' });
    expect(pin.asked()).toBe(0);
  });
});

describe.skipIf(shimMissing !== undefined)(
  `a token that fails while its PIN is changed${skipReason(shimMissing)}`,
  () => {
    let shim: FaultShim;
    let environment: Environment;

    beforeAll(() => {
      shim = buildFaultShim(join(folder, 'shim'), soft.softHsm.module);
      environment = { ...soft.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
    });
    beforeEach(() => {
      shim.setRules();
      shim.takeCalls();
    });

    const tries = (): number => shim.takeCalls().filter((name) => name === 'C_SetPIN' || name === 'C_Login').length;

    test.each([
      ['0x20000', 'pin-final-try', 'one try left'],
      ['0x40000', 'pin-locked', 'is locked'],
      ['0x2', 'function-failed', 'is write-protected'],
    ])('with flags %s no PIN is asked for and none is tried', async (flags, code, words) => {
      shim.setRules(`C_GetTokenInfo flags=${flags}`);
      const pin = pinSource();
      const attempt = change({ environment, pin: pin.ask, newPin: pin.ask });
      await expect(attempt).rejects.toMatchObject({ code, message: expect.stringContaining(words) as string });
      expect([pin.asked(), tries()]).toEqual([0, 0]);
    });

    test('the last try is used when that is what the user wants', async () => {
      shim.setRules('C_GetTokenInfo flags=0x20000');
      await change({ environment, useFinalPinTry: true });
      shim.setRules();
      expect(await opens(newPin)).toBe(true);
    });

    test('a PIN that must be changed is told in words, and can be', async () => {
      shim.setRules('C_GetTokenInfo flags=0x80000');
      const [listed] = await listTokens({ environment, uri: { token: 'CTL one' } });
      expect(listed?.pin).toEqual({
        state: 'to-be-changed',
        words: 'must be changed: it is the first one, or has expired',
      });
      await change({ environment });
      shim.setRules('C_Login rv=0xa3');
      const login = openTokenSigner({ environment, tokenLabel: 'CTL one', pin: pinSource(newPin).ask });
      await expect(login).rejects.toMatchObject({
        message: expect.stringContaining('the PIN has expired') as string,
        hint: expect.stringContaining('token change-pin') as string,
      });
    });

    test.each([
      ['0xa0', 'pin-incorrect', 'the PIN is wrong'],
      ['0xa1', 'new-pin-refused', 'the new PIN has characters'],
      ['0xa2', 'new-pin-refused', 'the new PIN is too short or too long'],
      ['0x1b8', 'new-pin-refused', 'the new PIN is too simple'],
      ['0xa4', 'pin-locked', 'the PIN is locked'],
      ['0xa3', 'function-failed', 'the PIN has expired, and the token does not let it be changed in this way'],
      ['0xb5', 'function-failed', ''],
      ['0x54', 'function-failed', 'cannot change PINs'],
      ['0xe2', 'function-failed', 'write-protected'],
    ])('C_SetPIN with %s is %s, after one try', async (value, code, words) => {
      shim.setRules(`C_SetPIN rv=${value}`);
      const error: unknown = await change({ environment }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        code,
        functionName: 'C_SetPIN',
        message: expect.stringContaining(words) as string,
      });
      expect(error).not.toHaveProperty('message', expect.stringContaining('is not known'));
      // The hint of another function would send the user round in a circle.
      expect(error).not.toHaveProperty('hint', expect.stringContaining('change-pin'));
      expect(inspect(error, { depth: 9 })).not.toContain(newPin);
      expect(tries()).toBe(1);
    });

    test.each(['0x5', '0x6', '0x7', '0x30', '0x31', '0xb3', '0x3ff', '0x80000001'])(
      'C_SetPIN with %s: nobody knows whether it was changed, or whether a try was counted',
      async (value) => {
        shim.setRules(`C_SetPIN rv=${value}`);
        const error: unknown = await change({ environment }).catch((reason: unknown) => reason);
        expect(error).toMatchObject({
          functionName: 'C_SetPIN',
          message: expect.stringContaining('Whether the PIN of token "CTL one"') as string,
          hint: expect.stringMatching(/may have counted as a wrong try: .*then try the new PIN once/) as string,
        });
        expect(error).not.toHaveProperty('message', expect.stringContaining('was not changed'));
        expect(error).not.toHaveProperty('hint', expect.stringContaining('repeat'));
        expect(tries()).toBe(1);
      },
    );

    test.each([
      ['rv=0x80000001', 'its own number'],
      ['rv=0x30', 'the PIN was given once'],
      ['rv=0x32', 'the PIN was given once'],
      ['rv=0x5', 'some tokens answer a wrong PIN like this'],
      ['rv=0x7', 'some tokens answer a wrong PIN like this'],
      ['rv=0x3ff', 'some tokens answer a wrong PIN like this'],
      ['abort', 'the PIN was given once'],
      ['hang', 'the PIN was given once'],
    ])('C_Login %s: that a try may have been spent, and not that it be repeated', async (action, words) => {
      shim.setRules(`C_Login ${action}`);
      const login = openTokenSigner({
        ...{ environment, tokenLabel: 'CTL one', pin: pinSource().ask, interactionTimeout: 1_000 },
      });
      const error: unknown = await login.catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        functionName: 'C_Login',
        message: expect.stringContaining('token "CTL one"') as string,
        hint: expect.stringContaining(words) as string,
      });
      expect(error).toMatchObject({
        hint: expect.stringContaining(
          'may have counted as a wrong try; look at what `etoken-bridge token list`',
        ) as string,
      });
      expect(error).not.toHaveProperty('hint', expect.stringMatching(/repeat the command|be quicker/));
      expect(tries()).toBe(1);
    });

    test.each([
      ['0x50', 'confirm there'],
      ['0x104', 'security officer|initialises'],
      ['0xe0', 'plug the token in again'],
    ])('C_Login with %s cannot have cost a try, and may be repeated', async (value, words) => {
      shim.setRules(`C_Login rv=${value}`);
      const login = openTokenSigner({ environment, tokenLabel: 'CTL one', pin: pinSource().ask });
      const error: unknown = await login.catch((reason: unknown) => reason);
      expect(error).toMatchObject({ hint: expect.stringMatching(words) as string });
      expect(error).not.toHaveProperty('hint', expect.stringContaining('wrong try'));
    });

    test('a token that cannot be read any more after the change was changed all the same', async () => {
      // Three slots are read before: two tokens, and the empty one that SoftHSM2 always shows.
      shim.setRules('C_GetTokenInfo 4+ rv=0x32');
      expect(await change({ environment })).toMatchObject({ label: 'CTL one' });
      shim.setRules();
      expect(await opens(newPin)).toBe(true);
    });

    test.each([
      ['rv=0x32', 'token-removed'],
      ['hang', 'timeout'],
      ['abort', 'host-crashed'],
    ])('C_SetPIN %s: whether it was changed is not known, and that is said', async (action, code) => {
      shim.setRules(`C_SetPIN ${action}`);
      const attempt = change({ environment, interactionTimeout: 1_000 });
      await expect(attempt).rejects.toMatchObject({
        code,
        functionName: 'C_SetPIN',
        message: expect.stringMatching(
          /^token "CTL one" .*\. Whether the PIN of token "CTL one" \(serial \w+\) was changed is not known \(C_SetPIN[^()]*\)$/,
        ) as string,
        hint: expect.stringContaining('try the new PIN once') as string,
      });
      // The same where it stops a moment later.
      shim.setRules(`C_GetTokenInfo 4+ ${action === 'rv=0x32' ? 'abort' : action}`);
      const later = change({ environment, callTimeout: 1_000 });
      await expect(later).rejects.toMatchObject({
        functionName: 'C_GetTokenInfo',
        message: expect.stringContaining('was changed is not known') as string,
      });
      shim.setRules();
    });
  },
);

describe.skipIf(shimMissing !== undefined)(`a token with habits of its own${skipReason(shimMissing)}`, () => {
  let odd: OddModule;
  let environment: Environment;

  beforeAll(() => {
    mkdirSync(join(folder, 'odd'));
    odd = buildOddModule(join(folder, 'odd'), soft.softHsm.module);
    environment = { ...soft.environment, ...odd.environment, ETOKEN_BRIDGE_MODULE: odd.module };
  });

  test('that wants a login first gets one', async () => {
    await change({ environment: { ...environment, ODD_TOKEN_LOGIN_FIRST: '1' } });
    expect(odd.triedPins()).toEqual(['C_Login', 'C_SetPIN']);
    expect(await opens(newPin)).toBe(true);
  });

  test('a wrong PIN at that login is tried once', async () => {
    const before = odd.triedPins().length;
    const attempt = change({
      environment: { ...environment, ODD_TOKEN_LOGIN_FIRST: '1' },
      pin: pinSource(wrongPin).ask,
    });
    await expect(attempt).rejects.toMatchObject({ code: 'pin-incorrect', functionName: 'C_Login' });
    expect(odd.triedPins().slice(before)).toEqual(['C_Login']);
  });

  test('that has no read-write sessions says so', async () => {
    const attempt = change({ environment: { ...environment, ODD_TOKEN_READ_ONLY: '1' } });
    await expect(attempt).rejects.toMatchObject({
      functionName: 'C_OpenSession',
      returnValue: 'CKR_TOKEN_WRITE_PROTECTED',
      message: expect.stringContaining('write-protected') as string,
    });
  });

  test('whose reader has keys lets it ask for both', async () => {
    const none: PinRequest = () => Promise.resolve(undefined);
    const pad = { ODD_TOKEN_PAD: '10', ODD_TOKEN_USER_PIN: rightPin, ODD_TOKEN_NEW_PIN: newPin };
    await change({ environment: { ...environment, ...pad }, pin: none, newPin: none });
    expect(await opens(newPin)).toBe(true);
  });
});
