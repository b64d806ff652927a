import {
  createCipheriv,
  createDecipheriv,
  createHash,
  randomBytes,
  type Cipher,
  type Decipher,
  type Hash,
  type KeyObject,
} from 'node:crypto';
import { concatBytes } from '../bytes/index.js';
import { FormatError, ProofError } from '../errors.js';
import { equalDigests, type DigestAlgorithm, type Signer } from '../signer/index.js';
import { encodeText } from '../tlv/index.js';
import type { Certificate } from '../x509/index.js';
import {
  blockLength,
  decodeEncryption,
  decryptContentKey,
  encryptContentKey,
  encryptionElements,
  fillerByte,
  fillerLengthOf,
  type Encryption,
} from './encryption.js';
import { layOutHeader, signLayout, type HeaderLayout } from './header-layout.js';
import { decodeSignedHeader, type SignedHeader } from './header.js';
import { signedFileDraft, type SignFileOptions } from './signed-file.js';

/** AES-128 in CBC mode, the only cipher of encrypted files. */
const cipherName = 'aes-128-cbc';

/** An encrypted signed file (.enc.sgn). */
export interface EncryptedFile {
  /** The file as it was read. */
  readonly bytes: Uint8Array;
  readonly header: SignedHeader;
  readonly encryption: Encryption;
  /** What is encrypted, as a view of the file. */
  readonly body: Uint8Array;
}

/** What is chosen when a file is encrypted for a phone. */
export interface EncryptFileOptions extends SignFileOptions {
  /** Random bytes for key, initialization vector and padding: those of node:crypto unless given. */
  readonly random?: (length: number) => Uint8Array;
}

/** What the header of an encrypted file says about the plain one: it has to be known before the body is signed. */
export interface MeasuredContent {
  /** Bytes. */
  readonly length: number;
  readonly digestAlgorithm: DigestAlgorithm;
  readonly digest: Uint8Array;
}

/** Measures a file that comes in chunks: the first of two passes when it is encrypted without being kept. */
export class ContentMeasurement {
  readonly #digestAlgorithm: DigestAlgorithm;
  readonly #hash: Hash;
  #length = 0;

  /** @param digestAlgorithm that of the header: SHA-1 unless given. */
  constructor(digestAlgorithm: DigestAlgorithm = 'sha1') {
    this.#digestAlgorithm = digestAlgorithm;
    this.#hash = createHash(digestAlgorithm);
  }

  /** Takes the next chunk of the plain file. */
  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#length += chunk.length;
  }

  /** The file was read to its end. */
  finish(): MeasuredContent {
    const digest = new Uint8Array(this.#hash.digest());
    return { length: this.#length, digestAlgorithm: this.#digestAlgorithm, digest };
  }
}

/**
 * Encrypts for a phone a file that comes in chunks of any size and is not kept: the second of two passes. The header
 * comes last: leave {@link FileEncryption.headerLength} bytes free and write what is encrypted behind them.
 */
export class FileEncryption {
  readonly #layout: HeaderLayout;
  readonly #content: MeasuredContent;
  readonly #measurement: ContentMeasurement;
  readonly #cipher: Cipher;
  readonly #hash: Hash;
  readonly #signer: Signer;
  readonly #digestAlgorithm: DigestAlgorithm;

  /**
   * @param content what the first pass found.
   * @param phone the certificate of the phone that is to read the file.
   * @throws FormatError for a name or identity that no header can hold; ProofError `unsupported-key`,
   *   `unsupported-digest`.
   */
  constructor(options: EncryptFileOptions, content: MeasuredContent, phone: Certificate, signer: Signer) {
    const random = options.random ?? ((length: number): Uint8Array => randomBytes(length));
    const contentKey = random(blockLength);
    const initializationVector = random(blockLength);
    const draft = {
      ...signedFileDraft(options, signer.certificate),
      version: { major: 2, minor: 0 },
      fileName: encodeText(`${options.name}.enc.sgn`),
    };
    const further = encryptionElements({
      initializationVector,
      fillerLength: fillerLengthOf(content.length),
      encryptedKey: encryptContentKey(contentKey, phone, random),
      contentDigestAlgorithm: content.digestAlgorithm,
      contentDigest: content.digest,
    });
    this.#layout = layOutHeader(draft, signer, further);
    this.#content = content;
    this.#measurement = new ContentMeasurement(content.digestAlgorithm);
    this.#cipher = createCipheriv(cipherName, contentKey, initializationVector).setAutoPadding(false);
    this.#digestAlgorithm = draft.digestAlgorithm;
    this.#hash = createHash(draft.digestAlgorithm).update(this.#layout.before).update(this.#layout.after);
    this.#signer = signer;
  }

  /** How long the header will be, in bytes. */
  get headerLength(): number {
    return this.#layout.length;
  }

  /** Takes the next chunk of the plain file. @returns what there is to write of the body. */
  update(chunk: Uint8Array): Uint8Array {
    this.#measurement.update(chunk);
    return this.#encrypt(chunk);
  }

  /**
   * Signs what came through.
   *
   * @returns the header, and the last of the body.
   * @throws ProofError `digest-mismatch` when the file is not the one that was measured; what the signer throws.
   */
  async finish(): Promise<{ readonly header: Uint8Array; readonly rest: Uint8Array }> {
    const { length, digest } = this.#measurement.finish();
    if (length !== this.#content.length || !equalDigests(digest, this.#content.digest)) {
      throw new ProofError('digest-mismatch', 'the file changed while it was encrypted', {
        hint: 'encrypt it again when nothing writes to it',
      });
    }
    const rest = this.#encrypt(new Uint8Array(fillerLengthOf(length)).fill(fillerByte));
    this.#cipher.final();
    const request = { digestAlgorithm: this.#digestAlgorithm, digest: new Uint8Array(this.#hash.digest()) };
    const header = await signLayout(this.#layout, request, this.#signer);
    decodeSignedHeader(header);
    return { header, rest };
  }

  #encrypt(chunk: Uint8Array): Uint8Array {
    const encrypted = this.#cipher.update(chunk);
    this.#hash.update(encrypted);
    return new Uint8Array(encrypted.buffer, encrypted.byteOffset, encrypted.length);
  }
}

/**
 * Decrypts the body of an encrypted file that comes in chunks of any size. What it gives out before
 * {@link FileDecryption.finish} is proved by nothing; and that the right one signed the file is for others to check.
 */
export class FileDecryption {
  readonly #encryption: Encryption;
  readonly #decipher: Decipher;
  readonly #measurement: ContentMeasurement;
  readonly #bodyOffset: number;
  #bodyLength = 0;
  /** The last block: it may be filler. */
  #held: Uint8Array = new Uint8Array();

  /**
   * @param key the private key of the phone.
   * @throws FormatError `not-encrypted`, and others for a header that no phone understands; ProofError `key-mismatch`
   *   for the key of another phone, `unsupported-key`.
   */
  constructor(header: SignedHeader, key: KeyObject) {
    this.#encryption = decodeEncryption(header);
    this.#bodyOffset = header.length;
    const { encryptedKey, initializationVector, contentDigestAlgorithm } = this.#encryption;
    const contentKey = decryptContentKey(encryptedKey, key);
    this.#decipher = createDecipheriv(cipherName, contentKey, initializationVector).setAutoPadding(false);
    this.#measurement = new ContentMeasurement(contentDigestAlgorithm);
  }

  /** Takes the next chunk of the body. @returns what there is to write of the plain file. */
  update(chunk: Uint8Array): Uint8Array {
    this.#bodyLength += chunk.length;
    const decrypted = this.#decipher.update(chunk);
    if (decrypted.length === 0) return new Uint8Array();
    const plain = concatBytes(this.#held, decrypted.subarray(0, -blockLength));
    this.#held = new Uint8Array(decrypted.subarray(-blockLength));
    this.#measurement.update(plain);
    return plain;
  }

  /**
   * The body was read to its end.
   *
   * @returns the last of the plain file.
   * @throws FormatError `truncated` for a body that is not made of whole blocks, `bad-filler`; ProofError
   *   `digest-mismatch`.
   */
  finish(): Uint8Array {
    const place = { offset: this.#bodyOffset + this.#bodyLength };
    if (this.#bodyLength === 0 || this.#bodyLength % blockLength !== 0) {
      const what = `${String(this.#bodyLength)} encrypted bytes are not blocks of 16: the file was cut off`;
      throw new FormatError('truncated', what, place);
    }
    const { fillerLength, contentDigest } = this.#encryption;
    const end = blockLength - fillerLength;
    const fillers = this.#held.subarray(end);
    if (fillers.some((byte) => byte !== fillerByte)) {
      const what = `${String(fillerLength)} filler bytes expected at the end: their number is wrong, or the file was cut off`;
      throw new FormatError('bad-filler', what, place);
    }
    const rest = this.#held.slice(0, end);
    this.#measurement.update(rest);
    if (!equalDigests(this.#measurement.finish().digest, contentDigest)) {
      throw new ProofError('digest-mismatch', 'what was decrypted is not what was encrypted: its digest is another', {
        hint: 'the file is damaged: take it from its server again',
      });
    }
    return rest;
  }
}

/**
 * Encrypts a file for a phone and signs it (header version 2.0; trust-list-format.md, Encrypted signed files).
 *
 * @param phone the certificate of the phone that is to read the file.
 * @throws FormatError for a name or identity that no header can hold; ProofError `unsupported-key`,
 *   `unsupported-digest`; what the signer throws.
 */
export async function encryptFile(
  content: Uint8Array,
  options: EncryptFileOptions,
  phone: Certificate,
  signer: Signer,
): Promise<Uint8Array> {
  const measurement = new ContentMeasurement(options.digestAlgorithm);
  measurement.update(content);
  const encryption = new FileEncryption(options, measurement.finish(), phone, signer);
  const first = encryption.update(content);
  const { header, rest } = await encryption.finish();
  return concatBytes(header, first, rest);
}

/**
 * Reads an encrypted signed file, without decrypting it.
 *
 * @throws FormatError; `not-encrypted` for a file that is only signed.
 */
export function decodeEncryptedFile(bytes: Uint8Array): EncryptedFile {
  const header = decodeSignedHeader(bytes);
  return { bytes, header, encryption: decodeEncryption(header), body: bytes.subarray(header.length) };
}

/**
 * Decrypts a file with the phone's private key. Who signed it is not looked at: see {@link verifySignedFile}.
 *
 * @returns the plain file.
 * @throws as {@link FileDecryption}.
 */
export function decryptFile(file: EncryptedFile, key: KeyObject): Uint8Array {
  const decryption = new FileDecryption(file.header, key);
  const first = decryption.update(file.body);
  return concatBytes(first, decryption.finish());
}
