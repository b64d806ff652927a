import type { CertificateName } from './cluster.js';

/** How bad a finding is. `ok` only says something. */
export type Severity = 'ok' | 'warning' | 'critical';

/** What a finding is about: the number of a check in phone-rules.md, or a word where the rules have none. */
export type ClusterCheckName =
  | 'A5'
  | 'A6'
  | 'A7'
  | 'A8'
  | 'A9'
  | 'A14'
  | 'expiry'
  | 'key-size'
  | 'key-file'
  | 'recovery-backup'
  | 'recovery-name'
  | 'security-mode'
  | 'list'
  | 'list-format'
  | 'list-certificate'
  | 'list-signer';

/** One thing that {@link checkCluster} found. */
export interface ClusterFinding {
  readonly severity: Severity;
  readonly check: ClusterCheckName;
  readonly node?: string;
  /** The certificate of the node, or the trust store. */
  readonly certificate?: CertificateName | (string & {});
  /** The path of the list. */
  readonly list?: string;
  readonly message: string;
  /** What to do. */
  readonly hint?: string;
}

const severities: readonly Severity[] = ['ok', 'warning', 'critical'];

/** The worst of several findings; `ok` when there are none. */
export function worstSeverity(findings: readonly ClusterFinding[]): Severity {
  return severities[Math.max(0, ...findings.map(({ severity }) => severities.indexOf(severity)))] ?? 'ok';
}

/** Findings with the worst first, otherwise in their order. */
export function worstFirst(findings: readonly ClusterFinding[]): readonly ClusterFinding[] {
  return findings.toSorted((left, right) => severities.indexOf(right.severity) - severities.indexOf(left.severity));
}
