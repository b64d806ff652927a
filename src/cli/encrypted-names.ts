import { basename } from 'node:path';
import { printable } from '../bytes/index.js';
import { FormatError, InputError, RefusalError } from '../errors.js';
import { decodeSignedFile, isCompanion } from '../signed-file/index.js';
import { lookAt } from './bulk-inputs.js';
import { smallFile, SourceFile } from './source-file.js';

/** What commands that go over a folder say of such a file. */
export const encryptedForPhone = 'encrypted for its phone: "file encrypt" makes it again';

/**
 * Whether a plain file must not be signed into a place, because phones get it encrypted there: an `.enc.sgn` of its name
 * lies beside the output, or what is there is the companion that sends phones to one. A signed plain file in its place
 * would be served with all passwords in the clear.
 *
 * Asked by every command that signs plain files, right before it signs one. A file that was given by its name is
 * refused ({@link refuseEncrypted}); one of a folder is passed over with {@link encryptedForPhone}.
 *
 * @param output the place of the signed file, e.g. `SEP001122334455.cnf.xml.sgn`.
 * @returns the file that shows it: the `.enc.sgn`, or the output; `undefined` where the place is free.
 * @throws InputError `file-unreadable`
 */
export function encryptedInstead(output: string): string | undefined {
  const encrypted = `${output.replace(/\.sgn$/i, '')}.enc.sgn`;
  if (lookAt(encrypted) !== undefined) return encrypted;
  return holdsCompanion(output) ? output : undefined;
}

/**
 * Refuses to sign a plain file into a place where phones get it encrypted, see {@link encryptedInstead}.
 *
 * @throws RefusalError `unsafe-output`; InputError `file-unreadable`
 */
export function refuseEncrypted(path: string, output: string): void {
  const shown = encryptedInstead(output);
  if (shown === undefined) return;
  const what = shown === output ? 'sends phones to an encrypted file' : 'is encrypted for its phone';
  const both = `${printable(basename(output))} and ${printable(basename(output).replace(/(\.sgn)?$/i, '.enc.sgn'))}`;
  throw new RefusalError(
    'unsafe-output',
    `${printable(path)} is not signed: ${printable(shown)} ${what}, and the phone would get it in plain text`,
    { hint: `make it again with "file encrypt"; to have it in plain text from now on, remove ${both}` },
  );
}

/** Whether a signed file is there, and is the companion of an encrypted configuration. */
export function holdsCompanion(path: string): boolean {
  let source: SourceFile | undefined;
  try {
    if (lookAt(path)?.isFile() !== true) return false;
    source = new SourceFile(path);
    return source.size <= smallFile && isCompanion(decodeSignedFile(source.readWhole()).content);
  } catch (error) {
    // What cannot be read, or is no signed file, is no companion.
    if (error instanceof FormatError || error instanceof InputError) return false;
    throw error;
  } finally {
    source?.closeNow();
  }
}
