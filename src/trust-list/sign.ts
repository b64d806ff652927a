import { concatBytes, encodeNumber, equalBytes } from '../bytes/index.js';
import { FormatError, ProofError } from '../errors.js';
import { signWithHeader, type SignedHeaderDraft, type Version } from '../signed-file/index.js';
import type { DigestAlgorithm, Signer } from '../signer/index.js';
import { encodeElements, type ElementDraft } from '../tlv/index.js';
import { formatName } from '../x509/index.js';
import { recordElements, recordFunction, recordTag } from './record-elements.js';
import { decodeTrustList, type TrustList } from './trust-list.js';
import { verifyTrustList } from './verify.js';

/** A record to be written: its elements in order, without RECORDLENGTH, which is counted. */
export type RecordDraft = readonly ElementDraft[];

/** A list to be signed. Texts are element values, with their closing NUL: they are repeated byte for byte. */
export interface TrustListDraft {
  /** 1.2 for CTL and ITL. */
  readonly version: Version;
  readonly signerVersion?: Version;
  readonly digestAlgorithm: DigestAlgorithm;
  readonly signatureAlgorithm?: number;
  readonly fileName: Uint8Array;
  /** Seconds since 1970-01-01 UTC. */
  readonly timestamp: number;
  readonly records: readonly RecordDraft[];
  /** Which of the records signs: the index of a function-0 record whose key is the signer's. */
  readonly signingRecord: number;
}

/**
 * Writes a list and signs it. The header repeats name, issuer and serial of the signing record byte for byte.
 *
 * @returns the list as decoded from the bytes that were made; it verifies.
 * @throws ProofError `no-signing-record`, `key-mismatch`, `unsupported-key`, `unsupported-digest`; FormatError when
 *   the draft is no list; what the signer throws.
 */
export async function signTrustList(draft: TrustListDraft, signer: Signer): Promise<TrustList> {
  const { records, signingRecord, ...header } = draft;
  const record = records[signingRecord];
  const valueOf = (tag: number): Uint8Array | undefined => record?.find((element) => element.tag === tag)?.value;
  const names = [recordTag.subjectName, recordTag.serialNumber, recordTag.issuerName].map(valueOf);
  const [signerName, serialNumber, issuerName] = names;
  const isSast = equalBytes(valueOf(recordTag.function) ?? new Uint8Array(), encodeNumber(recordFunction.sast, 2));
  if (!isSast || signerName === undefined || serialNumber === undefined || issuerName === undefined) {
    throw new ProofError(
      'no-signing-record',
      'the record that should sign is not a function-0 record with a certificate',
    );
  }
  const { certificate } = signer;
  if (!equalBytes(valueOf(recordTag.publicKey) ?? new Uint8Array(), certificate.publicKey)) {
    throw new ProofError('key-mismatch', `the signing record has another key than ${formatName(certificate.subject)}`, {
      hint: 'sign with the key of the certificate in the signing record',
    });
  }
  const headerDraft: SignedHeaderDraft = { ...header, signer: { signerName, serialNumber, issuerName } };
  const bytes = await signWithHeader(headerDraft, encodeRecords(records), signer);
  const list = decodeTrustList(bytes);
  const verification = verifyTrustList(list);
  if (!verification.verified)
    throw new ProofError(verification.code, `what was signed does not verify: ${verification.reason}`);
  return list;
}

/** The body of a list. @throws FormatError `too-large` for a record above 65,535 bytes. */
export function encodeRecords(records: readonly RecordDraft[]): Uint8Array {
  return concatBytes(...records.map(encodeRecord));
}

function encodeRecord(record: RecordDraft): Uint8Array {
  const elements = encodeElements(record, recordElements);
  const length = elements.length + 5;
  if (length > 0xffff) {
    throw new FormatError('too-large', `a record of ${String(length)} bytes`, { offset: 0, element: 'RECORDLENGTH' });
  }
  const opening = encodeElements([{ tag: recordTag.recordLength, value: encodeNumber(length, 2) }], recordElements);
  return concatBytes(opening, elements);
}

/** The draft of a record that repeats a present one byte for byte. */
export function draftOfRecord(record: { readonly elements: readonly ElementDraft[] }): RecordDraft {
  return record.elements.filter((element) => element.tag !== recordTag.recordLength);
}
