import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSoftToken } from 'softhsm-config';
import { describe, expect, test } from 'vitest';
import { watchTokens, type TokenEvent, type WatchTokensOptions } from '../../src/token/index.js';
import { buildFaultShim, shimMissing, type FaultShim } from '../fault-shim/build.js';
import { buildOddModule } from './odd-token.js';
import { makeSoftTokens, rightPin, temporaryFolder, waitUntil, type SoftTokens } from './soft-tokens.js';

const folder = temporaryFolder();

/** A watch that runs, and what it has seen so far. */
interface RunningWatch {
  readonly events: readonly TokenEvent[];
  /** Waits for an event that was not waited for before. */
  next(kind: TokenEvent['kind'], what?: string): Promise<TokenEvent>;
  /** Ends it, and waits until it has. */
  end(): Promise<void>;
}

function startWatch(options: Omit<WatchTokensOptions, 'signal'>): RunningWatch {
  const stop = new AbortController();
  const events: TokenEvent[] = [];
  const seen = new Set<TokenEvent>();
  const ended = (async () => {
    for await (const event of watchTokens({ ...options, signal: stop.signal })) events.push(event);
  })();
  const find = (kind: string, what: string): TokenEvent | undefined =>
    events.find(
      (event) =>
        event.kind === kind && !seen.has(event) && (!('token' in event) || what === '' || event.token.label === what),
    );
  return {
    events,
    async next(kind, what = '') {
      await waitUntil(() => find(kind, what) !== undefined, 50_000);
      const event = find(kind, what);
      if (event === undefined) throw new Error(`no ${kind} of ${what} in ${events.map((one) => one.kind).join(', ')}`);
      seen.add(event);
      return event;
    },
    async end() {
      stop.abort();
      await ended;
    },
  };
}

async function makePlace(name: string, ...labels: readonly string[]): Promise<SoftTokens & { readonly path: string }> {
  const path = join(folder, name);
  mkdirSync(path);
  const soft = await makeSoftTokens(
    path,
    labels.map((label) => ({ label, bits: 1024 as const })),
  );
  return { ...soft, path };
}

function countOf(shim: FaultShim, functionName: string): number {
  return shim.calls().filter((name) => name === functionName).length;
}

function hostProcesses(): readonly string[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' });
  const lines = stdout.split('\n').filter((line) => line.includes('host-process.js'));
  return lines.filter((line) => Number(line.trim().split(/\s+/)[1]) === process.pid);
}

const withoutShim = shimMissing === undefined ? '' : ` (skipped: ${shimMissing})`;
const withoutLinux = process.platform === 'linux' ? '' : ' (skipped: Linux only)';

describe('watchTokens', () => {
  test('sees a token that another process makes and removes, and those that are there', async () => {
    const soft = await makePlace('real', 'CTL one');
    const times: Date[] = [];
    const now = (): Date => {
      times.push(new Date(Date.UTC(2026, 0, 1, 0, 0, times.length)));
      return times.at(-1)!;
    };
    const watch = startWatch({ environment: soft.environment, interval: 100, now });
    const present = await watch.next('present', 'CTL one');
    expect(present).toMatchObject({
      time: new Date(Date.UTC(2026, 0, 1)),
      token: { serialNumber: soft.identities[0]!.token.serialNumber, pin: { state: 'ok' } },
    });
    const made = await createSoftToken(soft.softHsm, { label: 'CTL two', pin: rightPin, soPin: '12345678' });
    expect(await watch.next('plugged-in', 'CTL two')).toMatchObject({ token: { uri: made.uri } });
    const words = ['--delete-token', '--serial', made.serialNumber];
    const deleted = spawnSync('softhsm2-util', words, { encoding: 'utf8', env: soft.environment });
    expect(deleted.status, deleted.stderr).toBe(0);
    expect(await watch.next('pulled-out', 'CTL two')).toMatchObject({ token: { serialNumber: made.serialNumber } });
    await watch.end();
    // The empty token that SoftHSM2 always shows is none, and nothing happened to the other.
    expect(watch.events.filter((event) => 'token' in event && event.token.label === 'CTL one')).toEqual([present]);
    expect(hostProcesses()).toEqual([]);
  });

  test('looks only for what is asked for, and ends when it is told before it began', async () => {
    const soft = await makePlace('asked', 'CTL one', 'CTL two');
    const watch = startWatch({ environment: soft.environment, interval: 100, uri: { token: 'CTL two' } });
    await watch.next('present', 'CTL two');
    await watch.end();
    expect(watch.events).toHaveLength(1);
    const stopped = watchTokens({ environment: soft.environment, interval: 100, signal: AbortSignal.abort() });
    expect(await stopped.next()).toMatchObject({ done: true });
  });

  test('many rounds in a second leave nothing behind that Node.js warns of', async () => {
    const soft = await makePlace('many', 'CTL one');
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on('warning', note);
    let looks = 0;
    const clock = (): number => (looks += 1);
    try {
      const watch = startWatch({ environment: soft.environment, interval: 1, clock });
      await watch.next('present', 'CTL one');
      expect(await waitUntil(() => looks >= 100, 50_000)).toBe(true);
      await watch.end();
    } finally {
      process.off('warning', note);
    }
    expect(warnings).toEqual([]);
  });

  test('without a module there is nothing to watch', async () => {
    const environment = { ETOKEN_BRIDGE_MODULE: join(folder, 'none.so') };
    const events = watchTokens({ environment, interval: 100, signal: new AbortController().signal });
    await expect(events.next()).rejects.toMatchObject({ code: 'module-missing' });
  });
});

describe.skipIf(shimMissing !== undefined)(`tokens of one serial number in one module${withoutShim}`, () => {
  test.each([
    ['CTL one', 'CTL two'],
    ['CTL one', 'CTL one'],
  ])('%s and %s are told apart, and nothing is told that did not happen', async (label, other) => {
    const soft = await makePlace(`twins-${label}-${other}`, label);
    const odd = buildOddModule(soft.path, soft.softHsm.module);
    const manage = (...words: readonly string[]): void => {
      const { status, stderr } = spawnSync('softhsm2-util', words, { encoding: 'utf8', env: soft.environment });
      expect(status, stderr).toBe(0);
    };
    const make = (): void =>
      manage('--init-token', '--free', '--label', other, '--pin', rightPin, '--so-pin', '12345678');
    make();
    const environment = {
      ...soft.environment,
      ...odd.environment,
      ETOKEN_BRIDGE_MODULE: odd.module,
      ODD_TOKEN_SERIAL: '1234',
    };
    let looks = 0;
    const clock = (): number => (looks += 1);
    const watch = startWatch({ environment, interval: 100, clock });
    await watch.next('present', label);
    await watch.next('present', other);
    const before = looks;
    expect(await waitUntil(() => looks >= before + 3, 50_000)).toBe(true);
    // The first is deleted, so that the second would be taken for it.
    manage('--delete-token', '--serial', soft.identities[0]!.token.serialNumber);
    await watch.next('pulled-out', label);
    make();
    await watch.next('plugged-in', other);
    await watch.end();
    expect(watch.events.map(({ kind }) => kind)).toEqual(['present', 'present', 'pulled-out', 'plugged-in']);
  });
});

describe.skipIf(shimMissing !== undefined)(`a module that misbehaves while it is watched${withoutShim}`, () => {
  async function makeFaulty(name: string): Promise<{ readonly shim: FaultShim; readonly watch: RunningWatch }> {
    const soft = await makePlace(name, 'CTL one');
    const shim = buildFaultShim(soft.path, soft.softHsm.module);
    const environment = { ...soft.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
    const watch = startWatch({ environment, interval: 100, callTimeout: 1_000 });
    await watch.next('present', 'CTL one');
    return { shim, watch };
  }

  test('a slot that empties and fills again is a token pulled out and plugged in; a change of the PIN is told', async () => {
    const { shim, watch } = await makeFaulty('slots');
    shim.setRules('C_GetSlotList none');
    await watch.next('pulled-out', 'CTL one');
    shim.setRules();
    await watch.next('plugged-in', 'CTL one');
    shim.setRules('C_GetTokenInfo flags=0x20000');
    expect(await watch.next('changed', 'CTL one')).toMatchObject({ token: { pin: { state: 'final-try' } } });
    await watch.end();
    expect(watch.events.map(({ kind }) => kind)).toEqual(['present', 'pulled-out', 'plugged-in', 'changed']);
  });

  test.each([
    ['C_GetSlotList hang', 'timeout', 'C_GetSlotList'],
    ['C_GetTokenInfo abort', 'host-crashed', 'C_GetTokenInfo'],
    ['C_Initialize rv=0x5', 'module-failed', 'C_Initialize'],
    ['C_Finalize hang', 'timeout', 'C_Finalize'],
  ])('%s is named once, loses no token, and watching goes on', async (rule, code, functionName) => {
    const { shim, watch } = await makeFaulty(rule.replaceAll(/\W/g, '-'));
    shim.takeCalls();
    shim.setRules(rule);
    expect(await watch.next('module-failed')).toMatchObject({ error: { code, functionName } });
    // It was begun twice more, so that at least one more failed. C_Finalize is not called in a new process.
    const begins = functionName === 'C_Finalize' ? 'C_Finalize' : 'C_Initialize';
    const begun = countOf(shim, begins);
    expect(await waitUntil(() => countOf(shim, begins) >= begun + 2, 50_000)).toBe(true);
    expect(watch.events.map(({ kind }) => kind)).toEqual(['present', 'module-failed']);
    shim.setRules();
    await watch.next('module-works');
    shim.setRules('C_GetSlotList none');
    await watch.next('pulled-out', 'CTL one');
    await watch.end();
    const kinds = watch.events.map(({ kind }) => kind);
    expect(kinds).toEqual(['present', 'module-failed', 'module-works', 'pulled-out']);
    expect(hostProcesses()).toEqual([]);
  });

  test('a module that fails is asked again after twice the interval, then after four times, by the clock', async () => {
    const soft = await makePlace('backoff', 'CTL one');
    const shim = buildFaultShim(soft.path, soft.softHsm.module);
    shim.setRules('C_Initialize rv=0x5');
    const environment = { ...soft.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
    let time = 1_000;
    let looks = 0;
    const clock = (): number => {
      looks += 1;
      return time;
    };
    const watch = startWatch({ environment, interval: 100, clock });
    await watch.next('module-failed');
    const asked = (): number => countOf(shim, 'C_Initialize');
    for (const [wait, count] of [
      [200, 1],
      [400, 2],
      [800, 3],
    ] as const) {
      // It looks at the clock before each round.
      const letRoundsPass = async (): Promise<void> => {
        const before = looks;
        expect(await waitUntil(() => looks >= before + 5, 50_000)).toBe(true);
      };
      time += wait - 1;
      await letRoundsPass();
      expect(asked()).toBe(count);
      time += 1;
      expect(await waitUntil(() => asked() === count + 1, 50_000)).toBe(true);
      await letRoundsPass();
    }
    await watch.end();
    expect(watch.events).toHaveLength(1);
  });

  test.each(['0x30', '0x5', '0x80000001'])(
    'a slot that cannot be read (%s) is named, and its token counts as it was',
    async (value) => {
      const { shim, watch } = await makeFaulty(`unreadable-${value}`);
      // SoftHSM2 shows an empty token beside the one that was made: two slots fail, and both are told.
      shim.setRules(`C_GetTokenInfo rv=${value}`);
      const failed = [await watch.next('module-failed'), await watch.next('module-failed')];
      const messages = failed.map((event) => ('error' in event ? event.error.message : ''));
      expect(messages.filter((text) => text.startsWith('token "CTL one" ('))).toHaveLength(1);
      expect(messages.join()).not.toContain(shim.module);
      for (const event of failed) expect(event).toMatchObject({ error: { functionName: 'C_GetTokenInfo' } });
      const begun = countOf(shim, 'C_Initialize');
      expect(await waitUntil(() => countOf(shim, 'C_Initialize') >= begun + 2, 50_000)).toBe(true);
      shim.setRules();
      await watch.next('module-works');
      shim.setRules('C_GetSlotList none');
      await watch.next('pulled-out', 'CTL one');
      await watch.end();
      const kinds = watch.events.map(({ kind }) => kind);
      expect(kinds).toEqual(['present', 'module-failed', 'module-failed', 'module-works', 'pulled-out']);
    },
  );

  test.each(['0x3', '0x32', '0xe0', '0xe1'])('a slot that says its token is gone (%s) is believed', async (value) => {
    const { shim, watch } = await makeFaulty(`gone-${value}`);
    shim.setRules(`C_GetTokenInfo rv=${value}`);
    await watch.next('pulled-out', 'CTL one');
    const begun = countOf(shim, 'C_Initialize');
    expect(await waitUntil(() => countOf(shim, 'C_Initialize') >= begun + 2, 50_000)).toBe(true);
    shim.setRules();
    await watch.next('plugged-in', 'CTL one');
    await watch.end();
    expect(watch.events.map(({ kind }) => kind)).toEqual(['present', 'pulled-out', 'plugged-in']);
  });

  test('a card that is not recognised is a failure where no token was seen before', async () => {
    const soft = await makePlace('foreign', 'CTL one');
    const shim = buildFaultShim(soft.path, soft.softHsm.module);
    shim.setRules('C_GetTokenInfo rv=0xe1');
    const environment = { ...soft.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
    const watch = startWatch({ environment, interval: 100 });
    expect(await watch.next('module-failed')).toMatchObject({ error: { returnValue: 'CKR_TOKEN_NOT_RECOGNIZED' } });
    await watch.end();
  });

  test.each(['C_Initialize rv=0x5', 'C_GetTokenInfo rv=0x30'])(
    'what was there all the time is present, also when it could not be read at first: %s',
    async (rule) => {
      const soft = await makePlace(`late-${rule.replaceAll(/\W/g, '-')}`, 'CTL one');
      const shim = buildFaultShim(soft.path, soft.softHsm.module);
      shim.setRules(rule);
      const environment = { ...soft.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
      const watch = startWatch({ environment, interval: 100 });
      await watch.next('module-failed');
      shim.setRules();
      await watch.next('present', 'CTL one');
      await watch.end();
      expect(watch.events.map(({ kind }) => kind)).not.toContain('plugged-in');
    },
  );

  test('a module that hangs does not delay the others', async () => {
    const soft = await makePlace('beside', 'CTL one');
    // By its name it is one of SafeNet, and the first that is asked.
    const shim = buildFaultShim(soft.path, soft.softHsm.module);
    const first = join(soft.path, 'libeTPkcs11.so');
    renameSync(shim.module, first);
    mkdirSync(join(soft.path, 'pkcs11/modules'), { recursive: true });
    writeFileSync(join(soft.path, 'pkcs11/modules/good.module'), `module: ${soft.softHsm.module}\n`);
    shim.setRules('C_GetSlotList hang');
    const environment = {
      ...soft.environment,
      ...shim.environment,
      ETOKEN_BRIDGE_MODULE: '',
      LD_LIBRARY_PATH: soft.path,
      XDG_CONFIG_HOME: soft.path,
      PCSCLITE_CSOCK_NAME: join(soft.path, 'none'),
    };
    // No test waits so long: what comes is there before the module is given up.
    const watch = startWatch({ environment, interval: 100, callTimeout: 600_000 });
    await watch.next('present', 'CTL one');
    await createSoftToken(soft.softHsm, { label: 'CTL two', pin: rightPin, soPin: '12345678' });
    await watch.next('plugged-in', 'CTL two');
    await watch.end();
    expect(watch.events.filter((event) => 'modulePath' in event && event.modulePath === first)).toEqual([]);
    expect(await waitUntil(() => hostProcesses().length === 0)).toBe(true);
  });

  test('a token that two modules show is pulled out once, when neither shows it', async () => {
    const soft = await makePlace('twice', 'CTL one');
    const shim = buildFaultShim(soft.path, soft.softHsm.module);
    renameSync(shim.module, join(soft.path, 'libeTPkcs11.so'));
    mkdirSync(join(soft.path, 'pkcs11/modules'), { recursive: true });
    writeFileSync(join(soft.path, 'pkcs11/modules/good.module'), `module: ${soft.softHsm.module}\n`);
    const environment = {
      ...soft.environment,
      ...shim.environment,
      ETOKEN_BRIDGE_MODULE: '',
      LD_LIBRARY_PATH: soft.path,
      XDG_CONFIG_HOME: soft.path,
      PCSCLITE_CSOCK_NAME: join(soft.path, 'none'),
    };
    const watch = startWatch({ environment, interval: 100 });
    await watch.next('present', 'CTL one');
    shim.setRules('C_GetSlotList none');
    const begun = countOf(shim, 'C_GetSlotList');
    expect(await waitUntil(() => countOf(shim, 'C_GetSlotList') >= begun + 2, 50_000)).toBe(true);
    const { serialNumber } = soft.identities[0]!.token;
    const deleted = spawnSync('softhsm2-util', ['--delete-token', '--serial', serialNumber], {
      encoding: 'utf8',
      env: soft.environment,
    });
    expect(deleted.status, deleted.stderr).toBe(0);
    await watch.next('pulled-out', 'CTL one');
    await watch.end();
    const kinds = watch.events.filter((event) => 'token' in event).map(({ kind }) => kind);
    expect(kinds).toEqual(['present', 'pulled-out']);
  });

  test('it ends in the middle of a call that hangs, and no process stays', async () => {
    const { shim, watch } = await makeFaulty('stopped');
    shim.setRules('C_GetSlotList hang');
    const begun = countOf(shim, 'C_GetSlotList');
    expect(await waitUntil(() => countOf(shim, 'C_GetSlotList') > begun)).toBe(true);
    await watch.end();
    expect(watch.events.map(({ kind }) => kind).filter((kind) => kind !== 'module-failed')).toEqual(['present']);
    expect(await waitUntil(() => hostProcesses().length === 0)).toBe(true);
  });

  test('a round asks a module once, no PIN is given to it, and it rests until the next', async () => {
    const soft = await makePlace('quiet', 'CTL one');
    const shim = buildFaultShim(soft.path, soft.softHsm.module);
    const environment = { ...soft.environment, ...shim.environment, ETOKEN_BRIDGE_MODULE: shim.module };
    const watch = startWatch({ environment, interval: 3_600_000 });
    await watch.next('present', 'CTL one');
    const calls = shim.calls();
    expect(calls.filter((name) => name === 'C_Initialize')).toHaveLength(1);
    expect(calls.filter((name) => name === 'C_Login')).toHaveLength(0);
    // Longer than a slow module is waited for.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect(shim.calls()).toEqual(calls);
    await watch.end();
  });
});

describe.skipIf(process.platform !== 'linux')(`the smart card daemon${withoutLinux}`, () => {
  test('that does not run is told once, where a module of smart cards shows no token', async () => {
    const soft = await makePlace('no-daemon', 'CTL one');
    const empty = await makeSoftTokens(join(soft.path, 'empty'), []);
    const module = join(soft.path, 'libeTPkcs11.so');
    symlinkSync(soft.softHsm.module, module);
    const socket = join(soft.path, 'pcscd.comm');
    const environment = { ...empty.environment, ETOKEN_BRIDGE_MODULE: module, PCSCLITE_CSOCK_NAME: socket };
    const watch = startWatch({ environment, interval: 100 });
    expect(await watch.next('no-tokens')).toMatchObject({
      modulePath: module,
      reason: expect.stringContaining(`pcscd does not run (nothing listens at ${socket})`) as string,
    });
    const words = { pin: rightPin, soPin: '12345678' };
    const made = await createSoftToken(empty.softHsm, { ...words, label: 'CTL two' });
    await watch.next('plugged-in', 'CTL two');
    const deleted = spawnSync('softhsm2-util', ['--delete-token', '--serial', made.serialNumber], {
      encoding: 'utf8',
      env: empty.environment,
    });
    expect(deleted.status, deleted.stderr).toBe(0);
    await watch.next('pulled-out', 'CTL two');
    await createSoftToken(empty.softHsm, { ...words, label: 'CTL three' });
    await watch.next('plugged-in', 'CTL three');
    await watch.end();
    const kinds = watch.events.map(({ kind }) => kind);
    expect(kinds).toEqual(['no-tokens', 'plugged-in', 'pulled-out', 'plugged-in']);
  });
});
