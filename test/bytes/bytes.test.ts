import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  concatBytes,
  decodeNumber,
  encodeNumber,
  equalBytes,
  formatHex,
  parseHex,
  printable,
  Reader,
  Writer,
} from '../../src/bytes/index.js';
import { FormatError } from '../../src/errors.js';

const anyBytes = fc.uint8Array({ maxLength: 300 });

describe('Reader', () => {
  test('reads numbers big-endian and bytes as views, and counts offsets from the start of the input', () => {
    const input = Uint8Array.of(9, 9, 0x12, 0x34, 0xab, 1, 2, 3, 9);
    const reader = new Reader(input, 2, 8);
    expect(reader.remaining).toBe(6);
    expect(reader.peek()).toBe(0x12);
    expect(reader.u16('number')).toBe(0x1234);
    expect(reader.u8('byte')).toBe(0xab);
    expect(reader.offset).toBe(5);
    const bytes = reader.bytes(2, 'bytes');
    expect([...bytes]).toEqual([1, 2]);
    expect(bytes.buffer).toBe(input.buffer);
    reader.skip(1, 'rest');
    expect(reader.remaining).toBe(0);
    expect(reader.peek()).toBeUndefined();
    expect(reader.end).toBe(8);
  });

  test('never reads past its end, and names what was expected and where', () => {
    const reader = new Reader(Uint8Array.of(1, 2, 3, 4), 1, 3);
    for (const read of [() => reader.bytes(3, 'NAME'), () => reader.skip(3, 'NAME')]) {
      expect(read).toThrow(expect.objectContaining({ code: 'truncated', offset: 1, element: 'NAME' }));
      expect(read).toThrow('NAME at byte 1: 3 bytes expected, 2 left');
    }
    expect(reader.offset).toBe(1);
    reader.u8('x');
    expect(() => reader.u16('y')).toThrow(FormatError);
    reader.u8('x');
    expect(() => reader.u8('z')).toThrow(expect.objectContaining({ code: 'truncated', offset: 3, element: 'z' }));
  });
});

describe('Writer', () => {
  test('gives back what was written, over every growth', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 12 }), (parts) => {
        const writer = new Writer();
        for (const part of parts) writer.u16(part.length).bytes(part);
        const reader = new Reader(writer.finish());
        for (const part of parts) expect(reader.bytes(reader.u16('length'), 'part')).toEqual(part);
        expect(reader.remaining).toBe(0);
        expect(writer.length).toBe(reader.end);
      }),
    );
  });

  test('finish is a copy that later writing does not change', () => {
    const writer = new Writer().u8(1);
    const first = writer.finish();
    writer.u8(2);
    expect([...first]).toEqual([1]);
    expect([...writer.finish()]).toEqual([1, 2]);
  });
});

describe('numbers', () => {
  test.each([1, 2, 4] as const)('of %i bytes come back', (length) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 256 ** length - 1 }), (value) => {
        const bytes = encodeNumber(value, length);
        expect(bytes).toHaveLength(length);
        expect(decodeNumber(bytes)).toBe(value);
      }),
    );
  });

  test('are big-endian', () => {
    expect([...encodeNumber(0xfffefdfc, 4)]).toEqual([0xff, 0xfe, 0xfd, 0xfc]);
    expect(decodeNumber(Uint8Array.of(1, 0, 0, 0, 0, 0))).toBe(2 ** 40);
    expect(decodeNumber(new Uint8Array())).toBe(0);
  });
});

describe('hex', () => {
  test('comes back, with and without separators and in both cases', () => {
    fc.assert(
      fc.property(anyBytes, fc.constantFrom('', ':', ' ', ': ', '\n'), fc.boolean(), (bytes, separator, upper) => {
        const text = formatHex(bytes, separator);
        expect(text.replaceAll(separator, '')).toBe(Buffer.from(bytes).toString('hex'));
        expect(parseHex(upper ? text.toUpperCase() : text)).toEqual(bytes);
      }),
    );
  });

  test.each(['1', '123', 'zz', '1:2', '1 2', '0x12', '12-34', '12g4', '+1', '١٢'])('%j is none', (text) => {
    expect(parseHex(text)).toBeUndefined();
  });

  test('blanks around it do no harm', () => {
    expect(parseHex('  70:CA F6\n')).toEqual(Uint8Array.of(0x70, 0xca, 0xf6));
    expect(parseHex('')).toEqual(new Uint8Array());
  });
});

test('bytes are equal when all of them are', () => {
  fc.assert(
    fc.property(anyBytes, anyBytes, (left, right) => {
      expect(equalBytes(left, right)).toBe(Buffer.compare(left, right) === 0);
      expect(equalBytes(left, left.slice())).toBe(true);
    }),
  );
});

test('joined bytes stand one after the other', () => {
  fc.assert(
    fc.property(fc.array(anyBytes, { maxLength: 6 }), (parts) => {
      expect(concatBytes(...parts)).toEqual(new Uint8Array(Buffer.concat(parts)));
    }),
  );
});

describe('printable', () => {
  test('no control, direction or line character is left', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0x10ffff }), { maxLength: 60 }), (points) => {
        const text = String.fromCodePoint(...points);
        expect(printable(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
    );
  });

  test('says which character stood there, and leaves letters alone', () => {
    expect(printable('a\u001b[2Jb\u202ec\u2028d\u009b')).toBe('a\\u{1b}[2Jb\\u{202e}c\\u{2028}d\\u{9b}');
    expect(printable('Małopolska 東京 “x” 📞')).toBe('Małopolska 東京 “x” 📞');
  });
});
