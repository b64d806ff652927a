import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { buildFaultShim, shimMissing } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { expectFailure, plainEnvironment, program, snapshot, type Outcome } from './etoken-bridge.js';
import { makeSoftTokens, pins, pinStates } from './soft-tokens.js';
import { childrenOf, isRunning, noTerminal, openTerminal, type Terminal } from './terminal.js';

const tokens = await makeSoftTokens();
const { folder, first, second, wrongPinFile, environment, run } = tokens;
const allPins = Object.values(pins);

/** `ctl sign` of the list that both tokens are in, to a file of its own. */
const sign = ['ctl', 'sign', 'CTLFile.tlv', '--out', 'signed.tlv'];
const uri = first.token.uri;

beforeAll(() => tokens.makeTokenList('CTLFile.tlv'));

/** No PIN, right or wrong, in any spelling a log could have. */
function expectNoPin(...texts: readonly string[]): void {
  for (const text of texts) {
    for (const pin of allPins) {
      const bytes = Buffer.from(pin);
      for (const spelling of [pin, bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, '')]) {
        expect(text.toLowerCase()).not.toContain(spelling.toLowerCase());
      }
    }
  }
}

describe('where a PIN comes from', () => {
  const without = uri.replace(/\?.*/, '');
  const sources: readonly (readonly [string, readonly string[], Readonly<Record<string, string>>])[] = [
    ['pin-source=file:', ['--token', `${uri}&pin-source=file:${first.pinFile}`], {}],
    ['pin-source=file:///', ['--token', `${without}?pin-source=file://${first.pinFile}`], {}],
    ['pin-source=env:', ['--token', `${uri}&pin-source=env:MY_PIN`], { MY_PIN: first.pin }],
    ['--pin-file', ['--token', uri, '--pin-file', first.pinFile], {}],
    ['ETOKEN_BRIDGE_PIN_FILE', ['--token', uri], { ETOKEN_BRIDGE_PIN_FILE: first.pinFile }],
    ['ETOKEN_BRIDGE_PIN', ['--token', uri], { ETOKEN_BRIDGE_PIN: first.pin }],
    // What is nearer to the token wins.
    [
      'pin-source before --pin-file and the environment',
      ['--token', `${uri}&pin-source=file:${first.pinFile}`, '--pin-file', wrongPinFile],
      { ETOKEN_BRIDGE_PIN_FILE: wrongPinFile, ETOKEN_BRIDGE_PIN: pins.wrong },
    ],
    [
      '--pin-file before the environment',
      ['--token', uri, '--pin-file', first.pinFile],
      { ETOKEN_BRIDGE_PIN_FILE: wrongPinFile, ETOKEN_BRIDGE_PIN: pins.wrong },
    ],
    [
      'ETOKEN_BRIDGE_PIN_FILE before ETOKEN_BRIDGE_PIN',
      ['--token', uri],
      { ETOKEN_BRIDGE_PIN_FILE: first.pinFile, ETOKEN_BRIDGE_PIN: pins.wrong },
    ],
  ];

  test.each(sources)('%s', (_name, options, env) => {
    const outcome = run([...sign, ...options, '--debug'], { env });
    expect(outcome.stderr).toMatch(/^next: [^\n]*\n$/);
    expect(outcome.stdout).toMatch(/^signed\.tlv: \d+ bytes, 5 records, token, sha1\nsigned by: cn="SAST-ADN/);
    expect(outcome.status).toBe(0);
    expectNoPin(outcome.stdout, outcome.stderr);
  });

  test('a PIN file that everybody can read is used, with a warning', () => {
    writeFileSync(join(folder, 'open.pin'), first.pin, { mode: 0o644 });
    const { status, stderr } = run([...sign, '--token', uri, '--pin-file', 'open.pin', '--quiet']);
    expect(stderr).toMatch(/^warning: the PIN file open\.pin can be read by every user of this machine; chmod 600/);
    expect(status).toBe(0);
  });

  interface RefusedSource {
    readonly what: string;
    readonly options: readonly string[];
    readonly error: string;
    readonly hint?: string;
  }
  const refused: readonly RefusedSource[] = [
    {
      what: 'pin-value in a URI',
      options: ['--token', `${uri}&pin-value=${first.pin}`],
      error: '(pin-value) is not taken, because other users can see arguments',
      hint: 'use pin-source=file:',
    },
    {
      what: 'a command as pin-source',
      options: ['--token', `${uri}&pin-source=|cat`],
      error: 'commands are not run',
      hint: 'use pin-source=file:',
    },
    {
      what: 'a PIN file that is not there',
      options: ['--token', uri, '--pin-file', 'none.pin'],
      error: 'the PIN file none.pin does not exist',
    },
    {
      what: 'a folder as PIN file',
      options: ['--token', uri, '--pin-file', 'cluster'],
      error: 'the PIN file cluster cannot be read: it is a directory',
    },
    {
      what: 'an empty PIN file',
      options: ['--token', uri, '--pin-file', 'empty.pin'],
      error: 'the PIN file empty.pin is empty',
    },
    {
      what: 'a PIN file of two lines',
      options: ['--token', uri, '--pin-file', 'two.pin'],
      error: 'the PIN file two.pin holds more than one line',
      hint: 'nothing was tried with it',
    },
    {
      what: 'a variable that is not set',
      options: ['--token', `${uri}&pin-source=env:NO_PIN`],
      error: 'the environment variable NO_PIN, which is not set',
    },
    {
      what: 'no PIN and no terminal',
      options: ['--token', uri],
      error: 'PIN of token "SAST first" (serial ',
      hint: 'give --pin-file FILE, ETOKEN_BRIDGE_PIN_FILE, ETOKEN_BRIDGE_PIN, or pin-source in the URI',
    },
  ];

  test.each(refused)('$what: 2, and nothing is written', ({ options, error, hint }) => {
    writeFileSync(join(folder, 'empty.pin'), '\n', { mode: 0o600 });
    writeFileSync(join(folder, 'two.pin'), `${first.pin}\n${pins.wrong}\n`, { mode: 0o600 });
    const outcome = run([...sign.slice(0, 3), '--out', 'never.tlv', ...options]);
    expectFailure(outcome, 2, error, hint);
    expectNoPin(outcome.stderr);
    expect(existsSync(join(folder, 'never.tlv'))).toBe(false);
  });

  test('nothing was tried by any of them', () => {
    expect(pinStates(tokens)).toEqual({ 'SAST first': 'ok', 'SAST second': 'ok' });
  });
});

describe('a wrong PIN', () => {
  const commands: readonly (readonly string[])[] = [
    [...sign.slice(0, 3), '--out', 'never.tlv'],
    ['ctl', 'create', '--mode', 'token', '--cluster', tokens.cluster, '--out', 'never.tlv'],
    ['token', 'check'],
    ['token', 'certificates', '--login'],
  ];

  test.each(commands.map((words) => [words.slice(0, 2).join(' '), words] as const))(
    '%s: one try, exit code 3, what failed and what to do, the PIN nowhere; the next run with the right one works',
    (_name, words) => {
      const before = snapshot(join(folder, 'cluster'));
      const attempts: Outcome[] = [];
      for (const more of [[], ['--debug', '--json']]) {
        const outcome = run([...words, '--token', uri, '--pin-file', wrongPinFile, ...more]);
        attempts.push(outcome);
        const error = 'token "SAST first" (serial ';
        const cause = 'the PIN is wrong; few tries are left (C_Login: CKR_PIN_INCORRECT)\n';
        expect(outcome.stderr).toContain(`error: ${error}`);
        expect(outcome.stderr).toContain(cause);
        expect(outcome.stderr).toContain('hint: check the PIN; it was tried once and is not tried again');
        expect([outcome.status, outcome.stdout]).toEqual([3, '']);
      }
      // SoftHSM2 tells that a wrong PIN was tried, and forgets it after a right one: other tokens would be locked.
      expect(pinStates(tokens)).toEqual({ 'SAST first': 'count-low', 'SAST second': 'ok' });
      expectNoPin(...attempts.flatMap(({ stdout, stderr }) => [stdout, stderr]));
      expect(existsSync(join(folder, 'never.tlv'))).toBe(false);
      expect(snapshot(join(folder, 'cluster'))).toEqual(before);
      expect(run(['token', 'check', ...first.options]).status).toBe(0);
      expect(pinStates(tokens)).toEqual({ 'SAST first': 'ok', 'SAST second': 'ok' });
    },
  );

  test('the PIN of one token on the other is a wrong PIN there, and costs the right one nothing', () => {
    expectFailure(run([...sign, '--token', second.token.uri, '--pin-file', first.pinFile]), 3, 'token "SAST second"');
    expect(pinStates(tokens)).toEqual({ 'SAST first': 'ok', 'SAST second': 'count-low' });
    expect(run(['token', 'check', ...second.options]).status).toBe(0);
  });

  test('token list says in words that few tries are left', () => {
    run(['token', 'check', '--token', uri, '--pin-file', wrongPinFile]);
    expect(run(['token', 'list', '--token', uri]).stdout).toContain('  PIN     few tries are left\n');
    expect(run(['token', 'check', ...first.options]).stdout).toMatch(/\nPIN: ok\n$/);
  });
});

describe.skipIf(shimMissing !== undefined)(`calls of C_Login${skipReason(shimMissing)}`, () => {
  const cases: readonly (readonly [what: string, words: readonly string[], status: number, logins: number])[] = [
    ['a wrong PIN', [...sign, '--pin-file', wrongPinFile], 3, 1],
    ['the right PIN', [...sign, '--pin-file', first.pinFile], 0, 1],
    ['token check with a wrong PIN', ['token', 'check', '--pin-file', wrongPinFile], 3, 1],
    ['token check with the right PIN', ['token', 'check', '--pin-file', first.pinFile], 0, 1],
    ['a refusal', [...sign, '--cluster', 'cluster/cluster-14su3.yaml', '--pin-file', wrongPinFile], 4, 0],
    ['an output without a folder', [...sign.slice(0, 3), '--out', 'none/x', '--pin-file', wrongPinFile], 2, 0],
    ['an empty PIN file', [...sign, '--pin-file', 'no.pin'], 2, 0],
    ['token list', ['token', 'list'], 0, 0],
    ['token export', ['token', 'export', '--out', 'sast'], 0, 0],
  ];

  const shim = shimMissing === undefined ? buildFaultShim(folder, tokens.module) : undefined;
  const token = ['--module', shim?.module ?? '', '--token-serial', first.token.serialNumber];

  /** How a command ended, and how often it logged in. */
  function count(words: readonly string[]): { readonly outcome: Outcome; readonly logins: number } {
    shim?.takeCalls();
    const outcome = run([...words, ...token], { env: shim?.environment ?? {} });
    return { outcome, logins: shim?.takeCalls().filter((name) => name === 'C_Login').length ?? 0 };
  }

  test('one for each PIN, none where it is refused before', () => {
    const release = readFileSync(join(folder, tokens.cluster), 'utf8').replace(/^release: .*/m, 'release: 14SU3');
    writeFileSync(join(folder, 'cluster/cluster-14su3.yaml'), release);
    writeFileSync(join(folder, 'no.pin'), '', { mode: 0o600 });
    const seen = cases.map(([what, words]) => {
      const { outcome, logins } = count(words);
      return [what, words, outcome.status, logins];
    });
    expect(seen).toEqual(cases);
  });

  test('the last try before the PIN locks is not used, unless --use-final-pin-try', () => {
    shim?.setRules('C_GetTokenInfo flags=0x20000');
    const words = [...sign, '--pin-file', first.pinFile];
    const kept = count(words);
    expectFailure(kept.outcome, 3, 'has one try left, and it is not used', '--use-final-pin-try');
    expect(kept.logins).toBe(0);
    const used = count([...words, '--use-final-pin-try']);
    expect([used.outcome.status, used.logins]).toEqual([0, 1]);
  });

  test('a locked PIN is not tried at all', () => {
    shim?.setRules('C_GetTokenInfo flags=0x40000');
    const { outcome, logins } = count([...sign, '--pin-file', first.pinFile, '--use-final-pin-try']);
    expectFailure(outcome, 3, 'the PIN of token "SAST first"', 'unlock');
    expect(logins).toBe(0);
    expect(run(['token', 'list', ...token], { env: shim?.environment ?? {} }).stdout).toContain('  PIN     locked\n');
  });

  test('a token that is pulled out while it signs: 3, what failed, and nothing is written', () => {
    shim?.setRules('C_Sign rv=0x32');
    const { outcome } = count([...sign.slice(0, 3), '--out', 'never.tlv', '--pin-file', first.pinFile]);
    expectFailure(outcome, 3, '(C_Sign: CKR_DEVICE_REMOVED)', 'plug the token in again');
    expect(existsSync(join(folder, 'never.tlv'))).toBe(false);
  });

  test('SIGINT while the token hangs: 130, nothing written, no process left', async () => {
    shim?.setRules('C_Sign hang');
    shim?.takeCalls();
    const words = [...sign.slice(0, 3), '--out', 'never.tlv', '--pin-file', first.pinFile, ...token];
    const child = spawn(process.execPath, [program, ...words], {
      cwd: folder,
      env: plainEnvironment({ ...environment, ...shim?.environment }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let printed = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
    const ended = once(child, 'close');
    while (!(shim?.takeCalls() ?? []).includes('C_Sign')) await new Promise((resolve) => setTimeout(resolve, 20));
    const processes = [child.pid!, ...childrenOf(child.pid!)];
    expect(processes).toHaveLength(2);
    child.kill('SIGINT');
    expect(await ended).toEqual([130, null]);
    expect(printed).toBe('interrupted\n');
    await expectGone(processes);
    expect(existsSync(join(folder, 'never.tlv'))).toBe(false);
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  });
});

describe.skipIf(noTerminal !== undefined)(`on a terminal${skipReason(noTerminal)}`, () => {
  const prompt = `PIN of token "SAST first" (serial ${first.token.serialNumber})`;
  const words = [...sign.slice(0, 3), '--out', 'typed.tlv', '--token', uri];
  const options = { cwd: folder, env: environment };

  function startTyping(more: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Terminal {
    return openTerminal([...words, ...more], { cwd: folder, env: { ...environment, ...env } });
  }

  afterEach(() => {
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('a prompt names the token and its serial, and shows nothing of what is typed', async () => {
    const terminal = startTyping();
    await terminal.waitFor(prompt);
    terminal.type(`${first.pin}\r`);
    await terminal.waitFor('typed.tlv: ');
    expect(await terminal.ended).toBe(0);
    expect(readFileSync(join(folder, 'typed.tlv')).length).toBeGreaterThan(1000);
    expectNoPin(terminal.screen());
    // Not a part of it either, which an echo of single keys would be.
    const plain = terminal.screen().replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '');
    expect(plain).not.toContain(first.pin.slice(0, 4));
    expect(pinStates(tokens)['SAST first']).toBe('ok');
  });

  test('a wrong PIN is asked for once, and tried once', async () => {
    const terminal = startTyping();
    await terminal.waitFor(prompt);
    terminal.type(`${pins.wrong}\r`);
    await terminal.waitFor('CKR_PIN_INCORRECT');
    expect(await terminal.ended).toBe(3);
    expectNoPin(terminal.screen());
    expect(pinStates(tokens)['SAST first']).toBe('count-low');

    const again = startTyping();
    await again.waitFor(`${prompt} (few tries are left)`);
    again.type(`${first.pin}\r`);
    expect(await again.ended).toBe(0);
    expect(pinStates(tokens)['SAST first']).toBe('ok');
  });

  test('no PIN at all is not tried', async () => {
    const terminal = startTyping();
    await terminal.waitFor(prompt);
    terminal.type('\r');
    await terminal.waitFor('no PIN was given; none was tried');
    expect(await terminal.ended).toBe(2);
    expect(pinStates(tokens)['SAST first']).toBe('ok');
  });

  test.each([
    ['Ctrl-C', (terminal: Terminal) => terminal.type('\u0003')],
    ['Escape', (terminal: Terminal) => terminal.type('\u001b')],
    ['Ctrl-D', (terminal: Terminal) => terminal.type('\u0004')],
    ['SIGINT', (terminal: Terminal) => process.kill(terminal.processId(), 'SIGINT')],
    ['SIGTERM', (terminal: Terminal) => process.kill(terminal.processId(), 'SIGTERM')],
  ])('%s at the prompt: 130, no output, no try, no process left, the cursor is back', async (_how, breakOff) => {
    const before = snapshot(folder);
    const terminal = startTyping(['--out', 'never.tlv']);
    await terminal.waitFor(prompt);
    const processId = terminal.processId();
    const hosts = childrenOf(processId);
    breakOff(terminal);
    expect(await terminal.ended).toBe(130);
    expect(terminal.screen()).toMatch(/interrupted\r?\n/);
    expect(terminal.screen()).not.toContain('error:');
    expect(terminal.screen()).not.toContain('defect');
    expect(terminal.screen().lastIndexOf('\u001b[?25h')).toBeGreaterThan(terminal.screen().lastIndexOf('\u001b[?25l'));
    await expectGone([processId, ...hosts]);
    expect([...snapshot(folder).keys()].filter((path) => !path.endsWith('-pid'))).toEqual(
      [...before.keys()].filter((path) => !path.endsWith('-pid')),
    );
    expect(pinStates(tokens)['SAST first']).toBe('ok');
  });

  test('a refusal that needs no PIN comes before the prompt', async () => {
    const terminal = openTerminal(
      ['ctl', 'to-token', 'CTLFile.tlv', '--cluster', tokens.cluster, '--out', 'never.tlv', '--token', uri],
      options,
    );
    expect(await terminal.ended).toBe(4);
    expect(terminal.screen()).toContain('refused (wrong-mode)');
    expect(terminal.screen()).not.toContain('PIN of');
  });

  test('colours are for terminals, and not with NO_COLOR or --no-color', async () => {
    const colored = openTerminal(['ctl', 'verify', 'none.tlv'], options);
    expect(await colored.ended).toBe(2);
    expect(colored.screen()).toContain('\u001b[31merror:\u001b[0m there is no trust list none.tlv');
    for (const [more, env] of [[['--no-color'], {}] as const, [[], { NO_COLOR: '1' }] as const]) {
      const plain = openTerminal(['ctl', 'verify', 'none.tlv', ...more], { cwd: folder, env });
      expect(await plain.ended).toBe(2);
      expect(plain.screen()).toBe('error: there is no trust list none.tlv\r\nhint: check the path\r\n');
      const prompted = startTyping(['--out', 'never.tlv', ...more], env);
      await prompted.waitFor(prompt);
      prompted.type('\u001b');
      expect(await prompted.ended).toBe(130);
      // Colours are SGR 30 to 37 and 90 to 97; the prompt still moves the cursor.
      expect(prompted.screen()).not.toMatch(/\u001b\[(3[0-7]|9[0-7])m/);
    }
  });
});

/** Processes end a moment after the command has. */
async function expectGone(processIds: readonly number[]): Promise<void> {
  for (const started = Date.now(); processIds.some(isRunning) && Date.now() - started < 5_000;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(processIds.filter(isRunning)).toEqual([]);
}
