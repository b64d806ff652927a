import { createHash, type Hash, type KeyObject } from 'node:crypto';
import { concatBytes } from '../bytes/index.js';
import { verifyDigest, verifyDigestWith } from '../signer/index.js';
import type { Certificate } from '../x509/index.js';
import { decodeLengthElement, decodeSignedHeader, headerStart, type SignedHeader } from './header.js';

/** What is known of a signed file that was read to its end. */
export interface FileVerdict {
  readonly header: SignedHeader;
  /** Bytes of the body: the plain file, or what is encrypted. */
  readonly bodyLength: number;
  /** Whether a certificate's key made the signature. */
  readonly isSignedBy: (certificate: Certificate) => boolean;
  /** The same for an RSA public key. */
  readonly isSignedWith: (publicKey: KeyObject) => boolean;
}

/**
 * Reads a signed file, encrypted or not, in chunks of any size. It keeps the header and no more. Which kind it is says
 * the header: see `requirePlain` and `decodeEncryption`.
 *
 * What it gives out before {@link SignedFileReader.finish} is proved by nothing: write it where nobody takes it for the
 * file, and move it there when the verdict is good.
 */
export class SignedFileReader {
  #start: Uint8Array = new Uint8Array();
  #header: SignedHeader | undefined;
  #hash: Hash | undefined;
  #bodyLength = 0;

  /** The header, once enough was read. */
  get header(): SignedHeader | undefined {
    return this.#header;
  }

  /**
   * Takes the next chunk.
   *
   * @returns what there is of the body in it, as a view of the chunk where that is possible.
   * @throws FormatError for a header that is wrong, as soon as that can be told.
   */
  update(chunk: Uint8Array): Uint8Array {
    if (this.#hash !== undefined) return this.#takeBody(chunk);
    this.#start = this.#start.length === 0 ? chunk.slice() : concatBytes(this.#start, chunk);
    if (this.#start.length < headerStart) return new Uint8Array();
    const length = decodeLengthElement(this.#start);
    if (this.#start.length < length) return new Uint8Array();
    const start = this.#start;
    const header = decodeSignedHeader(start.subarray(0, length));
    this.#start = new Uint8Array();
    this.#header = header;
    const { signatureSpan } = header;
    this.#hash = createHash(header.digestAlgorithm)
      .update(start.subarray(0, signatureSpan.start))
      .update(start.subarray(signatureSpan.end, length));
    return this.#takeBody(start.subarray(length));
  }

  /**
   * The file was read to its end.
   *
   * @throws FormatError `truncated` for a file that ends inside its header, and others for what is no signed file.
   */
  finish(): FileVerdict {
    // Decoding what there is says best what is missing.
    const header = this.#header ?? decodeSignedHeader(this.#start);
    const digest = new Uint8Array(this.#hash?.digest() ?? []);
    return verdictOf(header, digest, this.#bodyLength);
  }

  #takeBody(chunk: Uint8Array): Uint8Array {
    this.#hash?.update(chunk);
    this.#bodyLength += chunk.length;
    return chunk;
  }
}

function verdictOf(header: SignedHeader, digest: Uint8Array, bodyLength: number): FileVerdict {
  const request = { digestAlgorithm: header.digestAlgorithm, digest };
  return {
    header,
    bodyLength,
    isSignedBy: (certificate) => verifyDigest(certificate, request, header.signature),
    isSignedWith: (publicKey) => verifyDigestWith(publicKey, request, header.signature),
  };
}
