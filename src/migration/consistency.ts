import { InputError } from '../errors.js';
import type { Cluster } from '../cluster/index.js';
import { recordHolds, trustListKind, type TrustList } from '../trust-list/index.js';
import { examineCtl } from './present.js';
import type { Situation, Wanted } from './situation.js';
import { tftpNodes } from './world.js';

/**
 * What must fit together before anything is planned: the cluster file, the lists that the servers serve, and the wish.
 *
 * @throws InputError `cluster-file` when the cluster file contradicts a list, `usage` for a wish that names nothing or
 *   what is not there.
 */
export function requireConsistency(situation: Situation, wanted: Wanted): void {
  requireWish(situation, wanted);
  requireOwnLists(situation);
  requireMode(situation);
}

function requireWish({ cluster }: Situation, wanted: Wanted): void {
  const { mode, renewals = [], renamings = [], release, destination } = wanted;
  if (
    mode === undefined &&
    release === undefined &&
    destination === undefined &&
    renewals.length + renamings.length === 0
  ) {
    throw new InputError('usage', 'nothing is wanted: there is nothing to plan', {
      hint: 'say what is wanted: a mode, certificates to renew, a release, or another cluster',
    });
  }
  const names = cluster.nodes.map(({ name }) => name).join(', ');
  for (const { node } of [...renewals, ...renamings]) {
    if (cluster.nodes.some(({ name }) => name === node)) continue;
    throw new InputError('usage', `the cluster has no node ${node}`, { hint: `its nodes are ${names}` });
  }
  for (const { node, certificate } of renewals) {
    const found = cluster.nodes.find(({ name }) => name === node);
    if (found?.certificates[certificate] !== undefined) continue;
    const own = Object.keys(found?.certificates ?? {}).join(', ');
    throw new InputError('usage', `node ${node} has no ${certificate} certificate`, { hint: `it has ${own}` });
  }
}

/** A list that names none of the cluster's certificates is another cluster's, or the cluster file is. */
function requireOwnLists({ cluster, ctl, itls }: Situation): void {
  const certificates = cluster.nodes.flatMap((node) => Object.values(node.certificates));
  const hosts = new Set(cluster.nodes.flatMap(({ name, address }) => [name.toLowerCase(), address]));
  // After renewals a list may hold none of the present certificates, and still names the nodes.
  const isOfCluster = (list: TrustList): boolean =>
    list.records.some(
      (record) =>
        hosts.has((record.dnsName ?? '').trim().toLowerCase()) ||
        certificates.some((one) => recordHolds(record, one.der)),
    );
  const refuse = (what: string, hint: string): never => {
    throw new InputError('cluster-file', `the cluster file and ${what} contradict each other`, { hint });
  };
  const lists = [...(ctl === undefined ? [] : [['the CTL', ctl, 'CTL'] as const]), ...itlsOf(cluster, itls)];
  for (const [what, list, kind] of lists) {
    const named = trustListKind(list.header.fileName);
    if (named !== undefined && named !== kind) {
      throw new InputError('usage', `${what} calls itself an ${named} (FILENAME ${list.header.fileName})`, {
        hint: 'give each list where its kind is asked for',
      });
    }
    if (isOfCluster(list)) continue;
    refuse(
      `${what}: the list names neither a node nor a certificate of the cluster file`,
      'download the present certificates of each node, or give the lists of this cluster',
    );
  }
}

function itlsOf(cluster: Cluster, itls: Situation['itls']): readonly (readonly [string, TrustList, 'ITL'])[] {
  return Object.entries(itls).map(([node, itl]) => {
    if (!tftpNodes(cluster).some(({ name }) => name === node)) {
      throw new InputError('usage', `an ITL is given for ${node}, and no TFTP node of the cluster file has this name`, {
        hint: `the TFTP nodes are ${tftpNodes(cluster)
          .map(({ name }) => name)
          .join(', ')}`,
      });
    }
    return [`the ITL of ${node}`, itl, 'ITL'] as const;
  });
}

function requireMode(situation: Situation): void {
  const { cluster } = situation;
  const present = examineCtl(situation);
  const isMixed = present.mode !== 'no-ctl' && !present.isEmptied;
  if (isMixed === (cluster.securityMode === 'mixed')) return;
  const list = present.mode === 'no-ctl' ? 'there is no CTL' : isMixed ? 'the CTL names servers' : 'the CTL is emptied';
  throw new InputError(
    'cluster-file',
    `the cluster file says that the cluster is ${cluster.securityMode}, and ${list}: they contradict each other`,
    {
      hint: isMixed
        ? 'write "securityMode: mixed", or leave the CTL out if the TFTP servers no longer have it'
        : 'give the CTL that the TFTP servers serve, or write "securityMode: non-secure"',
    },
  );
}
