import { createPublicKey, type KeyObject } from 'node:crypto';
import { FormatError, InputError, ProofError } from '../errors.js';
import { decodePkcs12, decodePrivateKey, formatName, looksLikePkcs12, type Certificate } from '../x509/index.js';
import type { KeyReference } from './cluster.js';
import { printable } from '../bytes/index.js';
import { largestKeyOrCertificateFile, readWholeFile } from './whole-file.js';

/**
 * Reads the private key of a certificate from its file: PEM or DER (PKCS#8, PKCS#1), or PKCS#12, as clusters give out
 * their ITLRecovery key.
 *
 * @param certificate the certificate that the key must belong to.
 * @param password of an encrypted key or PKCS#12 file.
 * @throws InputError `file-missing`, `file-unreadable`; FormatError `bad-key`, or `bad-password` when the file is
 *   encrypted and the password missing or wrong; ProofError `key-mismatch` when the key is another certificate's.
 */
export async function loadPrivateKey(
  reference: Extract<KeyReference, { kind: 'file' }>,
  certificate: Certificate,
  password?: string,
): Promise<KeyObject> {
  const { path } = reference;
  const key = await readKey(path, password);
  const publicKeyInfo = createPublicKey(key).export({ format: 'der', type: 'spki' });
  if (!publicKeyInfo.equals(certificate.publicKeyInfo)) {
    const subject = printable(formatName(certificate.subject));
    throw new ProofError('key-mismatch', `the key in ${path} is not the one of certificate ${subject}`, {
      hint: 'name the key that was made with this certificate, or the certificate that was issued for this key',
    });
  }
  return key;
}

async function readKey(path: string, password: string | undefined): Promise<KeyObject> {
  const bytes = await readWholeFile(path, largestKeyOrCertificateFile);
  if ('reason' in bytes) {
    throw new InputError(bytes.code, `the key file ${path} ${bytes.reason}`, {
      hint: 'correct the path of the key in the cluster file, or put the key there',
    });
  }
  try {
    if (!looksLikePkcs12(bytes)) return decodePrivateKey(bytes, password);
    const { key } = await decodePkcs12(bytes, password ?? '');
    return key;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    // Not the cause as well: nothing of a key file belongs into an error.
    const details = error.hint === undefined ? {} : { hint: error.hint };
    const message = `the key file ${path} cannot be used: ${reasonOf(error)}`;
    throw new FormatError(error.code, message, { offset: error.offset }, details);
  }
}

/** The words of a format error without the place it begins with. */
function reasonOf(error: FormatError): string {
  return error.message.replace(/^.*?at byte \d+: /, '');
}
