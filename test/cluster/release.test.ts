import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/errors.js';
import {
  compareReleases,
  formatRelease,
  isAtLeast,
  parseRelease,
  tokensEnd,
  type Release,
} from '../../src/cluster/index.js';

/** From old to new; the spellings of one line are the same release. */
const inOrder = [
  ['7.1(5b)SU4', '7.1.5.34900', '7.1.5b SU4'],
  ['8.6(2)', '8.6.2'],
  ['8.6(2a)SU3', '8.6.2.23900'],
  ['9.1(2)SU2', '9.1.2.12900'],
  ['9.1(2)SU2a', '9.1.2.12901'],
  ['10.0', '10.0(1)', '10.0.1', '10.0.1.10000'],
  ['10.5.1', '10.5(1)', '10.5', '10.5.1.10000'],
  ['10.5.1.10000-7', '10.5.1.10000(7)', '10.5.1.10000.7'],
  ['10.5.2', '10.5(2)'],
  ['11.0(1)'],
  ['11.0(1a)', '11.0.1.20000'],
  ['11.5(1)SU8', '11.5.1.18900'],
  ['11.5(1)SU9', '11.5.1.21900'],
  ['12.0', '12', '12.0.1'],
  ['12.0(1)SU1', '12.0.1.21900'],
  ['12.0(1)SU2', '12.0.1.22900'],
  ['12.5(1)', '12.5'],
  ['12.5(1)SU2', '12.5(1) SU2', '12.5.1SU2', '12.5su2', '12.5.1.12900'],
  ['12.5(1)SU8', '12.5.1.18900'],
  ['12.5(1)SU9', '12.5.1.21900'],
  ['14', '14.0', '14.0.1', '14.0(1)'],
  ['14.0.1.11018-1'],
  ['14SU1', '14.0.1.11900'],
  ['14SU2', '14 SU2', '14SU 2', ' 14SU2 '],
  ['14SU2a', '14.0.1.12901'],
  ['14SU3', '14.0.1.13900', '14.0(1)SU3'],
  ['14.0.1.13900-155'],
  ['14.0.1.14901-1'],
  ['15'],
  ['15SU1'],
] as const;

describe('order', () => {
  const flat = inOrder.flatMap((spellings, age) => spellings.map((text) => ({ text, age })));

  test('every release against every other', () => {
    for (const left of flat) {
      for (const right of flat) {
        const order = compareReleases(parseRelease(left.text), parseRelease(right.text));
        expect([left.text, right.text, Math.sign(order)]).toEqual([
          left.text,
          right.text,
          Math.sign(left.age - right.age),
        ]);
      }
    }
  });

  test('tokens end with 14SU3, however it is written', () => {
    const with14Su3 = flat.findIndex(({ text }) => text === '14SU3');
    for (const [index, { text }] of flat.entries())
      expect([text, tokensEnd(parseRelease(text))]).toEqual([text, index >= with14Su3]);
  });

  test('isAtLeast', () => {
    expect(isAtLeast(parseRelease('12.0'), '12.0')).toBe(true);
    expect(isAtLeast(parseRelease('11.5(1)SU9'), '12.0')).toBe(false);
    expect(isAtLeast(parseRelease('12.5.1.10000-22'), '12.0')).toBe(true);
    expect(() => isAtLeast(parseRelease('12.0'), 'twelve')).toThrow(InputError);
  });
});

describe('spelling', () => {
  test('the text stays as written; format gives the usual spelling', () => {
    expect(parseRelease(' 12.5.1SU2 ').text).toBe('12.5.1SU2');
    const usual = {
      '10.5.1': '10.5(1)',
      '12.0': '12.0(1)',
      '12.5.1.12900': '12.5(1)SU2',
      '12.5su9': '12.5(1)SU9',
      '14.0.1.13900': '14SU3',
      '14.0.1.13900-155': '14.0.1.13900-155',
      '14.0.1.12901': '14SU2a',
      '14.0.1': '14',
      '14.1(2)SU1': '14.1(2)SU1',
      '15 SU2': '15SU2',
      '12.0(1)SU3': '12.0(1)SU3',
      // Builds without a sure name.
      '8.6(2a)SU3': '8.6.2.23900',
      '11.0(1a)': '11.0.1.20000',
      '14.0.1.11018-1': '14.0.1.11018-1',
    };
    for (const [text, expected] of Object.entries(usual)) expect(formatRelease(parseRelease(text))).toBe(expected);
  });

  test('what is no release', () => {
    const wrong = [
      '',
      ' ',
      'x',
      '0.5',
      '12.',
      '12..5',
      '12.5.',
      '12.5(',
      '12.5()',
      '12.5(0)',
      '14SU',
      '14SU0',
      'v14',
      '14SU3x4',
      '14.0.1.139',
      '14.0.1.13900-',
      '1234',
      '14.0.1.2.3',
      '14 SU  3',
      '٣',
      '14\nSU3',
      '12,5',
      '14.0.1.13900-155-2',
      '-1',
    ];
    for (const text of wrong) {
      expect(() => parseRelease(text), JSON.stringify(text)).toThrow(InputError);
    }
  });
});

describe('laws', () => {
  const release: fc.Arbitrary<Release> = fc
    .oneof(
      fc
        .tuple(
          fc.integer({ min: 1, max: 99 }),
          fc.integer({ min: 0, max: 99 }),
          fc.integer({ min: 1, max: 99 }),
          fc.integer({ min: 10_000, max: 99_999 }),
          fc.integer({ min: 0, max: 99_999 }),
        )
        .map(
          ([major, minor, maintenance, build, revision]) =>
            `${String(major)}.${String(minor)}.${String(maintenance)}.${String(build)}${revision % 2 === 0 ? '' : `-${String(revision)}`}`,
        ),
      fc
        .tuple(
          fc.integer({ min: 7, max: 16 }),
          fc.constantFrom('', '.0', '.5'),
          fc.constantFrom('', '(1)', '(2)', '(1a)'),
          fc.integer({ min: 0, max: 20 }),
          fc.constantFrom('', 'a', 'b'),
        )
        .map(
          ([major, minor, maintenance, update, patch]) =>
            `${String(major)}${minor}${minor === '' ? '' : maintenance}${update === 0 ? '' : `SU${String(update)}${patch}`}`,
        ),
      fc.constantFrom(...inOrder.flat()),
    )
    .map(parseRelease);

  test('a total order', () => {
    fc.assert(
      fc.property(release, release, release, (a, b, c) => {
        expect(compareReleases(a, a)).toBe(0);
        expect(Math.sign(compareReleases(a, b)) + Math.sign(compareReleases(b, a))).toBe(0);
        if (compareReleases(a, b) <= 0 && compareReleases(b, c) <= 0) {
          expect(compareReleases(a, c)).toBeLessThanOrEqual(0);
        }
        if (compareReleases(a, b) === 0) expect(compareReleases(a, c)).toBe(compareReleases(b, c));
      }),
      { numRuns: 2000 },
    );
  });

  test('what is formatted parses to an equal release, and formats the same again', () => {
    fc.assert(
      fc.property(release, (one) => {
        const text = formatRelease(one);
        const again = parseRelease(text);
        expect({ ...again, text: '' }).toEqual({ ...one, text: '' });
        expect(again.text).toBe(text);
        expect(formatRelease(again)).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });
});
