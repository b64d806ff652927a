import { InputError } from '../errors.js';
import type { Certificate } from '../x509/index.js';
import type { Release } from './release.js';

/** The services of a node that trust lists know about. */
export type Service = 'CallManager' | 'TFTP' | 'CAPF' | 'TVS';

/** The certificates of a node that trust lists carry, by the names the cluster gives them. */
export type CertificateName = 'CallManager' | 'CAPF' | 'TVS' | 'ITLRecovery';

/** Whether the cluster encrypts signalling and media, and so has a CTL. */
export type SecurityMode = 'mixed' | 'non-secure';

/** Where a private key is: in a file, or on a token that a PKCS#11 URI names (RFC 7512). */
export type KeyReference =
  { readonly kind: 'file'; readonly path: string } | { readonly kind: 'token'; readonly uri: string };

/** When certificates of a node were changed, as the cluster file notes it for the five-minute rule (A11). */
export type CertificateChanges = Readonly<Partial<Record<CertificateName, Date>>>;

/** A backup of the ITLRecovery key, as the cluster file notes it. */
export interface RecoveryBackup {
  readonly time: Date;
  /** The SHA-1 of the ITLRecovery certificate that it is of, in lower-case hex. */
  readonly sha1: string;
  /** When the password that opens such backups was changed last: one from before opens with the old password. */
  readonly passwordChanged?: Date | undefined;
}

/** One server of the cluster. */
export interface ClusterNode {
  /** The host name, as it stands in the records of trust lists. */
  readonly name: string;
  /** An IPv4 address in dotted form, or an IPv6 address. */
  readonly address: string;
  readonly services: readonly Service[];
  readonly certificates: Readonly<Partial<Record<CertificateName, Certificate>>>;
  readonly keys: Readonly<Partial<Record<CertificateName, KeyReference>>>;
  readonly changed?: CertificateChanges | undefined;
}

/** A cluster with all its certificates read, and none of its private keys. */
export interface Cluster {
  readonly release: Release;
  readonly securityMode: SecurityMode;
  /** The first is the publisher. */
  readonly nodes: readonly ClusterNode[];
  /** Certificates by the name of the trust store, e.g. `Phone-SAST-trust`. A store that is not named has no entry. */
  readonly trustStores: Readonly<Record<string, readonly Certificate[]>>;
  /** The last backup of the publisher's ITLRecovery key that is known of. */
  readonly recoveryBackup?: RecoveryBackup | undefined;
}

export const services: readonly Service[] = ['CallManager', 'TFTP', 'CAPF', 'TVS'];
export const certificateNames: readonly CertificateName[] = ['CallManager', 'CAPF', 'TVS', 'ITLRecovery'];
export const securityModes: readonly SecurityMode[] = ['mixed', 'non-secure'];

/** The trust stores that a cluster keeps and that its certificate page lists. */
export const trustStoreNames: readonly string[] = [
  'CallManager-trust',
  'CAPF-trust',
  'directory-trust',
  'ipsec-trust',
  'Phone-CTL-trust',
  'Phone-SAST-trust',
  'Phone-trust',
  'Phone-VPN-trust',
  'tomcat-trust',
  'TVS-trust',
];

/** The certificate that a service works with: TFTP signs with the CallManager certificate. */
export const certificateOfService: Readonly<Record<Service, CertificateName>> = {
  CallManager: 'CallManager',
  TFTP: 'CallManager',
  CAPF: 'CAPF',
  TVS: 'TVS',
};

/**
 * A certificate that a node must have.
 *
 * @throws InputError `cluster-file` when the cluster file names none.
 */
export function nodeCertificate(node: ClusterNode, name: CertificateName): Certificate {
  const certificate = node.certificates[name];
  if (certificate !== undefined) return certificate;
  throw new InputError('cluster-file', `node ${node.name} has no ${name} certificate in the cluster file`, {
    hint: `add it to the node's certificates, e.g. "${name}: certificates/${node.name}-${name}.pem"`,
  });
}

/**
 * The certificates that every TVS server of a cluster was given, by trust store: those that were uploaded, and the
 * nodes' own, which count as uploaded to the stores that have their names.
 */
export function uploadedCertificates(cluster: Cluster): Readonly<Record<string, readonly Certificate[]>> {
  const own = (['CallManager', 'CAPF', 'TVS'] as const).map((name) => {
    const certificates = cluster.nodes.map((node) => node.certificates[name]).filter((one) => one !== undefined);
    return [name, [...(cluster.trustStores[name] ?? []), ...certificates]] as const;
  });
  return { ...cluster.trustStores, ...Object.fromEntries(own) };
}

/** The nodes that run a service, in the order of the cluster file. */
export function nodesWith(cluster: Cluster, service: Service): readonly ClusterNode[] {
  return cluster.nodes.filter(({ services: running }) => running.includes(service));
}

/**
 * The publisher: the first node.
 *
 * @throws InputError `cluster-file` when the cluster has no nodes.
 */
export function publisherOf(cluster: Cluster): ClusterNode {
  const [publisher] = cluster.nodes;
  if (publisher === undefined) {
    throw new InputError('cluster-file', 'the cluster has no nodes, so it has no publisher', {
      hint: 'the first node of the cluster file is the publisher: add it',
    });
  }
  return publisher;
}
