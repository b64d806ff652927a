import { nodesWith, uploadedCertificates, type Cluster, type ClusterNode } from '../cluster/index.js';
import { createItl, emptyItl, itlSigner } from '../itl/index.js';
import { signFile } from '../signed-file/index.js';
import { signingRecords, type TrustList } from '../trust-list/index.js';
import { createTvsKnowledge, type TvsKnowledge } from '../tvs/index.js';
import { decodeCertificate } from '../x509/index.js';
import type { Situation, TvsState } from './situation.js';
import type { StandIns } from './stand-ins.js';

/** What a cluster serves to phones. All lists and certificates are those of a trial: see {@link StandIns}. */
export interface ServedCluster {
  readonly cluster: Cluster;
  readonly ctl: TrustList | undefined;
  /** By the name of the TFTP node. */
  readonly itls: Readonly<Record<string, TrustList>>;
  /** The signed configuration that each TFTP node serves, made for {@link trialDevice}. */
  readonly configurations: Readonly<Record<string, Uint8Array>>;
  readonly tvs: Readonly<Record<string, TvsState>>;
  /** Whether the ITLs are emptied for a rollback (rule P6). */
  readonly isRolledBack: boolean;
  /** What its TVS servers know: all the same, for each has the same uploaded certificates and the same CTL file. */
  readonly knowledge: TvsKnowledge;
}

/** The servers of a trial at one moment; an action makes another one. */
export interface World {
  /** The cluster that is changed. */
  readonly source: ServedCluster;
  /** The cluster that the phones move to, if any. */
  readonly destination: ServedCluster | undefined;
  /** Whether the phones have been pointed to the destination. */
  readonly hasMoved: boolean;
  /** The names that nodes had, and those that they have. */
  readonly newNames: Readonly<Record<string, string>>;
  /** Nodes whose TVS went into the configuration of every phone. */
  readonly addedTvs: readonly string[];
  /** The list that was built and is not yet served. */
  readonly built: TrustList | undefined;
  /** Seconds since 1970-01-01 UTC. */
  readonly now: number;
}

/** All phones of a trial have this address: what they are called makes no difference to what they decide. */
export const trialDevice = { mac: '000000000000', name: 'SEP000000000000' } as const;

/** The certificates whose keys will sign something: those of the served lists, of the cluster, and of the tokens. */
export async function prepareStandIns(
  standIns: StandIns,
  situation: Pick<Situation, 'cluster' | 'tokens' | 'ctl' | 'itls'>,
): Promise<void> {
  for (const node of situation.cluster.nodes) {
    for (const name of ['CallManager', 'ITLRecovery'] as const) {
      const certificate = node.certificates[name];
      if (certificate?.keyType === 'rsa') await standIns.twinOf(certificate);
    }
  }
  for (const token of situation.tokens) await standIns.twinOf(token);
  for (const list of [situation.ctl, ...Object.values(situation.itls)]) {
    const signer = list === undefined ? undefined : signingRecords(list)[0]?.certificate;
    if (signer !== undefined) await standIns.twinOf(decodeCertificate(signer));
  }
}

/** The cluster of a situation as it serves phones now. */
export async function serve(
  standIns: StandIns,
  situation: Pick<Situation, 'cluster' | 'ctl' | 'itls' | 'tvs'>,
  now: number,
): Promise<ServedCluster> {
  const ctl = situation.ctl === undefined ? undefined : await standIns.offeredList(situation.ctl);
  const given = await Promise.all(
    Object.entries(situation.itls).map(async ([node, itl]) => [node, await standIns.offeredList(itl)] as const),
  );
  const cluster = standIns.cluster(situation.cluster);
  const start = { cluster, ctl, tvs: situation.tvs, isRolledBack: false };
  const whole = await serveAgain(standIns, start, now);
  return { ...whole, itls: { ...whole.itls, ...Object.fromEntries(given) } };
}

/** What is served after the TFTP services were restarted: ITLs and configurations of the present certificates. */
export async function serveAgain(
  standIns: StandIns,
  { cluster, ctl, tvs, isRolledBack }: Pick<ServedCluster, 'cluster' | 'ctl' | 'tvs' | 'isRolledBack'>,
  now: number,
): Promise<ServedCluster> {
  const itls: Record<string, TrustList> = {};
  const configurations: Record<string, Uint8Array> = {};
  const file = `${trialDevice.name}.cnf.xml`;
  for (const node of nodesWith(cluster, 'TFTP')) {
    const { certificate } = itlSigner(cluster, node);
    const signer = await standIns.signer(certificate);
    const full = await createItl(cluster, node, signer, { timestamp: now });
    itls[node.name] = isRolledBack ? await emptyItl(full, signer, { timestamp: now }) : full;
    const callManager = node.certificates.CallManager;
    if (callManager === undefined) continue;
    const options = { name: file, timestamp: now };
    configurations[node.name] = await signFile(new Uint8Array(), options, await standIns.signer(callManager));
  }
  return { cluster, ctl, tvs, isRolledBack, itls, configurations, knowledge: knowledgeOf(cluster, ctl) };
}

/** What TVS answers: it reads its stores when it starts, and its CTL file whenever that changed. */
export function knowledgeOf(cluster: Cluster, ctl: TrustList | undefined): TvsKnowledge {
  return createTvsKnowledge({ trustStores: uploadedCertificates(cluster), ctl });
}

/** Whether TVS of a node runs; a node that is not named runs it. */
export function isTvsRunning({ tvs }: Pick<Situation, 'tvs'>, node: string): boolean {
  return (tvs[node] ?? 'running') === 'running';
}

/** A node by its name or address, however the port and the domain are written. */
export function findNode(cluster: Cluster, server: string): ClusterNode | undefined {
  const host = server
    .replace(/^\[([^\]]*)\](?::\d+)?$/, '$1')
    .replace(/^([^:]*):\d+$/, '$1')
    .toLowerCase();
  return cluster.nodes.find(({ name, address }) => {
    const known = name.toLowerCase();
    return (
      host === known || host === address.toLowerCase() || host.startsWith(`${known}.`) || known.startsWith(`${host}.`)
    );
  });
}
