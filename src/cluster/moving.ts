import { formatHex } from '../bytes/index.js';
import { commonName, type Certificate } from '../x509/index.js';
import type { CertificateName, Cluster } from './cluster.js';

/** A certificate that another cluster must be given before phones move between the two. */
export interface MovingCertificate {
  /** The trust store of the other cluster that it belongs to. */
  readonly store: 'Phone-SAST-trust';
  readonly certificate: Certificate;
  /** Whose it is, e.g. `CallManager of cucm-pub`. */
  readonly owner: string;
  /** A name for its file, without extension. */
  readonly fileName: string;
}

/**
 * Whom phones meet as a signer when they come to a cluster, of lists and of configurations: the CallManager of each node
 * that serves files, the publisher's ITLRecovery, and its tokens. The cluster that they leave vouches for them once
 * they are in its Phone-SAST-trust (phone-rules.md, A10); TVS then gives them the roles {0, 3}.
 */
export function certificatesForMove(cluster: Cluster): readonly MovingCertificate[] {
  const moving: MovingCertificate[] = [];
  const add = (certificate: Certificate | undefined, owner: string, fileName: string): void => {
    const isKnown = moving.some(
      (one) => formatHex(one.certificate.der) === formatHex(certificate?.der ?? new Uint8Array()),
    );
    if (certificate !== undefined && !isKnown) moving.push({ store: 'Phone-SAST-trust', certificate, owner, fileName });
  };
  for (const [index, { name, services, certificates }] of cluster.nodes.entries()) {
    const names: CertificateName[] = services.includes('TFTP') || index === 0 ? ['CallManager'] : [];
    if (index === 0) names.push('ITLRecovery');
    for (const which of names) add(certificates[which], `${which} of ${name}`, `${name}-${which}`);
  }
  for (const token of cluster.trustStores['Phone-SAST-trust'] ?? []) {
    const name = (commonName(token.subject) ?? '').trim();
    const safe = name.replaceAll(/[^\w.-]/g, '_');
    add(token, `Phone-SAST-trust: ${name}`, `${safe}-${formatHex(token.serialNumber)}`);
  }
  return moving;
}
