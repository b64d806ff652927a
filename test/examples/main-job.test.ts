import { execFile } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { createSoftHsm, listSoftTokens } from 'softhsm-config';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeTrustList, encodeTrustList, verifyTrustList } from '../../src/trust-list/index.js';
import { decodeCertificates, type Certificate } from '../../src/x509/index.js';
import { filesBelow, readToken } from '../softhsm/soft-token.js';
import { openssl } from '../x509/openssl.js';
import { makeFolder, root, runExample, type ProgramRun } from './run-example.js';

const parent = makeFolder();
const folder = join(parent, 'run');
const lists = ['1-token.tlv', '2-token-resigned.tlv', '3-tokenless.tlv', '4-token-again.tlv'];

const inFolder = (name: string): string => join(folder, name);
const read = (name: string): Uint8Array => new Uint8Array(readFileSync(inFolder(name)));

/** The SAST certificates as they were exported, in the order of the tokens' labels. */
function exportedFiles(stdout: string): string[] {
  return [...stdout.matchAll(/^ {2}soft-etoken-\d: (SAST-ADN[0-9a-f]{8})$/gm)].map((match) => `sast/${match[1]!}.cer`);
}

let run: ProgramRun;
let signedBy: Readonly<Record<string, string>>;

beforeAll(async () => {
  run = await runExample('00', [folder]);
  const [first = '', second = ''] = exportedFiles(run.stdout);
  signedBy = {
    '1-token.tlv': first,
    '2-token-resigned.tlv': second,
    '3-tokenless.tlv': 'cluster/certificates/cucm-pub/CallManager.pem',
    '4-token-again.tlv': first,
  };
});

test('works whole, within a minute, and leaves only its folder', () => {
  expect({ exitCode: run.exitCode, stderr: run.stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(run.took).toBeLessThan(60_000);
  expect(run.leftBehind).toEqual([]);
  expect(readdirSync(folder).filter((name) => name.endsWith('.tlv'))).toEqual(lists);
});

test('shows each step, each proof, and the refusal', () => {
  for (const name of lists) {
    const stem = name.replace('.tlv', '');
    expect(run.stdout).toContain(`  ${name}: verified, signed by `);
    expect(run.stdout).toMatch(new RegExp(String.raw`^\$ openssl dgst .*/${stem}\.signed\n  Verified OK$`, 'm'));
  }
  expect(run.stdout).toContain('The CTL file was verified successfully.');
  expect(run.stdout).toContain('error: refused (A3)');
  expect(run.stdout).toContain('warning: A4');
  const difference = run.stdout.split('ctl diff 2-token-resigned.tlv 4-token-again.tlv\n')[1]?.split('\n\n')[0];
  expect(difference).toMatch(/signer: .*\n +->: .*\n +timestamp: .*\n +length: (\d+) -> \1 bytes$/);
});

test('its two tokens are listed with a URI each', () => {
  expect(run.stdout).toMatch(/URI +pkcs11:token=soft-etoken-1;serial=[0-9a-f]{16}\?module-path=\S+\n/);
  expect(run.stdout).toMatch(/URI +pkcs11:token=soft-etoken-2;serial=[0-9a-f]{16}\?module-path=\S+\n/);
});

describe.each(lists)('%s', (name) => {
  test('decodes, encodes to the same bytes, and verifies', () => {
    const list = decodeTrustList(read(name));
    expect(encodeTrustList(list)).toEqual(list.bytes);
    expect(verifyTrustList(list).verified).toBe(true);
  });

  test('openssl accepts its signature with the key of the certificate that should have signed it', () => {
    const { bytes, header } = decodeTrustList(read(name));
    // From trust-list-format.md: what is signed is the file without the SIGNATURE element, tag 12, here of 3 + 256 bytes.
    const { start, end } = header.signatureSpan;
    expect([bytes[start], end - start]).toEqual([12, 259]);
    const work = join(parent, name);
    mkdirSync(work);
    writeFileSync(join(work, 'signed'), Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]));
    writeFileSync(join(work, 'signature'), bytes.subarray(start + 3, end));
    const file = signedBy[name]!;
    const form = file.endsWith('.cer') ? 'DER' : 'PEM';
    writeFileSync(
      join(work, 'key.pem'),
      openssl(['x509', '-in', inFolder(file), '-inform', form, '-pubkey', '-noout']),
    );
    const files = ['-signature', join(work, 'signature'), join(work, 'signed')];
    expect(openssl(['dgst', '-sha1', '-verify', join(work, 'key.pem'), ...files]).toString()).toBe('Verified OK\n');
  });

  test('is printed at the end with its length and SHA-1', () => {
    const bytes = read(name);
    const sha1 = createHash('sha1').update(bytes).digest('hex');
    expect(run.stdout).toMatch(new RegExp(`^  ${name} +${bytes.length} bytes  SHA1 ${sha1}$`, 'm'));
  });
});

test('the exported certificates are read by openssl, which finds SAST certificates in them', () => {
  const files = readdirSync(inFolder('sast'));
  expect(files.map((name) => `sast/${name}`).sort()).toEqual(exportedFiles(run.stdout).sort());
  for (const name of files) {
    const words = [
      'x509',
      '-in',
      inFolder(`sast/${name}`),
      '-inform',
      'DER',
      '-subject',
      '-noout',
      '-nameopt',
      'RFC2253',
    ];
    expect(openssl(words).toString()).toContain(`CN=${name.replace('.cer', '')}`);
  }
});

describe('the private keys of the tokens', () => {
  test('are not extractable, were made on the token, and sign', async () => {
    const softHsm = await createSoftHsm(inFolder('softhsm'));
    const tokens = await listSoftTokens(softHsm);
    expect(tokens.map(({ label }) => label).sort()).toEqual(['soft-etoken-1', 'soft-etoken-2']);
    for (const token of tokens) {
      const { privateKeys, signature } = await readToken(softHsm, token, readFileSync(inFolder('pin'), 'utf8'));
      expect(privateKeys).toHaveLength(1);
      expect(privateKeys[0]).toMatchObject({
        sensitive: Uint8Array.of(1),
        alwaysSensitive: Uint8Array.of(1),
        extractable: Uint8Array.of(0),
        neverExtractable: Uint8Array.of(1),
        local: Uint8Array.of(1),
        privateExponent: 'CKR_ATTRIBUTE_SENSITIVE',
        prime1: 'CKR_ATTRIBUTE_SENSITIVE',
      });
      expect(signature).toHaveLength(256);
    }
  });

  test('are in no file of the run, as no file holds a prime of theirs', () => {
    // A search that finds what is there: the practice cluster's key, in its PEM file and nowhere else.
    const practice = certificateIn('cluster/certificates/cucm-pub/CallManager.pem');
    expect(filesWithPrimeOf(practice)).toEqual(['cluster/keys/cucm-pub/CallManager.key']);
    for (const file of exportedFiles(run.stdout)) expect(filesWithPrimeOf(certificateIn(file))).toEqual([]);
  });
});

test('no file outside softhsm/ and cluster/keys/ is a private key in any form that is read', () => {
  const outside = filesBelow(folder)
    .map(({ path, bytes }) => ({ name: relative(folder, path), bytes }))
    .filter(({ name }) => !/^(softhsm|cluster\/keys)\//.test(name));
  expect(outside.length).toBeGreaterThan(20);
  for (const { name, bytes } of outside) {
    expect(bytes.includes('PRIVATE KEY'), name).toBe(false);
    for (const type of ['pkcs8', 'pkcs1', 'sec1'] as const) {
      expect(() => createPrivateKey({ key: bytes, format: 'der', type }), name).toThrow();
    }
  }
  const keys = filesBelow(inFolder('cluster/keys'));
  expect(keys).toHaveLength(6);
  expect(keys.map(({ mode }) => mode.toString(8))).toEqual(keys.map(() => '600'));
});

test('the PIN is in its file only, which nobody else can read', () => {
  const pin = readFileSync(inFolder('pin'), 'utf8');
  // Standing alone: six digits may well turn up inside a checksum.
  const alone = new RegExp(`(?<![0-9a-f])${pin}(?![0-9a-f])`, 'i');
  expect(run.stdout).not.toMatch(alone);
  const holders = filesBelow(folder).filter(({ bytes }) => alone.test(bytes.toString('latin1')));
  expect(holders.map(({ path, mode }) => [relative(folder, path), mode.toString(8)])).toEqual([['pin', '600']]);
});

test('what it prints can be typed: the exports, the alias, and one of the commands', async () => {
  const setUp = run.stdout.match(/^\$ (export|alias|cd) .*$/gm)?.map((line) => line.slice(2)) ?? [];
  expect(setUp).toHaveLength(4);
  const command = /^\$ (etoken-bridge token check .*)$/m.exec(run.stdout)?.[1] ?? '';
  const script = ['shopt -s expand_aliases', ...setUp, command].join('\n');
  expect(await runBash(script)).toMatch(/sha512 +CKM_RSA_PKCS +signed and verified/);
});

test('the README shows lines of this run, but for what differs from run to run', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const [, shown = ''] = [...readme.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);
  const constant = (line: string): string =>
    line
      .replaceAll(/[0-9a-f]{8,}/g, 'HEX')
      .replaceAll(/\d+/g, 'N')
      .replace(/ in \/.*/, ' in FOLDER');
  const printed = new Set(run.stdout.split('\n').map(constant));
  const lines = shown.split('\n').filter((line) => line !== '…' && line !== '');
  expect(lines.length).toBeGreaterThan(15);
  expect(lines.map(constant).filter((line) => !printed.has(line))).toEqual([]);
});

describe('a folder that is given', () => {
  test('is left alone when something is in it', async () => {
    const own = join(parent, 'own');
    mkdirSync(own);
    writeFileSync(join(own, 'thesis.txt'), 'three years of work');
    const again = await runExample('00', [own]);
    expect(again).toMatchObject({ exitCode: 2, stdout: '' });
    expect(again.stderr).toContain(`error: ${own} is there already and is not an empty folder\nhint: `);
    expect(readFileSync(join(own, 'thesis.txt'), 'utf8')).toBe('three years of work');
  });

  test('is refused when it is a file', async () => {
    const file = join(parent, 'file');
    writeFileSync(file, 'text');
    expect(await runExample('00', [file])).toMatchObject({ exitCode: 2, stdout: '' });
    expect(readFileSync(file, 'utf8')).toBe('text');
  });
});

test('without SoftHSM2 it says so and what to do, and ends with 3', async () => {
  const environment = { SOFTHSM2_MODULE: join(parent, 'nowhere.so') };
  const { exitCode, stderr } = await runExample('00', [join(parent, 'without')], { environment });
  expect(exitCode).toBe(3);
  expect(stderr).toMatch(/^\nerror: .*nowhere\.so.*\nhint: .*\n$/);
});

function certificateIn(name: string): Certificate {
  const [certificate] = decodeCertificates(read(name));
  if (certificate === undefined) throw new Error(`no certificate in ${name}`);
  return certificate;
}

/** The files of the run in which a prime of the certificate's key stands, in its bytes or in what PEM encodes. */
function filesWithPrimeOf(certificate: Certificate): string[] {
  const key = createPublicKey({ key: Buffer.from(certificate.publicKeyInfo), format: 'der', type: 'spki' });
  const modulus = BigInt(`0x${Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url').toString('hex')}`);
  return filesBelow(folder)
    .filter(({ bytes }) => [bytes, ...pemBodies(bytes)].some((content) => holdsPrime(content, modulus)))
    .map(({ path }) => relative(folder, path));
}

function pemBodies(bytes: Buffer): Buffer[] {
  const bodies = bytes.toString('latin1').matchAll(/-----BEGIN [^-]+-----([^-]+)-----END/g);
  return [...bodies].map((match) => Buffer.from(match[1]!, 'base64'));
}

/** Whether 128 bytes in a row are a factor of the modulus of 2,048 bits. */
function holdsPrime(bytes: Buffer, modulus: bigint): boolean {
  for (let offset = 0; offset + 128 <= bytes.length; offset += 1) {
    // Primes of a 2,048-bit key are odd and have their highest bit set.
    if (bytes[offset]! < 0x80 || bytes[offset + 127]! % 2 === 0) continue;
    if (modulus % BigInt(`0x${bytes.toString('hex', offset, offset + 128)}`) === 0n) return true;
  }
  return false;
}

async function runBash(script: string): Promise<string> {
  const { stdout } = await promisify(execFile)('bash', ['-c', script]);
  return stdout;
}
