import { createHash } from 'node:crypto';
import { close, closeSync, fstatSync, openSync, read, readSync, type BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { explainRead } from './files.js';

const readAt = promisify(read);
const closeFile = promisify(close);

/** Files up to this many bytes are read whole: configurations and ring lists, not firmware. */
export const smallFile: number = 256 * 1024;

/** How much of a large file is in memory, twice, of each that is under way. With less, more time goes into the turns. */
const chunkLength = 1024 * 1024;

/** A file that is read once or twice, and must be the same from the beginning to the end. */
export class SourceFile {
  readonly path: string;
  readonly #descriptor: number;
  readonly #before: BigIntStats;
  #reading: Promise<unknown> | undefined;

  /** @throws InputError `file-missing`, `file-unreadable` */
  constructor(path: string) {
    this.path = path;
    try {
      this.#descriptor = openSync(path, 'r');
    } catch (error) {
      throw explainRead(error, path, 'file');
    }
    this.#before = fstatSync(this.#descriptor, { bigint: true });
  }

  /** Bytes. */
  get size(): number {
    return Number(this.#before.size);
  }

  /** When it was changed last. */
  get changed(): Date {
    return this.#before.mtime;
  }

  /** The whole file. @throws InputError `file-unreadable`, also when it changed meanwhile */
  readWhole(): Uint8Array {
    const bytes = new Uint8Array(this.size);
    let length = 0;
    try {
      while (length < bytes.length) {
        const count = readSync(this.#descriptor, bytes, length, bytes.length - length, length);
        if (count === 0) break;
        length += count;
      }
    } catch (error) {
      throw explainRead(error, this.path, 'file');
    }
    this.#requireUnchanged(length);
    return bytes;
  }

  /**
   * The file from its beginning, in chunks. The next one is read while the caller works on one, and takes the place of
   * the one before: a chunk is gone when the next one was asked for.
   *
   * @throws InputError `file-unreadable`, also when the file changed meanwhile
   */
  async *chunks(): AsyncGenerator<Uint8Array, void> {
    const buffers = [new Uint8Array(chunkLength), new Uint8Array(chunkLength)];
    let length = 0;
    let next = this.#readChunk(buffers[0] ?? new Uint8Array(), 0);
    for (let index = 1; ; index += 1) {
      const chunk = await next;
      if (chunk.length === 0) break;
      length += chunk.length;
      next = this.#readChunk(buffers[index % 2] ?? new Uint8Array(), length);
      yield chunk;
    }
    this.#requireUnchanged(length);
  }

  async close(): Promise<void> {
    if (this.#reading === undefined) {
      this.closeNow();
      return;
    }
    // A buffer that is being read into must not lose its file.
    await this.#reading;
    await closeFile(this.#descriptor).catch(() => undefined);
  }

  /** For a file that was read whole. */
  closeNow(): void {
    closeSync(this.#descriptor);
  }

  #readChunk(buffer: Uint8Array, position: number): Promise<Uint8Array> {
    const chunk = readAt(this.#descriptor, buffer, 0, buffer.length, position).then(
      ({ bytesRead }) => buffer.subarray(0, bytesRead),
      (error: unknown) => {
        throw explainRead(error, this.path, 'file');
      },
    );
    // Thrown where it is awaited; when nobody asks for it any more, nothing is lost.
    this.#reading = chunk.catch(() => undefined);
    return chunk;
  }

  #requireUnchanged(length: number): void {
    const { size, mtimeNs, ctimeNs } = fstatSync(this.#descriptor, { bigint: true });
    const before = this.#before;
    if (size === before.size && mtimeNs === before.mtimeNs && ctimeNs === before.ctimeNs && length === this.size)
      return;
    throw new InputError('file-unreadable', `${printable(this.path)} changed while it was read`, {
      hint: 'run the command again when nothing writes to it; --continue does only what is missing',
    });
  }
}

/** The digest of a whole file, in hex. @throws InputError `file-unreadable` */
export async function digestSource(source: SourceFile, algorithm: 'sha1' | 'sha256'): Promise<string> {
  const hash = createHash(algorithm);
  if (source.size <= smallFile) hash.update(source.readWhole());
  else for await (const chunk of source.chunks()) hash.update(chunk);
  return hash.digest('hex');
}

/** Works on a file and closes it. */
export async function withSource<Value>(path: string, use: (source: SourceFile) => Promise<Value>): Promise<Value> {
  const source = new SourceFile(path);
  try {
    return await use(source);
  } finally {
    await source.close();
  }
}
