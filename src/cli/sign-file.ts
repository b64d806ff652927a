import { basename } from 'node:path';
import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { FileSigning, signFile, type SignedHeader, type SignFileOptions } from '../signed-file/index.js';
import type { DigestAlgorithm, Signer } from '../signer/index.js';
import { NewFile, OutputFolders, putSmallFile, type PutFile } from './new-file.js';
import { refusePrivateKey } from './private-keys.js';
import { readEarlier } from './signed-source.js';
import { digestSource, smallFile, withSource, type SourceFile } from './source-file.js';

/** How files are signed. */
export interface Signing {
  /** SHA-1 unless given. */
  readonly digestAlgorithm?: DigestAlgorithm | undefined;
  /** TIMESTAMP in seconds since 1970-01-01 UTC. */
  readonly timestamp: number;
  /**
   * Whether an output that is there is left when it is this very file, signed by this signer: told by its content.
   * `same-time`: and its TIMESTAMP must be the one that is given.
   */
  readonly keepFinished?: 'any-time' | 'same-time' | undefined;
  /** The folders of a run of many files. Without them the output lasts when the function returns. */
  readonly folders?: OutputFolders;
  /** So many bytes more were read. */
  readonly onRead?: (count: number) => void;
}

/** What became of a file. */
export interface SignedOutput extends PutFile {
  /** Whether it was found finished. */
  readonly alreadyDone: boolean;
}

/**
 * Signs one file into its place: there, at every moment, is the old file or the new one, whole. The one that was there
 * before is kept in `backups/`. A file of any size is signed in little memory.
 *
 * FILENAME is the name of the output. Whether the output may be written there is for the caller to look at.
 *
 * @param input the plain file.
 * @param output its place, e.g. `SEP001122334455.cnf.xml.sgn`.
 * @throws InputError `already-signed` for a file that is a signed file or trust list; `private-key`, `file-missing`,
 *   `file-unreadable` (also for a file that changes while it is read), `file-unwritable`; what the signer throws
 */
export async function signOneFile(
  input: string,
  output: string,
  signer: Signer,
  signing: Signing,
): Promise<SignedOutput> {
  const folders = signing.folders ?? new OutputFolders();
  const options: SignFileOptions = {
    name: basename(output).replace(/\.sgn$/i, ''),
    timestamp: signing.timestamp,
    ...(signing.digestAlgorithm === undefined ? {} : { digestAlgorithm: signing.digestAlgorithm }),
  };
  const put = await withSource(input, async (source) => {
    const content = source.size <= smallFile ? source.readWhole() : undefined;
    // Also one that was signed before this was looked at is told.
    if (content !== undefined) refusePrivateKey(source.path, content);
    if (signing.keepFinished !== undefined && (await isFinished(source, output, options, signer, signing))) {
      return { path: output, length: 0, unchanged: true, alreadyDone: true };
    }
    const made =
      content === undefined
        ? await signChunks(source, output, options, signer, folders, signing.onRead)
        : await signWhole(input, content, output, options, signer, folders);
    return { ...made, alreadyDone: false };
  });
  if (signing.folders === undefined) await folders.sync();
  return put;
}

/** Whether a file begins as signed files and trust lists do. */
export function startsSigned(start: Uint8Array): boolean {
  const [tag, , , major, , next, high, low] = start;
  const isVersion = tag === 1 && start[1] === 0 && start[2] === 2 && (major === 1 || major === 2);
  return isVersion && next === 2 && high === 0 && low === 2;
}

/** @throws InputError `already-signed` */
export function refuseSigned(path: string, start: Uint8Array): void {
  if (!startsSigned(start)) return;
  throw new InputError('already-signed', `${printable(path)} is signed already`, {
    hint: 'to have it signed by another key, take its signature off first: "file strip"',
  });
}

async function signWhole(
  input: string,
  content: Uint8Array,
  output: string,
  options: SignFileOptions,
  signer: Signer,
  folders: OutputFolders,
): Promise<PutFile> {
  refuseSigned(input, content);
  return putSmallFile(output, await signFile(content, options, signer), folders);
}

async function signChunks(
  source: SourceFile,
  output: string,
  options: SignFileOptions,
  signer: Signer,
  folders: OutputFolders,
  onRead?: (count: number) => void,
): Promise<PutFile> {
  const signing = new FileSigning(options, signer);
  let file: NewFile | undefined;
  try {
    let position = signing.headerLength;
    for await (const chunk of source.chunks()) {
      if (file === undefined) {
        refuseSigned(source.path, chunk);
        refusePrivateKey(source.path, chunk);
      }
      file ??= await NewFile.begin(output, folders);
      const written = file.write(chunk, position);
      signing.update(chunk);
      await written;
      position += chunk.length;
      onRead?.(chunk.length);
    }
    file ??= await NewFile.begin(output, folders);
    await file.write(await signing.finish(), 0);
    return await file.put();
  } finally {
    file?.discard();
  }
}

/** Whether the output is this file, signed by this signer, with the digest and name that are wanted. */
async function isFinished(
  source: SourceFile,
  output: string,
  options: SignFileOptions,
  signer: Signer,
  { keepFinished }: Signing,
): Promise<boolean> {
  const earlier = await readEarlier(output);
  if (earlier === undefined) return false;
  const { verdict, bodyDigest } = earlier;
  return (
    isAsWanted(verdict.header, '1.0', `${options.name}.sgn`, options, keepFinished === 'same-time') &&
    verdict.bodyLength === source.size &&
    verdict.isSignedBy(signer.certificate) &&
    bodyDigest === (await digestSource(source, 'sha256'))
  );
}

/** Whether a header says what would be written today. */
export function isAsWanted(
  { version, fileName, digestAlgorithm, timestamp }: SignedHeader,
  wantedVersion: '1.0' | '2.0',
  wantedName: string,
  options: SignFileOptions,
  sameTime: boolean,
): boolean {
  return (
    `${String(version.major)}.${String(version.minor)}` === wantedVersion &&
    fileName === wantedName &&
    digestAlgorithm === (options.digestAlgorithm ?? 'sha1') &&
    (!sameTime || timestamp === options.timestamp)
  );
}
