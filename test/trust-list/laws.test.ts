import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { equalBytes } from '../../src/bytes/index.js';
import { FormatError } from '../../src/errors.js';
import { decodeSignedFile, decodeSignedHeader } from '../../src/signed-file/index.js';
import type { Element } from '../../src/tlv/index.js';
import {
  decodeTrustList,
  describeTrustList,
  diffTrustLists,
  draftOfRecord,
  encodeTrustList,
  signTrustList,
  verifyTrustList,
  type TrustList,
} from '../../src/trust-list/index.js';
import { knownLists, rebuildKnownList } from './known-lists.js';
import { assemble, layOutPieces, tags, type FilePieces, type Piece } from './pieces.js';
import { decodeOrRefuse, readOrRefuse, verifies } from './read-or-refuse.js';
import { anyList, makeListSigner, smallList } from './small-lists.js';

const signer = await makeListSigner();
const vector = new Uint8Array(readFileSync(new URL('../vectors/trust-list/ctl-tokenless.tlv', import.meta.url)));
const rebuilt = await Promise.all(
  knownLists.map(async (known) => [known.id, (await rebuildKnownList(known)).bytes] as const),
);

function digestOfPieces({ header }: FilePieces): string {
  const info = header.find(({ tag }) => tag === tags.header.signatureInfo);
  const code = info?.children?.find(({ tag }) => tag === tags.header.digestAlgorithm)?.value?.[0];
  return ['sha1', 'sha256', 'sha512'][code! - 1]!;
}

/** Decoded elements as the pieces they were put together from. */
function asPieces(elements: readonly Element[]): Piece[] {
  return elements.map(({ tag, value, children }) =>
    children === undefined ? { tag, value } : { tag, children: asPieces(children) },
  );
}

describe('decode(encode(x)) = x', () => {
  test('for any list: unknown elements, odd orders, padding, many records', () => {
    fc.assert(
      fc.property(anyList(signer), (pieces) => {
        const bytes = assemble(pieces, signer.key, digestOfPieces(pieces));
        const list = readOrRefuse(bytes);
        if (list instanceof FormatError) throw list;
        expect(verifyTrustList(list)).toMatchObject({ verified: true });
        expect(equalBytes(encodeTrustList(list), bytes)).toBe(true);
        expect(list.records).toHaveLength(pieces.records.length);
        list.records.forEach((record, index) => {
          expect(layOutPieces(asPieces(record.elements.slice(1)))).toEqual(layOutPieces(pieces.records[index]!));
        });
        const filled: readonly number[] = [tags.header.headerLength, tags.header.signature, 13];
        const withoutFilled = (all: readonly Piece[]): Piece[] => all.filter(({ tag }) => !filled.includes(tag));
        expect(layOutPieces(withoutFilled(asPieces(list.header.elements)))).toEqual(
          layOutPieces(withoutFilled(pieces.header)),
        );
        expect(list.header.elements.filter(({ tag }) => tag === 13)).toHaveLength(pieces.padding);
        expect(list.header.length + list.records.reduce((sum, { length }) => sum + length, 0)).toBe(bytes.length);
        expect(JSON.parse(JSON.stringify(describeTrustList(list)))).toEqual(describeTrustList(list));
        expect(diffTrustLists(list, list)).toMatchObject({ identical: true, added: [], removed: [], changed: [] });
      }),
      { numRuns: 100 },
    );
  });

  test('for what signTrustList writes: a list of its own records, signed again, is the same file', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyList(signer),
        fc.constantFrom('sha1', 'sha512'),
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.nat(255),
        async (pieces, digestAlgorithm, timestamp, signatureAlgorithm) => {
          const before = decodeTrustList(assemble(pieces, signer.key, digestOfPieces(pieces)));
          const signingRecord = before.records.findIndex((record) => record.function === 0 && isSigner(record));
          const draft = {
            version: { major: 1, minor: 2 },
            ...(timestamp % 2 === 0 ? { signerVersion: { major: 1, minor: 1 } } : {}),
            digestAlgorithm,
            signatureAlgorithm,
            timestamp,
            fileName: Buffer.from('CTLFile.tlv\0'),
            records: before.records.map(draftOfRecord),
            signingRecord,
          };
          const list = await signTrustList(draft, signer.signer);
          expect(list.header).toMatchObject({
            digestAlgorithm,
            timestamp,
            signatureAlgorithm,
            fileName: 'CTLFile.tlv',
          });
          expect(list.header.signerVersion).toEqual(draft.signerVersion);
          expect(list.header.length % 4).toBe(0);
          const body = (one: TrustList): Uint8Array => one.bytes.subarray(one.header.length);
          expect(equalBytes(body(list), body(before))).toBe(true);
          const again = await signTrustList({ ...draft, records: list.records.map(draftOfRecord) }, signer.signer);
          expect(equalBytes(again.bytes, list.bytes)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  function isSigner(record: TrustList['records'][number]): boolean {
    return record.serialNumber !== undefined && equalBytes(record.serialNumber, signer.serialNumber);
  }
});

describe('any bytes decode or are refused with an offset inside them', () => {
  const start = Uint8Array.of(1, 0, 2, 1, 2, 2, 0, 2);

  test('arbitrary ones', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, likeAList) => {
        const input = likeAList ? new Uint8Array([...start, ...bytes]) : bytes;
        readOrRefuse(input);
        decodeOrRefuse(input, decodeSignedHeader);
        decodeOrRefuse(input, decodeSignedFile);
      }),
      { numRuns: 3000 },
    );
  });

  test('lists with bytes changed, cut out and put in at several places', () => {
    const small = assemble(smallList(signer), signer.key);
    const edit = fc.record({
      place: fc.nat(),
      remove: fc.oneof(fc.constant(0), fc.constant(1), fc.nat(300)),
      insert: fc.oneof(
        fc.uint8Array({ maxLength: 4 }),
        fc.constant(Uint8Array.of(13)),
        fc.constant(new Uint8Array(300)),
      ),
    });
    const original = fc.constantFrom(small, ...rebuilt.map(([, bytes]) => bytes));
    fc.assert(
      fc.property(original, fc.array(edit, { minLength: 1, maxLength: 5 }), (bytes, edits) => {
        let changed = Buffer.from(bytes);
        for (const { place, remove, insert } of edits) {
          const at = place % (changed.length + 1);
          changed = Buffer.concat([changed.subarray(0, at), insert, changed.subarray(at + remove)]);
        }
        readOrRefuse(new Uint8Array(changed));
        decodeOrRefuse(changed, decodeSignedHeader);
        expect(verifies(new Uint8Array(changed))).toBe(equalBytes(changed, bytes));
      }),
      { numRuns: 800 },
    );
  });
});

describe('one flipped bit anywhere breaks the file or its signature', () => {
  function flips(bytes: Uint8Array, bitsOf: (index: number) => readonly number[]): string[] {
    const believed: string[] = [];
    const changed = bytes.slice();
    for (let index = 0; index < bytes.length; index += 1) {
      for (const bit of bitsOf(index)) {
        changed[index] = (bytes[index] ?? 0) ^ (1 << bit);
        if (verifies(changed)) believed.push(`byte ${String(index)}, bit ${String(bit)}`);
      }
      changed[index] = bytes[index] ?? 0;
    }
    expect(equalBytes(changed, bytes)).toBe(true);
    expect(verifies(changed)).toBe(true);
    return believed;
  }

  test.each(rebuilt)('%s: every byte', (_id, bytes) => {
    expect(flips(bytes, (index) => [index % 8])).toEqual([]);
  });

  test('a small list: every bit', () => {
    const small = assemble(smallList(signer), signer.key);
    expect(flips(small, () => [0, 1, 2, 3, 4, 5, 6, 7])).toEqual([]);
  });

  test('and is shown as failed, with the words that administrators look for', () => {
    const changed = vector.slice();
    for (let index = 10; index < vector.length; index += 7) {
      changed[index] = (vector[index] ?? 0) ^ (1 << (index % 8));
      readOrRefuse(changed);
      changed[index] = vector[index] ?? 0;
    }
  });
});
