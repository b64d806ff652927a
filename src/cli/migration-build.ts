import { createHash } from 'node:crypto';
import { equalBytes, printable } from '../bytes/index.js';
import { nodeCertificate, publisherOf, type Cluster } from '../cluster/index.js';
import {
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
  type CtlOptions,
  type CtlResult,
} from '../ctl/index.js';
import { DeviceError, InputError, RefusalError } from '../errors.js';
import type { Action, CtlFlow, ListSigner, Progress, StepProgress } from '../migration/index.js';
import type { Signer } from '../signer/index.js';
import { decodeTrustList, type TrustList } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { ctlOptions } from './commands/ctl-build.js';
import { describe, readSigned, signerOf } from './live-outcome.js';
import type { MigrationRun } from './migration-run.js';
import { sha1Of } from './migration-work.js';
import { openSoftwareSigner } from './signers.js';

type Building = Extract<Action, { readonly kind: 'build-ctl' }>;

/** What a list is built from. */
interface Material {
  readonly present: () => TrustList;
  readonly cluster: Cluster;
  readonly tokens: readonly Certificate[];
  readonly signer: Signer;
  readonly options: CtlOptions;
}

/** The function of the library behind each flow. */
const flows: Readonly<Record<CtlFlow, (material: Material) => Promise<CtlResult>>> = {
  'create-token': ({ cluster, tokens, signer, options }) => createTokenCtl(cluster, tokens, signer, options),
  'create-tokenless': ({ cluster, signer, options }) => createTokenlessCtl(cluster, signer, options),
  update: ({ present, cluster, signer, options }) => updateCtl(present(), cluster, signer, options),
  'add-token': ({ present, cluster, tokens, signer, options }) =>
    addToken(present(), onlyToken(tokens), signer, { ...options, release: cluster.release }),
  'to-token': ({ present, cluster, tokens, signer, options }) => toToken(present(), cluster, tokens, signer, options),
  'to-tokenless': ({ present, cluster, signer, options }) => toTokenless(present(), cluster, signer, options),
  'to-non-secure': ({ present, signer, options }) => toNonSecure(present(), signer, options),
};

function onlyToken([token]: readonly Certificate[]): Certificate {
  if (token !== undefined) return token;
  throw new InputError('plan-file', 'the step adds a token and names none', { hint: 'name it below tokens:' });
}

/**
 * The list of a step, as it was built before or, when it was not, built and signed now. With the time that the journal
 * noted when the step was begun, the same key makes the same bytes again.
 *
 * @returns its SHA-1.
 * @throws what the flows of the ctl room refuse; what the token throws
 */
export async function buildList(run: MigrationRun, progress: Progress, one: StepProgress): Promise<string> {
  const { step, timestamp = 0 } = one;
  if (step.action.kind !== 'build-ctl') throw new Error(`step ${step.id} builds no list`);
  const cluster = await run.clusterNow(progress, one);
  const context = { cluster, certificateOf: (sha1: string) => run.certificates.find(sha1) };
  const wanted = await signerOf(step.action.signer, context);
  const built = run.work.readList(step.id);
  const isSame = one.inputs === (await inputsOf(run, progress, one));
  if (isSame && built !== undefined && isFinished(built, wanted, timestamp)) return sha1Of(built);
  const { list, notices } = await build(run, progress, step.action, cluster, wanted, timestamp);
  for (const { check, message } of notices) run.output.warning(`${check}: ${message}`);
  await run.work.keepList(step.id, list.bytes);
  // By what is on the disk.
  const written = run.work.readList(step.id);
  if (written === undefined || !isFinished(written, wanted, timestamp)) {
    throw new InputError('file-unreadable', `${printable(run.work.listPath(step.id))} is not the list that was built`, {
      hint: 'check the disk, then run the command again',
    });
  }
  return sha1Of(written);
}

/**
 * SHA-256 of all that the list of a step is built from: the present CTL, the cluster with its certificates, the options.
 * A list that is there already is taken for the finished one only while this is the same.
 */
export async function inputsOf(run: MigrationRun, progress: Progress, one: StepProgress): Promise<string> {
  const { release, securityMode, nodes, trustStores } = await run.clusterNow(progress, one);
  const cluster = {
    release: release.text,
    securityMode,
    nodes: nodes.map(({ name, address, services, certificates }) => ({ name, address, services, certificates })),
    trustStores,
  };
  const { digestAlgorithm, accept } = ctlOptions(run.options);
  const certificate = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && 'der' in value && value.der instanceof Uint8Array
      ? sha1Of(value.der)
      : value;
  const text = JSON.stringify(
    { action: one.step.action, ctl: progress.ctl, cluster, digestAlgorithm, accept },
    (_key, value: unknown) => certificate(value),
  );
  return createHash('sha256').update(text).digest('hex');
}

/** Whether a file is the list of a step: it verifies, its signer is the right one, and it has the time of the step. */
function isFinished(bytes: Uint8Array, wanted: Certificate, timestamp: number): boolean {
  const reading = readSigned(bytes);
  if ('problem' in reading) return false;
  const isSigned = reading.signer !== undefined && equalBytes(reading.signer, wanted.der);
  return isSigned && reading.list.header.timestamp === timestamp;
}

async function build(
  run: MigrationRun,
  progress: Progress,
  action: Building,
  cluster: Cluster,
  wanted: Certificate,
  timestamp: number,
): Promise<CtlResult> {
  const tokens = await Promise.all(action.tokens.map(({ sha1 }) => run.certificates.find(sha1)));
  const signer = await openSigner(run, action.signer, cluster, wanted);
  const given = ctlOptions(run.options);
  const options = { ...given, timestamp, accept: [...action.accept, ...(given.accept ?? [])] };
  const present = (): TrustList => {
    if (progress.ctl === undefined) {
      throw new RefusalError('other-state', `the flow ${action.flow} changes a CTL, and there is none at this step`, {
        hint: 'let "migrate plan" make the plan again',
      });
    }
    return decodeTrustList(run.listOf(progress.ctl).bytes);
  };
  return flows[action.flow]({ present, cluster, tokens, signer, options });
}

/** The signer that a plan names, wherever its key is: the cluster file, `--key`, or a token that is plugged in. */
async function openSigner(
  run: MigrationRun,
  signer: ListSigner,
  cluster: Cluster,
  wanted: Certificate,
): Promise<Signer> {
  const { options, signers } = run;
  const isWanted = (certificate: Certificate): boolean => equalBytes(certificate.der, wanted.der);
  if (signer.kind === 'cluster') {
    const publisher = publisherOf(cluster);
    const key = publisher.keys[signer.name];
    if (key !== undefined) return signers.openKey(key, nodeCertificate(publisher, signer.name));
    if (options.key === undefined) {
      throw new InputError(
        'missing-option',
        `the cluster file names no key for the publisher's ${signer.name}, which signs the list`,
        { hint: `add "${signer.name}" to the keys of the first node, or give --key FILE` },
      );
    }
  }
  const opened =
    options.key === undefined
      ? await signers.openToken(isWanted, 'first')
      : await openSoftwareSigner(options, options.certificate === undefined ? wanted : undefined);
  if (isWanted(opened.certificate)) return opened;
  const message = `the plan wants ${describe(wanted)} to sign, and the key at hand is that of ${describe(opened.certificate)}`;
  if (options.key !== undefined)
    throw new InputError('usage', message, { hint: 'give the key of the signer with --key' });
  throw new DeviceError('token-not-found', message, {}, { hint: 'plug in the token that the plan names' });
}
