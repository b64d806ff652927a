import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { equalBytes } from '../../src/bytes/index.js';
import { FormatError } from '../../src/errors.js';
import { signFile } from '../../src/signed-file/index.js';
import type { Element } from '../../src/tlv/index.js';
import {
  decodeTrustList,
  encodeTrustList,
  formatTrustList,
  readTrustList,
  verifyTrustList,
  type TrustList,
} from '../../src/trust-list/index.js';
import { formatCertificatePem } from '../../src/x509/index.js';
import { assemble, cutSignature, signAgain, tags, text, type FilePieces, type Piece } from './pieces.js';
import { readOrRefuse, verifies } from './read-or-refuse.js';
import {
  emptiedRecordPieces,
  hashRecordPieces,
  headerPieces,
  makeListSigner,
  recordPieces,
  smallList,
} from './small-lists.js';

const signer = await makeListSigner();
const other = await makeListSigner('cucm-1051-a-pub');
const pieces = smallList(signer);
const good = assemble(pieces, signer.key);
const vector = new Uint8Array(readFileSync(new URL('../vectors/trust-list/ctl-tokenless.tlv', import.meta.url)));
const { header: h, record: r } = tags;

/** The error that a file is refused with. */
function refusal(bytes: Uint8Array): FormatError {
  const result = readOrRefuse(bytes);
  if (!(result instanceof FormatError)) throw new Error('it was not refused');
  return result;
}

function listOf(bytes: Uint8Array): TrustList {
  const result = readOrRefuse(bytes);
  if (result instanceof FormatError) throw result;
  return result;
}

/** The small list with other records or another header, properly signed. */
function signed(changes: Partial<FilePieces>): Uint8Array {
  return assemble({ ...pieces, ...changes }, signer.key);
}

/** The pieces with something done to every piece with a tag, in containers too. */
function replaced(all: readonly Piece[], tag: number, change: (piece: Piece) => readonly Piece[]): Piece[] {
  return all.flatMap((one) => {
    if (one.tag === tag) return change(one);
    return one.children === undefined ? [one] : [{ tag: one.tag, children: replaced(one.children, tag, change) }];
  });
}

test('what the tests start from is right', () => {
  expect(verifies(good)).toBe(true);
  expect(verifies(vector)).toBe(true);
});

describe('truncation', () => {
  test.each([
    ['a small list', good],
    ['ctl-tokenless', vector],
  ])('%s cut off anywhere is refused, or at the end of a record does not verify', (_name, bytes) => {
    const list = decodeTrustList(bytes);
    const ends = [list.header.length, ...list.records.map(({ offset, length }) => offset + length)];
    for (let length = 0; length < bytes.length; length += 1) {
      const result = length % 16 === 0 || ends.includes(length) ? readOrRefuse(bytes.subarray(0, length)) : undefined;
      if (!ends.includes(length)) expect(() => decodeTrustList(bytes.subarray(0, length))).toThrow(FormatError);
      else expect(verifyTrustList(result as TrustList).verified).toBe(false);
    }
  });
});

describe('lengths that lie', () => {
  /** Where the two bytes of every length stand: of each element, of the header and of each record. */
  function lengthPlaces(list: TrustList): number[] {
    const ofElements = (elements: readonly Element[]): number[] =>
      elements
        .filter(({ tag, offset }) => !(tag === 13 && offset < list.header.length))
        .flatMap(({ offset, children }) => [offset + 1, ...(children === undefined ? [] : ofElements(children))]);
    const values = list.records.map(({ offset }) => offset + 3);
    return [
      8,
      ...ofElements(list.header.elements),
      ...values,
      ...list.records.flatMap(({ elements }) => ofElements(elements)),
    ];
  }

  const list = decodeTrustList(vector);
  const lies: readonly (readonly [string, (length: number) => number])[] = [
    ['one more', (length) => length + 1],
    ['one less', (length) => length - 1],
    ['64 K', () => 0xffff],
    ['nothing', () => 0],
    ['256 more', (length) => length + 256],
  ];

  test('every length of ctl-tokenless is tried', () => {
    expect(lengthPlaces(list)).toHaveLength(1 + 14 + 4 + 4 * 10);
  });

  test.each(lies)('by %s: never verified, and refused even when properly signed', (_name, lie) => {
    const places = lengthPlaces(list);
    for (const place of places) {
      const wrong = vector.slice();
      const length = lie(vector[place]! * 256 + vector[place + 1]!) & 0xffff;
      wrong.set([length >> 8, length & 0xff], place);
      const result = readOrRefuse(wrong);
      expect(result).toBeInstanceOf(FormatError);
      const { start, end } = cutSignature(vector);
      if (place < start || place >= end) {
        expect(readOrRefuse(signAgain(wrong, { start, end }, signer.key))).toBeInstanceOf(FormatError);
      }
    }
  });

  test('is named with its element and offset', () => {
    const wrong = good.slice();
    const name = decodeTrustList(good).records[1]!.elements.find(({ tag }) => tag === r.subjectName)!;
    wrong.set([0xff, 0xff], name.offset + 1);
    expect(refusal(wrong)).toMatchObject({ code: 'truncated', element: 'SUBJECTNAME', offset: name.offset });
    expect(refusal(wrong).message).toMatch(/^SUBJECTNAME at byte \d+: 65535 bytes expected, \d+ left where it stands$/);
  });

  test.each([
    [0, 'bad-length', 'a record of 0 bytes cannot be'],
    [4, 'bad-length', 'a record of 4 bytes cannot be'],
    [0xffff, 'truncated', /a record of 65535 bytes, \d+ left in the file/],
  ])('RECORDLENGTH %i', (length, code, message) => {
    const wrong = good.slice();
    const { offset } = decodeTrustList(good).records[1]!;
    wrong.set([length >> 8, length & 0xff], offset + 3);
    expect(refusal(wrong)).toMatchObject({ code, element: 'RECORDLENGTH', offset });
    expect(() => decodeTrustList(wrong)).toThrow(message);
  });

  test.each([
    [0, 'bad-length'],
    [9, 'bad-length'],
    [10, 'missing-element'],
    [0xffff, 'truncated'],
  ])('HEADERLENGTH %i', (length, code) => {
    const wrong = good.slice();
    wrong.set([length >> 8, length & 0xff], 8);
    expect(refusal(wrong).code).toBe(code);
  });
});

/** Every element of a header and of a record, by the name that clusters print. */
const headerNames: Readonly<Record<number, string>> = {
  [h.version]: 'VERSION',
  [h.headerLength]: 'HEADERLENGTH',
  [h.signerId]: 'SIGNERID',
  [h.signerName]: 'SIGNERNAME',
  [h.serialNumber]: 'SERIALNUMBER',
  [h.issuerName]: 'CANAME',
  [h.signatureInfo]: 'SIGNATUREINFO',
  [h.digestAlgorithm]: 'DIGESTALGORTITHM',
  [h.signatureAlgorithmInfo]: 'SIGNATUREALGOINFO',
  [h.signatureAlgorithm]: 'SIGNATUREALGORTITHM',
  [h.signatureModulus]: 'SIGNATUREMODULUS',
  [h.signature]: 'SIGNATURE',
  [h.fileName]: 'FILENAME',
  [h.timestamp]: 'TIMESTAMP',
};
const recordNames: Readonly<Record<number, string>> = {
  [r.dnsName]: 'DNSNAME',
  [r.subjectName]: 'SUBJECTNAME',
  [r.function]: 'FUNCTION',
  [r.issuerName]: 'ISSUERNAME',
  [r.serialNumber]: 'SERIALNUMBER',
  [r.publicKey]: 'PUBLICKEY',
  [r.signature]: 'SIGNATURE',
  [r.certificate]: 'CERTIFICATE',
  [r.ipAddress]: 'IPADDRESS',
  [r.certificateHash]: 'CERTHASH',
  [r.hashAlgorithm]: 'HASH ALGORITHM',
};
const inHeader = Object.entries(headerNames).map(([tag, name]) => [name, Number(tag)] as const);
const inRecord = Object.entries(recordNames).map(([tag, name]) => [name, Number(tag)] as const);

/** The small list with every record changed that has an element with this tag. */
function withRecords(tag: number, change: (piece: Piece) => readonly Piece[]): Uint8Array {
  return signed({ records: pieces.records.map((record) => replaced(record, tag, change)) });
}

describe('an element twice, properly signed', () => {
  test.each(inHeader.filter(([, tag]) => tag !== h.version))('%s of the header is refused by name', (name, tag) => {
    const twice = signed({ header: replaced(pieces.header, tag, (one) => [one, one]) });
    expect(refusal(twice)).toMatchObject({ code: 'duplicate-element', element: name });
  });

  test('VERSION of the header is refused where HEADERLENGTH should be', () => {
    const twice = signed({ header: replaced(pieces.header, h.version, (one) => [one, one]) });
    expect(refusal(twice)).toMatchObject({ code: 'bad-value', element: 'HEADERLENGTH', offset: 5 });
  });

  test.each(inRecord)('%s of a record is refused by name', (name, tag) => {
    expect(refusal(withRecords(tag, (one) => [one, one]))).toMatchObject({ code: 'duplicate-element', element: name });
  });

  test('RECORDLENGTH is refused by name', () => {
    const twice = { tag: r.recordLength, value: new Uint8Array(2) };
    const records = [[twice, ...pieces.records[0]!]];
    expect(refusal(signed({ records }))).toMatchObject({ code: 'duplicate-element', element: 'RECORDLENGTH' });
  });
});

describe('an element missing, properly signed', () => {
  test.each(inHeader)('%s of the header is refused by name', (name, tag) => {
    const without = signed({ header: replaced(pieces.header, tag, () => []) });
    const atFixedPlace = tag === h.version || tag === h.headerLength;
    expect(refusal(without)).toMatchObject({ code: atFixedPlace ? 'bad-value' : 'missing-element', element: name });
  });

  const optional: readonly number[] = [r.dnsName, r.signature, r.ipAddress];

  test.each(inRecord.filter(([, tag]) => !optional.includes(tag)))('%s of a record is refused by name', (name, tag) => {
    const refused = refusal(withRecords(tag, () => []));
    expect(refused).toMatchObject({ code: 'missing-element', element: name });
    expect(decodeTrustList(good).records.map(({ offset }) => offset)).toContain(
      refused.offset + missingLength(tag, refused),
    );
  });

  /** How much nearer the third record stands when an element of the first two is gone. */
  function missingLength(tag: number, refused: FormatError): number {
    const [first, second, third] = decodeTrustList(good).records;
    if (refused.offset <= first!.offset) return first!.offset - refused.offset;
    const length = (record: TrustList['records'][number]): number =>
      3 + record.elements.find((one) => one.tag === tag)!.value.length;
    return third!.elements.some((one) => one.tag === tag) && second!.elements.some((one) => one.tag === tag)
      ? length(first!) + length(second!)
      : 0;
  }

  test.each(inRecord.filter(([, tag]) => optional.includes(tag)))('%s is not needed', (_name, tag) => {
    expect(verifies(withRecords(tag, () => []))).toBe(true);
  });

  test('an emptied record is whole without all that belongs to a certificate', () => {
    expect(verifies(signed({ records: [recordPieces(0, signer), emptiedRecordPieces()] }))).toBe(true);
  });
});

describe('unknown elements, properly signed', () => {
  const unknown: Piece = { tag: 0xee, value: new Uint8Array(7) };

  test.each([...inHeader, ['padding', 13] as const].slice(2, -1))('after %s of the header are kept', (_name, tag) => {
    const bytes = signed({ header: replaced(pieces.header, tag, (one) => [one, unknown, unknown]) });
    const list = listOf(bytes);
    expect(verifyTrustList(list).verified).toBe(true);
    expect(equalBytes(encodeTrustList(list), bytes)).toBe(true);
    expect(formatTrustList(list)).toMatch(/^238 +element 238 +7 +00 00 00 00 00 00 00$/m);
  });

  test.each(inRecord)('after %s of a record are kept', (_name, tag) => {
    const bytes = withRecords(tag, (one) => [one, unknown]);
    const list = listOf(bytes);
    expect(verifyTrustList(list).verified).toBe(true);
    expect(equalBytes(encodeTrustList(list), bytes)).toBe(true);
    expect(formatTrustList(list)).toMatch(/^238 +element 238 +7 +00 00 00 00 00 00 00$/m);
  });
});

describe('another order, properly signed', () => {
  const [version, headerLength, ...rest] = pieces.header;

  /** Every order in which one piece stands where its neighbour was, and the reverse of all. */
  function ordersOf(all: readonly Piece[]): Piece[][] {
    const swapped = all.slice(1).map((_, index) => all.with(index, all[index + 1]!).with(index + 1, all[index]!));
    return [...swapped, [...all].reverse()];
  }

  test('of the header verifies and comes back', () => {
    const inside = ordersOf(rest[0]!.children!).map((children) => [{ tag: h.signerId, children }, ...rest.slice(1)]);
    for (const order of [...ordersOf(rest), ...inside]) {
      const bytes = signed({ header: [version!, headerLength!, ...order] });
      const list = listOf(bytes);
      expect(verifyTrustList(list).verified).toBe(true);
      expect(equalBytes(encodeTrustList(list), bytes)).toBe(true);
    }
  });

  test('of a record verifies and comes back', () => {
    for (const order of ordersOf(pieces.records[0]!)) {
      const bytes = signed({ records: [order, ...pieces.records.slice(1)] });
      const list = listOf(bytes);
      expect(verifyTrustList(list).verified).toBe(true);
      expect(equalBytes(encodeTrustList(list), bytes)).toBe(true);
      expect(list.records[0]).toMatchObject({
        function: 0,
        dnsName: 'cucm-1051-a-pub',
        ipAddress: Uint8Array.of(10, 48, 47, 153),
      });
    }
  });

  test('of the records verifies: the signing record need not be the first', () => {
    expect(verifies(signed({ records: [...pieces.records].reverse() }))).toBe(true);
  });

  test('with VERSION, HEADERLENGTH or RECORDLENGTH not first is refused', () => {
    const swapped = signed({ header: [headerLength!, version!, ...rest] });
    expect(refusal(swapped)).toMatchObject({ code: 'bad-value', element: 'VERSION', offset: 0 });
    const moved = good.slice();
    const { offset } = decodeTrustList(good).records[0]!;
    moved.copyWithin(offset, offset + 5, offset + 24);
    moved.set(good.subarray(offset, offset + 5), offset + 19);
    expect(refusal(moved)).toMatchObject({ code: 'bad-value', element: 'RECORDLENGTH', offset });
  });

  test('with an element in the wrong container is refused by name', () => {
    const name = rest[0]!.children![0]!;
    const outside = replaced(pieces.header, h.signerName, () => []);
    expect(refusal(signed({ header: [...outside, name] }))).toMatchObject({
      code: 'misplaced-element',
      element: 'SIGNERNAME',
    });
    const inside = replaced(pieces.header, h.signatureAlgorithm, (one) => [
      one,
      { tag: h.timestamp, value: new Uint8Array(4) },
    ]);
    expect(refusal(signed({ header: inside }))).toMatchObject({ code: 'misplaced-element', element: 'TIMESTAMP' });
  });

  test('with padding before the end of the header, or too much of it, is refused', () => {
    const bytes = assemble({ ...pieces, padding: 4 }, signer.key);
    expect(refusal(bytes)).toMatchObject({ code: 'bad-length', element: 'PADDING' });
    const early = good.slice();
    early[cutSignature(good).start] = 13;
    expect(refusal(early)).toBeInstanceOf(FormatError);
  });
});

describe('signing records', () => {
  function reasonOf(bytes: Uint8Array): string {
    const verification = verifyTrustList(listOf(bytes));
    return verification.verified ? 'verified' : verification.code;
  }
  const [sast, ccm] = [recordPieces(0, signer), recordPieces(2, signer)];

  test('two with the same key verify', () => {
    expect(reasonOf(signed({ records: [sast, ccm, sast] }))).toBe('verified');
  });

  test('two with different keys do not, whichever comes first and whichever signed', () => {
    const impostor = replaced(recordPieces(0, other), r.serialNumber, () => [
      { tag: r.serialNumber, value: signer.serialNumber },
    ]);
    for (const records of [
      [sast, impostor],
      [impostor, sast],
    ]) {
      for (const key of [signer.key, other.key]) {
        expect(reasonOf(assemble({ ...pieces, records }, key))).toBe('no-signing-record');
      }
    }
  });

  test('none: another function, issuer or serial, or no records at all', () => {
    expect(reasonOf(signed({ records: [ccm, ccm] }))).toBe('no-signing-record');
    expect(reasonOf(signed({ records: [] }))).toBe('no-signing-record');
    const changed: readonly [number, Uint8Array][] = [
      [r.issuerName, text('CN=cucm-1051-A-pub')],
      [r.issuerName, text('CN=cucm-1051-a-pub ')],
      [r.serialNumber, signer.serialNumber.subarray(1)],
      [r.serialNumber, new Uint8Array([0, ...signer.serialNumber])],
      [r.serialNumber, new Uint8Array([...signer.serialNumber].reverse())],
      [r.function, Uint8Array.of(1, 0)],
    ];
    for (const [tag, value] of changed) {
      const records = [replaced(sast, tag, () => [{ tag, value }]), ccm];
      expect(reasonOf(signed({ records }))).toBe('no-signing-record');
    }
  });

  test('an emptied one does not sign', () => {
    const emptied = [{ tag: r.function, value: new Uint8Array(2) }];
    expect(reasonOf(signed({ records: [emptied] }))).toBe('no-signing-record');
  });

  test('the right names with another key are a wrong signature', () => {
    expect(reasonOf(assemble(pieces, other.key))).toBe('signature-mismatch');
    expect(reasonOf(assemble(pieces, signer.key, 'sha512'))).toBe('signature-mismatch');
  });

  test('a key that is no RSA key verifies nothing', () => {
    for (const value of [new Uint8Array(), new Uint8Array(65).fill(4), new Uint8Array(140)]) {
      const records = [replaced(sast, r.publicKey, () => [{ tag: r.publicKey, value }]), ccm];
      expect(reasonOf(signed({ records }))).toBe('unsupported-key');
    }
  });

  test('the subject’s name is not what is compared', () => {
    const records = [replaced(sast, r.subjectName, () => [{ tag: r.subjectName, value: text('CN=x') }])];
    expect(reasonOf(signed({ records }))).toBe('verified');
  });
});

describe('values that are wrong, properly signed', () => {
  function headerWith(tag: number, value: Uint8Array): Uint8Array {
    return signed({ header: replaced(pieces.header, tag, () => [{ tag, value }]) });
  }
  const bytesOf = (length: number): Uint8Array => new Uint8Array(length).fill(1);

  test.each([h.signerName, h.issuerName, h.fileName])('text %i of the header', (tag) => {
    const element = headerNames[tag]!;
    for (const value of [new Uint8Array(), Uint8Array.of(65), Uint8Array.of(65, 0, 66, 0), Uint8Array.of(65, 0, 0)]) {
      expect(refusal(headerWith(tag, value))).toMatchObject({ code: 'bad-text', element });
    }
  });

  test.each([r.dnsName, r.subjectName, r.issuerName])('text %i of a record', (tag) => {
    const element = recordNames[tag]!;
    for (const value of [new Uint8Array(), Uint8Array.of(65), Uint8Array.of(65, 0, 66, 0), Uint8Array.of(65, 0, 0)]) {
      expect(refusal(withRecords(tag, () => [{ tag, value }]))).toMatchObject({ code: 'bad-text', element });
    }
  });

  test.each([0, 1, 3, 4, 300])('FUNCTION of %i bytes', (length) => {
    const bytes = withRecords(r.function, () => [{ tag: r.function, value: bytesOf(length) }]);
    expect(refusal(bytes)).toMatchObject({ code: 'bad-length', element: 'FUNCTION' });
    expect(refusal(bytes).message).toContain(`2 bytes expected, ${String(length)} found`);
  });

  test.each<[number, readonly number[]]>([
    [h.digestAlgorithm, [0, 2]],
    [h.signatureAlgorithm, [0, 2]],
    [h.signatureModulus, [0, 2]],
    [h.timestamp, [0, 3, 5, 8, 400]],
  ])('number %i of the header', (tag, lengths) => {
    for (const length of lengths) {
      expect(refusal(headerWith(tag, bytesOf(length)))).toMatchObject({
        code: 'bad-length',
        element: headerNames[tag],
      });
    }
  });

  test('SIGNERVERSION of a wrong length', () => {
    const header = [...pieces.header, { tag: h.signerVersion, value: bytesOf(3) }];
    expect(refusal(signed({ header }))).toMatchObject({ code: 'bad-length', element: 'SIGNERVERSION' });
  });

  test('IPADDRESS, CERTHASH and HASH ALGORITHM of a wrong length or number', () => {
    for (const length of [0, 3, 5, 15, 17]) {
      const bytes = withRecords(r.ipAddress, (one) => [{ ...one, value: bytesOf(length) }]);
      expect(refusal(bytes)).toMatchObject({ code: 'bad-length', element: 'IPADDRESS' });
    }
    const hash = (code: number, length: number): Uint8Array => {
      const record = replaced(hashRecordPieces(21, signer), r.hashAlgorithm, (one) => [
        { ...one, value: Uint8Array.of(code) },
      ]);
      const records = [replaced(record, r.certificateHash, (one) => [{ ...one, value: bytesOf(length) }])];
      return signed({ records: [pieces.records[0]!, ...records] });
    };
    expect(verifies(hash(1, 20)) && verifies(hash(2, 32)) && verifies(hash(3, 64))).toBe(true);
    expect(refusal(hash(1, 32))).toMatchObject({ code: 'bad-length', element: 'CERTHASH' });
    expect(refusal(hash(3, 19))).toMatchObject({ code: 'bad-length', element: 'CERTHASH' });
    expect(refusal(hash(0, 20))).toMatchObject({ code: 'bad-value', element: 'HASH ALGORITHM' });
    expect(refusal(hash(4, 20))).toMatchObject({ code: 'bad-value', element: 'HASH ALGORITHM' });
  });

  test('a digest or modulus without a meaning', () => {
    for (const code of [0, 4, 255]) {
      expect(refusal(headerWith(h.digestAlgorithm, Uint8Array.of(code)))).toMatchObject({ code: 'bad-value' });
    }
    for (const code of [0, 2, 3, 4, 255]) {
      const refused = refusal(headerWith(h.signatureModulus, Uint8Array.of(code)));
      expect(refused).toMatchObject({ code: 'bad-length', element: 'SIGNATURE' });
    }
    expect(verifies(headerWith(h.signatureAlgorithm, Uint8Array.of(255)))).toBe(true);
  });
});

describe('names that are no UTF-8', () => {
  const broken = (byte: number): Uint8Array => Uint8Array.of(0x43, 0x4e, 0x3d, byte, 0x1b, 0x5b, 0x32, 0x4a, 0);

  function listWith(inHeaderName: Uint8Array, inRecordName: Uint8Array): Uint8Array {
    const header = headerPieces({ ...signer, name: inHeaderName });
    return signed({ header, records: [recordPieces(0, { ...signer, name: inRecordName })] });
  }

  test('are kept byte for byte, and shown with U+FFFD and without control characters', () => {
    const bytes = listWith(broken(0xff), broken(0xff));
    const list = listOf(bytes);
    expect(verifyTrustList(list).verified).toBe(true);
    expect(equalBytes(encodeTrustList(list), bytes)).toBe(true);
    expect(list.records[0]!.subjectName).toBe('CN=\ufffd\u001b[2J');
    expect(formatTrustList(list)).toMatch(/^3 {7}SUBJECTNAME {5}9 {7}CN=\ufffd\\u\{1b\}\[2J$/m);
  });

  test('are compared as bytes, not as they look', () => {
    const list = listOf(listWith(broken(0xff), broken(0xfe)));
    expect(list.header.issuerName).toBe(list.records[0]!.issuerName);
    expect(verifyTrustList(list)).toMatchObject({ verified: false, code: 'no-signing-record' });
    expect(formatTrustList(list)).not.toMatch(/(?!\n)\p{Cc}/u);
  });
});

describe('files that are no lists', () => {
  test('an empty file', () => {
    expect(refusal(new Uint8Array())).toMatchObject({ code: 'truncated', offset: 0, element: 'VERSION' });
    expect(refusal(new Uint8Array()).message).toBe('VERSION at byte 0: the file is empty');
  });

  test('a JPEG', () => {
    const start = Buffer.from('ffd8ffe000104a46494600010101004800480000ffdb004300', 'hex');
    const jpeg = new Uint8Array(Buffer.concat([start, randomBytes(5000), Buffer.of(0xff, 0xd9)]));
    expect(refusal(jpeg)).toMatchObject({
      code: 'bad-value',
      element: 'VERSION',
      offset: 0,
      hint: 'this is no trust list or signed file; CTL, ITL and .sgn files begin with 1 0 2',
    });
    expect(refusal(jpeg).message).toBe('VERSION at byte 0: 1 0 2 expected, 255 216 255 found');
  });

  test('a signed file says that it is one, in a lenient reading too', async () => {
    const content = new TextEncoder().encode('<device/>');
    const file = await signFile(content, { name: 'SEP001122334455.cnf.xml', timestamp: 0 }, signer.signer);
    const refused = refusal(file);
    expect(refused).toMatchObject({ code: 'bad-value', element: 'VERSION', offset: 3 });
    expect(refused.hint).toBe('this looks like a signed file (.sgn), not like a trust list');
    expect(readTrustList(file).faults[0]).toMatchObject({ code: refused.code, hint: refused.hint });
  });

  test('a certificate, in DER and in PEM, says that it is one', () => {
    expect(refusal(signer.certificate.der).hint).toMatch(/^this is a certificate or key in DER, no trust list/);
    const pem = new TextEncoder().encode(formatCertificatePem(signer.certificate));
    expect(refusal(pem).hint).toMatch(/^this is PEM, no trust list/);
  });

  test.each([
    [0, 9],
    [2, 0],
    [3, 1],
    [255, 255],
  ])('version %i.%i', (major, minor) => {
    const bytes = good.slice();
    bytes.set([major, minor], 3);
    expect(refusal(bytes)).toMatchObject({ code: 'bad-value', element: 'VERSION', offset: 3 });
    expect(refusal(bytes).hint === undefined).toBe(major !== 2);
  });

  test('bytes after the last record', () => {
    for (const more of [[0], [1, 0, 2, 0], [13, 13, 13, 13, 13]]) {
      const refused = refusal(new Uint8Array([...good, ...more]));
      expect(refused).toMatchObject({ element: 'RECORDLENGTH', offset: good.length });
    }
  });

  test('more elements than any list has', () => {
    const many = (count: number): Uint8Array => {
      const one = [1, 0, 2, 0, 10, 4, 0, 2, 0, 1];
      return new Uint8Array([...good, ...Array.from({ length: count }, () => one).flat()]);
    };
    expect(refusal(many(2100))).toMatchObject({ code: 'too-large' });
    expect(refusal(many(2100)).message).toContain('more than 4096 elements');
    expect(listOf(many(2000)).records).toHaveLength(2003);
    expect(refusal(new Uint8Array(1024 * 1024 + 1))).toMatchObject({ code: 'too-large', offset: 1024 * 1024 });
  });

  test('many faults are told, not all of them', () => {
    const one = [1, 0, 2, 0, 5];
    const reading = readTrustList(new Uint8Array([...good, ...Array.from({ length: 3000 }, () => one).flat()]));
    expect(reading.faults).toHaveLength(100);
    expect(reading.faults[0]).toMatchObject({ code: 'missing-element', element: 'FUNCTION', offset: good.length });
  });
});

describe('memory', () => {
  const program = fileURLToPath(new URL('memory.mjs', import.meta.url));
  const megabyte = 1024 * 1024;

  /** What a process that reads such a file says of it. It must end in time, and by itself. */
  function readInChild(kind: string, size: number, ...flags: string[]): Record<string, unknown> & { grown: number } {
    const child = spawnSync(process.execPath, [...flags, program, kind, String(size)], { timeout: 30_000 });
    if (child.status !== 0)
      throw new Error(`${kind}: ${String(child.signal ?? child.status)} ${child.stderr.toString()}`);
    return JSON.parse(child.stdout.toString()) as Record<string, unknown> & { grown: number };
  }

  test.each([
    ['zeros', 100],
    ['records of ten bytes', 100],
    ['records of five bytes', 16],
    ['records of ten bytes', 16],
    ['unknown elements without a value', 16],
    ['one element again and again', 16],
    ['names of the largest size', 16],
  ])('%s, %i MB, are refused at once and in little memory', (kind, megabytes) => {
    const result = readInChild(kind, megabytes * megabyte);
    expect(result).toMatchObject({ strict: 'too-large', lenient: 'too-large' });
    expect(result.grown).toBeLessThan(10 * megabytes * megabyte);
    expect(result['milliseconds']).toBeLessThan(1000);
  });

  // The largest file that is looked into. A heap of ten times its size, and what node itself needs, must be enough.
  const heap = ['--max-old-space-size=16', '--max-semi-space-size=1'];

  test.each([
    ['records of five bytes', 'missing-element', '100 faults'],
    ['records of ten bytes', 'too-large', '1 faults'],
    ['unknown elements without a value', 'too-large', '1 faults'],
    ['one element again and again', 'duplicate-element', '100 faults'],
    ['names of the largest size', '16 records', '0 faults'],
    ['values of the largest size', '16 records', '0 faults'],
    ['padding in the header', 'missing-element', '14 faults'],
    ['containers in containers', 'misplaced-element', '13 faults'],
  ])('%s, 1 MB, are read within ten times that', (kind, strict, lenient) => {
    const result = readInChild(kind, megabyte, ...heap);
    expect(result).toMatchObject({ strict, lenient });
    expect(result['milliseconds']).toBeLessThan(5000);
  });
});
