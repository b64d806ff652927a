import {
  certificateNames,
  type CertificateChanges,
  type CertificateName,
  type KeyReference,
  type RecoveryBackup,
  type SecurityMode,
  type Service,
} from './cluster.js';
import { findContradictions } from './contradictions.js';
import { isTokenUri } from './entries.js';
import { clusterFileError, inFileOrder, type ClusterProblem, type Place } from './problem.js';
import { parseRelease, type Release } from './release.js';
import { checkShape, type ClusterShape, type NodeShape } from './schema.js';
import { findNamedCertificates, type NamedCertificate } from './readable-entries.js';
import { readYamlText, type YamlText } from './yaml-text.js';

/** A node as the cluster file names it. Paths are as written: relative ones are relative to the cluster file. */
export interface ClusterFileNode {
  readonly name: string;
  readonly address: string;
  readonly services: readonly Service[];
  /** Paths of certificate files. */
  readonly certificates: Readonly<Partial<Record<CertificateName, string>>>;
  readonly keys: Readonly<Partial<Record<CertificateName, KeyReference>>>;
  /** Not there when the file notes no change. */
  readonly changed?: CertificateChanges | undefined;
}

/** What a cluster file says. */
export interface ClusterFileContent {
  readonly release: Release;
  readonly securityMode: SecurityMode;
  /** The first is the publisher. */
  readonly nodes: readonly ClusterFileNode[];
  /** Paths of certificate files, by the name of the trust store. */
  readonly trustStores: Readonly<Record<string, readonly string[]>>;
  readonly recoveryBackup?: RecoveryBackup | undefined;
}

/** A cluster file that was read, with the places of its entries for later errors. */
export interface ClusterFile extends ClusterFileContent {
  /** The name of the file, for errors. */
  readonly name: string;
  /** Where an entry stands, by its key path, e.g. `nodes[0].certificates.CAPF`. */
  placeOf(keyPath: string): Place;
}

/** What {@link checkClusterFile} finds: the file, or what is wrong with it. */
export type ClusterFileCheck =
  | { readonly file: ClusterFile; readonly problems: readonly [] }
  | { readonly file: undefined; readonly problems: readonly ClusterProblem[] };

/** A cluster file as far as its text goes: what {@link checkClusterFile} finds, and the files that are to be looked at. */
export interface ExaminedClusterFile {
  readonly file: ClusterFile | undefined;
  readonly problems: readonly ClusterProblem[];
  /** Also where `file` is not there, as far as they can be told. */
  readonly certificates: readonly NamedCertificate[];
}

/** Checks the text of a cluster file, and finds the certificate files it names. */
export function examineClusterFile(text: string, name: string): ExaminedClusterFile {
  const yaml = readYamlText(text.replace(/^\ufeff/, ''));
  if (yaml.value === undefined) return { file: undefined, problems: yaml.problems, certificates: [] };
  if (yaml.value === null) return { file: undefined, problems: [...yaml.problems, emptyFile], certificates: [] };
  const { shape, problems: shapeProblems, misspelt } = checkShape(yaml);
  // An alias that stands for nothing was reported already, so the empty value it leaves is not.
  const told = new Set(yaml.problems.map(({ keyPath }) => keyPath));
  const further = shapeProblems.filter(({ code, keyPath }) => code !== 'wrong-type' || !told.has(keyPath));
  const problems = [...yaml.problems, ...further, ...findContradictions(yaml, misspelt)];
  const file = shape === undefined || problems.length > 0 ? undefined : buildFile(shape, yaml, name);
  return { file, problems, certificates: findNamedCertificates(yaml) };
}

/**
 * Checks a cluster file without reading the files it names. All problems are found in one go, in the order of the file;
 * only where the text is not YAML is nothing else looked at.
 *
 * @param name the name of the file, for errors.
 */
export function checkClusterFile(text: string, name: string): ClusterFileCheck {
  const { file, problems } = examineClusterFile(text, name);
  return file === undefined ? { file, problems: inFileOrder(problems) } : { file, problems: [] };
}

const emptyFile: ClusterProblem = {
  code: 'empty',
  line: 1,
  column: 1,
  keyPath: '',
  message: 'the file is empty, or holds only comments',
  hint: 'let `cluster init` write one to fill in',
};

/**
 * Reads a cluster file from its text; the files it names are not looked at.
 *
 * @param name the name of the file, for errors.
 * @throws InputError `cluster-file` with every problem, each with its line, column and key.
 */
export function parseClusterFile(text: string, name: string): ClusterFile {
  const { file, problems } = checkClusterFile(text, name);
  if (file === undefined) throw clusterFileError(name, problems);
  return file;
}

function buildFile(shape: ClusterShape, yaml: YamlText, name: string): ClusterFile {
  const stores = Object.entries(shape.trustStores ?? {});
  return {
    name,
    release: parseRelease(shape.release),
    securityMode: shape.securityMode as SecurityMode,
    nodes: shape.nodes.map(buildNode),
    trustStores: Object.fromEntries(stores.map(([store, paths]) => [store, paths ?? []])),
    ...(shape.recoveryBackup == null ? {} : { recoveryBackup: readBackup(shape.recoveryBackup) }),
    placeOf: (keyPath) => yaml.placeOf(keyPath) ?? { line: 1, column: 1 },
  };
}

function buildNode(shape: NodeShape): ClusterFileNode {
  return {
    name: shape.name,
    address: shape.address,
    services: shape.services as readonly Service[],
    certificates: byCertificate(shape.certificates, (path) => path),
    keys: byCertificate(shape.keys, readKeyReference),
    ...(shape.changed == null ? {} : { changed: byCertificate(shape.changed, (text) => new Date(text)) }),
  };
}

function readBackup({ time, sha1, passwordChanged }: NonNullable<ClusterShape['recoveryBackup']>): RecoveryBackup {
  const changed = passwordChanged === undefined ? {} : { passwordChanged: new Date(passwordChanged) };
  return { time: new Date(time), sha1: sha1.toLowerCase(), ...changed };
}

function byCertificate<Value>(
  texts: Readonly<Record<string, string | undefined>> | null | undefined,
  read: (text: string) => Value,
): Partial<Record<CertificateName, Value>> {
  const values: Partial<Record<CertificateName, Value>> = {};
  for (const name of certificateNames) {
    const text = texts?.[name];
    if (text !== undefined) values[name] = read(text);
  }
  return values;
}

function readKeyReference(text: string): KeyReference {
  return isTokenUri(text) ? { kind: 'token', uri: text } : { kind: 'file', path: text };
}
