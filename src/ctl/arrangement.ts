import { isAtLeast, publisherOf, type Cluster } from '../cluster/index.js';
import {
  draftOfRecord,
  recordFunction,
  type RecordDraft,
  type TrustList,
  type TrustListRecord,
} from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { certificateOf, nodeRecord, serverRecords, tokenRecord } from './layout.js';
import { isServerRecord } from './present.js';

/** The order of the CTL client: first token, servers, further tokens. */
export function tokenLayout(
  cluster: Cluster,
  tokens: readonly Certificate[],
  present: TrustList | undefined,
): RecordDraft[] {
  const [first, ...further] = tokens.map((token) => tokenRecord(token, present));
  const servers = serverRecords(cluster, 'token', present);
  return [...(first === undefined ? [] : [first]), ...servers, ...further, ...otherRecords(present)];
}

/** The order of `utils ctl`: the CallManager as signer, the servers, from 12.0 the ITLRecovery as a further signer. */
export function tokenlessLayout(cluster: Cluster, present: TrustList | undefined): RecordDraft[] {
  const publisher = publisherOf(cluster);
  const signers = clusterSigners(cluster).map((certificate) =>
    nodeRecord(publisher, certificate, recordFunction.sast, 'tokenless', present),
  );
  const [first, ...further] = signers;
  const servers = serverRecords(cluster, 'tokenless', present);
  return [...(first === undefined ? [] : [first]), ...servers, ...further, ...otherRecords(present)];
}

/** The function-0 certificates of a tokenless list. */
export function clusterSigners(cluster: Cluster): readonly Certificate[] {
  const publisher = publisherOf(cluster);
  const callManager = certificateOf(publisher, 'CallManager');
  return isAtLeast(cluster.release, '12.0') ? [callManager, certificateOf(publisher, 'ITLRecovery')] : [callManager];
}

/** Records of a present list that neither tokens nor the cluster file speak for: they stay, byte for byte. */
function otherRecords(present: TrustList | undefined): RecordDraft[] {
  return (present?.records ?? [])
    .filter((record) => record.function !== recordFunction.sast && !isServerRecord(record))
    .map(draftOfRecord);
}

/** New server records where the present list has its first; everything else stays in its place. */
export function replaceServers(present: TrustList, servers: readonly RecordDraft[]): RecordDraft[] {
  const first = present.records.findIndex(isServerRecord);
  const place = first < 0 ? Math.min(1, present.records.length) : first;
  const stays = (record: TrustListRecord): boolean => !isServerRecord(record);
  const before = present.records.slice(0, place).filter(stays);
  const after = present.records.slice(place).filter(stays);
  return [...before.map(draftOfRecord), ...servers, ...after.map(draftOfRecord)];
}
