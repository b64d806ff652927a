import { promises } from 'node:fs';
import { join } from 'node:path';
import { printable } from '../bytes/index.js';
import {
  isAtLeast,
  listSignerName,
  nodesWith,
  publisherOf,
  type CertificateName,
  type Cluster,
  type ClusterNode,
} from '../cluster/index.js';
import { InputError, RefusalError } from '../errors.js';
import {
  createItl,
  expectedRecords,
  isEmptiedRecord,
  recordDifference,
  resetItl,
  type ItlSignerName,
} from '../itl/index.js';
import type { DigestAlgorithm, Signer } from '../signer/index.js';
import {
  describeTrustList,
  formatFunction,
  recordFunction,
  readTrustList,
  recordHolds,
  trustListKind,
  verifyTrustList,
  type TrustList,
  type TrustListRecord,
} from '../trust-list/index.js';
import { loadTrustList } from './commands/trust-list.js';
import type { DeviceFiles } from './device-names.js';
import { exitCode } from './exit-code.js';
import { formatDevices, warnOfOthers, writeLists, type WrittenList } from './itl-files.js';
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
  /** Digest of CAPF and TVS certificates in a list that is made: that of the list which is there, else SHA-1. */
  readonly hashAlgorithm?: DigestAlgorithm | undefined;
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
  const model = itl === undefined ? await digestsOf(join(out, publisherOf(cluster).name, 'ITLFile.tlv')) : {};
  const places = { targets, out, inputs: all, devices, updates: itl, progress };
  const written = await writeLists(places, async () => {
    const list = await makeList({ ...model, ...givenDigests(request) }, present);
    return new Map(nodes.map((node) => [node, list]));
  });
  report(request, written, output);
  for (const { others } of written) warnOfOthers(others, output);
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

/** The digests of the list that is to be replaced: phones that take it know them. Nothing where there is none. */
async function digestsOf(path: string): Promise<Pick<ResetRequest, 'digestAlgorithm' | 'hashAlgorithm'>> {
  const bytes = await promises.readFile(path).catch(() => new Uint8Array());
  const list = readWhole(bytes);
  if (list === undefined) return {};
  const hashes = list.records.map(({ hashAlgorithm }) => hashAlgorithm);
  return { digestAlgorithm: list.header.digestAlgorithm, hashAlgorithm: hashes.find((one) => one !== undefined) };
}

/** @returns undefined for what is no list: it is replaced, and kept in backups/, whatever it is. */
function readWhole(bytes: Uint8Array): TrustList | undefined {
  try {
    return readTrustList(bytes).list;
  } catch {
    return undefined;
  }
}

/** A request without what it leaves open. */
function givenDigests(request: ResetRequest): ResetRequest {
  const { digestAlgorithm, hashAlgorithm, ...others } = request;
  return {
    ...others,
    ...(digestAlgorithm === undefined ? {} : { digestAlgorithm }),
    ...(hashAlgorithm === undefined ? {} : { hashAlgorithm }),
  };
}

function makeList(request: ResetRequest, present: TrustList | undefined): Promise<TrustList> {
  const { cluster, recovery, timestamp, digestAlgorithm, hashAlgorithm, signedBy = 'ITLRecovery' } = request;
  const options = { timestamp, ...(digestAlgorithm === undefined ? {} : { digestAlgorithm }) };
  if (present !== undefined) return resetItl(present, recovery, options);
  const hash = hashAlgorithm === undefined ? {} : { hashAlgorithm };
  return createItl(cluster, publisherOf(cluster), recovery, { ...options, ...hash, signedBy });
}

/**
 * What is signed again as it is must be what the cluster is: phones will trust each of its records, and a list that is
 * behind would lose them with the next restart of Cisco Tftp.
 *
 * @throws RefusalError `other-state`; InputError `cluster-file` for a certificate that the cluster file does not name
 */
function examinePresent(present: TrustList, request: ResetRequest, output: Output): void {
  const { cluster, recovery, itl = '' } = request;
  const name = printable(itl);
  const publisher = publisherOf(cluster);
  refuseOtherNode(present, cluster, name);
  const expected = [
    ...expectedRecords(cluster, publisher),
    // With --itl it may be another one than the cluster file names, as after a rebuilt publisher.
    { certificate: recovery.certificate, role: recordFunction.sast },
  ];
  const verification = verifyTrustList(present);
  for (const [index, record] of present.records.entries()) {
    // Who can change a list can empty it too, and phones then take any list (P6).
    if (verification.verified && isEmptiedRecord(record)) continue;
    const difference = recordDifference(record, expected);
    if (difference !== undefined) throw otherRecord(record, index, difference, request);
  }
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

/** Another node's ITL, or one of before a renewal: with it the publisher would not have its own signer in its list. */
function refuseOtherNode(present: TrustList, cluster: Cluster, name: string): void {
  const signers = present.records.filter((record) => record.function === recordFunction.sast);
  const isSigner = (node: ClusterNode): boolean => {
    const certificate = node.certificates.CallManager;
    return certificate !== undefined && signers.some((record) => recordHolds(record, certificate.der));
  };
  const publisher = publisherOf(cluster);
  if (isSigner(publisher)) return;
  const owner = cluster.nodes.find(isSigner);
  const whose = owner === undefined ? '' : `: it is the ITL of ${printable(owner.name)}`;
  const what = `${name} does not hold the CallManager certificate of the publisher ${printable(publisher.name)} as a signer`;
  throw new RefusalError('other-state', `${what}${whose}`, {
    hint: "give the publisher's ITL, which every TFTP node gets; or leave --itl out, and the list is made from the cluster file",
  });
}

function otherRecord(
  record: TrustListRecord,
  index: number,
  difference: string,
  { clusterFile, itl = '' }: ResetRequest,
): RefusalError {
  const role = `${formatFunction(record.function)} ${printable(record.subjectName ?? '')}`;
  const what = `record ${String(index + 1)} of ${printable(itl)}, ${role.trim()},`;
  const isUnknown = difference === 'CERTIFICATE';
  const fault = isUnknown
    ? `has no certificate of ${printable(clusterFile)}`
    : `has another ${difference} than the cluster would write: phones would trust what was put there`;
  return new RefusalError('other-state', `${what} ${fault}`, {
    hint: isUnknown
      ? 'leave --itl out, and the list is made from the cluster file; or bring the cluster file up to date'
      : 'leave --itl out, and the list is made from the cluster file; and find out who changed this one',
  });
}

function wantedIn(cluster: Cluster): readonly (readonly [ClusterNode, CertificateName])[] {
  return nodesWith(cluster, 'TVS').map((node) => [node, 'TVS'] as const);
}

/** What clusters print: `utils itl reset` of 10.0 and of 12.x, without what a cluster does besides. */
function clusterWords(cluster: Cluster, nodes: readonly string[]): readonly string[] {
  const isOld = !isAtLeast(cluster.release, '12.0');
  // The publisher, where the command runs, has its list already: 10.0 names the others only, 12.x every node.
  const receiving = isOld ? nodes.filter((node) => node !== publisherOf(cluster).name) : nodes;
  const located = ['Locating active Tftp servers in the cluster.....', ''];
  const listed = ['Following is the list of Active tftp servers in the cluster', ''];
  const generated = 'The reset ITL file was generated successfully';
  const transferred = receiving.map((node) => `Successfully transferred reset ITL to node ${node}`);
  if (isOld) {
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
