import { listSignerName, nodeCertificate, publisherOf, type Cluster, type ClusterNode } from '../cluster/index.js';
import { InputError } from '../errors.js';
import { recordFunction } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import type { WantedRecord } from './layout.js';
import type { CtlMode } from './present.js';

/** What a token list must hold, in the order of the CTL client: first token, servers, further tokens. */
export function tokenList(cluster: Cluster, tokens: readonly Certificate[]): readonly WantedRecord[] {
  const wanted = tokens.map((certificate) => ({ certificate, role: recordFunction.sast }));
  return [...wanted.slice(0, 1), ...serversOf(cluster, 'token'), ...wanted.slice(1)];
}

/**
 * What a tokenless list must hold, in the order of `utils ctl`: the CallManager as signer, the servers, from 12.0 the
 * ITLRecovery as a further signer.
 */
export function tokenlessList(cluster: Cluster): readonly WantedRecord[] {
  const node = publisherOf(cluster);
  const wanted = clusterSigners(cluster).map((certificate) => ({ certificate, role: recordFunction.sast, node }));
  return [...wanted.slice(0, 1), ...serversOf(cluster, 'tokenless'), ...wanted.slice(1)];
}

/** The function-0 certificates of a tokenless list: the publisher's CallManager, from 12.0 its ITLRecovery too. */
export function clusterSigners(cluster: Cluster): readonly Certificate[] {
  const publisher = publisherOf(cluster);
  const callManager = certificateOf(publisher, 'CallManager');
  const name = listSignerName(cluster.release);
  return name === 'CallManager' ? [callManager] : [callManager, certificateOf(publisher, name)];
}

/**
 * The certificate whose key signs a cluster's tokenless lists: the publisher's CallManager before 12.0, its
 * ITLRecovery from 12.0.
 *
 * @throws InputError `cluster-file` when the publisher has none.
 */
export function tokenlessSigner(cluster: Cluster): { name: 'CallManager' | 'ITLRecovery'; certificate: Certificate } {
  const name = listSignerName(cluster.release);
  return { name, certificate: certificateOf(publisherOf(cluster), name) };
}

/**
 * The records of a cluster's servers, in the order that clusters write: CCM+TFTP and CAPF of the publisher, then those
 * of each further node. Nodes that share a certificate have a record each.
 *
 * @throws InputError `cluster-file` when a node lacks a certificate that its services need, or no node serves phones.
 */
export function serversOf(cluster: Cluster, mode: CtlMode): readonly WantedRecord[] {
  if (!cluster.nodes.some((node) => serverRole(node, mode) !== undefined)) {
    throw new InputError('cluster-file', 'no node of the cluster file runs CallManager or TFTP', {
      hint: 'add the services to the nodes that run them; phones find none of their servers in a list without them',
    });
  }
  return cluster.nodes.flatMap((node) => {
    const role = serverRole(node, mode);
    const wanted: WantedRecord[] = [];
    if (role !== undefined) wanted.push({ certificate: certificateOf(node, 'CallManager'), role, node });
    if (node.services.includes('CAPF')) {
      wanted.push({ certificate: certificateOf(node, 'CAPF'), role: recordFunction.capf, node });
    }
    return wanted;
  });
}

/** The CTL client tells CCM, TFTP and both apart; `utils ctl` writes CCM+TFTP for every node that runs either. */
function serverRole(node: ClusterNode, mode: CtlMode): number | undefined {
  const isCcm = node.services.includes('CallManager');
  const isTftp = node.services.includes('TFTP');
  if (!isCcm && !isTftp) return undefined;
  if (mode === 'tokenless' || (isCcm && isTftp)) return recordFunction.ccmTftp;
  return isCcm ? recordFunction.ccm : recordFunction.tftp;
}

/**
 * A node's certificate, which must be RSA: phones verify signed files and lists with RSA only.
 *
 * @throws InputError `cluster-file` when the cluster file names none, or one with another kind of key.
 */
function certificateOf(node: ClusterNode, name: 'CallManager' | 'CAPF' | 'ITLRecovery'): Certificate {
  const certificate = nodeCertificate(node, name);
  if (certificate.keyType !== 'rsa') {
    throw new InputError(
      'cluster-file',
      `the ${name} certificate of node ${node.name} has no RSA key; phones could not verify what it signs`,
      { hint: `name the RSA certificate of ${name}, not the ECDSA one (${name}-ECDSA)` },
    );
  }
  return certificate;
}
