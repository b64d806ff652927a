import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { equalBytes, Reader } from '../../src/bytes/index.js';
import { FormatError } from '../../src/errors.js';
import {
  decodeElements,
  decodeText,
  elementLength,
  elementName,
  encodeElements,
  encodeText,
  findElement,
  firstElements,
  formatElements,
  type Element,
  type ElementDraft,
} from '../../src/tlv/index.js';
import { anyElements, encodeSample, layOut, sampleElements } from './elements.js';

function decodeSample(bytes: Uint8Array): Element[] {
  return decodeElements(bytes, new Reader(bytes), sampleElements);
}

/** All faults of a lenient reading, and what was read. */
function readSample(bytes: Uint8Array): { elements: Element[]; faults: FormatError[] } {
  const faults: FormatError[] = [];
  const elements = decodeElements(bytes, new Reader(bytes), sampleElements, (fault) => void faults.push(fault));
  return { elements, faults };
}

/** Decoded elements as the drafts they came from. */
function asDrafts(elements: readonly Element[]): ElementDraft[] {
  return elements.map(({ tag, value, children }) => {
    if (tag === 13) return { tag };
    return children === undefined ? { tag, value } : { tag, children: asDrafts(children) };
  });
}

describe('laws', () => {
  test('elements of every kind, in any order, with unknown ones and padding, come back', () => {
    fc.assert(
      fc.property(anyElements, (drafts) => {
        const bytes = encodeSample(drafts);
        expect(Buffer.from(bytes)).toEqual(layOut(drafts));
        const elements = decodeSample(bytes);
        expect(asDrafts(elements)).toEqual(drafts);
        expect(encodeSample(elements)).toEqual(bytes);
        const lengths = elements.map((element) => elementLength(element, sampleElements));
        expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(bytes.length);
      }),
    );
  });

  test('any bytes decode, and encode to the same, or are refused at an offset inside them', () => {
    const nearlyElements = fc
      .tuple(anyElements, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
      .map(([drafts, changes]) => {
        const bytes = encodeSample(drafts);
        for (const [place, value] of changes) if (bytes.length > 0) bytes[place % bytes.length] = value;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), nearlyElements), (bytes) => {
        let elements: Element[];
        try {
          elements = decodeSample(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          expect((error as FormatError).offset).toBeGreaterThanOrEqual(0);
          expect((error as FormatError).offset).toBeLessThanOrEqual(bytes.length);
          expect(readSample(bytes).faults[0]).toMatchObject({ code: (error as FormatError).code });
          return;
        }
        expect(encodeSample(elements)).toEqual(bytes);
        expect(readSample(bytes)).toEqual({ elements, faults: [] });
      }),
      { numRuns: 2000 },
    );
  });

  test('texts come back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(decodeText(encodeText(text))).toBe(text);
      }),
    );
  });
});

describe('faults say what, where and what was expected', () => {
  test.each<[string, number[], string, number, string]>([
    ['a value longer than what is left', [2, 0, 9, 65, 0], 'truncated', 0, 'TEXT at byte 0: 9 bytes expected, 2 left'],
    ['a length cut off', [1, 0, 0, 2, 0], 'truncated', 3, 'TEXT at byte 3: 2 bytes expected, 1 left'],
    ['a tag alone', [99], 'truncated', 0, 'element 99 at byte 0: 2 bytes expected, 0 left'],
    ['a number of another length', [3, 0, 1, 7], 'bad-length', 0, 'NUMBER at byte 0: 2 bytes expected, 1 found'],
    ['one of two lengths', [4, 0, 7, 6, 0, 4, 7, 0, 1, 0], 'bad-length', 6, 'DEEP at byte 6: 0 or 4 bytes expected, 1'],
    ['a text without its NUL', [2, 0, 1, 65], 'bad-text', 0, 'TEXT at byte 0: a text without its closing NUL'],
    ['a text of no bytes', [2, 0, 0], 'bad-text', 0, 'TEXT at byte 0: a text without its closing NUL'],
    ['a NUL inside', [2, 0, 3, 65, 0, 0], 'bad-text', 0, 'TEXT at byte 0: a text with a NUL before its end'],
    ['an element twice', [1, 0, 0, 1, 0, 0], 'duplicate-element', 3, 'PLAIN at byte 3: an element that was there'],
    ['a far tag twice', [200, 0, 0, 200, 0, 0], 'duplicate-element', 3, 'FAR at byte 3'],
    ['an element outside its container', [5, 0, 1, 0], 'misplaced-element', 0, 'INSIDE at byte 0: an element outside'],
    ['a container in itself', [4, 0, 3, 4, 0, 0], 'misplaced-element', 3, 'OUTER at byte 3: an element outside'],
    ['a top element in a container', [4, 0, 3, 1, 0, 0], 'misplaced-element', 3, 'PLAIN at byte 3'],
    [
      'a child longer than its container',
      [4, 0, 4, 5, 0, 2, 0, 0],
      'truncated',
      3,
      'INSIDE at byte 3: 2 bytes expected',
    ],
  ])('%s', (_what, bytes, code, offset, message) => {
    const decode = (): unknown => decodeSample(Uint8Array.from(bytes));
    expect(decode).toThrow(expect.objectContaining({ code, offset }));
    expect(decode).toThrow(message);
  });

  test('a lenient reading goes on after them, and keeps what there is of the value', () => {
    const { elements, faults } = readSample(Uint8Array.of(3, 0, 1, 7, 5, 0, 1, 0, 1, 0, 0, 1, 0, 0, 2, 0, 9, 65));
    expect(faults.map((fault) => [fault.code, fault.offset])).toEqual([
      ['bad-length', 0],
      ['misplaced-element', 4],
      ['duplicate-element', 11],
      ['truncated', 14],
      ['bad-text', 14],
    ]);
    expect(elements.map(({ tag, value }) => [tag, ...value])).toEqual([[3, 7], [5, 0], [1], [1], [2, 65]]);
  });

  test('containers in containers without end are not followed: the stack is not the limit', () => {
    const bytes = new Uint8Array(65_535);
    for (let offset = 0; offset + 3 <= bytes.length; offset += 3) {
      const length = bytes.length - offset - 3;
      bytes.set([4, length >> 8, length & 0xff], offset);
    }
    expect(() => decodeSample(bytes)).toThrow(expect.objectContaining({ code: 'misplaced-element', offset: 3 }));
    const { elements, faults } = readSample(bytes);
    expect(faults).toHaveLength(1);
    expect(equalBytes(encodeSample(elements), bytes)).toBe(true);
  });
});

test('a value above 65,535 bytes does not fit', () => {
  const tooLong = { tag: 1, value: new Uint8Array(65_536) };
  expect(() => encodeSample([{ tag: 3, value: new Uint8Array(2) }, tooLong])).toThrow(
    expect.objectContaining({ code: 'too-large', element: 'PLAIN', offset: 5 }),
  );
  expect(() => encodeSample([{ tag: 4, children: [{ tag: 1, value: new Uint8Array(65_535) }] }])).toThrow(
    expect.objectContaining({ code: 'too-large', element: 'OUTER' }),
  );
  expect(encodeSample([{ tag: 1, value: new Uint8Array(65_535) }])).toHaveLength(65_538);
});

test('elements are found in containers too, the first of several', () => {
  const { elements } = readSample(Uint8Array.of(4, 0, 7, 6, 0, 4, 7, 0, 1, 9, 7, 0, 1, 8));
  expect(findElement(elements, 7)?.value).toEqual(Uint8Array.of(9));
  expect(findElement(elements, 2)).toBeUndefined();
  const first = firstElements(elements);
  expect(first[7]).toBe(findElement(elements, 7));
  expect(first[6]).toBe(elements[0]?.children?.[0]);
  expect(first[2]).toBeUndefined();
});

test('names are the table’s, or say the number', () => {
  expect(elementName(4, sampleElements)).toBe('OUTER');
  expect(elementName(99, sampleElements)).toBe('element 99');
});

describe('text', () => {
  test('without its NUL, and only the closing one', () => {
    expect(decodeText(Uint8Array.of(65, 66, 0))).toBe('AB');
    expect(decodeText(Uint8Array.of(65, 66))).toBe('AB');
    expect(decodeText(Uint8Array.of(65, 0, 0))).toBe('A\0');
    expect(decodeText(new Uint8Array())).toBe('');
  });

  test('bytes that are no UTF-8 become U+FFFD, a byte order mark stays', () => {
    expect(decodeText(Uint8Array.of(0x4d, 0xff, 0x6f, 0))).toBe('M\ufffdo');
    expect(decodeText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x41, 0))).toBe('\ufeffA');
  });
});

describe('the dump', () => {
  test('says offset, tag, name, length and bytes of each element, with text beside it', () => {
    const bytes = encodeElements(
      [
        { tag: 1, value: Uint8Array.from({ length: 18 }, (_, index) => index) },
        { tag: 4, children: [{ tag: 5, value: encodeText('a\u001b\u202e') }] },
        { tag: 99, value: new Uint8Array() },
        { tag: 13 },
      ],
      sampleElements,
    );
    expect(formatElements(decodeSample(bytes), sampleElements)).toBe(
      [
        '000000  1 PLAIN, 18 bytes',
        '000003    00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f',
        '000013    10 11',
        '000015  4 OUTER, 9 bytes',
        '000018    5 INSIDE, 6 bytes  "a\\u{1b}\\u{202e}"',
        '00001b      61 1b e2 80 ae 00',
        '000021  99 element 99, 0 bytes',
        '000024  13 PADDING',
        '',
      ].join('\n'),
    );
  });

  test('holds no control character but newlines', () => {
    fc.assert(
      fc.property(anyElements, (drafts) => {
        expect(formatElements(decodeSample(encodeSample(drafts)), sampleElements)).not.toMatch(/(?!\n)\p{Cc}/u);
      }),
    );
  });
});
