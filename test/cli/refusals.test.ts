import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeTrustList } from '../../src/trust-list/index.js';
import { expectFailure, snapshot } from './etoken-bridge.js';
import { makeSoftwareKey } from './software-keys.js';
import { makeSoftTokens, pinStates } from './soft-tokens.js';

const tokens = await makeSoftTokens();
const { folder, first, second, cluster, wrongPinFile, run } = tokens;

/** The first token with a PIN that would be wrong: a try of it would show, by exit code 3 and by the token's own count. */
const wrongPin = ['--token', first.token.uri, '--pin-file', wrongPinFile];
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const serials = { first: hex(first.certificate.serialNumber), second: hex(second.certificate.serialNumber) };

const stranger = await makeSoftwareKey('stranger', 0x21);
const withStranger = stranger.write(folder, 'stranger');

function withRelease(release: string, name: string): void {
  const text = readFileSync(join(folder, cluster), 'utf8').replace(/^release: .*/m, `release: ${release}`);
  writeFileSync(join(folder, 'cluster', name), text);
}

beforeAll(() => {
  tokens.makeTokenList('CTLFile.tlv');
  const made = [
    run(['ctl', 'to-tokenless', 'CTLFile.tlv', '--out', 'tokenless.tlv', '--cluster', cluster]),
    run([
      ...['ctl', 'remove-token', 'CTLFile.tlv', '--out', 'one-token.tlv', '--serial', serials.second, '--accept', 'A5'],
      ...first.options,
    ]),
  ];
  expect(made.map(({ status }) => status)).toEqual([0, 0]);
  withRelease('14SU3', 'cluster-14su3.yaml');
  withRelease('9.1.2', 'cluster-9.yaml');
  const changed = readFileSync(join(folder, 'CTLFile.tlv'));
  changed[changed.length - 1]! ^= 1;
  writeFileSync(join(folder, 'changed.tlv'), changed);
});

/** What is refused: the words behind `ctl`, the check, and what the message and the hint say. */
const refusals: readonly (readonly [check: string, words: readonly string[], error: string, hint: string])[] = [
  [
    'A5',
    ['remove-token', 'CTLFile.tlv', '--serial', serials.second, ...wrongPin],
    'the list would hold one token; if it is lost',
    '--accept A5 lets this one through',
  ],
  [
    'A3',
    ['to-token', 'tokenless.tlv', '--cluster', cluster, ...wrongPin],
    "not in the cluster file's Phone-SAST-trust: CN=SAST-ADN",
    '--accept A3 lets this one through',
  ],
  [
    'A14',
    ['create', '--mode', 'token', '--cluster', 'cluster/cluster-14su3.yaml', ...wrongPin],
    'hardware tokens end with 14SU3, and the cluster file says release 14SU3',
    '--accept A14 lets this one through',
  ],
  [
    'A14',
    ['sign', 'CTLFile.tlv', '--cluster', 'cluster/cluster-14su3.yaml', ...wrongPin],
    'hardware tokens end with 14SU3',
    '--accept A14',
  ],
  [
    'A8',
    ['to-tokenless', 'CTLFile.tlv', '--cluster', 'cluster/cluster-9.yaml'],
    'tokenless lists begin with 10.0, and the cluster file says release 9.1.2',
    '--accept A8',
  ],
  ['A9', ['sign', 'changed.tlv', ...wrongPin], 'the present list does not verify', '--accept A9'],
  [
    'A9',
    ['create', '--mode', 'tokenless', '--cluster', cluster, ...withStranger],
    "is not the certificate that signs this cluster's tokenless lists",
    '--accept A9',
  ],
  [
    'A2',
    ['sign', 'CTLFile.tlv', ...withStranger],
    'CN=stranger (serial 21:01:02:03) is not in the present list',
    '--accept A2',
  ],
  [
    'A2',
    ['sign', 'one-token.tlv', '--token', second.token.uri, '--pin-file', second.pinFile],
    `CN=${second.commonName}, OU=IPCBU`,
    `sign with one of: cn="${first.commonName}"`,
  ],
  [
    'A9',
    ['sign', 'tokenless.tlv', ...withStranger.slice(0, 2), '--certificate', 'cluster/certificates/cucm-pub/CAPF.pem'],
    'is not the one of certificate C=US',
    'name the key that was made with this certificate',
  ],
  [
    'last-token',
    ['remove-token', 'one-token.tlv', '--serial', serials.first, ...wrongPin],
    'the last token',
    'to-tokenless',
  ],
  [
    'no-such-token',
    ['remove-token', 'CTLFile.tlv', '--serial', '1234', ...wrongPin],
    'no token of the list has serial "1234"',
    first.commonName,
  ],
  ['wrong-mode', ['to-tokenless', 'tokenless.tlv', '--cluster', cluster], 'is a tokenless list', 'ctl update'],
  ['wrong-mode', ['to-token', 'CTLFile.tlv', '--cluster', cluster, ...wrongPin], 'is a token list', 'ctl update'],
  [
    'wrong-mode',
    ['add-token', 'tokenless.tlv', '--token-certificate', 'stranger.pem', ...withStranger],
    'is a tokenless list',
    'ctl to-token',
  ],
  ['already-present', ['add-token', 'CTLFile.tlv', ...wrongPin], 'is in the list already', 'plug in the token to add'],
];

const named = refusals.map((refusal) => [`ctl ${refusal[1].slice(0, 2).join(' ')}`, ...refusal] as const);

test.each(named)('%s is refused (%s)', (_name, check, words, error, hint) => {
  const before = snapshot(folder);
  const outcome = run(['ctl', ...words, '--out', 'never.tlv']);
  expectFailure(outcome, 4, `refused (${check}): `, hint);
  expect(outcome.stderr.split('\n')[0]).toContain(error);
  expect(existsSync(join(folder, 'never.tlv'))).toBe(false);
  // SoftHSM2 may write into its own folder when it is only looked at.
  const ours = (path: string): boolean => !path.startsWith(join(folder, 'softhsm'));
  expect([...snapshot(folder)].filter(([path]) => ours(path))).toEqual([...before].filter(([path]) => ours(path)));
});

test('no PIN was tried by any of them', () => {
  expect(pinStates(tokens)).toEqual({ 'SAST first': 'ok', 'SAST second': 'ok' });
});

describe('--accept', () => {
  const toToken = ['ctl', 'to-token', 'tokenless.tlv', '--cluster', cluster, '--out', 'accepted.tlv'];

  test('another check does not let it through', () => {
    for (const accept of [['A5'], ['A2', 'A5', 'A14']]) {
      const words = [...toToken, ...accept.flatMap((check) => ['--accept', check]), ...wrongPin];
      expectFailure(run(words), 4, 'refused (A3): ');
    }
    expect(existsSync(join(folder, 'accepted.tlv'))).toBe(false);
    expect(pinStates(tokens)).toEqual({ 'SAST first': 'ok', 'SAST second': 'ok' });
  });

  test('the check itself does, with a warning that says what was accepted', () => {
    const outcome = run([...toToken, '--accept', 'A3', ...first.options]);
    expect(outcome.stderr).toMatch(/^warning: A3: accepted: not in the cluster file's Phone-SAST-trust: /m);
    expect(outcome.status).toBe(0);
    expect(decodeTrustList(new Uint8Array(readFileSync(join(folder, 'accepted.tlv')))).records).toHaveLength(5);
    expect(run(['ctl', 'verify', 'accepted.tlv']).status).toBe(0);
  });

  test('of two refusals each wants its own', () => {
    writeFileSync(join(folder, 'first.cer'), first.certificate.der);
    const words = ['ctl', 'to-token', 'tokenless.tlv', '--cluster', cluster, '--out', 'accepted.tlv'];
    // One token by its certificate, and a software key in place of the other: A5 and A3.
    const key = ['--key', join(folder, 'stranger.key'), '--certificate', join(folder, 'stranger.pem')];
    expectFailure(run([...words, ...key]), 4, 'refused (A5): ');
    expectFailure(run([...words, ...key, '--accept', 'A5']), 4, 'refused (A3): ');
    expectFailure(run([...words, ...key, '--accept', 'A3']), 4, 'refused (A5): ');
    const outcome = run([...words, ...key, '--accept', 'A3', '--accept', 'A5']);
    expect(outcome.stderr).toMatch(/^warning: A5: accepted: /m);
    expect(outcome.stderr).toMatch(/^warning: A3: accepted: /m);
    expect(outcome.status).toBe(0);
  });

  test('with A2 accepted the token that signs is put into the list, so that the list verifies', () => {
    copyFileSync(join(folder, 'one-token.tlv'), join(folder, 'foreign.tlv'));
    const words = ['ctl', 'sign', 'foreign.tlv', '--accept', 'A2', '--token', second.token.uri];
    const outcome = run([...words, '--pin-file', second.pinFile]);
    expect(outcome.stderr).toMatch(/^warning: A2: accepted: /m);
    expect(outcome.status).toBe(0);
    expect(run(['ctl', 'verify', 'foreign.tlv']).status).toBe(0);
  });
});

describe('a list that is too large for phones', () => {
  test('is refused before a signature is made, and no check lets it through', () => {
    const nodes = Array.from({ length: 80 }, (_, index) => ['--node', `cucm-${index},10.0.0.${index + 1},CallManager`]);
    const init = ['cluster', 'init', 'large', '--lab', '--key-bits', '1024', '-q', ...nodes.flat()];
    expect(run(init).status).toBe(0);
    const words = ['ctl', 'create', '--mode', 'token', '--cluster', 'large/cluster.yaml', '--out', 'never.tlv'];
    const outcome = run([...words, '--accept', 'A5', ...wrongPin]);
    expectFailure(outcome, 4, 'refused (too-large): the list would have', 'take out nodes');
    expect(existsSync(join(folder, 'never.tlv'))).toBe(false);
    expect(pinStates(tokens)['SAST first']).toBe('ok');
  });
});
