import { equalBytes } from '../bytes/index.js';
import { FormatError, type ProofErrorCode } from '../errors.js';
import { verifySignature } from '../signed-file/index.js';
import { importPublicKey } from '../x509/index.js';
import type { TrustListRecord } from './record.js';
import { signingRecords, type TrustList } from './trust-list.js';

/** Whether a list is signed by the key of its own signing record, and if not, why. */
export type Verification =
  | { readonly verified: true; readonly signer: TrustListRecord }
  | { readonly verified: false; readonly code: ProofErrorCode; readonly reason: string };

/**
 * Verifies a list against itself: the signing record's key must have made the signature over the bytes that were read
 * (rules P3 and P7; whether a phone trusts that signer is another question).
 */
export function verifyTrustList(list: TrustList): Verification {
  const candidates = signingRecords(list);
  const signer = candidates[0];
  if (signer?.publicKey === undefined) {
    const reason = `no function-0 record has the signer's issuer and serial (${list.header.signerName})`;
    return { verified: false, code: 'no-signing-record', reason };
  }
  const key = signer.publicKey;
  if (candidates.some((other) => other.publicKey === undefined || !equalBytes(other.publicKey, key))) {
    const reason = "two function-0 records have the signer's issuer and serial, with different keys";
    return { verified: false, code: 'no-signing-record', reason };
  }
  try {
    if (verifySignature(list.bytes, list.header, importPublicKey(key))) return { verified: true, signer };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { verified: false, code: 'unsupported-key', reason: "the signing record's PUBLICKEY is no RSA key" };
  }
  const reason = "the signature was not made with the signing record's key over these bytes";
  return { verified: false, code: 'signature-mismatch', reason };
}
