/**
 * Runs in the token host only. Loads pkcs11js and the module, and is the one place where PKCS#11 functions are called
 * through: each call is recorded before it is made, and each failure leaves here in one form.
 */
import { createRequire } from 'node:module';
import type { PKCS11 } from 'pkcs11js';
import { recordCall } from './call-record.js';
import type { HostFailure, LibraryDescription, TokenDescription } from './host-protocol.js';

/** A failure that can be sent to the command. */
export class HostFailureError extends Error {
  readonly failure: HostFailure;

  constructor(failure: HostFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

type AnyFunction = (...values: unknown[]) => unknown;

const loadPackage = createRequire(import.meta.url);

/** Loads a package that may be missing: pkcs11js and graphene-pk11 are optional. */
export function loadBinding(name: string): unknown {
  try {
    return loadPackage(name);
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new HostFailureError({ kind: 'binding', message: `${name}: ${reason}` });
  }
}

/**
 * Loads a module for one thread. It is initialised once, by the first thread, before another loads it: modules crash
 * when two threads do that at the same time (PKCS#11 v2.40, 5.4; SoftHSM2 in half of the runs).
 */
export function loadLibrary(path: string, thread: number): PKCS11 {
  const binding = loadBinding('pkcs11js') as { readonly PKCS11: new () => PKCS11 };
  const library = new binding.PKCS11();
  recordCalls(library, thread);
  recordCall(thread, 'C_GetFunctionList');
  try {
    library.load(path);
  } catch (error) {
    throw loadFailure(error);
  }
  return library;
}

/** Replaces every function of the library by one that records itself and fails in one form. */
function recordCalls(library: PKCS11, thread: number): void {
  const functions = library as unknown as Record<string, unknown>;
  for (const name of Object.keys(functions)) {
    const original = functions[name];
    const plainName = name.replace(/Async$/, '');
    // The callback forms are left alone, and must not be used: they do not hold the buffers they sign.
    if (typeof original !== 'function' || !name.startsWith('C_') || name.endsWith('Callback')) continue;
    functions[name] = (...values: unknown[]) => {
      recordCall(thread, plainName);
      try {
        const result = (original as AnyFunction).apply(library, values);
        return result instanceof Promise
          ? result.catch((error: unknown) => {
              throw functionFailure(plainName, error);
            })
          : result;
      } catch (error) {
        throw functionFailure(plainName, error);
      }
    };
  }
}

/** Errors of pkcs11js come with a code, with the code in the text only (C_FindObjects), or as a TypeError. */
function functionFailure(functionName: string, error: unknown): HostFailureError {
  const { message, code } = readError(error);
  if (code !== undefined) {
    return new HostFailureError({ kind: 'function', functionName, message, returnValue: code });
  }
  return new HostFailureError({ kind: 'internal', functionName, message });
}

function loadFailure(error: unknown): HostFailureError {
  const { message, code } = readError(error);
  const functionName = 'C_GetFunctionList';
  if (code !== undefined) {
    return new HostFailureError({ kind: 'function', functionName, message, returnValue: code });
  }
  return new HostFailureError({ kind: 'library', functionName, message });
}

function readError(error: unknown): { readonly message: string; readonly code: number | undefined } {
  if (!(error instanceof Error)) return { message: String(error), code: undefined };
  const found = /CKR_\w+:(\d+)/.exec(error.message) ?? /CKR_\w+:(\d+)/.exec(error.stack ?? '');
  const own = (error as { code?: unknown }).code;
  const code = typeof own === 'number' && own > 0 ? own : found === null ? undefined : Number(found[1]);
  return { message: error.message.split('\n')[0] ?? '', code };
}

/** Text without the blanks and NULs that fixed fields are filled up with; control characters are left out. */
export function trimText(text: string): string {
  return text
    .replace(/\0[\s\S]*$/, '')
    .replaceAll(/[\x01-\x1f\x7f]/g, '')
    .trim();
}

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** A CK_ULONG as pkcs11js gives it: 4 or 8 bytes in the order of the machine. */
export function readUlong(bytes: Uint8Array): number {
  const ordered = littleEndian ? [...bytes].reverse() : [...bytes];
  return ordered.reduce((sum, byte) => sum * 256 + byte, 0);
}

interface VersionFields {
  readonly major: number;
  readonly minor: number;
}

interface SlotFields {
  readonly slotDescription: string;
  readonly manufacturerID: string;
}

interface TokenFields {
  readonly label: string;
  readonly serialNumber: string;
  readonly manufacturerID: string;
  readonly model: string;
  readonly flags: number;
  readonly firmwareVersion: VersionFields;
  readonly hardwareVersion: VersionFields;
  readonly minPinLen: number;
  readonly maxPinLen: number;
}

export function formatVersion(version: VersionFields): string {
  return `${version.major}.${version.minor}`;
}

/** What the module says of itself. */
export function describeLibrary(library: PKCS11): LibraryDescription {
  const info = library.C_GetInfo();
  return {
    manufacturer: trimText(info.manufacturerID),
    description: trimText(info.libraryDescription),
    version: formatVersion(info.libraryVersion),
  };
}

/** A token in the form that is sent, from pkcs11js or from graphene. */
export function describeToken(slotId: number, slot: SlotFields | undefined, token: TokenFields): TokenDescription {
  return {
    slotId,
    slotDescription: trimText(slot?.slotDescription ?? ''),
    slotManufacturer: trimText(slot?.manufacturerID ?? ''),
    label: trimText(token.label),
    serialNumber: trimText(token.serialNumber),
    manufacturer: trimText(token.manufacturerID),
    model: trimText(token.model),
    flags: token.flags,
    firmware: formatVersion(token.firmwareVersion),
    hardware: formatVersion(token.hardwareVersion),
    ...pinLengths(token),
  };
}

/** CK_UNAVAILABLE_INFORMATION, as pkcs11js cuts it. */
const unavailable = 0xffffffff;

/** Tokens that do not know say 0, or that the information is not available. */
function pinLengths({ minPinLen, maxPinLen }: TokenFields): Pick<TokenDescription, 'minPinLength' | 'maxPinLength'> {
  const isTold = maxPinLen > 0 && maxPinLen !== unavailable && minPinLen <= maxPinLen;
  return isTold ? { minPinLength: minPinLen, maxPinLength: maxPinLen } : {};
}

/** A batch, and the session with which one thread takes part in it. */
export interface Share {
  /** The thread's number in the record of calls. */
  readonly thread: number;
  readonly session: Uint8Array;
  readonly key: Uint8Array;
  readonly mechanisms: readonly number[];
  readonly inputs: readonly Uint8Array[];
  readonly signatureLength: number;
  /** One 32-bit number that all threads share: the input that nobody has taken yet. */
  readonly next: SharedArrayBuffer;
}

/** Signatures with the places of their inputs. */
export type ShareResult = (readonly [number, Uint8Array])[];

/**
 * Signs one input after the other, as long as there are some that no other thread has taken.
 *
 * @param authenticate logs in for each signature (PKCS#11 v2.40, 4.9, CKA_ALWAYS_AUTHENTICATE): between C_SignInit and
 *   C_Sign, on the same session.
 */
export async function signShare(
  library: PKCS11,
  share: Share,
  sign: (session: Buffer, input: Buffer, output: Buffer) => Buffer | Promise<Buffer>,
  authenticate?: () => void,
): Promise<ShareResult> {
  const next = new Int32Array(share.next);
  const [session, key] = [asBuffer(share.session), asBuffer(share.key)];
  const signed: ShareResult = [];
  try {
    for (;;) {
      const index = Atomics.add(next, 0, 1);
      const input = share.inputs[index];
      if (input === undefined) return signed;
      library.C_SignInit(session, { mechanism: share.mechanisms[index] ?? 0 }, key);
      authenticate?.();
      const signature = sign(session, asBuffer(input), Buffer.alloc(share.signatureLength));
      // Plain bytes: a Buffer would arrive as a Buffer.
      signed.push([index, new Uint8Array(signature instanceof Promise ? await signature : signature)]);
    }
  } catch (error) {
    Atomics.store(next, 0, share.inputs.length);
    throw error;
  } finally {
    recordCall(share.thread, '');
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
