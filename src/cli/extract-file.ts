import { chmodSync, statSync } from 'node:fs';
import { concatBytes } from '../bytes/index.js';
import type { FileVerdict, SignedHeader } from '../signed-file/index.js';
import type { JudgeSigner, SignerAnswer } from './file-keys.js';
import { NewFile, putSmallFile, type OutputFolders, type PutFile } from './new-file.js';
import { readSigned } from './signed-source.js';
import { smallFile, withSource } from './source-file.js';

/** What makes the plain file from the body of a signed one. */
export interface BodyDecoding {
  update(part: Uint8Array): Uint8Array;
  /** The body was read to its end. @returns the last of the plain file. */
  finish(): Uint8Array;
}

/** How a plain file is taken out of a signed one. */
export interface Extraction {
  /** Begins, or refuses the file by its header. */
  readonly begin: (header: SignedHeader) => BodyDecoding;
  /** Who may have signed it; not looked at unless given. */
  readonly judge: JudgeSigner | undefined;
  /** Permissions of the plain file. */
  readonly mode: number;
  readonly folders: OutputFolders;
  readonly onRead?: (count: number) => void;
}

/** What came of it. Without a plain file the signature was not right, and nothing was written. */
export interface Extracted {
  readonly header: SignedHeader;
  readonly answer: SignerAnswer | undefined;
  readonly put: PutFile | undefined;
}

/** A plain file that is gathered, or written beside its place, until it is known to be right. */
interface Plain {
  add(bytes: Uint8Array): Promise<void> | void;
  put(): Promise<PutFile>;
  discard(): void;
}

/**
 * Takes the plain file out of a signed one, of any size. It is in its place only when all of it is right.
 *
 * @throws FormatError, ProofError for what is wrong with the file; InputError from reading and writing
 */
export async function extractFile(input: string, output: string, extraction: Extraction): Promise<Extracted> {
  return withSource(input, async (source) => {
    const { folders, mode, onRead } = extraction;
    const plain =
      source.size <= smallFile ? gather(output, folders, mode) : write(await NewFile.begin(output, folders, mode));
    let decoding: BodyDecoding | undefined;
    try {
      const verdict = await readSigned(source, {
        onHeader: (header) => (decoding = extraction.begin(header)),
        onBody: async (part) => plain.add(decoding?.update(part) ?? part),
        onRead,
      });
      const extracted = await end(verdict, decoding, plain, extraction.judge);
      if (extracted.put !== undefined) keepPrivate(extracted.put.path, mode);
      return extracted;
    } finally {
      plain.discard();
    }
  });
}

async function end(
  verdict: FileVerdict,
  decoding: BodyDecoding | undefined,
  plain: Plain,
  judge: JudgeSigner | undefined,
): Promise<Extracted> {
  const { header } = verdict;
  const answer = judge?.(verdict);
  if (answer?.verified === false) return { header, answer, put: undefined };
  await plain.add(decoding?.finish() ?? new Uint8Array());
  return { header, answer, put: await plain.put() };
}

/** A file that was left because it has these bytes may be readable by more people than it should. */
function keepPrivate(path: string, mode: number): void {
  const present = statSync(path).mode & 0o777;
  if ((mode & 0o077) === 0 && (present & ~mode) !== 0) chmodSync(path, present & mode);
}

function gather(output: string, folders: OutputFolders, mode: number): Plain {
  const parts: Uint8Array[] = [];
  return {
    add: (bytes) => void parts.push(bytes),
    put: () => putSmallFile(output, concatBytes(...parts), folders, mode),
    discard: () => undefined,
  };
}

function write(file: NewFile): Plain {
  let position = 0;
  return {
    add: async (bytes) => {
      await file.write(bytes, position);
      position += bytes.length;
    },
    put: () => file.put(),
    discard: () => file.discard(),
  };
}
