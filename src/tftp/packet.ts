import { Reader, Writer } from '../bytes/index.js';
import { FormatError } from '../errors.js';

/** One option of a request or of its acknowledgement (RFC 2347). */
export interface TftpOption {
  readonly name: string;
  readonly value: string;
}

/** A packet of RFC 1350 and RFC 2347. */
export type TftpPacket =
  | {
      readonly kind: 'read-request' | 'write-request';
      readonly name: string;
      /** As it was sent; `octet` in any case. */
      readonly mode: string;
      readonly options: readonly TftpOption[];
    }
  | { readonly kind: 'data'; readonly block: number; readonly data: Uint8Array }
  | { readonly kind: 'acknowledgement'; readonly block: number }
  | { readonly kind: 'error'; readonly code: number; readonly message: string }
  | { readonly kind: 'option-acknowledgement'; readonly options: readonly TftpOption[] };

/** The first two bytes of every packet. */
const opcode = {
  'read-request': 1,
  'write-request': 2,
  data: 3,
  acknowledgement: 4,
  error: 5,
  'option-acknowledgement': 6,
} as const;

/** The error codes of RFC 1350, and 8 of RFC 2347. */
export const tftpErrorCode = {
  other: 0,
  fileNotFound: 1,
  accessViolation: 2,
  allocationExceeded: 3,
  illegalOperation: 4,
  unknownTransfer: 5,
  optionRefused: 8,
} as const;

/**
 * Decodes one datagram.
 *
 * @throws FormatError `truncated`, `bad-value` for an unknown opcode, `bad-text` for text that is not UTF-8,
 *   `trailing-bytes` after an acknowledgement
 */
export function decodePacket(bytes: Uint8Array): TftpPacket {
  const reader = new Reader(bytes);
  // opcode, two bytes
  const operation = reader.u16('opcode');
  switch (operation) {
    case opcode['read-request']:
      return decodeRequest('read-request', reader);
    case opcode['write-request']:
      return decodeRequest('write-request', reader);
    case opcode.data: {
      // opcode | block, two bytes | data to the end
      const block = reader.u16('block');
      return { kind: 'data', block, data: reader.bytes(reader.remaining, 'data') };
    }
    case opcode.acknowledgement: {
      // opcode | block, two bytes
      const block = reader.u16('block');
      if (reader.remaining > 0) throw fault('trailing-bytes', 'bytes after the block number', reader, 'block');
      return { kind: 'acknowledgement', block };
    }
    case opcode.error: {
      // opcode | code, two bytes | message | 0; some servers leave the 0 out
      const code = reader.u16('code');
      const message = reader.bytes(reader.remaining, 'message');
      const end = message.indexOf(0);
      return {
        kind: 'error',
        code,
        message: new TextDecoder().decode(end === -1 ? message : message.subarray(0, end)),
      };
    }
    case opcode['option-acknowledgement']:
      // opcode | name | 0 | value | 0 | …
      return { kind: 'option-acknowledgement', options: decodeOptions(reader) };
    default:
      throw new FormatError('bad-value', `there is no opcode ${String(operation)}`, { offset: 0, element: 'opcode' });
  }
}

function decodeRequest(kind: 'read-request' | 'write-request', reader: Reader): TftpPacket {
  // opcode | name | 0 | mode | 0 | option | 0 | value | 0 | …
  const name = decodeText(reader, 'name');
  const mode = decodeText(reader, 'mode');
  return { kind, name, mode, options: decodeOptions(reader) };
}

function decodeOptions(reader: Reader): TftpOption[] {
  const options: TftpOption[] = [];
  // A name begins with something: zeros after the last option are padding of old boot ROMs.
  while (reader.remaining > 0 && reader.peek() !== 0) {
    options.push({ name: decodeText(reader, 'option'), value: decodeText(reader, 'option value') });
  }
  while (reader.remaining > 0) {
    if (reader.u8('padding') !== 0) throw fault('trailing-bytes', 'bytes after the options', reader, 'padding');
  }
  return options;
}

/** Text that ends with a zero byte. */
function decodeText(reader: Reader, element: string): string {
  const { offset } = reader;
  const codes: number[] = [];
  for (let code = reader.u8(element); code !== 0; code = reader.u8(element)) codes.push(code);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(codes));
  } catch (cause) {
    throw new FormatError('bad-text', 'the text is not UTF-8', { offset, element }, { cause });
  }
}

function fault(code: 'trailing-bytes', message: string, reader: Reader, element: string): FormatError {
  return new FormatError(code, message, { offset: reader.offset, element });
}

/**
 * Encodes one packet. Texts must not contain a zero character and option names must not be empty: they would be read
 * as something else.
 *
 * @throws FormatError `bad-text`
 */
export function encodePacket(packet: TftpPacket): Uint8Array {
  const writer = new Writer().u16(opcode[packet.kind]);
  switch (packet.kind) {
    case 'read-request':
    case 'write-request':
      encodeText(writer, packet.name, 'name');
      encodeText(writer, packet.mode, 'mode');
      encodeOptions(writer, packet.options);
      break;
    case 'data':
      writer.u16(packet.block).bytes(packet.data);
      break;
    case 'acknowledgement':
      writer.u16(packet.block);
      break;
    case 'error':
      writer.u16(packet.code);
      encodeText(writer, packet.message, 'message');
      break;
    case 'option-acknowledgement':
      encodeOptions(writer, packet.options);
      break;
  }
  return writer.finish();
}

function encodeOptions(writer: Writer, options: readonly TftpOption[]): void {
  for (const { name, value } of options) {
    if (name === '') {
      throw new FormatError('bad-text', 'an option has no name', { offset: writer.length, element: 'option' });
    }
    encodeText(writer, name, 'option');
    encodeText(writer, value, 'option value');
  }
}

function encodeText(writer: Writer, text: string, element: string): void {
  if (text.includes('\0')) {
    throw new FormatError('bad-text', 'a zero character would end the text', { offset: writer.length, element });
  }
  writer.bytes(new TextEncoder().encode(text)).u8(0);
}
