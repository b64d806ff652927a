import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import {
  createLabCluster,
  loadCluster,
  loadPrivateKey,
  type Cluster,
  type ClusterNode,
} from '../../src/cluster/index.js';
import { createTokenCtl, createTokenlessCtl, type CtlOptions } from '../../src/ctl/index.js';
import { createItl } from '../../src/itl/index.js';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import { tokenA, tokenB } from '../ctl/clusters.js';

/** Seconds since 1970-01-01 UTC: the clock of every test. */
export const now = 1_769_860_800;

const options: CtlOptions = { timestamp: now, now: new Date(now * 1000) };

/** A cluster with its keys, and the lists that it serves. */
export interface Served {
  readonly cluster: Cluster;
  readonly signers: Readonly<Record<string, Signer>>;
  readonly ctl: TrustList;
  /** By the name of the node. */
  readonly itls: Readonly<Record<string, TrustList>>;
}

/** The folder of a lab cluster with two nodes, its cluster file at `cluster.yaml` in it. */
export async function makeLab(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'etoken-bridge-fleet-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  await createLabCluster({
    directory,
    release: '11.5.1',
    securityMode: 'mixed',
    keyBits: 1024,
    now: new Date('2026-01-01T00:00:00Z'),
    nodes: [
      { name: 'cucm-pub', address: '192.0.2.10', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
      { name: 'cucm-sub', address: '192.0.2.11', services: ['CallManager', 'TFTP', 'TVS'] },
    ],
  });
  return directory;
}

/** A lab cluster with the lists of tokenless mode. */
export async function serveLab(directory: string): Promise<Served> {
  const cluster = await loadCluster(join(directory, 'cluster.yaml'));
  const signers = await Promise.all(cluster.nodes.map(async (node) => [node.name, await signerOf(node)] as const));
  return serve(cluster, Object.fromEntries(signers));
}

async function signerOf({ certificates, keys }: ClusterNode): Promise<Signer> {
  const [certificate, key] = [certificates.CallManager!, keys.CallManager!];
  if (key.kind !== 'file') throw new Error('the keys of a lab are in files');
  return createSoftwareSigner(certificate, await loadPrivateKey(key, certificate));
}

async function serve(cluster: Cluster, signers: Readonly<Record<string, Signer>>): Promise<Served> {
  const { list: ctl } = await createTokenlessCtl(cluster, signers['cucm-pub']!, options);
  const itls = await Promise.all(
    cluster.nodes.map(
      async (node) => [node.name, await createItl(cluster, node, signers[node.name]!, options)] as const,
    ),
  );
  return { cluster, signers, ctl, itls: Object.fromEntries(itls) };
}

/** The cluster after the CallManager certificate of its publisher was renewed: it becomes that of another lab. */
export function renew({ cluster, signers }: Served, other: Served): Promise<Served> {
  const renewed = other.cluster.nodes[0]!.certificates.CallManager!;
  const nodes = cluster.nodes.map((node, index) =>
    index === 0 ? { ...node, certificates: { ...node.certificates, CallManager: renewed } } : node,
  );
  return serve({ ...cluster, nodes }, { ...signers, 'cucm-pub': other.signers['cucm-pub']! });
}

/** A CTL of the cluster that two tokens are in. */
export async function tokenCtlOf({ cluster }: Served): Promise<TrustList> {
  return (await createTokenCtl(cluster, [tokenA.certificate, tokenB.certificate], tokenA.signer, options)).list;
}

export function sha1Of({ bytes }: Pick<TrustList, 'bytes'>): string {
  return createHash('sha1').update(bytes).digest('hex');
}

export function md5Of({ bytes }: Pick<TrustList, 'bytes'>): string {
  return createHash('md5').update(bytes).digest('hex');
}
