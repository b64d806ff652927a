import { dirname, relative, resolve } from 'node:path';
import { equalBytes, printable } from '../../bytes/index.js';
import {
  certificateSha1,
  checkFiveMinutes,
  certificateChanges,
  certificateNames,
  findNode,
  importCertificate,
  loadCluster,
  loadPrivateKey,
  nodesWith,
  parseClusterFile,
  renewalDangers,
  renewCertificate,
  restartsAfterRenewal,
  serviceNames,
  withChange,
  type CertificateName,
  type Cluster,
  type ClusterFile,
  type KeyReference,
} from '../../cluster/index.js';
import { InputError, RefusalError } from '../../errors.js';
import { formatName, formatSerialNumber, type Certificate } from '../../x509/index.js';
import { exitCode } from '../exit-code.js';
import { readInput, type WriteRequest } from '../files.js';
import type { Output, OutputOptions } from '../output.js';
import { readPassword } from '../password.js';
import { checkWritable, refuseChanged, whileLocked, writeTogether } from './cluster-files.js';
import { certificateFile, checkKeyFile, formatKey, readChain } from './cluster-key-files.js';
import { examineList } from './cluster-lists.js';
import { presentCtl } from './cluster-options.js';
import { askQuestion, checkQuestion } from './cluster-question.js';
import { parseCheck } from './ctl-build.js';

/** The options of `cluster renew`. */
export interface RenewOptions extends OutputOptions {
  readonly cluster: string;
  readonly node: string;
  readonly import?: string;
  readonly keyPasswordFile?: string;
  readonly accept?: readonly string[];
  readonly yes?: boolean;
}

/** What is to be renewed, and all that is known of it. */
interface Renewal {
  readonly options: RenewOptions;
  readonly name: CertificateName;
  readonly now: Date;
  readonly cluster: Cluster;
  readonly file: ClusterFile;
  readonly text: string;
  /** The position of the node in the cluster file. */
  readonly index: number;
  readonly node: string;
  readonly present: Certificate;
  readonly key: KeyReference | undefined;
  readonly certificatePath: string;
  readonly acceptFiveMinutes: boolean;
}

/** A certificate that is to take the place of the present one. */
interface Prepared {
  readonly notices: readonly string[];
  /** Makes it, after the question. @returns the certificate, and the files to write, in their order. */
  readonly make: (now: Date) => Promise<{ readonly certificate: Certificate; readonly files: readonly WriteRequest[] }>;
}

/**
 * `cluster renew`. The note in the cluster file is written first, then the key, then the certificate: when the process
 * is killed between them, the certificate can be renewed again at once, and no other one of the node for five minutes.
 */
export async function renew(name: string, options: RenewOptions, output: Output): Promise<number> {
  const question = { text: questionOf(name, options), yes: options.yes };
  checkQuestion(question);
  const renewal = await examine(name as CertificateName, options);
  const prepared = options.import === undefined ? await prepareNew(renewal) : await prepareImport(renewal);
  for (const place of [noteOf(renewal, renewal.now), { path: renewal.certificatePath }]) await checkWritable(place);
  const dangers = await examineDangers(renewal);
  for (const notice of [...prepared.notices, ...noticeOtherEntries(renewal), ...dangers]) output.warning(notice);
  if (!(await askQuestion(question))) {
    output.note('Nothing was changed.');
    return exitCode.no;
  }
  return whileLocked(options.cluster, async () => {
    await refuseChanged(options.cluster, renewal.text);
    // Somebody may have thought about the question for a while.
    const now = new Date();
    const { certificate, files } = await prepared.make(now);
    // Whoever edits the file by hand takes no lock, and a key takes its time.
    await refuseChanged(options.cluster, renewal.text);
    const written = await writeTogether([noteOf(renewal, now), ...files]);
    report(renewal, certificate, written, output);
    return exitCode.done;
  });
}

/** The question of `set cert regen` in the cluster's words; what is imported is not made anew. */
function questionOf(name: string, { node, import: path }: RenewOptions): string {
  return path === undefined
    ? `WARNING: This operation will overwrite any CA signed certificate\npreviously imported for ${name}\nProceed with regeneration (yes|no)?`
    : `WARNING: This operation will put ${printable(path)} in the place of the ${name} certificate of ${printable(node)}\nProceed with import (yes|no)?`;
}

/**
 * What the renewal may do to phones (A1, A7).
 *
 * @returns what to warn of.
 * @throws RefusalError for what is not let through.
 */
async function examineDangers({ options, cluster, node, name, now }: Renewal): Promise<readonly string[]> {
  const accepted: readonly string[] = (options.accept ?? []).map(parseCheck);
  const path = presentCtl({ cluster: options.cluster });
  const list = path === undefined ? undefined : await examineList(path, 'CTL');
  const ctl = list?.kind === 'ITL' ? undefined : list;
  const dangers = renewalDangers({ cluster, node, certificate: name, ctl, now });
  return dangers.map(({ check, severity, message, hint }) => {
    if (severity === 'refusal' && !accepted.includes(check)) {
      throw new RefusalError(check, message, { hint: `${hint}; --accept ${check} lets this one through` });
    }
    return `${check}: ${severity === 'refusal' ? 'accepted: ' : ''}${message}; ${hint}`;
  });
}

/** The cluster file with the note of the change. */
function noteOf({ options, text, index, name }: Renewal, time: Date): WriteRequest {
  const { cluster: path } = options;
  return { path, updates: path, bytes: new TextEncoder().encode(withChange(text, index, name, time, path)) };
}

async function examine(name: CertificateName, options: RenewOptions): Promise<Renewal> {
  const acceptFiveMinutes = (options.accept ?? []).map(parseCheck).includes('A11');
  const now = new Date();
  const cluster = await loadCluster(options.cluster);
  const bytes = await readInput(options.cluster, 'cluster file');
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const file = parseClusterFile(text, options.cluster);
  const node = findNode(cluster, options.node);
  const index = cluster.nodes.indexOf(node);
  const present = node.certificates[name];
  const path = file.nodes[index]?.certificates[name];
  if (present === undefined || path === undefined) {
    const names = Object.keys(node.certificates).join(', ');
    throw new InputError('usage', `node ${node.name} has no ${name} certificate in the cluster file`, {
      hint: names === '' ? 'it has none at all' : `it has ${names}`,
    });
  }
  // Before a key is read or made.
  if (!acceptFiveMinutes) checkFiveMinutes(node.name, name, certificateChanges(node), now);
  const certificatePath = resolve(dirname(options.cluster), path);
  const key = node.keys[name];
  const base = { options, name, now, cluster, file, text, index, node: node.name, present, key };
  return { ...base, certificatePath, acceptFiveMinutes };
}

/** A new key and a self-signed certificate for it. */
async function prepareNew(renewal: Renewal): Promise<Prepared> {
  const { name, node, key, present, certificatePath } = renewal;
  if (key?.kind !== 'file') {
    const where = key === undefined ? 'is not in the cluster file' : 'is on a token';
    throw new InputError('usage', `the key of the ${name} certificate of ${node} ${where}: it is not renewed here`, {
      hint: `renew it where its key is ("set cert regen ${name}" on a cluster), and give the new certificate with --import FILE`,
    });
  }
  const password = await readPassword(renewal.options.keyPasswordFile);
  const isEncrypted = await checkKeyFile(key.path, password);
  refuseSharedFile(renewal, key.path);
  refuseSharedKey(renewal, key.path);
  await checkWritable({ path: key.path });
  const isSelfIssued = formatName(present.subject) === formatName(present.issuer);
  const notices = isSelfIssued
    ? []
    : [`${printable(formatName(present.issuer))} issued the present certificate; the new one is self-signed`];
  const make = async (now: Date): ReturnType<Prepared['make']> => {
    const made = await renewCertificate({ ...renewal, certificate: name, now });
    return {
      certificate: made.certificate,
      files: [
        { path: key.path, updates: key.path, bytes: formatKey(made, isEncrypted ? password : undefined), mode: 0o600 },
        await certificateFile(certificatePath, [made.certificate]),
      ],
    };
  };
  return { notices, make };
}

/** A certificate that was issued elsewhere, for the key that the cluster file names, where it names one. */
async function prepareImport(renewal: Renewal): Promise<Prepared> {
  const { name, node, key, certificatePath } = renewal;
  const { import: path = '', keyPasswordFile } = renewal.options;
  const chain = await readChain(path);
  const [imported] = chain;
  if (imported === undefined) throw new InputError('file-unreadable', `${printable(path)} holds no certificate`);
  const { certificate, notices } = importCertificate({ ...renewal, certificate: name, imported });
  if (key?.kind === 'file') {
    await loadPrivateKey(key, certificate, await readPassword(keyPasswordFile));
    refuseSharedFile(renewal, key.path);
  }
  const onToken =
    key?.kind === 'token'
      ? [`the key of the ${name} certificate of ${node} is on a token: whether the certificate fits it was not checked`]
      : [];
  const make = async (): ReturnType<Prepared['make']> => ({
    certificate,
    files: [await certificateFile(certificatePath, chain, path)],
  });
  return { notices: [...notices, ...onToken], make };
}

/** A new key must not take the place of one that another certificate has. @throws InputError `usage` */
function refuseSharedKey({ cluster, index, name, present }: Renewal, keyPath: string): void {
  for (const [position, node] of cluster.nodes.entries()) {
    for (const other of certificateNames) {
      const key = node.keys[other];
      const isOther = position !== index || other !== name;
      if (!isOther || key?.kind !== 'file' || resolve(key.path) !== resolve(keyPath)) continue;
      if (equalBytes(node.certificates[other]?.der ?? present.der, present.der)) continue;
      throw new InputError('usage', `the key ${printable(keyPath)} is that of ${other} of ${node.name} too`, {
        hint: 'give each certificate a key file of its own in the cluster file',
      });
    }
  }
}

/** A file with a key and its certificate is not taken apart. */
function refuseSharedFile({ certificatePath, name, node }: Renewal, keyPath: string): void {
  if (resolve(keyPath) !== certificatePath) return;
  throw new InputError(
    'usage',
    `the key and the ${name} certificate of ${node} are in one file, ${printable(keyPath)}`,
    {
      hint: 'put them into a file each, and name both in the cluster file',
    },
  );
}

/** Other places of the cluster file that name the same certificate file, and so change too. */
function noticeOtherEntries({ options, file, index, name, certificatePath }: Renewal): readonly string[] {
  const isSame = (path: string | undefined): boolean =>
    path !== undefined && resolve(dirname(options.cluster), path) === certificatePath;
  const ofNodes = file.nodes.flatMap((node, position) =>
    certificateNames
      .filter((other) => (position !== index || other !== name) && isSame(node.certificates[other]))
      .map((other) => `${other} of ${node.name}`),
  );
  const ofStores = Object.entries(file.trustStores).flatMap(([store, paths]) => (paths.some(isSame) ? [store] : []));
  const others = [...ofNodes, ...ofStores];
  return others.length === 0
    ? []
    : [`the same certificate file is named for ${others.join(', ')}, and changes there too`];
}

/** What follows a renewal: the services are restarted in this order, so that the certificate is used. */
function nextSteps({ cluster, name, node }: Renewal): readonly string[] {
  const restarts = restartsAfterRenewal[name].flatMap(({ service, on }) => {
    const running = nodesWith(cluster, service).map((one) => one.name);
    const nodes = on === 'all' ? running : running.filter((one) => one === node);
    return nodes.length === 0 ? [] : [`${serviceNames[service]} on ${nodes.join(', ')}`];
  });
  return [
    ...(restarts.length === 0 ? [] : [`restart ${restarts.join('; then ')}`]),
    // No trust list knows of it, and the cluster file does not say where it runs.
    ...(name === 'CallManager' ? ['restart Cisco CTIManager too, on all nodes that run it'] : []),
    ...(name === 'ITLRecovery' ? ['back the new key up with "itl backup-key"'] : []),
    ...(cluster.securityMode === 'mixed' && name !== 'TVS'
      ? ['bring the CTL up to date with "cluster update-ctl", before another certificate is renewed']
      : []),
  ];
}

function report(
  renewal: Renewal,
  certificate: Certificate,
  written: Awaited<ReturnType<typeof writeTogether>>,
  output: Output,
): void {
  const { options, name, node } = renewal;
  const lines = [
    options.import === undefined
      ? `Successfully Regenerated Certificate for ${name}.`
      : `Certificate imported for ${name}.`,
    'Please do a backup of the server as soon as possible. Failure to do',
    'so can stale the cluster in case of a crash.',
    `You must restart services related to ${name} for the ${options.import === undefined ? 'regenerated' : 'imported'}`,
    'certificates to become active.',
  ];
  const shown = (path: string): string => relative('', path) || path;
  const files = written.map(({ path, backup }) => ({
    path: shown(path),
    backup: backup === undefined ? null : shown(backup),
  }));
  output.result(`${lines.join('\n')}\n`, {
    node,
    certificate: name,
    imported: options.import ?? null,
    subject: formatName(certificate.subject),
    serialNumber: formatSerialNumber(certificate.serialNumber).toUpperCase(),
    keyBits: certificate.keyBits,
    notAfter: certificate.notAfter.toISOString(),
    sha1: certificateSha1(certificate).toUpperCase(),
    files,
  });
  for (const { path, backup } of files) {
    output.note(`${path}${backup === null ? '' : `, the old one is ${backup}`}`);
  }
  for (const step of nextSteps(renewal)) output.note(`next: ${step}`);
}
