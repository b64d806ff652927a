import { InputError } from '../errors.js';
import { isAtLeast, nodesWith, parseRelease, type Cluster } from '../cluster/index.js';
import { recordHolds, trustListKind, type TrustList } from '../trust-list/index.js';
import { ownCertificates } from './moves.js';
import { examineCtl } from './present.js';
import type { Renaming, Situation, Wanted } from './situation.js';

/**
 * What must fit together before anything is planned: the cluster file, the lists that the servers serve, and the wish.
 *
 * @throws InputError `cluster-file` when a cluster file contradicts a list, `usage` for a wish that names nothing or what
 *   is not there.
 */
export function requireConsistency(situation: Situation, wanted: Wanted): void {
  requireWish(situation, wanted);
  requireReleases(situation, wanted);
  requireCluster(situation);
  if (wanted.destination !== undefined) requireDestination(situation, wanted.destination);
}

type OneCluster = Pick<Situation, 'cluster' | 'ctl' | 'itls'>;

function requireCluster(served: OneCluster): void {
  requireRsa(served.cluster);
  requireOwnLists(served);
  requireMode(served);
}

/** The first release with Security by Default. Before it there is no ITL and no TVS, and other rules. */
const firstRelease = '8.0';

function requireReleases({ cluster }: Situation, { release }: Wanted): void {
  for (const one of [cluster.release, ...(release === undefined ? [] : [parseRelease(release)])]) {
    if (isAtLeast(one, firstRelease)) continue;
    throw new InputError(
      'usage',
      `release ${one.text} has no Security by Default, and phones follow other rules there`,
      {
        hint: `plans are made from ${firstRelease} on; before a rollback below it, set "Prepare Cluster for Rollback to pre 8.0" and restart all phones`,
      },
    );
  }
}

/** Phones verify signed files and lists with RSA keys only. */
function requireRsa({ nodes }: Cluster): void {
  for (const { name, certificates } of nodes) {
    for (const which of ['CallManager', 'ITLRecovery'] as const) {
      if ((certificates[which]?.keyType ?? 'rsa') === 'rsa') continue;
      throw new InputError('cluster-file', `the ${which} certificate of node ${name} has no RSA key`, {
        hint: `name the RSA certificate of ${which}, not the ECDSA one (${which}-ECDSA)`,
      });
    }
  }
}

function requireDestination({ cluster }: Situation, destination: NonNullable<Wanted['destination']>): void {
  requireCluster(destination);
  const missing = nodesWith(destination.cluster, 'TFTP').filter(({ name }) => destination.itls[name] === undefined);
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(', ');
    throw new InputError(
      'usage',
      `the ITL that ${names} of the new cluster serves is not given: phones are offered it`,
      {
        hint: 'fetch ITLFile.tlv from each of its TFTP nodes ("tftp get"), and give --destination-itl NODE=FILE',
      },
    );
  }
  const shared = destination.cluster.nodes.find(({ address }) =>
    cluster.nodes.some((node) => node.address === address),
  );
  if (shared === undefined) return;
  throw new InputError('cluster-file', `${shared.address} is the address of a node in both clusters`, {
    hint: 'TVS of the old cluster must go on running while the phones move: give each node its own address',
  });
}

/** RFC 1123, 2.1, as `set network hostname` takes it. */
const hostName = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

function requireWish({ cluster }: Situation, wanted: Wanted): void {
  const { mode, renewals = [], renamings = [], release, destination } = wanted;
  const count = renewals.length + renamings.length;
  if (mode === undefined && release === undefined && destination === undefined && count === 0) {
    throw new InputError('usage', 'nothing is wanted: there is nothing to plan', {
      hint: 'say what is wanted: a mode, certificates to renew, a release, or another cluster',
    });
  }
  const names = cluster.nodes.map(({ name }) => name);
  for (const { node } of [...renewals, ...renamings]) {
    if (names.includes(node)) continue;
    throw new InputError('usage', `the cluster has no node ${node}`, { hint: `its nodes are ${names.join(', ')}` });
  }
  for (const [index, { node, certificate }] of renewals.entries()) {
    const found = cluster.nodes.find(({ name }) => name === node);
    if (found?.certificates[certificate] === undefined) {
      const own = Object.keys(found?.certificates ?? {}).join(', ');
      throw new InputError('usage', `node ${node} has no ${certificate} certificate`, { hint: `it has ${own}` });
    }
    const isTwice = renewals.findIndex((one) => one.node === node && one.certificate === certificate) !== index;
    const isRenamed = renamings.some((one) => one.node === node);
    if (!isTwice && !(isRenamed && ownCertificates.includes(certificate))) continue;
    throw new InputError('usage', `the ${certificate} certificate of ${node} would be renewed twice`, {
      hint: 'name it once; another host name renews all certificates of a node but ITLRecovery',
    });
  }
  for (const { node, name } of renamings) requireNewName(names, renamings, node, name);
}

function requireNewName(names: readonly string[], renamings: readonly Renaming[], node: string, name: string): void {
  const isTaken = [...names, ...renamings.filter((one) => one.node !== node).map((one) => one.name)].some(
    (one) => one.toLowerCase() === name.toLowerCase(),
  );
  if (hostName.test(name) && !isTaken) return;
  const what = isTaken ? 'is the name of a node already' : 'is no host name';
  throw new InputError('usage', `${JSON.stringify(name)} ${what}: ${node} cannot be called so`, {
    hint: 'give a new name of letters, digits and hyphens, without the domain',
  });
}

/** A list that names none of the cluster's certificates is another cluster's, or the cluster file is. */
function requireOwnLists({ cluster, ctl, itls }: OneCluster): void {
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
    if (!nodesWith(cluster, 'TFTP').some(({ name }) => name === node)) {
      throw new InputError('usage', `an ITL is given for ${node}, and no TFTP node of the cluster file has this name`, {
        hint: `the TFTP nodes are ${nodesWith(cluster, 'TFTP')
          .map(({ name }) => name)
          .join(', ')}`,
      });
    }
    return [`the ITL of ${node}`, itl, 'ITL'] as const;
  });
}

function requireMode({ cluster, ctl }: OneCluster): void {
  const present = examineCtl({ ctl, tokens: [] });
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
