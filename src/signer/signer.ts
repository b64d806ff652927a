import { constants, publicDecrypt, type KeyObject } from 'node:crypto';
import { equalBytes } from '../bytes/index.js';
import { importPublicKey, type Certificate } from '../x509/index.js';
import { encodeDigestInfo, type DigestAlgorithm } from './digest.js';

/** What is to be signed. */
export interface SignRequest {
  readonly digestAlgorithm: DigestAlgorithm;
  /** The digest of the message. */
  readonly digest: Uint8Array;
  /**
   * The message itself. Only a token that insists on hashing by itself wants it; leave it out for what is too large
   * to hold, and such a token is then refused. A signer must not change it, and has it only until it has signed: its
   * memory may be that of the file that is made.
   */
  readonly message?: Uint8Array;
}

/**
 * The only seam between keys and files: whoever builds a file knows a signer, and never whether a token or a file
 * holds the key.
 */
export interface Signer {
  readonly certificate: Certificate;
  /** The digests this signer is able to sign. */
  readonly digests: readonly DigestAlgorithm[];
  /**
   * Signs with RSA PKCS#1 v1.5 (RFC 8017, 8.2.1). The signature is as long as the modulus, and was verified with the
   * certificate's key before it is given out.
   *
   * @throws ProofError `key-mismatch` when the signature does not fit the certificate; DeviceError from a token.
   */
  sign(request: SignRequest): Promise<Uint8Array>;
}

/** Whether a signature over a digest is right for a certificate's RSA key (RFC 8017, 8.2.2). */
export function verifyDigest(certificate: Certificate, request: SignRequest, signature: Uint8Array): boolean {
  if (certificate.keyType !== 'rsa') return false;
  try {
    return verifyDigestWith(importPublicKey(certificate.publicKey), request, signature);
  } catch {
    // OpenSSL throws for bytes that are no key: no signature is right for them.
    return false;
  }
}

/** Whether a signature over a digest is right for an RSA public key (RFC 8017, 8.2.2). */
export function verifyDigestWith(publicKey: KeyObject, request: SignRequest, signature: Uint8Array): boolean {
  try {
    const recovered = publicDecrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, signature);
    return equalBytes(recovered, encodeDigestInfo(request.digestAlgorithm, request.digest));
  } catch {
    // OpenSSL throws for a signature of the wrong length or without its padding: that is a signature that is wrong.
    return false;
  }
}
