import { printable } from '../bytes/index.js';
import { FormatError, InputError } from '../errors.js';
import { decodeCertificates, type Certificate } from '../x509/index.js';
import { readInput } from './files.js';
import { passwordHint } from './output.js';

/**
 * The first certificate of a file, in PEM or DER.
 *
 * @throws InputError, which names the file
 */
export async function readCertificate(path: string): Promise<Certificate> {
  const bytes = await readInput(path, 'certificate');
  const [certificate] = namingFile(path, 'certificate', () => decodeCertificates(bytes));
  if (certificate !== undefined) return certificate;
  throw new InputError('file-unreadable', `${printable(path)} holds no certificate`, {
    hint: 'give a certificate in PEM or DER',
  });
}

/** Decodes the content of a file. @throws InputError, which names the file, for content that is malformed */
function namingFile<Content>(path: string, what: string, decode: () => Content): Content {
  try {
    return decode();
  } catch (error) {
    throw error instanceof FormatError ? notUsable(path, what, error) : error;
  }
}

/** The failure of a decoder, with the name of the file. Nothing else of it is kept: it may be about a key. */
export function notUsable(path: string, what: string, error: FormatError): InputError {
  const { message } = error;
  const hint = error.code === 'bad-password' ? passwordHint : error.hint;
  const details = hint === undefined ? {} : { hint };
  return new InputError('file-unreadable', `the ${what} ${printable(path)} cannot be used: ${message}`, details);
}
