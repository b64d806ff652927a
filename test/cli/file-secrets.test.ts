import {
  copyFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { decodeSignedFile } from '../../src/signed-file/index.js';
import { encodePkcs12 } from '../../src/x509/index.js';
import { expectFailure, jsonOf, run, snapshot, temporaryFolder, type Outcome } from './etoken-bridge.js';
import type { BulkDocument } from './signed-files.js';
import { makeSoftwareKey } from './software-keys.js';

const top = temporaryFolder();
const callManager = await makeSoftwareKey('cucm-pub', 0x4a);
const phone = await makeSoftwareKey('CP-8861-SEP001122334455', 0x50);
const signing = callManager.write(top, 'callmanager');
const phoneKey = phone.write(top, 'phone');
const name = 'SEP001122334455.cnf.xml';
const configuration = '<device><fullConfig>true</fullConfig><sshPassword>secret</sshPassword></device>';

let folder = '';
let count = 0;

beforeEach(() => {
  count += 1;
  folder = join(top, `case-${String(count)}`);
  mkdirSync(folder);
});

function put(path: string, content: string | Uint8Array): void {
  mkdirSync(join(folder, path, '..'), { recursive: true });
  writeFileSync(join(folder, path), content);
}

function here(...words: readonly string[]): Outcome {
  return run(['file', ...words], { cwd: folder });
}

function sign(...words: readonly string[]): Outcome {
  return here('sign', ...words, ...(words.includes('--key') ? [] : signing));
}

function encrypt(...words: readonly string[]): Outcome {
  return here('encrypt', ...words, '--phone-certificate', phoneKey[3]!, ...signing);
}

function decrypt(...words: readonly string[]): Outcome {
  return here('decrypt', ...words, '--key', phoneKey[1]!, '--certificate', signing[3]!);
}

function modeOf(path: string): number {
  return statSync(join(folder, path)).mode & 0o777;
}

describe('file sign and what is encrypted for a phone', () => {
  test.each([[[]], [['--continue']]])('in a folder it is passed over and told %j', (words) => {
    put(`tftp/${name}`, configuration);
    put('tftp/RingList.xml', '<x/>');
    expect(encrypt(`tftp/${name}`).status).toBe(0);
    const companion = readFileSync(join(folder, `tftp/${name}.sgn`));
    const { status, stdout, stderr } = sign('tftp', ...words);
    expect(stderr).toContain(`passed over: tftp/${name}: encrypted for its phone: "file encrypt" makes it again\n`);
    expect([status, stdout]).toEqual([0, 'tftp/RingList.xml: signed, tftp/RingList.xml.sgn\n1 signed\n']);
    expect(readFileSync(join(folder, `tftp/${name}.sgn`)).equals(companion)).toBe(true);
    expect(readdirSync(join(folder, 'tftp'))).not.toContain('backups');
  });

  test('given by its name it is refused: by the .enc.sgn, and by the companion alone', () => {
    put(name, configuration);
    expect(encrypt(name, '--out', 'out').status).toBe(0);
    const before = snapshot(join(folder, 'out'));
    const first = sign(name, '--out', 'out');
    expect(first.stderr).toContain(`error: refused (unsafe-output): ${name} is not signed: out/${name}.enc.sgn is`);
    expect(first.stderr).toMatch(/hint: .*"file encrypt".*remove/);
    expect([first.status, snapshot(join(folder, 'out'))]).toEqual([4, before]);
    put(`alone/${name}.sgn`, readFileSync(join(folder, `out/${name}.sgn`)));
    const second = sign(name, '--out', 'alone');
    expect(second.stderr).toContain(`alone/${name}.sgn sends phones to an encrypted file`);
    expect([second.status, readdirSync(join(folder, 'alone'))]).toEqual([4, [`${name}.sgn`]]);
  });

  test('a signed full configuration is no companion, also one that says encrConfig', () => {
    put(name, configuration.replace('<ssh', '<encrConfig>true</encrConfig><ssh'));
    expect(sign(name).status).toBe(0);
    expect(sign(name, '--digest', 'sha512').status).toBe(0);
    // It is encrypted again at any time.
    expect(encrypt(name).status).toBe(0);
    expect(encrypt(name, '--digest', 'sha512').status).toBe(0);
  });
});

describe('keys are not signed', () => {
  test('the key and certificate of the command: refused by name, passed over in a folder', () => {
    mkdirSync(join(folder, 'tftp'));
    const own = callManager.write(join(folder, 'tftp'), 'own');
    put('tftp/a.xml', '<x/>');
    const before = snapshot(folder);
    expectFailure(sign('tftp/own.key', ...own), 4, 'tftp/own.key is read by this command itself');
    expect(snapshot(folder)).toEqual(before);
    const { status, stdout, stderr } = sign('tftp', ...own);
    expect(stderr).toContain('passed over: tftp/own.key: read by this command itself');
    expect([status, stdout]).toEqual([0, 'tftp/a.xml: signed, tftp/a.xml.sgn\n1 signed\n']);
    expect(existsSync(join(folder, 'tftp/own.key.sgn'))).toBe(false);
  });

  test.each(['pem', 'behind-certificates', 'pkcs8', 'pkcs1', 'p12', 'encrypted'])('a copy of a key as %s', (form) => {
    const pem = phone.key.export({ format: 'pem', type: 'pkcs8' });
    const forms: Readonly<Record<string, string | Uint8Array>> = {
      pem,
      'behind-certificates': `Bag Attributes\n${readFileSync(signing[3]!, 'utf8')}${String(pem)}`,
      pkcs8: phone.key.export({ format: 'der', type: 'pkcs8' }),
      pkcs1: phone.key.export({ format: 'der', type: 'pkcs1' }),
      p12: encodePkcs12({ key: phone.key, certificate: phone.certificate, password: 'secret words' }),
      encrypted: phone.key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-128-cbc', passphrase: 'x' }),
    };
    put('tftp/copy', forms[form]!);
    put('tftp/a.xml', '<x/>');
    const before = snapshot(folder);
    for (const command of [sign, encrypt]) {
      const outcome = command('tftp/copy');
      expect(outcome.stderr).toContain('error: tftp/copy holds a private key\nhint: ');
      expect([outcome.status, snapshot(folder)]).toEqual([2, before]);
    }
    const { status, stderr } = sign('tftp', '--continue');
    expect(stderr).toContain('passed over: tftp/copy: it holds a private key');
    expect([status, readdirSync(join(folder, 'tftp')).sort()]).toEqual([0, ['a.xml', 'a.xml.sgn', 'copy']]);
  });

  test('certificates are no keys', () => {
    put('phone.pem', readFileSync(phoneKey[3]!));
    put('phone.der', phone.certificate.der);
    expect(sign('phone.pem', 'phone.der').stdout).toContain('2 signed');
  });
});

describe('strip and decrypt', () => {
  test('in a folder the companion does not take the place of the full configuration', () => {
    put(`tftp/${name}`, configuration);
    expect(encrypt(`tftp/${name}`).status).toBe(0);
    put('tftp/a.xml', '<x/>');
    expect(sign('tftp/a.xml').status).toBe(0);
    const { status, stdout, stderr } = here('strip', 'tftp');
    expect(stderr).toMatch(/^passed over: tftp\/SEP001122334455.cnf.xml.sgn: it is the companion of an encrypted/m);
    expect([status, stdout]).toEqual([0, 'tftp/a.xml.sgn: already done\n0 stripped, 1 already done\n']);
    expect(readFileSync(join(folder, 'tftp', name), 'utf8')).toBe(configuration);
    // Given by its name it is meant.
    const named = here('strip', `tftp/${name}.sgn`, '--out', 'plain');
    expect(named.stderr).toContain(`warning: tftp/${name}.sgn: it is the companion`);
    expect(named.status).toBe(0);
    const companion = decodeSignedFile(new Uint8Array(readFileSync(join(folder, `tftp/${name}.sgn`))));
    expect(readFileSync(join(folder, 'plain', name)).equals(companion.content)).toBe(true);
  });

  test.each([
    ['another', 'older content'],
    ['the same', configuration],
  ])('what decrypt leaves is not readable by others where %s file was', (_which, content) => {
    put(name, configuration);
    expect(encrypt(name).status).toBe(0);
    put(`plain/${name}`, content);
    chmodSync(join(folder, 'plain', name), 0o644);
    expect(decrypt(`${name}.enc.sgn`, '--out', 'plain').status).toBe(0);
    expect(readFileSync(join(folder, 'plain', name), 'utf8')).toBe(configuration);
    expect(modeOf(`plain/${name}`)).toBe(0o600);
  });

  test('--continue is taken as by the other commands', () => {
    put(name, configuration);
    expect(encrypt(name).status).toBe(0);
    put('a.xml', '<x/>');
    expect(sign('a.xml').status).toBe(0);
    for (const state of ['stripped', 'already-done']) {
      const document = jsonOf(here('strip', 'a.xml.sgn', '--out', 'plain', '--continue', '--json')) as BulkDocument;
      expect(document.files[0]!.state).toBe(state);
    }
    expect(decrypt(`${name}.enc.sgn`, '--out', 'plain', '--continue').stdout).toContain('1 decrypted');
    expect(decrypt(`${name}.enc.sgn`, '--out', 'plain', '--continue').stdout).toContain('1 already done');
  });
});

describe('hints', () => {
  test.each([
    ['<device>', 'no well-formed XML', 'correct the file'],
    ['<!DOCTYPE device><device/>', 'a document type', 'remove <!DOCTYPE'],
    ['<other/>', 'the root is other', 'without .cnf.xml'],
  ])('a configuration that is %s', (content, error, hint) => {
    put(name, content);
    const { status, stderr } = encrypt(name);
    expect(stderr).toMatch(new RegExp(`^error: ${name}.*${error}.*\\nhint: .*${hint}`));
    expect(status).toBe(2);
  });

  test('a file that was cut off, and one that is empty', () => {
    put('a.xml', '<x/>');
    expect(sign('a.xml').status).toBe(0);
    put('cut.sgn', readFileSync(join(folder, 'a.xml.sgn')).subarray(0, 100));
    put('empty.sgn', '');
    const outcome = here('verify', 'cut.sgn', 'empty.sgn', '--certificate', signing[3]!);
    expect(outcome.stderr.match(/^hint: the file is not whole/gm)).toHaveLength(2);
    const document = jsonOf(here('verify', 'cut.sgn', '--certificate', signing[3]!, '--json')) as BulkDocument;
    expect(document.files[0]!.error!.hint).toContain('copy it again');
  });

  test('a certificate is no key', () => {
    put(name, configuration);
    expect(encrypt(name).status).toBe(0);
    copyFileSync(phoneKey[3]!, join(folder, 'phone.pem'));
    const outcome = here('decrypt', `${name}.enc.sgn`, '--out', 'plain', '--key', 'phone.pem');
    expectFailure(outcome, 2, 'phone.pem is a certificate, not a private key', 'give the private key');
  });
});
