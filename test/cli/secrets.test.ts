import { createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { importPublicKey } from '../../src/x509/index.js';
import { filesBelow, readToken, textOf } from '../softhsm/soft-token.js';
import type { Outcome } from './etoken-bridge.js';
import { makeSoftTokens, pins, type SoftEtoken } from './soft-tokens.js';

const tokens = await makeSoftTokens();
const { folder, first, second, cluster, wrongPinFile, run } = tokens;

/** A whole run, in which every command that touches a token takes part; what each printed is kept as a file too. */
const outcomes: Outcome[] = [];
function step(words: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  for (const more of [[], ['--debug', '--json']]) {
    const outcome = run([...words, ...more], { env });
    outcomes.push(outcome);
    writeFileSync(join(folder, `printed-${outcomes.length}`), outcome.stdout + outcome.stderr);
  }
}

step(['token', 'list']);
step(['token', 'certificates', '--login', ...first.options]);
step(['token', 'export', '--out', 'sast']);
step(['token', 'check', '--token', second.token.uri], { ETOKEN_BRIDGE_PIN: second.pin });
step(['ctl', 'create', '--mode', 'token', '--cluster', cluster, '--out', '1.tlv', ...first.options]);
step(['ctl', 'sign', '1.tlv', '--token', second.token.uri], { ETOKEN_BRIDGE_PIN_FILE: second.pinFile });
step(['ctl', 'sign', '1.tlv', '--token', `${first.token.uri}&pin-source=env:OTHER`], { OTHER: first.pin });
step(['ctl', 'to-tokenless', '1.tlv', '--out', '2.tlv', '--cluster', cluster]);
step(['ctl', 'to-token', '2.tlv', '--out', '3.tlv', '--cluster', tokens.clusterWithTokens(), ...second.options]);
step(['ctl', 'sign', '1.tlv', '--token', first.token.uri, '--pin-file', wrongPinFile]);
step(['ctl', 'sign', '1.tlv', '--token', `${first.token.uri}&pin-value=${first.pin}`]);
step(['token', 'check', `--pin=${first.pin}`]);
step(['ctl', 'show', '3.tlv']);

test('the run did what it is for', () => {
  expect(outcomes.map(({ status }) => status)).toEqual([...new Array<number>(18).fill(0), 3, 3, 2, 2, 2, 2, 0, 0]);
});

test.each([
  ['first', first],
  ['second', second],
])('the private key of the %s token cannot be taken out of it', async (_name, { token, pin }: SoftEtoken) => {
  const { privateKeys } = await readToken({ ...tokenSource(), module: tokens.module }, token, pin);
  expect(privateKeys).toHaveLength(1);
  const [key] = privateKeys;
  for (const [name, value] of [
    ['token', 1],
    ['private', 1],
    ['sensitive', 1],
    ['alwaysSensitive', 1],
    ['extractable', 0],
    ['neverExtractable', 1],
    ['local', 1],
  ] as const) {
    expect([name, (key?.[name] as Uint8Array)[0]]).toEqual([name, value]);
  }
  // The token itself refuses to tell them, also to whoever has the PIN.
  expect(textOf(key, 'privateExponent')).toBe('(CKR_ATTRIBUTE_SENSITIVE)');
  expect(textOf(key, 'prime1')).toBe('(CKR_ATTRIBUTE_SENSITIVE)');
});

function tokenSource(): { directory: string; configuration: string; environment: { SOFTHSM2_CONF: string } } {
  const configuration = tokens.environment['SOFTHSM2_CONF']!;
  return { directory: join(folder, 'softhsm'), configuration, environment: { SOFTHSM2_CONF: configuration } };
}

/** A file as it is, and what its base64 and hex texts stand for. */
function readings(bytes: Buffer): Buffer[] {
  const text = bytes.toString('latin1');
  const base64 = [...text.matchAll(/[A-Za-z0-9+/\r\n]{60,}={0,2}/g)].map(([block]) => Buffer.from(block, 'base64'));
  const hex = [...text.matchAll(/(?:[0-9A-Fa-f]{2}[ :\r\n]*){60,}/g)].map(([block]) =>
    Buffer.from(block.replaceAll(/[^0-9A-Fa-f]/g, ''), 'hex'),
  );
  return [bytes, ...base64, ...hex];
}

/** Whether a prime factor of the modulus stands anywhere: who has one has the private key. */
function holdsPrimeOf(modulus: bigint, bits: number, bytes: Buffer): boolean {
  const length = bits / 16;
  for (const reading of readings(bytes)) {
    for (const ordered of [reading, Buffer.from(reading).reverse()]) {
      for (let at = 0; at + length <= ordered.length; at += 1) {
        // A prime of this size begins with a set bit and is odd.
        if ((ordered[at]! & 0x80) === 0 || (ordered[at + length - 1]! & 1) === 0) continue;
        const candidate = BigInt(`0x${ordered.toString('hex', at, at + length)}`);
        if (modulus % candidate === 0n) return true;
      }
    }
  }
  return false;
}

function modulusOf(publicKey: Uint8Array): bigint {
  const { n } = importPublicKey(publicKey).export({ format: 'jwk' });
  return BigInt(`0x${Buffer.from(n!, 'base64url').toString('hex')}`);
}

describe('no file of the run, SoftHSM2 and what was printed included,', () => {
  const files = filesBelow(folder);

  test('is left out, and the search finds a key where there is one', () => {
    expect(files.length).toBeGreaterThan(50);
    const key = readFileSync(join(folder, 'cluster/keys/cucm-pub/CallManager.key'));
    const { n } = createPublicKey(key).export({ format: 'jwk' });
    expect(holdsPrimeOf(BigInt(`0x${Buffer.from(n!, 'base64url').toString('hex')}`), 1024, key)).toBe(true);
  });

  test.each([
    ['first', first],
    ['second', second],
  ])('holds the private key of the %s token', (_name, { certificate }: SoftEtoken) => {
    const modulus = modulusOf(certificate.publicKey);
    expect(files.filter(({ bytes }) => holdsPrimeOf(modulus, 1024, bytes)).map(({ path }) => path)).toEqual([]);
  });

  test("holds a private key at all, but for the practice cluster's own", () => {
    const keys = files.filter(({ bytes }) => bytes.includes('PRIVATE KEY')).map(({ path }) => path);
    expect(keys.length).toBeGreaterThan(0);
    expect(keys.filter((path) => !path.startsWith(join(folder, 'cluster/keys/')))).toEqual([]);
  });

  test('holds a PIN, but for the files that were made to hold it', () => {
    const pinFiles = [first.pinFile, second.pinFile, wrongPinFile];
    for (const pin of Object.values(pins)) {
      const bytes = Buffer.from(pin);
      const spellings = [
        bytes,
        Buffer.from(pin, 'utf16le'),
        bytes.toString('hex'),
        bytes.toString('base64').slice(0, -2),
      ];
      const found = files.filter(({ bytes: content }) => spellings.some((spelling) => content.includes(spelling)));
      expect(found.map(({ path }) => path).filter((path) => !pinFiles.includes(path))).toEqual([]);
      // The search itself works.
      expect(found).toHaveLength(1);
    }
  });
});
