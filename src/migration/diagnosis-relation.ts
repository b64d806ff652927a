import type { Cluster } from '../cluster/index.js';
import { recordHolds, type TrustListRecord } from '../trust-list/index.js';
import { formatClusterName, type Certificate } from '../x509/index.js';
import { filledRecords, heldList, shareCertificate, type DiagnosisCase } from './diagnosis-case.js';

/** All certificates of the nodes of a cluster. */
export function certificatesOf(cluster: Cluster | undefined): readonly Certificate[] {
  return (cluster?.nodes ?? []).flatMap(({ certificates }) => Object.values(certificates));
}

/** What the lists that the phone holds say, as far as they are at hand. */
export function heldRecords(opened: DiagnosisCase): readonly TrustListRecord[] {
  return (['ctl', 'itl'] as const).flatMap((kind) => filledRecords(heldList(opened, kind)));
}

/** What the lists of the server say. */
export function servedRecords({ served }: DiagnosisCase): readonly TrustListRecord[] {
  return (['ctl', 'itl'] as const).flatMap((kind) => filledRecords(served[kind]?.list));
}

/** Whether any certificate of a cluster file, or its name, is in records. */
export function isOfCluster(records: readonly TrustListRecord[], cluster: Cluster): boolean {
  return certificatesOf(cluster).some(({ der, subject }) => {
    const name = formatClusterName(subject);
    return records.some((record) => record.subjectName === name || recordHolds(record, der));
  });
}

/** Whether what the phone holds and what it is served have nothing in common: no certificate and no name. */
export function isUnrelated(opened: DiagnosisCase): boolean {
  const [held, served] = [heldRecords(opened), servedRecords(opened)];
  return held.length > 0 && served.length > 0 && !areRelated(held, served);
}

/** Whether two sets of records are of one cluster: a certificate or a name is in both. Renewed certificates keep names. */
function areRelated(left: readonly TrustListRecord[], right: readonly TrustListRecord[]): boolean {
  const subjects = new Set(left.map(({ subjectName }) => subjectName));
  return right.some(({ subjectName }) => subjects.has(subjectName)) || shareCertificate(left, right);
}
