import { InputError } from '../errors.js';
import type { CertificateName, KeyReference, RecoveryBackup, SecurityMode, Service } from './cluster.js';
import { checkClusterFile, type ClusterFileContent, type ClusterFileNode } from './cluster-file.js';
import { certificatesFor } from './contradictions.js';
import { parseRelease } from './release.js';
import { formatTime } from './time.js';

/** A cluster before it has certificates: what `cluster init` is told. */
export interface ClusterOutline {
  readonly release: string;
  readonly securityMode: SecurityMode;
  /** The first is the publisher. */
  readonly nodes: readonly NodeOutline[];
}

/** A node of a {@link ClusterOutline}. */
export interface NodeOutline {
  readonly name: string;
  readonly address: string;
  readonly services: readonly Service[];
}

/**
 * The content of a new cluster file: a path for each certificate that the services need, and for the publisher's
 * ITLRecovery where the release has one. Keys are named only when `withKeys` is set: a cluster keeps most of its own.
 *
 * @throws InputError `usage` for an outline that describes no cluster: what is written must read back.
 */
export function draftClusterFile(outline: ClusterOutline, withKeys = false): ClusterFileContent {
  const release = parseRelease(outline.release);
  // ITLRecovery came with 10.0.
  const hasRecovery = release.major >= 10;
  const nodes = outline.nodes.map((node, index): ClusterFileNode => {
    const names = [...certificatesFor(node.services), ...(index === 0 && hasRecovery ? recovery : [])];
    const certificates: Partial<Record<CertificateName, string>> = {};
    const keys: Partial<Record<CertificateName, KeyReference>> = {};
    for (const name of names) {
      certificates[name] = `certificates/${node.name}/${name}.pem`;
      if (withKeys) keys[name] = { kind: 'file', path: `keys/${node.name}/${name}.key` };
    }
    const { name, address, services } = node;
    return { name, address, services, certificates, keys };
  });
  const content = { release, securityMode: outline.securityMode, nodes, trustStores: { 'Phone-SAST-trust': [] } };
  const [first] = checkClusterFile(formatClusterFile(content), 'draft').problems;
  if (first === undefined) return content;
  throw new InputError('usage', `${first.keyPath}: ${first.message}`, { hint: first.hint });
}

const recovery: readonly CertificateName[] = ['ITLRecovery'];

/** The comments of a cluster file, by the key they stand above. */
const comments = {
  file: [
    'The cluster as etoken-bridge works with it. Relative paths start from the folder of this file.',
    '`etoken-bridge cluster show` reads it back and lists every certificate it names.',
  ],
  release: [
    "The release of the cluster's software, as `show version active` prints it or by name: 12.5(1)SU2, 14SU3.",
    'From 12.0 on ITLRecovery signs a tokenless CTL, before that CallManager; tokens end with 14SU3.',
  ],
  securityMode: ['mixed: the cluster has a CTL, and may encrypt calls. non-secure: it has none, or an emptied one.'],
  nodes: ['The servers of the cluster. The first is the publisher; the others follow in the order of their records.'],
  name: ['The host name of the node, as the cluster knows it. It stands in the records of trust lists.'],
  address: ['The address of the node: IPv4 in dotted form, or IPv6. Each node has its own.'],
  services: ['What runs on the node: CallManager, TFTP, CAPF, TVS. [] for a node that runs none of them.'],
  certificates: [
    'Certificate files in PEM or DER, as downloaded from the certificate page of the node. The first of a chain counts.',
    'CallManager is needed for CallManager and TFTP, CAPF for CAPF, TVS for TVS; ITLRecovery belongs to the publisher.',
  ],
  keys: [
    'Private keys, only of the certificates that etoken-bridge is to sign with: a file (PEM, DER, PKCS#12; mode 0600),',
    'or a key on a token by its pkcs11: URI, as `etoken-bridge token list` prints it. Never a PIN or a password.',
  ],
  trustStores: [
    'Certificates in the trust stores of the cluster, as lists of files. Phone-SAST-trust holds the tokens that phones',
    'may accept: `etoken-bridge token export` writes their certificates.',
  ],
  changed: ['When certificates were renewed: two of one node must be five minutes apart. `cluster renew` writes it.'],
  recoveryBackup: [
    'The last backup of the ITLRecovery key, and the SHA-1 of the certificate that it is of; passwordChanged says when the',
    'password of such backups was changed last. `itl backup-key` writes it.',
  ],
} as const;

const keyExamples = ['CallManager: keys/CallManager.key', 'ITLRecovery: pkcs11:token=SAST;object=ITLRecovery'];
const storeExample = 'certificates/SAST-ADN0054f509.cer';

/** A cluster file with a comment for each key. {@link parseClusterFile} reads the same content back. */
export function formatClusterFile(content: ClusterFileContent): string {
  const nodes = content.nodes.flatMap((node, index) => formatNode(node, index === 0));
  const lines = [
    ...comment(comments.file),
    '',
    ...comment(comments.release),
    `release: ${formatText(content.release.text)}`,
    '',
    ...comment(comments.securityMode),
    `securityMode: ${content.securityMode}`,
    '',
    ...comment(comments.nodes),
    content.nodes.length === 0 ? 'nodes: []' : 'nodes:',
    ...nodes,
    '',
    ...comment(comments.trustStores),
    'trustStores:',
    ...Object.entries(content.trustStores).flatMap(([store, paths]) => formatStore(store, paths)),
    ...formatBackup(content.recoveryBackup),
  ];
  return `${lines.join('\n')}\n`;
}

function comment(lines: readonly string[], indent = ''): string[] {
  return lines.map((line) => `${indent}# ${line}`);
}

/** @param explained whether each key has its comment: once in a file is enough. */
function formatNode(node: ClusterFileNode, explained: boolean): string[] {
  const indent = '    ';
  const explain = (key: keyof typeof comments) => (explained ? comment(comments[key], indent) : []);
  const certificates = Object.entries(node.certificates);
  const keys = Object.entries(node.keys).map(
    ([name, key]) => [name, key.kind === 'file' ? key.path : key.uri] as const,
  );
  const changes = Object.entries(node.changed ?? {}).map(([name, time]) => [name, formatTime(time)] as const);
  const pairs = (entries: readonly (readonly [string, string])[]) =>
    entries.map(([name, text]) => `${indent}  ${name}: ${formatText(text)}`);
  const examples = explained ? comment(['keys:', ...keyExamples.map((example) => `  ${example}`)], indent) : [];
  return [
    ...(explained ? comment(comments.name, '  ') : ['']),
    `  - name: ${formatText(node.name)}`,
    ...explain('address'),
    `${indent}address: ${formatText(node.address)}`,
    ...explain('services'),
    `${indent}services: [${node.services.join(', ')}]`,
    ...explain('certificates'),
    ...(certificates.length === 0 ? [] : [`${indent}certificates:`, ...pairs(certificates)]),
    ...explain('keys'),
    ...(keys.length === 0 ? examples : [`${indent}keys:`, ...pairs(keys)]),
    ...(changes.length === 0 ? [] : [...comment(comments.changed, indent), `${indent}changed:`, ...pairs(changes)]),
  ];
}

function formatBackup(backup: RecoveryBackup | undefined): string[] {
  if (backup === undefined) return [];
  const { time, sha1, passwordChanged } = backup;
  return [
    '',
    ...comment(comments.recoveryBackup),
    'recoveryBackup:',
    `  time: ${formatTime(time)}`,
    `  sha1: ${formatText(sha1)}`,
    ...(passwordChanged === undefined ? [] : [`  passwordChanged: ${formatTime(passwordChanged)}`]),
  ];
}

function formatStore(store: string, paths: readonly string[]): string[] {
  const entries = paths.map((path) => `    - ${formatText(path)}`);
  // Nothing below a store is an empty list, so that the example need only lose its mark.
  return [`  ${store}:`, ...(entries.length > 0 ? entries : comment([`- ${storeExample}`], '    '))];
}

/** A text as it stands in YAML: in quotes where this reader, or one that knows numbers and words, would take it for else. */
function formatText(text: string): string {
  const plain = /^[a-z0-9_./][a-z0-9_./()+;=%?&:-]*$/i.test(text) && !text.endsWith(':');
  const special = /^(?:[-+.\d_eox:]+|0x[\da-f]+|null|true|false|yes|no|on|off|y|n|\.nan|\.inf)$/i;
  return plain && (!special.test(text) || isDotted(text)) ? text : JSON.stringify(text);
}

/** Whether a text has more than one dot and so is no number to any reader: addresses, 10.5.1. */
function isDotted(text: string): boolean {
  return /^\d+\.\d+\.[\d.]+(?:-\d+)?$/.test(text);
}
