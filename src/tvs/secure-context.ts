import type { KeyObject } from 'node:crypto';
import { createSecureContext, DEFAULT_CIPHERS, type SecureContextOptions } from 'node:tls';
import { InputError } from '../errors.js';
import { formatCertificatePem, type Certificate } from '../x509/index.js';

/** What old phones can do: TLS 1.0 with AES256-SHA, which OpenSSL 3 has at its security level 0 only. */
const legacyOptions: SecureContextOptions = {
  minVersion: 'TLSv1',
  ciphers: `${DEFAULT_CIPHERS}:AES256-SHA:AES128-SHA:@SECLEVEL=0`,
};

/**
 * TLS for a server with this certificate. The security level is the usual one wherever it can be: clusters have
 * certificates with 1024-bit keys or SHA-1 signatures, which need level 0. Phones find the certificate by its hash, and
 * those two weaknesses are the administrator's choice.
 *
 * @throws InputError `usage` for a key that is not the certificate's.
 */
export function serverTls(certificate: Certificate, key: KeyObject, legacyTls: boolean): SecureContextOptions {
  const identity = {
    cert: formatCertificatePem(certificate),
    key: key.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
  if (legacyTls) return usable({ ...identity, ...legacyOptions });
  const usual: SecureContextOptions = { ...identity, minVersion: 'TLSv1.2' };
  try {
    createSecureContext(usual);
    return usual;
  } catch {
    return usable({ ...usual, ciphers: `${DEFAULT_CIPHERS}:@SECLEVEL=0` });
  }
}

function usable(options: SecureContextOptions): SecureContextOptions {
  try {
    createSecureContext(options);
    return options;
  } catch (error) {
    // OpenSSL's words name what it did not like, and nothing of the key.
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError('usage', `the TVS certificate and key cannot be used for TLS: ${reason}`, {
      hint: 'give the TVS certificate of the node and the private key that belongs to it',
    });
  }
}

/** TLS for a client. Whom it trusts is decided by the bytes of the certificate, so weak keys are not its question. */
export function clientTls(legacyTls: boolean): SecureContextOptions {
  return legacyTls ? legacyOptions : { minVersion: 'TLSv1.2', ciphers: `${DEFAULT_CIPHERS}:@SECLEVEL=0` };
}
