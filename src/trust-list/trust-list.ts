import { concatBytes, equalBytes } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import {
  decodeHeaderElements,
  describeHeader,
  headerElements,
  headerTag,
  type HeaderElements,
  type SignedHeader,
} from '../signed-file/index.js';
import { encodeElements, findElement, throwFault, type ReportFault } from '../tlv/index.js';
import { decodeRecordElements, describeRecord, type RecordElements, type TrustListRecord } from './record.js';
import { recordElements, recordFunction, recordTag } from './record-elements.js';

/** A CTL or ITL: a signed header and records. */
export interface TrustList {
  /** The file as it was read: what is verified is these bytes. */
  readonly bytes: Uint8Array;
  readonly header: SignedHeader;
  readonly records: readonly TrustListRecord[];
}

/** What a lenient reading of a trust list found. */
export interface TrustListReading {
  readonly bytes: Uint8Array;
  readonly header: HeaderElements;
  readonly records: readonly RecordElements[];
  /** What is wrong, in the order of the file, the first hundred at the most; empty when nothing is. */
  readonly faults: readonly FormatError[];
  /** The list, when nothing is wrong. */
  readonly list?: TrustList;
}

/** A list above this many bytes does not load on phones. */
export const largestTrustList = 65_535;

/** Sixteen times what phones load: what is larger is not a list, and is not worth the memory. */
const largestInput = 1024 * 1024;

/** So many faults tell that a file is broken; a hostile one could have one for every byte. */
const mostFaults = 100;

/**
 * Decodes a trust list strictly: every length, element and record must be right. Unknown tags and unusual orders are
 * kept, and {@link encodeTrustList} gives the same bytes again.
 *
 * @throws FormatError with the offset in bytes and the element's name.
 */
export function decodeTrustList(bytes: Uint8Array): TrustList {
  refuseLarge(bytes);
  const header = describeHeader(decodeHeaderElements(bytes));
  checkVersion(bytes, throwFault);
  const records: TrustListRecord[] = [];
  for (const elements of decodeRecordElements(bytes, header.length)) records.push(describeRecord(elements));
  return { bytes, header, records };
}

/**
 * Reads a trust list leniently: as much as can be shown, and everything that is wrong with it.
 *
 * @throws FormatError only when the first ten bytes are not those of a trust list, or it is far too large.
 */
export function readTrustList(bytes: Uint8Array): TrustListReading {
  refuseLarge(bytes);
  const faults: FormatError[] = [];
  const report: ReportFault = (fault) => {
    if (faults.length < mostFaults) faults.push(fault);
  };
  const header = decodeHeaderElements(bytes, report);
  checkVersion(bytes, report);
  const records = decodeRecordElements(bytes, header.length, report);
  if (faults.length > 0) {
    faults.sort((left, right) => left.offset - right.offset);
    return { bytes, header, records, faults };
  }
  const list = { bytes, header: describeHeader(header), records: records.map(describeRecord) };
  return { bytes, header, records, faults, list };
}

/** The bytes of a list, made from its elements: what was decoded gives the bytes that were read. */
export function encodeTrustList(list: Pick<TrustList, 'header' | 'records'>): Uint8Array {
  return concatBytes(
    encodeElements(list.header.elements, headerElements),
    ...list.records.map((record) => encodeElements(record.elements, recordElements)),
  );
}

/**
 * The records that the header names as the signer: function 0, issuer and serial byte for byte those of CANAME and
 * SERIALNUMBER (trust-list-format.md, Serial numbers). One is right.
 */
export function signingRecords(list: TrustList): readonly TrustListRecord[] {
  const issuer = findElement(list.header.elements, headerTag.issuerName)?.value ?? new Uint8Array();
  return list.records.filter((record) => {
    if (record.function !== recordFunction.sast || record.serialNumber === undefined) return false;
    if (!equalBytes(record.serialNumber, list.header.serialNumber)) return false;
    const name = record.elements.find((element) => element.tag === recordTag.issuerName);
    return name !== undefined && equalBytes(name.value, issuer);
  });
}

/** Whether a file calls itself a CTL or an ITL: by FILENAME, as in `CTLFile.tlv` and `ITLSEP001122334455.tlv`. */
export function trustListKind(fileName: string): 'CTL' | 'ITL' | undefined {
  const start = fileName.slice(0, 3).toUpperCase();
  return start === 'CTL' || start === 'ITL' ? start : undefined;
}

function refuseLarge(bytes: Uint8Array): void {
  if (bytes.length > largestInput) {
    throw new FormatError('too-large', `${String(bytes.length)} bytes; phones load 65,535 at the most`, {
      offset: largestInput,
    });
  }
}

/** VERSION is the first element of a header, with its value at the bytes 3 and 4. */
function checkVersion(bytes: Uint8Array, report: ReportFault): void {
  const [major = 0, minor = 0] = bytes.subarray(3, 5);
  if (major === 1 && minor > 0) return;
  const isSignedFile = (major === 1 && minor === 0) || major === 2;
  report(
    new FormatError(
      'bad-value',
      `version 1.2 expected, ${String(major)}.${String(minor)} found`,
      { offset: 3, element: 'VERSION' },
      isSignedFile ? { hint: 'this looks like a signed file (.sgn), not like a trust list' } : {},
    ),
  );
}
