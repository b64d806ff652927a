import { createHash } from 'node:crypto';
import { formatHex } from '../bytes/index.js';
import { formatAddress } from './format.js';
import { formatFunction, recordFunction } from './record-elements.js';
import type { TrustListRecord } from './record.js';
import { trustListKind, type TrustList } from './trust-list.js';
import { verifyTrustList } from './verify.js';

/** A record in the JSON view. Serials and digests are lower-case hex; what the record lacks is null. */
export interface RecordView {
  readonly offset: number;
  readonly length: number;
  readonly function: number;
  readonly functionName: string;
  readonly dnsName: string | null;
  readonly subjectName: string | null;
  readonly issuerName: string | null;
  readonly serialNumber: string | null;
  readonly publicKeyLength: number | null;
  readonly signatureLength: number | null;
  readonly certificateLength: number | null;
  readonly certificateSha1: string | null;
  readonly certificateHash: string | null;
  readonly hashAlgorithm: string | null;
  readonly ipAddress: string | null;
  /** Only for function-0 records. */
  readonly usedToSign: boolean | null;
}

/** The JSON view of a list. Its keys are stable. */
export interface TrustListView {
  readonly kind: 'CTL' | 'ITL' | null;
  readonly length: number;
  readonly md5: string;
  readonly sha1: string;
  readonly sha256: string;
  readonly version: string;
  readonly signerVersion: string | null;
  readonly headerLength: number;
  readonly signer: { readonly name: string; readonly issuer: string; readonly serialNumber: string };
  readonly digestAlgorithm: string;
  readonly signatureAlgorithm: number;
  readonly signatureLength: number;
  readonly fileName: string;
  /** UTC, ISO 8601. */
  readonly timestamp: string;
  readonly verified: boolean;
  /** Why the list does not verify; null when it does. */
  readonly reason: string | null;
  readonly records: readonly RecordView[];
}

/** A list as plain data for JSON. */
export function describeTrustList(list: TrustList): TrustListView {
  const { header, bytes } = list;
  const verification = verifyTrustList(list);
  const digest = (algorithm: string): string => createHash(algorithm).update(bytes).digest('hex');
  return {
    kind: trustListKind(header.fileName) ?? null,
    length: bytes.length,
    md5: digest('md5'),
    sha1: digest('sha1'),
    sha256: digest('sha256'),
    version: `${String(header.version.major)}.${String(header.version.minor)}`,
    signerVersion:
      header.signerVersion === undefined
        ? null
        : `${String(header.signerVersion.major)}.${String(header.signerVersion.minor)}`,
    headerLength: header.length,
    signer: { name: header.signerName, issuer: header.issuerName, serialNumber: formatHex(header.serialNumber) },
    digestAlgorithm: header.digestAlgorithm,
    signatureAlgorithm: header.signatureAlgorithm,
    signatureLength: header.signature.length,
    fileName: header.fileName,
    timestamp: new Date(header.timestamp * 1000).toISOString(),
    verified: verification.verified,
    reason: verification.verified ? null : verification.reason,
    records: list.records.map((record) => {
      const used = verification.verified && verification.signer === record;
      return describeRecordView(record, record.function === recordFunction.sast ? used : null);
    }),
  };
}

function describeRecordView(record: TrustListRecord, usedToSign: boolean | null): RecordView {
  const { certificate } = record;
  const hex = (value: Uint8Array | undefined): string | null => (value === undefined ? null : formatHex(value));
  return {
    offset: record.offset,
    length: record.length,
    function: record.function,
    functionName: formatFunction(record.function),
    dnsName: record.dnsName ?? null,
    subjectName: record.subjectName ?? null,
    issuerName: record.issuerName ?? null,
    serialNumber: hex(record.serialNumber),
    publicKeyLength: record.publicKey?.length ?? null,
    signatureLength: record.signature?.length ?? null,
    certificateLength: certificate?.length ?? null,
    certificateSha1: certificate === undefined ? null : createHash('sha1').update(certificate).digest('hex'),
    certificateHash: hex(record.certificateHash),
    hashAlgorithm: record.hashAlgorithm ?? null,
    ipAddress: record.ipAddress === undefined ? null : formatAddress(record.ipAddress),
    usedToSign,
  };
}
