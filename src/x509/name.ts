import { FormatError } from '../errors.js';
import { derTag, formatObjectIdentifier, insideDer, readDer, type DerValue } from './der.js';

/** One attribute of a name: its type (`CN`, or a dotted object identifier when it has no short name) and its value. */
export interface NameAttribute {
  readonly type: string;
  readonly value: string;
}

/** A name as its certificate has it: attributes in the certificate's order. */
export type DistinguishedName = readonly NameAttribute[];

/** Short names by object identifier (RFC 4514, 3, and those that telephone certificates carry). */
const attributeTypes: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.5': 'SERIALNUMBER',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.9': 'STREET',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '0.9.2342.19200300.100.1.1': 'UID',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'EMAILADDRESS',
};

/** The object identifier of an attribute type, by its short name or as it is. */
export function objectIdentifierOf(type: string): string {
  return Object.entries(attributeTypes).find(([, name]) => name === type)?.[0] ?? type;
}

/** The types that clusters write, in the order they write them (trust-list-format.md, Names). */
const clusterOrder = ['CN', 'OU', 'O', 'L', 'ST', 'C'];

/**
 * A name as clusters spell it in trust lists: CN, OU, O, L, ST, C in this order whatever the certificate's own, joined
 * by `;`, other types left out.
 */
export function formatClusterName(name: DistinguishedName): string {
  return clusterOrder
    .flatMap((type) => name.filter((attribute) => attribute.type === type))
    .map(({ type, value }) => `${type}=${value}`)
    .join(';');
}

/**
 * A name as the CTL client spells it in token lists: lower-case types in the certificate's order, joined by `;`. A
 * value with blanks at its end stands in quotes; a value with a comma opens a quote and is cut at the comma, quote and
 * all, because the client splits its text there.
 */
export function formatTokenName(name: DistinguishedName): string {
  return name.map(({ type, value }) => `${type.toLowerCase()}=${quoteTokenValue(value)}`).join(';');
}

function quoteTokenValue(value: string): string {
  const comma = value.indexOf(',');
  if (comma >= 0) return `"${value.slice(0, comma)}`;
  return /^\s|\s$/.test(value) ? `"${value}"` : value;
}

/** A name for people: `CN=…, OU=…`, in the certificate's order, nothing left out. */
export function formatName(name: DistinguishedName): string {
  return name.map(({ type, value }) => `${type}=${value}`).join(', ');
}

/** The first common name, exactly as it stands, blanks included; `undefined` when there is none. */
export function commonName(name: DistinguishedName): string | undefined {
  return name.find((attribute) => attribute.type === 'CN')?.value;
}

/** Whether a name is one that the vendor gives its tokens for signing trust lists: the CN begins with `SAST-`. */
export function isSastName(name: DistinguishedName): boolean {
  return commonName(name)?.startsWith('SAST-') === true;
}

/**
 * Decodes a DER Name (RFC 5280, 4.1.2.4) that was read from `input`.
 *
 * @throws FormatError
 */
export function decodeName(input: Uint8Array, value: DerValue): DistinguishedName {
  const attributes: NameAttribute[] = [];
  // RDNSequence ::= SEQUENCE OF SET OF SEQUENCE { type OID, value DirectoryString }
  const sets = insideDer(input, value);
  while (sets.remaining > 0) {
    const set = insideDer(input, readDer(sets, 'RelativeDistinguishedName', derTag.set));
    while (set.remaining > 0) {
      const pair = insideDer(input, readDer(set, 'AttributeTypeAndValue', derTag.sequence));
      const oid = formatObjectIdentifier(readDer(pair, 'type', derTag.objectIdentifier).content);
      attributes.push({ type: attributeTypes[oid] ?? oid, value: decodeString(readDer(pair, 'value')) });
    }
  }
  return attributes;
}

/** A byte order mark is a character of the name like any other. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

function decodeString(value: DerValue): string {
  const { content } = value;
  if (value.tag === derTag.utf8String) return utf8.decode(content);
  if (value.tag === derTag.bmpString) return decodeWide(value, 2);
  if (value.tag === derTag.universalString) return decodeWide(value, 4);
  // PrintableString, IA5String, TeletexString and the other one-byte kinds: one character a byte.
  return Buffer.from(content).toString('latin1');
}

function decodeWide(value: DerValue, width: 2 | 4): string {
  if (value.content.length % width !== 0) {
    throw new FormatError('bad-length', 'a string that ends inside a character', { offset: value.contentOffset });
  }
  let text = '';
  for (let index = 0; index < value.content.length; index += width) {
    const bytes = value.content.subarray(index, index + width);
    const point = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
    text += point <= 0x10ffff ? String.fromCodePoint(point) : '\ufffd';
  }
  return text;
}
