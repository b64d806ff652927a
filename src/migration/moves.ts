import { parseRelease, type CertificateName, type Cluster, type SecurityMode } from '../cluster/index.js';
import { clusterSigner, examineCtl, isUploaded, noteCertificate, type PresentCtl } from './present.js';
import type { Action, CtlFlow, ListSigner } from './plan.js';
import type { Renewal, Situation, Wanted } from './situation.js';
import { tvsNodes } from './world.js';

/** Actions that belong together, in order. Phones restart where it says so, and so show what they make of it. */
export interface Move {
  readonly name: string;
  readonly actions: readonly Action[];
}

const restart: Action = { kind: 'restart-phones' };

/** One way from the present state to the wanted one: what must be done, in an order that may be changed in part. */
export interface Way {
  /** Done in this order, before the rest. */
  readonly first: readonly Move[];
  /** Done in any order. */
  readonly free: readonly Move[];
  /** Done in this order, after the rest. */
  readonly last: readonly Move[];
}

/** The ways that are worth a trial, the plainest first. None: there is no way. */
export function findWays(situation: Situation, wanted: Wanted): readonly Way[] {
  const present = examineCtl(situation);
  const usual = renewalMoves(situation, wanted, present);
  const known = throughOtherSigner(usual, situation, wanted, present);
  const release = releaseMoves(situation, wanted, present);
  const destination =
    wanted.destination === undefined ? [] : [{ name: 'move', actions: [{ kind: 'move-phones' }, restart] } as const];
  const last = [...release, ...destination];
  return modeWays(situation, wanted, present).flatMap((first) =>
    (known === undefined ? [usual] : [usual, known]).map((free) => ({ first, free, last })),
  );
}

/** Moves that change nothing that was wanted, and may save phones. */
export function findExtras(situation: Situation, wanted: Wanted): readonly Move[] {
  const { cluster, tvs, tokens } = situation;
  const extras: Move[] = [];
  for (const node of tvsNodes(cluster).filter(({ name }) => tvs[name] === 'stopped')) {
    extras.push({ name: `start-tvs ${node.name}`, actions: [{ kind: 'start-tvs', node: node.name }] });
  }
  const missing = tokens.filter((token) => !isUploaded(cluster, 'Phone-SAST-trust', token));
  if (wanted.mode === 'token' && missing.length > 0) extras.push(uploadMove(missing.map(noteCertificate)));
  const further = furtherTvs(situation);
  if (further.length > 0) {
    extras.push({ name: 'add-tvs-servers', actions: [{ kind: 'add-tvs-servers', nodes: further }, restart] });
  }
  const signers = destinationSigners(situation, wanted);
  if (signers.length > 0) extras.push(uploadMove(signers));
  if (wanted.destination !== undefined || (wanted.renamings ?? []).length > 0) {
    extras.push({ name: 'empty-itls', actions: [{ kind: 'empty-itls' }, restart] });
  }
  return extras;
}

/** What an extra move makes necessary at the end. */
export function afterExtras(extras: readonly Move[], wanted: Wanted): readonly Move[] {
  const wasEmptied = extras.some(({ name }) => name === 'empty-itls');
  if (!wasEmptied || wanted.destination !== undefined) return [];
  return [{ name: 'fill-itls', actions: [{ kind: 'fill-itls' }, restart] }];
}

type CertificateNotes = Extract<Action, { kind: 'upload' }>['certificates'];

function uploadMove(certificates: CertificateNotes): Move {
  return { name: 'upload', actions: [{ kind: 'upload', store: 'Phone-SAST-trust', certificates }] };
}

/** Nodes with a TVS that runs and that some phones do not have in their configuration, as far as three go. */
function furtherTvs({ cluster, tvs, phones }: Situation): readonly string[] {
  const running = tvsNodes(cluster).filter(({ name }) => (tvs[name] ?? 'running') === 'running');
  const withTvs = phones.filter(({ securityByDefault, tvsServers }) => securityByDefault && tvsServers.length > 0);
  const lacking = running.filter(({ name, address }) =>
    withTvs.some(
      ({ tvsServers }) => !tvsServers.some((server) => server.startsWith(name) || server.startsWith(address)),
    ),
  );
  return lacking.slice(0, 3).map(({ name }) => name);
}

/** The certificates of the other cluster that sign what its phones are offered. */
function destinationSigners({ cluster }: Situation, { destination }: Wanted): CertificateNotes {
  if (destination === undefined) return [];
  const all = destination.cluster.nodes.flatMap(({ certificates }) => [
    certificates.CallManager,
    certificates.ITLRecovery,
  ]);
  const signers = all.filter((one) => one !== undefined);
  return signers.filter((one) => !isUploaded(cluster, 'Phone-SAST-trust', one)).map(noteCertificate);
}

function modeWays(situation: Situation, { mode }: Wanted, present: PresentCtl): readonly (readonly Move[])[] {
  switch (mode) {
    case undefined:
      return [[]];
    case 'token':
      return [toTokens(situation, present)];
    case 'tokenless':
      return [[ctlMove(situation, tokenlessFlow(present))]];
    case 'non-secure':
      return nonSecureWays(situation, present);
    case 'no-ctl':
      return nonSecureWays(situation, present).map((moves) => [...moves, ...noCtl(situation)]);
  }
}

function tokenlessFlow({ mode }: PresentCtl): CtlFlow {
  if (mode === 'no-ctl') return 'create-tokenless';
  return mode === 'token' ? 'to-tokenless' : 'update';
}

/** A token list changes by a token that is in it (A2); one whose tokens are lost can only be made anew (A5). */
function toTokens(situation: Situation, present: PresentCtl): readonly Move[] {
  const [known] = present.tokensAtHand;
  if (present.mode === 'tokenless') return [...requiredUpload(situation), tokenMove(situation, 'to-token')];
  if (known === undefined) return [tokenMove(situation, 'create-token')];
  const [added] = present.newTokens;
  const signer: ListSigner = { kind: 'token', certificate: noteCertificate(known) };
  const add: Move[] =
    present.tokenCount < 2 && added !== undefined
      ? [buildMove('add-token', signer, [noteCertificate(added)], 'mixed')]
      : [];
  return present.isEmptied || add.length === 0 ? [...add, buildMove('update', signer, [], 'mixed')] : add;
}

/** A3: without it the flow refuses, and TVS vouches for nobody. */
function requiredUpload({ cluster, tokens }: Situation): readonly Move[] {
  const missing = tokens.filter((token) => !isUploaded(cluster, 'Phone-SAST-trust', token));
  return missing.length === 0 ? [] : [uploadMove(missing.map(noteCertificate))];
}

function tokenMove({ tokens }: Situation, flow: 'create-token' | 'to-token'): Move {
  const notes = tokens.map(noteCertificate);
  const [first] = notes;
  return first === undefined
    ? { name: flow, actions: [] }
    : buildMove(flow, { kind: 'token', certificate: first }, notes, 'mixed');
}

function buildMove(flow: CtlFlow, signer: ListSigner, tokens: CertificateNotes, securityMode: SecurityMode): Move {
  // `built` names the step that builds, which gets its number when the plan is written down.
  const build: Action = { kind: 'build-ctl', flow, signer, tokens, accept: [] };
  return { name: flow, actions: [build, { kind: 'publish-ctl', built: '', securityMode }, restart] };
}

/** A flow that the cluster's own key signs: here, where the key is, else at the cluster. */
function ctlMove({ cluster }: Pick<Situation, 'cluster'>, flow: CtlFlow): Move {
  const signer = clusterSigner(cluster);
  const securityMode = flow === 'to-non-secure' ? 'non-secure' : 'mixed';
  const isHere = signer.kind === 'cluster' && cluster.nodes[0]?.keys[signer.name] !== undefined;
  if (isHere) return buildMove(flow, signer, [], securityMode);
  return { name: flow, actions: [{ kind: 'cluster-ctl', flow, signer, securityMode }, restart] };
}

/** A list whose tokens are lost cannot be emptied by them: it is replaced by another first (A5). */
function nonSecureWays(situation: Situation, present: PresentCtl): readonly (readonly Move[])[] {
  if (present.mode === 'no-ctl' || present.isEmptied) return [[]];
  if (present.mode === 'tokenless') return [[ctlMove(situation, 'to-non-secure')]];
  const [known] = present.tokensAtHand;
  if (known !== undefined) {
    return [[buildMove('to-non-secure', { kind: 'token', certificate: noteCertificate(known) }, [], 'non-secure')]];
  }
  const byCluster = [ctlMove(situation, 'to-tokenless'), ctlMove(situation, 'to-non-secure')];
  const [first] = situation.tokens;
  if (first === undefined) return [byCluster];
  const byNewTokens = [
    tokenMove(situation, 'create-token'),
    buildMove('to-non-secure', { kind: 'token', certificate: noteCertificate(first) }, [], 'non-secure'),
  ];
  return [byCluster, byNewTokens];
}

/** Phones keep their CTL when the file goes (P2): it is deleted at each of them. */
function noCtl({ phones, ctl }: Situation): readonly Move[] {
  const groups = phones.flatMap((group, index) => (ctl !== undefined || group.ctl.kind !== 'none' ? [index] : []));
  const remove: Move[] = ctl === undefined ? [] : [{ name: 'remove-ctl-file', actions: [{ kind: 'remove-ctl-file' }] }];
  if (groups.length === 0) return remove;
  return [...remove, { name: 'delete-list', actions: [{ kind: 'delete-list', list: 'ctl', groups }, restart] }];
}

/** Renewals one at a time, each followed by the CTL that names the new certificate; renamings likewise. */
function renewalMoves(situation: Situation, wanted: Wanted, present: PresentCtl): readonly Move[] {
  const renewals = (wanted.renewals ?? []).map(({ node, certificate }): Move => {
    const update = isInCtl(situation.cluster, { node, certificate }, present)
      ? updateActions(situation, wanted, present)
      : [];
    return {
      name: `renew ${node} ${certificate}`,
      actions: [{ kind: 'renew', node, certificate }, restart, ...update],
    };
  });
  const renamings = (wanted.renamings ?? []).map(({ node, name }): Move => {
    const update = present.mode === 'no-ctl' || present.isEmptied ? [] : updateActions(situation, wanted, present);
    return { name: `rename ${node}`, actions: [{ kind: 'rename', node, name }, restart, ...update] };
  });
  return [...renewals, ...renamings];
}

/**
 * From 12.0 a tokenless CTL has two signers. When ITLRecovery is renewed, the first list after it may be signed by the
 * CallManager key, which phones know as the other one: they then know the new ITLRecovery without TVS.
 */
function throughOtherSigner(
  moves: readonly Move[],
  { cluster }: Situation,
  wanted: Wanted,
  present: PresentCtl,
): readonly Move[] | undefined {
  const [publisher] = cluster.nodes;
  const isTokenless = present.mode === 'tokenless' && !present.isEmptied && wanted.mode === undefined;
  if (!isTokenless || !isRecoverySigner(cluster) || publisher?.keys.CallManager === undefined) return undefined;
  const name = `renew ${publisher.name} ITLRecovery`;
  if (!moves.some((move) => move.name === name)) return undefined;
  const byOther = buildMove('update', { kind: 'cluster', name: 'CallManager' }, [], 'mixed').actions;
  return moves.map((move) => {
    const [renew, ...rest] = move.actions;
    return move.name === name && renew !== undefined
      ? { ...move, actions: [renew, ...byOther, ...rest.slice(1)] }
      : move;
  });
}

function isInCtl(cluster: Cluster, { node, certificate }: Renewal, present: PresentCtl): boolean {
  if (present.mode === 'no-ctl' || present.isEmptied) return false;
  const found = cluster.nodes.find(({ name }) => name === node);
  const services: Readonly<Record<CertificateName, boolean>> = {
    CallManager: found?.services.some((service) => service === 'CallManager' || service === 'TFTP') === true,
    CAPF: found?.services.includes('CAPF') === true,
    TVS: false,
    ITLRecovery: present.mode === 'tokenless' && clusterSigner(cluster).kind === 'cluster' && isRecoverySigner(cluster),
  };
  return services[certificate];
}

function isRecoverySigner(cluster: Cluster): boolean {
  const signer = clusterSigner(cluster);
  return signer.kind === 'cluster' && signer.name === 'ITLRecovery';
}

/** The CTL again with the present certificates, in the mode that it is in by then. */
function updateActions(situation: Situation, { mode }: Wanted, present: PresentCtl): readonly Action[] {
  if (mode === 'non-secure' || mode === 'no-ctl') return [];
  const isToken = mode === 'token' || (mode === undefined && present.mode === 'token');
  if (!isToken) return ctlMove(situation, 'update').actions;
  const [signer] = mode === 'token' && present.mode === 'tokenless' ? situation.tokens : present.tokensAtHand;
  const by = signer ?? situation.tokens[0];
  if (by === undefined) return [];
  return buildMove('update', { kind: 'token', certificate: noteCertificate(by) }, [], 'mixed').actions;
}

/** The tokenless list of a cluster that goes to 12.0 is signed by another key afterwards. */
function releaseMoves(situation: Situation, wanted: Wanted, present: PresentCtl): readonly Move[] {
  if (wanted.release === undefined) return [];
  const change: Move = {
    name: 'change-release',
    actions: [{ kind: 'change-release', release: wanted.release }, restart],
  };
  const isTokenless =
    wanted.mode === 'tokenless' || (wanted.mode === undefined && present.mode === 'tokenless' && !present.isEmptied);
  const cluster = { ...situation.cluster, release: parseRelease(wanted.release) };
  return isTokenless ? [change, { ...ctlMove({ cluster }, 'update'), name: 'update after the release' }] : [change];
}
