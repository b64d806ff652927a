import { formatHex } from '../bytes/index.js';
import {
  isAtLeast,
  nodeCertificate,
  parseRelease,
  publisherOf,
  type CertificateName,
  type Cluster,
  type ClusterNode,
} from '../cluster/index.js';
import {
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
  type AcceptableCheck,
  type CtlOptions,
  type CtlResult,
} from '../ctl/index.js';
import { InputError, RefusalError } from '../errors.js';
import { digestOf } from '../signer/index.js';
import type { TrustList } from '../trust-list/index.js';
import { issueCertificate, type Certificate, type DistinguishedName } from '../x509/index.js';
import { ownCertificates } from './moves.js';
import type { Action, CertificateNote, CtlFlow, ListSigner } from './plan.js';
import type { StandIns } from './stand-ins.js';
import { knowledgeOf, serveAgain, type ServedCluster, type World } from './world.js';

/** What an action is carried out with, on trial. */
export interface Trial {
  readonly standIns: StandIns;
  /** The real certificates that actions name: tokens, certificates of the cluster. */
  readonly known: readonly Certificate[];
  readonly accept: readonly AcceptableCheck[];
}

/** Ten minutes from one step to the next, in seconds: two certificates of a node want five between them (A11). */
const pace = 600;

/**
 * The servers after an action. What the phones do, and what is done to them, changes no server.
 *
 * @throws RefusalError of the flows, e.g. `A2`, as they will refuse the real one.
 */
export async function carryOut(trial: Trial, world: World, action: Action): Promise<World> {
  const next = { ...world, now: world.now + pace };
  const change = await changes[action.kind](trial, next, withNewName(world, action) as never);
  return { ...next, ...change };
}

/** Moves are tried in any order: one may follow the renaming of its node. */
function withNewName({ newNames }: World, action: Action): Action {
  return 'node' in action ? { ...action, node: newNames[action.node] ?? action.node } : action;
}

type Change<Kind extends Action['kind']> = (
  trial: Trial,
  world: World,
  action: Extract<Action, { readonly kind: Kind }>,
) => Promise<Partial<World>> | Partial<World>;

/** What becomes of the servers by each kind of action. */
const changes: { readonly [Kind in Action['kind']]: Change<Kind> } = {
  upload: async (trial, { source }, { store, certificates: notes }) => {
    const certificates = await Promise.all(notes.map((note) => realCertificate(trial, note)));
    return { source: upload(trial, source, store, certificates) };
  },
  'start-tvs': (_trial, { source }, { node }) => ({ source: { ...source, tvs: { ...source.tvs, [node]: 'running' } } }),
  'add-tvs-servers': (_trial, world, { nodes }) => ({ addedTvs: [...world.addedTvs, ...nodes] }),
  'build-ctl': async (trial, world, action) => ({ built: await buildCtl(trial, world, action.flow, action) }),
  'publish-ctl': async (trial, world, { securityMode }) => {
    const cluster = { ...world.source.cluster, securityMode };
    return { ...(await serving(trial, world, { cluster, ctl: world.built })), built: undefined };
  },
  'cluster-ctl': async (trial, world, action) => {
    const { flow, securityMode } = action;
    const ctl = await buildCtl(trial, world, flow, { ...action, tokens: [], accept: [] });
    return serving(trial, world, { cluster: { ...world.source.cluster, securityMode }, ctl });
  },
  renew: async (trial, world, { node, certificate }) =>
    serving(trial, world, { cluster: await renew(trial, world, node, [certificate]) }),
  rename: async (trial, world, { node, name }) => {
    const { cluster } = world.source;
    const renewed = await renew(trial, world, node, ownCertificates);
    const nodes = renewed.nodes.map((one) => (one.name === node ? { ...one, name } : one));
    const tvs = renameKey(world.source.tvs, node, name);
    const addedTvs = world.addedTvs.map((one) => (one === node ? name : one));
    const newNames = { ...world.newNames, [node]: name };
    return { ...(await serving(trial, world, { cluster: { ...cluster, nodes }, tvs })), addedTvs, newNames };
  },
  'remove-ctl-file': (trial, world) =>
    serving(trial, world, { cluster: { ...world.source.cluster, securityMode: 'non-secure' }, ctl: undefined }),
  'empty-itls': (trial, world) => serving(trial, world, { isRolledBack: true }),
  'fill-itls': (trial, world) => serving(trial, world, { isRolledBack: false }),
  'change-release': async (trial, world, { release }) => {
    const cluster = { ...world.source.cluster, release: parseRelease(release) };
    return serving(trial, world, { cluster: await withRecovery(trial, world, cluster) });
  },
  'move-phones': () => ({ hasMoved: true }),
  'restart-phones': () => ({}),
  'delete-list': () => ({}),
};

/** The source serves anew, with what has changed. */
async function serving(trial: Trial, world: World, change: Partial<ServedCluster>): Promise<Pick<World, 'source'>> {
  return { source: await serveAgain(trial.standIns, { ...world.source, ...change }, world.now) };
}

function renameKey<Value>(record: Readonly<Record<string, Value>>, from: string, to: string): Record<string, Value> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key === from ? to : key, value]));
}

/** From 10.0 a cluster has an ITLRecovery certificate; one that is upgraded makes it. */
async function withRecovery(trial: Trial, world: World, cluster: Cluster): Promise<Cluster> {
  const publisher = publisherOf(cluster);
  if (publisher.certificates.ITLRecovery !== undefined || !isAtLeast(cluster.release, '10.0')) return cluster;
  const subject = [{ type: 'CN', value: `ITLRECOVERY_${publisher.name}` }];
  const ITLRecovery = await makeCertificate(trial, world, 'ITLRecovery', { subject, seed: publisher.name });
  const changed = { ...publisher, certificates: { ...publisher.certificates, ITLRecovery } };
  return { ...cluster, nodes: cluster.nodes.map((node) => (node === publisher ? changed : node)) };
}

function upload(
  trial: Trial,
  source: ServedCluster,
  store: string,
  certificates: readonly Certificate[],
): ServedCluster {
  const { cluster } = source;
  const added = certificates.map((certificate) => trial.standIns.certificate(certificate));
  const trustStores = { ...cluster.trustStores, [store]: [...(cluster.trustStores[store] ?? []), ...added] };
  const changed = { ...cluster, trustStores };
  return { ...source, cluster: changed, knowledge: knowledgeOf(changed, source.ctl) };
}

/** The same names, a new serial and a new key. */
async function renew(
  trial: Trial,
  world: World,
  nodeName: string,
  names: readonly CertificateName[],
): Promise<Cluster> {
  const { cluster } = world.source;
  const found = cluster.nodes.find(({ name }) => name === nodeName);
  if (found === undefined) throw new InputError('usage', `the cluster has no node ${nodeName}`);
  let node: ClusterNode = found;
  for (const name of names) {
    const old = node.certificates[name];
    if (old === undefined) continue;
    const made = await makeCertificate(trial, world, name, { subject: old.subject, seed: formatHex(old.serialNumber) });
    node = { ...node, certificates: { ...node.certificates, [name]: made } };
  }
  return { ...cluster, nodes: cluster.nodes.map((one) => (one.name === nodeName ? node : one)) };
}

/**
 * A certificate that a cluster makes on the way. However many ways are tried, the successor of a certificate is made
 * once: in no world does it meet itself.
 *
 * @param owner its names, and what makes its serial number another than that of any other.
 */
async function makeCertificate(
  trial: Trial,
  world: World,
  name: CertificateName,
  { subject, seed }: { readonly subject: DistinguishedName; readonly seed: string },
): Promise<Certificate> {
  return trial.standIns.made(`${seed} ${name}`, async (key) => {
    const digest = digestOf('sha1', new TextEncoder().encode(`${seed} ${name}`));
    // Sixteen bytes that DER writes as they are: positive, and without a leading zero.
    const serialNumber = Uint8Array.from([((digest[0] ?? 0) & 0x3f) | 0x40, ...digest.subarray(1, 16)]);
    const notBefore = new Date(world.now * 1000);
    const notAfter = new Date(notBefore);
    notAfter.setUTCFullYear(notAfter.getUTCFullYear() + 5);
    const request = { subject, publicKey: key, serialNumber, notBefore, notAfter };
    return issueCertificate(request, { name: subject, key });
  });
}

async function buildCtl(
  trial: Trial,
  world: World,
  flow: CtlFlow,
  action: Pick<Extract<Action, { kind: 'build-ctl' }>, 'signer' | 'tokens' | 'accept'>,
): Promise<TrustList> {
  const { source } = world;
  const securityMode = flow === 'to-non-secure' ? 'non-secure' : 'mixed';
  const cluster = { ...source.cluster, securityMode } as const;
  const accept = [...new Set([...trial.accept, ...action.accept])];
  const options: CtlOptions = { timestamp: world.now, now: new Date(world.now * 1000), accept };
  const signer = await trial.standIns.signer(await signerCertificate(trial, cluster, action.signer));
  const tokens = await Promise.all(
    action.tokens.map(async (note) => trial.standIns.certificate(await realCertificate(trial, note))),
  );
  const present = source.ctl;
  const build = async (): Promise<CtlResult> => {
    if (flow === 'create-token') return createTokenCtl(cluster, tokens, signer, options);
    if (flow === 'create-tokenless') return createTokenlessCtl(cluster, signer, options);
    if (present === undefined) throw new RefusalError('wrong-mode', 'there is no CTL that could be changed');
    switch (flow) {
      case 'update':
        return updateCtl(present, cluster, signer, options);
      case 'add-token': {
        const [token] = tokens;
        if (token === undefined) throw new RefusalError('no-such-token', 'no token to add is named');
        return addToken(present, token, signer, { ...options, release: cluster.release });
      }
      case 'to-token':
        return toToken(present, cluster, tokens, signer, options);
      case 'to-tokenless':
        return toTokenless(present, cluster, signer, options);
      case 'to-non-secure':
        return toNonSecure(present, signer, options);
    }
  };
  return (await build()).list;
}

async function signerCertificate(trial: Trial, cluster: Cluster, signer: ListSigner): Promise<Certificate> {
  return signer.kind === 'token'
    ? realCertificate(trial, signer.certificate)
    : nodeCertificate(publisherOf(cluster), signer.name);
}

function realCertificate(trial: Trial, note: CertificateNote): Promise<Certificate> {
  const found = trial.known.find((certificate) => formatHex(digestOf('sha1', certificate.der)) === note.sha1);
  if (found !== undefined) return Promise.resolve(found);
  return Promise.reject(
    new InputError('usage', `the plan names the certificate ${note.subject} (SHA-1 ${note.sha1}), and it is not here`),
  );
}
