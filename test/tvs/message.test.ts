import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes, parseHex, Reader } from '../../src/bytes/index.js';
import { FormatError } from '../../src/errors.js';
import { decodeElements, encodeText } from '../../src/tlv/index.js';
import {
  decodeTvsHeader,
  decodeTvsMessage,
  encodeTvsMessage,
  tvsElements,
  TvsMessageReader,
  type TvsMessage,
} from '../../src/tvs/index.js';

const hex = (text: string): Uint8Array => parseHex(text.trim())!;

/** The dumps of tvs-wire-query-cert-213407.txt: the server cuts each after 50 bytes. */
const printedRequest = hex(`
  57 01 03 00 00 00 03 e9
  00 8f 01 00 18 01 43 50
  2d 38 38 36 31 2d 53 45
  50 42 30 30 30 42 34 42
  41 30 41 45 45 03 00 42
  43 4e 3d 75 63 6d 31 31
  70 75`);
const printedAnswer = hex(`
  57 01 04 f7 00 00 03 e9
  05 be 07 00 01 00 02 05
  ab 30 82 05 a7 30 82 04
  8f a0 03 02 01 02 02 13
  24 00 00 00 17 94 79 b8
  f1 24 ac 3f 3b 00 00 00
  00 00`);
const printedCertificate = hex(`
  30 82 05 a7 30 82 04 8f
  a0 03 02 01 02 02 13 24
  00 00 00 17 94 79 b8 f1
  24 ac 3f 3b 00 00 00 00
  00 17 30 0d 06 09 2a 86
  48 86 f7 0d 01 01 0b 05
  00 30`);
/** And the first bytes of tvs-wire-cert-verification-118699.txt. */
const printedVerification = hex('57 01 01 00 00 00 03 ea');

const printedQuery = {
  kind: 'query-request',
  sessionId: 0x3e9,
  device: 'CP-8861-SEPB000B4BA0AEE',
  subjectName: 'CN=ucm11pub.stormin.local;OU=IST;O=Stormin;L=Brisbane;ST=QLD;C=AU',
  issuerName: 'CN=stormin-WIN2012-CA',
  serialNumber: hex('24000000179479B8F124AC3F3B000000000017'),
} as const;

/** The elements of a dump that was cut off, and what is wrong with it. */
function elementsOf(bytes: Uint8Array): { tags: number[]; values: Uint8Array[]; faults: string[] } {
  const faults: string[] = [];
  const elements = decodeElements(bytes, new Reader(bytes, 10), tvsElements, ({ code }) => void faults.push(code));
  return { tags: elements.map(({ tag }) => tag), values: elements.map(({ value }) => value), faults };
}

describe('the dumps of a real cluster', () => {
  test('the printed subject, issuer, serial and device give the printed request: 153 bytes, body 143', () => {
    const bytes = encodeTvsMessage(printedQuery);
    expect(bytes).toHaveLength(153);
    expect(decodeTvsHeader(bytes).bodyLength).toBe(143);
    expect(bytes.subarray(0, printedRequest.length)).toEqual(printedRequest);
    expect(decodeTvsMessage(bytes)).toEqual({ ...printedQuery, ignored: 0 });
  });

  test('what is printed of the request is read: header, device, and the start of the subject', () => {
    expect(decodeTvsHeader(printedRequest)).toEqual({
      kind: 'query-request',
      ignored: 0,
      sessionId: 0x3e9,
      bodyLength: 143,
    });
    const { tags, values, faults } = elementsOf(printedRequest);
    expect(tags).toEqual([1, 3]);
    expect(values[0]).toEqual(concatBytes(Uint8Array.of(1), encodeText('CP-8861-SEPB000B4BA0AEE').subarray(0, -1)));
    expect(Buffer.from(values[1]!).toString()).toBe('CN=ucm11pu');
    expect(faults).toEqual(['truncated', 'bad-text']);
  });

  test('what is printed of the answer is read: header, status, and the start of the certificate', () => {
    expect(decodeTvsHeader(printedAnswer)).toEqual({
      kind: 'query-answer',
      ignored: 0xf7,
      sessionId: 0x3e9,
      bodyLength: 1470,
    });
    const { tags, values, faults } = elementsOf(printedAnswer);
    expect(tags).toEqual([7, 2]);
    expect(values[0]).toEqual(Uint8Array.of(0));
    expect(values[1]).toEqual(printedCertificate.subarray(0, values[1]!.length));
    expect(faults).toEqual(['truncated']);
  });

  test('a certificate of the printed length, roles and time give the printed answer: 1480 bytes, body 1470', () => {
    // Of the certificate only the first 50 of its 1451 bytes are printed; the codec does not look into it.
    const certificate = concatBytes(printedCertificate, new Uint8Array(1451 - printedCertificate.length));
    const grant = { status: 'success', roles: [0, 3], timeToLive: 86_400, certificate } as const;
    const bytes = encodeTvsMessage({ kind: 'query-answer', sessionId: 0x3e9, ...grant });
    expect(bytes).toHaveLength(1480);
    expect(bytes.subarray(0, printedAnswer.length)).toEqual(printedAnswer);
    expect(bytes.subarray(-7)).toEqual(hex('09 00 04 00 01 51 80'));
    expect(decodeTvsMessage(bytes)).toEqual({ kind: 'query-answer', sessionId: 0x3e9, ignored: 0xf7, ...grant });
  });

  test('a verification of 960 bytes begins as printed', () => {
    const device = 'CP-8861-SEPB000B4BA0AEE';
    const certificate = new Uint8Array(960 - 10 - 27 - 3);
    const bytes = encodeTvsMessage({ kind: 'verify-request', sessionId: 0x3ea, device, certificate });
    expect(bytes).toHaveLength(960);
    expect(bytes.subarray(0, printedVerification.length)).toEqual(printedVerification);
  });
});

describe('what is wrong', () => {
  const good = encodeTvsMessage(printedQuery);
  const changed = (offset: number, value: number): Uint8Array => good.map((byte, at) => (at === offset ? value : byte));
  const answer = (body: string): Uint8Array => {
    const bytes = hex(body);
    return concatBytes(hex('57 01 04 f7 00 00 00 01 00'), Uint8Array.of(bytes.length), bytes);
  };
  test.each([
    ['nothing', new Uint8Array(), 'truncated', 0],
    ['half a header', good.subarray(0, 9), 'truncated', 8],
    ['another protocol', changed(0, 0x16), 'bad-value', 0],
    ['another version', changed(1, 2), 'bad-value', 1],
    ['command 0', changed(2, 0), 'bad-value', 2],
    ['command 5', changed(2, 5), 'bad-value', 2],
    ['a body that is cut off', good.subarray(0, -1), 'truncated', 8],
    ['a byte too many', concatBytes(good, Uint8Array.of(0)), 'trailing-bytes', 8],
    ['a device with another first byte', changed(13, 2), 'bad-value', 10],
    ['a subject without its NUL', changed(105, 0x41), 'bad-text', 37],
    ['an element that is longer than the body', changed(11, 0x7f), 'truncated', 10],
    ['a verify request without a certificate', changed(2, 1), 'missing-element', 153],
    ['an answer without a status', answer('08 00 01 00'), 'missing-element', 14],
    ['two statuses', answer('07 00 01 01 07 00 01 01'), 'duplicate-element', 14],
    ['a status of two bytes', answer('07 00 02 00 00'), 'bad-length', 10],
    ['status 2', answer('07 00 01 02'), 'bad-value', 10],
    ['success without a certificate', answer('07 00 01 00 09 00 04 00 00 00 01'), 'missing-element', 21],
    ['success without a time to live', answer('07 00 01 00 02 00 00'), 'missing-element', 17],
  ])('%s', (_what, bytes, code, offset) => {
    expect(() => decodeTvsMessage(bytes)).toThrow(expect.objectContaining({ name: 'FormatError', code, offset }));
  });

  test.each<[string, TvsMessage, string]>([
    ['a NUL in a name', { ...printedQuery, issuerName: 'CN=a\0b' }, 'bad-value'],
    ['a session that is no number of 32 bits', { ...printedQuery, sessionId: 2 ** 32 }, 'bad-value'],
    ['a body above 65,535 bytes', { ...printedQuery, serialNumber: new Uint8Array(65_500) }, 'too-large'],
    ['an element above 65,535 bytes', { ...printedQuery, serialNumber: new Uint8Array(70_000) }, 'too-large'],
    [
      'a role above 255',
      { kind: 'verify-answer', sessionId: 1, status: 'success', roles: [256], timeToLive: 1 },
      'bad-value',
    ],
  ])('%s is not encoded', (_what, message, code) => {
    expect(() => encodeTvsMessage(message)).toThrow(expect.objectContaining({ name: 'FormatError', code }));
  });

  test('elements that are not known are passed over, and an answer without roles grants none', () => {
    const bytes = answer('63 00 02 01 02 07 00 01 00 09 00 04 00 00 00 05 02 00 01 aa');
    expect(decodeTvsMessage(bytes)).toMatchObject({
      status: 'success',
      roles: [],
      timeToLive: 5,
      certificate: Uint8Array.of(0xaa),
    });
  });
});

const bytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });
const text = fc.string({ unit: 'grapheme', maxLength: 80 }).filter((value) => !value.includes('\0'));
const base = { sessionId: fc.nat(0xffff_ffff), ignored: fc.nat(255) };
const grant = {
  status: fc.constant('success' as const),
  roles: fc.array(fc.nat(255), { maxLength: 5 }),
  timeToLive: fc.nat(0xffff_ffff),
};
const refusal = { status: fc.constant('not-trusted' as const) };
const messages: fc.Arbitrary<TvsMessage> = fc.oneof(
  fc.record({ kind: fc.constant('verify-request' as const), ...base, device: text, certificate: bytes(300) }),
  fc.record({
    kind: fc.constant('query-request' as const),
    ...base,
    device: text,
    subjectName: text,
    issuerName: text,
    serialNumber: bytes(40),
  }),
  fc.record({ kind: fc.constant('verify-answer' as const), ...base, ...grant }),
  fc.record({ kind: fc.constant('verify-answer' as const), ...base, ...refusal }),
  fc.record({ kind: fc.constant('query-answer' as const), ...base, ...grant, certificate: bytes(300) }),
  fc.record({ kind: fc.constant('query-answer' as const), ...base, ...refusal }),
);

describe('laws', () => {
  test('what is encoded is decoded again', () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(decodeTvsMessage(encodeTvsMessage(message))).toEqual(message);
      }),
      { numRuns: 2000 },
    );
  });

  test('any bytes are decoded, or refused with a FormatError', () => {
    const broken = fc.tuple(messages, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }), fc.nat(400));
    const damaged = broken.map(([message, changes, length]) => {
      const encoded = encodeTvsMessage(message);
      for (const [at, value] of changes) if (at < encoded.length) encoded[at] = value;
      return length % 3 === 0 ? encoded.subarray(0, length) : encoded;
    });
    fc.assert(
      fc.property(fc.oneof(bytes(200), damaged), (input) => {
        try {
          const message = decodeTvsMessage(input);
          expect(decodeTvsMessage(encodeTvsMessage(message))).toEqual(message);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 5000 },
    );
  });

  test('a stream gives the same messages in whatever pieces it arrives', () => {
    const streams = fc.tuple(fc.array(messages, { maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 200 })));
    fc.assert(
      fc.property(streams, ([sent, cuts]) => {
        const whole = concatBytes(...sent.map(encodeTvsMessage));
        const reader = new TvsMessageReader();
        const received: TvsMessage[] = [];
        for (let at = 0, turn = 0; at < whole.length; turn += 1) {
          const piece = whole.subarray(at, at + (cuts[turn % Math.max(cuts.length, 1)] ?? 1));
          at += piece.length;
          reader.push(piece);
          for (let next = reader.next(); next !== undefined; next = reader.next())
            received.push(decodeTvsMessage(next));
        }
        expect(received).toEqual(sent);
        expect(reader.pending).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the reader of a stream', () => {
  test('refuses another protocol at its first byte', () => {
    const reader = new TvsMessageReader();
    reader.push(Uint8Array.of(0x47));
    expect(() => reader.next()).toThrow(expect.objectContaining({ code: 'bad-value', offset: 0 }));
  });

  test('refuses a length above its bound before the body arrives', () => {
    const reader = new TvsMessageReader(1000);
    reader.push(hex('57 01 03 00 00 00 00 01 ff ff'));
    expect(() => reader.next()).toThrow(expect.objectContaining({ code: 'too-large', offset: 8 }));
  });

  test('leaves what it was given as it was', () => {
    const sent = encodeTvsMessage(printedQuery);
    const shared = concatBytes(sent, sent);
    const before = shared.slice();
    const reader = new TvsMessageReader();
    reader.push(shared.subarray(0, 60));
    reader.push(Uint8Array.of(1, 2, 3));
    expect(shared).toEqual(before);
    expect(reader.pending).toBe(63);
  });
});
