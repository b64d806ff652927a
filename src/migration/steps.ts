import { nodesWith, type Cluster } from '../cluster/index.js';
import type { Action, ListSigner, Step, StepCheck } from './plan.js';
import { performerFor } from './plan-claims.js';
import { sha1Of } from './present.js';
import type { Situation } from './situation.js';
import { stepTexts, type StepText } from './step-texts.js';
import { isTvsRunning, type ServedCluster } from './world.js';

/** What is around a step. */
export interface StepPlace {
  readonly situation: Situation;
  readonly before: ServedCluster;
  readonly after: ServedCluster;
  readonly earlier: readonly Action[];
  readonly safe: boolean;
}

/** Writes a step down: who, what, how it is checked, how it is taken back. */
export function describeStep(id: string, action: Action, place: StepPlace): Step {
  const text = textOf(action, place);
  return {
    id,
    who: performerFor(action.kind),
    title: text.title,
    action,
    requires: [...text.requires, ...waits(action, place)],
    instructions: text.instructions,
    checks: checksOf(action, place),
    undo: text.undo,
    safe: place.safe,
  };
}

function textOf(action: Action, place: StepPlace): StepText {
  // The table has a writer for each kind; which of them it is, the types cannot follow.
  const write = stepTexts[action.kind] as (action: Action, place: StepPlace) => StepText;
  return write(action, place);
}

/** A11: between two renewals on one node. */
function waits(action: Action, { earlier }: StepPlace): readonly string[] {
  if (action.kind !== 'renew') return [];
  const before = earlier.findLast((one) => one.kind === 'renew' && one.node === action.node);
  if (before?.kind !== 'renew') return [];
  return [`Five minutes have gone by since the ${before.certificate} certificate of ${action.node} was renewed (A11).`];
}

function checksOf(action: Action, place: StepPlace): readonly StepCheck[] {
  const { before, after } = place;
  const ofTftp = (check: (node: string) => StepCheck): StepCheck[] =>
    nodesWith(after.cluster, 'TFTP').map(({ name }) => check(name));
  switch (action.kind) {
    case 'upload':
      return runningTvs(after).flatMap((node) =>
        action.certificates.map((certificate) => ({ check: 'tvs-vouches', node, certificate, role: 0 }) as const),
      );
    case 'start-tvs':
      return [{ check: 'tvs-answers', node: action.node }];
    case 'add-tvs-servers':
      return action.nodes.map((node) => ({ check: 'tvs-answers', node }));
    case 'build-ctl':
      return [{ check: 'file-verifies' }];
    case 'publish-ctl':
      return ofTftp((node) => ({ check: 'tftp-serves', node, file: 'CTLFile.tlv', built: action.built }));
    case 'cluster-ctl':
      return ofTftp((node) => servesSignedBy(node, action.signer, place));
    case 'renew':
      return [
        {
          check: 'certificate-renewed',
          node: action.node,
          certificate: action.certificate,
          before: certificateBefore(place.situation.cluster, action, place.earlier),
        },
        // The ITL may be new while TVS still runs with the old certificate.
        ...(action.certificate === 'TVS' ? tvsAnswers(action.node, after) : []),
      ];
    case 'rename':
      return [{ check: 'node-renamed', node: action.node, name: action.name }, ...tvsAnswers(action.name, after)];
    case 'remove-ctl-file':
      return nodesWith(before.cluster, 'TFTP').map(({ name }) => ({
        check: 'tftp-lacks',
        node: name,
        file: 'CTLFile.tlv',
      }));
    case 'empty-itls':
      return ofTftp((node) => ({ check: 'itl-emptied', node }));
    case 'fill-itls':
      return ofTftp((node) => ({ check: 'itl-filled', node }));
    case 'change-release':
      return [
        {
          check: 'confirm',
          question: `Does "show version active" say ${action.release} on every node, and does the cluster file?`,
        },
      ];
    case 'move-phones':
      return [
        {
          check: 'confirm',
          question:
            'Do the phones ask the TFTP servers of the new cluster (DHCP option 150 or the settings of each phone)?',
        },
      ];
    case 'restart-phones':
      return [{ check: 'confirm', question: 'Have all phones restarted, and are as many registered as before?' }];
    case 'delete-list':
      return [{ check: 'confirm', question: 'Were the lists deleted at every phone that is named?' }];
  }
}

function servesSignedBy(node: string, signer: ListSigner, { situation, earlier }: StepPlace): StepCheck {
  const isFirst = !earlier.some(({ kind }) => kind === 'publish-ctl' || kind === 'cluster-ctl');
  const before = isFirst && situation.ctl !== undefined ? sha1Of(situation.ctl.bytes) : undefined;
  return {
    check: 'tftp-serves-signed-by',
    node,
    file: 'CTLFile.tlv',
    signer,
    ...(before === undefined ? {} : { before }),
  };
}

/** A certificate that an earlier step renewed is not known yet. */
function certificateBefore(
  cluster: Cluster,
  { node, certificate }: Extract<Action, { kind: 'renew' }>,
  earlier: readonly Action[],
): string {
  const isRenewed = earlier.some((one) => one.kind === 'renew' && one.node === node && one.certificate === certificate);
  const found = cluster.nodes.find(({ name }) => name === node)?.certificates[certificate];
  return isRenewed || found === undefined ? '' : sha1Of(found.der);
}

/** Where TVS of a node can answer. */
function tvsAnswers(node: string, after: ServedCluster): readonly StepCheck[] {
  return runningTvs(after).includes(node) ? [{ check: 'tvs-answers', node }] : [];
}

function runningTvs(served: ServedCluster): readonly string[] {
  return nodesWith(served.cluster, 'TVS').flatMap(({ name }) => (isTvsRunning(served, name) ? [name] : []));
}
