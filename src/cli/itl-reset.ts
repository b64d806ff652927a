import { join } from 'node:path';
import { printable } from '../bytes/index.js';
import {
  isAtLeast,
  listSignerName,
  publisherOf,
  type CertificateName,
  type Cluster,
  type ClusterNode,
} from '../cluster/index.js';
import { InputError, RefusalError } from '../errors.js';
import { createItl, resetItl, type ItlSignerName } from '../itl/index.js';
import type { DigestAlgorithm, Signer } from '../signer/index.js';
import {
  describeTrustList,
  formatFunction,
  recordHolds,
  trustListKind,
  verifyTrustList,
  type TrustList,
} from '../trust-list/index.js';
import { loadTrustList } from './commands/trust-list.js';
import type { DeviceFiles } from './device-names.js';
import { exitCode } from './exit-code.js';
import { formatDevices, writeLists, type WrittenList } from './itl-files.js';
import type { Output } from './output.js';
import { tftpNodes } from './tftp-folders.js';

/**
 * A reset that is to be made. `itl reset localkey` and `itl reset remotekey` differ only in where the key comes from.
 */
export interface ResetRequest {
  readonly cluster: Cluster;
  /** The path of the cluster file, for messages. */
  readonly clusterFile: string;
  /** Holds the key that signs the list. Its certificate must be a function-0 record of the list. */
  readonly recovery: Signer;
  /** Whose key that is: ITLRecovery unless given. */
  readonly signedBy?: ItlSignerName;
  /** The file of the publisher's ITL; the list is made from the cluster file unless given. */
  readonly itl?: string | undefined;
  /** The folder that gets a folder for each TFTP node. */
  readonly out: string;
  /** TIMESTAMP, in seconds since 1970-01-01 UTC. */
  readonly timestamp: number;
  /** Digest of the signature: that of the present list, else SHA-1, unless given. */
  readonly digestAlgorithm?: DigestAlgorithm | undefined;
  /** Phones under whose own names the list is put beside it. */
  readonly devices?: DeviceFiles | undefined;
  /** Files that the command read: none of them is overwritten. */
  readonly inputs: readonly string[];
}

/**
 * Signs the publisher's ITL with the recovery key, gives it to every TFTP node, and prints what the cluster prints. All
 * files are written, or none.
 *
 * @returns the exit code.
 * @throws InputError, FormatError; RefusalError `other-state` for a list that holds what the cluster has not; ProofError `no-signing-record`, `key-mismatch`; what the signer throws.
 */
export async function runReset(request: ResetRequest, output: Output): Promise<number> {
  const { cluster, itl, out, inputs, devices } = request;
  const nodes = tftpNodes(cluster).map(({ name }) => name);
  const present = itl === undefined ? undefined : await loadItl(itl);
  if (present !== undefined) examinePresent(present, request, output);
  const targets = nodes.map((node) => ({ node, path: join(out, node, 'ITLFile.tlv') }));
  const progress = (done: number, total: number): void => output.progress(done, total, 'names of phones');
  const all = itl === undefined ? inputs : [...inputs, itl];
  const places = { targets, out, inputs: all, devices, updates: itl, progress };
  const written = await writeLists(places, async () => {
    const list = await makeList(request, present);
    return new Map(nodes.map((node) => [node, list]));
  });
  report(request, written, output);
  return exitCode.done;
}

/** @throws InputError `usage` for a CTL, and as {@link loadTrustList} */
async function loadItl(path: string): Promise<TrustList> {
  const list = await loadTrustList(path);
  if (trustListKind(list.header.fileName) !== 'CTL') return list;
  throw new InputError('usage', `${printable(path)} is a CTL, and the ITL of the publisher is wanted`, {
    hint: 'a CTL is signed anew with "ctl sign" or "ctl update"',
  });
}

function makeList(request: ResetRequest, present: TrustList | undefined): Promise<TrustList> {
  const { cluster, recovery, timestamp, digestAlgorithm, signedBy = 'ITLRecovery' } = request;
  const options = { timestamp, ...(digestAlgorithm === undefined ? {} : { digestAlgorithm }) };
  if (present !== undefined) return resetItl(present, recovery, options);
  return createItl(cluster, publisherOf(cluster), recovery, { ...options, signedBy });
}

/**
 * What is signed again as it is must be what the cluster is: phones will trust each of its records, and a list that is
 * behind would lose them with the next restart of Cisco Tftp.
 *
 * @throws RefusalError `other-state`
 */
function examinePresent(present: TrustList, request: ResetRequest, output: Output): void {
  const { cluster, clusterFile, itl = '' } = request;
  const name = printable(itl);
  const known = [
    request.recovery.certificate,
    ...cluster.nodes.flatMap(({ certificates }) => Object.values(certificates)),
  ];
  for (const [index, record] of present.records.entries()) {
    const isEmptied = record.certificate === undefined && record.certificateHash === undefined;
    if (isEmptied || known.some(({ der }) => recordHolds(record, der))) continue;
    const what = `record ${String(index + 1)} of ${name}, ${formatFunction(record.function)} ${printable(record.subjectName ?? '')}`;
    throw new RefusalError('other-state', `${what}, has no certificate of ${printable(clusterFile)}`, {
      hint: 'leave --itl out, and the list is made from the cluster file; or bring the cluster file up to date',
    });
  }
  const verification = verifyTrustList(present);
  if (!verification.verified) {
    output.warning(
      `A9: ${name} does not verify (${verification.reason}); its records are the cluster's, and are signed`,
    );
  }
  for (const [node, which] of wantedIn(cluster)) {
    const certificate = node.certificates[which];
    if (certificate === undefined || present.records.some((record) => recordHolds(record, certificate.der))) continue;
    output.warning(`${name} does not hold the ${which} certificate of ${node.name}; without --itl the list has it`);
  }
}

function wantedIn(cluster: Cluster): readonly (readonly [ClusterNode, CertificateName])[] {
  const tvs = cluster.nodes.filter(({ services }) => services.includes('TVS'));
  return [[publisherOf(cluster), 'CallManager'], ...tvs.map((node) => [node, 'TVS'] as const)];
}

/** What clusters print: `utils itl reset` of 10.0 and of 12.x, without what a cluster does besides. */
function clusterWords(cluster: Cluster, nodes: readonly string[]): readonly string[] {
  const located = ['Locating active Tftp servers in the cluster.....', ''];
  const listed = ['Following is the list of Active tftp servers in the cluster', ''];
  const generated = 'The reset ITL file was generated successfully';
  const transferred = nodes.map((node) => `Successfully transferred reset ITL to node ${node}`);
  if (!isAtLeast(cluster.release, '12.0')) {
    return [
      ...[...located, ...listed, `[${nodes.map((node) => `'${node}'`).join(', ')}]`, generated, ''],
      ...['Transferring new reset ITL file to the TFTP server nodes in the cluster.....', '', ...transferred],
    ];
  }
  return [
    ...['Generating the reset ITL file.....', '', generated, '', ...located, ...listed],
    ...['====================', '', ...nodes, '', '=====================', ''],
    ...[`Number of Active TFTP servers in the cluster : ${String(nodes.length)}`, ''],
    ...['Transferring new reset ITL file to the TFTP server nodes in the cluster.........', '', ...transferred],
  ];
}

function report(request: ResetRequest, written: readonly WrittenList[], output: Output): void {
  const { cluster, itl, signedBy = 'ITLRecovery' } = request;
  const [first] = written;
  if (first === undefined) return;
  const list = describeTrustList(first.list);
  const nodes = written.map(({ node }) => node);
  output.result(`${clusterWords(cluster, nodes).join('\n')}\n`, {
    release: cluster.release.text,
    itl: itl ?? null,
    signedBy,
    files: written.map(({ node, path, backup, devices }) => ({ node, path, backup, devices })),
    list,
  });
  for (const { node, path, backup, devices } of written) {
    const kept = backup === null ? '' : `, the old one is ${backup}`;
    output.note(`${node}: ${path}${formatDevices(devices, ' and ')}${kept}`);
  }
  output.note(`signed by: ${list.signer.name}`);
  for (const step of nextSteps(cluster, signedBy)) output.note(`next: ${step}`);
}

/** What follows a reset: the list is for once, until Cisco Tftp writes it anew with its usual signer. */
function nextSteps(cluster: Cluster, signedBy: ItlSignerName): readonly string[] {
  const usual = listSignerName(cluster.release);
  const put = 'put each file on its TFTP node and reset the phones: those whose ITL has this signer take it';
  if (usual === signedBy) return [put];
  return [put, `then restart Cisco Tftp on each node, which signs with ${usual} again, and reset the phones once more`];
}
