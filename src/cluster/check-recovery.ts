import { printable } from '../bytes/index.js';
import { commonName, type Certificate } from '../x509/index.js';
import type { Cluster, ClusterNode } from './cluster.js';
import type { ClusterFinding } from './finding.js';
import { isAtLeast, type Release } from './release.js';
import { certificateSha1 } from './renew.js';
import { formatTime } from './time.js';

/** What an administrator must know who renews the ITLRecovery certificate. */
export function recoveryRenewal(release: Release): string {
  const years = isAtLeast(release, '12.0') ? 'twenty' : 'five';
  return `release ${printable(release.text)} gives it ${years} years; bring the lists up to date before CallManager is renewed too (A7), and back the new key up with "itl backup-key"`;
}

/** Whether the ITLRecovery key will be there when it is needed. */
export function checkRecovery({ nodes, recoveryBackup, release }: Cluster): readonly ClusterFinding[] {
  const [publisher] = nodes;
  const certificate = publisher?.certificates.ITLRecovery;
  if (publisher === undefined || certificate === undefined) {
    if (publisher === undefined || release.major < 10) return [];
    const message = `${publisher.name} has no ITLRecovery certificate in the cluster file, so nobody can tell whether its key is backed up`;
    const hint = 'download it, and name it below certificates of the first node';
    return [{ severity: 'warning', check: 'recovery-backup', node: publisher.name, message, hint }];
  }
  const base = { node: publisher.name, certificate: 'ITLRecovery' } as const;
  return [
    ...checkBackup(publisher, certificate, recoveryBackup).map((finding) => ({ ...finding, ...base })),
    ...checkRecoveryName(certificate, publisher.name).map((finding) => ({ ...finding, ...base })),
  ];
}

function checkBackup(
  publisher: ClusterNode,
  certificate: Certificate,
  backup: Cluster['recoveryBackup'],
): readonly ClusterFinding[] {
  const check = 'recovery-backup';
  const sha1 = certificateSha1(certificate);
  const hint = howToBackUp(publisher, sha1);
  if (backup === undefined) {
    const message =
      'no backup of its key is noted: without one, phones that reject all lists need their lists deleted by hand';
    return [{ severity: 'warning', check, message, hint }];
  }
  const when = formatTime(backup.time);
  if (backup.sha1.toLowerCase() !== sha1) {
    const message = `the backup of ${when} is of another certificate (SHA-1 ${printable(backup.sha1)})`;
    return [{ severity: 'warning', check, message, hint }];
  }
  const { passwordChanged } = backup;
  if (passwordChanged !== undefined && passwordChanged >= backup.time) {
    const message = `the backup of ${when} opens with the old password: it was changed on ${formatTime(passwordChanged)}`;
    return [{ severity: 'warning', check, message, hint }];
  }
  return [{ severity: 'ok', check, message: `its key was backed up on ${when}` }];
}

/** Where a key is decides how it is backed up. */
function howToBackUp({ keys }: ClusterNode, sha1: string): string {
  const note = `note it in the cluster file as recoveryBackup with its time and sha1: ${sha1}`;
  const key = keys.ITLRecovery;
  if (key?.kind === 'token')
    return `its key is on a token and does not leave it: keep it on a second one, then ${note}`;
  if (key?.kind === 'file') return 'write one with "itl backup-key --cluster FILE --out FOLDER", which notes it too';
  return `on the cluster: file get tftp ITLRecovery.p12; then ${note}`;
}

/** Clusters keep the certificate, and the old host name in it, when a host is renamed. */
function checkRecoveryName({ subject }: Certificate, host: string): readonly ClusterFinding[] {
  const named = /^ITLRECOVERY_(.+)$/i.exec(commonName(subject) ?? '')?.[1];
  const short = (name: string): string => name.toLowerCase().split('.', 1)[0] ?? '';
  if (named === undefined || short(named) === short(host)) return [];
  const message = `is named after ${printable(named)}, and the host is ${host}: that is right and must stay so, clusters keep it when a host is renamed`;
  return [{ severity: 'ok', check: 'recovery-name', message }];
}
