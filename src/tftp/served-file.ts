import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, statSync, type BigIntStats } from 'node:fs';
import { join, sep } from 'node:path';

/** A file as it was when it was opened. */
export interface ServedFile {
  /** Bytes. */
  readonly size: number;
  /** The bytes from `start` up to `end`; undefined when the file was changed while it was being sent. */
  readonly read: (start: number, end: number) => Uint8Array | undefined;
  readonly close: () => void;
}

/** Why a file is not served. */
export type FileRefusal = 'not-found' | 'outside' | 'no-file' | 'unreadable';

/** Files up to this size are held in memory while they are sent, one copy for all clients. */
const largestHeld = 16 * 1024 * 1024;

/** What all of them may take at once, in bytes: a request alone, which costs nobody anything, makes a file be held. */
const largestTotal = 64 * 1024 * 1024;

/** How much of any other file is read at once, in bytes: every transfer holds that much. */
const chunkSize = 128 * 1024;

/** Bytes that stay as they are. */
export function serveBytes(bytes: Uint8Array): ServedFile {
  return { size: bytes.length, read: (start, end) => bytes.subarray(start, end), close: () => undefined };
}

/**
 * Whether a requested name is a path below the folder: parts joined by `/`, none of them empty, `.` or `..`; no
 * backslash, drive or control character.
 */
export function isConfinedName(name: string): boolean {
  if (name === '' || /[\\\u0000-\u001f\u007f]|^[A-Za-z]:/.test(name)) return false;
  return name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** Opens the files of one folder and of no other place, and shares what is in memory. */
export class ServedFolder {
  readonly #root: string;
  readonly #largestTotal: number;
  /** By device, file, size and time of writing; how many transfers use it. */
  readonly #held = new Map<string, { readonly bytes: Uint8Array; users: number }>();

  /** Bytes of all that are held. */
  #total = 0;

  /**
   * @param root a folder that is there; links to it are followed.
   * @param most bytes that all held files may take; those above are read in chunks.
   */
  constructor(root: string, most: number = largestTotal) {
    this.#root = realpathSync(root);
    this.#largestTotal = most;
  }

  /** Opens a regular file below the folder. Links are followed only as long as they stay below it. */
  open(name: string): ServedFile | FileRefusal {
    if (!isConfinedName(name)) return 'outside';
    let descriptor: number;
    try {
      const real = realpathSync(join(this.#root, ...name.split('/')));
      const below = this.#root.endsWith(sep) ? this.#root : `${this.#root}${sep}`;
      if (!real.startsWith(below)) return 'outside';
      if (!statSync(real).isFile()) return 'no-file';
      // Whoever puts a link or a pipe in its place at this moment gets an error, and no server that hangs.
      descriptor = openSync(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      return refusals[(error as NodeJS.ErrnoException).code ?? ''] ?? 'unreadable';
    }
    try {
      return this.#serve(descriptor);
    } catch {
      closeSync(descriptor);
      return 'unreadable';
    }
  }

  #serve(descriptor: number): ServedFile | FileRefusal {
    const before = fstatSync(descriptor, { bigint: true });
    if (!before.isFile()) {
      closeSync(descriptor);
      return 'no-file';
    }
    const key = identity(before);
    const size = Number(before.size);
    const hasRoom = size <= largestHeld && this.#total + size <= this.#largestTotal;
    if (!this.#held.has(key) && !hasRoom) return serveChunks(descriptor, before);
    const served = this.#hold(key, () => readWhole(descriptor));
    closeSync(descriptor);
    return served;
  }

  #hold(key: string, read: () => Uint8Array): ServedFile {
    const held = this.#held.get(key) ?? { bytes: read(), users: 0 };
    if (held.users === 0) {
      this.#held.set(key, held);
      this.#total += held.bytes.length;
    }
    held.users += 1;
    const close = (): void => {
      held.users -= 1;
      if (held.users > 0) return;
      this.#held.delete(key);
      this.#total -= held.bytes.length;
    };
    return { ...serveBytes(held.bytes), close };
  }
}

const refusals: Readonly<Partial<Record<string, FileRefusal>>> = {
  ENOENT: 'not-found',
  ENOTDIR: 'not-found',
  ENAMETOOLONG: 'not-found',
  ELOOP: 'outside',
};

/** Not the time of the last change of its entry: a file that is replaced by renaming stays as it was. */
function identity({ dev, ino, size, mtimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs].join(' ');
}

/** Reads the whole file, again when somebody wrote to it meanwhile. */
function readWhole(descriptor: number): Uint8Array {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const before = fstatSync(descriptor, { bigint: true });
    const bytes = new Uint8Array(Number(before.size));
    const length = readFully(descriptor, bytes, 0);
    const after = fstatSync(descriptor, { bigint: true });
    if (length === bytes.length && identity(before) === identity(after)) return bytes;
  }
  throw new Error('the file is being written');
}

/** Fills `bytes` from `position` on. @returns how many bytes there were. */
function readFully(descriptor: number, bytes: Uint8Array, position: number): number {
  let length = 0;
  while (length < bytes.length) {
    const count = readSync(descriptor, bytes, length, bytes.length - length, position + length);
    if (count === 0) break;
    length += count;
  }
  return length;
}

/** A file that is not held: read in chunks, and given up when it is no longer the one that was opened. */
function serveChunks(descriptor: number, opened: BigIntStats): ServedFile {
  const size = Number(opened.size);
  let chunk: Uint8Array = new Uint8Array(0);
  let chunkStart = 0;
  const read = (start: number, end: number): Uint8Array | undefined => {
    if (start < chunkStart || end > chunkStart + chunk.length) {
      // New memory each time: packets with parts of the last chunk may still wait to be sent.
      const fresh = new Uint8Array(Math.min(Math.max(chunkSize, end - start), size - start));
      if (readFully(descriptor, fresh, start) < fresh.length) return undefined;
      if (identity(fstatSync(descriptor, { bigint: true })) !== identity(opened)) return undefined;
      chunk = fresh;
      chunkStart = start;
    }
    return chunk.subarray(start - chunkStart, end - chunkStart);
  };
  return { size, read, close: () => closeSync(descriptor) };
}
