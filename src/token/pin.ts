import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { inspect } from 'node:util';
import { InputError } from '../errors.js';
import type { Environment } from './modules.js';
import type { PinSource } from './token-uri.js';

/** Holds the PIN itself; never handed to a child process as an environment variable. */
export const pinVariable = 'ETOKEN_BRIDGE_PIN';
/** The same for the PIN that some keys want before each signature. */
export const signaturePinVariable = 'ETOKEN_BRIDGE_SIGNATURE_PIN';

const redacted = '[PIN]';
/** No token takes a PIN of this many bytes. */
const tooLong = 1024;

/** A PIN that can be passed around and printed without being told. Only the token host's client reveals it. */
export class Pin {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The PIN itself. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  static {
    Object.defineProperty(this.prototype, inspect.custom, { value: () => redacted });
  }
}

/** A PIN and what the user should know of where it comes from. */
export interface PinReading {
  readonly pin: Pin;
  /** That other users can read the file, for example. */
  readonly warning?: string;
}

/**
 * Reads a PIN from a file, a device or a pipe. One newline at its end is not part of it: a PIN with a newline would be
 * a wrong PIN, and cost a try.
 *
 * @throws InputError `file-missing`, `file-unreadable` (also for a file that is empty, or no PIN by its look)
 */
export async function readPinFile(path: string): Promise<PinReading> {
  const { bytes, mode } = await readFile(path);
  const pin = pinFromText(decodeText(bytes, path), `the PIN file ${path}`);
  const readableByAll = process.platform !== 'win32' && mode !== undefined && (mode & 0o004) !== 0;
  return readableByAll
    ? { pin, warning: `the PIN file ${path} can be read by every user of this machine; chmod 600 changes that` }
    : { pin };
}

/**
 * The PIN of an environment variable.
 *
 * @returns `undefined` when the variable is not set or empty.
 * @throws InputError `usage` when the value has more than one line.
 */
export function pinFromEnvironment(environment: Environment, name: string = pinVariable): Pin | undefined {
  const value = environment[name];
  return value === undefined || value === '' ? undefined : pinFromText(value, `the environment variable ${name}`);
}

/**
 * The PIN that a URI's `pin-source` leads to.
 *
 * @throws InputError `missing-option` when the variable is not set; else as {@link readPinFile}.
 */
export async function readPinSource(source: PinSource, environment: Environment): Promise<PinReading> {
  if (source.kind === 'file') return readPinFile(source.path);
  const pin = pinFromEnvironment(environment, source.name);
  if (pin !== undefined) return { pin };
  throw new InputError('missing-option', `pin-source names the environment variable ${source.name}, which is not set`);
}

interface FileContent {
  readonly bytes: Uint8Array;
  /** Of a regular file. */
  readonly mode?: number;
}

async function readFile(path: string): Promise<FileContent> {
  try {
    const facts = statSync(path);
    if (facts.isFile()) return { bytes: readStart(path), mode: facts.mode };
    // A pipe waits for its other end, which must not stop everything else. For files this costs 5 ms of loading.
    return { bytes: await readPipe(path) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    if (code === 'ENOENT') throw new InputError('file-missing', `the PIN file ${path} does not exist`);
    const reason = code === 'EISDIR' ? 'it is a directory' : code;
    throw new InputError('file-unreadable', `the PIN file ${path} cannot be read: ${reason}`);
  }
}

function readStart(path: string): Uint8Array {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(tooLong + 1);
    return bytes.subarray(0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}

async function readPipe(path: string): Promise<Uint8Array> {
  const { open } = await import('node:fs/promises');
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(tooLong + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length);
      length += bytesRead;
      if (bytesRead === 0 || length === bytes.length) return bytes.subarray(0, length);
    }
  } finally {
    await file.close();
  }
}

function decodeText(bytes: Uint8Array, path: string): string {
  if (bytes.length > tooLong) {
    throw new InputError('file-unreadable', `the PIN file ${path} is too long for a PIN`);
  }
  try {
    // A byte order mark, as editors on Windows write it, is left out by the decoder.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new InputError('file-unreadable', `the PIN file ${path} is no text in UTF-8`);
  }
}

function pinFromText(text: string, where: string): Pin {
  const value = text.replace(/\r?\n$/, '');
  if (value === '') throw new InputError('file-unreadable', `${where} is empty`);
  if (/[\r\n\0]/.test(value)) {
    throw new InputError('file-unreadable', `${where} holds more than one line`, {
      hint: 'it must hold the PIN alone; nothing was tried with it',
    });
  }
  return new Pin(value);
}
