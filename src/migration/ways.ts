import { isAtLeast, listSignerName, parseRelease, tokensEnd, type Release } from '../cluster/index.js';
import {
  beginStage,
  buildMove,
  clusterMove,
  notUploaded,
  renewalMoves,
  restart,
  tokenSigner,
  uploadMove,
  type CtlStage,
  type Move,
  type RenewalManner,
} from './moves.js';
import { examineCtl, noteCertificate, type PresentCtl } from './present.js';
import type { Action } from './plan.js';
import type { Situation, Wanted, WantedMode } from './situation.js';

/** A part of a way: its moves in their order, or in any. */
export interface Part {
  readonly moves: readonly Move[];
  readonly isFree: boolean;
}

/** One way from the present state to the wanted one. */
export type Way = readonly Part[];

/** A change of the CTL's mode: what is done, and what the CTL is afterwards. */
interface ModeChange {
  readonly moves: readonly Move[];
  readonly after: (stage: CtlStage) => CtlStage;
}

type Block = 'mode' | 'certificates' | 'release';

/**
 * The ways that are worth a trial, the plainest first. Mode, certificates and release may be changed in any order of the
 * three; between a renewal and the CTL that follows it the phones may restart or not.
 */
export function* findWays(situation: Situation, wanted: Wanted): Generator<Way> {
  const present = examineCtl(situation);
  const blocks = wantedBlocks(wanted);
  const manners = blocks.includes('certificates') ? mannersOfRenewal : mannersOfRenewal.slice(0, 1);
  for (const order of permutations(blocks)) {
    for (const change of modeChanges(situation, wanted.mode, present)) {
      for (const manner of manners) {
        const way = buildWay(situation, wanted, { order, change, manner });
        if (way !== undefined) yield way;
      }
    }
  }
}

function wantedBlocks({ mode, renewals = [], renamings = [], release }: Wanted): readonly Block[] {
  return [
    ...(mode === undefined ? [] : (['mode'] as const)),
    ...(renewals.length + renamings.length === 0 ? [] : (['certificates'] as const)),
    ...(release === undefined ? [] : (['release'] as const)),
  ];
}

const mannersOfRenewal: readonly RenewalManner[] = [
  { restartBetween: false, throughOther: false },
  { restartBetween: false, throughOther: true },
  { restartBetween: true, throughOther: false },
];

function permutations<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  if (items.length <= 1) return [items];
  return items.flatMap((first) =>
    permutations(items.filter((other) => other !== first)).map((rest) => [first, ...rest]),
  );
}

interface Choice {
  readonly order: readonly Block[];
  readonly change: ModeChange;
  readonly manner: RenewalManner;
}

/** `undefined` for an order that takes a CTL to a release that does not know its kind, while the CTL is to change. */
function buildWay(situation: Situation, wanted: Wanted, { order, change, manner }: Choice): Way | undefined {
  const parts: Part[] = [];
  let stage = beginStage(examineCtl(situation), situation.cluster.release);
  for (const block of order) {
    if (block === 'mode') {
      parts.push({ moves: change.moves.map((move) => signedIn(situation, move, stage)), isFree: false });
      stage = change.after(stage);
    } else if (block === 'certificates') {
      parts.push({ moves: renewalMoves(situation, wanted, stage, manner), isFree: true });
    } else {
      const { release } = stage;
      stage = { ...stage, release: parseRelease(wanted.release ?? release.text) };
      if (wanted.mode !== undefined && !fitsRelease(stage)) return undefined;
      parts.push({ moves: releaseMoves(situation, stage, release), isFree: false });
    }
  }
  if (wanted.destination !== undefined) {
    parts.push({ moves: [{ name: 'move', actions: [{ kind: 'move-phones' }, restart] }], isFree: false });
  }
  return parts;
}

/** Moves that the cluster's own key signs are made anew: which key it is depends on the release by then. */
function signedIn({ cluster }: Situation, move: Move, { release }: CtlStage): Move {
  const flow = move.actions.map((action) => (isSignedByCluster(action) ? action.flow : undefined)).find(Boolean);
  return flow === undefined ? move : clusterMove(cluster, release, flow);
}

function isSignedByCluster(action: Action): action is Extract<Action, { kind: 'build-ctl' | 'cluster-ctl' }> {
  return (action.kind === 'build-ctl' || action.kind === 'cluster-ctl') && action.signer.kind === 'cluster';
}

/** Tokens end with 14SU3 (A14), and tokenless lists begin with 10.0 (A8). */
function fitsRelease({ mode, release }: CtlStage): boolean {
  if (mode === 'token') return !tokensEnd(release);
  return mode === 'no-ctl' || isAtLeast(release, '10.0');
}

/** The tokenless list of a cluster that goes to 12.0, or back, is signed by another key afterwards. */
function releaseMoves({ cluster }: Situation, stage: CtlStage, before: Release): readonly Move[] {
  const { release, mode, isFull } = stage;
  const change: Move = {
    name: 'change-release',
    actions: [{ kind: 'change-release', release: release.text }, restart],
  };
  const isOtherSigner = listSignerName(release) !== listSignerName(before);
  return mode === 'tokenless' && isFull && isOtherSigner
    ? [change, clusterMove(cluster, stage.release, 'update')]
    : [change];
}

function modeChanges(situation: Situation, mode: WantedMode | undefined, present: PresentCtl): readonly ModeChange[] {
  switch (mode) {
    case undefined:
      return [{ moves: [], after: (stage) => stage }];
    case 'token':
      return [{ moves: toTokens(situation, present), after: (stage) => toTokenStage(situation, present, stage) }];
    case 'tokenless':
      return [toTokenlessChange(situation, present)];
    case 'non-secure':
      return nonSecureWays(situation, present).map((moves) => ({ moves, after: emptiedStage }));
    case 'no-ctl': {
      // Where the tokens are lost the list need not be emptied first: it is deleted at every phone anyhow.
      const areLost = present.mode === 'token' && !present.isEmptied && present.tokensAtHand.length === 0;
      const before = areLost ? [[]] : nonSecureWays(situation, present);
      const after = (stage: CtlStage): CtlStage => ({ ...stage, mode: 'no-ctl', isFull: false, token: undefined });
      return before.map((moves) => ({ moves: [...moves, ...noCtl(situation)], after }));
    }
  }
}

const emptiedStage = (stage: CtlStage): CtlStage => ({ ...stage, isFull: false });

function toTokenStage({ tokens }: Situation, { tokensAtHand }: PresentCtl, stage: CtlStage): CtlStage {
  return { ...stage, mode: 'token', isFull: true, token: tokensAtHand[0] ?? tokens[0] };
}

function toTokenlessChange({ cluster }: Situation, { mode }: PresentCtl): ModeChange {
  const flow = mode === 'no-ctl' ? 'create-tokenless' : mode === 'token' ? 'to-tokenless' : 'update';
  const after = (stage: CtlStage): CtlStage => ({ ...stage, mode: 'tokenless', isFull: true, token: undefined });
  return { moves: [clusterMove(cluster, cluster.release, flow)], after };
}

/** A token list changes by a token that is in it (A2); one whose tokens are lost can only be made anew (A5). */
function toTokens(situation: Situation, present: PresentCtl): readonly Move[] {
  const { cluster, tokens } = situation;
  const [known] = present.tokensAtHand;
  if (present.mode === 'tokenless') {
    // A3: without it the flow refuses, and TVS vouches for nobody.
    const missing = notUploaded(cluster, tokens);
    return [...(missing.length === 0 ? [] : [uploadMove(missing)]), newTokenMove(situation, 'to-token')];
  }
  if (known === undefined) return [newTokenMove(situation, 'create-token')];
  const [added] = present.newTokens;
  const signer = tokenSigner(known);
  const add =
    present.tokenCount < 2 && added !== undefined
      ? [buildMove('add-token', signer, [noteCertificate(added)], 'mixed')]
      : [];
  return present.isEmptied || add.length === 0 ? [...add, buildMove('update', signer, [], 'mixed')] : add;
}

function newTokenMove({ tokens }: Situation, flow: 'create-token' | 'to-token'): Move {
  const [first] = tokens;
  if (first === undefined) return { name: flow, actions: [] };
  return buildMove(flow, tokenSigner(first), tokens.map(noteCertificate), 'mixed');
}

/** A list whose tokens are lost cannot be emptied by them: it is replaced by another first (A5). */
function nonSecureWays(situation: Situation, present: PresentCtl): readonly (readonly Move[])[] {
  const { cluster, tokens } = situation;
  if (present.mode === 'no-ctl' || present.isEmptied) return [[]];
  if (present.mode === 'tokenless') return [[clusterMove(cluster, cluster.release, 'to-non-secure')]];
  const [known] = present.tokensAtHand;
  if (known !== undefined) return [[buildMove('to-non-secure', tokenSigner(known), [], 'non-secure')]];
  const byCluster = (['to-tokenless', 'to-non-secure'] as const).map((flow) =>
    clusterMove(cluster, cluster.release, flow),
  );
  const [first] = tokens;
  if (first === undefined) return [byCluster];
  const byNewTokens = [
    newTokenMove(situation, 'create-token'),
    buildMove('to-non-secure', tokenSigner(first), [], 'non-secure'),
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
