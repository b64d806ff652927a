import { printable } from '../../bytes/index.js';
import {
  certificateNames,
  checkCluster,
  loadCluster,
  loadPrivateKey,
  worstFirst,
  worstSeverity,
  type CheckedKey,
  type Cluster,
  type ClusterFinding,
} from '../../cluster/index.js';
import { EtokenBridgeError, InputError, ProofError } from '../../errors.js';
import { exitCode } from '../exit-code.js';
import type { Output, OutputOptions } from '../output.js';
import { readPassword } from '../password.js';
import { examineList } from './cluster-lists.js';
import { presentCtl } from './cluster-options.js';

/** The options of `cluster check`. */
export interface CheckOptions extends OutputOptions {
  readonly ctl?: string;
  readonly itl?: readonly string[];
  readonly days: string;
  readonly keyPasswordFile?: string;
}

/** `cluster check`: 0 when nothing is worse than ok, else 1. */
export async function check(path: string, options: CheckOptions, output: Output): Promise<number> {
  const days = parseDays(options.days);
  const cluster = await loadCluster(path);
  const ctl = presentCtl({ cluster: path, ctl: options.ctl });
  const lists = [
    ...(ctl === undefined ? [] : [await examineList(ctl, 'CTL')]),
    ...(await Promise.all((options.itl ?? []).map((itl) => examineList(itl, 'ITL')))),
  ];
  const keys = await examineKeys(cluster, await readPassword(options.keyPasswordFile));
  const found = checkCluster({ cluster, now: new Date(), days, keys, lists });
  const findings = worstFirst([...found, ...(ctl === undefined ? noteNoCtl(cluster) : [])]);
  const status = worstSeverity(findings);
  const document = { path, status, findings: findings.map(describe) };
  output.result(format(path, findings), document);
  return status === 'ok' ? exitCode.done : exitCode.no;
}

/** @throws InputError `usage` */
function parseDays(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new InputError('usage', `--days ${text} is no number of days`, { hint: 'write e.g. --days 60' });
}

async function examineKeys(cluster: Cluster, password: string | undefined): Promise<readonly CheckedKey[]> {
  const keys: CheckedKey[] = [];
  for (const { name: node, certificates, keys: references } of cluster.nodes) {
    for (const name of certificateNames) {
      const [certificate, reference] = [certificates[name], references[name]];
      if (certificate === undefined || reference === undefined) continue;
      const base = { node, certificate: name };
      if (reference.kind === 'token') {
        keys.push({ ...base, state: 'unread', reason: 'its private key is on a token, which was not looked at' });
        continue;
      }
      try {
        await loadPrivateKey(reference, certificate, password);
        keys.push({ ...base, state: 'fits' });
      } catch (error) {
        keys.push({ ...base, ...stateOf(error, password !== undefined) });
      }
    }
  }
  return keys;
}

function stateOf(error: unknown, isPasswordGiven: boolean): Pick<CheckedKey, 'state' | 'reason'> {
  if (!(error instanceof EtokenBridgeError)) throw error;
  const reason = printable(error.message);
  if (error instanceof ProofError) return { state: 'other', reason };
  if (error.code === 'bad-password' && isPasswordGiven) return { state: 'locked', reason };
  if (error.code === 'bad-password') {
    return { state: 'unread', reason: 'its private key is encrypted, and was not looked at without its password' };
  }
  return { state: 'unreadable', reason };
}

function noteNoCtl({ securityMode }: Cluster): readonly ClusterFinding[] {
  if (securityMode !== 'mixed') return [];
  const message = 'no CTL was looked at, and the cluster is mixed';
  return [{ severity: 'ok', check: 'list', message, hint: 'give it with --ctl FILE' }];
}

/** A finding with all keys, so that each is there in every finding. */
function describe({ severity, check: name, node, certificate, list, message, hint }: ClusterFinding): object {
  return {
    severity,
    check: name,
    node: node ?? null,
    certificate: certificate ?? null,
    list: list ?? null,
    message,
    hint: hint ?? null,
  };
}

function format(path: string, findings: readonly ClusterFinding[]): string {
  const count = (severity: string): number => findings.filter((finding) => finding.severity === severity).length;
  const [criticals, warnings] = [count('critical'), count('warning')];
  const counts = `${String(criticals)} critical, ${String(warnings)} ${warnings === 1 ? 'warning' : 'warnings'}`;
  const lines = findings.flatMap((finding) => {
    const { severity, check: name, message, hint } = finding;
    const first = `${severity.padEnd(8)}  ${placeOf(finding)}${message} (${name})`;
    return hint === undefined ? [first] : [first, `          ${hint}`];
  });
  const status = worstSeverity(findings).toUpperCase();
  return `${status}: ${printable(path)}: ${counts}\n${lines.map((line) => `${printable(line)}\n`).join('')}`;
}

function placeOf({ node, certificate, list }: ClusterFinding): string {
  const own = [node, certificate].filter((word) => word !== undefined).join(' ');
  // A list that lacks a certificate says itself which.
  const words = list ?? own;
  return words === '' ? '' : `${words}: `;
}
