import { listSignerName, nodesWith, type CertificateName } from '../cluster/index.js';
import type { Danger } from './dangers.js';
import { examineCtl } from './present.js';
import type { Situation, Wanted } from './situation.js';
import { findNode, isTvsRunning } from './world.js';

/** A node's own certificates: all of them are made anew when it gets another name. */
const ownCertificates: readonly CertificateName[] = ['CallManager', 'CAPF', 'TVS'];

/** The certificates that change on each node. */
function changesByNode({ cluster }: Situation, wanted: Wanted): ReadonlyMap<string, ReadonlySet<CertificateName>> {
  const changes = new Map<string, Set<CertificateName>>();
  const add = (node: string, name: CertificateName): void => {
    changes.set(node, (changes.get(node) ?? new Set()).add(name));
  };
  for (const { node, certificate } of wanted.renewals ?? []) add(node, certificate);
  for (const { node } of wanted.renamings ?? []) {
    const certificates = cluster.nodes.find(({ name }) => name === node)?.certificates ?? {};
    for (const name of ownCertificates) if (certificates[name] !== undefined) add(node, name);
  }
  return changes;
}

function isChanged(situation: Situation, wanted: Wanted, name: CertificateName): boolean {
  const publisher = situation.cluster.nodes[0]?.name ?? '';
  return changesByNode(situation, wanted).get(publisher)?.has(name) === true;
}

/** Whether the cluster's CTL is signed by its own key, now or after the change of its mode. */
function isTokenless(situation: Situation, { mode }: Wanted): boolean {
  const present = examineCtl(situation);
  return mode === 'tokenless' || (mode === undefined && present.mode === 'tokenless' && !present.isEmptied);
}

/** A1: nobody is left who could vouch for the new signer of the ITL. */
const togetherOnOneNode: Danger = (situation, wanted) => {
  const { cluster, phones } = situation;
  // From 12.0 ITLRecovery signs the ITL, and phones know it.
  if (listSignerName(cluster.release) === 'ITLRecovery') return undefined;
  const present = examineCtl(situation);
  // A CTL that a token at hand can update carries the phones over.
  if (present.mode === 'token' && !present.isEmptied && present.tokensAtHand.length > 0) return undefined;
  for (const [name, changed] of changesByNode(situation, wanted)) {
    if (!changed.has('CallManager') || !changed.has('TVS')) continue;
    const others = nodesWith(cluster, 'TVS').filter((node) => node.name !== name && isTvsRunning(situation, node.name));
    const standsBy = (tvsServers: readonly string[]): boolean => {
      const nodes = tvsServers.map((server) => findNode(cluster, server)?.name);
      return others.some((node) => tvsServers.length === 0 || nodes.includes(node.name));
    };
    const withItl = phones.filter(({ securityByDefault }) => securityByDefault);
    if (withItl.every(({ tvsServers }) => standsBy(tvsServers)) && others.length > 0) continue;
    if (withItl.length === 0 && phones.length > 0) continue;
    return {
      severity: 'warning',
      message: `CallManager and TVS of ${name} change, and no other TVS server stands by for the phones: renewed together they would leave every phone stuck until its ITL is deleted by hand`,
      advice:
        'renew one at a time, with a restart of all phones in between; or add a second TVS server, or empty the ITLs first',
    };
  }
  return undefined;
};

/** A6: the key that signs the tokenless CTL is renewed. */
const signerOfCtlRenewed: Danger = (situation, wanted) => {
  if (listSignerName(situation.cluster.release) !== 'CallManager') return undefined;
  if (!isTokenless(situation, wanted) || !isChanged(situation, wanted, 'CallManager')) return undefined;
  return {
    severity: 'warning',
    message: "the publisher's CallManager key signs the tokenless CTL, and it is renewed: the CTL gets another signer",
    advice:
      'update the CTL right afterwards; TVS must vouch for the new signer, and phones without Security by Default need their CTL deleted by hand',
  };
};

/** A7: both signers of a CTL from 12.0 on. */
const bothSignersRenewed: Danger = (situation, wanted) => {
  if (listSignerName(situation.cluster.release) !== 'ITLRecovery' || !isTokenless(situation, wanted)) return undefined;
  const isBoth = isChanged(situation, wanted, 'CallManager') && isChanged(situation, wanted, 'ITLRecovery');
  if (!isBoth) return undefined;
  return {
    severity: 'warning',
    message:
      'ITLRecovery and CallManager of the publisher are both renewed: done before the CTL is updated, the CTL would have to be deleted by hand on every phone',
    advice: 'renew one, update the CTL, restart all phones, then renew the other',
  };
};

/** A11: the cluster refuses a second renewal on a node within five minutes. */
const withinFiveMinutes: Danger = (situation, { renewals = [] }) => {
  const nodes = renewals.map(({ node }) => node);
  const twice = situation.cluster.nodes
    .map(({ name }) => name)
    .filter((name) => nodes.filter((node) => node === name).length > 1);
  if (twice.length === 0) return undefined;
  return {
    severity: 'warning',
    message: `more than one certificate of ${twice.join(', ')} is renewed: two must not follow each other within five minutes`,
    advice: 'wait five minutes between two renewals on one node; the plan says where',
  };
};

export const certificateDangers: Readonly<
  Record<'togetherOnOneNode' | 'signerOfCtlRenewed' | 'bothSignersRenewed' | 'withinFiveMinutes', Danger>
> = {
  togetherOnOneNode,
  signerOfCtlRenewed,
  bothSignersRenewed,
  withinFiveMinutes,
};
