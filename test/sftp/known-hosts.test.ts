import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { InputError } from '../../src/errors.js';
import {
  checkKnownHosts,
  formatFingerprint,
  formatMd5Fingerprint,
  parseFingerprint,
  parseKnownHosts,
} from '../../src/sftp/index.js';
import { knownKeyTypes } from '../../src/sftp/known-hosts.js';
import { sshdMissing } from './sshd.js';

/** A key as it goes over the wire: its type and some bytes. */
function makeKey(type: string, fill: number): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return Buffer.concat([length, Buffer.from(type), Buffer.alloc(36, fill)]);
}

const ed = makeKey('ssh-ed25519', 1);
const rsa = makeKey('ssh-rsa', 2);
const other = makeKey('ssh-ed25519', 3);
const line = (hosts: string, key = ed, type = 'ssh-ed25519'): string => `${hosts} ${type} ${key.toString('base64')}`;
const verdict = (text: string, host = 'cucm.example.com', port = 22, key = ed): string =>
  checkKnownHosts(parseKnownHosts(text, 'known_hosts'), host, port, new Uint8Array(key)).verdict;

describe('known_hosts', () => {
  test.each([
    ['the name', line('cucm.example.com'), 'known'],
    ['the name in other letters', line('CUCM.Example.com'), 'known'],
    ['one of several names', line('10.1.1.5,cucm.example.com'), 'known'],
    [
      'a comment at the end, tabs, a carriage return',
      `${line('cucm.example.com').replaceAll(' ', '\t')} a comment\r`,
      'known',
    ],
    ['a wildcard', line('*.example.com'), 'known'],
    ['a question mark', line('cucm.exampl?.com'), 'known'],
    ['a wildcard in the middle', line('cu*com'), 'known'],
    ['a name that is left out of a wildcard', line('*.example.com,!cucm.example.com'), 'unknown'],
    ['a longer name', line('cucm.example.com.evil'), 'unknown'],
    ['a shorter name', line('cucm'), 'unknown'],
    ['another port', line('[cucm.example.com]:2222'), 'unknown'],
    ['nothing', '', 'unknown'],
    ['a comment', `# ${line('cucm.example.com')}`, 'unknown'],
    ['another key', line('cucm.example.com', other), 'changed'],
    ['a key of another type only', line('cucm.example.com', rsa, 'ssh-rsa'), 'changed'],
    ['two keys, one of them this', `${line('cucm.example.com', other)}\n${line('cucm.example.com')}`, 'known'],
    ['a revoked key', `@revoked ${line('*')}\n${line('cucm.example.com')}`, 'revoked'],
    ['another revoked key', `@revoked ${line('*', other)}\n${line('cucm.example.com')}`, 'known'],
    ['the key of a certificate authority', `@cert-authority ${line('*.example.com')}`, 'unknown'],
    ['a damaged line', 'cucm.example.com ssh-ed25519', 'unknown'],
    ['a type that is not the one of the key', line('cucm.example.com', ed, 'ssh-rsa'), 'unknown'],
    ['a damaged hash', line('|1|x'), 'unknown'],
  ])('%s', (_what, text, expected) => {
    expect(verdict(text)).toBe(expected);
  });

  test('another port has its own lines; a key of the host itself is as good', () => {
    expect(verdict(line('[cucm.example.com]:2222'), 'cucm.example.com', 2222)).toBe('known');
    expect(verdict(line('[*.example.com]:2222'), 'cucm.example.com', 2222)).toBe('known');
    expect(verdict(line('cucm.example.com'), 'cucm.example.com', 2222)).toBe('known');
    expect(verdict(line('cucm.example.com', other), 'cucm.example.com', 2222)).toBe('unknown');
    expect(verdict(line('[cucm.example.com]:2222', other), 'cucm.example.com', 2222)).toBe('changed');
  });

  test('where another port has a line of its own, the key of the host itself does not count', () => {
    const host = line('cucm.example.com');
    const at = (text: string): string => verdict(text, 'cucm.example.com', 2222);
    const both = `${host}\n${line('[cucm.example.com]:2222', other)}`;
    expect(at(both)).toBe('changed');
    expect(at(`${host}\n${line('[cucm.example.com]:2222', rsa, 'ssh-rsa')}`)).toBe('changed');
    expect(verdict(both)).toBe('known');
    // A line that only revokes says nothing of the key that is right.
    expect(at(`${host}\n@revoked ${line('[cucm.example.com]:2222', other)}`)).toBe('known');
    // What is revoked for the host is revoked for each of its ports.
    expect(at(`@revoked ${host}\n${line('[cucm.example.com]:2222')}`)).toBe('revoked');
    expect(at(`${host}\n@revoked ${line('[cucm.example.com]:2222')}`)).toBe('revoked');
  });

  test('a server is asked for the types of key that count', () => {
    const text = `${line('cucm.example.com')}\n${line('[cucm.example.com]:2222', rsa, 'ssh-rsa')}`;
    const entries = parseKnownHosts(text, 'known_hosts');
    expect(knownKeyTypes(entries, 'cucm.example.com', 2222)).toEqual(['ssh-rsa']);
    expect(knownKeyTypes(entries, 'cucm.example.com', 2223)).toEqual(['ssh-ed25519']);
  });

  test('the lines that say so are named', () => {
    const entries = parseKnownHosts(`# comment\n\n${line('cucm', other)}`, 'my-hosts');
    const { lines } = checkKnownHosts(entries, 'cucm', 22, new Uint8Array(ed));
    expect(lines.map((one) => [one.file, one.line])).toEqual([['my-hosts', 3]]);
  });

  test('any text is read, and makes no key known that is not in it', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (text) => {
        expect(verdict(text)).toBe('unknown');
      }),
    );
  });

  test('many stars do not hold the command up', () => {
    expect(verdict(line(`${'*a'.repeat(200)}b`), 'a'.repeat(200))).toBe('unknown');
  });
});

const folder = mkdtempSync(join(tmpdir(), 'etoken-bridge-known-hosts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(sshdMissing !== '')(
  `as ssh-keygen does it${sshdMissing === '' ? '' : ` (skipped: ${sshdMissing})`}`,
  () => {
    const keygen = (...words: string[]): string =>
      spawnSync('ssh-keygen', words, { cwd: folder, encoding: 'utf8' }).stdout;
    keygen('-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', 'host');
    const text = readFileSync(join(folder, 'host.pub'), 'utf8').trim();
    const key = Buffer.from(text.split(' ')[1]!, 'base64');

    test('hashed names', () => {
      const hosts = `cucm.example.com ${text}\n[other.example.com]:2222 ${text}\n`;
      writeFileSync(join(folder, 'known_hosts'), hosts);
      keygen('-H', '-f', 'known_hosts');
      const hashed = readFileSync(join(folder, 'known_hosts'), 'utf8');
      expect(hashed).toMatch(/^\|1\|/);
      expect(verdict(hashed, 'cucm.example.com', 22, key)).toBe('known');
      expect(verdict(hashed, 'other.example.com', 2222, key)).toBe('known');
      expect(verdict(hashed, 'other.example.com', 22, key)).toBe('unknown');
      expect(verdict(hashed, 'cucm.example.com', 22, ed)).toBe('changed');
    });

    test('fingerprints', () => {
      expect(keygen('-l', '-f', 'host.pub')).toContain(` ${formatFingerprint(key)} `);
      expect(keygen('-l', '-E', 'md5', '-f', 'host.pub')).toContain(` MD5:${formatMd5Fingerprint(key)} `);
    });
  },
);

test.each(['', 'SHA256:', 'SHA256:short', 'SHA1:2jmj7l5rSw0yVb/vlWAYkK/YBwk', '00:11', 'zz:'.repeat(16), 'SHA512:x'])(
  '%j is no fingerprint',
  (text) => {
    expect(() => parseFingerprint(text)).toThrow(InputError);
  },
);
