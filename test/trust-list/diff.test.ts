import { describe, expect, test } from 'vitest';
import { decodeTrustList, diffTrustLists, type TrustListDifference } from '../../src/trust-list/index.js';
import { assemble, tags, text, type FilePieces, type Piece } from './pieces.js';
import { headerPieces, makeListSigner, recordPieces, signatureInfo, type ListSigner } from './small-lists.js';

const signer = await makeListSigner();
const other = await makeListSigner('another', 0x11);
const renewed = await makeListSigner('cucm-1051-a-pub', 0x22);

function node(name: string, record: readonly Piece[]): Piece[] {
  return record.map((piece) => (piece.tag === tags.record.dnsName ? { ...piece, value: text(name) } : piece));
}

const pieces: FilePieces = {
  header: headerPieces(signer),
  padding: 0,
  records: [recordPieces(0, signer), recordPieces(2, signer), node('sub1', recordPieces(2, other))],
};

function diff(
  after: Partial<FilePieces>,
  by: ListSigner = signer,
  before: Partial<FilePieces> = {},
): TrustListDifference {
  const old = decodeTrustList(assemble({ ...pieces, ...before }, signer.key));
  return diffTrustLists(old, decodeTrustList(assemble({ ...pieces, ...after }, by.key)));
}

/** The difference in short: functions and nodes. */
function inShort({ added, removed, changed, reordered, identical }: TrustListDifference): object {
  const words = ({ function: number, dnsName }: { function: number; dnsName: string | undefined }): string =>
    `${String(number)} ${dnsName ?? ''}`;
  return {
    added: added.map(words),
    removed: removed.map(words),
    changed: changed.map(({ before, after, elements }) => [words(before), words(after), ...elements]),
    reordered,
    identical,
  };
}

const nothing = { added: [], removed: [], changed: [], reordered: false, identical: false };

test('identical files have no difference', () => {
  const difference = diff({});
  const length = difference.length.before;
  expect(difference).toEqual({
    added: [],
    removed: [],
    changed: [],
    reordered: false,
    length: { before: length, after: length },
    timestamp: { before: 0x54fa12e7, after: 0x54fa12e7 },
    identical: true,
  });
});

test('a new time alone leaves the records alone', () => {
  const header = pieces.header.map((piece) =>
    piece.tag === tags.header.timestamp ? { ...piece, value: Uint8Array.of(0x54, 0xfa, 0x12, 0xe8) } : piece,
  );
  const difference = diff({ header });
  expect(inShort(difference)).toEqual(nothing);
  expect(difference.timestamp).toEqual({ before: 0x54fa12e7, after: 0x54fa12e8 });
  expect(difference.signer).toBeUndefined();
  expect(difference.digestAlgorithm).toBeUndefined();
});

describe('records', () => {
  test('added', () => {
    const records = [...pieces.records, recordPieces(4, other)];
    const difference = diff({ records });
    expect(inShort(difference)).toEqual({ ...nothing, added: ['4 cucm-1051-a-pub'] });
    expect(difference.length.after - difference.length.before).toBe(difference.added[0]!.length);
  });

  test('removed', () => {
    expect(inShort(diff({ records: pieces.records.slice(0, 2) }))).toEqual({ ...nothing, removed: ['2 sub1'] });
  });

  test('reordered', () => {
    expect(inShort(diff({ records: [...pieces.records].reverse() }))).toEqual({ ...nothing, reordered: true });
  });

  test('added in the middle and at the start: what stays is not reordered', () => {
    const records = [recordPieces(4, other), pieces.records[0]!, recordPieces(21, other), ...pieces.records.slice(1)];
    expect(inShort(diff({ records }))).toEqual({ ...nothing, added: ['4 cucm-1051-a-pub', '21 cucm-1051-a-pub'] });
  });

  test('with a renewed certificate are changed, not removed and added', () => {
    const records = [pieces.records[0]!, recordPieces(2, renewed), pieces.records[2]!];
    const names = ['SERIALNUMBER', 'PUBLICKEY', 'SIGNATURE', 'CERTIFICATE'];
    const changed = [['2 cucm-1051-a-pub', '2 cucm-1051-a-pub', ...names]];
    expect(inShort(diff({ records }))).toEqual({ ...nothing, changed });
  });

  test('with another address or order of elements', () => {
    const moved = recordPieces(2, signer).map((piece) =>
      piece.tag === tags.record.ipAddress ? { ...piece, value: Uint8Array.of(10, 0, 0, 1) } : piece,
    );
    const inOrder = [pieces.records[0]!, moved, pieces.records[2]!];
    const changed = [['2 cucm-1051-a-pub', '2 cucm-1051-a-pub', 'IPADDRESS']];
    expect(inShort(diff({ records: inOrder }))).toEqual({ ...nothing, changed });
    const reversed = [pieces.records[0]!, [...pieces.records[1]!].reverse(), pieces.records[2]!];
    expect(inShort(diff({ records: reversed }))).toEqual(nothing);
  });

  test('with elements gone or new', () => {
    const shorter = pieces.records[1]!.filter(({ tag }) => tag !== tags.record.signature);
    const longer = [...pieces.records[2]!, { tag: 99, value: new Uint8Array(1) }];
    expect(inShort(diff({ records: [pieces.records[0]!, shorter, longer] }))).toMatchObject({
      changed: [
        ['2 cucm-1051-a-pub', '2 cucm-1051-a-pub', 'SIGNATURE'],
        ['2 sub1', '2 sub1', 'element 99'],
      ],
    });
  });

  test('emptied are changed, on the same node', () => {
    const emptied = pieces.records[1]!.filter(({ tag }) => tag === tags.record.dnsName || tag === tags.record.function);
    const { changed, added, removed } = diff({ records: [pieces.records[0]!, emptied, pieces.records[2]!] });
    expect([added, removed]).toEqual([[], []]);
    expect(changed[0]!.elements).toContain('CERTIFICATE');
  });

  test('of tokens have no node: another token is another record', () => {
    const token = (one: ListSigner): Piece[] => node('', recordPieces(0, one));
    const before = { records: [recordPieces(0, signer), token(other)] };
    const after = { records: [recordPieces(0, signer), token(renewed)] };
    expect(inShort(diff(after, signer, before))).toEqual({ ...nothing, added: ['0 '], removed: ['0 '] });
  });

  test('that stand there twice are counted twice', () => {
    const records = [...pieces.records, pieces.records[1]!];
    expect(inShort(diff({ records }))).toEqual({ ...nothing, added: ['2 cucm-1051-a-pub'] });
    expect(inShort(diff({}, signer, { records }))).toEqual({ ...nothing, removed: ['2 cucm-1051-a-pub'] });
  });

  test('whose issuers only look the same are not the same', () => {
    const issuer = (byte: number): Piece[] =>
      node('', recordPieces(0, other)).map((piece) =>
        piece.tag === tags.record.issuerName ? { ...piece, value: Uint8Array.of(byte, 0) } : piece,
      );
    const before = { records: [recordPieces(0, signer), issuer(0xff)] };
    const after = { records: [recordPieces(0, signer), issuer(0xfe)] };
    expect(inShort(diff(after, signer, before))).toEqual({ ...nothing, added: ['0 '], removed: ['0 '] });
  });
});

describe('the signer', () => {
  test('is told when it changes, in words', () => {
    const records = [recordPieces(0, other), ...pieces.records];
    const difference = diff({ header: headerPieces(other), records }, other);
    const serial = '11:CA:F6:4E';
    expect(difference.signer).toEqual({
      before: 'CN=cucm-1051-a-pub, issuer CN=cucm-1051-a-pub, serial 70:CA:F6:4E',
      after: `CN=another, issuer CN=another, serial ${serial}`,
    });
    expect(inShort(difference)).toMatchObject({ added: ['0 cucm-1051-a-pub'] });
  });

  test('is told when its name changes in bytes that look the same', () => {
    const header = (byte: number): Piece[] => headerPieces({ ...signer, name: Uint8Array.of(byte, 0) });
    const difference = diff({ header: header(0xfe) }, signer, { header: header(0xff) });
    expect(difference.signer?.before).toBe(difference.signer?.after);
    expect(difference.signer).toBeDefined();
  });

  test('and its digest', () => {
    const header = pieces.header.map((piece) => (piece.tag === tags.header.signatureInfo ? signatureInfo(3) : piece));
    expect(diff({ header }).digestAlgorithm).toEqual({ before: 'sha1', after: 'sha512' });
  });
});
