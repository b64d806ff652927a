import { printable } from '../../bytes/index.js';
import {
  loadCluster,
  loadPrivateKey,
  uploadedCertificates,
  type Cluster,
  type ClusterNode,
} from '../../cluster/index.js';
import { InputError } from '../../errors.js';
import { createTvsKnowledge, startTvsServer } from '../../tvs/index.js';
import type { Certificate } from '../../x509/index.js';
import { exitCode } from '../exit-code.js';
import { readPassword } from '../password.js';
import type { Output } from '../output.js';
import { formatEndpoint, parsePort } from '../endpoint.js';
import { untilStopped } from '../until-stopped.js';
import type { TvsServeOptions } from './tvs.js';

/** `tvs serve`. */
export async function serveTvs(options: TvsServeOptions, output: Output): Promise<number> {
  const port = parsePort(options.port);
  const cluster = await loadCluster(options.cluster);
  const { node, certificate, key } = await identityOf(chooseNode(cluster, options), options);
  const legacyTls = options.legacyTls === true;
  if (legacyTls) {
    output.warning(
      '--legacy-tls allows TLS 1.0 with AES256-SHA: old phones need it, but it has no forward secrecy and ' +
        'known weaknesses: whoever gets the key later can read what was asked. Use it on a trusted network only',
    );
  }
  const write = (line: string): void => output.note(`${new Date().toISOString()} | ${line}`);
  // A log that nobody sees would cost every answer its lines.
  const log = options.quiet === true ? {} : { log: write };
  const ctlFile = options.ctl === undefined ? {} : { ctlFile: options.ctl };
  const knowledge = createTvsKnowledge({ trustStores: uploadedCertificates(cluster), ...ctlFile, ...log });
  const server = await startTvsServer({ certificate, key, knowledge, host: options.host, port, legacyTls, ...log });
  const stopped = untilStopped();
  output.result(`${formatEndpoint(server)}\n`, { host: server.host, port: server.port, node: node.name, legacyTls });
  output.note(`TVS of ${node.name}; Ctrl-C stops it`);
  await stopped;
  await server.close();
  return exitCode.done;
}

function chooseNode(cluster: Cluster, { node: wanted, cluster: path }: TvsServeOptions): ClusterNode {
  const names = cluster.nodes.map(({ name }) => printable(name)).join(', ');
  const node = cluster.nodes.find(({ name, certificates, keys }) =>
    wanted === undefined ? certificates.TVS !== undefined && keys.TVS !== undefined : name === wanted,
  );
  if (node !== undefined) return node;
  if (wanted === undefined) {
    throw new InputError('cluster-file', `no node of ${printable(path)} has both a TVS certificate and its key`, {
      hint: 'add certificates: TVS and keys: TVS to a node',
    });
  }
  throw new InputError('usage', `${printable(path)} has no node ${printable(wanted)}`, {
    hint: `its nodes are ${names}`,
  });
}

async function identityOf(
  node: ClusterNode,
  options: TvsServeOptions,
): Promise<{ node: ClusterNode; certificate: Certificate; key: Awaited<ReturnType<typeof loadPrivateKey>> }> {
  const certificate = node.certificates.TVS;
  const reference = node.keys.TVS;
  const name = printable(node.name);
  if (certificate === undefined || reference === undefined) {
    const what = certificate === undefined ? 'certificate' : 'private key';
    throw new InputError('cluster-file', `node ${name} has no TVS ${what} in the cluster file`, {
      hint: 'add it to the node, or choose another --node',
    });
  }
  if (reference.kind === 'token') {
    throw new InputError('cluster-file', `the TVS key of node ${name} is on a token, and TLS needs it in a file`, {
      hint: 'name the key file under keys: TVS',
    });
  }
  const password = await readPassword(options.keyPasswordFile);
  return { node, certificate, key: await loadPrivateKey(reference, certificate, password) };
}
