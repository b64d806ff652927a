import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, type KeyObject } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { formatHex } from '../../src/bytes/index.js';
import {
  createLabCluster,
  issueLabCertificate,
  loadCluster,
  loadPrivateKey,
  uploadedCertificates,
  type CertificateName,
  type Cluster,
  type ClusterNode,
} from '../../src/cluster/index.js';
import { createTokenlessCtl, tokenlessSigner } from '../../src/ctl/index.js';
import { createItl, emptyItl, itlSigner } from '../../src/itl/index.js';
import { formatPlan, type CertificateNote, type Plan, type Step, type StepCheck } from '../../src/migration/index.js';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import { startTftpServer, type TftpServer } from '../../src/tftp/index.js';
import { createTvsKnowledge, startTvsServer, type TvsKnowledge, type TvsServer } from '../../src/tvs/index.js';
import { formatCertificatePem, formatName, type Certificate } from '../../src/x509/index.js';
import { plainEnvironment, program, temporaryFolder, type Outcome, type RunOptions } from './etoken-bridge.js';
import { makeSoftwareKey } from './software-keys.js';

export function sha1(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex');
}

export function noteOf(certificate: Certificate): CertificateNote {
  return {
    subject: formatName(certificate.subject),
    serialNumber: formatHex(certificate.serialNumber, ':').toUpperCase(),
    sha1: sha1(certificate.der),
  };
}

/** Starts the command without waiting: the servers of a test run in this process. */
export function start(
  words: readonly string[],
  options: RunOptions = {},
): { readonly child: ChildProcess; readonly ended: Promise<Outcome> } {
  const child = spawn(process.execPath, [program, ...words], {
    env: plainEnvironment(options.env),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<Outcome>((resolve) => {
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
  return { child, ended };
}

/** Runs the command and waits for its end. */
export function runBeside(words: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return start(words, options).ended;
}

function keyOf(node: ClusterNode, name: CertificateName, certificate: Certificate): Promise<KeyObject> {
  const reference = node.keys[name];
  if (reference?.kind !== 'file') throw new Error(`${node.name} has no key of ${name} in a file`);
  return loadPrivateKey(reference, certificate);
}

/** @param isEmptied whether its TFTP and TVS records are emptied, as for a rollback. */
async function writeItl(
  folder: string,
  cluster: Cluster,
  index: number,
  timestamp: number,
  isEmptied = false,
): Promise<void> {
  const node = cluster.nodes[index]!;
  const { certificate } = itlSigner(cluster, node);
  const signer = createSoftwareSigner(certificate, await keyOf(node, 'CallManager', certificate));
  const whole = await createItl(cluster, node, signer, { timestamp });
  const { bytes } = isEmptied ? await emptyItl(whole, signer, { timestamp }) : whole;
  writeFileSync(join(folder, 'ITLFile.tlv'), bytes);
}

/** A cluster with live servers: what they serve and vouch for can be changed while they run. */
export interface LiveLab {
  readonly folder: string;
  readonly clusterFile: string;
  readonly cluster: Cluster;
  readonly publisher: string;
  /** Two, as software keys unless others were given. */
  readonly tokens: readonly [Certificate, Certificate];
  /** What signs with the first of them: `--key FILE --certificate FILE --token-certificate FILE`. */
  readonly tokenOptions: readonly string[];
  /** `--cluster FILE --tftp NODE=… --tvs NODE=…` */
  readonly serverOptions: readonly string[];
  /** The folder that the TFTP server of the node serves. */
  readonly served: (node?: string) => string;
  readonly servedCtl: (node?: string) => Uint8Array;
  readonly putCtl: (bytes: Uint8Array) => void;
  /** The tokenless list at the beginning. */
  readonly tokenless: Uint8Array;
  readonly tokenlessSigner: Signer;
  /** From now on TVS vouches for these too, as in Phone-SAST-trust. */
  readonly upload: (...certificates: readonly Certificate[]) => void;
  /** Renews a certificate of the publisher in the cluster file; the ITL follows when it is told to. */
  readonly renew: (name: CertificateName) => Promise<{ readonly publishItl: () => Promise<void> }>;
  /** The ITLs of all nodes by the cluster file as it is now. */
  readonly publishItls: (isEmptied?: boolean) => Promise<void>;
  /** TVS of the publisher starts anew, with the certificate that the cluster file has now. */
  readonly restartTvs: () => Promise<void>;
  /** Changes the text of the cluster file. */
  readonly editCluster: (from: string | RegExp, to: string) => void;
  readonly close: () => Promise<void>;
}

export interface LiveLabRequest {
  /** The first is the publisher; all run TFTP and TVS. */
  readonly nodes?: readonly string[];
  /** Two tokens that are not software keys, and the options that name them. */
  readonly tokens?: { readonly certificates: readonly [Certificate, Certificate]; readonly options: readonly string[] };
}

export async function makeLiveLab({ nodes = ['cucm-pub'], tokens }: LiveLabRequest = {}): Promise<LiveLab> {
  const release = '11.5.1';
  const folder = temporaryFolder();
  const { clusterFile, cluster } = await createLabCluster({
    directory: join(folder, 'cluster'),
    release,
    securityMode: 'mixed',
    nodes: nodes.map((name, index) => ({
      name,
      address: `10.48.46.${200 + index}`,
      services: index === 0 ? ['CallManager', 'TFTP', 'CAPF', 'TVS'] : ['CallManager', 'TFTP', 'TVS'],
    })),
    now: new Date(Date.now() - 86_400_000),
    keyBits: 1024,
  });
  const [pub] = cluster.nodes;
  const { name: signerName, certificate } = tokenlessSigner(cluster);
  const signer = createSoftwareSigner(certificate, await keyOf(pub!, signerName, certificate));
  const { list } = await createTokenlessCtl(cluster, signer, { timestamp: 1_700_000_000, now: new Date() });
  const [first, second] = await Promise.all([
    makeSoftwareKey('SAST-ADN0054f501', 0x31),
    makeSoftwareKey('SAST-ADN0054f502', 0x32),
  ]);
  const keyOptions = [...first.write(folder, 'first'), '--token-certificate', join(folder, 'second.pem')];
  second.write(folder, 'second');

  const tftpServers: TftpServer[] = [];
  const tvsServers: TvsServer[] = [];
  const servedFolder = (node = nodes[0]!): string => join(folder, `tftp-${node}`);
  let uploaded: readonly Certificate[] = [];
  const knowledge = (): TvsKnowledge =>
    createTvsKnowledge({ trustStores: { ...uploadedCertificates(cluster), 'Phone-SAST-trust': uploaded } });
  const serverOptions = ['--cluster', clusterFile];
  for (const [index, node] of cluster.nodes.entries()) {
    const root = servedFolder(node.name);
    mkdirSync(root);
    await writeItl(root, cluster, index, 1_700_000_000);
    const tftp = await startTftpServer({ root, port: 0 });
    const tvsCertificate = node.certificates.TVS!;
    const tvs = await startTvsServer({
      certificate: tvsCertificate,
      key: await keyOf(node, 'TVS', tvsCertificate),
      knowledge: { query: (names) => knowledge().query(names), verify: (der) => knowledge().verify(der) },
      port: 0,
    });
    tftpServers.push(tftp);
    tvsServers.push(tvs);
    serverOptions.push('--tftp', `${node.name}=127.0.0.1:${tftp.port}`, '--tvs', `${node.name}=127.0.0.1:${tvs.port}`);
  }
  const putCtl = (bytes: Uint8Array): void => {
    for (const name of nodes) writeFileSync(join(servedFolder(name), 'CTLFile.tlv'), bytes);
  };
  putCtl(list.bytes);
  const renew: LiveLab['renew'] = async (name) => {
    const made = await issueLabCertificate(pub!, name, cluster.release, { now: new Date(), keyBits: 1024 });
    const files = join(folder, 'cluster');
    writeFileSync(join(files, 'certificates', pub!.name, `${name}.pem`), formatCertificatePem(made.certificate));
    writeFileSync(join(files, 'keys', pub!.name, `${name}.key`), made.key.export({ format: 'pem', type: 'pkcs8' }));
    const publishItl = async (): Promise<void> =>
      writeItl(servedFolder(), await loadCluster(clusterFile), 0, 1_700_000_001);
    return { publishItl };
  };
  const publishItls: LiveLab['publishItls'] = async (isEmptied = false) => {
    const now = await loadCluster(clusterFile);
    for (const [index, name] of nodes.entries()) {
      await writeItl(servedFolder(name), now, index, 1_700_000_002, isEmptied);
    }
  };
  const restartTvs = async (): Promise<void> => {
    const [node] = (await loadCluster(clusterFile)).nodes;
    const [former] = tvsServers;
    const port = former!.port;
    await former!.close();
    const tvsCertificate = node!.certificates.TVS!;
    const key = await keyOf(node!, 'TVS', tvsCertificate);
    tvsServers[0] = await startTvsServer({ certificate: tvsCertificate, key, knowledge: knowledge(), port });
  };
  const editCluster: LiveLab['editCluster'] = (from, to) => {
    const text = readFileSync(clusterFile, 'utf8');
    const edited = text.replace(from, to);
    if (edited === text) throw new Error(`the cluster file has no ${String(from)}`);
    writeFileSync(clusterFile, edited);
  };
  const close = async (): Promise<void> => {
    await Promise.all([...tftpServers, ...tvsServers].map((server) => server.close()));
  };
  afterAll(close);
  return {
    folder,
    clusterFile,
    cluster,
    publisher: nodes[0]!,
    tokens: tokens?.certificates ?? [first.certificate, second.certificate],
    tokenOptions: tokens?.options ?? keyOptions,
    serverOptions,
    served: servedFolder,
    servedCtl: (node) => new Uint8Array(readFileSync(join(servedFolder(node), 'CTLFile.tlv'))),
    putCtl,
    tokenless: list.bytes,
    tokenlessSigner: signer,
    upload: (...certificates) => (uploaded = [...uploaded, ...certificates]),
    renew,
    publishItls,
    restartTvs,
    editCluster,
    close,
  };
}

/** The steps that publish a list, each node's TFTP server looked at. */
export function publishStep(lab: LiveLab, id: string, built: string, more: Partial<Step> = {}): Step {
  const checks: readonly StepCheck[] = lab.cluster.nodes.map(({ name }) => ({
    check: 'tftp-serves',
    node: name,
    file: 'CTLFile.tlv',
    built,
  }));
  return {
    id,
    who: 'administrator',
    title: 'the new CTL is served by every TFTP server',
    action: { kind: 'publish-ctl', built, securityMode: 'mixed' },
    requires: [],
    instructions: ['copy it to every TFTP node as CTLFile.tlv', 'restart the TFTP service there'],
    checks,
    undo: ['copy the former CTLFile.tlv back', 'restart the TFTP service'],
    safe: false,
    ...more,
  };
}

export function confirmStep(id: string, more: Partial<Step> = {}): Step {
  return {
    id,
    who: 'phones',
    title: 'all phones restart',
    action: { kind: 'restart-phones' },
    requires: [],
    instructions: ['reset all phones'],
    checks: [{ check: 'confirm', question: 'Did all phones come back?' }],
    undo: ['Nothing has to be taken back.'],
    safe: true,
    ...more,
  };
}

/** From tokenless to tokens and back, as the planner would write it. */
export function thereAndBack(lab: LiveLab): Plan {
  const { tokens, cluster, publisher } = lab;
  const notes = tokens.map(noteOf);
  const steps: readonly Step[] = [
    {
      id: '1-upload',
      who: 'administrator',
      title: 'the certificates of both tokens are in Phone-SAST-trust',
      action: { kind: 'upload', store: 'Phone-SAST-trust', certificates: notes },
      requires: [],
      instructions: ['upload both as Phone-SAST-trust', 'restart TVS on every node'],
      checks: notes.map((certificate) => ({ check: 'tvs-vouches', node: publisher, certificate, role: 0 })),
      undo: ['delete both from Phone-SAST-trust'],
      safe: true,
    },
    {
      id: '2-build-ctl',
      who: 'tool',
      title: 'a CTL with both tokens, signed by the first',
      action: {
        kind: 'build-ctl',
        flow: 'to-token',
        signer: { kind: 'token', certificate: notes[0]! },
        tokens: notes,
        accept: [],
      },
      requires: [],
      instructions: [],
      checks: [{ check: 'file-verifies' }],
      undo: [],
      safe: true,
    },
    publishStep(lab, '3-publish-ctl', '2-build-ctl'),
    confirmStep('4-restart-phones'),
    {
      id: '5-build-ctl',
      who: 'tool',
      title: "a CTL signed by the cluster's own key",
      action: {
        kind: 'build-ctl',
        flow: 'to-tokenless',
        signer: { kind: 'cluster', name: 'CallManager' },
        tokens: [],
        accept: [],
      },
      requires: [],
      instructions: [],
      checks: [{ check: 'file-verifies' }],
      undo: [],
      safe: true,
    },
    publishStep(lab, '6-publish-ctl', '5-build-ctl'),
    confirmStep('7-restart-phones'),
  ];
  const certificates = Object.fromEntries(
    cluster.nodes.flatMap(({ name, certificates: own }) =>
      Object.entries(own).map(([which, certificate]) => [`${name} ${which}`, sha1(certificate.der)]),
    ),
  );
  return {
    version: 1,
    created: '2026-03-01T10:00:00.000Z',
    from: { mode: 'tokenless', release: '11.5.1', securityMode: 'mixed', ctl: sha1(lab.tokenless), certificates },
    to: { mode: 'tokenless', release: '11.5.1', wanted: 'tokenless' },
    findings: [],
    steps,
    phones: {
      total: 1,
      kept: 1,
      lost: 0,
      unknown: 0,
      groups: [{ group: 0, count: 1, devices: ['SEP000000000001'], securityByDefault: true, outcome: 'kept' }],
    },
  };
}

/** The first steps of {@link thereAndBack}. */
export function firstSteps(plan: Plan, count: number): Plan {
  const steps = plan.steps.slice(0, count);
  const published = steps.filter(({ action }) => action.kind === 'publish-ctl').length;
  return { ...plan, steps, to: { ...plan.to, mode: published === 1 ? 'token' : 'tokenless' } };
}

/** `--phones-restarted STEP` for each step of a plan at which phones restart. */
export function phonesRestarted({ steps }: Plan): readonly string[] {
  return steps.flatMap(({ id, action }) => (action.kind === 'restart-phones' ? ['--phones-restarted', id] : []));
}

/** Writes a plan; gives its path. */
export function writePlan(lab: LiveLab, plan: Plan, name = 'plan.yaml'): string {
  const path = join(lab.folder, name);
  writeFileSync(path, formatPlan(plan));
  return path;
}

/** The entries of a plan's journal. */
export function journalOf(planPath: string): readonly Record<string, unknown>[] {
  const text = readFileSync(join(`${planPath}.work`, 'journal.jsonl'), 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
