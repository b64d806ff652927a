import { equalBytes, formatHex } from '../bytes/index.js';
import { InputError, RefusalError } from '../errors.js';
import { digestCodes, headerTag } from '../signed-file/index.js';
import type { DigestAlgorithm, Signer } from '../signer/index.js';
import { encodeText, findElement } from '../tlv/index.js';
import {
  encodeRecords,
  largestTrustList,
  recordFunction,
  recordTag,
  signTrustList,
  type RecordDraft,
  type TrustList,
  type TrustListDraft,
} from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { describeCertificate, type AcceptableCheck, type Checks, type Notice } from './checks.js';
import { functionOf, layOut, valueOf } from './layout.js';
import { noticeDigest, noticeFileSigners, noticeHeader } from './list-notices.js';
import { ctlMode, holdsCertificate, isSignerOf } from './present.js';
import { noticeExpiredSigner } from './signer-checks.js';
import { noticeTokens, requireTokens } from './token-checks.js';

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

/**
 * Where A2 was accepted, the token that signs must still be in the list for the list to verify. A tokenless list gets
 * its signers from the cluster file only.
 */
export function withAcceptedSigner(
  checks: Checks,
  records: readonly RecordDraft[],
  present: TrustList,
  { certificate }: Signer,
  now: Date,
): readonly RecordDraft[] {
  if (isSignerOf(present, certificate) || ctlMode(present) === 'tokenless') return records;
  requireTokens([certificate], { present });
  noticeTokens(checks, [certificate], certificate, now);
  return [...records, layOut({ certificate, role: recordFunction.sast }, 'token', undefined)];
}

/** The last steps of every flow: who signs, how large, and the signature. A refused list never reaches the signer. */
export async function sign(
  checks: Checks,
  records: readonly RecordDraft[],
  signer: Signer,
  options: CtlOptions,
  present?: TrustList,
): Promise<CtlResult> {
  const signingRecord = findSigningRecord(records, signer.certificate);
  checkAmbiguity(checks, records, records[signingRecord] ?? []);
  noticeExpiredSigner(checks, signer.certificate, options.now);
  noticeFileSigners(checks, records);
  noticeHeader(checks, present);
  const draft = { ...headerOf(present, options), records, signingRecord };
  noticeDigest(checks, draft.digestAlgorithm);
  const list = await signTrustList(draft, limited(signer, records));
  return { list, notices: checks.notices };
}

function headerOf(
  present: TrustList | undefined,
  options: CtlOptions,
): Omit<TrustListDraft, 'records' | 'signingRecord'> {
  const { timestamp } = options;
  if (!Number.isInteger(timestamp) || timestamp < 0 || timestamp > 0xffff_ffff) {
    throw new InputError('usage', `${timestamp} does not fit TIMESTAMP: whole seconds from 1970 to 2106 are wanted`);
  }
  const header = present?.header;
  const fileName = header && findElement(header.elements, headerTag.fileName)?.value;
  return {
    version: header?.version ?? { major: 1, minor: 2 },
    ...(header?.signerVersion === undefined ? {} : { signerVersion: header.signerVersion }),
    ...(header === undefined ? {} : { signatureAlgorithm: header.signatureAlgorithm }),
    digestAlgorithm: options.digestAlgorithm ?? header?.digestAlgorithm ?? 'sha1',
    fileName: fileName ?? encodeText('CTLFile.tlv'),
    timestamp,
  };
}

/** The function-0 record that holds a certificate: the whole of it, so that an older one with the same key is not it. */
function findSigningRecord(records: readonly RecordDraft[], certificate: Certificate): number {
  const index = records.findIndex((record) => {
    const algorithm = valueOf(record, recordTag.hashAlgorithm)?.[0];
    const held = {
      certificate: valueOf(record, recordTag.certificate),
      certificateHash: valueOf(record, recordTag.certificateHash),
      hashAlgorithm: algorithm === undefined ? undefined : digestCodes.get(algorithm),
    };
    return functionOf(record) === recordFunction.sast && holdsCertificate(held, certificate);
  });
  const record = records[index];
  if (record === undefined) {
    throw new RefusalError(
      'A9',
      `${describeCertificate(certificate)} would not be in the list as a signer; phones would reject the list`,
      { hint: 'sign with the key of a certificate that the list has, or will have, as a signer' },
    );
  }
  if (equalBytes(valueOf(record, recordTag.publicKey) ?? new Uint8Array(), certificate.publicKey)) return index;
  throw new RefusalError(
    'A9',
    `the record of ${describeCertificate(certificate)} has another key than its certificate; phones would reject the list`,
    { hint: 'sign with another signer of the list, or build the list anew' },
  );
}

/** Phones find a key by issuer and serial (P5, P12): records with the same ones must have the same key. */
function checkAmbiguity(checks: Checks, records: readonly RecordDraft[], signing: RecordDraft): void {
  const signers = records.filter((record) => functionOf(record) === recordFunction.sast);
  const ambiguous = ambiguousIdentities(signers);
  const message = 'two signers of the list have the same issuer and serial, but different keys';
  if (ambiguous.has(identityOf(signing))) {
    throw new RefusalError('A9', `${message}, and one of them signs: phones would try the wrong key`, {
      hint: 'take one of the two out of the list, or sign with another signer',
    });
  }
  if (ambiguous.size > 0) {
    checks.refuse('A9', `${message}: phones would reject what one of them signs`, 'take one of the two out');
  } else if (ambiguousIdentities(records).size > 0) {
    checks.notice(
      'same-serial',
      'two records of the list have the same issuer and serial, but different keys: phones may reject what one of them signs',
    );
  }
}

/** Issuer and serial, as phones look for them: byte by byte. */
function identityOf(record: RecordDraft): string {
  const [issuer, serialNumber] = [recordTag.issuerName, recordTag.serialNumber].map((tag) => valueOf(record, tag));
  return `${formatHex(issuer ?? new Uint8Array())} ${formatHex(serialNumber ?? new Uint8Array())}`;
}

function ambiguousIdentities(records: readonly RecordDraft[]): ReadonlySet<string> {
  const keys = new Map<string, Uint8Array>();
  const ambiguous = new Set<string>();
  for (const record of records) {
    const identity = identityOf(record);
    const key = valueOf(record, recordTag.publicKey) ?? new Uint8Array();
    const first = keys.get(identity);
    if (first === undefined) keys.set(identity, key);
    else if (!equalBytes(first, key)) ambiguous.add(identity);
  }
  return ambiguous;
}

/** A signer that is not asked for a list that no phone loads: a signature for it would be spent for nothing. */
function limited(signer: Signer, records: readonly RecordDraft[]): Signer {
  const { certificate, digests } = signer;
  return {
    certificate,
    digests,
    sign: async (request) => {
      // What is signed is the whole file but for the SIGNATURE element.
      const length = (request.message ?? encodeRecords(records)).length + 3 + certificate.keyBits / 8;
      if (length <= largestTrustList) return signer.sign(request);
      throw new RefusalError(
        'too-large',
        `the list would have ${length} bytes in ${records.length} records; phones load 65,535 bytes at the most`,
        { hint: 'take out nodes that phones do not need, or use smaller keys (1024 or 2048 bits)' },
      );
    },
  };
}
