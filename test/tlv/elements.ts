import fc from 'fast-check';
import { elementTable, encodeElements, type ElementDraft, type ElementTable } from '../../src/tlv/index.js';

/** A table with one element of each kind, and a container inside another. */
export const sampleElements: ElementTable = elementTable([
  { tag: 1, name: 'PLAIN', kind: 'plain' },
  { tag: 2, name: 'TEXT', kind: 'text' },
  { tag: 3, name: 'NUMBER', kind: 'number', lengths: [2] },
  { tag: 4, name: 'OUTER', kind: 'container' },
  { tag: 5, name: 'INSIDE', kind: 'text', parent: 4 },
  { tag: 6, name: 'INNER', kind: 'container', parent: 4 },
  { tag: 7, name: 'DEEP', kind: 'plain', lengths: [0, 4], parent: 6 },
  { tag: 13, name: 'PADDING', kind: 'padding' },
  { tag: 200, name: 'FAR', kind: 'plain' },
]);

/** A text value: any bytes without NUL, also such as are no UTF-8, and the closing NUL. */
const textValue = fc
  .uint8Array({ min: 1, maxLength: 40 })
  .map((bytes) => new Uint8Array([...bytes.filter((byte) => byte !== 0), 0]));
const plainValue = fc.uint8Array({ maxLength: 40 });
const unknownTag = fc.integer({ min: 0, max: 255 }).filter((tag) => !sampleElements.has(tag));

const unknownElements: fc.Arbitrary<ElementDraft[]> = fc.array(fc.record({ tag: unknownTag, value: plainValue }), {
  maxLength: 4,
});

/** Some of the elements, some unknown ones, in any order. */
function inAnyOrder(...known: fc.Arbitrary<ElementDraft>[]): fc.Arbitrary<ElementDraft[]> {
  return fc
    .tuple(
      fc.tuple(...known).chain((all) => fc.subarray(all)),
      unknownElements,
    )
    .map(([some, unknown]) => [...some, ...unknown])
    .chain((all) => fc.shuffledSubarray(all, { minLength: all.length }));
}

/** Everything that {@link sampleElements} allows: any order, unknown tags, padding anywhere at the top. */
export const anyElements: fc.Arbitrary<ElementDraft[]> = inAnyOrder(
  fc.record({ tag: fc.constant(1), value: plainValue }),
  fc.record({ tag: fc.constant(2), value: textValue }),
  fc.record({ tag: fc.constant(3), value: fc.uint8Array({ minLength: 2, maxLength: 2 }) }),
  fc.record({
    tag: fc.constant(4),
    children: inAnyOrder(
      fc.record({ tag: fc.constant(5), value: textValue }),
      fc.record({
        tag: fc.constant(6),
        children: inAnyOrder(
          fc.record({ tag: fc.constant(7), value: fc.constantFrom(new Uint8Array(), new Uint8Array(4)) }),
        ),
      }),
    ),
  }),
  fc.record({ tag: fc.constant(13) }),
  fc.record({ tag: fc.constant(13) }),
  fc.record({ tag: fc.constant(200), value: plainValue }),
);

/** What the encoder makes of elements, written down a second time: tag, length, value. */
export function layOut(elements: readonly ElementDraft[]): Buffer {
  return Buffer.concat(
    elements.map(({ tag, value, children }) => {
      if (tag === 13) return Buffer.of(tag);
      const content = children === undefined ? Buffer.from(value ?? []) : layOut(children);
      return Buffer.concat([Buffer.of(tag, content.length >> 8, content.length & 0xff), content]);
    }),
  );
}

export function encodeSample(elements: readonly ElementDraft[]): Uint8Array {
  return encodeElements(elements, sampleElements);
}
