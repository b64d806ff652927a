import type { KeyObject } from 'node:crypto';
import { printable } from '../bytes/index.js';
import { FormatError, InputError } from '../errors.js';
import { decodeCertificates, decodePkcs12, decodePrivateKey, looksLikePkcs12 } from '../x509/index.js';
import { notUsable } from './certificates.js';
import { readInput } from './files.js';
import { readPassword } from './password.js';

/** The private key of a phone. @throws InputError, which names the file and nothing of what is in it */
export async function readPhoneKey(path: string, passwordFile: string | undefined): Promise<KeyObject> {
  const bytes = await readInput(path, 'key');
  const password = await readPassword(passwordFile);
  try {
    if (!looksLikePkcs12(bytes)) return decodePrivateKey(bytes, password);
    return (await decodePkcs12(bytes, password ?? '')).key;
  } catch (error) {
    if (error instanceof FormatError && holdsCertificate(bytes)) {
      throw new InputError('file-unreadable', `${printable(path)} is a certificate, not a private key`, {
        hint: 'give the private key of this certificate',
      });
    }
    throw error instanceof FormatError ? notUsable(path, 'key', error) : error;
  }
}

function holdsCertificate(bytes: Uint8Array): boolean {
  try {
    return decodeCertificates(bytes).length > 0;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}
