import { constants, privateDecrypt, publicEncrypt, type KeyObject } from 'node:crypto';
import { decodeNumber, encodeNumber } from '../bytes/index.js';
import { FormatError, ProofError } from '../errors.js';
import { digestOf, type DigestAlgorithm } from '../signer/index.js';
import { elementName, firstElements, type Element, type ElementDraft } from '../tlv/index.js';
import { formatName, importPublicKey, type Certificate } from '../x509/index.js';
import { digestCode, digestCodes, encryptedHeaderElements, encryptedMajor, encryptionTag } from './header-elements.js';
import type { FurtherElements } from './header-layout.js';
import type { SignedHeader } from './header.js';

/** AES-128-CBC: key, initialization vector and block have 16 bytes each. */
export const blockLength = 16;

/** What a plaintext is filled up with to whole blocks. */
export const fillerByte = 0x0d;

/** How a file is encrypted, as its header says. */
export interface Encryption {
  readonly initializationVector: Uint8Array;
  /** How many filler bytes follow the plaintext, 1 to 16. */
  readonly fillerLength: number;
  /** The content key, encrypted with the phone's RSA key. */
  readonly encryptedKey: Uint8Array;
  readonly contentDigestAlgorithm: DigestAlgorithm;
  /** The digest of the plaintext without its filler. */
  readonly contentDigest: Uint8Array;
}

/**
 * How a file is encrypted.
 *
 * @throws FormatError `not-encrypted`; `bad-filler`, `bad-value`, `bad-length` for numbers that no phone knows.
 */
export function decodeEncryption(header: SignedHeader): Encryption {
  const { major, minor } = header.version;
  if (major !== encryptedMajor || minor !== 0) {
    throw new FormatError(
      major === 1 && minor === 0 ? 'not-encrypted' : 'bad-value',
      `version 2.0 expected, ${String(major)}.${String(minor)} found`,
      { offset: 3, element: 'VERSION' },
      major === 1 && minor === 0 ? { hint: 'the file is signed and not encrypted: verify or strip it' } : {},
    );
  }
  const byTag = firstElements(header.elements);
  for (const tag of Object.values(encryptionTag)) {
    if (byTag[tag] !== undefined) continue;
    const element = elementName(tag, encryptedHeaderElements);
    throw new FormatError('missing-element', 'not in the header', { offset: header.length, element });
  }
  requireNumber(byTag, encryptionTag.cipherMode, [0]);
  requireNumber(byTag, encryptionTag.keyFormat, [0]);
  requireNumber(byTag, encryptionTag.keyBits, [128]);
  requireNumber(byTag, encryptionTag.cipher, [1]);
  const code = requireNumber(byTag, encryptionTag.contentDigestAlgorithm, [...digestCodes.keys()]);
  const contentDigestAlgorithm = digestCodes.get(code) ?? 'sha1';
  const contentDigest = valueOf(byTag, encryptionTag.contentDigest);
  const wanted = digestOf(contentDigestAlgorithm).length;
  if (contentDigest.length !== wanted) {
    const what = `${contentDigestAlgorithm} has ${String(wanted)} bytes; ${String(contentDigest.length)} found`;
    throw new FormatError('bad-length', what, placeOf(byTag, encryptionTag.contentDigest));
  }
  const fillerLength = decodeNumber(valueOf(byTag, encryptionTag.fillerLength));
  if (fillerLength < 1 || fillerLength > blockLength) {
    const what = `1 to 16 filler bytes expected, ${String(fillerLength)} found`;
    throw new FormatError('bad-filler', what, placeOf(byTag, encryptionTag.fillerLength));
  }
  return {
    initializationVector: valueOf(byTag, encryptionTag.initializationVector),
    fillerLength,
    encryptedKey: valueOf(byTag, encryptionTag.contentKey),
    contentDigestAlgorithm,
    contentDigest,
  };
}

/** The elements that say how a file is encrypted, in the order of the format page. */
export function encryptionElements(encryption: Encryption): FurtherElements {
  const number = (tag: number, value: number, length: 1 | 2): ElementDraft => ({
    tag,
    value: encodeNumber(value, length),
  });
  const cipherInfo = [
    number(encryptionTag.cipherMode, 0, 1),
    { tag: encryptionTag.initializationVector, value: encryption.initializationVector },
    number(encryptionTag.fillerLength, encryption.fillerLength, 2),
  ];
  const keyInfo = [
    number(encryptionTag.keyFormat, 0, 1),
    number(encryptionTag.keyBits, 128, 2),
    number(encryptionTag.cipher, 1, 1),
    { tag: encryptionTag.contentKey, value: encryption.encryptedKey },
  ];
  const drafts = [
    {
      tag: encryptionTag.encryption,
      children: [
        { tag: encryptionTag.cipherInfo, children: cipherInfo },
        { tag: encryptionTag.keyInfo, children: keyInfo },
      ],
    },
    number(encryptionTag.contentDigestAlgorithm, digestCode(encryption.contentDigestAlgorithm), 1),
    { tag: encryptionTag.contentDigest, value: encryption.contentDigest },
  ];
  return { drafts, table: encryptedHeaderElements };
}

/** Filler bytes that belong behind so many bytes: never none. */
export function fillerLengthOf(length: number): number {
  return blockLength - (length % blockLength);
}

/** What PKCS#1 v1.5 puts around a message at the least (RFC 8017, 7.2.1). */
const leastPadding = 11;

/**
 * Encrypts a content key with the RSA key of a phone's certificate, PKCS#1 v1.5 (RFC 8017, 7.2.1).
 *
 * @throws ProofError `unsupported-key` for a certificate whose key is not RSA, or too small.
 */
export function encryptContentKey(
  contentKey: Uint8Array,
  phone: Certificate,
  random: (length: number) => Uint8Array,
): Uint8Array {
  const length = Math.ceil(phone.keyBits / 8);
  if (phone.keyType !== 'rsa' || length < contentKey.length + leastPadding) {
    throw new ProofError(
      'unsupported-key',
      `${formatName(phone.subject)} has a key of ${String(phone.keyBits)} bits (${phone.keyType})`,
      { hint: 'configurations are encrypted for phones with an RSA key' },
    );
  }
  // block ::= 0 · 2 · at least eight random bytes, none of them 0 · 0 · content key
  const block = new Uint8Array(length);
  block[1] = 2;
  const end = length - contentKey.length - 1;
  for (let index = 2; index < end;) {
    for (const byte of random(end - index)) {
      if (byte === 0) continue;
      block[index] = byte;
      index += 1;
    }
  }
  block.set(contentKey, end + 1);
  const key = { key: importPublicKey(phone.publicKey), padding: constants.RSA_NO_PADDING };
  return new Uint8Array(publicEncrypt(key, block));
}

/**
 * Decrypts a content key with a phone's private key. Node refuses to take PKCS#1 v1.5 padding away since it told how
 * long that took (CVE-2023-46809), so it is done here, by looking at every byte whatever the others are.
 *
 * @throws ProofError `key-mismatch` when it was not encrypted for this key, `unsupported-key` for one that is not RSA.
 */
export function decryptContentKey(encryptedKey: Uint8Array, key: KeyObject): Uint8Array {
  if (key.type !== 'private' || key.asymmetricKeyType !== 'rsa') {
    throw new ProofError('unsupported-key', 'content keys are decrypted with an RSA private key, and this is none');
  }
  let block: Uint8Array;
  try {
    block = privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, encryptedKey);
  } catch {
    // OpenSSL throws for numbers of the wrong length or above the modulus: they were made for another key.
    throw wrongKey();
  }
  const end = block.length - blockLength - 1;
  if (end < leastPadding - 1) throw wrongKey();
  let wrong = (block[0] ?? 1) | ((block[1] ?? 0) ^ 2) | (block[end] ?? 1);
  // One if the byte is 0: only for 0 does taking one away borrow from the bits above.
  for (let index = 2; index < end; index += 1) wrong |= (((block[index] ?? 0) - 1) >>> 8) & 1;
  if (wrong !== 0) throw wrongKey();
  return block.slice(end + 1);
}

function wrongKey(): ProofError {
  return new ProofError('key-mismatch', 'the content key was not encrypted for this private key', {
    hint: 'give the key of the phone whose certificate the file was encrypted for',
  });
}

type ElementsByTag = readonly (Element | undefined)[];

function valueOf(byTag: ElementsByTag, tag: number): Uint8Array {
  return byTag[tag]?.value ?? new Uint8Array();
}

function placeOf(byTag: ElementsByTag, tag: number): { readonly offset: number; readonly element: string } {
  return { offset: byTag[tag]?.offset ?? 0, element: elementName(tag, encryptedHeaderElements) };
}

/** @throws FormatError `bad-value` */
function requireNumber(byTag: ElementsByTag, tag: number, known: readonly number[]): number {
  const value = decodeNumber(valueOf(byTag, tag));
  if (known.includes(value)) return value;
  const what = `${known.join(' or ')} expected, ${String(value)} found`;
  throw new FormatError('bad-value', what, placeOf(byTag, tag));
}
