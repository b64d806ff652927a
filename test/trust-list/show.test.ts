import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  decodeTrustList,
  describeTrustList,
  formatAddress,
  formatFunction,
  formatMissingTrustList,
  formatTrustList,
  readTrustList,
  type FormatTrustListOptions,
} from '../../src/trust-list/index.js';
import { assemble, tags, text, type FilePieces, type Piece } from './pieces.js';
import {
  emptiedRecordPieces,
  hashRecordPieces,
  headerPieces,
  makeListSigner,
  recordPieces,
  signatureInfo,
  smallList,
} from './small-lists.js';

const signer = await makeListSigner();
const pieces = smallList(signer);
const vector = new Uint8Array(readFileSync(new URL('../vectors/trust-list/ctl-tokenless.tlv', import.meta.url)));

function show(changes: Partial<FilePieces> = {}, options: FormatTrustListOptions = {}): string {
  return formatTrustList(decodeTrustList(assemble({ ...pieces, ...changes }, signer.key)), options);
}

/** The rows of one record, columns folded to one blank. */
function recordRows(shown: string, number: number): string[] {
  const [, after = ''] = shown.split(`Record #:${String(number)}\n`);
  const end = after.search(/\n\n/);
  return after
    .slice(0, end)
    .split('\n')
    .slice(3)
    .map((line) => line.replaceAll(/ +/g, ' '));
}

function sha1(bytes: Uint8Array, separator = ''): string {
  const hex = createHash('sha1').update(bytes).digest('hex');
  return separator === '' ? hex : (hex.toUpperCase().match(/../g) ?? []).join(separator);
}

describe('the text', () => {
  const list = decodeTrustList(assemble(pieces, signer.key));
  const signature = [...list.header.signature].map((byte) => byte.toString(16));
  const lines = Array.from(
    { length: 16 },
    (_, line) => `        ${signature.slice(line * 8, line * 8 + 8).join('  ')}`,
  );
  const { publicKey, der } = signer.certificate;

  test('is what clusters print, column by column', () => {
    const record = (number: number, length: number, word: string, more: string[]): string[] => [
      '',
      `        CTL Record #:${number}`,
      '                  ----',
      'BYTEPOS TAG             LENGTH  VALUE',
      '------- ---             ------  -----',
      `1       RECORDLENGTH    2       ${length}`,
      '2       DNSNAME         16      cucm-1051-a-pub',
      '3       SUBJECTNAME     19      CN=cucm-1051-a-pub',
      `4       FUNCTION        2       ${word}`,
      '5       ISSUERNAME      19      CN=cucm-1051-a-pub',
      '6       SERIALNUMBER    4       70:CA:F6:4E',
      '7       PUBLICKEY       140',
      '8       SIGNATURE       128',
      ...more,
    ];
    const certificate = [
      `9       CERTIFICATE     ${der.length}     ${sha1(der, ' ')} (SHA1 Hash HEX)`,
      '10      IPADDRESS       4',
    ];
    const lengths = list.records.map(({ length }) => length);
    expect(show({}, { modified: 'Fri Mar 06 21:56:07 CET 2015' })).toBe(
      [
        'The checksum value of the CTL file:',
        `${createHash('md5').update(list.bytes).digest('hex')}(MD5)`,
        `${sha1(list.bytes)}(SHA1)`,
        '',
        `Length of CTL file: ${list.bytes.length}`,
        'The CTL File was last modified on Fri Mar 06 21:56:07 CET 2015',
        '',
        'Parse CTL File',
        '----------------',
        '',
        'Version:        1.2',
        `HeaderLength:   ${list.header.length} (BYTES)`,
        '',
        'BYTEPOS TAG             LENGTH  VALUE',
        '------- ---             ------  -----',
        '3       SIGNERID        2       51',
        '4       SIGNERNAME      19      CN=cucm-1051-a-pub',
        '5       SERIALNUMBER    4       70:CA:F6:4E',
        '6       CANAME          19      CN=cucm-1051-a-pub',
        '7       SIGNATUREINFO   2       15',
        '8       DIGESTALGORTITHM        1',
        '9       SIGNATUREALGOINFO       2       8',
        '10      SIGNATUREALGORTITHM     1',
        '11      SIGNATUREMODULUS        1',
        '12      SIGNATURE       128',
        ...lines,
        '14      FILENAME        12',
        '15      TIMESTAMP       4',
        ...record(1, lengths[0]!, 'System Administrator Security Token', [
          ...certificate,
          'This etoken was used to sign the CTL file.',
        ]),
        ...record(2, lengths[1]!, 'CCM+TFTP', certificate),
        ...record(3, lengths[2]!, 'CAPF', [
          `11      CERTHASH        20      ${sha1(der, ' ')}`,
          '12      HASH ALGORITHM  1       SHA-1',
        ]),
        '',
        'The CTL file was verified successfully.',
        '',
      ].join('\n'),
    );
    expect(publicKey).toHaveLength(140);
  });

  test('says of every function-0 record whether it signed', async () => {
    const other = await makeListSigner('token two', 0x11);
    const shown = show({ records: [recordPieces(0, other), recordPieces(0, signer), recordPieces(4, other)] });
    expect(recordRows(shown, 1).at(-1)).toBe('This etoken was not used to sign the CTL file.');
    expect(recordRows(shown, 2).at(-1)).toBe('This etoken was used to sign the CTL file.');
    expect(recordRows(shown, 3).at(-1)).toMatch(/IPADDRESS/);
  });

  test('calls the file what its FILENAME says, or what it is said to be', () => {
    const named = (name: string): Piece[] =>
      headerPieces(signer).map((piece) =>
        piece.tag === tags.header.fileName ? { ...piece, value: text(name) } : piece,
      );
    expect(show({ header: named('ITLSEP001122334455.tlv') }, { kind: 'CTL' })).toMatch(/The ITL file was verified/);
    expect(show({ header: named('odd') }, { kind: 'ITL' })).toMatch(/^Length of ITL file: /m);
    expect(show({ header: named('odd') })).toMatch(/^Length of CTL file: /m);
  });

  test('says why a list does not verify', () => {
    const signature = "The signature was not made with the signing record's key over these bytes.\n";
    const wrong = decodeTrustList(assemble(pieces, signer.key, 'sha512'));
    expect(formatTrustList(wrong).endsWith(`\n\n${signature}Verification of the CTL file failed.\n`)).toBe(true);
    expect(show({ records: [recordPieces(2, signer)] })).toMatch(
      /\n\nNo function-0 record has the signer's issuer and serial \(CN=cucm-1051-a-pub\)\.\nVerification of the CTL file failed\.\n$/,
    );
  });

  test('of a list that is wrong goes as far as it goes, and ends with what is wrong', () => {
    const bytes = assemble(pieces, signer.key);
    const cut = bytes.subarray(0, bytes.length - 100);
    const shown = formatTrustList(readTrustList(cut));
    expect(recordRows(shown, 3)).toContain('3 SUBJECTNAME 19 CN=cucm-1051-a-pub');
    const { offset } = list.records[2]!;
    expect(shown).toMatch(
      new RegExp(
        `\n\nRECORDLENGTH at byte ${offset}: a record of \\d+ bytes, \\d+ left in the file\n` +
          '(.+\n)+Error parsing the CTL File!!\nVerification of the CTL file failed\\.\n$',
      ),
    );
  });

  test('numbers of a wrong length are shown as their bytes', () => {
    const header = headerPieces(signer).map((piece) =>
      piece.tag === tags.header.timestamp ? { ...piece, value: new Uint8Array(12).fill(255) } : piece,
    );
    const records = [[{ tag: tags.record.function, value: Uint8Array.of(0, 0, 2) }]];
    const shown = formatTrustList(readTrustList(assemble({ header, padding: 0, records }, signer.key)), {
      values: true,
    });
    expect(shown).toMatch(/^15 +TIMESTAMP +12 +FF FF FF FF FF FF FF FF FF FF FF FF$/m);
    expect(shown).toMatch(/^4 +FUNCTION +3 +00 00 02$/m);
  });
});

describe('--values', () => {
  test('adds what clusters leave blank', () => {
    const shown = show(
      { header: [...headerPieces(signer), { tag: tags.header.signerVersion, value: Uint8Array.of(1, 1) }] },
      { values: true },
    );
    for (const row of [
      '8       DIGESTALGORTITHM        1       sha1',
      '10      SIGNATUREALGORTITHM     1       0',
      '11      SIGNATUREMODULUS        1       1',
      '14      FILENAME        12      CTLFile.tlv',
      '15      TIMESTAMP       4       2015-03-06T20:49:43.000Z',
      '28      SIGNERVERSION   2       1.1',
      '10      IPADDRESS       4       10.48.47.153',
    ]) {
      expect(shown).toContain(`\n${row}\n`);
    }
    const key = Buffer.from(signer.certificate.publicKey).toString('hex').toUpperCase().match(/../g)!.join(' ');
    expect(shown).toContain(`\n7       PUBLICKEY       140     ${key}\n`);
  });

  test('changes nothing else', () => {
    const blank = show().split('\n');
    const full = show({}, { values: true }).split('\n');
    expect(full).toHaveLength(blank.length);
    blank.forEach((line, index) => expect(full[index]!.startsWith(line)).toBe(true));
  });

  test.each([
    [2, 'sha256'],
    [3, 'sha512'],
  ])('digest %i is %s', (code, word) => {
    const digest = word as 'sha256' | 'sha512';
    const header = headerPieces(signer).map((piece) =>
      piece.tag === tags.header.signatureInfo ? signatureInfo(code) : piece,
    );
    const list = decodeTrustList(assemble({ ...pieces, header }, signer.key, digest));
    expect(formatTrustList(list, { values: true })).toMatch(new RegExp(`DIGESTALGORTITHM +1 +${word}\n`));
    expect(formatTrustList(list)).toMatch(/verified successfully/);
  });
});

describe('records of other kinds', () => {
  test('an emptied one: 33 bytes, 1 2 4 10', () => {
    const address = Uint8Array.of(10, 48, 47, 153);
    const emptied = [
      { tag: tags.record.dnsName, value: text('10.48.47.153') },
      { tag: tags.record.function, value: Uint8Array.of(0, 2) },
      { tag: tags.record.ipAddress, value: address },
    ];
    const list = decodeTrustList(assemble({ ...pieces, records: [recordPieces(0, signer), emptied] }, signer.key));
    expect(list.records[1]).toMatchObject({
      length: 33,
      function: 2,
      dnsName: '10.48.47.153',
      ipAddress: address,
      subjectName: undefined,
      certificate: undefined,
      publicKey: undefined,
    });
    expect(recordRows(formatTrustList(list), 2)).toEqual([
      '1 RECORDLENGTH 2 33',
      '2 DNSNAME 13 10.48.47.153',
      '4 FUNCTION 2 CCM+TFTP',
      '10 IPADDRESS 4',
    ]);
  });

  test('an IPv6 address', () => {
    const address = Uint8Array.from(Buffer.from('20010db8000000000000ff0000428329', 'hex'));
    expect(address).toHaveLength(16);
    const record = emptiedRecordPieces().map((piece) =>
      piece.tag === tags.record.ipAddress ? { ...piece, value: address } : piece,
    );
    const shown = show({ records: [recordPieces(0, signer), record] }, { values: true });
    expect(recordRows(shown, 2)).toContain('10 IPADDRESS 16 2001:db8:0:0:0:ff00:42:8329');
    expect(formatAddress(new Uint8Array(4))).toBe('0.0.0.0');
  });

  test('CERTHASH with SHA-512', () => {
    const digest = createHash('sha512').update(signer.certificate.der).digest();
    const shown = show({ records: [recordPieces(0, signer), hashRecordPieces(21, signer, 'sha512')] });
    const rows = recordRows(shown, 2);
    expect(rows).toContain('4 FUNCTION 2 TVS');
    expect(rows).toContain(`11 CERTHASH 64 ${digest.toString('hex').toUpperCase().match(/../g)!.join(' ')}`);
    expect(rows).toContain('12 HASH ALGORITHM 1 SHA-512');
  });

  test('ITL records: a DNSNAME of two bytes shows nothing', () => {
    const record = recordPieces(2, signer).map((piece) =>
      piece.tag === tags.record.dnsName ? { ...piece, value: Uint8Array.of(0x20, 0) } : piece,
    );
    expect(recordRows(show({ records: [recordPieces(0, signer), record] }), 2)[1]).toBe('2 DNSNAME 2');
  });
});

describe('functions', () => {
  test.each([
    [0, 'System Administrator Security Token'],
    [1, 'CCM'],
    [2, 'CCM+TFTP'],
    [3, 'TFTP'],
    [4, 'CAPF'],
    [5, 'SRST'],
    [7, 'Application Server'],
    [21, 'TVS'],
    [255, 'Unknown'],
    [8, '8'],
    [256, '256'],
    [65_535, '65535'],
  ])('%i is %s', (number, word) => {
    expect(formatFunction(number)).toBe(word);
    const list = decodeTrustList(
      assemble({ ...pieces, records: [recordPieces(0, signer), recordPieces(number, signer)] }, signer.key),
    );
    expect(recordRows(formatTrustList(list), 2)).toContain(`4 FUNCTION 2 ${word}`);
    expect(describeTrustList(list).records[1]).toMatchObject({ function: number, functionName: word });
  });
});

test('no file', () => {
  expect(formatMissingTrustList('CTL')).toBe(
    'Length of CTL file: 0\nCTL File not found.\nError parsing the CTL File!!\n',
  );
  expect(formatMissingTrustList('ITL')).toContain('ITL File not found.');
});

describe('the JSON view', () => {
  test('has stable keys, and null for what is not there', () => {
    const list = decodeTrustList(
      assemble({ ...pieces, records: [...pieces.records, emptiedRecordPieces()] }, signer.key),
    );
    const view = describeTrustList(list);
    const [first, second, third, fourth] = list.records;
    const digests = (name: string): string => createHash(name).update(list.bytes).digest('hex');
    const node = {
      dnsName: 'cucm-1051-a-pub',
      subjectName: 'CN=cucm-1051-a-pub',
      issuerName: 'CN=cucm-1051-a-pub',
      serialNumber: '70caf64e',
      publicKeyLength: 140,
      signatureLength: 128,
    };
    const whole = {
      ...node,
      certificateLength: signer.certificate.der.length,
      certificateSha1: sha1(signer.certificate.der),
      certificateHash: null,
      hashAlgorithm: null,
      ipAddress: '10.48.47.153',
    };
    expect(view).toEqual({
      kind: 'CTL',
      length: list.bytes.length,
      md5: digests('md5'),
      sha1: digests('sha1'),
      sha256: digests('sha256'),
      version: '1.2',
      signerVersion: null,
      headerLength: list.header.length,
      signer: { name: 'CN=cucm-1051-a-pub', issuer: 'CN=cucm-1051-a-pub', serialNumber: '70caf64e' },
      digestAlgorithm: 'sha1',
      signatureAlgorithm: 0,
      signatureLength: 128,
      fileName: 'CTLFile.tlv',
      timestamp: '2015-03-06T20:49:43.000Z',
      verified: true,
      reason: null,
      records: [
        {
          offset: list.header.length,
          length: first!.length,
          function: 0,
          functionName: 'System Administrator Security Token',
          ...whole,
          usedToSign: true,
        },
        {
          offset: second!.offset,
          length: second!.length,
          function: 2,
          functionName: 'CCM+TFTP',
          ...whole,
          usedToSign: null,
        },
        {
          offset: third!.offset,
          length: third!.length,
          function: 4,
          functionName: 'CAPF',
          ...node,
          certificateLength: null,
          certificateSha1: null,
          certificateHash: sha1(signer.certificate.der),
          hashAlgorithm: 'sha1',
          ipAddress: null,
          usedToSign: null,
        },
        {
          offset: fourth!.offset,
          length: 29,
          function: 2,
          functionName: 'CCM+TFTP',
          dnsName: null,
          subjectName: null,
          issuerName: null,
          serialNumber: null,
          publicKeyLength: null,
          signatureLength: null,
          certificateLength: null,
          certificateSha1: null,
          certificateHash: null,
          hashAlgorithm: null,
          ipAddress: '0:0:0:0:0:0:0:0',
          usedToSign: null,
        },
      ],
    });
    expect(JSON.parse(JSON.stringify(view))).toEqual(view);
  });

  test('says why a list does not verify, and that nobody signed it', () => {
    const view = describeTrustList(decodeTrustList(assemble(pieces, signer.key, 'sha512')));
    expect(view).toMatchObject({ verified: false, records: [{ usedToSign: false }, {}, {}] });
    expect(view.reason).toMatch(/^the signature was not made/);
  });

  test('of the kept ctl-tokenless file', () => {
    expect(describeTrustList(decodeTrustList(vector))).toMatchObject({
      kind: 'CTL',
      length: 4947,
      headerLength: 336,
      version: '1.2',
      verified: true,
      signer: { serialNumber: '70caf64e090751b9df22f49f754fc5bb' },
      records: [
        { offset: 336, length: 1156, function: 0, usedToSign: true },
        { offset: 1492, length: 1156, function: 2, usedToSign: null },
        { offset: 2648, length: 1138, function: 4, usedToSign: null },
        { offset: 3786, length: 1161, function: 2, usedToSign: null },
      ],
    });
  });
});
