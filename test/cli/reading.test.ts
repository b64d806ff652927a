import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodeNumber } from '../../src/bytes/index.js';
import { encodeText } from '../../src/tlv/index.js';
import {
  decodeTrustList,
  draftOfRecord,
  recordFunction,
  recordTag,
  signTrustList,
  type RecordDraft,
} from '../../src/trust-list/index.js';
import { knownLists, rebuildKnownList, type KnownList } from '../trust-list/known-lists.js';
import { makeSoftwareKey } from './software-keys.js';
import {
  expectFailure,
  jsonOf,
  run as runAnywhere,
  temporaryFolder,
  type Outcome,
  type RunOptions,
} from './etoken-bridge.js';

const folder = temporaryFolder();
const run = (words: readonly string[], options: RunOptions = {}): Outcome =>
  runAnywhere(words, { cwd: folder, ...options });

const changed = new Date('2015-03-06T21:56:07.000Z');

/** Writes a file of the working folder, changed at a known time. */
function write(name: string, bytes: Uint8Array | string): string {
  writeFileSync(join(folder, name), bytes);
  utimesSync(join(folder, name), changed, changed);
  return name;
}

const files = new Map<string, string>();
for (const known of knownLists) files.set(known.id, write(`${known.id}.tlv`, (await rebuildKnownList(known)).bytes));
const tokenless = files.get('ctl-tokenless')!;
const tokenlessBytes = new Uint8Array(readFileSync(join(folder, tokenless)));
const other = files.get('ctl-two-tokens')!;

function hash(algorithm: string, bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}

/** A row in the columns 8, 24 and 32; what is too long for its column moves the rest on by whole tab stops. */
function row(tag: number, name: string, length: number, value = ''): string {
  const stop = (text: string, at: number): string =>
    text.length < at ? text.padEnd(at) : text.padEnd((Math.floor(text.length / 8) + 1) * 8);
  const start = `${stop(stop(String(tag), 8) + name, 24)}${length}`;
  return value === '' ? start : stop(start, 32) + value;
}

/** What `show` must print for a list, from what its cluster printed; hex that is made anew comes from the file. */
function expectedText(known: KnownList, bytes: Uint8Array): string {
  const { kind, header } = known;
  const list = decodeTrustList(bytes);
  const hex = (value: Uint8Array): string[] => [...value].map((byte) => byte.toString(16));
  const signature = hex(list.header.signature);
  const titles = ['BYTEPOS TAG             LENGTH  VALUE', '------- ---             ------  -----'];
  const lines = [
    `The checksum value of the ${kind} file:`,
    `${hash('md5', bytes)}(MD5)`,
    `${hash('sha1', bytes)}(SHA1)`,
    '',
    `Length of ${kind} file: ${known.length}`,
    `The ${kind} File was last modified on 2015-03-06T21:56:07.000Z`,
    '',
    `Parse ${kind} File`,
    '----------------',
    '',
    'Version:        1.2',
    `HeaderLength:   ${header.headerLength} (BYTES)`,
    '',
    ...titles,
    row(3, 'SIGNERID', 2, String(header.signerIdValue)),
    row(4, 'SIGNERNAME', header.signerName.length + 1, header.signerName),
    row(5, 'SERIALNUMBER', header.serialNumber.split(':').length, header.serialNumber),
    row(6, 'CANAME', header.caName.length + 1, header.caName),
    row(7, 'SIGNATUREINFO', 2, '15'),
    '8       DIGESTALGORTITHM        1',
    '9       SIGNATUREALGOINFO       2       8',
    '10      SIGNATUREALGORTITHM     1',
    '11      SIGNATUREMODULUS        1',
    row(12, 'SIGNATURE', header.signatureLength),
    ...Array.from(
      { length: signature.length / 8 },
      (_, index) => `        ${signature.slice(index * 8, index * 8 + 8).join('  ')}`,
    ),
    '14      FILENAME        12',
    '15      TIMESTAMP       4',
  ];
  known.records.forEach((record, index) => {
    const found = list.records[index]!;
    const names: Readonly<Record<number, string>> = {
      13: '10.48.47.153',
      16: 'cucm-1051-a-pub',
      17: 'cucm-1051-a-sub1',
    };
    const spaced = (value: Uint8Array): string =>
      Buffer.from(value).toString('hex').toUpperCase().match(/../g)!.join(' ');
    lines.push('', `        ${kind} Record #:${index + 1}`, '                  ----', ...titles);
    lines.push(row(1, 'RECORDLENGTH', 2, String(record.recordLength)));
    lines.push(row(2, 'DNSNAME', record.dnsNameLength, names[record.dnsNameLength]));
    lines.push(row(3, 'SUBJECTNAME', record.subjectNameLength, record.subjectName));
    lines.push(row(4, 'FUNCTION', 2, record.function));
    lines.push(row(5, 'ISSUERNAME', record.issuerNameLength, record.issuerName));
    lines.push(row(6, 'SERIALNUMBER', record.serialNumber.split(':').length, record.serialNumber));
    lines.push(row(7, 'PUBLICKEY', record.publicKeyLength));
    if (record.signatureLength !== null) lines.push(row(8, 'SIGNATURE', record.signatureLength));
    if (record.certificateLength === null) {
      lines.push(row(11, 'CERTHASH', 20, record.certificateHash!.match(/../g)!.join(' ')));
      lines.push(row(12, 'HASH ALGORITHM', 1, 'SHA-1'));
    } else {
      const sha1 = spaced(createHash('sha1').update(found.certificate!).digest());
      lines.push(row(9, 'CERTIFICATE', record.certificateLength, `${sha1} (SHA1 Hash HEX)`));
    }
    if (record.ipAddress) lines.push(row(10, 'IPADDRESS', 4));
    const used = record.usedToSign;
    if (used !== null) lines.push(`This etoken was ${used ? '' : 'not '}used to sign the ${kind} file.`);
  });
  return [...lines, '', `The ${kind} file was verified successfully.`, ''].join('\n');
}

describe('show', () => {
  test.each(knownLists)('$id, line by line as its cluster printed it', (known) => {
    const file = files.get(known.id)!;
    const { status, stdout, stderr } = run([known.kind.toLowerCase(), 'show', file]);
    expect(stdout.split('\n')).toEqual(expectedText(known, readFileSync(join(folder, file))).split('\n'));
    expect([status, stderr]).toEqual([0, '']);
  });

  test('--values adds what clusters leave blank', () => {
    const { stdout } = run(['ctl', 'show', '--values', tokenless]);
    for (const line of [
      '8       DIGESTALGORTITHM        1       sha1',
      '11      SIGNATUREMODULUS        1       1',
      '14      FILENAME        12      CTLFile.tlv',
      '15      TIMESTAMP       4       2015-03-06T20:56:07.000Z',
      '10      IPADDRESS       4       10.48.47.153',
    ]) {
      expect(stdout.split('\n')).toContain(line);
    }
  });

  test('--json is one document with the keys of this list', () => {
    const outcome = run(['ctl', 'show', '--json', tokenless]);
    expect([outcome.status, outcome.stderr]).toEqual([0, '']);
    const document = jsonOf(outcome);
    expect(Object.keys(document)).toEqual([
      'path',
      'modified',
      'parsed',
      'faults',
      'kind',
      'length',
      'md5',
      'sha1',
      'sha256',
      'version',
      'signerVersion',
      'headerLength',
      'signer',
      'digestAlgorithm',
      'signatureAlgorithm',
      'signatureLength',
      'fileName',
      'timestamp',
      'verified',
      'reason',
      'records',
    ]);
    expect(document).toMatchObject({
      path: tokenless,
      modified: '2015-03-06T21:56:07.000Z',
      parsed: true,
      faults: [],
      kind: 'CTL',
      length: 4947,
      sha1: hash('sha1', tokenlessBytes),
      headerLength: 336,
      timestamp: '2015-03-06T20:56:07.000Z',
      verified: true,
    });
    const { records } = document as { records: Record<string, unknown>[] };
    expect(records.map(({ functionName, usedToSign }) => [functionName, usedToSign])).toEqual([
      ['System Administrator Security Token', true],
      ['CCM+TFTP', null],
      ['CAPF', null],
      ['CCM+TFTP', null],
    ]);
  });

  test('a list whose signature is wrong is shown, and the exit code is 1', () => {
    const bytes = Uint8Array.from(tokenlessBytes);
    bytes[bytes.length - 1]! ^= 1;
    const { status, stdout, stderr } = run(['ctl', 'show', write('flipped.tlv', bytes)]);
    expect(stdout).toContain('This etoken was not used to sign the CTL file.');
    expect(stdout).not.toContain('This etoken was used to sign');
    expect(stdout).toMatch(/\nVerification of the CTL file failed\.\n$/);
    expect([status, stderr]).toEqual([1, '']);
  });
});

describe('show of what is no list', () => {
  const jpeg = Buffer.from('ffd8ffe000104a46494600010100000100010000ffdb', 'hex');
  write('empty.tlv', '');
  write('photo.tlv', jpeg);
  write('cut.tlv', tokenlessBytes.subarray(0, 1000));
  mkdirSync(join(folder, 'a-folder'));

  test.each([
    ['an empty file', 'empty.tlv', 0, 'VERSION at byte 0: the file is empty'],
    ['a JPEG', 'photo.tlv', jpeg.length, 'VERSION at byte 0: 1 0 2 expected, 255 216 255 found'],
    ['a file that was cut off', 'cut.tlv', 1000, 'RECORDLENGTH at byte'],
  ])('%s', (_what, file, length, fault) => {
    const { status, stdout } = run(['ctl', 'show', file]);
    const bytes = readFileSync(join(folder, file));
    expect(stdout).toContain(
      `The checksum value of the CTL file:\n${hash('md5', bytes)}(MD5)\n${hash('sha1', bytes)}(SHA1)\n\n` +
        `Length of CTL file: ${length}\nThe CTL File was last modified on 2015-03-06T21:56:07.000Z\n`,
    );
    expect(stdout).toContain(fault);
    expect(stdout).toMatch(/\nError parsing the CTL File!!\nVerification of the CTL file failed\.\n$/);
    expect(status).toBe(2);

    const json = run(['ctl', 'show', '--json', file]);
    const document = jsonOf(json) as { faults: { message: string }[] };
    expect(document).toMatchObject({ path: file, parsed: false, verified: false, length, sha1: hash('sha1', bytes) });
    expect(document.faults[0]!.message).toContain(fault.split(' at byte')[0]);
    expect(json.status).toBe(2);
    expectFailure(run(['ctl', 'verify', file]), 2, `${file} is no trust list: `);
  });

  test('what can be read of a list that was cut off is shown', () => {
    const { stdout } = run(['ctl', 'show', 'cut.tlv']);
    expect(stdout).toContain('3       SIGNERID        2       149\n');
    expect(stdout).toContain('        CTL Record #:1\n');
  });

  test.each(['ctl', 'itl'])('a file that is not there (%s)', (group) => {
    const kind = group.toUpperCase();
    const { status, stdout, stderr } = run([group, 'show', 'none.tlv']);
    expect(stdout).toBe(`Length of ${kind} file: 0\n${kind} File not found.\nError parsing the ${kind} File!!\n`);
    expect(stderr).toBe('error: there is no trust list none.tlv\nhint: check the path\n');
    expect(status).toBe(2);
    const json = run([group, 'show', '--json', 'none.tlv']);
    expect(jsonOf(json)).toMatchObject({ path: 'none.tlv', modified: null, length: 0, parsed: false, verified: false });
    expect(json.stderr).toBe(stderr);
    expect(json.status).toBe(2);
  });

  test('a folder', () => {
    expectFailure(run(['ctl', 'show', 'a-folder']), 2, 'the trust list a-folder is a folder', 'give a file');
  });

  test('a file of 100 MB is refused by its length, before it is read', () => {
    write('large.tlv', '');
    // A hole needs no room on the disk.
    truncateSync(join(folder, 'large.tlv'), 100 * 1024 * 1024);
    expectFailure(run(['ctl', 'show', 'large.tlv']), 2, 'larger than 16 MiB', 'check that it is the right file');
  });
});

describe('verify', () => {
  test('0 with the signer, 1 with the reason', () => {
    expect(run(['ctl', 'verify', tokenless])).toEqual({
      status: 0,
      stdout: `${tokenless}: verified, signed by CN=cucm-1051-a-pub;OU=TAC;O=Cisco;L=Krakow;ST=Malopolska;C=PL\n`,
      stderr: '',
    });
    const bytes = Uint8Array.from(tokenlessBytes);
    bytes[200]! ^= 1;
    const { status, stdout, stderr } = run(['ctl', 'verify', write('bad.tlv', bytes)]);
    expect(stdout).toBe(
      "bad.tlv: not verified: the signature was not made with the signing record's key over these bytes\n",
    );
    expect([status, stderr]).toEqual([1, '']);
  });

  test('--json has the same keys for both answers', () => {
    const [good, bad] = [tokenless, 'bad.tlv'].map((file) => run(['itl', 'verify', '--json', file]));
    expect(jsonOf(good!)).toEqual({
      path: tokenless,
      verified: true,
      signer: 'CN=cucm-1051-a-pub;OU=TAC;O=Cisco;L=Krakow;ST=Malopolska;C=PL',
      code: null,
      reason: null,
      check: null,
      explanation: [],
    });
    expect(jsonOf(bad!)).toMatchObject({ path: 'bad.tlv', verified: false, signer: null, code: 'signature-mismatch' });
    expect(Object.keys(jsonOf(bad!))).toEqual(Object.keys(jsonOf(good!)));
    expect([good!.status, bad!.status]).toEqual([0, 1]);
  });
});

describe('diff', () => {
  test('the same bytes: 0', () => {
    const same = { status: 0, stdout: 'the lists are the same, byte for byte\n', stderr: '' };
    expect(run(['ctl', 'diff', tokenless, tokenless])).toEqual(same);
  });

  test('another list: 1, with what was added, removed and changed', () => {
    const { status, stdout, stderr } = run(['ctl', 'diff', tokenless, other]);
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(
      /^- System Administrator Security Token {2}cucm-1051-a-pub {2}CN=cucm-1051-a-pub;.*serial /,
    );
    expect(lines.filter((line) => line.startsWith('+ System Administrator Security Token'))).toHaveLength(2);
    expect(lines).toContainEqual(expect.stringMatching(/^signer: CN=cucm-1051-a-pub;OU=TAC/));
    expect(lines).toContainEqual(expect.stringMatching(/^ {4}->: cn="SAST-ADN/));
    expect(lines.at(-2)).toMatch(/^length: 4947 -> \d+ bytes$/);
    expect([status, stderr]).toEqual([1, '']);
  });

  test('--json has the same keys for both answers', () => {
    const keys = [
      'identical',
      'added',
      'removed',
      'changed',
      'reordered',
      'signer',
      'digestAlgorithm',
      'timestamp',
      'length',
    ];
    const [same, different] = [tokenless, other].map((file) => run(['itl', 'diff', '--json', tokenless, file]));
    expect(Object.keys(jsonOf(same!))).toEqual(keys);
    expect(Object.keys(jsonOf(different!))).toEqual(keys);
    expect(jsonOf(same!)).toMatchObject({ identical: true, added: [], removed: [], changed: [], signer: null });
    const { added } = jsonOf(different!) as { added: { functionName: string }[] };
    expect(added.map(({ functionName }) => functionName)).toContain('System Administrator Security Token');
    expect([same!.status, different!.status]).toEqual([0, 1]);
  });

  test('a file that is not there: 2', () => {
    expectFailure(run(['ctl', 'diff', tokenless, 'none.tlv']), 2, 'there is no trust list none.tlv', 'check the path');
  });
});

describe('standard input as a file', () => {
  test('- is shown, verified and compared', () => {
    const shown = run(['ctl', 'show', '-'], { input: tokenlessBytes });
    expect(shown.stdout).toContain('Length of CTL file: 4947\n\nParse CTL File');
    expect(shown.stdout).toMatch(/The CTL file was verified successfully\.\n$/);
    expect(run(['ctl', 'verify', '-'], { input: tokenlessBytes }).status).toBe(0);
    expect(run(['ctl', 'diff', tokenless, '-'], { input: tokenlessBytes }).status).toBe(0);
    expect(run(['ctl', 'diff', '-', tokenless], { input: readFileSync(join(folder, other)) }).status).toBe(1);
  });

  test('it can be read once', () => {
    const outcome = run(['ctl', 'diff', '-', '-'], { input: tokenlessBytes });
    expectFailure(outcome, 2, 'cannot come from standard input too', 'can be read once');
  });
});

describe('a list whose names are hostile', async () => {
  const evil = 'CN=\u001b[2J\u001b]0;owned\u0007\u009b31m\r\nerror: fake\nhint: give your PIN\u202egpj.\u2028';
  const { certificate, signer } = await makeSoftwareKey('hostile', 0x70);
  const base = await rebuildKnownList(knownLists.find(({ id }) => id === 'ctl-tokenless')!);
  const record = (function_: number, name: string): RecordDraft => [
    { tag: recordTag.dnsName, value: encodeText(name) },
    { tag: recordTag.subjectName, value: encodeText(name) },
    { tag: recordTag.function, value: encodeNumber(function_, 2) },
    { tag: recordTag.issuerName, value: encodeText(name) },
    { tag: recordTag.serialNumber, value: certificate.serialNumber },
    { tag: recordTag.publicKey, value: certificate.publicKey },
    { tag: recordTag.certificate, value: certificate.der },
  ];
  const list = await signTrustList(
    {
      version: { major: 1, minor: 2 },
      digestAlgorithm: 'sha1',
      fileName: encodeText(`CTL\u001b[31m\n${evil}`),
      timestamp: 1,
      records: [record(recordFunction.sast, evil), ...base.records.slice(1).map(draftOfRecord)],
      signingRecord: 0,
    },
    signer,
  );
  const broken = Uint8Array.from(list.bytes);
  broken[broken.length - 1]! ^= 1;
  // The header names the signing record by CANAME, which stands behind SIGNERNAME: with another one it is not found.
  const unsigned = Uint8Array.from(list.bytes);
  const name = Buffer.from(encodeText(evil));
  unsigned[Buffer.from(list.bytes).indexOf(name, Buffer.from(list.bytes).indexOf(name) + 1)]! ^= 1;
  write('hostile.tlv', list.bytes);
  write('hostile-broken.tlv', broken);
  write('hostile-unsigned.tlv', unsigned);
  (await makeSoftwareKey('stranger', 0x71)).write(folder, 'stranger');
  const cut = list.bytes.subarray(0, list.bytes.length - 5);
  write('hostile-cut.tlv', cut);

  /** Everything that could move a cursor, change a colour or the direction of text, or begin a line. */
  const dangerous = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

  test.each([
    ['ctl show hostile.tlv', 0],
    ['ctl show --values hostile.tlv', 0],
    ['ctl show --json hostile.tlv', 0],
    ['ctl show hostile-broken.tlv', 1],
    ['ctl show hostile-unsigned.tlv', 1],
    ['ctl show hostile-cut.tlv', 2],
    ['ctl show --json hostile-cut.tlv', 2],
    ['ctl verify hostile.tlv', 0],
    ['ctl verify --json hostile.tlv', 0],
    ['ctl verify hostile-unsigned.tlv', 1],
    ['ctl verify --json hostile-unsigned.tlv', 1],
    [`ctl diff ${tokenless} hostile.tlv`, 1],
    [`ctl diff hostile.tlv ${tokenless}`, 1],
    [`ctl diff --json hostile.tlv ${tokenless}`, 1],
    ['ctl sign hostile-unsigned.tlv --out x.tlv --key none.key --certificate stranger.pem', 2],
    ['ctl remove-token hostile.tlv --serial 01 --out x.tlv --key stranger.key --certificate stranger.pem', 4],
    ['ctl sign hostile.tlv --out x.tlv --key stranger.key --certificate stranger.pem', 4],
    ['ctl sign hostile-unsigned.tlv --out x.tlv --key stranger.key --certificate stranger.pem', 4],
  ])('%s shows none of it as it is', (line, status) => {
    const outcome = run(line.split(' '));
    expect(outcome.stdout).not.toMatch(dangerous);
    expect(outcome.stderr).not.toMatch(dangerous);
    expect(outcome.stdout + outcome.stderr).not.toMatch(/^(error: fake|hint: give your PIN)/m);
    expect(outcome.status).toBe(status);
  });
});
