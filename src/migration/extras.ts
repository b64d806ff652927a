import { nodesWith } from '../cluster/index.js';
import { notUploaded, restart, uploadMove, type Move } from './moves.js';
import type { Action } from './plan.js';
import type { Situation, Wanted } from './situation.js';
import { findNode } from './world.js';

/** Moves that change nothing that was wanted, and may save phones. */
export interface Extras {
  /** Before the phones restart for the first time: TVS is started. */
  readonly before: readonly Move[];
  readonly after: readonly Move[];
  /** What they make necessary at the end. */
  readonly last: readonly Move[];
}

interface Extra extends Move {
  readonly isBefore: boolean;
}

/** So many TVS servers a phone has. */
const mostTvsServers = 3;

/** Every set of extra moves, the smaller ones first. */
export function findExtras(situation: Situation, wanted: Wanted): readonly Extras[] {
  return subsets(allExtras(situation, wanted)).map((chosen) => ({
    before: chosen.filter(({ isBefore }) => isBefore),
    after: chosen.filter(({ isBefore }) => !isBefore),
    last: chosen.some(({ name }) => name === 'empty-itls') && wanted.destination === undefined ? [fill] : [],
  }));
}

const fill: Move = { name: 'fill-itls', actions: [{ kind: 'fill-itls' }, restart] };

/** The smaller first; each in the order of the whole. */
function subsets<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  let all: Item[][] = [[]];
  for (const item of items) all = [...all, ...all.map((subset) => [...subset, item])];
  return all.sort((left, right) => left.length - right.length);
}

/** There are five at the most, whatever the cluster. */
function allExtras(situation: Situation, wanted: Wanted): readonly Extra[] {
  const { cluster, tokens } = situation;
  const vouched = wanted.mode === 'token' ? notUploaded(cluster, tokens) : [];
  const signers = destinationSigners(situation, wanted);
  const empty: Action = { kind: 'empty-itls' };
  const isRollback = wanted.destination !== undefined || (wanted.renamings ?? []).length > 0;
  return [
    ...startTvs(situation),
    ...(vouched.length === 0 ? [] : [{ ...uploadMove(vouched), isBefore: false }]),
    ...addTvs(situation),
    ...(signers.length === 0 ? [] : [{ ...uploadMove(signers), isBefore: false }]),
    ...(isRollback ? [{ name: 'empty-itls', actions: [empty, restart], isBefore: false }] : []),
  ];
}

function stoppedTvs({ cluster, tvs }: Situation): readonly string[] {
  return nodesWith(cluster, 'TVS').flatMap(({ name }) => (tvs[name] === 'stopped' ? [name] : []));
}

/** All that can be started: TVS is to run on every node that has it. */
function startTvs(situation: Situation): readonly Extra[] {
  const actions = stoppedTvs(situation).map((node): Action => ({ kind: 'start-tvs', node }));
  return actions.length === 0 ? [] : [{ name: 'start-tvs', actions, isBefore: true }];
}

/** Nodes with a TVS that runs, or is started for it, and that some phones do not have in their configuration. */
function addTvs(situation: Situation): readonly Extra[] {
  const { cluster, tvs, phones } = situation;
  const own = phones
    .filter(({ securityByDefault, tvsServers }) => securityByDefault && tvsServers.length > 0)
    .map(({ tvsServers }) => tvsServers.map((server) => findNode(cluster, server)?.name));
  const lacking = nodesWith(cluster, 'TVS').filter(
    ({ name }) => tvs[name] !== 'unreachable' && own.some((names) => !names.includes(name)),
  );
  const nodes = lacking.slice(0, mostTvsServers).map(({ name }) => name);
  if (nodes.length === 0) return [];
  const starts = stoppedTvs(situation)
    .filter((node) => nodes.includes(node))
    .map((node): Action => ({ kind: 'start-tvs', node }));
  return [
    { name: 'add-tvs-servers', actions: [...starts, { kind: 'add-tvs-servers', nodes }, restart], isBefore: false },
  ];
}

/** The certificates of the other cluster that sign what its phones are offered. */
function destinationSigners({ cluster }: Situation, { destination }: Wanted): ReturnType<typeof notUploaded> {
  if (destination === undefined) return [];
  const all = destination.cluster.nodes.flatMap(({ certificates }) => [
    certificates.CallManager,
    certificates.ITLRecovery,
  ]);
  return notUploaded(
    cluster,
    all.filter((one) => one !== undefined),
  );
}
