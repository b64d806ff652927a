import { readFile, stat } from 'node:fs/promises';
import type { InputErrorCode } from '../errors.js';

/** The largest certificate or key file that is read, in bytes: a chain of many certificates is far shorter. */
export const largestKeyOrCertificateFile: number = 1024 * 1024;

/** Why a file was not read. `reason` goes on after the name of the file. */
export interface UnreadFile {
  readonly code: Extract<InputErrorCode, 'file-missing' | 'file-unreadable'>;
  readonly reason: string;
}

/**
 * The bytes of a regular file, or why there are none.
 *
 * @param largest the largest size that is read, in bytes.
 */
export async function readWholeFile(path: string, largest: number): Promise<Uint8Array | UnreadFile> {
  const unreadable = (reason: string): UnreadFile => ({ code: 'file-unreadable', reason });
  try {
    // Looked at before it is opened: opening a pipe waits for a writer.
    const found = await stat(path);
    if (found.isDirectory()) return unreadable('is a folder');
    if (!found.isFile()) return unreadable('is not a regular file');
    if (found.size > largest) return unreadable(`is too large: ${found.size} bytes, and at most ${largest} are read`);
    return new Uint8Array(await readFile(path));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    if (code === 'ENOENT' || code === 'ENOTDIR') return { code: 'file-missing', reason: 'does not exist' };
    return unreadable(`cannot be read (${code})`);
  }
}
