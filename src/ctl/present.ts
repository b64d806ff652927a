import { equalBytes } from '../bytes/index.js';
import { recordFunction, recordTag, type TrustList, type TrustListRecord } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';

/** Who signs a CTL: a hardware token, or a key of the cluster. */
export type CtlMode = 'token' | 'tokenless';

/** The element values by which a phone knows a certificate: repeated byte for byte once they are in a list. */
export interface CertificateSpelling {
  readonly subjectName: Uint8Array;
  readonly issuerName: Uint8Array;
  readonly serialNumber: Uint8Array;
}

/** FUNCTION values of records that describe the cluster's own servers. */
const serverFunctions: readonly number[] = [
  recordFunction.ccm,
  recordFunction.ccmTftp,
  recordFunction.tftp,
  recordFunction.capf,
];

/** Whether a record is one of the cluster's servers, which the cluster file speaks for. */
export function isServerRecord(record: TrustListRecord): boolean {
  return serverFunctions.includes(record.function);
}

/**
 * Whether a record is a token's: function 0 with an empty DNSNAME, as the CTL client writes tokens, or a subject that
 * calls itself a SAST. A cluster's own function-0 records carry the node's name.
 */
export function isTokenRecord(record: TrustListRecord): boolean {
  if (record.function !== recordFunction.sast) return false;
  return record.dnsName === '' || /^cn="?SAST-/i.test(record.subjectName ?? '');
}

/** The tokens of a list, in its order. */
export function tokenRecords(list: TrustList): readonly TrustListRecord[] {
  return list.records.filter(isTokenRecord);
}

/** Whether a list is a token list or a tokenless one. */
export function ctlMode(list: TrustList): CtlMode {
  return list.records.some(isTokenRecord) ? 'token' : 'tokenless';
}

/** Whether the servers of a list are emptied, as in a cluster that was set to non-secure. */
export function isEmptied(list: TrustList): boolean {
  const servers = list.records.filter((record) => isServerRecord(record) && record.function !== recordFunction.capf);
  return servers.length > 0 && servers.every((record) => record.serialNumber === undefined);
}

/** Whether a record holds a certificate: the whole of it, or, where only a hash is there, its key. */
export function holdsCertificate(record: TrustListRecord, certificate: Certificate): boolean {
  if (record.certificate !== undefined) return equalBytes(record.certificate, certificate.der);
  return record.publicKey !== undefined && equalBytes(record.publicKey, certificate.publicKey);
}

/** The index of the function-0 record that holds a certificate; -1 when there is none. */
export function sastRecordIndex(list: TrustList, certificate: Certificate): number {
  return list.records.findIndex(
    (record) => record.function === recordFunction.sast && holdsCertificate(record, certificate),
  );
}

/**
 * How a list spells a certificate that it holds already, token record or function-0 record first; `undefined` when
 * the certificate is new to it.
 */
export function presentSpelling(
  list: TrustList | undefined,
  certificate: Certificate,
): CertificateSpelling | undefined {
  const holders = (list?.records ?? []).filter((record) => holdsCertificate(record, certificate));
  const record = holders.find(({ function: role }) => role === recordFunction.sast) ?? holders[0];
  const valueOf = (tag: number): Uint8Array | undefined =>
    record?.elements.find((element) => element.tag === tag)?.value;
  const [subjectName, issuerName, serialNumber] = [
    valueOf(recordTag.subjectName),
    valueOf(recordTag.issuerName),
    valueOf(recordTag.serialNumber),
  ];
  if (subjectName === undefined || issuerName === undefined || serialNumber === undefined) return undefined;
  return { subjectName, issuerName, serialNumber };
}
