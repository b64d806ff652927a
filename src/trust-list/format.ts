import { createHash } from 'node:crypto';
import { decodeNumber, formatHex, printable } from '../bytes/index.js';
import { digestCodes, headerElements, headerTag } from '../signed-file/index.js';
import { decodeText, elementName, type Element, type ElementTable } from '../tlv/index.js';
import { formatFunction, recordElements, recordFunction, recordTag } from './record-elements.js';
import type { RecordElements } from './record.js';
import { trustListKind, type TrustList, type TrustListReading } from './trust-list.js';
import { verifyTrustList, type Verification } from './verify.js';

/** How a list is printed. */
export interface FormatTrustListOptions {
  /** What the file is called when its FILENAME does not say it. */
  readonly kind?: 'CTL' | 'ITL';
  /** When the file was last changed, in words. */
  readonly modified?: string;
  /** Also print the values that clusters leave blank. */
  readonly values?: boolean;
}

/**
 * A list as `show ctl` and `show itl` print it (cli.md, The text of `ctl show`). A list that was read leniently is
 * printed as far as it goes, with what is wrong at the end.
 */
export function formatTrustList(input: TrustList | TrustListReading, options: FormatTrustListOptions = {}): string {
  const reading = 'faults' in input ? input : readingOf(input);
  const kind = kindOf(reading) ?? options.kind ?? 'CTL';
  const verification = reading.list === undefined ? undefined : verifyTrustList(reading.list);
  const values = options.values === true;
  const lines = [
    `The checksum value of the ${kind} file:`,
    `${checksum('md5', reading.bytes)}(MD5)`,
    `${checksum('sha1', reading.bytes)}(SHA1)`,
    '',
    `Length of ${kind} file: ${String(reading.bytes.length)}`,
    ...(options.modified === undefined ? [] : [`The ${kind} File was last modified on ${options.modified}`]),
    '',
    `Parse ${kind} File`,
    '----------------',
    '',
    ...headerLines(reading, values),
    ...reading.records.flatMap((record, index) => recordLines(record, index, kind, verification, values)),
    '',
    ...closingLines(reading, kind, verification),
  ];
  return `${lines.join('\n')}\n`;
}

/** What `show ctl` prints when there is no file. */
export function formatMissingTrustList(kind: 'CTL' | 'ITL'): string {
  return `Length of ${kind} file: 0\n${kind} File not found.\nError parsing the ${kind} File!!\n`;
}

function readingOf(list: TrustList): TrustListReading {
  return { bytes: list.bytes, header: list.header, records: list.records, faults: [], list };
}

function kindOf(reading: TrustListReading): 'CTL' | 'ITL' | undefined {
  const fileName = reading.header.elements.find((element) => element.tag === headerTag.fileName);
  return fileName === undefined ? undefined : trustListKind(decodeText(fileName.value));
}

function checksum(algorithm: 'md5' | 'sha1', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}

function headerLines(reading: TrustListReading, values: boolean): string[] {
  const version = reading.bytes.subarray(3, 5);
  const rows = reading.header.elements.filter(
    ({ tag }) => tag !== headerTag.version && tag !== headerTag.headerLength && tag !== headerTag.padding,
  );
  return [
    `Version:        ${version.join('.')}`,
    `HeaderLength:   ${String(decodeNumber(reading.bytes.subarray(8, 10)))} (BYTES)`,
    '',
    ...columnTitles,
    ...rows.flatMap((element) => elementLines(element, headerElements, headerValue, values)),
  ];
}

const columnTitles = ['BYTEPOS TAG             LENGTH  VALUE', '------- ---             ------  -----'];

function recordLines(
  record: RecordElements,
  index: number,
  kind: string,
  verification: Verification | undefined,
  values: boolean,
): string[] {
  const role = record.elements.find((element) => element.tag === recordTag.function)?.value;
  const isSast = role?.length === 2 && decodeNumber(role) === recordFunction.sast;
  const signed = verification?.verified === true && verification.signer.offset === record.offset;
  return [
    '',
    `        ${kind} Record #:${String(index + 1)}`,
    '                  ----',
    ...columnTitles,
    ...record.elements.flatMap((element) => elementLines(element, recordElements, recordValue, values)),
    ...(isSast ? [`This etoken was ${signed ? '' : 'not '}used to sign the ${kind} file.`] : []),
  ];
}

function closingLines(reading: TrustListReading, kind: string, verification: Verification | undefined): string[] {
  if (verification === undefined) {
    return [
      ...reading.faults.map((fault) => fault.message),
      `Error parsing the ${kind} File!!`,
      `Verification of the ${kind} file failed.`,
    ];
  }
  if (verification.verified) return [`The ${kind} file was verified successfully.`];
  const reason = printable(verification.reason);
  return [`${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`, `Verification of the ${kind} file failed.`];
}

type ValueOf = (element: Element, table: ElementTable, values: boolean) => string;

function elementLines(element: Element, table: ElementTable, valueOf: ValueOf, values: boolean): string[] {
  const isContainer = element.children !== undefined;
  const length = isContainer ? 2 : element.value.length;
  const value = isContainer ? String(element.value.length) : valueOf(element, table, values);
  const row = formatRow(element.tag, elementName(element.tag, table), length, value);
  if (isContainer) {
    return [row, ...(element.children ?? []).flatMap((child) => elementLines(child, table, valueOf, values))];
  }
  return table === headerElements && element.tag === headerTag.signature
    ? [row, ...signatureLines(element.value)]
    : [row];
}

/** Columns at 8, 24 and 32; a name too long for its column moves the rest on by whole tab stops. */
function formatRow(tag: number, name: string, length: number, value: string): string {
  let row = `${String(tag).padEnd(8)}${name}`;
  row = row.padEnd(Math.max(24, nextStop(row.length)));
  row += String(length);
  return value === '' ? row : row.padEnd(nextStop(row.length)) + value;
}

function nextStop(column: number): number {
  return (Math.floor(column / 8) + 1) * 8;
}

/** Eight bytes to a line, without leading zeros, as clusters print them. */
function signatureLines(signature: Uint8Array): string[] {
  const lines: string[] = [];
  for (let start = 0; start < signature.length; start += 8) {
    const bytes = [...signature.subarray(start, start + 8)].map((byte) => byte.toString(16));
    lines.push(`        ${bytes.join('  ')}`);
  }
  return lines;
}

/** A number of a wrong length is no number: it is shown as the bytes it is. */
function hasRightLength({ tag, value }: Element, table: ElementTable): boolean {
  const lengths = table.get(tag)?.lengths;
  return lengths === undefined || lengths.includes(value.length);
}

const headerValue: ValueOf = (element, table, values) => {
  const { tag, value } = element;
  if (!hasRightLength(element, table)) return spacedHex(value);
  switch (tag) {
    case headerTag.serialNumber:
      return formatSerial(value);
    case headerTag.signerVersion:
      return value.join('.');
    case headerTag.signature:
      return '';
    case headerTag.fileName:
      return values ? printableText(value) : '';
    case headerTag.timestamp:
      return values ? new Date(decodeNumber(value) * 1000).toISOString() : '';
    case headerTag.digestAlgorithm:
      return values ? (digestCodes.get(value[0] ?? 0) ?? String(decodeNumber(value))) : '';
    case headerTag.signatureAlgorithm:
    case headerTag.signatureModulus:
      return values ? String(decodeNumber(value)) : '';
    default:
      return table.get(tag)?.kind === 'text' ? printableText(value) : spacedHex(value);
  }
};

const recordValue: ValueOf = (element, table, values) => {
  const { tag, value } = element;
  if (!hasRightLength(element, table)) return spacedHex(value);
  switch (tag) {
    case recordTag.recordLength:
      return String(decodeNumber(value));
    case recordTag.function:
      return formatFunction(decodeNumber(value));
    case recordTag.serialNumber:
      return formatSerial(value);
    case recordTag.publicKey:
    case recordTag.signature:
      return values ? spacedHex(value) : '';
    case recordTag.certificate:
      return `${spacedHex(createHash('sha1').update(value).digest())} (SHA1 Hash HEX)`;
    case recordTag.hashAlgorithm:
      return digestCodes.get(value[0] ?? 0)?.replace('sha', 'SHA-') ?? String(decodeNumber(value));
    case recordTag.ipAddress:
      return values ? formatAddress(value) : '';
    default:
      return table.get(tag)?.kind === 'text' ? printableText(value).trimEnd() : spacedHex(value);
  }
};

function printableText(value: Uint8Array): string {
  return printable(decodeText(value));
}

function formatSerial(value: Uint8Array): string {
  return formatHex(value, ':').toUpperCase();
}

function spacedHex(value: Uint8Array): string {
  return formatHex(value, ' ').toUpperCase();
}

/** IPv4 dotted; IPv6 as eight groups. */
export function formatAddress(value: Uint8Array): string {
  if (value.length !== 16) return value.join('.');
  const groups: string[] = [];
  for (let index = 0; index < 16; index += 2) groups.push(decodeNumber(value.subarray(index, index + 2)).toString(16));
  return groups.join(':');
}
