import { printable } from '../../bytes/index.js';
import { certificateNames, loadCluster, nodesWith, type CertificateName, type Cluster } from '../../cluster/index.js';
import { InputError } from '../../errors.js';
import type { CentralTftp, Renewal, Situation, TvsState, Wanted } from '../../migration/index.js';
import type { TrustList } from '../../trust-list/index.js';
import { readByNode, requireNode } from '../live-servers.js';
import type { PlanCommandOptions } from './migrate-plan.js';
import { loadHeldList } from './trust-list.js';

/** The lists that the servers of a cluster serve. */
export type Lists = Pick<Situation, 'ctl' | 'itls'>;

/** Reads them. With one TFTP node its ITL needs no name. */
export async function loadLists(
  cluster: Cluster,
  ctl: string | undefined,
  texts: readonly string[] | undefined,
  option: string,
): Promise<Lists> {
  const [only, another] = nodesWith(cluster, 'TFTP');
  const named = (texts ?? []).map((text) =>
    only !== undefined && another === undefined && !text.startsWith(`${only.name}=`) ? `${only.name}=${text}` : text,
  );
  const paths = readByNode(option, named, (path) => path, 'FILE');
  const itls: Record<string, TrustList> = {};
  for (const [node, path] of paths) {
    requireNode(cluster, option, node);
    itls[node] = await loadHeldList(path, 'ITL');
  }
  return { ctl: ctl === undefined ? undefined : await loadHeldList(ctl, 'CTL'), itls };
}

/** What is wanted, as the options of `migrate plan` say it. */
export async function readWish(cluster: Cluster, options: PlanCommandOptions): Promise<Wanted> {
  const { to, renew = [], rename = [], toRelease, destination } = options;
  const renewals = renew.flatMap((text) => readRenewals(cluster, text));
  const renamings = [...readByNode('--rename', rename, (name) => name, 'NEW-NAME')].map(([node, name]) => ({
    node,
    name,
  }));
  const other = destination === undefined ? undefined : await loadCluster(destination);
  const lists =
    other === undefined
      ? undefined
      : await loadLists(other, options.destinationCtl, options.destinationItl, '--destination-itl');
  return {
    ...(to === undefined ? {} : { mode: to }),
    ...(renewals.length === 0 ? {} : { renewals }),
    ...(renamings.length === 0 ? {} : { renamings }),
    ...(toRelease === undefined ? {} : { release: toRelease }),
    ...(other === undefined || lists === undefined ? {} : { destination: { cluster: other, tvs: {}, ...lists } }),
  };
}

/** `NODE=CERTIFICATE[,CERTIFICATE…]` */
function readRenewals(cluster: Cluster, text: string): readonly Renewal[] {
  return [...readByNode('--renew', [text], (names) => names.split(','), 'CERTIFICATE[,CERTIFICATE…]')].flatMap(
    ([node, names]) => {
      requireNode(cluster, '--renew', node);
      return names.map((name) => ({ node, certificate: readCertificateName(name.trim()) }));
    },
  );
}

function readCertificateName(text: string): CertificateName {
  const found = certificateNames.find((name) => name.toLowerCase() === text.toLowerCase());
  if (found !== undefined) return found;
  throw new InputError('usage', `--renew: ${printable(text)} is no certificate of a node`, {
    hint: `the certificates are ${certificateNames.join(', ')}`,
  });
}

/** Where TVS does not run, by node. */
export function readTvsStates(
  cluster: Cluster,
  { tvsStopped = [], tvsUnreachable = [] }: PlanCommandOptions,
): Record<string, TvsState> {
  const states: Record<string, TvsState> = {};
  const set = (option: string, nodes: readonly string[], state: TvsState): void => {
    for (const node of nodes) {
      requireNode(cluster, option, node);
      if (states[node] !== undefined) {
        throw new InputError('usage', `TVS of ${node} is said to be stopped and unreachable`, {
          hint: 'say one of both',
        });
      }
      states[node] = state;
    }
  };
  set('--tvs-stopped', [...new Set(tvsStopped)], 'stopped');
  set('--tvs-unreachable', [...new Set(tvsUnreachable)], 'unreachable');
  return states;
}

/** `CLUSTER=per-device` or `CLUSTER=common`, for each cluster behind a central TFTP server. */
export function readCentralTftp(texts: readonly string[] | undefined): CentralTftp | undefined {
  if (texts === undefined) return undefined;
  const named = readByNode(
    '--central-tftp',
    texts,
    (how) => {
      if (how === 'per-device' || how === 'common') return how === 'per-device';
      throw new InputError('usage', `--central-tftp: ${printable(how)} is neither per-device nor common`, {
        hint: 'write CLUSTER=per-device where TFTP serves ITLSEP<MAC>.tlv, and CLUSTER=common where it serves ITLFile.tlv only',
      });
    },
    'per-device or =common',
  );
  return { clusters: [...named].map(([name, perDevice]) => ({ name, perDevice })) };
}
