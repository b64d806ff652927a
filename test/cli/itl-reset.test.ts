import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { expectOpensslVerifies } from '../itl/openssl.js';
import { expectFailure, jsonOf, snapshot } from './etoken-bridge.js';
import { makeItlLab, signerOf } from './itl-lab.js';

const lab = makeItlLab('10.0.1', 'non-secure');
const { folder, cluster, run, list } = lab;
const at = (name: string): string => join(folder, name);
const fixed = ['--timestamp', '2026-01-31T12:00:00Z'];
const reset = ['itl', 'reset', 'localkey', '--cluster', cluster];

/** Both nodes' ITLs, in a folder of that name. */
function makeLists(name: string): void {
  expect(run(['itl', 'create', '--cluster', cluster, '--out', name, ...fixed]).status).toBe(0);
}

/** The other cluster file with a certificate renewed, as a cluster does it: a new key, the same names. */
function renew(name: string, certificate: string): string {
  const path = lab.change(name, (text) => `${text}\n# ${name}\n`);
  const words = ['cluster', 'renew', certificate, '--node', 'test10pub', '--cluster', path, '--yes', '--accept', 'A11'];
  expect(run(words).status).toBe(0);
  return path;
}

describe('itl reset localkey before 12.0', () => {
  test('prints what 10.0 prints, and gives both nodes the publisher’s list, signed by ITLRecovery', () => {
    makeLists('tftp');
    const before = list('tftp/test10pub/ITLFile.tlv');
    const words = [...reset, '--itl', 'tftp/test10pub/ITLFile.tlv', '--out', 'tftp'];
    const { status, stdout, stderr } = run([...words, '--timestamp', '2026-01-31T12:10:19Z']);
    // The transcript of 10.0, without its question for a password and the restarts, which are not made here. It names
    // the other nodes only: the publisher, where the command runs, has the list.
    expect(stdout.split('\n')).toEqual([
      'Locating active Tftp servers in the cluster.....',
      '',
      'Following is the list of Active tftp servers in the cluster',
      '',
      "['test10pub', 'test10sub']",
      'The reset ITL file was generated successfully',
      '',
      'Transferring new reset ITL file to the TFTP server nodes in the cluster.....',
      '',
      'Successfully transferred reset ITL to node test10sub',
      '',
    ]);
    expect(stderr).toContain('signed by: CN=ITLRECOVERY_test10pub;');
    expect(stderr).toMatch(/^next: put each file on its TFTP node and reset the phones/m);
    expect(stderr).toMatch(/^next: then restart Cisco Tftp on each node, which signs with CallManager again/m);
    expect(status).toBe(0);
    for (const node of ['test10pub', 'test10sub']) {
      const after = list(`tftp/${node}/ITLFile.tlv`);
      expect(signerOf(after)).toBe('CN=ITLRECOVERY_test10pub');
      expectOpensslVerifies(after, lab.certificate('test10pub', 'ITLRecovery'));
      expect(after.bytes.subarray(after.header.length)).toEqual(before.bytes.subarray(before.header.length));
      const [backup] = readdirSync(at(`tftp/${node}/backups`));
      expect(stderr).toContain(`tftp/${node}/backups/${backup}`);
    }
    const [backup] = readdirSync(at('tftp/test10pub/backups'));
    expect(readFileSync(at(`tftp/test10pub/backups/${backup}`)).equals(before.bytes)).toBe(true);
    const { stdout: shown } = run(['itl', 'show', 'tftp/test10sub/ITLFile.tlv']);
    expect(shown.match(/^This etoken was (not )?used to sign the ITL file\.$/gm)).toEqual([
      'This etoken was not used to sign the ITL file.',
      'This etoken was used to sign the ITL file.',
    ]);
  });

  test('without --itl the list is made from the cluster file: the same, byte for byte', () => {
    makeLists('given');
    const words = ['--timestamp', '2026-01-31T13:00:00Z'];
    expect(run([...reset, '--itl', 'given/test10pub/ITLFile.tlv', '--out', 'kept', ...words]).status).toBe(0);
    const outcome = run([...reset, '--out', 'made', '--json', ...words]);
    expect(outcome.status).toBe(0);
    expect(snapshot(at('made/test10pub')).get(at('made/test10pub/ITLFile.tlv'))).toBe(
      snapshot(at('kept/test10pub')).get(at('kept/test10pub/ITLFile.tlv')),
    );
    expect(jsonOf(outcome)).toMatchObject({
      release: '10.0.1',
      itl: null,
      signedBy: 'ITLRecovery',
      files: [
        { node: 'test10pub', path: 'made/test10pub/ITLFile.tlv', backup: null, devices: [] },
        { node: 'test10sub', path: 'made/test10sub/ITLFile.tlv', backup: null, devices: [] },
      ],
      list: { verified: true, signer: { name: expect.stringMatching(/^CN=ITLRECOVERY_test10pub/) as string } },
    });
  });

  test('phones that hold the CallManager-signed list take it when CallManager is another; then the list that it signs', () => {
    makeLists('held');
    const renewed = renew('renewed.yaml', 'CallManager');
    const words = ['itl', 'create', '--cluster', renewed, '--out', 'fresh'];
    expect(run(words).status).toBe(0);
    expect(run(['itl', 'reset', 'localkey', '--cluster', renewed, '--out', 'saved']).status).toBe(0);
    const offer = (name: string): number | null =>
      run(['phone', 'offer', `${name}/test10pub/ITLFile.tlv`, '--itl', 'held/test10pub/ITLFile.tlv']).status;
    expect(offer('fresh')).toBe(1);
    expect(offer('saved')).toBe(0);
    // Cisco Tftp restarted: the phone holds the reset list, and takes the one of the new CallManager.
    const restarted = ['phone', 'offer', 'fresh/test10pub/ITLFile.tlv', '--itl', 'saved/test10pub/ITLFile.tlv'];
    expect(run(restarted).status).toBe(0);
  });

  test('a list that is behind the cluster file is not signed: which record, and what to do', () => {
    makeLists('behind');
    const renewed = renew('behind.yaml', 'TVS');
    const words = ['itl', 'reset', 'localkey', '--cluster', renewed, '--itl', 'behind/test10pub/ITLFile.tlv'];
    const error = /record 4 of behind\/test10pub\/ITLFile\.tlv, TVS CN=test10pub;.* has no certificate of/;
    expectFailure(run([...words, '--out', 'never']), 4, error, 'leave --itl out');
    expect(readdirSync(folder)).not.toContain('never');
  });

  test('the list of another node is not given to the publisher: whose it is, and what to do', () => {
    makeLists('nodes');
    const words = [...reset, '--itl', 'nodes/test10sub/ITLFile.tlv', '--out', 'never'];
    const error = /does not hold the CallManager certificate of the publisher test10pub.*: it is the ITL of test10sub/;
    expectFailure(run(words), 4, error, "the publisher's ITL");
    expect(readdirSync(folder)).not.toContain('never');
  });

  test.each([
    ['a CTL', ['--itl', 'CTLFile.tlv'], 2, 'is a CTL'],
    ['no list', ['--itl', cluster], 2, 'is no trust list'],
    ['a file that is not there', ['--itl', 'none.tlv'], 2, 'there is no trust list none.tlv'],
    ['another key', ['--key', 'cluster/keys/test10sub/CallManager.key'], 4, 'A9'],
  ])('%s: nothing is written', (_what, words, status, error) => {
    const create = ['ctl', 'create', '--mode', 'tokenless', '--cluster', cluster, '--out', 'CTLFile.tlv'];
    expect(run(create).status).toBe(0);
    const before = readdirSync(folder);
    expectFailure(run([...reset, '--out', 'nothing', ...words]), status, error);
    expect(readdirSync(folder)).toEqual(before);
  });

  test('without --itl the digests stay those of the list that is there, unless others are given', () => {
    const create = ['itl', 'create', '--cluster', cluster, '--out', 'digests', '--hash', 'sha256'];
    expect(run([...create, '--digest', 'sha512']).status).toBe(0);
    const digests = (): unknown => {
      const { header, records } = list('digests/test10sub/ITLFile.tlv');
      return [header.digestAlgorithm, ...records.map(({ hashAlgorithm }) => hashAlgorithm)].filter(Boolean);
    };
    expect(run([...reset, '--out', 'digests']).status).toBe(0);
    expect(digests()).toEqual(['sha512', 'sha256', 'sha256', 'sha256']);
    expect(run([...reset, '--out', 'digests', '--hash', 'sha512', '--digest', 'sha1']).status).toBe(0);
    expect(digests()).toEqual(['sha1', 'sha512', 'sha512', 'sha512']);
    const both = [...reset, '--out', 'digests', '--hash', 'sha1', '--itl', 'digests/test10pub/ITLFile.tlv'];
    expectFailure(run(both), 2, '--hash', 'leave one of them out');
  });

  test('one place that cannot be written: every node keeps its list', () => {
    mkdirSync(at('blocked/test10sub/ITLFile.tlv'), { recursive: true });
    mkdirSync(at('blocked/test10pub'), { recursive: true });
    writeFileSync(at('blocked/test10pub/ITLFile.tlv'), 'the list that is there');
    const before = snapshot(at('blocked'));
    expectFailure(run([...reset, '--out', 'blocked']), 2, 'is no file');
    expect(snapshot(at('blocked'))).toEqual(before);
  });

  test('an old file of a phone is replaced too, since phones ask for it first', () => {
    makeLists('phones');
    const device = 'phones/test10pub/ITLSEP001122334455.tlv';
    writeFileSync(at(device), lab.read('phones/test10pub/ITLFile.tlv'));
    const words = [...reset, '--out', 'phones', '--device', '00-11-22-33-44-55', '--link', 'copy'];
    const { status, stderr } = run(words);
    expect(status).toBe(0);
    expect(stderr).toContain('phones/test10pub/ITLFile.tlv and the name of a phone, the old one is ');
    expect(signerOf(list(device))).toBe('CN=ITLRECOVERY_test10pub');
    expect(readdirSync(at('phones/test10pub/backups'))).toHaveLength(2);
  });
});

describe('itl reset localkey with keys of other forms', () => {
  test('an encrypted PKCS#12 of the cluster file, with the password from a file', () => {
    const p12 = ['pkcs12', '-export', '-out', at('cluster/ITLRecovery.p12'), '-passout', 'pass:Hw3sT9-secret'];
    const from = ['-inkey', at('cluster/keys/test10pub/ITLRecovery.key')];
    const certificate = ['-in', at('cluster/certificates/test10pub/ITLRecovery.pem')];
    expect(spawnSync('openssl', [...p12, ...from, ...certificate]).status).toBe(0);
    const path = lab.change('p12.yaml', (text) => text.replace('keys/test10pub/ITLRecovery.key', 'ITLRecovery.p12'));
    const words = ['itl', 'reset', 'localkey', '--cluster', path];
    for (const [content, error] of [
      [undefined, /encrypted|password/],
      ['wrong', /password/],
    ] as const) {
      writeFileSync(at('password'), content ?? '');
      const outcome = run([
        ...words,
        '--out',
        'p12',
        ...(content === undefined ? [] : ['--key-password-file', 'password']),
      ]);
      expectFailure(outcome, 2, error, '--key-password-file');
    }
    expect(readdirSync(folder)).not.toContain('p12');
    writeFileSync(at('password'), 'Hw3sT9-secret\n');
    const outcome = run([...words, '--out', 'p12', '--key-password-file', 'password']);
    expect(outcome.status).toBe(0);
    expect(outcome.stdout + outcome.stderr).not.toContain('Hw3sT9');
    expect(signerOf(list('p12/test10sub/ITLFile.tlv'))).toBe('CN=ITLRECOVERY_test10pub');
    // The same file as --key.
    const direct = [...reset, '--out', 'direct', '--key', 'cluster/ITLRecovery.p12', '--key-password-file', 'password'];
    expect(run(direct).status).toBe(0);
    expect(signerOf(list('direct/test10pub/ITLFile.tlv'))).toBe('CN=ITLRECOVERY_test10pub');
  });

  test('before 10.0 there is no recovery key', () => {
    const nine = lab.change('nine.yaml', (text) => text.replace('release: 10.0.1', 'release: 9.1.2'));
    const outcome = run(['itl', 'reset', 'localkey', '--cluster', nine, '--out', 'nine']);
    expectFailure(outcome, 2, 'release 9.1.2 has no ITLRecovery', 'deleted by hand');
  });
});

describe('itl reset localkey from 12.0', () => {
  const twelve = lab.change('twelve.yaml', (text) => text.replace('release: 10.0.1', 'release: 12.5.1'));

  test('prints what 12.x prints; ITLRecovery signs as before', () => {
    const { status, stdout, stderr } = run(['itl', 'reset', 'localkey', '--cluster', twelve, '--out', 'twelve']);
    expect(stdout.split('\n')).toEqual([
      'Generating the reset ITL file.....',
      '',
      'The reset ITL file was generated successfully',
      '',
      'Locating active Tftp servers in the cluster.....',
      '',
      'Following is the list of Active tftp servers in the cluster',
      '',
      '====================',
      '',
      'test10pub',
      'test10sub',
      '',
      '=====================',
      '',
      'Number of Active TFTP servers in the cluster : 2',
      '',
      'Transferring new reset ITL file to the TFTP server nodes in the cluster.........',
      '',
      'Successfully transferred reset ITL to node test10pub',
      'Successfully transferred reset ITL to node test10sub',
      '',
    ]);
    expect(stderr).not.toContain('restart Cisco Tftp');
    expect(status).toBe(0);
    expect(signerOf(list('twelve/test10sub/ITLFile.tlv'))).toBe('CN=ITLRECOVERY_test10pub');
  });

  test('--signer CallManager, for phones that know only the ITLRecovery of before', () => {
    const held = ['itl', 'create', '--cluster', twelve, '--out', 'held-12'];
    expect(run(held).status).toBe(0);
    const path = lab.change('recovery.yaml', (text) => text.replace('release: 10.0.1', 'release: 12.5.1'));
    const renewal = ['cluster', 'renew', 'ITLRecovery', '--node', 'test10pub', '--cluster', path, '--yes'];
    expect(run([...renewal, '--accept', 'A11']).status).toBe(0);
    const words = ['itl', 'reset', 'localkey', '--cluster', path];
    expect(run([...words, '--out', 'by-recovery']).status).toBe(0);
    const { status, stderr } = run([...words, '--out', 'by-callmanager', '--signer', 'CallManager']);
    expect(status).toBe(0);
    expect(stderr).toContain('which signs with ITLRecovery again');
    const offer = (name: string): number | null =>
      run(['phone', 'offer', `${name}/test10pub/ITLFile.tlv`, '--itl', 'held-12/test10pub/ITLFile.tlv']).status;
    expect(signerOf(list('by-callmanager/test10pub/ITLFile.tlv'))).toBe('CN=test10pub');
    expect([offer('by-recovery'), offer('by-callmanager')]).toEqual([1, 0]);
  });

  test('--help says what a reset is before and from 12.0', () => {
    const { stdout } = run(['itl', 'reset', 'localkey', '--help']);
    expect(stdout).toContain('before 12.0');
    expect(stdout).toContain('from 12.0');
  });
});
