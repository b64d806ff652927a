import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { decodeEncryptedFile, decodeSignedFile, encryptFile } from '../../src/signed-file/index.js';
import { expectFailure, jsonOf, run, snapshot, temporaryFolder, type Outcome } from './etoken-bridge.js';
import { tellMemory, verifyWithOpenssl, type BulkDocument } from './signed-files.js';
import { makeSoftwareKey } from './software-keys.js';

const top = temporaryFolder();
const callManager = await makeSoftwareKey('cucm-pub', 0x4a);
const phone = await makeSoftwareKey('CP-8861-SEP001122334455', 0x50);
const otherPhone = await makeSoftwareKey('CP-8861-SEP00AABBCCDDEE', 0x51);
const signing = callManager.write(top, 'callmanager');
const phoneKey = phone.write(top, 'phone');
const otherKey = otherPhone.write(top, 'other-phone');
const name = 'SEP001122334455.cnf.xml';
const configuration = '<device><loadInformation>sip88xx</loadInformation><sshPassword>secret</sshPassword></device>';

let folder = '';
let count = 0;

beforeEach(() => {
  count += 1;
  folder = join(top, `case-${String(count)}`);
  mkdirSync(folder);
});

function here(...words: readonly string[]): Outcome {
  return run(['file', ...words], { cwd: folder });
}

function put(path: string, content: string | Uint8Array): void {
  mkdirSync(join(folder, path, '..'), { recursive: true });
  writeFileSync(join(folder, path), content);
}

function encrypt(path: string, ...words: readonly string[]): Outcome {
  return here('encrypt', path, '--phone-certificate', phoneKey[3]!, ...signing, ...words);
}

function decrypt(path: string, ...words: readonly string[]): Outcome {
  return here('decrypt', path, '--key', phoneKey[1]!, ...words);
}

function bytesOf(path: string): Uint8Array {
  return new Uint8Array(readFileSync(join(folder, path)));
}

/** Decrypts with openssl, by what the header says. */
function decryptWithOpenssl(path: string): Buffer {
  const { encryption, body } = decodeEncryptedFile(bytesOf(path));
  const place = (part: string): string => join(folder, `openssl-${part}`);
  writeFileSync(place('key'), encryption.encryptedKey);
  writeFileSync(place('body'), body);
  const key = execFileSync('openssl', ['pkeyutl', '-decrypt', '-inkey', phoneKey[1]!, '-in', place('key')]);
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const words = ['enc', '-d', '-aes-128-cbc', '-nopad', '-K', hex(key), '-iv', hex(encryption.initializationVector)];
  const { stdout } = spawnSync('openssl', [...words, '-in', place('body')], { maxBuffer: 8_000_000 });
  return stdout.subarray(0, stdout.length - encryption.fillerLength);
}

describe('file encrypt', () => {
  test('gives the encrypted file and the companion; openssl decrypts the one and verifies both', () => {
    put(name, configuration);
    const { status, stdout, stderr } = encrypt(name, '--out', 'out');
    expect(stderr).toBe('');
    expect(stdout).toBe(
      `${name}: encrypted for CN=CP-8861-SEP001122334455, out/${name}.enc.sgn and out/${name}.sgn\n1 encrypted\n`,
    );
    expect(status).toBe(0);
    const header = verifyWithOpenssl(join(folder, `out/${name}.enc.sgn`), callManager.certificate, folder);
    expect([header.version.major, header.fileName]).toEqual([2, `${name}.enc.sgn`]);
    expect(decryptWithOpenssl(`out/${name}.enc.sgn`).toString()).toBe(configuration);
    const companion = verifyWithOpenssl(join(folder, `out/${name}.sgn`), callManager.certificate, folder);
    expect(companion.fileName).toBe(`${name}.sgn`);
    const text = new TextDecoder().decode(decodeSignedFile(bytesOf(`out/${name}.sgn`)).content);
    const md5 = createHash('md5').update(phone.certificate.der).digest('hex');
    expect(text).toContain('<loadInformation>sip88xx</loadInformation>');
    expect(text).toContain(`<certHash>${md5}</certHash>`);
    expect(text).not.toContain('secret');
    expect(here('verify', 'out', '--certificate', signing[3]!).stdout).toMatch(/2 verified\n$/);
  });

  test.each([0, 15, 16, 17, 1_048_576])('%i bytes come back exactly, by this command and by openssl', (length) => {
    const content = new Uint8Array(length).map((_, index) => index % 251);
    put('any.bin', content);
    expect(encrypt('any.bin').status).toBe(0);
    // Only configurations have a companion.
    expect(existsSync(join(folder, 'any.bin.sgn'))).toBe(false);
    expect(decryptWithOpenssl('any.bin.enc.sgn').equals(content)).toBe(true);
    const { status, stderr, stdout } = decrypt('any.bin.enc.sgn', '--out', 'plain', '--certificate', signing[3]!);
    expect(stderr).toBe('');
    expect(stdout).toContain('decrypted, plain/any.bin; verified, signed by CN=cucm-pub');
    expect(status).toBe(0);
    expect(readFileSync(join(folder, 'plain/any.bin')).equals(content)).toBe(true);
    // It may hold passwords.
    expect(statSync(join(folder, 'plain/any.bin')).mode & 0o777).toBe(0o600);
  });

  test('a folder of configurations finds the certificate of each phone', () => {
    for (const one of [name, 'SEP00AABBCCDDEE.cnf.xml', 'SEPFFFFFFFFFFFF.cnf.xml']) put(`tftp/${one}`, configuration);
    put('tftp/RingList.xml', '<x/>');
    put('certificates/SEP001122334455.pem', readFileSync(phoneKey[3]!));
    put('certificates/sep00aabbccddee.CER', otherPhone.certificate.der);
    const words = ['encrypt', 'tftp', '--out', 'out', '--phone-certificates', 'certificates', ...signing, '--json'];
    const outcome = here(...words);
    const { done, failed, files, passedOver } = jsonOf(outcome) as BulkDocument;
    expect([outcome.status, done, failed]).toEqual([2, 2, 1]);
    expect(files[2]!.error).toMatchObject({ code: 'missing-option', message: /no certificate of SEPFFFFFFFFFFFF/ });
    expect(passedOver).toEqual([{ path: 'tftp/RingList.xml', reason: 'no configuration of a phone' }]);
    const key = decrypt('out/SEP00AABBCCDDEE.cnf.xml.enc.sgn', '--out', 'plain');
    expect(key.stderr).toContain('was not encrypted for this private key');
    const right = here('decrypt', 'out/SEP00AABBCCDDEE.cnf.xml.enc.sgn', '--out', 'plain', '--key', otherKey[1]!);
    expect(right.status).toBe(0);
    put('certificates/SEP001122334455.crt', readFileSync(phoneKey[3]!));
    expect(here(...words).stderr).toContain('has two certificates of SEP001122334455');
  });

  test('--continue leaves what is finished for this phone and this content, and nothing else', () => {
    put(name, configuration);
    put('any.bin', 'no companion');
    const state = (...words: readonly string[]): string =>
      (jsonOf(here('encrypt', name, '--continue', ...signing, '--json', ...words)) as BulkDocument).files[0]!.state;
    const forPhone = ['--phone-certificate', phoneKey[3]!];
    expect(state(...forPhone)).toBe('encrypted');
    expect(state(...forPhone)).toBe('already-done');
    expect(state(...forPhone, '--digest', 'sha512')).toBe('encrypted');
    expect(state(...forPhone, '--digest', 'sha512')).toBe('already-done');
    expect(state(...forPhone)).toBe('encrypted');
    const warned = here('encrypt', name, '--continue', ...signing, '--phone-certificate', otherKey[3]!);
    expect(warned.stdout).toContain('1 encrypted');
    expect(warned.stderr).toContain('SEP001122334455 cannot read it');
    expect(state(...forPhone)).toBe('encrypted');
    put(name, configuration.replace('secret', 'changed'));
    expect(state(...forPhone)).toBe('encrypted');
    rmSync(join(folder, `${name}.sgn`));
    expect(state(...forPhone)).toBe('encrypted');
    expect(state(...forPhone)).toBe('already-done');
    // What has no companion does not say for whom it is.
    expect(encrypt('any.bin', '--continue').stdout).toContain('1 encrypted');
    expect(encrypt('any.bin', '--continue').stdout).toContain('1 encrypted');
  });

  test('what cannot be encrypted gives no output', () => {
    put('SEP000000000001.cnf.xml', '<device>');
    put('SEP000000000002.cnf.xml', '<other/>');
    const { status, stderr } = encrypt('.', '--out', 'out');
    expect(stderr).toMatch(/^error: SEP000000000001.cnf.xml: at byte \d+: no well-formed XML/m);
    expect(stderr).toMatch(/^error: SEP000000000002.cnf.xml: .*the root is other, not device/m);
    expect([status, existsSync(join(folder, 'out'))]).toEqual([2, false]);
    expectFailure(here('encrypt', '.', ...signing), 2, 'the certificate of the phone is wanted');
    expectFailure(encrypt('.', '--phone-certificates', '.'), 2, 'two answers to one question');
  });

  test('the companion is an output like any other: not when it is an input', () => {
    put(name, configuration);
    put(`${name}.sgn`, 'plain');
    const before = snapshot(folder);
    const words = ['encrypt', name, `${name}.sgn`, '--phone-certificate', phoneKey[3]!, ...signing];
    expectFailure(here(...words), 4, `the output ${name}.sgn is also an input`);
    expect(snapshot(folder)).toEqual(before);
  });
});

describe('file decrypt', () => {
  /** Changes one byte of what an element of the header holds. */
  function damage(from: string, to: string, find: (file: ReturnType<typeof decodeEncryptedFile>) => number): void {
    const bytes = bytesOf(from);
    const at = find(decodeEncryptedFile(bytes));
    bytes[at]! ^= 1;
    put(to, bytes);
  }

  test('says loudly when the signature is not checked', () => {
    put(name, configuration);
    expect(encrypt(name).status).toBe(0);
    const { status, stderr } = decrypt(`${name}.enc.sgn`, '--out', 'plain');
    expect(stderr).toMatch(/^warning: the signatures are NOT checked/);
    expect(status).toBe(0);
    expect(readFileSync(join(folder, 'plain', name), 'utf8')).toBe(configuration);
  });

  test('a wrong filler, digest, key, signature, and a file that is cut off: own errors, no output', () => {
    put('f.bin', 'twenty bytes of text');
    expect(encrypt('f.bin').status).toBe(0);
    const made = 'f.bin.enc.sgn';
    const { encryption, header } = decodeEncryptedFile(bytesOf(made));
    const viewOffset = (part: Uint8Array): number => part.byteOffset;
    damage(made, 'bad/digest.enc.sgn', (file) => viewOffset(file.encryption.contentDigest));
    // 20 bytes and 12 of filler: tag 20 stands behind tag and length of the initialization vector.
    expect(encryption.fillerLength).toBe(12);
    damage(made, 'bad/filler.enc.sgn', (file) => viewOffset(file.encryption.initializationVector) + 16 + 3 + 1);
    damage(made, 'bad/content-key.enc.sgn', (file) => viewOffset(file.encryption.encryptedKey) + 5);
    put('bad/cut.enc.sgn', bytesOf(made).subarray(0, header.length + 20));
    put('bad/no-body.enc.sgn', bytesOf(made).subarray(0, header.length));
    put('bad/half-header.enc.sgn', bytesOf(made).subarray(0, header.length - 20));
    put('signed.bin', 'signed only');
    expect(here('sign', 'signed.bin', ...signing).status).toBe(0);
    put('bad/plain.enc.sgn', bytesOf('signed.bin.sgn'));
    const outcome = decrypt('bad', '--out', 'plain', '--json');
    const codes = (jsonOf(outcome) as BulkDocument).files.map(({ path, error }) => [path, error?.code]);
    expect(Object.fromEntries(codes)).toEqual({
      'bad/content-key.enc.sgn': 'wrong-key',
      'bad/cut.enc.sgn': 'truncated',
      'bad/digest.enc.sgn': 'digest-mismatch',
      'bad/filler.enc.sgn': 'bad-filler',
      'bad/half-header.enc.sgn': 'truncated',
      'bad/no-body.enc.sgn': 'truncated',
      'bad/plain.enc.sgn': 'not-encrypted',
    });
    expect(outcome.status).toBe(2);
    expect(decrypt('bad/digest.enc.sgn', '--out', 'plain').status).toBe(1);
    const stranger = here('decrypt', made, '--out', 'plain', '--key', otherKey[1]!);
    expect(stranger.stderr).toContain(`error: ${made}: the content key was not encrypted for this private key\nhint: `);
    expect(stranger.status).toBe(2);
    const unsigned = decrypt(made, '--out', 'plain', '--certificate', otherKey[3]!);
    expect([unsigned.status, unsigned.stdout]).toEqual([1, expect.stringContaining('not verified')]);
    expect(existsSync(join(folder, 'plain'))).toBe(false);
  });

  test('a large file is written only when all of it is right', async () => {
    const content = new Uint8Array(1_000_000).fill(5);
    const options = { name: 'large', timestamp: 1 };
    const good = await encryptFile(content, options, phone.certificate, callManager.signer);
    put('large.enc.sgn', good);
    const bad = good.slice();
    bad[bad.length - 40]! ^= 1;
    put('bad.enc.sgn', bad);
    const { status, stderr } = decrypt('.', '--out', 'plain');
    expect(stderr).toContain('error: bad.enc.sgn: ');
    expect(status).toBeGreaterThan(0);
    expect(readdirSync(join(folder, 'plain'))).toEqual(['large']);
    expect(readFileSync(join(folder, 'plain/large')).equals(content)).toBe(true);
  });

  test('a key that is no key is told without what is in it', () => {
    put(name, configuration);
    expect(encrypt(name).status).toBe(0);
    put('no.key', 'top secret words');
    const outcome = here('decrypt', `${name}.enc.sgn`, '--out', 'plain', '--key', 'no.key');
    expectFailure(outcome, 2, 'the key no.key cannot be used');
    expect(outcome.stderr).not.toContain('top secret');
  });

  test('200 MB are encrypted and decrypted in little memory', () => {
    execFileSync('truncate', ['-s', '200M', join(folder, 'firmware')]);
    const commands = [
      ['encrypt', 'firmware', '--out', 'out', '--phone-certificate', phoneKey[3]!, ...signing],
      ['decrypt', 'out', '--out', 'plain', '--key', phoneKey[1]!, '--certificate', signing[3]!],
    ];
    for (const words of commands) {
      const { status, stderr } = run(['file', ...words], { cwd: folder, env: tellMemory });
      const memory = Number(/^memory (\d+)$/m.exec(stderr)?.[1]);
      expect([words[0], status, memory < 150 * 1024 || memory]).toEqual([words[0], 0, true]);
    }
    expect(spawnSync('cmp', ['firmware', 'plain/firmware'], { cwd: folder }).status).toBe(0);
    rmSync(folder, { recursive: true });
  });
});
