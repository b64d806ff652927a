import { createVerify, type KeyObject } from 'node:crypto';
import { digestOf, type Signer } from '../signer/index.js';
import { layOutHeader, signLayout, type FurtherElements, type SignedHeaderDraft } from './header-layout.js';
import type { SignedHeader } from './header.js';

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
 * @param further what stands in the header after TIMESTAMP.
 * @returns the whole file.
 * @throws ProofError `unsupported-key` for an RSA size the format has no number for, `unsupported-digest`; FormatError
 *   `bad-value` for a timestamp that does not fit; what the signer throws.
 */
export async function signWithHeader(
  draft: SignedHeaderDraft,
  body: Uint8Array,
  signer: Signer,
  further?: FurtherElements,
): Promise<Uint8Array> {
  const layout = layOutHeader(draft, signer, further);
  const { length, before, after } = layout;
  const bytes = new Uint8Array(length + body.length);
  // What is signed lies at the end of the file, so that all behind the signature is in its place already.
  const message = bytes.subarray(length - before.length - after.length);
  message.set(before);
  message.set(after, before.length);
  message.set(body, before.length + after.length);
  const { digestAlgorithm } = draft;
  const request = { digestAlgorithm, digest: digestOf(digestAlgorithm, message), message };
  bytes.set(await signLayout(layout, request, signer));
  return bytes;
}
