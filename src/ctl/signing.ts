import { equalBytes } from '../bytes/index.js';
import { RefusalError } from '../errors.js';
import { headerTag } from '../signed-file/index.js';
import type { DigestAlgorithm, Signer } from '../signer/index.js';
import { encodeText, findElement } from '../tlv/index.js';
import {
  encodeRecords,
  largestTrustList,
  recordTag,
  signTrustList,
  type RecordDraft,
  type TrustList,
} from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { describeCertificate, noticeExpiredSigner, type AcceptableCheck, type Checks, type Notice } from './checks.js';
import { tokenRecord } from './layout.js';

/** What every flow is told. */
export interface CtlOptions {
  /** TIMESTAMP of the list: seconds since 1970-01-01 UTC. */
  readonly timestamp: number;
  /** The moment against which certificates are checked. */
  readonly now: Date;
  /** That of the present list, else SHA-1, unless given. Phones are known to take SHA-1 and SHA-512. */
  readonly digestAlgorithm?: DigestAlgorithm;
  /** Checks that are let through. */
  readonly accept?: readonly AcceptableCheck[];
}

/** What a flow made. */
export interface CtlResult {
  /** Signed and verified. */
  readonly list: TrustList;
  /** What must be read before phones get the list. */
  readonly notices: readonly Notice[];
}

/** Where A2 was accepted, the signer must still be in the list for the list to verify. */
export function withAcceptedSigner(records: readonly RecordDraft[], present: TrustList, signer: Signer): RecordDraft[] {
  const known = signingIndex(records, signer.certificate) >= 0;
  return known ? [...records] : [...records, tokenRecord(signer.certificate, present)];
}

function valueOf(record: RecordDraft, tag: number): Uint8Array {
  return record.find((element) => element.tag === tag)?.value ?? new Uint8Array();
}

function isSast(record: RecordDraft): boolean {
  return valueOf(record, recordTag.function).join() === '0,0';
}

/** The function-0 record that holds a certificate: the whole of it, so that an older one with the same key is not it. */
function signingIndex(records: readonly RecordDraft[], certificate: Certificate): number {
  return records.findIndex(
    (record) => isSast(record) && equalBytes(valueOf(record, recordTag.certificate), certificate.der),
  );
}

/** How many function-0 records there are. */
export function countSigners(records: readonly RecordDraft[]): number {
  return records.filter(isSast).length;
}

/** The last steps of every flow: who signs, how large, and the signature. */
export async function sign(
  checks: Checks,
  records: readonly RecordDraft[],
  signer: Signer,
  options: CtlOptions,
  present?: TrustList,
): Promise<CtlResult> {
  const signingRecord = signingIndex(records, signer.certificate);
  if (signingRecord < 0) {
    throw new RefusalError(
      'A9',
      `${describeCertificate(signer.certificate)} is not the certificate that must sign this list; phones would reject it`,
      { hint: 'use the key of the certificate that the cluster file names for signing' },
    );
  }
  noticeExpiredSigner(checks, signer.certificate, options.now);
  const header = present?.header;
  const presentFileName = header && findElement(header.elements, headerTag.fileName)?.value;
  const draft = {
    version: header?.version ?? { major: 1, minor: 2 },
    ...(header?.signerVersion === undefined ? {} : { signerVersion: header.signerVersion }),
    ...(header === undefined ? {} : { signatureAlgorithm: header.signatureAlgorithm }),
    digestAlgorithm: options.digestAlgorithm ?? header?.digestAlgorithm ?? 'sha1',
    fileName: presentFileName ?? encodeText('CTLFile.tlv'),
    timestamp: options.timestamp,
    records,
    signingRecord,
  };
  // Before the token is asked: a signature for a list that no phone loads would be spent for nothing.
  const bodyLength = encodeRecords(records).length;
  if (bodyLength > largestTrustList) throw tooLarge(bodyLength, records.length);
  const list = await signTrustList(draft, signer);
  if (list.bytes.length > largestTrustList) throw tooLarge(list.bytes.length, records.length);
  return { list, notices: checks.notices };
}

function tooLarge(length: number, count: number): RefusalError {
  return new RefusalError(
    'too-large',
    `the list would have ${String(length)} bytes in ${String(count)} records; phones load 65,535 bytes at the most`,
    { hint: 'remove nodes that phones do not need, or use smaller keys (1024 or 2048 bits)' },
  );
}
