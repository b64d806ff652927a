import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { createLabCluster } from '../../src/cluster/index.js';
import { decodeTrustList, verifyTrustList } from '../../src/trust-list/index.js';
import { makeFolder, root, runExample, type ProgramRun } from './run-example.js';
import { plugTokens, type PluggedTokens } from './plugged-tokens.js';

const folder = makeFolder();
const knownList = fileURLToPath(new URL('../vectors/trust-list/ctl-tokenless.tlv', import.meta.url));

function write(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** A failure that tells a person what is wrong, without a stack trace. */
function expectError(run: ProgramRun, exitCode: number, words: RegExp): void {
  expect(run.stderr).toMatch(words);
  expect(run.stderr).toMatch(/^error: .+\n(hint: .+\n)?$/);
  expect(run.exitCode).toBe(exitCode);
  expect(run.leftBehind).toEqual([]);
}

function expectSuccess(run: ProgramRun): void {
  expect({ exitCode: run.exitCode, stderr: run.stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(run.leftBehind).toEqual([]);
}

async function labCluster(name: string, release: string): Promise<string> {
  const nodes = [
    { name: 'cucm-pub', address: '192.0.2.10', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
    { name: 'cucm-sub', address: '192.0.2.11', services: ['CallManager', 'TFTP', 'TVS'] },
  ] as const;
  const directory = join(folder, name);
  const request = { directory, release, securityMode: 'mixed', nodes, now: new Date(), keyBits: 1024 } as const;
  return (await createLabCluster(request)).clusterFile;
}

describe('01, inspect a list', () => {
  test('its own lists: printed, verified, viewed as JSON, compared', async () => {
    const run = await runExample('01');
    expectSuccess(run);
    expect(run.stdout).toContain('This etoken was used to sign the CTL file.');
    expect(run.stdout).toContain('The CTL file was verified successfully.');
    expect(run.stdout).toContain('verified: the key of CN=cucm-pub;O=example made the signature');
    expect(run.stdout).toContain('"role": "CCM+TFTP"');
    expect(run.stdout).toContain('the second list: 0 records added, 0 removed');
    expect(run.stdout).toMatch(/^changed: CN=CAPF-7f3a2b10;O=example: SERIALNUMBER, PUBLICKEY, .*CERTIFICATE$/m);
  });

  test('a file, and the same file as the newer one', async () => {
    const run = await runExample('01', [knownList, knownList]);
    expectSuccess(run);
    expect(run.stdout).toContain(`Length of CTL file: ${readFileSync(knownList).length}`);
    expect(run.stdout).toContain('the second list: the same');
  });

  test('a list that does not verify ends with 1 and says why', async () => {
    const bytes = readFileSync(knownList);
    bytes[bytes.length - 1]! ^= 1;
    const run = await runExample('01', [write('forged.tlv', bytes)]);
    expect({ exitCode: run.exitCode, stderr: run.stderr }).toEqual({ exitCode: 1, stderr: '' });
    expect(run.stdout).toContain('not verified: the signature was not made with');
  });

  test('a damaged list is shown as far as it goes, and ends with 2', async () => {
    const run = await runExample('01', [write('cut.tlv', readFileSync(knownList).subarray(0, 1500))]);
    expect({ exitCode: run.exitCode, stderr: run.stderr }).toEqual({ exitCode: 2, stderr: '' });
    expect(run.stdout).toContain('Error parsing the CTL File!!');
  });

  test('what is no list, and what is not there', async () => {
    expectError(await runExample('01', [write('no-list', 'hello, this is no list')]), 2, /at byte \d+/);
    expectError(await runExample('01', [join(folder, 'nowhere')]), 2, /ENOENT.*nowhere/);
  });
});

describe('02, export SAST certificates', () => {
  let plugged: PluggedTokens;
  beforeAll(async () => {
    plugged = await plugTokens(join(folder, '02'), ['first', 'second']);
  });

  test('soft tokens of its own, and nothing is left', async () => {
    const run = await runExample('02');
    expectSuccess(run);
    expect(run.stdout.match(/^exported .*SAST-ADN[0-9a-f]{8}\.cer \(\d+ bytes\)$/gm)).toHaveLength(2);
    expect(run.stdout).toContain('private key on the token: hidden without the PIN');
  });

  test('the tokens of the environment: certificates as they are, into a folder, and none is overwritten', async () => {
    const out = join(folder, 'exported');
    const { environment, pinFile, pin, tokens } = plugged;
    // A PIN that could be that of either token is tried on none.
    const run = await runExample('02', [out], { environment: { ...environment, ETOKEN_BRIDGE_PIN_FILE: pinFile } });
    expectSuccess(run);
    expect(run.stdout).toContain('private key on the token: hidden without the PIN');
    expect(run.stdout).not.toContain(pin);
    expect(readdirSync(out)).toHaveLength(2);
    for (const { certificate, commonName } of tokens) {
      expect(new Uint8Array(readFileSync(join(out, `${commonName.trim()}.cer`)))).toEqual(certificate.der);
    }
    expectError(await runExample('02', [out], { environment }), 2, /EEXIST/);
  });

  test('one token, by its label or URI, with its PIN', async () => {
    const { environment, pinFile, tokens } = plugged;
    for (const wanted of ['second', tokens[1]!.token.uri]) {
      const chosen = { ...environment, ETOKEN_BRIDGE_TOKEN: wanted, ETOKEN_BRIDGE_PIN_FILE: pinFile };
      const run = await runExample('02', [], { environment: chosen });
      expectSuccess(run);
      expect(run.stdout).toContain('private key on the token: true');
      expect(run.stdout).toContain(tokens[1]!.commonName.trim());
      expect(run.stdout).not.toContain(tokens[0]!.commonName.trim());
    }
  });

  test('a wrong PIN is told, not printed, and does no harm', async () => {
    const { environment, wrongPinFile, wrongPin, pinFile } = plugged;
    const one = { ...environment, ETOKEN_BRIDGE_TOKEN: 'first' };
    const run = await runExample('02', [], { environment: { ...one, ETOKEN_BRIDGE_PIN_FILE: wrongPinFile } });
    expectError(run, 3, /CKR_PIN_INCORRECT/);
    expect(run.stdout + run.stderr).not.toContain(wrongPin);
    expectSuccess(await runExample('02', [], { environment: { ...one, ETOKEN_BRIDGE_PIN_FILE: pinFile } }));
  });

  test('a library that is not there', async () => {
    const environment = { ETOKEN_BRIDGE_MODULE: join(folder, 'no-library.so') };
    expectError(await runExample('02', [], { environment }), 3, /no-library\.so/);
  });
});

describe('03, sign a CTL with a token', () => {
  let plugged: PluggedTokens;
  let clusterFile: string;
  beforeAll(async () => {
    plugged = await plugTokens(join(folder, '03'), ['first', 'second']);
    clusterFile = await labCluster('03/cluster', '11.5.1');
  });

  test('soft tokens and a cluster of its own, and nothing is left', async () => {
    const run = await runExample('03');
    expectSuccess(run);
    expect(run.stdout).toMatch(/CTLFile\.tlv: \d+ bytes, 4 records, sha1\n {2}signed by cn="SAST-ADN.*, verified\n/);
    expect(run.stdout).toMatch(/CTLFile-sha512\.tlv: \d+ bytes, 4 records, sha512\n.*, verified\n/);
  });

  test('the token of the environment signs for a cluster file; the files are whole', async () => {
    const out = join(folder, '03/lists');
    mkdirSync(out);
    const { environment, pinFile, tokens, pin } = plugged;
    const chosen = { ...environment, ETOKEN_BRIDGE_TOKEN: 'second', ETOKEN_BRIDGE_PIN_FILE: pinFile };
    const run = await runExample('03', [clusterFile, out], { environment: chosen });
    expectSuccess(run);
    expect(run.stdout).not.toContain(pin);
    expect(readdirSync(out).sort()).toEqual(['CTLFile-sha512.tlv', 'CTLFile.tlv']);
    for (const [name, digestAlgorithm] of [
      ['CTLFile.tlv', 'sha1'],
      ['CTLFile-sha512.tlv', 'sha512'],
    ] as const) {
      const list = decodeTrustList(new Uint8Array(readFileSync(join(out, name))));
      expect(list.header.digestAlgorithm).toBe(digestAlgorithm);
      const verification = verifyTrustList(list);
      expect(verification.verified && verification.signer.certificate).toEqual(tokens[1]!.certificate.der);
      expect(list.records.map((record) => record.function)).toEqual([0, 2, 4, 2, 0]);
    }
  });

  test('a wrong PIN, a PIN file that is not there, and none: nothing is written', async () => {
    const out = join(folder, '03/nothing');
    mkdirSync(out);
    const { environment, wrongPin, wrongPinFile, pinFile } = plugged;
    const one = { ...environment, ETOKEN_BRIDGE_TOKEN: 'first' };
    const signWith = (file: Readonly<Record<string, string>>): Promise<ProgramRun> =>
      runExample('03', [clusterFile, out], { environment: { ...one, ...file } });
    const run = await signWith({ ETOKEN_BRIDGE_PIN_FILE: wrongPinFile });
    expectError(run, 3, /CKR_PIN_INCORRECT/);
    expect(run.stdout + run.stderr).not.toContain(wrongPin);
    expectError(await signWith({ ETOKEN_BRIDGE_PIN_FILE: join(folder, 'no-pin') }), 2, /no-pin/);
    expectError(await signWith({}), 3, /needs a PIN/);
    expect(readdirSync(out)).toEqual([]);
    expectSuccess(await signWith({ ETOKEN_BRIDGE_PIN_FILE: pinFile }));
  });

  test('a single token is refused (A5), and a folder that is not there', async () => {
    const { environment, pinFile } = await plugTokens(join(folder, '03/single'), ['only']);
    const settings = { environment: { ...environment, ETOKEN_BRIDGE_PIN_FILE: pinFile } };
    expectError(await runExample('03', [clusterFile, folder], settings), 4, /^error: refused \(A5\)/);
    const chosen = { ...plugged.environment, ETOKEN_BRIDGE_TOKEN: 'first', ETOKEN_BRIDGE_PIN_FILE: plugged.pinFile };
    const run = await runExample('03', [clusterFile, join(folder, 'not-there')], { environment: chosen });
    expectError(run, 2, /ENOENT.*not-there/);
  });
});

test('04, from tokens to tokenless and back, with notices and the refusal', async () => {
  const run = await runExample('04');
  expectSuccess(run);
  expect(run.stdout).toMatch(
    /^What phones have\n {2}a token list of 4 records, .*\n {2}signed by cn="SAST-.*\n {2}verified$/m,
  );
  expect(run.stdout).toMatch(
    /To tokenless, signed by the CallManager key\n {2}a tokenless list .*\n.*\n {2}verified\n {2}notice A4: /,
  );
  expect(run.stdout).toMatch(/^Back to tokens\n {2}refused \(A3\): /m);
  expect(run.stdout).toMatch(
    /after the upload to Phone-SAST-trust\n {2}a token list of 4 records, .*\n.*\n {2}verified\n/,
  );
  expect(run.stdout).toContain('There and back: 0 records added, 0 removed, 0 changed');
});

describe('05, a CI job', () => {
  test('a cluster of its own: 0', async () => {
    const run = await runExample('05');
    expectSuccess(run);
    expect(run.stdout).toMatch(/^CTL: \d+ bytes, 4 records, verified$/m);
  });

  test('a cluster file that is good: 0; with an error: 2, and its line; tokenless only: 4', async () => {
    const good = await labCluster('05/good', '12.5(1)SU2');
    const run = await runExample('05', [good]);
    expectSuccess(run);
    expect(run.stdout).toContain('Release:        12.5(1)SU2');
    expect(run.stdout).toMatch(/^CTL: \d+ bytes, 5 records, verified$/m);

    const wrong = readFileSync(good, 'utf8').replace('CAPF.pem', 'gone.pem');
    writeFileSync(good, wrong);
    const line = wrong.split('\n').findIndex((text) => text.includes('gone.pem')) + 1;
    const failed = await runExample('05', [good]);
    expect(failed.exitCode).toBe(2);
    expect(failed.stderr).toContain(`:${line}:`);
    expectError(await runExample('05', [await labCluster('05/late', '14SU3')]), 4, /^error: refused \(A14\)/);
  });

  test('no SoftHSM2: 3', async () => {
    const environment = { SOFTHSM2_MODULE: join(folder, 'no-softhsm.so') };
    expectError(await runExample('05', [], { environment }), 3, /no-softhsm\.so/);
  });
});

test('06, what phones make of renewed certificates', async () => {
  const run = await runExample('06');
  expectSuccess(run);
  const registers = [...run.stdout.matchAll(/^ {2}SEP\w+ (registers|is stuck)$/gm)].map(([, state]) => state);
  expect(registers).toEqual(['registers', 'registers', 'registers', 'registers', 'is stuck', 'registers', 'registers']);
  expect(run.stdout).toMatch(/^ {4}\+ ITLFile\.tlv \(P5\): .*TVS 127\.0\.0\.1:\d+/m);
  expect(run.stdout).toMatch(/^ {4}- ITLFile\.tlv \(P5\): /m);
});

test('07, a plan says which phone it loses, where and by which rule', async () => {
  const run = await runExample('07');
  expectSuccess(run);
  expect(run.stdout).toContain('1-upload (administrator): Upload 2 certificates to Phone-SAST-trust');
  expect(run.stdout).toContain('SEP00005E005301: kept');
  expect(run.stdout).toContain('SEP00005E005302: lost at 4-restart-phones by P11; delete its ctl');
  expect(run.stdout).toMatch(/as a file for "migrate apply": \d+ lines of YAML/);
});

test('each example says at its top how it is run, and the README names it', () => {
  const readme = readFileSync(join(root, 'examples/README.md'), 'utf8');
  const names = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.mjs'));
  expect(names.map((name) => name.slice(0, 3))).toEqual(['00-', '01-', '02-', '03-', '04-', '05-', '06-', '07-']);
  for (const name of names) {
    expect(readFileSync(join(root, 'examples', name), 'utf8')).toContain(`//   node examples/${name}`);
    expect(readme).toContain(`](${name})`);
  }
});
