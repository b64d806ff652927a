import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/errors.js';
import { Pin, pinFromEnvironment, readPinFile, readPinSource } from '../../src/token/index.js';
import { temporaryFolder } from './soft-tokens.js';

const folder = temporaryFolder();
const onPosix = process.platform !== 'win32';

function pinFile(name: string, content: string | Uint8Array, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

describe('Pin', () => {
  const pin = new Pin('Secret-4711');

  test('gives the PIN to who asks for it by name', () => {
    expect(pin.reveal()).toBe('Secret-4711');
  });

  test.each([
    ['String', () => String(pin)],
    ['a template', () => 'PIN: ' + (pin as unknown as string)],
    ['JSON', () => JSON.stringify({ pin })],
    ['inspect', () => inspect({ pin }, { depth: 9, showHidden: true })],
    ['format', () => format('%s %o %j', pin, pin, pin)],
    ['a clone', () => JSON.stringify(structuredClone(pin))],
    ['an error', () => inspect(new Error(`no ${String(pin)}`, { cause: pin }))],
    ['its properties', () => JSON.stringify(Object.entries(Object.getOwnPropertyDescriptors(pin)))],
  ])('does not show in %s', (_, show) => {
    expect(show()).not.toContain('4711');
  });
});

describe('readPinFile', () => {
  test.each([
    ['plain', 'Secret-4711'],
    ['newline', 'Secret-4711\n'],
    ['windows', 'Secret-4711\r\n'],
    ['mark', '\ufeffSecret-4711\r\n'],
  ])('takes the PIN without what editors add: %s', async (name, content) => {
    const { pin, warning } = await readPinFile(pinFile(name, content));
    expect(pin.reveal()).toBe('Secret-4711');
    expect(warning).toBeUndefined();
  });

  test('keeps blanks, which may be part of a PIN', async () => {
    const { pin } = await readPinFile(pinFile('blanks', ' a b \n'));
    expect(pin.reveal()).toBe(' a b ');
  });

  test.runIf(onPosix)('warns when every user can read it', async () => {
    const { pin, warning } = await readPinFile(pinFile('open', 'Secret-4711', 0o644));
    expect(pin.reveal()).toBe('Secret-4711');
    expect(warning).toContain('every user');
    expect(warning).not.toContain('4711');
  });

  test.runIf(onPosix)('reads from a pipe', async () => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const reading = readPinFile(path);
    spawn('sh', ['-c', 'printf "Secret-4711\\n" > "$1"', 'sh', path]);
    const { pin, warning } = await reading;
    expect(pin.reveal()).toBe('Secret-4711');
    expect(warning).toBeUndefined();
  });

  test.each([
    ['empty', '', 'is empty'],
    ['only-newline', '\n', 'is empty'],
    ['lines', 'Secret-4711\nsecond\n', 'more than one line'],
    ['nul', 'Secret\u00004711', 'more than one line'],
    ['long', 'Secret-4711'.repeat(200), 'too long'],
    ['binary', Uint8Array.of(0xff, 0xfe, 0x34, 0x37, 0x31, 0x31), 'UTF-8'],
  ])('refuses a file that cannot be a PIN, before a try is spent on it: %s', async (name, content, words) => {
    const error: unknown = await readPinFile(pinFile(name, content)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InputError);
    expect((error as InputError).code).toBe('file-unreadable');
    expect((error as InputError).message).toContain(words);
    expect(inspect(error)).not.toContain('4711');
  });

  test('says what is wrong with the file itself', async () => {
    mkdirSync(join(folder, 'folder'));
    await expect(readPinFile(join(folder, 'absent'))).rejects.toMatchObject({ code: 'file-missing' });
    await expect(readPinFile(join(folder, 'folder'))).rejects.toMatchObject({ code: 'file-unreadable' });
  });
});

describe('pinFromEnvironment and readPinSource', () => {
  test('an unset and an empty variable are no PIN', () => {
    expect(pinFromEnvironment({})).toBeUndefined();
    expect(pinFromEnvironment({ ETOKEN_BRIDGE_PIN: '' })).toBeUndefined();
    expect(pinFromEnvironment({ ETOKEN_BRIDGE_PIN: 'Secret-4711' })?.reveal()).toBe('Secret-4711');
    expect(pinFromEnvironment({ OTHER: 'x' }, 'OTHER')?.reveal()).toBe('x');
  });

  test('a variable with several lines is refused without being repeated', () => {
    const attempt = (): unknown => pinFromEnvironment({ ETOKEN_BRIDGE_PIN: 'Secret-4711\nx' });
    expect(attempt).toThrow(/ETOKEN_BRIDGE_PIN/);
    expect(attempt).not.toThrow(/4711/);
  });

  test('a pin-source leads to its file or variable', async () => {
    const path = pinFile('source', 'Secret-4711\n');
    const fromFile = await readPinSource({ kind: 'file', path }, {});
    const fromVariable = await readPinSource({ kind: 'environment', name: 'MY_PIN' }, { MY_PIN: 'other' });
    expect([fromFile.pin.reveal(), fromVariable.pin.reveal()]).toEqual(['Secret-4711', 'other']);
    const missing = readPinSource({ kind: 'environment', name: 'MY_PIN' }, {});
    await expect(missing).rejects.toMatchObject({ code: 'missing-option' });
  });
});
