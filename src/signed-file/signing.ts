import { createVerify, type KeyObject } from 'node:crypto';
import { concatBytes, encodeNumber } from '../bytes/index.js';
import { FormatError, ProofError } from '../errors.js';
import { digestOf, type DigestAlgorithm, type Signer } from '../signer/index.js';
import { encodeElements, type ElementDraft } from '../tlv/index.js';
import { formatName } from '../x509/index.js';
import { digestCode, headerElements, headerTag, modulusLengths } from './header-elements.js';
import type { SignedHeader, Version } from './header.js';

/** Who a header names as its signer. Texts are element values: with their closing NUL. */
export interface SignerIdentity {
  readonly signerName: Uint8Array;
  readonly serialNumber: Uint8Array;
  readonly issuerName: Uint8Array;
}

/** A header that is to be written and signed. */
export interface SignedHeaderDraft {
  readonly version: Version;
  readonly signerVersion?: Version;
  readonly signer: SignerIdentity;
  readonly digestAlgorithm: DigestAlgorithm;
  /** 0 unless the present file has another number. */
  readonly signatureAlgorithm?: number;
  /** FILENAME as an element value: with its closing NUL. */
  readonly fileName: Uint8Array;
  /** Seconds since 1970-01-01 UTC. */
  readonly timestamp: number;
}

/** The two stretches of a file that are signed: all but the SIGNATURE element. */
export function signedParts(bytes: Uint8Array, header: SignedHeader): readonly [Uint8Array, Uint8Array] {
  const { start, end } = header.signatureSpan;
  return [bytes.subarray(0, start), bytes.subarray(end)];
}

/**
 * Whether the signature over a file is right for an RSA key (rule P7: over the bytes that were received).
 *
 * @param bytes the whole file as it was read.
 */
export function verifySignature(bytes: Uint8Array, header: SignedHeader, key: KeyObject): boolean {
  const [before, after] = signedParts(bytes, header);
  try {
    return createVerify(header.digestAlgorithm).update(before).update(after).verify(key, header.signature);
  } catch {
    // OpenSSL throws for keys that cannot verify RSA: the signature is not right for such a key.
    return false;
  }
}

/**
 * Writes a header in front of a body and signs both.
 *
 * @returns the whole file.
 * @throws ProofError `unsupported-key` for an RSA size the format has no number for, `unsupported-digest`; FormatError
 *   `bad-value` for a timestamp that does not fit; what the signer throws.
 */
export async function signWithHeader(draft: SignedHeaderDraft, body: Uint8Array, signer: Signer): Promise<Uint8Array> {
  const { certificate } = signer;
  const modulus = modulusLengths.indexOf(certificate.keyBits / 8);
  if (certificate.keyType !== 'rsa' || modulus < 0) {
    throw new ProofError(
      'unsupported-key',
      `${formatName(certificate.subject)} has a key of ${String(certificate.keyBits)} bits (${certificate.keyType})`,
      { hint: 'trust lists are signed with RSA keys of 512, 1024, 2048 or 4096 bits' },
    );
  }
  if (!Number.isInteger(draft.timestamp) || draft.timestamp < 0 || draft.timestamp > 0xffffffff) {
    const place = { offset: 0, element: 'TIMESTAMP' };
    const hint = 'TIMESTAMP holds whole seconds since 1970-01-01 UTC';
    throw new FormatError('bad-value', `${String(draft.timestamp)} does not fit in four bytes`, place, { hint });
  }
  if (!signer.digests.includes(draft.digestAlgorithm)) {
    throw new ProofError('unsupported-digest', `this signer cannot sign ${draft.digestAlgorithm}`);
  }
  const signatureLength = modulusLengths[modulus] ?? 0;
  const unsigned = encodeHeader(draft, modulus, new Uint8Array(signatureLength));
  const message = concatBytes(unsigned.before, unsigned.after, body);
  const digest = digestOf(draft.digestAlgorithm, message);
  const signature = await signer.sign({ digestAlgorithm: draft.digestAlgorithm, digest, message });
  if (signature.length !== signatureLength) {
    throw new ProofError('key-mismatch', `the signer gave ${String(signature.length)} bytes of signature`);
  }
  const signed = encodeHeader(draft, modulus, signature);
  return concatBytes(signed.before, signed.signature, signed.after, body);
}

interface EncodedHeader {
  readonly before: Uint8Array;
  readonly signature: Uint8Array;
  readonly after: Uint8Array;
}

function encodeHeader(draft: SignedHeaderDraft, modulus: number, signature: Uint8Array): EncodedHeader {
  const encode = (elements: readonly ElementDraft[]): Uint8Array => encodeElements(elements, headerElements);
  const signatureElement = encode([{ tag: headerTag.signature, value: signature }]);
  const after = encode([
    { tag: headerTag.fileName, value: draft.fileName },
    { tag: headerTag.timestamp, value: encodeNumber(draft.timestamp, 4) },
  ]);
  const opening = (length: number): Uint8Array => encode(openingElements(draft, modulus, length));
  const unpadded = opening(0).length + signatureElement.length + after.length;
  const padding = (4 - (unpadded % 4)) % 4;
  const length = unpadded + padding;
  if (length > 0xffff) {
    throw new FormatError('too-large', `a header of ${String(length)} bytes`, { offset: 0, element: 'HEADERLENGTH' });
  }
  const filler = new Uint8Array(padding).fill(headerTag.padding);
  return { before: opening(length), signature: signatureElement, after: concatBytes(after, filler) };
}

/** The header up to the SIGNATURE element, in the order that clusters write. */
function openingElements(draft: SignedHeaderDraft, modulus: number, headerLength: number): ElementDraft[] {
  const version = ({ major, minor }: Version): Uint8Array => Uint8Array.of(major, minor);
  return [
    { tag: headerTag.version, value: version(draft.version) },
    { tag: headerTag.headerLength, value: encodeNumber(headerLength, 2) },
    ...(draft.signerVersion === undefined
      ? []
      : [{ tag: headerTag.signerVersion, value: version(draft.signerVersion) }]),
    {
      tag: headerTag.signerId,
      children: [
        { tag: headerTag.signerName, value: draft.signer.signerName },
        { tag: headerTag.serialNumber, value: draft.signer.serialNumber },
        { tag: headerTag.issuerName, value: draft.signer.issuerName },
      ],
    },
    {
      tag: headerTag.signatureInfo,
      children: [
        { tag: headerTag.digestAlgorithm, value: encodeNumber(digestCode(draft.digestAlgorithm), 1) },
        {
          tag: headerTag.signatureAlgorithmInfo,
          children: [
            { tag: headerTag.signatureAlgorithm, value: encodeNumber(draft.signatureAlgorithm ?? 0, 1) },
            { tag: headerTag.signatureModulus, value: encodeNumber(modulus, 1) },
          ],
        },
      ],
    },
  ];
}
