import type { KeyObject } from 'node:crypto';
import { ProofError } from '../errors.js';
import { decodePkcs12, encodePkcs12, type Certificate, type Pkcs12Encryption } from '../x509/index.js';

/** The name under which clusters give out the ITLRecovery key. */
export const recoveryKeyFile = 'ITLRecovery.p12';

/**
 * The ITLRecovery key with its certificate, as clusters give it out: PKCS#12. What was written is opened again before
 * it is given back, because a backup that does not open is found out too late.
 *
 * @throws ProofError `key-mismatch` when the key is not the one of the certificate.
 */
export async function encodeRecoveryKey(
  key: KeyObject,
  certificate: Certificate,
  password: string,
  encryption: Pkcs12Encryption = 'aes-256',
): Promise<Uint8Array> {
  const bytes = encodePkcs12({ key, certificate, password, encryption, friendlyName: 'ITLRecovery' });
  const opened = await decodePkcs12(bytes, password);
  if (opened.key.equals(key)) return bytes;
  throw new ProofError('key-mismatch', 'the backup that was made holds another key than the one that was given');
}
