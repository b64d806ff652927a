import { decodeNumber, Reader } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import type { DigestAlgorithm } from '../signer/index.js';
import {
  decodeElements,
  decodeText,
  elementLength,
  elementName,
  firstElements,
  throwFault,
  type Element,
  type ReportFault,
} from '../tlv/index.js';
import {
  digestCodes,
  encryptedHeaderElements,
  encryptedMajor,
  headerElements,
  headerTag,
  mandatoryHeaderTags,
  modulusLengths,
} from './header-elements.js';

/** Major and minor number. */
export interface Version {
  readonly major: number;
  readonly minor: number;
}

/** The signed header that CTL, ITL and .sgn files begin with. */
export interface SignedHeader {
  /** The whole header in bytes, padding included: the body begins there. */
  readonly length: number;
  readonly version: Version;
  readonly signerVersion?: Version;
  readonly signerName: string;
  readonly serialNumber: Uint8Array;
  readonly issuerName: string;
  readonly digestAlgorithm: DigestAlgorithm;
  /** 0 is RSA PKCS#1 v1.5; any other number is kept as it was read. */
  readonly signatureAlgorithm: number;
  readonly signature: Uint8Array;
  /** The bytes from the tag of SIGNATURE to the end of its value: what is left out of what is signed. */
  readonly signatureSpan: { readonly start: number; readonly end: number };
  readonly fileName: string;
  /** Seconds since 1970-01-01 UTC. */
  readonly timestamp: number;
  /** All elements in the order of the file. */
  readonly elements: readonly Element[];
}

/** The elements of a header, and where it ends, as far as they can be read. */
export interface HeaderElements {
  readonly elements: readonly Element[];
  /** HeaderLength, or the end of the file when that is nearer. */
  readonly length: number;
}

/** Padding fills up to the next multiple of four. */
const mostPadding = 3;

/**
 * Reads the elements of a header and checks their order, presence and lengths.
 *
 * @throws FormatError through `report`.
 */
export function decodeHeaderElements(input: Uint8Array, report: ReportFault = throwFault): HeaderElements {
  const length = decodeHeaderLength(input, report);
  const table = input[3] === encryptedMajor ? encryptedHeaderElements : headerElements;
  const elements = decodeElements(input, new Reader(input, 0, length), table, report);
  const byTag = firstElements(elements);
  for (const tag of mandatoryHeaderTags) {
    if (byTag[tag] === undefined) {
      const element = elementName(tag, table);
      report(new FormatError('missing-element', 'not in the header', { offset: length, element }));
    }
  }
  checkPadding(elements, report);
  checkNumbers(byTag, report);
  return { elements, length };
}

/**
 * Decodes a signed header strictly.
 *
 * @throws FormatError
 */
export function decodeSignedHeader(input: Uint8Array): SignedHeader {
  return describeHeader(decodeHeaderElements(input));
}

/** Gives names to the elements of a header that was read without a fault. */
export function describeHeader({ elements, length }: HeaderElements): SignedHeader {
  const byTag = firstElements(elements);
  const valueOf = (tag: number): Uint8Array => byTag[tag]?.value ?? new Uint8Array();
  const signature = byTag[headerTag.signature];
  const start = signature?.offset ?? 0;
  const signerVersion = byTag[headerTag.signerVersion];
  return {
    length,
    version: decodeVersion(valueOf(headerTag.version)),
    ...(signerVersion === undefined ? {} : { signerVersion: decodeVersion(signerVersion.value) }),
    signerName: decodeText(valueOf(headerTag.signerName)),
    serialNumber: valueOf(headerTag.serialNumber),
    issuerName: decodeText(valueOf(headerTag.issuerName)),
    digestAlgorithm: digestCodes.get(decodeNumber(valueOf(headerTag.digestAlgorithm))) ?? 'sha1',
    signatureAlgorithm: decodeNumber(valueOf(headerTag.signatureAlgorithm)),
    signature: valueOf(headerTag.signature),
    signatureSpan: { start, end: signature === undefined ? start : start + elementLength(signature, headerElements) },
    fileName: decodeText(valueOf(headerTag.fileName)),
    timestamp: decodeNumber(valueOf(headerTag.timestamp)),
    elements,
  };
}

function decodeVersion(value: Uint8Array): Version {
  return { major: value[0] ?? 0, minor: value[1] ?? 0 };
}

/** Where the header ends: at HEADERLENGTH, or with the file. */
function decodeHeaderLength(input: Uint8Array, report: ReportFault): number {
  const length = decodeLengthElement(input);
  if (length > input.length) {
    const found = `a header of ${String(length)} bytes in a file of ${String(input.length)} bytes`;
    report(new FormatError('truncated', found, { offset: 5, element: 'HEADERLENGTH' }));
  }
  return Math.min(length, input.length);
}

/** VERSION and HEADERLENGTH in bytes. */
export const headerStart = 10;

/**
 * HEADERLENGTH, from the first {@link headerStart} bytes of a file. VERSION and HEADERLENGTH always come first: without
 * them the header has no end.
 *
 * @throws FormatError
 */
export function decodeLengthElement(input: Uint8Array): number {
  // header ::= 1 · 2 · VERSION u8 u8 · 2 · 2 · HEADERLENGTH u16 · further elements · padding
  const start = [0, headerTag.version, 5, headerTag.headerLength] as const;
  for (const [offset, tag] of [
    [start[0], start[1]],
    [start[2], start[3]],
  ] as const) {
    const element = elementName(tag, headerElements);
    if (input.length < offset + 5) {
      const what = input.length === 0 ? 'the file is empty' : 'the file ends inside the first elements of its header';
      throw new FormatError('truncated', what, { offset, element });
    }
    if (input[offset] !== tag || input[offset + 1] !== 0 || input[offset + 2] !== 2) {
      throw new FormatError(
        'bad-value',
        `${String(tag)} 0 2 expected, ${[...input.subarray(offset, offset + 3)].join(' ')} found`,
        { offset, element },
        { hint: `this is ${likelyKind(input)}; CTL, ITL and .sgn files begin with 1 0 2` },
      );
    }
  }
  const length = new Reader(input, 8).u16('HEADERLENGTH');
  const place = { offset: 5, element: 'HEADERLENGTH' };
  if (length < headerStart) throw new FormatError('bad-length', `a header of ${String(length)} bytes cannot be`, place);
  return length;
}

/** What a file is that someone took for a trust list. */
function likelyKind(input: Uint8Array): string {
  if (input[0] === 0x30) return 'a certificate or key in DER, no trust list or signed file';
  const start = String.fromCharCode(...input.subarray(0, 11));
  return start === '-----BEGIN ' ? 'PEM, no trust list or signed file' : 'no trust list or signed file';
}

function checkPadding(elements: readonly Element[], report: ReportFault): void {
  const first = elements.findIndex((element) => element.tag === headerTag.padding);
  if (first < 0) return;
  const count = elements.length - first;
  const place = { offset: elements[first]?.offset ?? 0, element: 'PADDING' };
  if (elements.slice(first).some((element) => element.tag !== headerTag.padding)) {
    report(new FormatError('misplaced-element', 'padding before the end of the header', place));
  } else if (count > mostPadding) {
    report(new FormatError('bad-length', `${String(count)} bytes of padding, three are the most`, place));
  }
}

function checkNumbers(byTag: readonly (Element | undefined)[], report: ReportFault): void {
  const digest = byTag[headerTag.digestAlgorithm];
  if (digest?.value.length === 1 && !digestCodes.has(digest.value[0] ?? 0)) {
    const place = { offset: digest.offset, element: 'DIGESTALGORTITHM' };
    report(new FormatError('bad-value', `no digest has the number ${String(digest.value[0])}`, place));
  }
  const modulus = byTag[headerTag.signatureModulus];
  const signature = byTag[headerTag.signature];
  if (modulus?.value.length !== 1 || signature === undefined) return;
  const wanted = modulusLengths[modulus.value[0] ?? 0];
  if (wanted === signature.value.length) return;
  const place = { offset: signature.offset, element: 'SIGNATURE' };
  const expected = wanted === undefined ? 'no modulus has' : `${String(wanted)} bytes belong to`;
  report(
    new FormatError(
      'bad-length',
      `${expected} SIGNATUREMODULUS ${String(modulus.value[0])}; the signature has ${String(signature.value.length)}`,
      place,
    ),
  );
}
