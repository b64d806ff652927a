import { printable } from '../../bytes/index.js';
import type { KeyAndCertificate } from '../../cluster/index.js';
import { FormatError, InputError } from '../../errors.js';
import {
  decodeCertificates,
  decodePrivateKey,
  formatCertificatePem,
  looksLikePkcs12,
  type Certificate,
} from '../../x509/index.js';
import { notUsable } from '../certificates.js';
import { readInput, type WriteRequest } from '../files.js';

/** Every certificate of a file, the one that counts first. @throws InputError, which names the file */
export async function readChain(path: string): Promise<readonly Certificate[]> {
  const bytes = await readInput(path, 'certificate');
  try {
    return decodeCertificates(bytes);
  } catch (error) {
    throw error instanceof FormatError ? notUsable(path, 'certificate', error) : error;
  }
}

/**
 * Whether the key of a file is encrypted. It need not be the one of any certificate.
 *
 * @throws InputError, which names the file; FormatError `bad-password`
 */
export async function checkKeyFile(path: string, password: string | undefined): Promise<boolean> {
  const bytes = await readInput(path, 'key');
  if (looksLikePkcs12(bytes)) {
    throw new InputError('usage', `the key ${printable(path)} is a PKCS#12 file, which is not written here`, {
      hint: 'name a key in PEM in the cluster file, or renew it elsewhere and give --import FILE',
    });
  }
  try {
    decodePrivateKey(bytes);
    return false;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    if (error.code === 'bad-password' && password !== undefined) {
      decodePrivateKey(bytes, password);
      return true;
    }
    throw notUsable(path, 'key', error);
  }
}

/** A new private key in PEM; encrypted where the old one was. */
export function formatKey({ key }: KeyAndCertificate, password: string | undefined): Uint8Array {
  const text =
    password === undefined
      ? key.export({ format: 'pem', type: 'pkcs8' })
      : key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: password });
  return new TextEncoder().encode(text.toString());
}

/** A certificate file in the form that the present one has: PEM with the whole chain, or DER. */
export async function certificateFile(
  path: string,
  chain: readonly Certificate[],
  imported?: string,
): Promise<WriteRequest> {
  const before = new TextDecoder('latin1').decode(await readInput(path, 'certificate'));
  const bytes = before.includes('-----BEGIN ')
    ? new TextEncoder().encode(chain.map(formatCertificatePem).join(''))
    : (chain[0]?.der ?? new Uint8Array());
  return { path, bytes, updates: path, ...(imported === undefined ? {} : { inputs: [imported] }) };
}
