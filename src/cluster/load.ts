import { dirname, resolve } from 'node:path';
import { FormatError, InputError } from '../errors.js';
import { decodeCertificates, looksLikePkcs12, type Certificate } from '../x509/index.js';
import {
  certificateNames,
  type CertificateName,
  type Cluster,
  type ClusterNode,
  type KeyReference,
} from './cluster.js';
import { examineClusterFile, type ClusterFile } from './cluster-file.js';
import type { Complaint } from './entries.js';
import { quoted } from './quoted.js';
import { clusterFileError, type ClusterProblem, type ClusterProblemCode } from './problem.js';
import type { NamedCertificate } from './readable-entries.js';
import { largestKeyOrCertificateFile, readWholeFile } from './whole-file.js';
import { largestClusterFile } from './yaml-text.js';

/**
 * Reads a cluster file and every certificate it names. Private keys are not read.
 *
 * @throws InputError `file-missing` or `file-unreadable` for the cluster file itself; `cluster-file` with every problem
 *   in it, certificate files that cannot be read or are none included, each with its line, column and key.
 */
export async function loadCluster(path: string): Promise<Cluster> {
  const { file, problems, certificates } = examineClusterFile(await readClusterText(path), path);
  const directory = dirname(resolve(path));
  const loaded = await loadCertificates(certificates, directory);
  const all = [...problems, ...loaded.problems];
  if (file === undefined || all.length > 0) throw clusterFileError(path, all);
  return assembleCluster(file, directory, loaded.byPath);
}

async function readClusterText(path: string): Promise<string> {
  const bytes = await readWholeFile(path, largestClusterFile);
  if ('reason' in bytes) {
    const hint =
      bytes.code === 'file-missing'
        ? 'check the path, or let `cluster init` write a cluster file'
        : 'give a cluster file that can be read';
    throw new InputError(bytes.code, `the cluster file ${path} ${bytes.reason}`, { hint });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    const before = new TextDecoder().decode(bytes).split('\ufffd', 1)[0]?.split('\n') ?? [''];
    throw clusterFileError(path, [
      {
        code: 'not-text',
        line: before.length,
        column: (before.at(-1) ?? '').length + 1,
        keyPath: '',
        message: 'the file is not UTF-8 text',
        hint: 'save the cluster file as UTF-8 text',
      },
    ]);
  }
}

interface LoadedCertificates {
  /** By the path as written. */
  readonly byPath: ReadonlyMap<string, Certificate>;
  readonly problems: readonly ClusterProblem[];
}

/** Reads each certificate file once, however often it is named. */
async function loadCertificates(named: readonly NamedCertificate[], directory: string): Promise<LoadedCertificates> {
  const byPath = new Map<string, Certificate>();
  const complaints = new Map<string, Complaint>();
  const problems: ClusterProblem[] = [];
  for (const { path, keyPath, line, column } of named) {
    if (!byPath.has(path) && !complaints.has(path)) {
      const found = await readCertificate(path, resolve(directory, path));
      if ('der' in found) byPath.set(path, found);
      else complaints.set(path, found);
    }
    const complaint = complaints.get(path);
    if (complaint !== undefined) problems.push({ ...complaint, line, column, keyPath });
  }
  return { byPath, problems };
}

function assembleCluster(file: ClusterFile, directory: string, byPath: ReadonlyMap<string, Certificate>): Cluster {
  const nodes = file.nodes.map((node): ClusterNode => {
    const certificates: Partial<Record<CertificateName, Certificate>> = {};
    const keys: Partial<Record<CertificateName, KeyReference>> = {};
    for (const name of certificateNames) {
      const certificate = byPath.get(node.certificates[name] ?? '');
      if (certificate !== undefined) certificates[name] = certificate;
      const key = node.keys[name];
      if (key !== undefined) keys[name] = key.kind === 'file' ? { ...key, path: resolve(directory, key.path) } : key;
    }
    return { ...node, certificates, keys };
  });
  const stores = Object.entries(file.trustStores).map(([store, paths]) => {
    return [store, paths.map((path) => byPath.get(path)).filter((certificate) => certificate !== undefined)] as const;
  });
  const { release, securityMode, recoveryBackup } = file;
  return {
    release,
    securityMode,
    nodes,
    trustStores: Object.fromEntries(stores),
    ...(recoveryBackup === undefined ? {} : { recoveryBackup }),
  };
}

async function readCertificate(path: string, absolute: string): Promise<Certificate | Complaint> {
  const complain = (code: ClusterProblemCode, what: string, hint: string): Complaint => ({
    code,
    message: `the certificate file ${quoted(path)} ${what}`,
    hint,
  });
  const bytes = await readWholeFile(absolute, largestKeyOrCertificateFile);
  if ('reason' in bytes) {
    const hint = path.startsWith('~')
      ? 'write the path without ~, which is not expanded here'
      : `put a certificate at ${absolute}, or correct the path (relative paths start from the cluster file)`;
    return complain(bytes.code, bytes.reason, hint);
  }
  if (looksLikePkcs12(bytes)) {
    return complain('bad-certificate', 'is a PKCS#12 file', 'give the certificate alone, in PEM or DER');
  }
  try {
    const [certificate] = decodeCertificates(bytes);
    if (certificate !== undefined) return certificate;
    return complain('bad-certificate', 'holds no certificate', 'give a certificate in PEM or DER');
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return complain('bad-certificate', `is no certificate: ${error.message}`, 'give a certificate in PEM or DER');
  }
}
