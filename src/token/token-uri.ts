import { InputError } from '../errors.js';

/** Where a PIN is, without the PIN. */
export type PinSource =
  { readonly kind: 'file'; readonly path: string } | { readonly kind: 'environment'; readonly name: string };

/** CKA_CLASS as `type` spells it (RFC 7512, 2.3). */
export type ObjectType = 'public' | 'private' | 'cert' | 'secret-key' | 'data';

/**
 * A PKCS#11 URI (RFC 7512): what a token, slot, library or object must have to be the one that is meant. What is left
 * out is not asked for.
 */
export interface TokenUri {
  /** The token's label. */
  readonly token?: string;
  readonly manufacturer?: string;
  /** The token's serial number. */
  readonly serial?: string;
  readonly model?: string;
  readonly libraryManufacturer?: string;
  readonly libraryDescription?: string;
  readonly libraryVersion?: string;
  /** CKA_LABEL of the key or certificate. */
  readonly object?: string;
  readonly type?: ObjectType;
  /** CKA_ID of the key or certificate. */
  readonly id?: Uint8Array;
  readonly slotId?: number;
  readonly slotDescription?: string;
  readonly slotManufacturer?: string;
  readonly modulePath?: string;
  /** The module's file name without folder, `lib` and ending. */
  readonly moduleName?: string;
  readonly pinSource?: PinSource;
  /** Attributes `x-…` of the path. No token has them, so that a URI with one matches none. */
  readonly vendorPath?: Readonly<Record<string, string>>;
  /** Attributes `x-…` of the query, which are passed over. */
  readonly vendorQuery?: Readonly<Record<string, string>>;
}

type TextField = {
  [Field in keyof TokenUri]-?: TokenUri[Field] extends string | undefined ? Field : never;
}[keyof TokenUri];

type Kind = 'text' | 'type' | 'id' | 'number' | 'pin-source';

/** Every attribute this library knows, in the order in which they are written. */
const pathAttributes: readonly (readonly [string, keyof TokenUri, Kind])[] = [
  ['token', 'token', 'text'],
  ['manufacturer', 'manufacturer', 'text'],
  ['serial', 'serial', 'text'],
  ['model', 'model', 'text'],
  ['library-manufacturer', 'libraryManufacturer', 'text'],
  ['library-description', 'libraryDescription', 'text'],
  ['library-version', 'libraryVersion', 'text'],
  ['slot-id', 'slotId', 'number'],
  ['slot-description', 'slotDescription', 'text'],
  ['slot-manufacturer', 'slotManufacturer', 'text'],
  ['object', 'object', 'text'],
  ['type', 'type', 'type'],
  ['id', 'id', 'id'],
];
const queryAttributes: readonly (readonly [string, keyof TokenUri, Kind])[] = [
  ['module-name', 'moduleName', 'text'],
  ['module-path', 'modulePath', 'text'],
  ['pin-source', 'pinSource', 'pin-source'],
];

const objectTypes: readonly string[] = ['public', 'private', 'cert', 'secret-key', 'data'] satisfies ObjectType[];

/**
 * Reads a PKCS#11 URI (RFC 7512, 2.3). Characters that should have been escaped are taken as they are, so that a label
 * with a blank can be typed. Messages name attributes and never repeat values: one may be a PIN.
 *
 * @throws InputError `bad-uri`, also for a `pin-value`.
 */
export function parseTokenUri(text: string): TokenUri {
  if (!/^pkcs11:/i.test(text)) {
    throw badUri('it does not begin with pkcs11:', 'a URI looks like pkcs11:token=CTL%20one;serial=0123abcd');
  }
  const body = text.slice('pkcs11:'.length);
  if (/[\x00-\x1f\x7f]/.test(body)) throw badUri('it has a control character');
  const mark = body.indexOf('?');
  const path = splitAttributes(mark < 0 ? body : body.slice(0, mark), ';');
  const query = splitAttributes(mark < 0 ? '' : body.slice(mark + 1), '&');
  return {
    ...readAttributes(path, pathAttributes, 'vendorPath'),
    ...readAttributes(query, queryAttributes, 'vendorQuery'),
  } as TokenUri;
}

/**
 * Writes a PKCS#11 URI, with everything escaped that could be read as something else.
 *
 * @throws InputError `bad-uri` for text that is not Unicode, or an attribute `x-…` with another name.
 */
export function formatTokenUri(uri: TokenUri): string {
  const path = formatAttributes(uri, pathAttributes, uri.vendorPath);
  const query = formatAttributes(uri, queryAttributes, uri.vendorQuery);
  return `pkcs11:${path.join(';')}${query.length > 0 ? `?${query.join('&')}` : ''}`;
}

/** Attributes in the order of the text: name, and value as it stands. */
type RawAttributes = readonly (readonly [string, string])[];

function splitAttributes(text: string, separator: ';' | '&'): RawAttributes {
  if (text === '') return [];
  const seen = new Set<string>();
  return text.split(separator).map((part) => {
    const mark = part.indexOf('=');
    const name = mark < 0 ? part : part.slice(0, mark);
    // The name alone could be a PIN that was put in the wrong place: only what looks like a name is repeated.
    if (!/^[a-z][\w-]*$/i.test(name) || mark < 0) throw badUri('an attribute is not of the form name=value');
    if (name === 'pin-value') {
      throw badUri(
        'a PIN in it (pin-value) is not taken, because other users can see arguments',
        'use pin-source=file:/…, pin-source=env:NAME, or the prompt',
      );
    }
    if (seen.has(name)) throw badUri(`the attribute ${name} is there twice`);
    seen.add(name);
    return [name, part.slice(mark + 1)] as const;
  });
}

function readAttributes(
  attributes: RawAttributes,
  known: typeof pathAttributes,
  vendorField: 'vendorPath' | 'vendorQuery',
): Partial<Record<keyof TokenUri, unknown>> {
  const fields: Partial<Record<keyof TokenUri, unknown>> = {};
  const vendor: Record<string, string> = {};
  for (const [name, value] of attributes) {
    const attribute = known.find(([own]) => own === name);
    if (attribute !== undefined) fields[attribute[1]] = readValue(name, value, attribute[2]);
    else if (name.startsWith('x-')) vendor[name] = readText(name, value);
    else throw unknownAttribute(name, vendorField);
  }
  return Object.keys(vendor).length > 0 ? { ...fields, [vendorField]: vendor } : fields;
}

function unknownAttribute(name: string, vendorField: 'vendorPath' | 'vendorQuery'): InputError {
  const inQuery = queryAttributes.some(([own]) => own === name);
  const inPath = pathAttributes.some(([own]) => own === name);
  if (inQuery) return badUri(`${name} belongs behind the question mark`);
  if (inPath) return badUri(`${name} belongs before the question mark`);
  const names = (vendorField === 'vendorPath' ? pathAttributes : queryAttributes).map(([own]) => own);
  return badUri(`there is no attribute ${name}`, `the attributes are ${names.join(', ')}, and any x-…`);
}

function readValue(name: string, value: string, kind: Kind): unknown {
  if (kind === 'id') return unescapeBytes(name, value);
  const text = readText(name, value);
  switch (kind) {
    case 'text':
      return text;
    case 'type':
      if (!objectTypes.includes(text)) throw badUri(`type is one of ${objectTypes.join(', ')}`);
      return text;
    case 'number':
      if (!/^\d{1,15}$/.test(text)) throw badUri(`${name} is a decimal number`);
      return Number(text);
    case 'pin-source':
      return readPinSourceText(text);
  }
}

/** `file:` URIs (RFC 8089), bare absolute paths, and `env:NAME`. Commands (`|…`) are not run. */
function readPinSourceText(text: string): PinSource {
  if (text.startsWith('|')) {
    throw badUri('pin-source names a command, and commands are not run', 'use pin-source=file:/… or env:NAME');
  }
  if (text.startsWith('env:')) {
    const name = text.slice('env:'.length);
    if (!/^\w+$/.test(name)) throw badUri('pin-source=env: needs the name of an environment variable');
    return { kind: 'environment', name };
  }
  if (/^(\/|[A-Za-z]:[\\/])/.test(text)) return { kind: 'file', path: text };
  const rest = /^file:(\/.*)$/i.exec(text)?.[1];
  // With two slashes a host follows, and only this one has files that can be read.
  const path = rest?.startsWith('//') === true ? /^\/\/(?:localhost)?(\/.*)$/i.exec(rest)?.[1] : rest;
  if (path === undefined) throw badUri('pin-source is none of file:/…, an absolute path, env:NAME');
  const unescaped = readText('pin-source', path);
  return { kind: 'file', path: /^\/[A-Za-z]:[\\/]/.test(unescaped) ? unescaped.slice(1) : unescaped };
}

function readText(name: string, value: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(unescapeBytes(name, value));
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw badUri(`the value of ${name} is not UTF-8`);
  }
}

/** Percent-decoding (RFC 3986, 2.1). */
function unescapeBytes(name: string, value: string): Uint8Array {
  const source = new TextEncoder().encode(value);
  const bytes: number[] = [];
  const percent = 0x25;
  for (let index = 0; index < source.length; index += 1) {
    const byte = source[index] ?? 0;
    if (byte !== percent) {
      bytes.push(byte);
      continue;
    }
    const digits = String.fromCharCode(source[index + 1] ?? 0, source[index + 2] ?? 0);
    if (!/^[0-9a-f]{2}$/i.test(digits))
      throw badUri(`the value of ${name} has a % that is not followed by two hex digits`);
    bytes.push(Number.parseInt(digits, 16));
    index += 2;
  }
  return Uint8Array.from(bytes);
}

function formatAttributes(
  uri: TokenUri,
  known: typeof pathAttributes,
  vendor: Readonly<Record<string, string>> | undefined,
): readonly string[] {
  const own = known.flatMap(([name, field, kind]) =>
    uri[field] === undefined ? [] : [`${name}=${formatValue(uri, field, kind)}`],
  );
  const others = Object.entries(vendor ?? {}).map(([name, value]) => {
    if (!/^x-[\w-]*$/.test(name)) throw badUri('the name of a vendor attribute begins with x-');
    return `${name}=${escapeText(value)}`;
  });
  return [...own, ...others];
}

function formatValue(uri: TokenUri, field: keyof TokenUri, kind: Kind): string {
  if (kind === 'number') return String(uri.slotId);
  if (kind === 'id') return [...(uri.id ?? [])].map(escapeByte).join('');
  if (kind === 'pin-source' && uri.pinSource !== undefined) return escapeText(formatPinSource(uri.pinSource), /[/:]/);
  return escapeText(uri[field as TextField] ?? '', field === 'modulePath' ? /[/:]/ : undefined);
}

function formatPinSource(source: PinSource): string {
  if (source.kind === 'environment') return `env:${source.name}`;
  const path = source.path.startsWith('/') ? source.path : `/${source.path}`;
  return `file://${path.replaceAll('%', '%25')}`;
}

/** Everything but the unreserved characters (RFC 3986, 2.3) and those that are allowed here. */
function escapeText(text: string, allowed?: RegExp): string {
  if (/\p{Surrogate}/u.test(text)) throw badUri('a value is not Unicode');
  return [...new TextEncoder().encode(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[\w.~-]/.test(character) || allowed?.test(character) === true ? character : escapeByte(byte);
    })
    .join('');
}

function escapeByte(byte: number): string {
  return `%${byte.toString(16).padStart(2, '0').toUpperCase()}`;
}

function badUri(problem: string, hint?: string): InputError {
  return new InputError('bad-uri', `not a usable PKCS#11 URI: ${problem}`, hint === undefined ? {} : { hint });
}
