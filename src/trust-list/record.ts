import { decodeNumber, equalBytes, Reader } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { digestCodes } from '../signed-file/index.js';
import { digestOf, type DigestAlgorithm } from '../signer/index.js';
import {
  decodeElements,
  decodeText,
  elementName,
  findElement,
  throwFault,
  type Element,
  type ReportFault,
} from '../tlv/index.js';
import { recordElements, recordTag } from './record-elements.js';

/** One record of a trust list: a certificate (or its hash) and what its owner may do. Undefined is what it lacks. */
export interface TrustListRecord {
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** Bytes of the whole record, RECORDLENGTH included. */
  readonly length: number;
  /** FUNCTION, numbered as `recordFunction` names them. */
  readonly function: number;
  readonly dnsName: string | undefined;
  readonly subjectName: string | undefined;
  readonly issuerName: string | undefined;
  readonly serialNumber: Uint8Array | undefined;
  /** RSA: PKCS#1 RSAPublicKey in DER; EC: the uncompressed point. */
  readonly publicKey: Uint8Array | undefined;
  /** The signature in the certificate. */
  readonly signature: Uint8Array | undefined;
  /** The whole certificate in DER. */
  readonly certificate: Uint8Array | undefined;
  /** Instead of the certificate: its digest, and which digest it is. */
  readonly certificateHash: Uint8Array | undefined;
  readonly hashAlgorithm: DigestAlgorithm | undefined;
  /** 4 or 16 bytes. */
  readonly ipAddress: Uint8Array | undefined;
  /** All elements in the order of the file. */
  readonly elements: readonly Element[];
}

/** The elements of a record, and where it stands, as far as they can be read. */
export interface RecordElements {
  readonly offset: number;
  readonly length: number;
  readonly elements: readonly Element[];
}

/**
 * A list that phones load has some five hundred elements. Bytes that decode to many more are no list, and every
 * element takes far more memory than its three bytes in the file.
 */
const mostElements = 4096;

/** What a record with a certificate needs all of; an emptied record has none of them. */
const certificateTags = [recordTag.subjectName, recordTag.issuerName, recordTag.serialNumber, recordTag.publicKey];

/**
 * Reads the elements of all records from an offset to the end of the file.
 * Grammar: body ::= record*; record ::= RECORDLENGTH · elements, ending exactly at RECORDLENGTH.
 *
 * @throws FormatError through `report`.
 */
export function decodeRecordElements(
  input: Uint8Array,
  start: number,
  report: ReportFault = throwFault,
): RecordElements[] {
  const records: RecordElements[] = [];
  let offset = start;
  let count = 0;
  while (offset < input.length) {
    const length = decodeRecordLength(input, offset, report);
    if (length === undefined) break;
    const elements = decodeElements(input, new Reader(input, offset, offset + length), recordElements, report);
    checkRecord(elements, offset, report);
    records.push({ offset, length, elements });
    offset += length;
    count += elements.length;
    if (count > mostElements) {
      report(new FormatError('too-large', `more than ${String(mostElements)} elements`, { offset }));
      break;
    }
  }
  return records;
}

function decodeRecordLength(input: Uint8Array, offset: number, report: ReportFault): number | undefined {
  const place = { offset, element: 'RECORDLENGTH' };
  const left = input.length - offset;
  if (left < 5) {
    report(new FormatError('trailing-bytes', `${String(left)} bytes after the last record`, place));
    return undefined;
  }
  if (input[offset] !== recordTag.recordLength || input[offset + 1] !== 0 || input[offset + 2] !== 2) {
    const found = [...input.subarray(offset, offset + 3)].join(' ');
    report(new FormatError('bad-value', `a record begins with 1 0 2, found ${found}`, place));
    return undefined;
  }
  const length = new Reader(input, offset + 3).u16('RECORDLENGTH');
  if (length < 5) {
    report(new FormatError('bad-length', `a record of ${String(length)} bytes cannot be`, place));
    return undefined;
  }
  if (length > left) {
    report(
      new FormatError('truncated', `a record of ${String(length)} bytes, ${String(left)} left in the file`, place),
    );
  }
  return Math.min(length, left);
}

function checkRecord(elements: readonly Element[], offset: number, report: ReportFault): void {
  const values = valuesByTag(elements);
  const has = (tag: number): boolean => values[tag] !== undefined;
  const missing = (tag: number): void => {
    const element = elementName(tag, recordElements);
    report(new FormatError('missing-element', 'not in the record', { offset, element }));
  };
  if (!has(recordTag.function)) missing(recordTag.function);
  if (has(recordTag.certificateHash) !== has(recordTag.hashAlgorithm)) {
    missing(has(recordTag.hashAlgorithm) ? recordTag.certificateHash : recordTag.hashAlgorithm);
  }
  const hasCertificate = has(recordTag.certificate) || has(recordTag.certificateHash);
  if (!hasCertificate && !certificateTags.some(has)) return;
  for (const tag of certificateTags) if (!has(tag)) missing(tag);
  if (!hasCertificate) missing(recordTag.certificate);
  if (has(recordTag.certificateHash)) checkHash(elements, report);
}

function checkHash(elements: readonly Element[], report: ReportFault): void {
  const algorithm = findElement(elements, recordTag.hashAlgorithm);
  const hash = findElement(elements, recordTag.certificateHash);
  if (algorithm?.value.length !== 1 || hash === undefined) return;
  const name = digestCodes.get(algorithm.value[0] ?? 0);
  const wanted = name === 'sha1' ? 20 : name === 'sha256' ? 32 : 64;
  if (name === undefined) {
    const place = { offset: algorithm.offset, element: 'HASH ALGORITHM' };
    report(new FormatError('bad-value', `no digest has the number ${String(algorithm.value[0])}`, place));
  } else if (hash.value.length !== wanted) {
    const place = { offset: hash.offset, element: 'CERTHASH' };
    report(new FormatError('bad-length', `${String(wanted)} bytes expected for ${name}`, place));
  }
}

/** The first value of each tag that records are known to have, by tag. */
function valuesByTag(elements: readonly Element[]): readonly (Uint8Array | undefined)[] {
  const values = new Array<Uint8Array | undefined>(recordTag.hashAlgorithm + 1);
  for (const { tag, value } of elements) if (tag < values.length) values[tag] ??= value;
  return values;
}

/** Whether a record holds a certificate: the whole of it, or, where only a hash is there, its hash. @param der in DER */
export function recordHolds(
  record: Pick<TrustListRecord, 'certificate' | 'certificateHash' | 'hashAlgorithm'>,
  der: Uint8Array,
): boolean {
  if (record.certificate !== undefined) return equalBytes(record.certificate, der);
  const { certificateHash, hashAlgorithm } = record;
  if (certificateHash === undefined || hashAlgorithm === undefined) return false;
  return equalBytes(certificateHash, digestOf(hashAlgorithm, der));
}

/** Gives names to the elements of a record that was read without a fault. */
export function describeRecord({ offset, length, elements }: RecordElements): TrustListRecord {
  const values = valuesByTag(elements);
  const text = (tag: number): string | undefined => {
    const value = values[tag];
    return value === undefined ? undefined : decodeText(value);
  };
  const hashCode = values[recordTag.hashAlgorithm];
  return {
    offset,
    length,
    function: decodeNumber(values[recordTag.function] ?? new Uint8Array()),
    dnsName: text(recordTag.dnsName),
    subjectName: text(recordTag.subjectName),
    issuerName: text(recordTag.issuerName),
    serialNumber: values[recordTag.serialNumber],
    publicKey: values[recordTag.publicKey],
    signature: values[recordTag.signature],
    certificate: values[recordTag.certificate],
    certificateHash: values[recordTag.certificateHash],
    hashAlgorithm: hashCode === undefined ? undefined : digestCodes.get(hashCode[0] ?? 0),
    ipAddress: values[recordTag.ipAddress],
    elements,
  };
}
