import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.js';
import { decodePacket, encodePacket, type TftpPacket } from '../../src/tftp/index.js';

const text = (from: Uint8Array): string => Buffer.from(from).toString('latin1');
const bytes = (from: string): Uint8Array => Uint8Array.from(Buffer.from(from, 'latin1'));

/** Packets as the RFCs print them. */
const known: readonly (readonly [string, TftpPacket])[] = [
  ['\0\x01CTLFile.tlv\0octet\0', { kind: 'read-request', name: 'CTLFile.tlv', mode: 'octet', options: [] }],
  ['\0\x02x\0netascii\0', { kind: 'write-request', name: 'x', mode: 'netascii', options: [] }],
  [
    '\0\x01x\0octet\0blksize\x001428\0tsize\x000\0',
    {
      kind: 'read-request',
      name: 'x',
      mode: 'octet',
      options: [
        { name: 'blksize', value: '1428' },
        { name: 'tsize', value: '0' },
      ],
    },
  ],
  ['\0\x03\x12\x34abc', { kind: 'data', block: 0x1234, data: bytes('abc') }],
  ['\0\x03\xff\xff', { kind: 'data', block: 65_535, data: bytes('') }],
  ['\0\x04\0\x01', { kind: 'acknowledgement', block: 1 }],
  ['\0\x05\0\x01File not found\0', { kind: 'error', code: 1, message: 'File not found' }],
  ['\0\x06windowsize\x0016\0', { kind: 'option-acknowledgement', options: [{ name: 'windowsize', value: '16' }] }],
];

describe('packets', () => {
  test.each(known)('%j is decoded and encoded', (encoded, packet) => {
    expect(decodePacket(bytes(encoded))).toEqual(packet);
    expect(text(encodePacket(packet))).toBe(encoded);
  });

  test('padding of zeros after the options, and an error without its last zero, are read', () => {
    expect(decodePacket(bytes('\0\x01x\0octet\0\0\0\0'))).toMatchObject({ name: 'x', options: [] });
    expect(decodePacket(bytes('\0\x05\0\x01gone'))).toEqual({ kind: 'error', code: 1, message: 'gone' });
  });

  test.each([
    ['', 'truncated', 0],
    ['\0', 'truncated', 0],
    ['\0\x07', 'bad-value', 0],
    ['\0\0', 'bad-value', 0],
    ['\0\x01x', 'truncated', 3],
    ['\0\x01x\0octet', 'truncated', 9],
    ['\0\x01x\0octet\0blksize\0', 'truncated', 18],
    ['\0\x01x\0octet\0\0y\0z\0', 'trailing-bytes', 12],
    ['\0\x01\xff\0octet\0', 'bad-text', 2],
    ['\0\x03\0', 'truncated', 2],
    ['\0\x04\0\x01\0', 'trailing-bytes', 4],
  ])('%j is refused: %s at %i', (encoded, code, offset) => {
    let error: unknown;
    try {
      decodePacket(bytes(encoded));
    } catch (reason) {
      error = reason;
    }
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({ code, offset });
  });

  test('a zero character in a text, and an option without a name, are not encoded', () => {
    const request = { kind: 'read-request', name: 'a\0b', mode: 'octet', options: [] } as const;
    expect(() => encodePacket(request)).toThrow(FormatError);
    expect(() => encodePacket({ kind: 'option-acknowledgement', options: [{ name: '', value: '1' }] })).toThrow(
      FormatError,
    );
  });
});

const word = fc.string({ unit: 'grapheme', maxLength: 40 }).map((value) => value.replaceAll('\0', ''));
const options = fc.array(fc.record({ name: word.filter((name) => name !== ''), value: word }), { maxLength: 5 });
const u16 = fc.integer({ min: 0, max: 65_535 });
const packets: fc.Arbitrary<TftpPacket> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('read-request' as const, 'write-request' as const),
    name: word,
    mode: word,
    options,
  }),
  fc.record({ kind: fc.constant('data' as const), block: u16, data: fc.uint8Array({ maxLength: 600 }) }),
  fc.record({ kind: fc.constant('acknowledgement' as const), block: u16 }),
  fc.record({
    kind: fc.constant('error' as const),
    code: u16,
    message: word.filter((one) => !one.startsWith('\ufeff')),
  }),
  fc.record({ kind: fc.constant('option-acknowledgement' as const), options }),
);

describe('laws', () => {
  test('what was encoded is decoded to the same', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        expect(decodePacket(encodePacket(packet))).toEqual(packet);
      }),
      { numRuns: 2000 },
    );
  });

  test('any bytes are a packet or a FormatError', () => {
    const start = fc.integer({ min: 0, max: 8 }).map((code) => Uint8Array.of(0, code));
    const input = fc.tuple(start, fc.uint8Array({ maxLength: 100 })).map((parts) => Buffer.concat(parts));
    fc.assert(
      fc.property(fc.oneof(input, fc.uint8Array({ maxLength: 20 })), (given) => {
        try {
          decodePacket(given);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 5000 },
    );
  });
});
