import { concatBytes, decodeNumber, encodeNumber, Reader, Writer } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import {
  decodeElements,
  decodeText,
  elementName,
  elementTable,
  encodeElements,
  encodeText,
  type ElementDraft,
  type ElementTable,
} from '../tlv/index.js';

/** Every message of the Trust Verification Service begins with it. */
const protocolDiscriminator = 0x57;
const protocolVersion = 1;

/** Bytes before the body: discriminator, version, command, the ignored byte, session id, body length. */
export const tvsHeaderLength = 10;

/** The largest body that a message can have, in bytes. */
export const largestTvsBody = 0xffff;

/** The tags of a body (tvs-protocol.md). */
const tag = {
  device: 1,
  certificate: 2,
  subjectName: 3,
  issuerName: 4,
  serialNumber: 5,
  status: 7,
  roles: 8,
  timeToLive: 9,
} as const;

/** The elements of a body. */
export const tvsElements: ElementTable = elementTable([
  { tag: tag.device, name: 'DEVICE', kind: 'plain' },
  { tag: tag.certificate, name: 'CERTIFICATE', kind: 'plain' },
  { tag: tag.subjectName, name: 'SUBJECTNAME', kind: 'text' },
  { tag: tag.issuerName, name: 'ISSUERNAME', kind: 'text' },
  { tag: tag.serialNumber, name: 'SERIALNUMBER', kind: 'plain' },
  { tag: tag.status, name: 'STATUS', kind: 'number', lengths: [1] },
  { tag: tag.roles, name: 'ROLES', kind: 'plain' },
  { tag: tag.timeToLive, name: 'TIMETOLIVE', kind: 'number', lengths: [4] },
]);

/** The first byte of the device element. */
const deviceMark = 1;

/** What the four commands are, and which of them answer. */
export type TvsMessageKind = 'verify-request' | 'verify-answer' | 'query-request' | 'query-answer';

const kinds: ReadonlyMap<number, TvsMessageKind> = new Map([
  [1, 'verify-request'],
  [2, 'verify-answer'],
  [3, 'query-request'],
  [4, 'query-answer'],
]);

/** What all messages have. */
interface MessageBase {
  /** A number of 32 bits. An answer repeats that of its request. */
  readonly sessionId: number;
  /** The byte that receivers ignore. Left out when encoding: 0 in requests, 0xF7 in answers, as clusters send it. */
  readonly ignored?: number;
}

/** "Do you know this certificate?" */
export interface TvsVerifyRequest extends MessageBase {
  readonly kind: 'verify-request';
  /** `CP-<model>-SEP<MAC>` */
  readonly device: string;
  /** In DER. */
  readonly certificate: Uint8Array;
}

/** "Send me the certificate of this signer." */
export interface TvsQueryRequest extends MessageBase, SignerNames {
  readonly kind: 'query-request';
  /** `CP-<model>-SEP<MAC>` */
  readonly device: string;
}

/** A signer, as the header of a trust list or signed file names it. */
export interface SignerNames {
  readonly subjectName: string;
  readonly issuerName: string;
  /** The bytes as they stand in the list, which may be reversed. */
  readonly serialNumber: Uint8Array;
}

/** What a positive answer grants. */
export interface TvsGrant {
  readonly status: 'success';
  /** What the certificate may be used for, numbered as FUNCTION of trust lists; each at most 255. */
  readonly roles: readonly number[];
  /** How long the answer may be kept, in seconds. */
  readonly timeToLive: number;
}

/** The server does not vouch for the certificate. */
export interface TvsRefusal {
  readonly status: 'not-trusted';
}

export type TvsVerifyAnswer = MessageBase & { readonly kind: 'verify-answer' } & (TvsGrant | TvsRefusal);

/** The certificate is in DER. */
export type TvsQueryAnswer = MessageBase & { readonly kind: 'query-answer' } & (
    (TvsGrant & { readonly certificate: Uint8Array }) | TvsRefusal
  );

export type TvsRequest = TvsVerifyRequest | TvsQueryRequest;
export type TvsAnswer = TvsVerifyAnswer | TvsQueryAnswer;
export type TvsMessage = TvsRequest | TvsAnswer;

/** The first ten bytes of a message. */
export interface TvsHeader {
  readonly kind: TvsMessageKind;
  readonly ignored: number;
  readonly sessionId: number;
  /** Bytes of the body, which follows. */
  readonly bodyLength: number;
}

/**
 * Decodes the first ten bytes of a message; what follows is not looked at.
 *
 * @throws FormatError `truncated`, `bad-value`
 */
export function decodeTvsHeader(bytes: Uint8Array): TvsHeader {
  const reader = new Reader(bytes);
  // discriminator u8 · version u8 · command u8 · ignored u8 · session id u32 · body length u16
  expectByte(reader, protocolDiscriminator, 'protocol discriminator');
  expectByte(reader, protocolVersion, 'version');
  const command = reader.u8('command');
  const kind = kinds.get(command);
  if (kind === undefined) {
    throw new FormatError('bad-value', `no command has the number ${command}`, { offset: 2, element: 'command' });
  }
  const ignored = reader.u8('ignored byte');
  const sessionId = decodeNumber(reader.bytes(4, 'session id'));
  return { kind, ignored, sessionId, bodyLength: reader.u16('body length') };
}

/** Whether what was received so far can be the start of a message. @throws FormatError `bad-value` */
export function checkTvsStart(bytes: Uint8Array): void {
  const reader = new Reader(bytes);
  if (reader.remaining > 0) expectByte(reader, protocolDiscriminator, 'protocol discriminator');
  if (reader.remaining > 0) expectByte(reader, protocolVersion, 'version');
}

function expectByte(reader: Reader, wanted: number, element: string): void {
  const { offset } = reader;
  const found = reader.u8(element);
  if (found === wanted) return;
  throw new FormatError('bad-value', `${wanted} expected, ${found} found`, { offset, element });
}

/**
 * Decodes one whole message. Elements with other tags than those of tvs-protocol.md are passed over.
 *
 * @throws FormatError
 */
export function decodeTvsMessage(bytes: Uint8Array): TvsMessage {
  const { kind, ignored, sessionId, bodyLength } = decodeTvsHeader(bytes);
  const left = bytes.length - tvsHeaderLength;
  if (bodyLength !== left) {
    const code = bodyLength > left ? 'truncated' : 'trailing-bytes';
    const place = { offset: 8, element: 'body length' };
    throw new FormatError(code, `a body of ${bodyLength} bytes expected, ${left} found`, place);
  }
  const body = new Body(bytes);
  const base = { sessionId, ignored };
  switch (kind) {
    case 'verify-request':
      return { kind, ...base, device: body.device(), certificate: body.need(tag.certificate) };
    case 'query-request':
      return {
        kind,
        ...base,
        device: body.device(),
        subjectName: body.text(tag.subjectName),
        issuerName: body.text(tag.issuerName),
        serialNumber: body.need(tag.serialNumber),
      };
    case 'verify-answer':
      return { kind, ...base, ...body.status() };
    case 'query-answer': {
      const status = body.status();
      if (status.status === 'not-trusted') return { kind, ...base, ...status };
      return { kind, ...base, ...status, certificate: body.need(tag.certificate) };
    }
  }
}

/** The elements of a body, found by their tags. */
class Body {
  readonly #end: number;
  readonly #values = new Map<number, { readonly value: Uint8Array; readonly offset: number }>();

  constructor(message: Uint8Array) {
    this.#end = message.length;
    const elements = decodeElements(message, new Reader(message, tvsHeaderLength), tvsElements);
    for (const { tag: found, value, offset } of elements) this.#values.set(found, { value, offset });
  }

  need(wanted: number): Uint8Array {
    const value = this.#values.get(wanted)?.value;
    if (value !== undefined) return value;
    const place = { offset: this.#end, element: elementName(wanted, tvsElements) };
    throw new FormatError('missing-element', 'not in the message', place);
  }

  text(wanted: number): string {
    return decodeText(this.need(wanted));
  }

  device(): string {
    const value = this.need(tag.device);
    if (value[0] === deviceMark) return decodeText(value.subarray(1));
    const place = { offset: this.#values.get(tag.device)?.offset ?? 0, element: 'DEVICE' };
    throw new FormatError('bad-value', 'a device begins with the byte 1', place);
  }

  status(): TvsGrant | TvsRefusal {
    const [status] = this.need(tag.status);
    if (status === 1) return { status: 'not-trusted' };
    if (status !== 0) {
      const place = { offset: this.#values.get(tag.status)?.offset ?? 0, element: 'STATUS' };
      throw new FormatError('bad-value', `0 or 1 expected, ${String(status)} found`, place);
    }
    // A certificate of a plain trust store has no roles: whether the element is then empty or left out is not known.
    const roles = [...(this.#values.get(tag.roles)?.value ?? [])];
    return { status: 'success', roles, timeToLive: decodeNumber(this.need(tag.timeToLive)) };
  }
}

/**
 * Encodes one message.
 *
 * @throws FormatError `too-large` when the body is above 65,535 bytes, `bad-value` for numbers out of their range and
 *   names with a NUL.
 */
export function encodeTvsMessage(message: TvsMessage): Uint8Array {
  const { kind, sessionId } = message;
  const command = [...kinds].find(([, name]) => name === kind)?.[0] ?? 0;
  const ignored = message.ignored ?? (kind.endsWith('answer') ? 0xf7 : 0);
  requireNumber(sessionId, 0xffff_ffff, 'session id');
  requireNumber(ignored, 0xff, 'ignored byte');
  const body = encodeElements(draftBody(message), tvsElements);
  if (body.length > largestTvsBody) {
    throw new FormatError('too-large', `a body of ${body.length} bytes; ${largestTvsBody} are the most`, { offset: 8 });
  }
  return new Writer()
    .u8(protocolDiscriminator)
    .u8(protocolVersion)
    .u8(command)
    .u8(ignored)
    .bytes(encodeNumber(sessionId, 4))
    .u16(body.length)
    .bytes(body)
    .finish();
}

/** The elements in the order in which phones and clusters send them. */
function draftBody(message: TvsMessage): ElementDraft[] {
  switch (message.kind) {
    case 'verify-request':
      return [draftDevice(message.device), { tag: tag.certificate, value: message.certificate }];
    case 'query-request':
      return [
        draftDevice(message.device),
        draftText(tag.subjectName, message.subjectName),
        draftText(tag.issuerName, message.issuerName),
        { tag: tag.serialNumber, value: message.serialNumber },
      ];
    case 'verify-answer':
    case 'query-answer':
      return draftAnswer(message);
  }
}

function draftAnswer(message: TvsAnswer): ElementDraft[] {
  const status = (value: number): ElementDraft => ({ tag: tag.status, value: Uint8Array.of(value) });
  if (message.status === 'not-trusted') return [status(1)];
  for (const role of message.roles) requireNumber(role, 0xff, 'ROLES');
  requireNumber(message.timeToLive, 0xffff_ffff, 'TIMETOLIVE');
  return [
    status(0),
    ...(message.kind === 'query-answer' ? [{ tag: tag.certificate, value: message.certificate }] : []),
    { tag: tag.roles, value: Uint8Array.from(message.roles) },
    { tag: tag.timeToLive, value: encodeNumber(message.timeToLive, 4) },
  ];
}

function draftDevice(device: string): ElementDraft {
  return { tag: tag.device, value: concatBytes(Uint8Array.of(deviceMark), encodeText(device).subarray(0, -1)) };
}

function draftText(which: number, text: string): ElementDraft {
  if (!text.includes('\0')) return { tag: which, value: encodeText(text) };
  const place = { offset: 0, element: elementName(which, tvsElements) };
  throw new FormatError('bad-value', 'a name with a NUL inside', place);
}

function requireNumber(value: number, most: number, element: string): void {
  if (Number.isInteger(value) && value >= 0 && value <= most) return;
  throw new FormatError('bad-value', `a number from 0 to ${most} expected, not ${value}`, { offset: 0, element });
}
