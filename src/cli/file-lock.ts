import { randomBytes } from 'node:crypto';
import { linkSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { trackUnfinished } from './unfinished-files.js';

/** Who holds a lock. */
interface Owner {
  readonly pid: number;
  /** When the process started, as the system tells it: a number that is used again belongs to another process. */
  readonly started: string;
  readonly host: string;
}

/** What is locked, in words for people. */
export interface LockWords {
  /** The file or folder that the processes work on. */
  readonly what: string;
  /** What helps where the lock cannot be written. */
  readonly hint: string;
}

/**
 * A lock that two processes never hold at once and that a killed process does not keep. Each lock is a file of its own
 * number that appears with its content, by a second name for a file that was written before; a lock whose process has
 * ended is passed by with the next number.
 */
export class FileLock {
  readonly #folder: string;
  readonly #name: string;
  readonly #words: LockWords;
  #path: string | undefined;
  #tracked: { readonly end: () => void } | undefined;

  /** @param name the beginning of the names of lock files in the folder; locks of different names do not meet. */
  constructor(folder: string, name: string, words: LockWords) {
    this.#folder = folder;
    this.#name = name;
    this.#words = words;
  }

  /**
   * Takes the lock.
   *
   * @throws InputError `usage` when a process that runs holds it, `file-unwritable`
   */
  take(): void {
    try {
      this.#take();
    } catch (error) {
      if (error instanceof InputError) throw error;
      const reason = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new InputError('file-unwritable', `nothing can be written to ${printable(this.#folder)}: ${reason}`, {
        hint: this.#words.hint,
        cause: error,
      });
    }
  }

  #take(): void {
    const own: Owner = { pid: process.pid, started: startOf(process.pid) ?? '', host: hostname() };
    const written = join(this.#folder, `.${this.#name}-${process.pid}-${randomBytes(4).toString('hex')}`);
    writeFileSync(written, `${JSON.stringify(own)}\n`, { flag: 'wx' });
    try {
      for (;;) {
        const numbers = this.#numbers();
        this.#refuseRunning(numbers);
        const number = Math.max(0, ...numbers) + 1;
        if (!this.#tryLink(written, this.#pathOf(number))) continue;
        this.#path = this.#pathOf(number);
        this.#tracked = trackUnfinished(this.#path);
        // Another process may have taken a lower number in the meantime.
        const others = this.#numbers().filter((other) => other !== number);
        try {
          this.#refuseRunning(others);
        } catch (error) {
          this.release();
          throw error;
        }
        for (const other of others) tryUnlink(this.#pathOf(other));
        return;
      }
    } finally {
      tryUnlink(written);
      this.#removeAbandoned();
    }
  }

  release(): void {
    if (this.#path !== undefined) tryUnlink(this.#path);
    this.#path = undefined;
    this.#tracked?.end();
  }

  #pathOf(number: number): string {
    return join(this.#folder, `${this.#name}.${number}`);
  }

  #numbers(): readonly number[] {
    return readdirSync(this.#folder).flatMap((name) => {
      const number = name.startsWith(`${this.#name}.`) ? name.slice(this.#name.length + 1) : '';
      return /^\d{1,9}$/.test(number) ? [Number(number)] : [];
    });
  }

  #refuseRunning(numbers: readonly number[]): void {
    for (const number of numbers) {
      const path = this.#pathOf(number);
      const owner = readOwner(path);
      if (owner === undefined || !isRunning(owner)) continue;
      const there = owner.host === hostname() ? '' : ` on ${printable(owner.host)}`;
      throw new InputError('usage', `another process (${owner.pid}${there}) works on ${printable(this.#words.what)}`, {
        hint: `wait until it has ended; if there is no such process, remove ${printable(path)}`,
      });
    }
  }

  #tryLink(from: string, to: string): boolean {
    const placed = tryPlace(() => linkSync(from, to));
    if (placed !== undefined) return placed;
    // Some disks know no second names.
    const written = tryPlace(() => writeFileSync(to, readFileSync(from), { flag: 'wx' }));
    if (written !== undefined) return written;
    throw new InputError('file-unwritable', `${printable(to)} cannot be written`, { hint: this.#words.hint });
  }

  /** What a process left that was killed before it had its lock. */
  #removeAbandoned(): void {
    const start = `.${this.#name}-`;
    for (const name of readdirSync(this.#folder)) {
      const writer = /^(\d+)-[0-9a-f]{8}$/.exec(name.startsWith(start) ? name.slice(start.length) : '')?.[1];
      if (writer !== undefined && startOf(Number(writer)) === undefined) tryUnlink(join(this.#folder, name));
    }
  }
}

function readOwner(path: string): Owner | undefined {
  try {
    const { pid, started, host } = JSON.parse(readFileSync(path, 'utf8')) as Readonly<Record<string, unknown>>;
    return { pid: Number(pid), started: String(started), host: String(host) };
  } catch {
    // It was released a moment ago, or is no lock of ours.
    return undefined;
  }
}

function isRunning({ pid, started, host }: Owner): boolean {
  // Of another machine that shares the folder nobody here can tell.
  if (host !== hostname()) return true;
  const now = startOf(pid);
  return now !== undefined && (started === '' || now === '' || now === started);
}

/** When a process started; empty where the system does not tell, `undefined` when it does not run. */
function startOf(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
  }
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    // A process that has ended and waits for its parent to notice does not run. Field 22 is its start.
    return fields[0] === 'Z' ? undefined : (fields[19] ?? '');
  } catch {
    return '';
  }
}

/** `false` when the name is taken, `undefined` when it failed otherwise. */
function tryPlace(put: () => void): boolean | undefined {
  try {
    put();
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EEXIST' ? false : undefined;
  }
}

function tryUnlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody else removed it.
  }
}
