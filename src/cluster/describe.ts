import { createHash } from 'node:crypto';
import { formatName, type Certificate } from '../x509/index.js';
import type { CertificateName, Cluster, ClusterNode, KeyReference, RecoveryBackup } from './cluster.js';
import { printable } from '../bytes/index.js';
import { formatTime } from './time.js';

/** How long before its end a certificate is said to expire soon, in days. */
const soonDays = 60;

/** Where a certificate stands in its life at a moment. */
export type ValidityState = 'not-yet-valid' | 'valid' | 'expires-soon' | 'expired';

/** A certificate as `cluster show --json` prints it. */
export interface CertificateDescription {
  readonly subject: string;
  readonly issuer: string;
  readonly selfSigned: boolean;
  /** The serial's bytes in upper-case hex, joined by colons, as trust lists are printed. */
  readonly serialNumber: string;
  readonly keyType: string;
  readonly keyBits: number;
  /** ISO 8601, UTC. */
  readonly notBefore: string;
  /** ISO 8601, UTC. */
  readonly notAfter: string;
  /** Only when the moment it is about was given. */
  readonly state?: ValidityState;
  /** The digest of the DER certificate in upper-case hex. */
  readonly sha1: string;
}

/** A node as `cluster show --json` prints it. */
export interface NodeDescription {
  readonly name: string;
  readonly address: string;
  readonly publisher: boolean;
  readonly services: readonly string[];
  readonly certificates: Readonly<Partial<Record<CertificateName, CertificateDescription>>>;
  readonly keys: Readonly<Partial<Record<CertificateName, KeyReference>>>;
  /** When certificates were changed, as the cluster file notes it: ISO 8601, UTC. */
  readonly changed: Readonly<Partial<Record<CertificateName, string>>>;
}

/** The last backup of the ITLRecovery key as `cluster show --json` prints it. */
export interface RecoveryBackupDescription {
  /** ISO 8601, UTC. */
  readonly time: string;
  /** Of the ITLRecovery certificate that it is of, in upper-case hex. */
  readonly sha1: string;
  /** When the password of backups was changed last, ISO 8601, UTC; `null` when no change is noted. */
  readonly passwordChanged: string | null;
}

/** A cluster as `cluster show --json` prints it: plain JSON with stable keys. */
export interface ClusterDescription {
  readonly release: string;
  readonly securityMode: string;
  readonly nodes: readonly NodeDescription[];
  readonly trustStores: Readonly<Record<string, readonly CertificateDescription[]>>;
  /** `null` when the cluster file notes none. */
  readonly recoveryBackup: RecoveryBackupDescription | null;
}

/** Whether a certificate is valid at a moment, and for how long yet. Soon is within 60 days. */
export function validityState(certificate: Certificate, now: Date): ValidityState {
  if (now < certificate.notBefore) return 'not-yet-valid';
  if (now > certificate.notAfter) return 'expired';
  return daysLeft(certificate, now) < soonDays ? 'expires-soon' : 'valid';
}

/**
 * Everything `cluster show` knows of a cluster, as plain JSON.
 *
 * @param now the moment that the `state` of each certificate is about; without it there is no `state`.
 */
export function describeCluster(cluster: Cluster, now?: Date): ClusterDescription {
  return {
    release: cluster.release.text,
    securityMode: cluster.securityMode,
    nodes: cluster.nodes.map((node, index) => ({
      name: node.name,
      address: node.address,
      publisher: index === 0,
      services: node.services,
      certificates: Object.fromEntries(
        Object.entries(node.certificates).map(([name, certificate]) => [name, describeCertificate(certificate, now)]),
      ),
      keys: node.keys,
      changed: Object.fromEntries(changesOf(node)),
    })),
    trustStores: Object.fromEntries(
      Object.entries(cluster.trustStores).map(([store, certificates]) => [
        store,
        certificates.map((certificate) => describeCertificate(certificate, now)),
      ]),
    ),
    recoveryBackup: cluster.recoveryBackup === undefined ? null : describeBackup(cluster.recoveryBackup),
  };
}

function describeBackup({ time, sha1, passwordChanged }: RecoveryBackup): RecoveryBackupDescription {
  return {
    time: formatTime(time),
    sha1: sha1.toUpperCase(),
    passwordChanged: passwordChanged === undefined ? null : formatTime(passwordChanged),
  };
}

/** The certificates that the cluster file notes a change of, and when. */
function changesOf({ changed = {} }: ClusterNode): readonly (readonly [string, string])[] {
  return Object.entries(changed).map(([name, time]) => [name, formatTime(time)] as const);
}

function describeCertificate(certificate: Certificate, now?: Date): CertificateDescription {
  const subject = formatName(certificate.subject);
  const issuer = formatName(certificate.issuer);
  return {
    subject,
    issuer,
    selfSigned: subject === issuer,
    serialNumber: hex(certificate.serialNumber).match(/../g)?.join(':') ?? '',
    keyType: certificate.keyType,
    keyBits: certificate.keyBits,
    notBefore: formatTime(certificate.notBefore),
    notAfter: formatTime(certificate.notAfter),
    ...(now === undefined ? {} : { state: validityState(certificate, now) }),
    sha1: hex(createHash('sha1').update(certificate.der).digest()),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').toUpperCase();
}

function daysLeft(certificate: Certificate, now: Date): number {
  return Math.floor((certificate.notAfter.getTime() - now.getTime()) / 86_400_000);
}

/**
 * The text of `cluster show`: nodes, services, and each certificate with its subject, serial, key, end and SHA-1; with
 * what the cluster file notes of changes and of the backup of the recovery key.
 */
export function formatCluster(cluster: Cluster, now: Date): string {
  const lines = [
    `Release:        ${cluster.release.text}`,
    `Security mode:  ${cluster.securityMode}`,
    `Nodes:          ${cluster.nodes.length}`,
    ...(cluster.recoveryBackup === undefined ? [] : [formatBackup(describeBackup(cluster.recoveryBackup))]),
    ...cluster.nodes.flatMap((node, index) => ['', ...formatNode(node, index, now)]),
    ...Object.entries(cluster.trustStores).flatMap(([store, certificates]) => [
      '',
      `Trust store ${store}: ${formatCount(certificates.length)}`,
      ...certificates.flatMap((certificate) => formatCertificate(certificate, now)),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

function formatBackup({ time, sha1, passwordChanged }: RecoveryBackupDescription): string {
  const password = passwordChanged === null ? '' : `, password changed ${passwordChanged}`;
  return `Recovery key:   backed up ${time} (ITLRecovery SHA-1 ${sha1})${password}`;
}

function formatCount(count: number): string {
  return count === 1 ? '1 certificate' : `${count === 0 ? 'no' : count} certificates`;
}

function formatNode(node: ClusterNode, index: number, now: Date): string[] {
  const names = Object.keys(node.certificates) as CertificateName[];
  const changes = changesOf(node).map(([name, time]) => `${name} ${time}`);
  return [
    `Node ${index + 1}: ${node.name}${index === 0 ? ' (publisher)' : ''}`,
    `  Address:      ${node.address}`,
    `  Services:     ${node.services.length === 0 ? 'none' : node.services.join(', ')}`,
    ...(changes.length === 0 ? [] : [`  Changed:      ${changes.join(', ')}`]),
    ...names.flatMap((name) => {
      const certificate = node.certificates[name];
      const key = node.keys[name];
      return certificate === undefined
        ? []
        : [`  Certificate ${name}`, ...formatCertificate(certificate, now), ...formatKey(key)];
    }),
  ];
}

function formatCertificate(certificate: Certificate, now: Date): string[] {
  const { subject, issuer, selfSigned, serialNumber, keyType, keyBits, notAfter, sha1 } =
    describeCertificate(certificate);
  const key = keyType === 'other' ? 'neither RSA nor EC' : `${keyType.toUpperCase()}, ${keyBits} bits`;
  return [
    `    Subject:      ${printable(subject)}`,
    `    Issuer:       ${selfSigned ? 'itself' : printable(issuer)}`,
    `    Serial:       ${serialNumber}`,
    `    Key:          ${key}`,
    `    Valid until:  ${notAfter}${formatState(certificate, now)}`,
    `    SHA-1:        ${sha1}`,
  ];
}

function formatState(certificate: Certificate, now: Date): string {
  const days = daysLeft(certificate, now);
  const words: Readonly<Record<ValidityState, string>> = {
    valid: '',
    expired: '  EXPIRED',
    'expires-soon': `  expires in ${days === 1 ? '1 day' : `${days} days`}`,
    'not-yet-valid': `  not valid before ${formatTime(certificate.notBefore)}`,
  };
  return words[validityState(certificate, now)];
}

function formatKey(key: KeyReference | undefined): string[] {
  if (key === undefined) return ['    Private key:  not in the cluster file'];
  return [`    Private key:  ${printable(key.kind === 'file' ? key.path : key.uri)}`];
}
