import type { KeyObject } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { join, resolve } from 'node:path';
import { InputError } from '../errors.js';
import { formatCertificatePem, type Certificate, type DistinguishedName } from '../x509/index.js';
import type { CertificateName, Cluster, ClusterNode, KeyReference, SecurityMode } from './cluster.js';
import type { ClusterFileContent, ClusterFileNode } from './cluster-file.js';
import { draftClusterFile, formatClusterFile, type NodeOutline } from './format-file.js';
import { findExisting, placeFiles, type NewFile } from './place-files.js';
import type { Release } from './release.js';
import { issueSelfSigned, systemRandom, type KeyAndCertificate, type KeySource } from './self-signed.js';

/** The sizes of RSA keys that trust lists can name, in bits, without 512. */
const keySizes: readonly number[] = [1024, 2048, 4096];

/** The name of the cluster file in a lab's folder. */
const clusterFileName = 'cluster.yaml';

/** A lab cluster to be made. */
export interface LabClusterRequest {
  /** The folder for the cluster file, `certificates/` and `keys/`. It is made when it is not there. */
  readonly directory: string;
  readonly release: string;
  readonly securityMode: SecurityMode;
  /** The first is the publisher. */
  readonly nodes: readonly NodeOutline[];
  /** When the certificates begin to be valid. */
  readonly now: Date;
  /** The size of the RSA keys in bits: 2048 unless told. Trust lists can name 1024, 2048 and 4096. */
  readonly keyBits?: 1024 | 2048 | 4096;
  /** Where serial numbers come from, as bytes of the length asked for. The operating system's unless told. */
  readonly random?: (length: number) => Uint8Array;
  /** Where the RSA keys come from: new ones unless told. */
  readonly makeKey?: KeySource | undefined;
  /** Whether existing files are replaced. They are kept in `backups/` of the folder. */
  readonly overwrite?: boolean;
  /** Told after each certificate: how many are done, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** A lab cluster that was made. */
export interface LabCluster {
  /** The path of the cluster file. */
  readonly clusterFile: string;
  /** The paths of all files that were written. */
  readonly files: readonly string[];
  readonly cluster: Cluster;
}

/**
 * Makes a cluster to practise on: RSA keys (files of mode 0600) and self-signed certificates that look like a cluster's
 * own, and a commented cluster file that names them. All files appear, or none.
 *
 * @throws InputError `usage` when the request describes no cluster, `file-exists` when a file is there already,
 *   `file-unwritable` when writing fails; the folder is then as it was.
 */
export async function createLabCluster(request: LabClusterRequest): Promise<LabCluster> {
  const directory = resolve(request.directory);
  const bits = request.keyBits ?? 2048;
  if (!keySizes.includes(bits)) {
    throw new InputError('usage', `keys of ${bits} bits do not fit trust lists`, {
      hint: `choose ${keySizes.join(', ')}`,
    });
  }
  const content = draftClusterFile(request, true);
  const text = formatClusterFile(content);
  // Before the keys are made, which takes a while; and again when the files are placed.
  await findExisting(directory, [...pathsOf(content), { path: clusterFileName }], request.overwrite ?? false);
  const made = await makeCertificates(content, request);
  const files: NewFile[] = [
    ...made.flatMap(({ node, name, certificate, key }) => [
      { path: pathOfKey(node, name), content: key.export({ format: 'pem', type: 'pkcs8' }).toString(), mode: 0o600 },
      { path: node.certificates[name] ?? '', content: formatCertificatePem(certificate), mode: 0o644 },
    ]),
    { path: clusterFileName, content: text, mode: 0o644 },
  ];
  await placeFiles(directory, files, { overwrite: request.overwrite ?? false });
  return {
    clusterFile: join(directory, clusterFileName),
    files: files.map(({ path }) => join(directory, path)),
    cluster: {
      ...content,
      nodes: content.nodes.map((node) => assemble(node, made, directory)),
      trustStores: emptyStores(content),
    },
  };
}

interface MadeCertificate {
  readonly node: ClusterFileNode;
  readonly name: CertificateName;
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

async function makeCertificates(content: ClusterFileContent, request: LabClusterRequest): Promise<MadeCertificate[]> {
  const wanted = content.nodes.flatMap((node) =>
    (Object.keys(node.certificates) as CertificateName[]).map((name) => ({ node, name })),
  );
  let done = 0;
  return Promise.all(
    wanted.map(async ({ node, name }) => {
      const made = await issueLabCertificate(node, name, content.release, request);
      done += 1;
      request.onProgress?.(done, wanted.length);
      return { node, name, ...made };
    }),
  );
}

/**
 * Makes a key and a self-signed certificate that looks like one of a cluster's own: the first one, or a renewed one,
 * which has the same names and another serial number.
 *
 * @param request when it begins to be valid, the size of the key in bits, where serial numbers come from.
 */
export async function issueLabCertificate(
  node: Pick<ClusterNode, 'name' | 'address'>,
  name: CertificateName,
  release: Release,
  request: Pick<LabClusterRequest, 'now' | 'keyBits' | 'random' | 'makeKey'>,
): Promise<KeyAndCertificate> {
  const random = request.random ?? systemRandom;
  // The serial number is taken first, then the name of CAPF.
  const serialNumber = random(16);
  const owner = {
    subject: subjectOf(commonNameOf(node, name, random)),
    // CAPF issues the certificates of phones.
    authority: name === 'CAPF',
    alternativeNames: [node.name, ...(isIPv4(node.address) ? [node.address] : [])],
  };
  const { now, keyBits = 2048, makeKey } = request;
  return issueSelfSigned(owner, { name, release, now, keyBits, makeKey, random: () => serialNumber });
}

function commonNameOf(
  node: Pick<ClusterNode, 'name'>,
  name: CertificateName,
  random: (length: number) => Uint8Array,
): string {
  if (name === 'CAPF') return `CAPF-${Buffer.from(random(4)).toString('hex')}`;
  return name === 'ITLRecovery' ? `ITLRECOVERY_${node.name}` : node.name;
}

/** A subject with the attributes of a cluster's own certificates, in their order there. */
function subjectOf(commonName: string): DistinguishedName {
  return [
    { type: 'C', value: 'US' },
    { type: 'O', value: 'etoken-bridge' },
    { type: 'OU', value: 'lab' },
    { type: 'CN', value: commonName },
    { type: 'ST', value: 'lab' },
    { type: 'L', value: 'lab' },
  ];
}

function assemble(node: ClusterFileNode, made: readonly MadeCertificate[], directory: string): ClusterNode {
  const certificates: Partial<Record<CertificateName, Certificate>> = {};
  const keys: Partial<Record<CertificateName, KeyReference>> = {};
  for (const one of made.filter((candidate) => candidate.node === node)) {
    certificates[one.name] = one.certificate;
    keys[one.name] = { kind: 'file', path: join(directory, pathOfKey(node, one.name)) };
  }
  return { ...node, certificates, keys };
}

function pathsOf(content: ClusterFileContent): { path: string }[] {
  return content.nodes.flatMap((node) => [
    ...(Object.keys(node.keys) as CertificateName[]).map((name) => ({ path: pathOfKey(node, name) })),
    ...Object.values(node.certificates).map((path) => ({ path })),
  ]);
}

function pathOfKey(node: ClusterFileNode, name: CertificateName): string {
  const reference = node.keys[name];
  return reference?.kind === 'file' ? reference.path : '';
}

function emptyStores(content: ClusterFileContent): Record<string, readonly Certificate[]> {
  return Object.fromEntries(Object.keys(content.trustStores).map((store) => [store, []]));
}
