import { equalBytes, printable } from '../bytes/index.js';
import {
  recordFunction,
  recordHolds,
  verifyTrustList,
  type TrustList,
  type TrustListRecord,
  type Verification,
} from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { nodesWith, type CertificateName, type Cluster, type ClusterNode } from './cluster.js';
import type { ClusterCheckName, ClusterFinding } from './finding.js';
import { listSignerName } from './list-signer.js';
import { isAtLeast, tokensEnd } from './release.js';
import { formatTime } from './time.js';

/** A CTL that is looked at beside the cluster, with what `ctl` knows of it. */
export interface CheckedCtl {
  readonly kind: 'CTL';
  readonly path: string;
  readonly list: TrustList;
  readonly mode: 'token' | 'tokenless';
  /** Whether its servers are emptied, as in a non-secure cluster. */
  readonly emptied: boolean;
  /** How many tokens are in it, each counted once. */
  readonly tokens: number;
}

/** An ITL that is looked at beside the cluster. */
export interface CheckedItl {
  readonly kind: 'ITL';
  readonly path: string;
  readonly list: TrustList;
}

/** A file that should be a list, and is none. */
export interface MalformedList {
  readonly kind: 'malformed';
  readonly path: string;
  readonly reason: string;
}

/** A list that is looked at beside the cluster. */
export type CheckedList = CheckedCtl | CheckedItl | MalformedList;

/** A certificate that a list must hold. */
interface Wanted {
  readonly node: ClusterNode;
  readonly name: CertificateName;
  readonly roles: readonly number[];
}

/** How a CTL is brought up to date. */
const updateHints: Readonly<Record<CheckedCtl['mode'], string>> = {
  token: 'run "ctl update" with a token that is in it',
  tokenless: 'run "cluster update-ctl"',
};

const serverRoles: readonly number[] = [recordFunction.ccm, recordFunction.ccmTftp, recordFunction.tftp];

/** What is wrong with a list, by itself and beside the cluster. */
export function checkList(cluster: Cluster, checked: CheckedList): readonly ClusterFinding[] {
  const { path } = checked;
  if (checked.kind === 'malformed') {
    const hint = 'restore it from a backup, or build it anew';
    return [{ severity: 'critical', check: 'list-format', list: path, message: checked.reason, hint }];
  }
  const verification = verifyTrustList(checked.list);
  const findings = [
    ...checkSignature(checked, verification),
    ...(checked.kind === 'CTL' ? checkCtl(cluster, checked) : []),
    ...checkSigner(cluster, checked, verification),
    ...checkCertificates(cluster, checked),
  ];
  if (findings.length > 0) return withoutVainHints(checked, findings).map((finding) => ({ ...finding, list: path }));
  const message = 'verifies, and holds the present certificates';
  return [{ severity: 'ok', check: 'list', list: path, message }];
}

/** A list of which one of these is true is not brought up to date: what they say comes first. */
const updateIsRefused: readonly ClusterCheckName[] = ['A7', 'A8', 'A9', 'A14'];

/** No finding sends its reader to a command that another finding says is refused. */
function withoutVainHints(
  checked: CheckedCtl | CheckedItl,
  findings: readonly ClusterFinding[],
): readonly ClusterFinding[] {
  const first = findings.find(({ check }) => updateIsRefused.includes(check))?.check;
  if (checked.kind !== 'CTL' || first === undefined) return findings;
  const hint = `first do what ${first} says; then look again`;
  return findings.map((finding) =>
    finding.hint !== undefined && isOnCtl(finding.hint) && finding.check !== first ? { ...finding, hint } : finding,
  );
}

function isOnCtl(hint: string): boolean {
  return /"(cluster update-ctl|cluster set [a-z-]+|ctl update)"/.test(hint);
}

function checkSignature(checked: CheckedCtl | CheckedItl, verification: Verification): readonly ClusterFinding[] {
  if (verification.verified) return [];
  return [
    {
      severity: 'critical',
      check: 'A9',
      message: `does not verify (${printable(verification.reason)}): every phone rejects it`,
      hint:
        checked.kind === 'CTL'
          ? 'sign it with the key of a signer that is in it, or restore a backup that verifies'
          : 'restart Cisco Tftp on its node; if that does not help, the key is not the one of the certificate: restore the backup whole',
    },
  ];
}

function checkCtl(cluster: Cluster, { mode, emptied, tokens }: CheckedCtl): readonly ClusterFinding[] {
  const { release, securityMode } = cluster;
  const findings: ClusterFinding[] = [];
  if (mode === 'token' && tokens < 2) {
    findings.push({
      severity: 'warning',
      check: 'A5',
      message: 'one token is in it: if that is lost, no further list can be signed that phones accept',
      hint: 'add a second token with "ctl add-token"',
    });
  }
  if (mode === 'token' && tokensEnd(release)) {
    findings.push({
      severity: 'critical',
      check: 'A14',
      message: `tokens sign it, and release ${printable(release.text)} knows none: hardware tokens end with 14SU3`,
      hint: 'go tokenless with "cluster set mixed-mode"',
    });
  }
  if (mode === 'tokenless' && !isAtLeast(release, '10.0')) {
    findings.push({
      severity: 'critical',
      check: 'A8',
      message: `no token is in it, and the CTL client of release ${printable(release.text)} could not change it`,
      hint: 'build a list with tokens, or correct the release in the cluster file',
    });
  }
  if (emptied === (securityMode === 'mixed')) {
    findings.push({
      severity: emptied ? 'critical' : 'warning',
      check: 'security-mode',
      message: `its servers are ${emptied ? '' : 'not '}emptied, and the cluster file says ${securityMode}`,
      hint: `run "cluster set ${securityMode}-mode", or correct securityMode in the cluster file`,
    });
  }
  return findings;
}

/** Whether the certificate that signed a list is one that the cluster still has: A6, A7. */
function checkSigner(
  cluster: Cluster,
  checked: CheckedCtl | CheckedItl,
  verification: Verification,
): readonly ClusterFinding[] {
  if (!verification.verified || (checked.kind === 'CTL' && checked.mode === 'token')) return [];
  const { signer } = verification;
  const signers = signersOf(cluster, checked.kind);
  if (signers.some((certificate) => recordHolds(signer, certificate.der))) return [];
  const name = printable(signer.subjectName ?? 'a certificate without a name');
  const message = `is signed by ${name}, with a certificate that the cluster file does not name for a signer`;
  if (checked.kind === 'ITL') {
    const hint = 'if the certificate was renewed, restart Cisco Tftp on its node; else add it to the cluster file';
    return [{ severity: 'critical', check: 'list-signer', message, hint }];
  }
  const known = signers.some((certificate) => checked.list.records.some((record) => isSigner(record, certificate)));
  if (!known && signers.length > 1) {
    return [
      {
        severity: 'critical',
        check: 'A7',
        message: `${message}; CallManager and ITLRecovery were both renewed before the CTL was updated`,
        hint: 'restore one of the two certificates with its key, then "cluster update-ctl"; else the CTL must be deleted on every phone by hand',
      },
    ];
  }
  const hint = 'if the certificate was renewed, run "cluster update-ctl" while TVS can vouch for the new one';
  return [{ severity: 'warning', check: 'A6', message, hint }];
}

/** Who may sign: CTLs the publisher's CallManager and, from 12.0, its ITLRecovery; ITLs those of any node. */
function signersOf(cluster: Cluster, kind: 'CTL' | 'ITL'): readonly Certificate[] {
  const [publisher] = cluster.nodes;
  const nodes = kind === 'ITL' ? cluster.nodes : cluster.nodes.slice(0, 1);
  const withRecovery = kind === 'ITL' || listSignerName(cluster.release) === 'ITLRecovery';
  return [
    ...nodes.map(({ certificates }) => certificates.CallManager),
    withRecovery ? publisher?.certificates.ITLRecovery : undefined,
  ].filter((certificate) => certificate !== undefined);
}

/** Whether a record makes a certificate a signer of lists. */
export function isSigner(record: TrustListRecord, certificate: Certificate): boolean {
  return record.function === recordFunction.sast && recordHolds(record, certificate.der);
}

function checkCertificates(cluster: Cluster, checked: CheckedCtl | CheckedItl): readonly ClusterFinding[] {
  const wanted = checked.kind === 'CTL' ? wantedInCtl(cluster, checked) : wantedInItl(cluster, checked.list);
  if (wanted === undefined) {
    return [
      {
        severity: 'critical',
        check: 'list-certificate',
        message: 'holds the present CallManager certificate of no node that runs TFTP',
        hint: 'restart Cisco Tftp on its node after a certificate was renewed, and look at the file it serves then',
      },
    ];
  }
  return wanted.flatMap(({ node, name, roles }) => {
    const certificate = node.certificates[name];
    if (certificate === undefined || holds(checked.list, certificate, roles)) return [];
    return [missing(checked, node.name, name, certificate)];
  });
}

function holds(list: TrustList, certificate: Certificate, roles: readonly number[]): boolean {
  return list.records.some((record) => roles.includes(record.function) && recordHolds(record, certificate.der));
}

function missing(
  checked: CheckedCtl | CheckedItl,
  node: string,
  name: CertificateName,
  { notBefore }: Certificate,
): ClusterFinding {
  const made = new Date(checked.list.header.timestamp * 1000);
  const hint = checked.kind === 'CTL' ? updateHints[checked.mode] : 'restart Cisco Tftp on the node of this ITL';
  const age = made < notBefore ? `is older (${formatTime(made)}) than` : 'does not hold';
  const since = made < notBefore ? `, which is valid from ${formatTime(notBefore)}` : '';
  return {
    severity: 'critical',
    check: 'list-certificate',
    node,
    certificate: name,
    message: `${age} the present ${name} certificate of ${node}${since}`,
    hint,
  };
}

function wantedInCtl({ nodes, release }: Cluster, { mode, emptied }: CheckedCtl): readonly Wanted[] {
  const servers = nodes.flatMap((node): Wanted[] => [
    ...(!emptied && (runs(node, 'CallManager') || runs(node, 'TFTP'))
      ? [{ node, name: 'CallManager' as const, roles: serverRoles }]
      : []),
    ...(runs(node, 'CAPF') ? [{ node, name: 'CAPF' as const, roles: [recordFunction.capf] }] : []),
  ]);
  const [publisher] = nodes;
  if (mode === 'token' || publisher === undefined) return servers;
  const names: ReadonlySet<CertificateName> = new Set(['CallManager', listSignerName(release)]);
  const signers = [...names].map((name) => ({ node: publisher, name, roles: [recordFunction.sast] }));
  const isTold = (wanted: Wanted): boolean =>
    servers.some(({ node, name }) => node === wanted.node && name === wanted.name);
  // Of a certificate that is to be there twice, one is told of.
  return [...servers, ...signers.filter((wanted) => !isTold(wanted))];
}

/** What the ITL of the node whose CallManager it holds must have; `undefined` when it is no node's. */
function wantedInItl(cluster: Cluster, list: TrustList): readonly Wanted[] | undefined {
  const owner = nodesWith(cluster, 'TFTP').find((node) => {
    const certificate = node.certificates.CallManager;
    return certificate !== undefined && holds(list, certificate, serverRoles);
  });
  const [publisher] = cluster.nodes;
  if (owner === undefined || publisher === undefined) return undefined;
  return [
    ...nodesWith(cluster, 'CAPF')
      .slice(0, 1)
      .map((node) => ({ node, name: 'CAPF' as const, roles: [recordFunction.capf] })),
    ...nodesWith(cluster, 'TVS').map((node) => ({ node, name: 'TVS' as const, roles: [recordFunction.tvs] })),
    ...(isAtLeast(cluster.release, '10.0')
      ? [{ node: publisher, name: 'ITLRecovery' as const, roles: [recordFunction.sast] }]
      : []),
  ];
}

function runs(node: ClusterNode, service: ClusterNode['services'][number]): boolean {
  return node.services.includes(service);
}

/** Whether two certificates are the same, byte for byte. */
export function isSameCertificate(left: Certificate, right: Certificate): boolean {
  return equalBytes(left.der, right.der);
}
