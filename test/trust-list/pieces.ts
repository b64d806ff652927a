import { sign, type KeyObject } from 'node:crypto';

/** An element of a file that a test puts together by itself, right or wrong. */
export interface Piece {
  readonly tag: number;
  readonly value?: Uint8Array;
  readonly children?: readonly Piece[];
}

/** A whole file in pieces. HEADERLENGTH, RECORDLENGTH and SIGNATURE are filled in when it is assembled. */
export interface FilePieces {
  readonly header: readonly Piece[];
  /** Bytes of padding after the header. */
  readonly padding: number;
  readonly records: readonly (readonly Piece[])[];
}

export const tags = {
  header: {
    version: 1,
    headerLength: 2,
    signerId: 3,
    signerName: 4,
    serialNumber: 5,
    issuerName: 6,
    signatureInfo: 7,
    digestAlgorithm: 8,
    signatureAlgorithmInfo: 9,
    signatureAlgorithm: 10,
    signatureModulus: 11,
    signature: 12,
    fileName: 14,
    timestamp: 15,
    signerVersion: 28,
  },
  record: {
    recordLength: 1,
    dnsName: 2,
    subjectName: 3,
    function: 4,
    issuerName: 5,
    serialNumber: 6,
    publicKey: 7,
    signature: 8,
    certificate: 9,
    ipAddress: 10,
    certificateHash: 11,
    hashAlgorithm: 12,
  },
} as const;

/** `tag u8 · length u16 · value`, written down a second time: what is tested must not check itself. */
export function layOutPiece({ tag, value, children }: Piece): Buffer {
  const content = children === undefined ? Buffer.from(value ?? []) : layOutPieces(children);
  return Buffer.concat([Buffer.of(tag, content.length >> 8, content.length & 0xff), content]);
}

export function layOutPieces(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map(layOutPiece));
}

export function text(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(`${value}\0`));
}

/** A record: RECORDLENGTH, then its elements. */
export function layOutRecord(pieces: readonly Piece[]): Buffer {
  const elements = layOutPieces(pieces);
  const length = elements.length + 5;
  return Buffer.concat([Buffer.of(1, 0, 2, length >> 8, length & 0xff), elements]);
}

/** The bytes of a file, signed over everything but its SIGNATURE element when a key is given. */
export function assemble(pieces: FilePieces, key?: KeyObject, digest = 'sha1'): Uint8Array {
  const body = Buffer.concat(pieces.records.map(layOutRecord));
  const padding = Buffer.alloc(pieces.padding, 0x0d);
  const length = layOutPieces(pieces.header).length + padding.length;
  const headerLength = { tag: tags.header.headerLength, value: Uint8Array.of(length >> 8, length & 0xff) };
  const header = pieces.header.map((piece) => (piece.tag === headerLength.tag ? headerLength : piece));
  if (key === undefined) return new Uint8Array(Buffer.concat([layOutPieces(header), padding, body]));
  const others = header.filter((piece) => piece.tag !== tags.header.signature);
  const signature = sign(digest, Buffer.concat([layOutPieces(others), padding, body]), key);
  const signed = header.map((piece) => (piece.tag === tags.header.signature ? { ...piece, value: signature } : piece));
  return new Uint8Array(Buffer.concat([layOutPieces(signed), padding, body]));
}

/**
 * A file without its SIGNATURE element, and the signature, found as trust-list-format.md describes it: an element is
 * tag, length and value; a container has only tag and length of its own.
 */
export function cutSignature(file: Uint8Array): {
  signed: Uint8Array;
  signature: Uint8Array;
  start: number;
  end: number;
} {
  const containers: readonly number[] = [3, 7, 9];
  let start = 0;
  for (;;) {
    const tag = file[start]!;
    const length = file[start + 1]! * 256 + file[start + 2]!;
    const end = start + 3 + length;
    if (tag === tags.header.signature) {
      const signed = new Uint8Array(Buffer.concat([file.subarray(0, start), file.subarray(end)]));
      return { signed, signature: file.slice(start + 3, end), start, end };
    }
    start = containers.includes(tag) ? start + 3 : end;
  }
}

/** Signs a file again after its bytes were changed outside the SIGNATURE element, which stays where it is. */
export function signAgain(file: Uint8Array, place: { start: number; end: number }, key: KeyObject): Uint8Array {
  const signed = file.slice();
  signed.set(
    sign('sha1', Buffer.concat([file.subarray(0, place.start), file.subarray(place.end)]), key),
    place.start + 3,
  );
  return signed;
}
