import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeTrustList, type TrustList } from '../../src/trust-list/index.js';
import type { Certificate } from '../../src/x509/index.js';
import { decodeCertificates } from '../../src/x509/index.js';
import { expectFailure, initOneNode, jsonOf, plainEnvironment, program } from './etoken-bridge.js';
import { makeSoftTokens } from './soft-tokens.js';

const tokens = await makeSoftTokens();
const { folder, first, second, cluster, run } = tokens;

function read(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(folder, name)));
}

function certificateFile(name: string): Certificate {
  return decodeCertificates(read(`cluster/certificates/cucm-pub/${name}.pem`))[0]!;
}

/**
 * Where the SIGNATURE element is, found by the format page alone: tag, length and value in turn; SIGNERID,
 * SIGNATUREINFO and SIGNATUREALGOINFO have only tag and length of their own.
 */
function signatureSpan(file: Uint8Array): { start: number; end: number } {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 0; at < file.length;) {
    const tag = file[at]!;
    const length = view.getUint16(at + 1);
    if (tag === 12) return { start: at, end: at + 3 + length };
    at += [3, 7, 9].includes(tag) ? 3 : 3 + length;
  }
  throw new Error('no SIGNATURE');
}

/** `openssl dgst -verify` over the bytes that are signed: all of the file but the SIGNATURE element. */
function expectOpensslVerifies(name: string, certificate: Certificate, digest = 'sha1'): void {
  const file = read(name);
  const { start, end } = signatureSpan(file);
  const path = (suffix: string): string => join(folder, `openssl.${suffix}`);
  writeFileSync(path('signed'), Buffer.concat([file.subarray(0, start), file.subarray(end)]));
  writeFileSync(path('signature'), file.subarray(start + 3, end));
  writeFileSync(path('key'), certificate.publicKeyInfo);
  const key = ['-verify', path('key'), '-keyform', 'DER', '-signature', path('signature')];
  const { status, stdout } = spawnSync('openssl', ['dgst', `-${digest}`, ...key, path('signed')], { encoding: 'utf8' });
  expect(stdout).toBe('Verified OK\n');
  expect(status).toBe(0);
}

/** What a list is, in one line for each record. */
function summary(list: TrustList): string[] {
  return list.records.map(
    ({ function: role, dnsName, certificate }) =>
      `${role} ${dnsName ?? ''} ${certificate === undefined ? 'emptied' : createHash('sha1').update(certificate).digest('hex').slice(0, 8)}`,
  );
}

const shortSha1 = ({ der }: Certificate): string => createHash('sha1').update(der).digest('hex').slice(0, 8);
const next = /^next: put it on every TFTP server, then restart the TFTP and CallManager services/m;

beforeAll(() => tokens.makeTokenList('CTLFile.tlv'));

describe('with tokens', () => {
  test('create: both tokens, the servers, signed by the one that was named; openssl agrees', () => {
    const words = ['ctl', 'create', '--mode', 'token', '--cluster', cluster, '--out', '1.tlv', ...first.options];
    const { status, stdout, stderr } = run(words);
    const list = decodeTrustList(read('1.tlv'));
    const sha1 = createHash('sha1').update(list.bytes).digest('hex');
    expect(stdout).toBe(
      `1.tlv: ${list.bytes.length} bytes, 5 records, token, sha1\n` +
        `signed by: cn="${first.commonName}";ou=IPCBU;o="Cisco Systems\nSHA1:      ${sha1}\n`,
    );
    expect(stderr).toMatch(/^warning: A3: not in the cluster file's Phone-SAST-trust: /);
    expect(stderr.slice(stderr.indexOf('next: '))).toMatch(next);
    expect(status).toBe(0);
    expect(summary(list).sort()).toEqual(
      [
        `0  ${shortSha1(first.certificate)}`,
        `0  ${shortSha1(second.certificate)}`,
        `2 10.48.47.153 ${shortSha1(certificateFile('CallManager'))}`,
        `4 10.48.47.153 ${shortSha1(certificateFile('CAPF'))}`,
        `2 10.48.47.154 ${shortSha1(decodeCertificates(read('cluster/certificates/cucm-sub1/CallManager.pem'))[0]!)}`,
      ].sort(),
    );
    expect(run(['ctl', 'verify', '1.tlv']).status).toBe(0);
    expectOpensslVerifies('1.tlv', first.certificate);
  });

  test('create without a choice signs with the first token that is listed', () => {
    const { tokens: listed } = jsonOf(run(['token', 'list', '--json'])) as { tokens: { label: string }[] };
    const one = [first, second].find(({ token }) => token.label === listed[0]!.label)!;
    const words = ['ctl', 'create', '--mode', 'token', '--cluster', cluster, '--out', 'first.tlv'];
    expect(run(words, { env: { ETOKEN_BRIDGE_PIN: one.pin } }).stdout).toContain(`cn="${one.commonName}"`);
    expectOpensslVerifies('first.tlv', one.certificate);
  });

  test('sign: a list of one token, signed again by the other, verifies', () => {
    const outcome = run(['ctl', 'sign', 'CTLFile.tlv', '--out', '2.tlv', ...second.options]);
    expect(outcome.stdout).toContain(`signed by: cn="${second.commonName}"`);
    expect(outcome.status).toBe(0);
    expect(summary(decodeTrustList(read('2.tlv')))).toEqual(summary(decodeTrustList(read('CTLFile.tlv'))));
    expect(run(['ctl', 'verify', '2.tlv']).stdout).toContain(`verified, signed by cn="${second.commonName}"`);
    expectOpensslVerifies('2.tlv', second.certificate);
    const shown = run(['ctl', 'show', '2.tlv']).stdout;
    expect(shown.match(/^This etoken was used to sign the CTL file\.$/gm)).toHaveLength(1);
    expect(shown.match(/^This etoken was not used to sign the CTL file\.$/gm)).toHaveLength(1);
  });

  test('sign without a choice: both URIs to paste, and each works when it is pasted', () => {
    const outcome = run(['ctl', 'sign', 'CTLFile.tlv', '--out', 'pasted.tlv']);
    expectFailure(outcome, 3, '2 certificates could sign:', 'give one of these URIs with --token, in quotes');
    const uris = [...outcome.stderr.matchAll(/^ {4}(pkcs11:\S+)$/gm)].map(([, uri]) => uri!);
    expect([...uris].sort()).toEqual([first.token.uri, second.token.uri].sort());
    for (const uri of uris) {
      const one = uri === first.token.uri ? first : second;
      // Through a shell, as a person would do it.
      const shell = `"$0" "$1" ctl sign CTLFile.tlv --out pasted.tlv --token '${uri}' --pin-file ${one.pinFile}`;
      const pasted = spawnSync('sh', ['-c', shell, process.execPath, program], {
        encoding: 'utf8',
        cwd: folder,
        env: plainEnvironment(tokens.environment),
      });
      expect(pasted.stdout).toContain(`signed by: cn="${one.commonName}"`);
      expectOpensslVerifies('pasted.tlv', one.certificate);
    }
  });

  test('--digest sha512 is what openssl verifies with sha512; sha256 is made with a warning', () => {
    const words = ['ctl', 'sign', 'CTLFile.tlv', '--out', '512.tlv', '--digest', 'sha512', ...first.options];
    expect(run(words).stderr).toMatch(next);
    expectOpensslVerifies('512.tlv', first.certificate, 'sha512');
    const other = run(['ctl', 'sign', '512.tlv', '--out', '256.tlv', '--digest', 'sha256', ...first.options]);
    expect(other.stderr).toMatch(/^warning: sha256: .*phones are known to take SHA-1 and SHA-512 only\n/m);
    expectOpensslVerifies('256.tlv', first.certificate, 'sha256');
  });

  test('--timestamp makes the same bytes twice, also through the token', () => {
    const words = ['ctl', 'sign', 'CTLFile.tlv', '--timestamp', '2026-01-31T12:00:00Z', ...first.options];
    const sha1 = ['a.tlv', 'b.tlv'].map((out) => {
      expect(run([...words, '--out', out]).status).toBe(0);
      return createHash('sha1').update(read(out)).digest('hex');
    });
    expect(sha1[0]).toBe(sha1[1]);
    expect(decodeTrustList(read('a.tlv')).header.timestamp).toBe(Date.UTC(2026, 0, 31, 12) / 1000);
  });

  test('remove-token and add-token: there and back', () => {
    const serial = Buffer.from(second.certificate.serialNumber).toString('hex');
    const removed = run([
      ...['ctl', 'remove-token', 'CTLFile.tlv', '--out', 'one.tlv', '--serial', serial, '--accept', 'A5'],
      ...first.options,
    ]);
    expect(removed.stderr).toMatch(/^warning: A5: accepted: the list would hold one token/m);
    expect(removed.status).toBe(0);
    expect(summary(decodeTrustList(read('one.tlv')))).not.toContain(`0  ${shortSha1(second.certificate)}`);
    expectOpensslVerifies('one.tlv', first.certificate);

    // The one that is plugged in and not in the list is the one that is added.
    const added = run(['ctl', 'add-token', 'one.tlv', '--out', 'two.tlv', ...first.options]);
    expect(added.stderr).toMatch(next);
    expect(summary(decodeTrustList(read('two.tlv'))).at(-1)).toBe(`0  ${shortSha1(second.certificate)}`);
    expectOpensslVerifies('two.tlv', first.certificate);

    // And by its certificate, with the token elsewhere.
    writeFileSync(join(folder, 'second.cer'), second.certificate.der);
    const words = ['ctl', 'add-token', 'one.tlv', '--out', 'three.tlv', '--token-certificate', 'second.cer'];
    expect(run([...words, ...first.options]).status).toBe(0);
    expect(summary(decodeTrustList(read('three.tlv')))).toEqual(summary(decodeTrustList(read('two.tlv'))));
  });

  test.each(['0X', '0x00', ''])(
    'remove-token signs with the token that stays, however the serial is written (%s)',
    (start) => {
      const list = decodeTrustList(read('CTLFile.tlv'));
      const record = list.records.find(
        ({ certificate }) => Buffer.compare(certificate!, second.certificate.der) === 0,
      )!;
      const serial = start + Buffer.from(record.serialNumber!).toString('hex').toUpperCase();
      const words = ['ctl', 'remove-token', 'CTLFile.tlv', '--out', 'stays.tlv', '--serial', serial, '--accept', 'A5'];
      expect(run([...words, '--pin-file', first.pinFile]).stdout).toContain(`cn="${first.commonName}"`);
    },
  );

  test('update: the present certificates of the cluster file, the names of the tokens as they are', () => {
    run(initOneNode('renewed'));
    const words = ['ctl', 'update', 'CTLFile.tlv', '--out', 'updated.tlv', '--cluster', 'renewed/cluster.yaml'];
    expect(run([...words, ...first.options]).status).toBe(0);
    const before = decodeTrustList(read('CTLFile.tlv'));
    const list = decodeTrustList(read('updated.tlv'));
    const renewed = decodeCertificates(read('renewed/certificates/cucm-pub/CallManager.pem'))[0]!;
    expect(summary(list)).toContain(`2 10.48.47.153 ${shortSha1(renewed)}`);
    expect(summary(list).some((line) => line.includes('10.48.47.154'))).toBe(false);
    const namesOf = ({ records }: TrustList): (string | undefined)[] =>
      records.filter(({ function: role }) => role === 0).map(({ subjectName }) => subjectName);
    expect(namesOf(list)).toEqual(namesOf(before));
  });

  test('to-non-secure: servers emptied to 33 bytes, signers and CAPF whole', () => {
    expect(run(['ctl', 'to-non-secure', 'CTLFile.tlv', '--out', 'emptied.tlv', ...first.options]).status).toBe(0);
    const list = decodeTrustList(read('emptied.tlv'));
    const servers = list.records.filter(({ function: role }) => role === 2);
    expect(servers.map(({ length, certificate }) => [length, certificate])).toEqual([
      [33, undefined],
      [33, undefined],
    ]);
    expect(list.records.filter(({ certificate }) => certificate !== undefined)).toHaveLength(3);
    expectOpensslVerifies('emptied.tlv', first.certificate);
  });
});

describe('between token and tokenless', () => {
  test("to-tokenless: the cluster's own key signs, with a warning that says what phones need (A4)", () => {
    const outcome = run(['ctl', 'to-tokenless', 'CTLFile.tlv', '--out', 'tokenless.tlv', '--cluster', cluster]);
    expect(outcome.stderr).toMatch(/^warning: A4: .* is in the present list as a server, not as a signer/m);
    expect(outcome.stdout).toContain('4 records, tokenless, sha1\nsigned by: CN=cucm-pub;OU=lab;');
    expect(outcome.status).toBe(0);
    expectOpensslVerifies('tokenless.tlv', certificateFile('CallManager'));
    expect(summary(decodeTrustList(read('tokenless.tlv')))[0]).toBe(
      `0 cucm-pub ${shortSha1(certificateFile('CallManager'))}`,
    );
  });

  test('to-token: back, once the tokens are in Phone-SAST-trust', () => {
    const words = ['ctl', 'to-token', 'tokenless.tlv', '--out', 'again.tlv'];
    const outcome = run([...words, '--cluster', tokens.clusterWithTokens(), ...second.options]);
    expect(outcome.stderr).toMatch(/^warning: A3: the present list has no token: /);
    expect(outcome.stderr.slice(outcome.stderr.indexOf('next: '))).toMatch(next);
    expect(outcome.status).toBe(0);
    expectOpensslVerifies('again.tlv', second.certificate);
    const present = decodeTrustList(read('CTLFile.tlv'));
    expect(summary(decodeTrustList(read('again.tlv'))).sort()).toEqual(summary(present).sort());
  });

  test('create --mode tokenless, update and sign with the key of the cluster file', () => {
    const words = ['--cluster', cluster, '--timestamp', '2026-01-31T12:00:00Z'];
    expect(run(['ctl', 'create', '--mode', 'tokenless', '--out', 't1.tlv', ...words]).status).toBe(0);
    expect(run(['ctl', 'update', 't1.tlv', '--out', 't2.tlv', ...words]).status).toBe(0);
    expect(run(['ctl', 'sign', 't1.tlv', '--out', 't3.tlv', ...words]).status).toBe(0);
    for (const name of ['t2.tlv', 't3.tlv']) expect(read(name)).toEqual(read('t1.tlv'));
    expectOpensslVerifies('t1.tlv', certificateFile('CallManager'));
  });

  test('a key of the cluster file may be on a token', () => {
    // The first token's key as that of the publisher's CallManager.
    writeFileSync(join(folder, 'cluster/on-token.cer'), first.certificate.der);
    const text = readFileSync(join(folder, cluster), 'utf8')
      .replace(/CallManager: certificates\/cucm-pub\/.*/, 'CallManager: on-token.cer')
      .replace(/CallManager: keys\/cucm-pub\/.*/, `CallManager: ${first.token.uri}`);
    writeFileSync(join(folder, 'cluster/on-token.yaml'), text);
    const words = [
      'ctl',
      'create',
      '--mode',
      'tokenless',
      '--cluster',
      'cluster/on-token.yaml',
      '--out',
      'on-token.tlv',
    ];
    const outcome = run([...words, '--pin-file', first.pinFile]);
    expect(outcome.stderr).toMatch(next);
    expect(outcome.status).toBe(0);
    expectOpensslVerifies('on-token.tlv', first.certificate);
    // Not a PIN, not a terminal: nothing is written.
    expectFailure(run(words.with(-1, 'never.tlv')), 2, 'PIN of token "SAST first"', 'give --pin-file FILE');
  });

  test('--key and --certificate in place of the key in the cluster file; PKCS#12 has both', () => {
    const key = 'cluster/keys/cucm-pub/CallManager.key';
    const certificate = 'cluster/certificates/cucm-pub/CallManager.pem';
    const words = ['ctl', 'sign', 'tokenless.tlv', '--timestamp', '2026-01-31T12:00:00Z'];
    expect(run([...words, '--out', 'k1.tlv', '--key', key, '--certificate', certificate]).status).toBe(0);
    const p12 = [
      'pkcs12',
      '-export',
      '-inkey',
      key,
      '-in',
      certificate,
      '-out',
      'both.p12',
      '-passout',
      'pass:Geheim1',
    ];
    expect(spawnSync('openssl', p12, { cwd: folder }).status).toBe(0);
    writeFileSync(join(folder, 'both.password'), 'Geheim1\n', { mode: 0o600 });
    const withPassword = ['--key', 'both.p12', '--key-password-file', 'both.password'];
    expect(run([...words, '--out', 'k2.tlv', ...withPassword]).status).toBe(0);
    expect(read('k2.tlv')).toEqual(read('k1.tlv'));
    const without = run([...words, '--out', 'k3.tlv', '--key', 'both.p12']);
    expectFailure(without, 2, 'the key both.p12 cannot be used', '--key-password-file FILE');
    expect(without.stderr).not.toContain('Geheim1');
  });
});

describe('--json', () => {
  test('one document, the same keys for each command that builds', () => {
    const outcomes = [
      run(['ctl', 'sign', 'CTLFile.tlv', '--out', 'j1.tlv', '--json', ...first.options]),
      run(['ctl', 'to-tokenless', 'CTLFile.tlv', '--out', 'j2.tlv', '--json', '--quiet', '--cluster', cluster]),
    ];
    for (const outcome of outcomes) {
      expect(Object.keys(jsonOf(outcome))).toEqual(['path', 'backup', 'mode', 'notices', 'list']);
      expect(outcome.status).toBe(0);
    }
    expect(jsonOf(outcomes[0]!)).toMatchObject({ path: 'j1.tlv', backup: null, mode: 'token', notices: [] });
    expect(outcomes[0]!.stderr).toMatch(next);
    const { mode, notices } = jsonOf(outcomes[1]!) as { mode: string; notices: { check: string }[] };
    expect(mode).toBe('tokenless');
    expect(notices.map(({ check }) => check)).toContain('A4');
    // What must be read is not quiet.
    expect(outcomes[1]!.stderr).toMatch(/^(warning: [^\n]*\n)*warning: A4: [^\n]*\n(warning: [^\n]*\n)*$/);
    const shown = jsonOf(run(['ctl', 'show', 'j1.tlv', '--json'])) as Record<string, unknown>;
    const { list } = jsonOf(outcomes[0]!) as { list: Record<string, unknown> };
    expect(shown).toMatchObject(list);
  });
});

describe('standard input', () => {
  test('- is signed into the file that --out names; without --out there is no place for it', () => {
    const input = read('CTLFile.tlv');
    const words = ['ctl', 'sign', '-', '--timestamp', '2026-01-31T12:00:00Z', ...first.options];
    expect(run([...words, '--out', 'piped.tlv'], { input }).status).toBe(0);
    expect(read('piped.tlv')).toEqual(read('a.tlv'));
    expectFailure(run(words, { input }), 2, 'there is no file to write to', 'give --out FILE');
    expectFailure(run([...words, '--out', '-'], { input }), 2, 'not written to standard output', '--out ./-');
  });
});
