import { createHash } from 'node:crypto';
import { FormatError, InputError } from '../errors.js';
import { SignedFileReader, type FileVerdict, type SignedHeader } from '../signed-file/index.js';
import { smallFile, withSource, type SourceFile } from './source-file.js';

/** What is to be done with a signed file while it is read. */
export interface ReadingSigned {
  /** The header was read: the time to refuse the file. */
  readonly onHeader?: (header: SignedHeader) => void;
  /** The next part of the body. */
  readonly onBody?: (part: Uint8Array) => Promise<void> | void;
  /** So many bytes more were read. */
  readonly onRead?: ((count: number) => void) | undefined;
}

/**
 * Reads a signed file to its end, whatever its size, in little memory.
 *
 * @throws FormatError for what is no signed file; InputError from reading it
 */
export async function readSigned(source: SourceFile, reading: ReadingSigned = {}): Promise<FileVerdict> {
  const reader = new SignedFileReader();
  let isKnown = false;
  const take = async (chunk: Uint8Array): Promise<void> => {
    const part = reader.update(chunk);
    if (!isKnown && reader.header !== undefined) {
      isKnown = true;
      reading.onHeader?.(reader.header);
    }
    if (part.length > 0) await reading.onBody?.(part);
    reading.onRead?.(chunk.length);
  };
  if (source.size <= smallFile) await take(source.readWhole());
  else for await (const chunk of source.chunks()) await take(chunk);
  return reader.finish();
}

/** A signed file that an earlier run may have made: what it says, and the digest of its body. */
export interface EarlierOutput {
  readonly verdict: FileVerdict;
  readonly bodyDigest: string;
}

/** Reads what may be the finished work of an earlier run; `undefined` where there is nothing, or nothing of the kind. */
export async function readEarlier(path: string): Promise<EarlierOutput | undefined> {
  const hash = createHash('sha256');
  try {
    const verdict = await withSource(path, (source) =>
      readSigned(source, { onBody: (part) => void hash.update(part) }),
    );
    return { verdict, bodyDigest: hash.digest('hex') };
  } catch (error) {
    if (error instanceof FormatError || error instanceof InputError) return undefined;
    throw error;
  }
}
