import { concatBytes, encodeNumber } from '../bytes/index.js';
import { FormatError, ProofError } from '../errors.js';
import type { DigestAlgorithm, Signer, SignRequest } from '../signer/index.js';
import { encodeElements, type ElementDraft, type ElementTable } from '../tlv/index.js';
import { formatName } from '../x509/index.js';
import { digestCode, headerElements, headerTag, modulusLengths } from './header-elements.js';
import type { Version } from './header.js';

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

/** What stands between TIMESTAMP and the padding, such as how a file is encrypted. */
export interface FurtherElements {
  readonly drafts: readonly ElementDraft[];
  readonly table: ElementTable;
}

/** A header that is whole but for its signature. */
export interface HeaderLayout {
  /** The whole header in bytes, signature and padding included. */
  readonly length: number;
  /** What is signed of it: all before the SIGNATURE element, and all after it. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly signatureLength: number;
}

/**
 * Lays a header out. Nothing in it depends on the signature but the signature itself.
 *
 * @throws ProofError `unsupported-key` for an RSA size the format has no number for, `unsupported-digest`; FormatError
 *   `bad-value` for a timestamp that does not fit, `too-large`.
 */
export function layOutHeader(draft: SignedHeaderDraft, signer: Signer, further?: FurtherElements): HeaderLayout {
  const modulus = requireSigner(draft, signer);
  const signatureLength = modulusLengths[modulus] ?? 0;
  const after = concatBytes(
    encodeElements(
      [
        { tag: headerTag.fileName, value: draft.fileName },
        { tag: headerTag.timestamp, value: encodeNumber(draft.timestamp, 4) },
      ],
      headerElements,
    ),
    further === undefined ? new Uint8Array() : encodeElements(further.drafts, further.table),
  );
  const before = encodeElements(openingElements(draft, modulus), headerElements);
  const unpadded = before.length + 3 + signatureLength + after.length;
  const padding = (4 - (unpadded % 4)) % 4;
  const length = unpadded + padding;
  if (length > 0xffff) {
    throw new FormatError('too-large', `a header of ${String(length)} bytes`, { offset: 0, element: 'HEADERLENGTH' });
  }
  // VERSION is five bytes; tag and length of HEADERLENGTH are three more.
  before.set(encodeNumber(length, 2), 8);
  const filler = new Uint8Array(padding).fill(headerTag.padding);
  return { length, before, after: concatBytes(after, filler), signatureLength };
}

/**
 * Signs what {@link layOutHeader} laid out.
 *
 * @param request the digest of all that is signed, in order: before, after, body.
 * @returns the whole header.
 * @throws ProofError `key-mismatch`; what the signer throws.
 */
export async function signLayout(layout: HeaderLayout, request: SignRequest, signer: Signer): Promise<Uint8Array> {
  const signature = await signer.sign(request);
  if (signature.length !== layout.signatureLength) {
    throw new ProofError('key-mismatch', `the signer gave ${String(signature.length)} bytes of signature`);
  }
  const tagAndLength = Uint8Array.of(headerTag.signature, signature.length >> 8, signature.length & 0xff);
  return concatBytes(layout.before, tagAndLength, signature, layout.after);
}

/** @returns the number of the signer's key size in SIGNATUREMODULUS. */
function requireSigner(draft: SignedHeaderDraft, { certificate, digests }: Signer): number {
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
  if (!digests.includes(draft.digestAlgorithm)) {
    throw new ProofError('unsupported-digest', `this signer cannot sign ${draft.digestAlgorithm}`);
  }
  return modulus;
}

/** The header up to the SIGNATURE element, in the order that clusters write; HEADERLENGTH is still 0. */
function openingElements(draft: SignedHeaderDraft, modulus: number): ElementDraft[] {
  const version = ({ major, minor }: Version): Uint8Array => Uint8Array.of(major, minor);
  return [
    { tag: headerTag.version, value: version(draft.version) },
    { tag: headerTag.headerLength, value: encodeNumber(0, 2) },
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
