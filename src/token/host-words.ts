import { DeviceError } from '../errors.js';
import type { Call } from './call-record.js';
import type { Overdue } from './host-limits.js';
import type { PinKind } from './host-protocol.js';
import type { Pin } from './pin.js';
import { pinFunctions, pinHints } from './return-values.js';

/** How much of what the library writes to its standard error is kept, in characters. */
const tailLength = 1_000;

/** What the library writes to its standard error: the end of it, without PINs. */
export class HostTail {
  #text = '';
  readonly #pins = new Set<Pin>();

  get text(): string {
    return this.#text;
  }

  add(text: string): void {
    this.#text = this.#redact(this.#text + text).slice(-tailLength);
  }

  /** Keeps a PIN out of it from now on. */
  hide(pin: Pin): void {
    this.#pins.add(pin);
  }

  forgetPins(): void {
    this.#pins.clear();
  }

  #redact(text: string): string {
    // Control characters could change what a terminal shows. They go first: a PIN may stand between them, as in UTF-16.
    let shown = text.replaceAll(/[\x00-\x08\x0b-\x1f\x7f]/g, '');
    for (const pin of this.#pins) {
      const value = pin.reveal();
      if (value === '') continue;
      shown = shown.replaceAll(value, String(pin)).replaceAll(dumpOf(Buffer.from(value)), String(pin));
      for (const row of dumpRows(Buffer.from(value))) {
        shown = shown.replaceAll(dumpOf(row), String(pin)).replaceAll(dumpColumn(row), String(pin));
      }
    }
    return shown;
  }
}

/** Bytes in hexadecimal digits, as libraries write them: `3132`, `31 32`, `31:32`, `0x31, 0x32`, `\x31\x32`. */
function dumpOf(bytes: Uint8Array): RegExp {
  const pairs = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'));
  return new RegExp(pairs.join(String.raw`[\s:;,|-]*(?:0x|\\x)?`), 'gi');
}

/** What a row of a hex dump holds (pkcs11-spy), in bytes. */
const dumpRowLength = 16;
/** What is left for the last row, and is shorter than this, tells nothing; all its likes would be hidden with it. */
const shortestRow = 4;

/** How a dump breaks what is too long for one row. */
function dumpRows(bytes: Uint8Array): readonly Uint8Array[] {
  const rows: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; start += dumpRowLength) {
    rows.push(bytes.subarray(start, start + dumpRowLength));
  }
  return rows.filter(({ length }) => length >= Math.min(shortestRow, bytes.length));
}

/** The column of a dump that shows bytes as text, with a dot for what cannot be. */
function dumpColumn(row: Uint8Array): string {
  return Buffer.from(row)
    .toString('latin1')
    .replaceAll(/[^\x20-\x7e]/g, '.');
}

/** What a host was doing when it was given up, for the message of a failure. */
export interface LastRequest {
  readonly modulePath: string;
  /** Words that a message begins with, such as the name of the token. */
  readonly subject: string;
  /** The PIN that it may have given to the token. */
  readonly pin: PinKind;
  /** It was entered at the reader. */
  readonly atReader: boolean;
}

const moreTime = 'a token that is slow gets more time with ETOKEN_BRIDGE_TOKEN_TIMEOUT=SECONDS';
const timeoutHint =
  'unplug the token and plug it in again; if it waits for a touch or a PIN at the reader, be quicker; ' + moreTime;
const crashHint = 'repeat the command; if it happens again, update the software of the token vendor';
const crashSignals: readonly string[] = ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP'];

/** What to do where a PIN had been given, which may have cost a try: nothing that gives it again. */
function pinHint(call: Call | undefined, { pin, atReader }: LastRequest): string | undefined {
  if (call === undefined || !pinFunctions.includes(call.functionName)) return undefined;
  return atReader ? pinHints.entered(pin) : pinHints.tried(pin);
}

/** A host that was ended because it took too long. */
export function timeoutError({ call, limit }: Overdue, last: LastRequest): DeviceError {
  const time = limit < 1000 ? `${limit} ms` : `${Math.round(limit / 100) / 10} s`;
  const ofPin = pinHint(call, last);
  return new DeviceError(
    'timeout',
    `${last.subject}: no answer within ${time}; the process that holds the token was ended`,
    call === undefined ? {} : { functionName: call.functionName },
    { hint: ofPin === undefined ? timeoutHint : `${ofPin}; ${moreTime}` },
  );
}

/** A host that ended by itself, or could not be started. @param wrote what the library had written. */
export function crashError(how: string, call: Call | undefined, wrote: string, last: LastRequest): DeviceError {
  const { modulePath, subject } = last;
  const said = wrote.trim();
  const words = said === '' ? '' : `; it wrote: ${said.replaceAll(/\s+/g, ' ')}`;
  const about = subject === modulePath ? '' : `${subject}: `;
  return new DeviceError(
    'host-crashed',
    `${about}the process that holds ${modulePath} ${how}${words}`,
    call === undefined ? {} : { functionName: call.functionName },
    { hint: pinHint(call, last) ?? crashHint },
  );
}

/** How a process ended. */
export function describeEnd(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === null) return `ended with code ${code ?? 'unknown'}`;
  return crashSignals.includes(signal) ? `crashed (${signal})` : `was ended from outside (${signal})`;
}
