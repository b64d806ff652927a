import { printable } from '../bytes/index.js';
import { formatName, type Certificate } from '../x509/index.js';
import { checkList, isSameCertificate, type CheckedList } from './check-lists.js';
import { checkRecovery, recoveryRenewal } from './check-recovery.js';
import { certificateNames, type CertificateName, type Cluster } from './cluster.js';
import type { ClusterFinding, Severity } from './finding.js';
import { formatTime } from './time.js';

/** What is known of a private key that the cluster file names. */
export interface CheckedKey {
  readonly node: string;
  readonly certificate: CertificateName;
  /**
   * Whether it is the one of the certificate. `unread`: it is encrypted or on a token, and nobody looked. `locked`: it is
   * encrypted, and the password that was given does not open it.
   */
  readonly state: 'fits' | 'other' | 'unreadable' | 'unread' | 'locked';
  /** Why it could not be read. */
  readonly reason?: string;
}

/** What {@link checkCluster} looks at. */
export interface ClusterCheckRequest {
  readonly cluster: Cluster;
  readonly now: Date;
  /** How long before its end a certificate is warned of, in days: 90 unless told. */
  readonly days?: number;
  readonly keys?: readonly CheckedKey[];
  readonly lists?: readonly CheckedList[];
}

/** The certificates that sign lists and configuration files. */
const signing: readonly CertificateName[] = ['CallManager', 'ITLRecovery'];

/** The sizes of RSA keys that SIGNATUREMODULUS has a number for, in bits. */
const signingSizes: readonly number[] = [512, 1024, 2048, 4096];

/** Within so many days an end is near. */
const nearDays = 30;

/**
 * Looks a cluster through for what will lock phones out, now or later: certificates that expire, keys that do not fit,
 * an ITLRecovery key without a backup, lists that are behind. What is as it should be is told where that says something.
 *
 * @returns the findings, in the order of the cluster file, then of the lists.
 */
export function checkCluster(request: ClusterCheckRequest): readonly ClusterFinding[] {
  const { cluster, lists = [], keys = [] } = request;
  return [
    ...checkExpiry(request),
    ...checkKeySizes(cluster),
    ...keys.flatMap(checkKey),
    ...checkRecovery(cluster),
    ...lists.flatMap((list) => checkList(cluster, list)),
  ];
}

interface Owned {
  readonly node: string;
  readonly name: CertificateName;
  readonly certificate: Certificate;
}

function ownCertificates({ nodes }: Cluster): readonly Owned[] {
  return nodes.flatMap((node) =>
    certificateNames.flatMap((name) => {
      const certificate = node.certificates[name];
      return certificate === undefined ? [] : [{ node: node.name, name, certificate }];
    }),
  );
}

function checkExpiry({ cluster, now, days = 90 }: ClusterCheckRequest): readonly ClusterFinding[] {
  const own = ownCertificates(cluster);
  const ofNodes = own.flatMap(({ node, name, certificate }) => {
    const ways = `renew it with "cluster renew ${name} --node ${node}", one certificate at a time`;
    const renewing = name === 'ITLRecovery' ? `${ways}; ${recoveryRenewal(cluster.release)}` : ways;
    return describeEnd(certificate, now, days, 'critical', renewing).map((finding) => ({
      ...finding,
      node,
      certificate: name,
    }));
  });
  const ofStores = Object.entries(cluster.trustStores).flatMap(([store, certificates]) =>
    certificates
      .filter((certificate) => !own.some((one) => isSameCertificate(one.certificate, certificate)))
      .flatMap((certificate) => {
        const name = printable(formatName(certificate.subject));
        const hint = 'upload the certificate that follows it, or take it out of the trust store';
        return describeEnd(certificate, now, days, 'warning', hint).map((finding) => ({
          ...finding,
          certificate: store,
          message: `${name} ${finding.message}`,
        }));
      }),
  );
  return [...ofNodes, ...ofStores];
}

function describeEnd(
  { notBefore, notAfter }: Certificate,
  now: Date,
  days: number,
  expired: Severity,
  hint: string,
): readonly ClusterFinding[] {
  if (now > notAfter) {
    return [{ severity: expired, check: 'expiry', message: `expired on ${formatTime(notAfter)}`, hint }];
  }
  if (now < notBefore) {
    const message = `is not valid before ${formatTime(notBefore)}`;
    return [{ severity: 'warning', check: 'expiry', message, hint: 'check the clock, or the certificate' }];
  }
  const left = (notAfter.getTime() - now.getTime()) / 86_400_000;
  if (left >= days) return [];
  const whole = Math.floor(left);
  const message = `expires in ${whole === 1 ? '1 day' : `${whole} days`}, on ${formatTime(notAfter)}`;
  return [{ severity: 'warning', check: 'expiry', message, hint: left < nearDays ? `now: ${hint}` : hint }];
}

function checkKeySizes(cluster: Cluster): readonly ClusterFinding[] {
  const own = ownCertificates(cluster);
  const largest = Math.max(0, ...own.filter(isRsa).map(({ certificate }) => certificate.keyBits));
  return own.flatMap(({ node, name, certificate }): ClusterFinding[] => {
    const base = { check: 'key-size', node, certificate: name } as const;
    const { keyBits } = certificate;
    const signs = signing.includes(name);
    if (certificate.keyType !== 'rsa') {
      const message = `has no RSA key${signs ? ', and phones verify nothing else' : ''}`;
      const hint = `name the RSA certificate of ${name}, not the ECDSA one`;
      return [{ ...base, severity: signs ? 'critical' : 'warning', message, hint }];
    }
    if (signs && !signingSizes.includes(keyBits)) {
      const message = `has a key of ${keyBits} bits, for which SIGNATUREMODULUS has no number: it cannot sign lists or files`;
      return [{ ...base, severity: 'critical', message, hint: 'use a key of 2048 or 4096 bits' }];
    }
    if (keyBits < 2048 && largest >= 2048) {
      const message = `has a key of ${keyBits} bits, beside others of ${largest}`;
      const also = name === 'ITLRecovery' ? `; ${recoveryRenewal(cluster.release)}` : '';
      const hint = `renew it on the cluster with a key of 2048 bits${also}`;
      return [{ ...base, severity: 'warning', message, hint }];
    }
    return [];
  });
}

function isRsa({ certificate }: Owned): boolean {
  return certificate.keyType === 'rsa';
}

function checkKey({ node, certificate, state, reason = '' }: CheckedKey): readonly ClusterFinding[] {
  const base = { check: 'key-file', node, certificate } as const;
  if (state === 'other') {
    const message = 'the private key that is named is not the one of the certificate: what it signs is rejected (A9)';
    const hint = `put the key and the certificate that belong together back from backups/, or run "cluster renew ${certificate} --node ${node}" again`;
    return [{ ...base, severity: 'critical', message, hint }];
  }
  if (state === 'unreadable') {
    const hint = 'correct the path in the cluster file, or put the key there';
    return [{ ...base, severity: 'warning', message: reason, hint }];
  }
  if (state === 'locked') {
    const message = 'the password that was given does not open its private key: whether it fits was not looked at';
    return [{ ...base, severity: 'warning', message, hint: 'give its own password with --key-password-file' }];
  }
  return state === 'unread' ? [{ ...base, severity: 'ok', message: reason }] : [];
}
