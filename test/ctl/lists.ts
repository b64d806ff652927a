import { expect } from 'vitest';
import { concatBytes, decodeNumber, encodeNumber, formatHex } from '../../src/bytes/index.js';
import type { CtlResult } from '../../src/ctl/index.js';
import { digestOf, type Signer } from '../../src/signer/index.js';
import type { ElementDraft } from '../../src/tlv/index.js';
import {
  decodeTrustList,
  encodeTrustList,
  signTrustList,
  verifyTrustList,
  type RecordDraft,
  type TrustList,
  type TrustListDraft,
  type TrustListRecord,
} from '../../src/trust-list/index.js';
import { formatName, type Certificate, type DistinguishedName } from '../../src/x509/index.js';

/** The bytes of a record, written by hand as the format page says: `tag · length · value`, RECORDLENGTH first. */
export function recordBytes(
  ...elements: readonly (readonly [tag: number, value: Uint8Array | string | number])[]
): string {
  const values = elements.map(([tag, value]) => {
    const bytes =
      typeof value === 'string'
        ? Buffer.from(`${value}\0`, 'utf8')
        : typeof value === 'number'
          ? encodeNumber(value, 2)
          : value;
    return concatBytes(Uint8Array.of(tag, bytes.length >> 8, bytes.length & 0xff), bytes);
  });
  const body = concatBytes(...values);
  return formatHex(concatBytes(Uint8Array.of(1, 0, 2), encodeNumber(body.length + 5, 2), body));
}

/** The bytes of each record of a list, in hex. */
export function recordsOf(list: TrustList): string[] {
  return list.records.map((record) => bytesOf(list, record));
}

export function bytesOf(list: TrustList, record: TrustListRecord): string {
  return Buffer.from(list.bytes.subarray(record.offset, record.offset + record.length)).toString('hex');
}

/** The tags of a record, in its order. */
export function tagsOf(record: TrustListRecord | undefined): number[] {
  return record?.elements.map(({ tag }) => tag) ?? [];
}

/** Names and serial of a record as they stand in it, in hex. */
export function spellingOf(record: TrustListRecord): string {
  return [3, 5, 6].map((tag) => formatHex(valueOf(record, tag) ?? new Uint8Array())).join(' ');
}

export function valueOf(record: TrustListRecord, tag: number): Uint8Array | undefined {
  return record.elements.find((element) => element.tag === tag)?.value;
}

/** The records that hold a certificate. */
export function holdersOf(list: TrustList, certificate: Certificate): readonly TrustListRecord[] {
  const hash = digestOf('sha1', certificate.der);
  const isSame = (value: Uint8Array | undefined, wanted: Uint8Array): boolean =>
    value !== undefined && Buffer.compare(value, wanted) === 0;
  return list.records.filter(
    (record) => isSame(record.certificate, certificate.der) || isSame(record.certificateHash, hash),
  );
}

/** FUNCTION and DNSNAME of each record, e.g. `2 cucm-pub`. */
export function outlineOf(list: TrustList): string[] {
  return list.records.map((record) => `${record.function} ${record.dnsName ?? '-'}`.trim());
}

/**
 * What every result of a flow must be: it verifies, is the same bytes when decoded and encoded, and its header repeats
 * name, issuer and serial of a function-0 record that holds the signer's certificate.
 */
export function expectProven(result: CtlResult, signer: Signer): TrustList {
  const { list } = result;
  const verification = verifyTrustList(list);
  expect(verification.verified).toBe(true);
  const decoded = decodeTrustList(list.bytes);
  expect(Buffer.from(encodeTrustList(decoded)).equals(list.bytes)).toBe(true);
  const signing = holdersOf(list, signer.certificate).find((record) => record.function === 0)!;
  expect(formatHex(list.header.serialNumber)).toBe(formatHex(signing.serialNumber!));
  expect(list.header.signerName).toBe(signing.subjectName);
  expect(list.header.issuerName).toBe(signing.issuerName);
  expect(decodeNumber(list.bytes.subarray(8, 10)) % 4).toBe(0);
  return list;
}

/** How another writer spells a certificate. */
export interface Style {
  readonly separator?: ',' | ';' | ', ';
  readonly reversedNames?: boolean;
  readonly reversedSerial?: boolean;
  /** Elements that nobody knows, e.g. tag 40; the same tag may be there twice. */
  readonly extra?: readonly ElementDraft[];
  readonly withoutHost?: boolean;
  readonly withoutAddress?: boolean;
  readonly withSignature?: boolean;
  /** In which order the elements stand; that of the layout when left out. */
  readonly order?: readonly number[];
}

const text = (value: string): Uint8Array => Buffer.from(`${value}\0`, 'utf8');

function styledName(name: DistinguishedName, style: Style): string {
  const attributes = formatName(name).split(', ');
  const ordered = style.reversedNames === true ? attributes.reverse() : attributes;
  return ordered.join(style.separator ?? ',');
}

/** A record as another writer could have written it. */
export function foreignRecord(
  certificate: Certificate,
  role: number,
  host: { readonly name: string; readonly address: Uint8Array },
  style: Style,
): RecordDraft {
  const serial = certificate.serialNumber.slice();
  const elements: ElementDraft[] = [
    ...(style.withoutHost === true ? [] : [{ tag: 2, value: text(host.name) }]),
    { tag: 3, value: text(styledName(certificate.subject, style)) },
    { tag: 4, value: encodeNumber(role, 2) },
    { tag: 5, value: text(styledName(certificate.issuer, style)) },
    { tag: 6, value: style.reversedSerial === true ? serial.reverse() : serial },
    { tag: 7, value: certificate.publicKey },
    ...(style.withSignature === true ? [{ tag: 8, value: certificate.signature }] : []),
    { tag: 9, value: certificate.der },
    ...(style.withoutAddress === true ? [] : [{ tag: 10, value: host.address }]),
    ...(style.extra ?? []),
  ];
  const rank = ({ tag }: ElementDraft): number => {
    const place = style.order?.indexOf(tag) ?? -1;
    return place < 0 ? tag : place - 100;
  };
  return style.order === undefined ? elements : elements.sort((left, right) => rank(left) - rank(right));
}

/** A list that another program wrote and signed. */
export async function foreignList(
  records: readonly RecordDraft[],
  signingRecord: number,
  signer: Signer,
  header: Partial<TrustListDraft> = {},
): Promise<TrustList> {
  return signTrustList(
    {
      version: { major: 1, minor: 2 },
      digestAlgorithm: 'sha1',
      fileName: text('CTLFile.tlv'),
      timestamp: 1_300_000_000,
      ...header,
      records,
      signingRecord,
    },
    signer,
  );
}
