import { basename } from 'node:path';
import { equalBytes, printable } from '../bytes/index.js';
import { FormatError, InputError } from '../errors.js';
import {
  ContentMeasurement,
  decodeEncryption,
  decodeSignedFile,
  encryptFile,
  FileEncryption,
  formatCompanion,
  signFile,
  verifySignedFile,
  type MeasuredContent,
  type SignFileOptions,
} from '../signed-file/index.js';
import { digestOf, type Signer } from '../signer/index.js';
import type { Certificate } from '../x509/index.js';
import { NewFile, putSmallFile, type OutputFolders, type PutFile } from './new-file.js';
import { refusePrivateKey } from './private-keys.js';
import { isAsWanted, refuseSigned, type Signing } from './sign-file.js';
import { readEarlier } from './signed-source.js';
import { smallFile, SourceFile, withSource } from './source-file.js';

/** No configuration is larger, in bytes: they are read whole, because the companion takes parts of them. */
const largestConfiguration = 16 * 1024 * 1024;

/** A file that is to be encrypted, and the places of what comes of it. */
export interface EncryptionRequest {
  readonly input: string;
  /** The `.enc.sgn`. */
  readonly output: string;
  /** The `.sgn` that a phone reads first; only configurations have one. */
  readonly companion: string | undefined;
  readonly phone: Certificate;
  readonly signer: Signer;
  readonly signing: Signing & { readonly folders: OutputFolders };
}

/** What became of a file. */
export interface EncryptedOutput {
  readonly alreadyDone: boolean;
  readonly put: readonly PutFile[];
}

/** Whether a file is a configuration, which phones ask for by its companion. */
export function isConfigurationName(name: string): boolean {
  return /\.cnf\.xml$/i.test(name);
}

/**
 * Encrypts a file for a phone into its place. The companion of a configuration comes last: it sends phones to the
 * encrypted one, which must be there.
 *
 * @throws FormatError for a configuration that is none; InputError as `signOneFile`; what the signer throws
 */
export async function encryptOneFile(request: EncryptionRequest): Promise<EncryptedOutput> {
  const { input, companion } = request;
  return withSource(input, async (source) => {
    if (companion === undefined && source.size > smallFile) {
      return { alreadyDone: false, put: [await encryptChunks(source, request)] };
    }
    const content = readConfiguration(source);
    return companion === undefined
      ? { alreadyDone: false, put: [await encryptWhole(content, request)] }
      : encryptConfiguration(content, companion, request);
  });
}

/** @throws InputError `file-unreadable`, `already-signed`, `private-key` */
function readConfiguration(source: SourceFile): Uint8Array {
  if (source.size > largestConfiguration) {
    throw new InputError('file-unreadable', `${printable(source.path)} is larger than 16 MiB: it is no configuration`, {
      hint: 'give other files a name without .cnf.xml: they are encrypted whatever their size',
    });
  }
  const content = source.readWhole();
  refuseSigned(source.path, content);
  refusePrivateKey(source.path, content);
  return content;
}

async function encryptConfiguration(
  content: Uint8Array,
  companion: string,
  request: EncryptionRequest,
): Promise<EncryptedOutput> {
  const { phone, signer, signing } = request;
  const small = formatCompanion(content, phone);
  if (signing.keepFinished !== undefined && (await isFinished(content, small, companion, request))) {
    return { alreadyDone: true, put: [] };
  }
  const encrypted = await encryptWhole(content, request);
  const signed = await signFile(small, optionsOf(request), signer);
  return { alreadyDone: false, put: [encrypted, await putSmallFile(companion, signed, signing.folders)] };
}

async function encryptWhole(content: Uint8Array, request: EncryptionRequest): Promise<PutFile> {
  const { output, phone, signer, signing } = request;
  return putSmallFile(output, await encryptFile(content, optionsOf(request), phone, signer), signing.folders);
}

/** Two passes over the file: its header has the digest of all of it. */
async function encryptChunks(source: SourceFile, request: EncryptionRequest): Promise<PutFile> {
  const { output, phone, signer, signing } = request;
  const measured = await measure(source, request);
  const encryption = new FileEncryption(optionsOf(request), measured, phone, signer);
  const file = await NewFile.begin(output, signing.folders);
  try {
    let position = encryption.headerLength;
    for await (const chunk of source.chunks()) {
      const encrypted = encryption.update(chunk);
      await file.write(encrypted, position);
      position += encrypted.length;
      signing.onRead?.(chunk.length);
    }
    const { header, rest } = await encryption.finish();
    await file.write(rest, position);
    await file.write(header, 0);
    return await file.put();
  } finally {
    file.discard();
  }
}

async function measure(source: SourceFile, { signing }: EncryptionRequest): Promise<MeasuredContent> {
  const measurement = new ContentMeasurement(signing.digestAlgorithm);
  let isFirst = true;
  for await (const chunk of source.chunks()) {
    if (isFirst) {
      refuseSigned(source.path, chunk);
      refusePrivateKey(source.path, chunk);
    }
    isFirst = false;
    measurement.update(chunk);
  }
  return measurement.finish();
}

function optionsOf({ input, signing }: EncryptionRequest): SignFileOptions {
  const { timestamp, digestAlgorithm } = signing;
  return { name: basename(input), timestamp, ...(digestAlgorithm === undefined ? {} : { digestAlgorithm }) };
}

/**
 * Whether both files are what would be made today. Nobody but the phone can look into the encrypted one, so that counts
 * which this signer signed with the digest of the configuration, beside a companion that names the certificate of the
 * phone. What has no companion does not say for whom it is, and is made again.
 */
async function isFinished(
  content: Uint8Array,
  small: Uint8Array,
  companion: string,
  request: EncryptionRequest,
): Promise<boolean> {
  const { output, signer, signing } = request;
  const options = optionsOf(request);
  const sameTime = signing.keepFinished === 'same-time';
  const earlier = await readEarlier(output);
  if (earlier === undefined || !isSignedCompanion(small, companion, request)) return false;
  const { header } = earlier.verdict;
  if (!isAsWanted(header, '2.0', `${options.name}.enc.sgn`, options, sameTime)) return false;
  if (!earlier.verdict.isSignedBy(signer.certificate)) return false;
  try {
    const { contentDigestAlgorithm, contentDigest } = decodeEncryption(header);
    return equalBytes(digestOf(contentDigestAlgorithm, content), contentDigest);
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

function isSignedCompanion(small: Uint8Array, companion: string, request: EncryptionRequest): boolean {
  const { signer, signing } = request;
  const options = optionsOf(request);
  let source: SourceFile | undefined;
  try {
    source = new SourceFile(companion);
    if (source.size > smallFile) return false;
    const file = decodeSignedFile(source.readWhole());
    return (
      isAsWanted(file.header, '1.0', `${options.name}.sgn`, options, signing.keepFinished === 'same-time') &&
      equalBytes(file.content, small) &&
      verifySignedFile(file, signer.certificate)
    );
  } catch (error) {
    if (error instanceof FormatError || error instanceof InputError) return false;
    throw error;
  } finally {
    source?.closeNow();
  }
}
