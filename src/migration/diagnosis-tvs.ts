import { nodesWith } from '../cluster/index.js';
import { FormatError } from '../errors.js';
import { acceptsTvsServer } from '../phone/index.js';
import { recordFunction, recordHolds, type TrustListRecord } from '../trust-list/index.js';
import { decodeCertificate, formatClusterName } from '../x509/index.js';
import type { Answer, DeletionCondition, TvsCertificateEvidence } from './diagnosis.js';
import {
  bothLists,
  filledRecords,
  heldList,
  holdSame,
  isCtlDoubtful,
  phoneWithLists,
  type DiagnosisCase,
} from './diagnosis-case.js';
import { heldRecords, isOfCluster } from './diagnosis-relation.js';

/** Whether the phone knows no TVS server any more. Its CTL may name one too (P9). */
export function tvsCertificateDiffers(opened: DiagnosisCase): DeletionCondition {
  const told = (answer: Answer, evidence: string): DeletionCondition => {
    return { condition: 'tvs-certificate-differs', answer, evidence };
  };
  if (!opened.securityByDefault) return told('unknown', 'the device asks no TVS (P11)');
  if (heldList(opened, 'itl') === undefined) return told('unknown', 'the ITL that the phone holds is not at hand');
  const present = presentTvs(opened);
  const known = knownServer(opened, present) ?? sharedServer(opened, present);
  if (known !== undefined) return told('no', known);
  if (isCtlDoubtful(opened)) {
    return told('unknown', 'the CTL that the phone holds is not at hand, and may name a TVS server too (P9)');
  }
  const records = heldTvsRecords(opened);
  if (records.length === 0) return told('yes', "no TVS certificate is in the phone's lists");
  if (present.length === 0 || isSilent(opened)) {
    const silent = opened.tvs.filter(({ kind }) => kind === 'unreachable').map(({ server }) => server);
    return told(
      'unknown',
      silent.length === 0 ? 'no TVS certificate was given' : `TVS ${silent.join(', ')} showed none`,
    );
  }
  const names = present.map(({ name }) => name).join(', ');
  const others = records.filter((record) => !isAccountedFor(opened, record, present));
  if (others.length === 0) return told('yes', `${names}: not the certificate of a TVS record in the phone's lists`);
  const unseen = [...new Set(others.map(({ subjectName }) => subjectName ?? 'a server without a name'))].join(', ');
  return told('unknown', `the phone's lists also name TVS of ${unseen}, of which nobody told the present certificate`);
}

/** The TVS records of the lists that the phone holds. */
function heldTvsRecords(opened: DiagnosisCase): readonly TrustListRecord[] {
  return bothLists.flatMap((kind) => filledRecords(heldList(opened, kind), recordFunction.tvs));
}

/** What TVS works with now, as far as somebody told. */
interface PresentTvs extends TvsCertificateEvidence {
  /** As lists write it. */
  readonly subjectName: string | undefined;
}

/**
 * What the TVS servers showed, what files hold, and what the cluster file has of the other nodes: a server that shows
 * another certificate than the cluster file counts before it.
 */
function presentTvs({ evidence, tvs }: DiagnosisCase): readonly PresentTvs[] {
  const shown = tvs.flatMap((one) =>
    one.kind === 'answered' ? [{ name: `TVS ${one.server}`, certificate: one.certificate }] : [],
  );
  const seen = [...shown, ...(evidence.tvsCertificates ?? [])].map(named);
  const nodes = evidence.cluster === undefined ? [] : nodesWith(evidence.cluster, 'TVS');
  const ofCluster = nodes.flatMap(({ name, certificates: { TVS } }) =>
    TVS === undefined ? [] : [named({ name: `TVS of ${name}`, certificate: TVS.der })],
  );
  return [...seen, ...ofCluster.filter(({ subjectName }) => !isNamedIn(subjectName, seen))];
}

function named(told: TvsCertificateEvidence): PresentTvs {
  try {
    return { ...told, subjectName: formatClusterName(decodeCertificate(told.certificate).subject) };
  } catch (error) {
    if (error instanceof FormatError) return { ...told, subjectName: undefined };
    throw error;
  }
}

function isNamedIn(subjectName: string | undefined, present: readonly PresentTvs[]): boolean {
  return subjectName !== undefined && present.some((one) => one.subjectName === subjectName);
}

/** A server whose present certificate the phone knows. */
function knownServer(opened: DiagnosisCase, present: readonly PresentTvs[]): string | undefined {
  const phone = phoneWithLists(opened);
  for (const { name, certificate } of present) {
    const decision = acceptsTvsServer(phone, certificate);
    if (decision.accepted) return `${name}: ${decision.reason} of the phone`;
  }
  return undefined;
}

/** A server that the phone's lists and another list of the server name alike, unless it is known to have another one. */
function sharedServer(opened: DiagnosisCase, present: readonly PresentTvs[]): string | undefined {
  // Of the very list that the phone holds nothing is learned.
  const lists = bothLists.filter((kind) => opened.same[kind] !== true).map((kind) => opened.served[kind]?.list);
  const served = lists.flatMap((list) => filledRecords(list, recordFunction.tvs));
  const shared = heldTvsRecords(opened).find(
    (record) => !isNamedIn(record.subjectName, present) && served.some((other) => holdSame(record, other)),
  );
  if (shared === undefined) return undefined;
  return `TVS of ${shared.subjectName ?? 'one server'}: its certificate is in the phone's lists and in the server's`;
}

/** Nobody knows what a server that shows nothing has, unless files tell. */
function isSilent({ evidence, tvs }: DiagnosisCase): boolean {
  const isTold = (evidence.tvsCertificates ?? []).length > 0 || evidence.cluster !== undefined;
  return !isTold && tvs.some(({ kind }) => kind === 'unreachable');
}

/** Whether it is known that the certificate of a TVS record is in use no more. */
function isAccountedFor(opened: DiagnosisCase, record: TrustListRecord, present: readonly PresentTvs[]): boolean {
  const { cluster } = opened.evidence;
  // Renewed: its server has another one now.
  if (present.some(({ subjectName }) => subjectName !== undefined && subjectName === record.subjectName)) return true;
  // Removed or renamed: a cluster file of the phone's own cluster names every TVS server that there is.
  const nodes = cluster === undefined ? [] : nodesWith(cluster, 'TVS');
  const isWhole = nodes.length > 0 && nodes.every(({ certificates }) => certificates.TVS !== undefined);
  return (
    isWhole &&
    cluster !== undefined &&
    isOfCluster(heldRecords(opened), cluster) &&
    !nodes.some(({ certificates: { TVS } }) => TVS !== undefined && recordHolds(record, TVS.der))
  );
}
