import { equalBytes } from '../bytes/index.js';
import { recordFunction, recordHolds, recordTag, type TrustList, type TrustListRecord } from '../trust-list/index.js';
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

/** Whether a record with this FUNCTION is one of the cluster's servers, which the cluster file speaks for. */
export function isServerFunction(role: number): boolean {
  return serverFunctions.includes(role);
}

/** Whether a record is one of the cluster's servers. */
export function isServerRecord(record: TrustListRecord): boolean {
  return isServerFunction(record.function);
}

/** DNSNAME without the blank that ITL writers put there; empty when there is none. */
export function hostOf(record: TrustListRecord): string {
  return record.dnsName?.trim() ?? '';
}

/** How subjects name themselves, in any writer's spelling of names. */
const tokenSubject = /(?:^|[;,]\s*)cn="?SAST-/i;
const recoverySubject = /(?:^|[;,]\s*)cn="?ITLRECOVERY/i;

/**
 * Whether a record is a token's: function 0, and a subject that calls itself a SAST or, as the CTL client writes tokens,
 * neither a DNSNAME nor an address. A cluster's own function-0 records have the node's. Other writers leave both out
 * everywhere: there, what also serves as CallManager and what calls itself ITLRecovery is the cluster's.
 */
export function isTokenRecord(record: TrustListRecord, list: TrustList): boolean {
  if (record.function !== recordFunction.sast || record.serialNumber === undefined) return false;
  const subject = record.subjectName ?? '';
  if (tokenSubject.test(subject)) return true;
  const isNowhere = hostOf(record) === '' && (record.ipAddress ?? []).every((byte) => byte === 0);
  return isNowhere && !recoverySubject.test(subject) && !servesAsServer(record, list);
}

function servesAsServer({ certificate }: TrustListRecord, list: TrustList): boolean {
  if (certificate === undefined) return false;
  return list.records.some(
    (other) => isServerRecord(other) && other.certificate !== undefined && equalBytes(other.certificate, certificate),
  );
}

/** The tokens of a list, in its order. */
export function tokenRecords(list: TrustList): readonly TrustListRecord[] {
  return list.records.filter((record) => isTokenRecord(record, list));
}

/** Whether a list is a token list or a tokenless one. */
export function ctlMode(list: TrustList): CtlMode {
  return list.records.some((record) => isTokenRecord(record, list)) ? 'token' : 'tokenless';
}

/** Whether the servers of a list are emptied, as in a cluster that was set to non-secure. */
export function isEmptied(list: TrustList): boolean {
  const servers = list.records.filter((record) => isServerRecord(record) && record.function !== recordFunction.capf);
  return servers.length > 0 && servers.every((record) => record.serialNumber === undefined);
}

/** Whether a record holds a certificate: the whole of it, or, where only a hash is there, its hash. */
export function holdsCertificate(
  record: Pick<TrustListRecord, 'certificate' | 'certificateHash' | 'hashAlgorithm'>,
  certificate: Certificate,
): boolean {
  return recordHolds(record, certificate.der);
}

/** Whether a list knows a certificate as a signer: a function-0 record holds it. */
export function isSignerOf(list: TrustList, certificate: Certificate): boolean {
  return list.records.some(
    (record) => record.function === recordFunction.sast && holdsCertificate(record, certificate),
  );
}

/**
 * How a list spells a certificate that it holds already, function-0 record first; `undefined` when the certificate is
 * new to it.
 */
export function presentSpelling(
  list: TrustList | undefined,
  certificate: Certificate,
): CertificateSpelling | undefined {
  const holders = (list?.records ?? []).filter((record) => holdsCertificate(record, certificate));
  const record = holders.find(({ function: role }) => role === recordFunction.sast) ?? holders[0];
  return record === undefined ? undefined : spellingOf(record);
}

/** How a record spells its certificate; `undefined` for an emptied record. */
export function spellingOf(record: TrustListRecord): CertificateSpelling | undefined {
  const valueOf = (tag: number): Uint8Array | undefined =>
    record.elements.find((element) => element.tag === tag)?.value;
  const [subjectName, issuerName, serialNumber] = [
    valueOf(recordTag.subjectName),
    valueOf(recordTag.issuerName),
    valueOf(recordTag.serialNumber),
  ];
  if (subjectName === undefined || issuerName === undefined || serialNumber === undefined) return undefined;
  return { subjectName, issuerName, serialNumber };
}
