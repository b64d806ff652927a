import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where the token host has its record open. */
export const recordDescriptor = 4;

/** A PKCS#11 call that a thread of the host is in. */
export interface Call {
  readonly functionName: string;
  /** When it began, in milliseconds of the clock that all processes of the machine share, see `process.hrtime`. */
  readonly since: number;
}

/** Each thread has a place of its own in the record: the time in nanoseconds, then the name, filled up with NUL. */
const timeLength = 8;
const placeLength = 40;
const mostThreads = 8;

/** The shared clock, in milliseconds. */
export function sharedTime(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/**
 * Runs in the token host. Notes the call that a thread is about to make, or that it is in none. Written before the call,
 * because that may never return.
 */
export function recordCall(thread: number, functionName: string): void {
  const place = Buffer.alloc(placeLength);
  place.writeBigUInt64LE(process.hrtime.bigint());
  place.write(functionName, timeLength, 'latin1');
  try {
    writeSync(recordDescriptor, place, 0, placeLength, thread * placeLength);
  } catch {
    // Without the record a failure does not name its function; that is no reason not to sign.
  }
}

/**
 * The calls that a token host is in, as the host notes them in a file without a name. A file, because a note must cost
 * nothing beside a signature: a pipe or message would wake the reader twice for each, and is 15 times as dear.
 */
export class CallRecord {
  #descriptor: number | undefined;

  constructor() {
    const path = join(tmpdir(), `etoken-bridge-${process.pid}-${process.hrtime.bigint()}`);
    try {
      this.#descriptor = openSync(path, 'wx+', 0o600);
      unlinkSync(path);
    } catch {
      // Where there is no folder for temporary files, failures do not name their function.
    }
  }

  /** What the host is given as its descriptor. */
  get descriptor(): number | 'ignore' {
    return this.#descriptor ?? 'ignore';
  }

  /** The calls that the host is in, the one that began first in front; `undefined` when they cannot be known. */
  read(): readonly Call[] | undefined {
    if (this.#descriptor === undefined) return undefined;
    const bytes = Buffer.alloc(placeLength * mostThreads);
    const length = readSync(this.#descriptor, bytes, 0, bytes.length, 0);
    const calls: Call[] = [];
    for (let offset = 0; offset + placeLength <= length; offset += placeLength) {
      const name = bytes.toString('latin1', offset + timeLength, offset + placeLength).replace(/\0.*$/s, '');
      if (name !== '') calls.push({ functionName: name, since: Number(bytes.readBigUInt64LE(offset) / 1000n) / 1000 });
    }
    return calls.sort((left, right) => left.since - right.since);
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
