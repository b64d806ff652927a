import { printable } from '../bytes/index.js';
import { isSigner, type CheckedCtl, type MalformedList } from './check-lists.js';
import { publisherOf, type CertificateName, type Cluster, type ClusterNode } from './cluster.js';
import { listSignerName } from './list-signer.js';
import { findNode, fiveMinutes } from './renew.js';
import { formatTime } from './time.js';

/** What the renewal of a certificate may do to phones. */
export interface RenewalDanger {
  readonly check: 'A1' | 'A7';
  /** A refusal can be let through; a warning is of what does not show here. */
  readonly severity: 'refusal' | 'warning';
  readonly message: string;
  readonly hint: string;
}

/** Which certificate is to be renewed, and what shows of the phones. */
export interface RenewalDangerRequest {
  readonly cluster: Cluster;
  readonly node: string;
  readonly certificate: CertificateName;
  /** The CTL that phones hold; `undefined` where none is at hand. */
  readonly ctl: CheckedCtl | MalformedList | undefined;
  readonly now: Date;
}

/** For so long after a renewal some phone may not have started again, in milliseconds. */
const restartsTake = 30 * 86_400_000;

/**
 * What a renewal would do that only shows when it is too late: the CTL that nobody can sign any more (A7), the ITL that
 * nobody is left to vouch for (A1).
 *
 * @throws InputError `usage` for a node that the cluster has not; `cluster-file` when it has none.
 */
export function renewalDangers(request: RenewalDangerRequest): readonly RenewalDanger[] {
  const holder = findNode(request.cluster, request.node);
  return [lastSigner(request, holder), lastVoucher(request, holder)].filter((danger) => danger !== undefined);
}

/** A7: from 12.0 a CTL has two signers, and one of them must be the same before and after. */
function lastSigner(request: RenewalDangerRequest, holder: ClusterNode): RenewalDanger | undefined {
  const { cluster, certificate: name, ctl } = request;
  if (listSignerName(cluster.release) !== 'ITLRecovery' || holder !== publisherOf(cluster)) return undefined;
  const other = otherOf(name, 'CallManager', 'ITLRecovery');
  if (other === undefined) return undefined;
  const fate = 'every phone would have to have its CTL deleted by hand';
  const hint = 'run "cluster update-ctl" and let all phones take the new CTL before this renewal';
  if (ctl?.kind === 'CTL') {
    const [own, kept] = [holder.certificates[name], holder.certificates[other]];
    if (ctl.mode === 'token' || own === undefined || kept === undefined) return undefined;
    const knows = (one: typeof own): boolean => ctl.list.records.some((record) => isSigner(record, one));
    if (!knows(own) || knows(kept)) return undefined;
    const message = `the CTL ${printable(ctl.path)} knows the present ${name} as a signer, and not the present ${other}: with both renewed nobody could sign a CTL that phones accept, and ${fate}`;
    return { check: 'A7', severity: 'refusal', message, hint };
  }
  const noted = holder.changed?.[other];
  if (noted === undefined || (ctl === undefined && cluster.securityMode !== 'mixed')) return undefined;
  const what = ctl === undefined ? 'no CTL is beside the cluster file' : `the CTL ${printable(ctl.path)} ${ctl.reason}`;
  const message = `${other} was renewed on ${formatTime(noted)}, and ${what}: if the CTL was not updated since, ${fate}`;
  return { check: 'A7', severity: 'warning', message, hint };
}

/** A1: before 12.0 a phone that knows neither the new CallManager nor the new TVS of its only TVS server is stuck. */
function lastVoucher(request: RenewalDangerRequest, holder: ClusterNode): RenewalDanger | undefined {
  const { cluster, certificate: name, ctl, now } = request;
  const other = otherOf(name, 'CallManager', 'TVS');
  const noted = other === undefined ? undefined : holder.changed?.[other];
  if (other === undefined || noted === undefined || listSignerName(cluster.release) !== 'CallManager') return undefined;
  const isStandingBy = cluster.nodes.some((node) => node !== holder && node.services.includes('TVS'));
  // A CTL of tokens vouches for all servers.
  const isOfTokens = ctl?.kind === 'CTL' && ctl.mode === 'token' && !ctl.emptied;
  const ago = Math.abs(now.getTime() - noted.getTime());
  if (isStandingBy || isOfTokens || ago > restartsTake) return undefined;
  return {
    check: 'A1',
    severity: ago < fiveMinutes ? 'refusal' : 'warning',
    message: `${other} of ${holder.name} was renewed on ${formatTime(noted)}, and no other node runs TVS: phones that were not restarted since are stuck after this renewal until their ITL is deleted by hand`,
    hint: 'restart all phones first, and look whether they have the new ITL; or add a second TVS server',
  };
}

function otherOf(
  name: CertificateName,
  ...pair: readonly [CertificateName, CertificateName]
): CertificateName | undefined {
  const [first, second] = pair;
  if (name === first) return second;
  return name === second ? first : undefined;
}
