import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { recordTag, verifyTrustList } from '../../src/trust-list/index.js';
import { expectOpensslVerifies } from '../itl/openssl.js';
import { expectFailure, jsonOf, snapshot } from './etoken-bridge.js';
import { makeItlLab, signerOf } from './itl-lab.js';

const lab = makeItlLab('11.5.1');
const { folder, cluster, run, list } = lab;
const at = (name: string): string => join(folder, name);
/** Elements of a record by the names that are printed. */
const recordElements = new Map<string, number>([
  ['SUBJECTNAME', recordTag.subjectName],
  ['FUNCTION', recordTag.function],
  ['ISSUERNAME', recordTag.issuerName],
  ['SERIALNUMBER', recordTag.serialNumber],
  ['PUBLICKEY', recordTag.publicKey],
  ['SIGNATURE', recordTag.signature],
]);
const fixed = ['--timestamp', '2026-01-31T12:00:00Z'];

describe('itl create', () => {
  test('one file for each TFTP node, signed by its CallManager; openssl agrees', () => {
    const { status, stdout, stderr } = run(['itl', 'create', '--cluster', cluster, '--out', 'one', ...fixed]);
    expect(status).toBe(0);
    const [pub, sub] = ['one/test10pub/ITLFile.tlv', 'one/test10sub/ITLFile.tlv'].map(list);
    expect(stdout).toContain(
      `one/test10pub/ITLFile.tlv: ITL of test10pub, ${pub!.bytes.length} bytes, 6 records, sha1\nsigned by: CN=test10pub;`,
    );
    expect(stdout).toContain(`one/test10sub/ITLFile.tlv: ITL of test10sub, ${sub!.bytes.length} bytes, 6 records`);
    expect(stderr).toBe('next: put each file on its TFTP node, and reset the phones\n');
    expectOpensslVerifies(pub!, lab.certificate('test10pub', 'CallManager'));
    expectOpensslVerifies(sub!, lab.certificate('test10sub', 'CallManager'));
    // CallManager twice, CAPF, TVS of the publisher, ITLRecovery, TVS of the other.
    expect(pub!.records.map((record) => record.function)).toEqual([0, 2, 4, 21, 0, 21]);
    expect(pub!.header.timestamp).toBe(Date.parse('2026-01-31T12:00:00Z') / 1000);
    expect(pub!.records[2]!.hashAlgorithm).toBe('sha1');
  });

  test('the same again changes nothing; with a new time the old file is in backups/', () => {
    const words = ['itl', 'create', '--cluster', cluster, '--out', 'again'];
    expect(run([...words, ...fixed]).status).toBe(0);
    const before = snapshot(at('again'));
    expect(run([...words, ...fixed]).status).toBe(0);
    expect(snapshot(at('again'))).toEqual(before);
    const { status, stdout } = run([...words, '--timestamp', '2026-02-01']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^backup: {4}.*\/again\/test10pub\/backups\/ITLFile\.tlv\./m);
    const [backup] = readdirSync(at('again/test10pub/backups'));
    expect(readFileSync(at(`again/test10pub/backups/${backup}`), 'latin1')).toBe(
      before.get(at('again/test10pub/ITLFile.tlv')),
    );
  });

  test('one node to one file; TFTP in a non-secure cluster; other digests', () => {
    const nonSecure = lab.change('non-secure.yaml', (text) =>
      text.replace('securityMode: mixed', 'securityMode: non-secure'),
    );
    const words = ['itl', 'create', '--cluster', nonSecure, '--node', 'test10sub', '--out', 'sub.tlv'];
    const outcome = run([...words, '--hash', 'sha512', '--digest', 'sha256', '--json', ...fixed]);
    expect(outcome.status).toBe(0);
    const made = list('sub.tlv');
    expect(made.records.map((record) => record.function)).toEqual([0, 3, 4, 21, 0, 21]);
    expect(made.records[3]!.certificateHash).toHaveLength(64);
    expect(made.header.digestAlgorithm).toBe('sha256');
    expect(signerOf(made)).toBe('CN=test10sub');
    expect(jsonOf(outcome)).toMatchObject({
      files: [{ node: 'test10sub', path: 'sub.tlv', backup: null, devices: [], list: { verified: true } }],
    });
  });

  test('from 12.0 ITLRecovery of the publisher signs for all nodes', () => {
    const twelve = lab.change('twelve.yaml', (text) => text.replace('release: 11.5.1', 'release: 12.5.1'));
    expect(run(['itl', 'create', '--cluster', twelve, '--out', 'twelve']).status).toBe(0);
    for (const node of ['test10pub', 'test10sub']) {
      const made = list(`twelve/${node}/ITLFile.tlv`);
      expect(signerOf(made)).toBe('CN=ITLRECOVERY_test10pub');
      expectOpensslVerifies(made, lab.certificate('test10pub', 'ITLRecovery'));
    }
  });

  test('a key that is given signs for one node, and must be the one of its certificate', () => {
    const noKeys = lab.change('no-keys.yaml', (text) => text.replaceAll(/^ +(keys:|.*\.key)$\n/gm, ''));
    const words = ['itl', 'create', '--cluster', noKeys];
    const key = (name: string): string[] => ['--key', `cluster/keys/test10pub/${name}.key`];
    expectFailure(
      run([...words, '--out', 'none']),
      2,
      'the cluster file names no key for CallManager of test10pub',
      'give --key FILE or --token URI',
    );
    expectFailure(run([...words, '--out', 'none', ...key('CallManager')]), 2, '--key is one key', '--node');
    const one = ['--node', 'test10pub', '--out', 'given.tlv'];
    expect(run([...words, ...one, ...key('CallManager')]).status).toBe(0);
    expect(signerOf(list('given.tlv'))).toBe('CN=test10pub');
    expectFailure(run([...words, '--node', 'test10pub', '--out', 'other.tlv', ...key('TVS')]), 4, 'A9');
    for (const name of ['none', 'other.tlv']) expect(readdirSync(folder)).not.toContain(name);
  });

  test.each([
    [['--out', 'x.tlv'], 'x.tlv is one file, and 2 nodes run TFTP', '--node'],
    [
      ['--out', 'x', '--node', 'nobody'],
      'the cluster file has no node nobody',
      'nodes with TFTP: test10pub, test10sub',
    ],
    [['--out', 'x', '--device', '00:11'], '--device: 00:11 is no MAC address', '001122334455'],
    [['--out', 'x', '--link', 'hard'], 'no phone is named', '--device MAC'],
    [['--out', 'x', '--devices', 'none.txt'], 'there is no list of phones none.txt', 'check the path'],
    [['--out', 'x', '--timestamp', 'now'], '--timestamp now', '2026-01-31T12:00:00Z'],
  ])('%j is refused, and nothing is left', (words, error, hint) => {
    const before = readdirSync(folder);
    expectFailure(run(['itl', 'create', '--cluster', cluster, ...words]), 2, error, hint);
    expect(readdirSync(folder)).toEqual(before);
  });

  test('a file that the command reads is not overwritten', () => {
    const inputs = ['cluster/certificates/test10pub/CallManager.pem', 'cluster/keys/test10pub/TVS.key', cluster];
    for (const input of inputs) {
      const before = snapshot(at('cluster'));
      const words = ['itl', 'create', '--cluster', cluster, '--node', 'test10pub', '--out', input];
      expectFailure(run(words), 2, 'is also an input', '--out');
      expect(snapshot(at('cluster'))).toEqual(before);
    }
  });

  test('a key that is missing leaves no file and no folder', () => {
    const missing = lab.change('missing.yaml', (text) =>
      text.replace('keys/test10sub/CallManager.key', 'keys/test10sub/gone.key'),
    );
    expectFailure(run(['itl', 'create', '--cluster', missing, '--out', 'gone/deep']), 2, 'gone.key');
    expect(readdirSync(at('gone'))).toEqual([]);
  });
});

describe('names of phones', () => {
  const words = ['itl', 'create', '--cluster', cluster, '--node', 'test10pub', '--out'];
  const name = 'ITLSEP00112233AABB.tlv';

  test.each([
    ['symbolic', '00:11:22:33:aa:bb'],
    ['hard', 'SEP00112233AABB'],
    ['copy', '0011.2233.aabb'],
  ] as const)('%s', (kind, mac) => {
    const out = `names-${kind}`;
    const { status, stdout } = run([...words, out, '--device', mac, '--link', kind, ...fixed]);
    expect(status).toBe(0);
    expect(stdout).toContain('beside it: the name of a phone\n');
    const [own, device] = [at(`${out}/test10pub/ITLFile.tlv`), at(`${out}/test10pub/${name}`)];
    expect(readFileSync(device).equals(readFileSync(own))).toBe(true);
    expect(lstatSync(device).isSymbolicLink()).toBe(kind === 'symbolic');
    if (kind === 'symbolic') expect(readlinkSync(device)).toBe('ITLFile.tlv');
    expect(statSync(device).ino === statSync(own).ino).toBe(kind !== 'copy');
    // Again, with another list: the name follows, and nothing is left beside it.
    const again = run([...words, out, '--device', mac, '--link', kind, '--timestamp', '2026-02-01']);
    expect(again.status).toBe(0);
    expect(readFileSync(device).equals(readFileSync(own))).toBe(true);
    expect(readdirSync(at(`${out}/test10pub`)).sort()).toEqual(['ITLFile.tlv', name, 'backups'].sort());
  });

  test('from a file, each once; a file that stood there with other bytes is kept', () => {
    writeFileSync(
      at('phones.txt'),
      '\ufeff# phones of the lobby\r\n00112233AABB\r\n\r\nSEP00112233aabb # again\r\n001122334455',
    );
    mkdirSync(at('lobby/test10pub'), { recursive: true });
    writeFileSync(at(`lobby/test10pub/${name}`), 'an older list');
    const outcome = run([...words, 'lobby', '--devices', 'phones.txt', '--json']);
    const folderOf = 'lobby/test10pub';
    expect(jsonOf(outcome)).toMatchObject({
      files: [{ devices: [`${folderOf}/${name}`, `${folderOf}/ITLSEP001122334455.tlv`] }],
    });
    const [backup] = readdirSync(at(`${folderOf}/backups`));
    expect(backup).toMatch(/^ITLSEP00112233AABB\.tlv\..*\.[0-9a-f]{40}$/);
    expect(readFileSync(at(`${folderOf}/backups/${backup}`), 'utf8')).toBe('an older list');
  });

  test('a list without the names that stand beside it: which phones would get the old one, until they are named', () => {
    const [reset, empty] = [
      ['itl', 'reset', 'localkey', '--cluster', cluster, '--out', 'stale'],
      ['itl', 'empty', 'stale/test10pub/ITLFile.tlv', '--cluster', cluster],
    ];
    const device = ['--device', '00112233AABB'];
    for (const kind of ['copy', 'hard']) {
      expect(run([...words, 'stale', ...device, '--link', kind]).status).toBe(0);
      const warning = `warning: P1: stale/test10pub/${name} beside it: another list, which these phones ask for first`;
      for (const command of [[...words, 'stale'], reset, empty]) {
        const alone = run([...command, '--timestamp', '2026-03-01']);
        expect([alone.status, alone.stderr.includes(warning)]).toEqual([0, true]);
        const named = run([...command, '--timestamp', '2026-03-02', ...device, '--link', kind]);
        expect([named.status, named.stderr.includes('P1')]).toEqual([0, false]);
        const own = readFileSync(at('stale/test10pub/ITLFile.tlv'));
        expect(readFileSync(at(`stale/test10pub/${name}`)).equals(own)).toBe(true);
      }
    }
    expect(run([...words, 'stale', ...device]).status).toBe(0);
    expect(run([...reset, '--timestamp', '2026-03-04']).stderr).not.toContain('P1: stale/test10pub');
  });

  test('a name that cannot be made: every list and every name is as it was', () => {
    const both = ['itl', 'create', '--cluster', cluster, '--out', 'whole', '--device', '00112233AABB'];
    expect(run([...both, ...fixed]).status).toBe(0);
    // The last name has other bytes to keep, and there is no folder for them.
    rmSync(at('whole/test10sub'), { recursive: true });
    mkdirSync(at('whole/test10sub'));
    writeFileSync(at(`whole/test10sub/${name}`), 'an older list');
    writeFileSync(at('whole/test10sub/backups'), 'no folder');
    for (const kind of ['symbolic', 'copy', 'hard']) {
      const before = snapshot(at('whole'));
      expectFailure(run([...both, '--device', '001122334455', '--link', kind]), 2, `${name} was not written`);
      expect(snapshot(at('whole'))).toEqual(before);
      expect(readlinkSync(at(`whole/test10pub/${name}`))).toBe('ITLFile.tlv');
    }
  });

  test('a line that is no phone is named, and nothing is written', () => {
    writeFileSync(at('bad.txt'), '00112233AABB\nreception\n');
    expectFailure(run([...words, 'bad', '--devices', 'bad.txt']), 2, 'bad.txt, line 2: reception is no MAC address');
    expect(readdirSync(folder)).not.toContain('bad');
  });

  test('a name that is an input, or a folder, is refused', () => {
    mkdirSync(at('taken/test10pub'), { recursive: true });
    writeFileSync(at(`taken/test10pub/${name}`), '00112233AABB\n');
    const input = [...words, 'taken', '--devices', `taken/test10pub/${name}`];
    expectFailure(run(input), 2, 'is also an input', 'nothing was written');
    expect(readdirSync(at('taken/test10pub'))).toEqual([name]);
    mkdirSync(at(`folder/test10pub/${name}`), { recursive: true });
    expectFailure(run([...words, 'folder', '--device', '00112233AABB']), 2, 'is no file', 'nothing was written');
    expect(readdirSync(at('folder/test10pub'))).toEqual([name]);
  });
});

describe('itl empty', () => {
  test('takes TFTP and TVS out, with the key of the signer from the cluster file; the old file is kept', () => {
    expect(run(['itl', 'create', '--cluster', cluster, '--node', 'test10sub', '--out', 'full.tlv']).status).toBe(0);
    const full = list('full.tlv');
    const { status, stdout, stderr } = run(['itl', 'empty', 'full.tlv', '--cluster', cluster]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^full\.tlv: \d+ bytes, 6 records, emptied, sha1\nsigned by: CN=test10sub;/);
    expect(stdout).toMatch(/^backup: /m);
    expect(stderr).toContain('next: put it on every TFTP node');
    const emptied = list('full.tlv');
    expectOpensslVerifies(emptied, lab.certificate('test10sub', 'CallManager'));
    const whole = emptied.records.map((record) => (record.certificate ?? record.certificateHash) !== undefined);
    expect(whole).toEqual([true, false, true, false, true, false]);
    expect(emptied.records.map((record) => record.function)).toEqual(full.records.map((record) => record.function));
  });

  test('with a key that is given; without any it says whose is wanted', () => {
    expect(run(['itl', 'create', '--cluster', cluster, '--node', 'test10pub', '--out', 'whole.tlv']).status).toBe(0);
    const words = ['itl', 'empty', 'whole.tlv', '--out', 'empty.tlv'];
    expectFailure(run(words), 2, 'the key of CN=test10pub', 'give --cluster FILE');
    const key = ['--key', 'cluster/keys/test10pub/CallManager.key'];
    expectFailure(run([...words, ...key]), 2, 'the certificate of --key is wanted', '--certificate');
    const certificate = ['--certificate', 'cluster/certificates/test10pub/CallManager.pem'];
    expect(run([...words, ...key, ...certificate]).status).toBe(0);
    expect(signerOf(list('empty.tlv'))).toBe('CN=test10pub');
    const other = ['--key', 'cluster/keys/test10sub/CallManager.key'];
    const otherCertificate = ['--certificate', 'cluster/certificates/test10sub/CallManager.pem'];
    expectFailure(run([...words, ...other, ...otherCertificate]), 4, 'A9');
    expect(signerOf(list('empty.tlv'))).toBe('CN=test10pub');
  });

  test('a CTL is not for it', () => {
    const create = ['ctl', 'create', '--mode', 'tokenless', '--cluster', cluster, '--out', 'CTLFile.tlv'];
    expect(run(create).status).toBe(0);
    expectFailure(run(['itl', 'empty', 'CTLFile.tlv', '--cluster', cluster]), 2, 'is a CTL', 'ctl to-non-secure');
  });
});

describe('itl verify of a list that a restored backup without the CallManager key makes', () => {
  /** The list as a cluster signs it whose records came from the backup, and whose key did not. */
  function restored(name: string, change: (bytes: Uint8Array) => void): void {
    expect(run(['itl', 'create', '--cluster', cluster, '--node', 'test10pub', '--out', name]).status).toBe(0);
    const bytes = Uint8Array.from(lab.read(name));
    change(bytes);
    writeFileSync(at(name), bytes);
  }

  test('another key signed: the words of the cluster, then ours', () => {
    restored('other-key.tlv', (bytes) => {
      const { start } = list('other-key.tlv').header.signatureSpan;
      bytes[start + 20]! ^= 1;
    });
    const outcome = run(['itl', 'verify', 'other-key.tlv']);
    expect(outcome.status).toBe(1);
    expect(outcome.stdout).toMatch(/^other-key\.tlv: not verified: the signature was not made with/);
    // As `show itl` says it: of the other signer, and of the file.
    expect(outcome.stdout).toContain('ITL Record #:5: This etoken was not used to sign the ITL file.\n');
    expect(outcome.stdout).toContain('Verification of the ITL file failed.\n');
    expect(outcome.stdout).toContain('restored from a backup without the CallManager key');
    expect(outcome.stdout).toContain('Every phone rejects this list (A9)');
    expect(outcome.stdout).toContain('"itl reset localkey"');
  });

  test('no signer of the list has the certificate that the header names', () => {
    restored('no-record.tlv', (bytes) => {
      const { serialNumber, elements } = list('no-record.tlv').header;
      expect(elements.length).toBeGreaterThan(5);
      const place = Buffer.from(bytes).indexOf(serialNumber);
      bytes[place + serialNumber.length - 1]! ^= 1;
    });
    const outcome = run(['itl', 'verify', '--json', 'no-record.tlv']);
    expect(outcome.status).toBe(1);
    const answer = jsonOf(outcome) as { explanation: string[] };
    expect(answer).toMatchObject({ verified: false, code: 'no-signing-record', check: 'A9' });
    const notUsed = (record: number): string =>
      `ITL Record #:${record}: This etoken was not used to sign the ITL file.`;
    expect(answer.explanation.slice(0, 3)).toEqual([notUsed(1), notUsed(5), 'Verification of the ITL file failed.']);
    expect(answer.explanation.join(' ')).toMatch(
      /CN=test10pub;.* is no signer in it\. .*backup without the CallManager/,
    );
    const good = run(['itl', 'verify', '--json', 'one/test10pub/ITLFile.tlv']);
    expect(Object.keys(jsonOf(good))).toEqual(Object.keys(answer));
    expect(jsonOf(good)).toMatchObject({ verified: true, check: null, explanation: [] });
  });

  test.each([
    ['PUBLICKEY', 0],
    ['PUBLICKEY', 3],
    ['SERIALNUMBER', 0],
    ['FUNCTION', 3],
    ['SUBJECTNAME', 4],
    ['ISSUERNAME', 4],
    ['SIGNATURE', 1],
  ] as const)('a list whose %s of record %i was changed is not signed', (element, index) => {
    const name = `changed-${element}-${index}.tlv`;
    restored(name, (bytes) => {
      const tag = recordElements.get(element);
      const found = list(name).records[index]!.elements.find((one) => one.tag === tag)!;
      // A FUNCTION of another service, or the last byte of what phones go by.
      const isText = ['SUBJECTNAME', 'ISSUERNAME'].includes(element);
      const last = found.offset + 3 + found.value.length - (isText ? 2 : 1);
      bytes[last]! ^= element === 'FUNCTION' ? 21 : 1;
    });
    const words = ['itl', 'reset', 'localkey', '--cluster', cluster, '--itl', name, '--out', 'never'];
    const error = new RegExp(`record ${index + 1} of ${name}, .* has another ${element} than`);
    expectFailure(run(words), 4, error, 'leave --itl out');
    expect(readdirSync(folder)).not.toContain('never');
    expect(run([...words.slice(0, -4), '--out', 'from-cluster']).status).toBe(0);
    expect(run(['itl', 'verify', name]).stdout).toContain('reset without --itl');
  });

  test('a list that somebody emptied is not signed: phones would take any list afterwards (P6)', () => {
    expect(run(['itl', 'create', '--cluster', cluster, '--node', 'test10pub', '--out', 'rollback.tlv']).status).toBe(0);
    expect(run(['itl', 'empty', 'rollback.tlv', '--cluster', cluster]).status).toBe(0);
    const words = ['itl', 'reset', 'localkey', '--cluster', cluster, '--itl', 'rollback.tlv', '--out', 'emptied'];
    expect(run(words).status).toBe(0);
    const bytes = lab.read('rollback.tlv');
    bytes[list('rollback.tlv').header.signatureSpan.start + 20]! ^= 1;
    writeFileSync(at('rollback.tlv'), bytes);
    expectFailure(
      run([...words.slice(0, -1), 'never']),
      4,
      'record 2 of rollback.tlv, CCM+TFTP, has no certificate of',
    );
  });

  test('the reset makes of it a list that verifies, and says what it was', () => {
    const words = ['itl', 'reset', 'localkey', '--cluster', cluster, '--itl', 'other-key.tlv', '--out', 'mended'];
    const { status, stderr } = run(words);
    expect(stderr).toMatch(/^warning: A9: other-key\.tlv does not verify/);
    expect(status).toBe(0);
    expect(verifyTrustList(list('mended/test10pub/ITLFile.tlv'))).toMatchObject({ verified: true });
  });
});
