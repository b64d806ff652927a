import {
  certificateNames,
  listSignerName,
  type CertificateName,
  type Cluster,
  type Release,
  type SecurityMode,
} from '../cluster/index.js';
import { clusterSigner, isUploaded, noteCertificate, type PresentCtl } from './present.js';
import type { Action, CertificateNote, CtlFlow, ListSigner } from './plan.js';
import type { Renaming, Renewal, Situation, Wanted } from './situation.js';
import type { Certificate } from '../x509/index.js';

/** Actions that belong together, in order. Phones restart where it says so, and so show what they make of it. */
export interface Move {
  readonly name: string;
  readonly actions: readonly Action[];
}

/** What the CTL is at some point of a way, and who could sign it. */
export interface CtlStage {
  readonly mode: 'no-ctl' | 'token' | 'tokenless';
  /** Whether it names servers. An emptied list is nobody's to update. */
  readonly isFull: boolean;
  readonly release: Release;
  /** A token at hand that is in the list. */
  readonly token: Certificate | undefined;
}

export const restart: Action = { kind: 'restart-phones' };

export function beginStage(present: PresentCtl, release: Release): CtlStage {
  const isFull = present.mode !== 'no-ctl' && !present.isEmptied;
  return { mode: present.mode, isFull, release, token: present.tokensAtHand[0] };
}

export function uploadMove(certificates: readonly CertificateNote[]): Move {
  return { name: 'upload', actions: [{ kind: 'upload', store: 'Phone-SAST-trust', certificates }] };
}

/** Builds a CTL here, serves it, and the phones take it. */
export function buildMove(
  flow: CtlFlow,
  signer: ListSigner,
  tokens: readonly CertificateNote[],
  securityMode: SecurityMode,
): Move {
  // `built` names the step that builds, which gets its number when the plan is written down; so do the accepted checks.
  const build: Action = { kind: 'build-ctl', flow, signer, tokens, accept: [] };
  return { name: flow, actions: [build, { kind: 'publish-ctl', built: '', securityMode }, restart] };
}

/** A CTL that a token signs. */
export function tokenSigner(token: Certificate): ListSigner {
  return { kind: 'token', certificate: noteCertificate(token) };
}

/** A flow that the cluster's own key signs: here, where the key is, else at the cluster. */
export function clusterMove({ nodes }: Cluster, release: Release, flow: CtlFlow): Move {
  const name = listSignerName(release);
  const securityMode = flow === 'to-non-secure' ? 'non-secure' : 'mixed';
  if (nodes[0]?.keys[name] !== undefined) return buildMove(flow, clusterSigner({ release }), [], securityMode);
  return {
    name: flow,
    actions: [{ kind: 'cluster-ctl', flow, signer: clusterSigner({ release }), securityMode }, restart],
  };
}

/** The CTL again with the present certificates, in the mode that it is in; nothing where there is none to update. */
export function updateActions({ cluster }: Situation, { mode, isFull, release, token }: CtlStage): readonly Action[] {
  if (!isFull) return [];
  if (mode === 'tokenless') return clusterMove(cluster, release, 'update').actions;
  return token === undefined ? [] : buildMove('update', tokenSigner(token), [], 'mixed').actions;
}

/** How certificates are renewed. */
export interface RenewalManner {
  /** Whether the phones restart between the renewal and the CTL that names the new certificate. */
  readonly restartBetween: boolean;
  /** Whether the CallManager key signs the first CTL after a renewal of ITLRecovery, see {@link throughOtherSigner}. */
  readonly throughOther: boolean;
}

/** Renewals and renamings one at a time, each followed by the CTL that names the new certificate. */
export function renewalMoves(
  situation: Situation,
  { renewals = [], renamings = [] }: Wanted,
  stage: CtlStage,
  manner: RenewalManner,
): readonly Move[] {
  const between = manner.restartBetween ? [restart] : [];
  const follow = (update: readonly Action[]): readonly Action[] =>
    update.length === 0 ? [restart] : [...between, ...update];
  const moves = renewals.map((renewal): Move => {
    const { node, certificate } = renewal;
    const update = isInCtl(situation.cluster, renewal, stage) ? updateActions(situation, stage) : [];
    const through = manner.throughOther ? throughOtherSigner(situation.cluster, renewal, stage) : [];
    return {
      name: `renew ${node} ${certificate}`,
      actions: [{ kind: 'renew', node, certificate }, ...through, ...follow(update)],
    };
  });
  const renaming = ({ node, name }: Renaming): Move => {
    return {
      name: `rename ${node}`,
      actions: [{ kind: 'rename', node, name }, ...follow(updateActions(situation, stage))],
    };
  };
  return [...moves, ...renamings.map(renaming)];
}

function isInCtl({ nodes }: Cluster, { node, certificate }: Renewal, { mode, isFull, release }: CtlStage): boolean {
  if (!isFull) return false;
  const found = nodes.find(({ name }) => name === node);
  const runs = (service: 'CallManager' | 'TFTP' | 'CAPF'): boolean => found?.services.includes(service) === true;
  const isSigner = mode === 'tokenless' && found === nodes[0] && listSignerName(release) === 'ITLRecovery';
  const inCtl: Readonly<Record<CertificateName, boolean>> = {
    CallManager: runs('CallManager') || runs('TFTP'),
    CAPF: runs('CAPF'),
    TVS: false,
    ITLRecovery: isSigner,
  };
  return inCtl[certificate];
}

/**
 * From 12.0 a tokenless CTL has two signers. When ITLRecovery is renewed, the first list after it may be signed by the
 * CallManager key, which phones know as the other one: they then know the new ITLRecovery without TVS.
 */
function throughOtherSigner({ nodes }: Cluster, { node, certificate }: Renewal, stage: CtlStage): readonly Action[] {
  const [publisher] = nodes;
  const isSigner = stage.mode === 'tokenless' && stage.isFull && listSignerName(stage.release) === 'ITLRecovery';
  const hasOther = publisher?.name === node && publisher.keys.CallManager !== undefined;
  if (!isSigner || !hasOther || certificate !== 'ITLRecovery') return [];
  return buildMove('update', { kind: 'cluster', name: 'CallManager' }, [], 'mixed').actions;
}

/** Certificates that are not in a trust store yet, as a plan names them. */
export function notUploaded(cluster: Cluster, certificates: readonly Certificate[]): readonly CertificateNote[] {
  return certificates.filter((one) => !isUploaded(cluster, 'Phone-SAST-trust', one)).map(noteCertificate);
}

/** Those that a node makes anew when it gets another host name. */
export const ownCertificates: readonly CertificateName[] = certificateNames.filter((name) => name !== 'ITLRecovery');
