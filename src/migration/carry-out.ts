import { formatHex } from '../bytes/index.js';
import {
  certificateNames,
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
import { issueCertificate, type Certificate } from '../x509/index.js';
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
  const { source } = world;
  const serveAs = async (changed: ServedCluster): Promise<World> => {
    return { ...next, source: await serveAgain(trial.standIns, changed, next.now) };
  };
  switch (action.kind) {
    case 'upload': {
      const certificates = await Promise.all(action.certificates.map((note) => realCertificate(trial, note)));
      return { ...next, source: upload(trial, source, action.store, certificates) };
    }
    case 'start-tvs':
      return { ...next, source: { ...source, tvs: { ...source.tvs, [action.node]: 'running' } } };
    case 'add-tvs-servers':
      return { ...next, addedTvs: [...world.addedTvs, ...action.nodes] };
    case 'build-ctl':
      return { ...next, built: await buildCtl(trial, next, action.flow, action) };
    case 'publish-ctl': {
      const { securityMode } = action;
      const cluster = { ...source.cluster, securityMode };
      return { ...(await serveAs({ ...source, cluster, ctl: world.built })), built: undefined };
    }
    case 'cluster-ctl': {
      const { securityMode } = action;
      const ctl = await buildCtl(trial, next, action.flow, { ...action, tokens: [], accept: [] });
      return serveAs({ ...source, cluster: { ...source.cluster, securityMode }, ctl });
    }
    case 'renew':
      return serveAs({ ...source, cluster: await renew(trial, next, action.node, [action.certificate]) });
    case 'rename': {
      const own = certificateNames.filter((name) => name !== 'ITLRecovery');
      const cluster = await renew(trial, next, action.node, own);
      const nodes = cluster.nodes.map((node) => (node.name === action.node ? { ...node, name: action.name } : node));
      const tvs = Object.entries(source.tvs).map(([node, state]) => [node === action.node ? action.name : node, state]);
      return serveAs({
        ...source,
        cluster: { ...cluster, nodes },
        tvs: Object.fromEntries(tvs) as ServedCluster['tvs'],
      });
    }
    case 'remove-ctl-file':
      return { ...next, source: { ...source, ctl: undefined, knowledge: knowledgeOf(source.cluster, undefined) } };
    case 'empty-itls':
      return serveAs({ ...source, isRolledBack: true });
    case 'fill-itls':
      return serveAs({ ...source, isRolledBack: false });
    case 'change-release':
      return serveAs({ ...source, cluster: { ...source.cluster, release: parseRelease(action.release) } });
    case 'move-phones':
      return { ...next, hasMoved: true };
    case 'restart-phones':
    case 'delete-list':
      return next;
  }
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
    const key = await trial.standIns.newKey();
    const serialNumber = digestOf(
      'sha1',
      new TextEncoder().encode(`${formatHex(old.serialNumber)} ${String(world.now)} ${name}`),
    );
    serialNumber[0] = ((serialNumber[0] ?? 0) & 0x3f) | 0x40;
    const notBefore = new Date(world.now * 1000);
    const notAfter = new Date(notBefore);
    notAfter.setUTCFullYear(notAfter.getUTCFullYear() + 5);
    const made = await issueCertificate(
      { subject: old.subject, publicKey: key, serialNumber: serialNumber.subarray(0, 16), notBefore, notAfter },
      { name: old.subject, key },
    );
    node = { ...node, certificates: { ...node.certificates, [name]: trial.standIns.adopt(made, key) } };
  }
  return { ...cluster, nodes: cluster.nodes.map((one) => (one.name === nodeName ? node : one)) };
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
