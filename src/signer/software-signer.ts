import { constants, createPublicKey, privateEncrypt, sign, type KeyObject } from 'node:crypto';
import { equalBytes } from '../bytes/index.js';
import { ProofError } from '../errors.js';
import { decodePrivateKey, formatName, type Certificate } from '../x509/index.js';
import { digestsOf, encodeDigestInfo } from './digest.js';
import { verifyDigestWith, type Signer, type SignRequest } from './signer.js';

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
  const publicKey = createPublicKey(privateKey);
  if (!equalBytes(publicKey.export({ format: 'der', type: 'spki' }), certificate.publicKeyInfo)) {
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
    sign: async (request) => {
      const signature = await makeSignature(privateKey, request);
      if (!verifyDigestWith(publicKey, request, signature)) {
        throw new ProofError('key-mismatch', 'the signature does not verify with the certificate of the signer');
      }
      return signature;
    },
  };
}

/**
 * With the message, the signature is made in a thread of Node's pool, and several at a time use all processors. What is
 * only known by its digest is signed here: Node has no other way to sign a DigestInfo.
 */
async function makeSignature(key: KeyObject, request: SignRequest): Promise<Uint8Array> {
  const { digestAlgorithm, digest, message } = request;
  const digestInfo = encodeDigestInfo(digestAlgorithm, digest);
  const padded = { key, padding: constants.RSA_PKCS1_PADDING };
  if (message === undefined) return new Uint8Array(privateEncrypt(padded, digestInfo));
  return new Promise((resolve, reject) => {
    sign(digestAlgorithm, message, padded, (error, signature) => {
      if (error === null) resolve(new Uint8Array(signature));
      else reject(error);
    });
  });
}
