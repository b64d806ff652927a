import { constants, createPublicKey, privateEncrypt, type KeyObject } from 'node:crypto';
import { equalBytes } from '../bytes/index.js';
import { ProofError } from '../errors.js';
import { decodePrivateKey, formatName, type Certificate } from '../x509/index.js';
import { digestsOf, encodeDigestInfo } from './digest.js';
import { verifyDigest, type Signer, type SignRequest } from './signer.js';

/**
 * A signer whose RSA key is in memory.
 *
 * @param key a private key of node:crypto, or a private key in PEM without a password.
 * @throws FormatError `bad-key` or `bad-password` for a text that is no such PEM.
 * @throws ProofError `unsupported-key` for a key that is not RSA, `key-mismatch` for one that does not fit the
 *   certificate.
 */
export function createSoftwareSigner(certificate: Certificate, key: KeyObject | string): Signer {
  const privateKey = typeof key === 'string' ? decodePrivateKey(new TextEncoder().encode(key)) : key;
  if (privateKey.type !== 'private' || privateKey.asymmetricKeyType !== 'rsa') {
    throw new ProofError('unsupported-key', 'trust lists are signed with an RSA private key, and this is none');
  }
  const publicKeyInfo = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  if (!equalBytes(publicKeyInfo, certificate.publicKeyInfo)) {
    throw new ProofError(
      'key-mismatch',
      `the private key is not the one of certificate ${formatName(certificate.subject)}`,
      {
        hint: 'give the key that was made with this certificate, or the certificate that was issued for this key',
      },
    );
  }
  return {
    certificate,
    digests: digestsOf(certificate.keyBits),
    // Not async by nature, but its errors must come as rejections all the same.
    sign: (request) => Promise.resolve().then(() => sign(privateKey, certificate, request)),
  };
}

function sign(key: KeyObject, certificate: Certificate, request: SignRequest): Uint8Array {
  const digestInfo = encodeDigestInfo(request.digestAlgorithm, request.digest);
  const signature = new Uint8Array(privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, digestInfo));
  if (!verifyDigest(certificate, request, signature)) {
    throw new ProofError('key-mismatch', 'the signature does not verify with the certificate of the signer');
  }
  return signature;
}
