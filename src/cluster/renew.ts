import { createHash, X509Certificate } from 'node:crypto';
import { equalBytes, printable } from '../bytes/index.js';
import { InputError, RefusalError } from '../errors.js';
import { formatName, type Certificate } from '../x509/index.js';
import {
  certificateNames,
  nodeCertificate,
  type CertificateChanges,
  type CertificateName,
  type Cluster,
  type ClusterNode,
} from './cluster.js';
import { quoted } from './quoted.js';
import { issueSelfSigned, systemRandom, type KeyAndCertificate, type RandomSource } from './self-signed.js';
import { formatTime } from './time.js';

/** How long after one certificate of a node the next one must not be changed (A11), in milliseconds. */
export const fiveMinutes: number = 5 * 60_000;

/** Which certificate is renewed, and when. */
export interface RenewalRequest {
  readonly cluster: Cluster;
  /** The name of the node. */
  readonly node: string;
  readonly certificate: CertificateName;
  readonly now: Date;
  /** Whether the five-minute rule is let through. */
  readonly acceptFiveMinutes?: boolean;
  /** Where the serial number comes from. The operating system's random bytes unless told. */
  readonly random?: RandomSource;
}

/**
 * Renews a certificate as clusters regenerate it: a new RSA key of the same size, the same names, self-signed, valid
 * from now on for five years (ITLRecovery from 12.0: twenty).
 *
 * @throws InputError `usage` for a node that the cluster has not, or a key that is not RSA; `cluster-file` when the node
 *   has no such certificate. RefusalError `A11`.
 */
export async function renewCertificate(request: RenewalRequest): Promise<KeyAndCertificate> {
  const { present, cluster, name } = checkRenewal(request);
  if (present.keyType !== 'rsa' || present.keyBits < 512) {
    throw new InputError(
      'usage',
      `the ${name} certificate of ${request.node} has no RSA key, and only RSA is made here`,
      {
        hint: 'renew it on the cluster, and give the new certificate with --import',
      },
    );
  }
  return issueSelfSigned(ownerOf(present), {
    name,
    release: cluster.release,
    now: request.now,
    keyBits: present.keyBits,
    random: request.random ?? systemRandom,
  });
}

/** What an imported certificate changes that must be read before it is used. */
export interface ImportedCertificate {
  readonly certificate: Certificate;
  readonly notices: readonly string[];
}

/**
 * Takes a certificate that was issued elsewhere in the place of a node's present one. Whether it fits a private key is
 * the caller's to check: {@link loadPrivateKey}.
 *
 * @throws InputError `usage` for a node that the cluster has not, or the certificate that is there already;
 *   `cluster-file`; RefusalError `A11`.
 */
export function importCertificate(request: RenewalRequest & { readonly imported: Certificate }): ImportedCertificate {
  const { present, name } = checkRenewal(request);
  const { imported, node, now } = request;
  const what = `the ${name} certificate of ${node}`;
  if (equalBytes(present.der, imported.der)) {
    throw new InputError('usage', `this is ${what} already`, { hint: 'give the new certificate' });
  }
  const [before, after] = [present, imported].map(({ subject }) => printable(formatName(subject)));
  const notices = [
    ...(before === after ? [] : [`the name changes from "${before ?? ''}" to "${after ?? ''}"; phones compare names`]),
    ...(imported.keyType === 'rsa' ? [] : ['it has no RSA key; phones verify RSA signatures only']),
    ...(present.keyBits === imported.keyBits
      ? []
      : [`the key size changes from ${present.keyBits} to ${imported.keyBits} bits`]),
    ...(imported.notAfter < now ? [`it expired on ${formatTime(imported.notAfter)}`] : []),
    ...(imported.notBefore > now ? [`it is not valid before ${formatTime(imported.notBefore)}`] : []),
  ];
  return { certificate: imported, notices: notices.map((text) => `${what}: ${text}`) };
}

interface CheckedRenewal {
  readonly cluster: Cluster;
  readonly name: CertificateName;
  readonly present: Certificate;
}

function checkRenewal({ cluster, node, certificate, now, acceptFiveMinutes }: RenewalRequest): CheckedRenewal {
  const holder = findNode(cluster, node);
  const present = nodeCertificate(holder, certificate);
  if (acceptFiveMinutes !== true) checkFiveMinutes(holder.name, certificate, certificateChanges(holder), now);
  return { cluster, name: certificate, present };
}

/**
 * The node of a name; upper and lower case do not count.
 *
 * @throws InputError `usage`
 */
export function findNode(cluster: Cluster, name: string): ClusterNode {
  const found = cluster.nodes.find((node) => node.name.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return found;
  throw new InputError('usage', `the cluster file has no node ${quoted(name)}`, {
    hint: `its nodes are ${cluster.nodes.map((node) => node.name).join(', ')}`,
  });
}

/**
 * When each certificate of a node was last changed: as the cluster file notes it, or when it began to be valid, which is
 * when a cluster made it. Whichever is later: an imported certificate may have been issued long before.
 */
export function certificateChanges(node: Pick<ClusterNode, 'certificates' | 'changed'>): CertificateChanges {
  const changes: Partial<Record<CertificateName, Date>> = {};
  for (const name of certificateNames) {
    const [noted, began] = [node.changed?.[name], node.certificates[name]?.notBefore];
    const later = noted !== undefined && began !== undefined && noted < began ? began : (noted ?? began);
    if (later !== undefined) changes[name] = later;
  }
  return changes;
}

/**
 * A11: two certificates of one node must not be changed within five minutes of each other. The same one may be changed
 * again. A change up to five minutes ahead counts too: clocks differ.
 *
 * @throws RefusalError `A11` in the cluster's words.
 */
export function checkFiveMinutes(node: string, name: CertificateName, changes: CertificateChanges, now: Date): void {
  const recent = certificateNames
    .flatMap((other) => {
      const time = changes[other];
      return time === undefined || other === name ? [] : [{ other, time }];
    })
    .filter(({ time }) => Math.abs(now.getTime() - time.getTime()) < fiveMinutes)
    .toSorted((left, right) => right.time.getTime() - left.time.getTime());
  const [latest] = recent;
  if (latest === undefined) return;
  const { other, time } = latest;
  const until = formatTime(new Date(Math.ceil((time.getTime() + fiveMinutes) / 1000) * 1000));
  throw new RefusalError(
    'A11',
    `${other} certificate was modified in the last 5 minutes. Please re-try regenerating ${name} certificate at a later time`,
    {
      hint: `node ${node}: wait until ${until}, when phones have the new lists; --accept A11 lets this one through`,
    },
  );
}

/** Who a certificate belongs to, to issue it again. */
function ownerOf({ der, subject }: Certificate): Parameters<typeof issueSelfSigned>[0] {
  const decoded = new X509Certificate(der);
  const names = decoded.subjectAltName?.split(', ') ?? [];
  return {
    subject,
    authority: decoded.ca,
    alternativeNames: names.flatMap((name) => /^(?:DNS|IP Address):([^"]+)$/.exec(name)?.slice(1) ?? []),
  };
}

/** The SHA-1 of a certificate in lower-case hex, as {@link RecoveryBackup} has it. */
export function certificateSha1({ der }: Certificate): string {
  return createHash('sha1').update(der).digest('hex');
}
