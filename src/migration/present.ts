import { equalBytes, formatHex } from '../bytes/index.js';
import { listSignerName, type Cluster } from '../cluster/index.js';
import { ctlMode, isEmptied, tokenRecords } from '../ctl/index.js';
import { digestOf } from '../signer/index.js';
import { recordHolds, type TrustList } from '../trust-list/index.js';
import { formatName, type Certificate } from '../x509/index.js';
import type { CertificateNote, ListSigner, PlanEnd } from './plan.js';
import type { Situation } from './situation.js';

/** What a cluster's CTL is. */
export interface PresentCtl {
  readonly mode: 'no-ctl' | 'token' | 'tokenless';
  /** Whether its servers are emptied: what is left of a cluster that went non-secure. */
  readonly isEmptied: boolean;
  /** How many different tokens the list names. */
  readonly tokenCount: number;
  /** The tokens of the list that are at hand. */
  readonly tokensAtHand: readonly Certificate[];
  /** The tokens at hand that are not in the list. */
  readonly newTokens: readonly Certificate[];
}

/** Looks at the CTL of a situation. */
export function examineCtl({ ctl, tokens }: Pick<Situation, 'ctl' | 'tokens'>): PresentCtl {
  if (ctl === undefined) {
    return { mode: 'no-ctl', isEmptied: false, tokenCount: 0, tokensAtHand: [], newTokens: tokens };
  }
  const records = tokenRecords(ctl);
  const isInList = (token: Certificate): boolean => records.some((record) => recordHolds(record, token.der));
  const keys = new Set(records.map(({ publicKey }) => formatHex(publicKey ?? new Uint8Array())));
  return {
    mode: ctlMode(ctl),
    isEmptied: isEmptied(ctl),
    tokenCount: keys.size,
    tokensAtHand: tokens.filter(isInList),
    newTokens: tokens.filter((token) => !isInList(token)),
  };
}

/** The mode of a cluster as a plan names it: an emptied list is non-secure. */
export function modeOf(present: PresentCtl): PlanEnd['mode'] {
  return present.isEmptied ? 'non-secure' : present.mode;
}

/** The key of the publisher that signs tokenless lists, as a plan names it. */
export function clusterSigner({ release }: Pick<Cluster, 'release'>): ListSigner {
  return { kind: 'cluster', name: listSignerName(release) };
}

/** A certificate as a plan names it. */
export function noteCertificate(certificate: Certificate): CertificateNote {
  return {
    // Tokens pad their names with blanks.
    subject: formatName(certificate.subject).replaceAll(/ +(?=, [A-Z]+=|$)/g, ''),
    serialNumber: formatHex(certificate.serialNumber, ':').toUpperCase(),
    sha1: sha1Of(certificate.der),
  };
}

/** SHA-1 in lower-case hex. */
export function sha1Of(bytes: Uint8Array): string {
  return formatHex(digestOf('sha1', bytes));
}

/** Whether a certificate is in a trust store of the cluster. */
export function isUploaded(cluster: Cluster, store: string, certificate: Certificate): boolean {
  return (cluster.trustStores[store] ?? []).some((one) => equalBytes(one.der, certificate.der));
}

/** The beginning of a plan: what must be so when it is applied. */
export function describeStart(situation: Situation): PlanEnd {
  const { cluster, ctl, itls } = situation;
  const certificates = cluster.nodes.flatMap((node) =>
    Object.entries(node.certificates).map(([name, one]) => [`${node.name} ${name}`, sha1Of(one.der)] as const),
  );
  return {
    mode: modeOf(examineCtl(situation)),
    release: cluster.release.text,
    securityMode: cluster.securityMode,
    ...(ctl === undefined ? {} : { ctl: sha1Of(ctl.bytes) }),
    itls: Object.fromEntries(Object.entries(itls).map(([node, itl]: [string, TrustList]) => [node, sha1Of(itl.bytes)])),
    certificates: Object.fromEntries(certificates),
  };
}
