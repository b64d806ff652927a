import { equalBytes, printable } from '../bytes/index.js';
import { nodeCertificate, publisherOf, type Cluster } from '../cluster/index.js';
import { FormatError, NetworkError } from '../errors.js';
import type { ListSigner, StepCheck } from '../migration/index.js';
import { decodeTrustList, formatFunction, recordHolds, verifyTrustList, type TrustList } from '../trust-list/index.js';
import { decodeCertificate, formatName, type Certificate } from '../x509/index.js';
import { tftpNodes, type LiveServers } from './live-servers.js';
import { sha1Of } from './migration-work.js';

/** What a check found. */
export type CheckOutcome =
  | {
      readonly holds: true;
      /** What was seen, as one line. */
      readonly seen: string;
      /** The CTL that is served, where the check was about one that this tool did not build. */
      readonly list?: Uint8Array | undefined;
    }
  | {
      readonly holds: false;
      /** `before`: it is as it was before the step. `other`: it is neither that nor what the step wants. */
      readonly state: 'before' | 'other';
      readonly seen: string;
    };

/** What checks are looked at with. */
export interface CheckContext {
  readonly servers: LiveServers;
  readonly cluster: Cluster;
  /** SHA-1 of the CTL before the step; none when there was none. */
  readonly before: string | undefined;
  /** SHA-1 of the list that a step built. */
  readonly builtBy: (step: string) => string | undefined;
  /** The whole certificate of a note. */
  readonly certificateOf: (sha1: string) => Promise<Certificate>;
}

/** A check that can be looked at without asking a person. */
export type LiveCheck = Exclude<StepCheck, { readonly check: 'confirm' | 'file-verifies' }>;

/** Whether a check is about live servers or the cluster file. */
export function isLive(check: StepCheck): check is LiveCheck {
  return check.check !== 'confirm' && check.check !== 'file-verifies';
}

/**
 * Looks whether a step has the effect that it should have.
 *
 * @throws NetworkError when a server cannot be asked; `not-as-expected` when it is another server.
 */
export async function lookAt(check: LiveCheck, context: CheckContext): Promise<CheckOutcome> {
  switch (check.check) {
    case 'tftp-serves':
      return tftpServes(check.node, check.file, context.builtBy(check.built), context);
    case 'tftp-serves-signed-by':
      return servesSignedBy(check, context);
    case 'tftp-lacks':
      return tftpLacks(check.node, check.file, context);
    case 'tvs-answers':
      return tvsAnswers(check.node, context);
    case 'tvs-vouches':
      return tvsVouches(check, context);
    case 'certificate-renewed':
      return certificateRenewed(check, context);
  }
}

/** Whether a TFTP server serves these bytes; `undefined`: whether it has no such file. */
export async function tftpServes(
  node: string,
  file: string,
  expected: string | undefined,
  { servers, before }: Pick<CheckContext, 'servers' | 'before'>,
): Promise<CheckOutcome> {
  const bytes = await servers.fetch(node, file);
  const came = bytes === undefined ? undefined : sha1Of(bytes);
  const name = servers.tftpName(node);
  if (came === expected) {
    return { holds: true, seen: came === undefined ? `${name} has no ${file}` : `${name} serves ${file} ${came}` };
  }
  const wanted = expected === undefined ? 'none is expected' : `SHA-1 ${expected} is expected`;
  const state = came === before ? 'before' : 'other';
  if (came === undefined) return { holds: false, state, seen: `${name} has no ${file}, and ${wanted}` };
  const still = state === 'before' ? 'still serves' : 'serves';
  return { holds: false, state, seen: `${name} ${still} ${file} with SHA-1 ${came}, and ${wanted}` };
}

async function tftpLacks(node: string, file: string, context: CheckContext): Promise<CheckOutcome> {
  return tftpServes(node, file, undefined, context);
}

async function servesSignedBy(
  check: Extract<StepCheck, { check: 'tftp-serves-signed-by' }>,
  context: CheckContext,
): Promise<CheckOutcome> {
  const { node, file } = check;
  const { servers } = context;
  const before = check.before ?? (file === 'CTLFile.tlv' ? context.before : undefined);
  const wanted = await signerOf(check.signer, context);
  const expected = `a list signed by ${describe(wanted)} is expected`;
  const name = servers.tftpName(node);
  const bytes = await servers.fetch(node, file);
  if (bytes === undefined) {
    const state = before === undefined ? 'before' : 'other';
    return { holds: false, state, seen: `${name} has no ${file}, and ${expected}` };
  }
  const came = sha1Of(bytes);
  if (came === before) {
    return { holds: false, state: 'before', seen: `${name} still serves ${file} with SHA-1 ${came}, and ${expected}` };
  }
  const reading = readSigned(bytes);
  if ('problem' in reading) {
    const seen = `${name} serves ${file} with SHA-1 ${came}, which ${reading.problem}; ${expected}`;
    return { holds: false, state: 'other', seen };
  }
  if (reading.signer === undefined || !equalBytes(reading.signer, wanted.der)) {
    const signer = reading.signer === undefined ? reading.list.header.signerName : describeDer(reading.signer);
    const seen = `${name} serves ${file} with SHA-1 ${came}, signed by ${printable(signer)}; ${expected}`;
    return { holds: false, state: 'other', seen };
  }
  const list = file === 'CTLFile.tlv' ? { list: bytes } : {};
  return { holds: true, seen: `${name} serves ${file} ${came}, signed by ${describe(wanted)}`, ...list };
}

/** A list with the certificate of its signer, or why it is no list that verifies. */
export function readSigned(
  bytes: Uint8Array,
): { readonly list: TrustList; readonly signer: Uint8Array | undefined } | { readonly problem: string } {
  let list: TrustList;
  try {
    list = decodeTrustList(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { problem: `is no trust list (${printable(error.message)})` };
  }
  const verification = verifyTrustList(list);
  if (!verification.verified) return { problem: `does not verify: ${verification.reason}` };
  return { list, signer: verification.signer.certificate };
}

async function tvsAnswers(node: string, { servers }: CheckContext): Promise<CheckOutcome> {
  await servers.ask(node, () => Promise.resolve());
  return { holds: true, seen: `${servers.tvsName(node)} answers` };
}

async function tvsVouches(
  { node, certificate: note, role }: Extract<StepCheck, { check: 'tvs-vouches' }>,
  { servers, certificateOf }: CheckContext,
): Promise<CheckOutcome> {
  const certificate = await certificateOf(note.sha1);
  const answer = await servers.ask(node, (client) => client.verify(certificate.der));
  const what = `${describe(certificate)} as ${formatFunction(role)} (${role})`;
  const name = servers.tvsName(node);
  if (answer.status === 'success' && answer.roles.includes(role)) {
    return { holds: true, seen: `${name} vouches for ${what}` };
  }
  const came =
    answer.status === 'success'
      ? `it has only the roles ${answer.roles.map((one) => `${formatFunction(one)} (${one})`).join(', ') || 'none'}`
      : 'its answer is not trusted';
  return { holds: false, state: 'before', seen: `${name} does not vouch for ${what}: ${came}` };
}

async function certificateRenewed(
  { node: name, certificate: which, before }: Extract<StepCheck, { check: 'certificate-renewed' }>,
  { servers, cluster }: CheckContext,
): Promise<CheckOutcome> {
  const node = cluster.nodes.find((one) => one.name === name);
  const certificate = node?.certificates[which];
  if (node === undefined || certificate === undefined) {
    const seen = `the cluster file has no ${which} certificate of ${printable(name)}`;
    return { holds: false, state: 'other', seen };
  }
  if (sha1Of(certificate.der) === before) {
    const seen = `the cluster file still names the ${which} certificate of ${printable(name)} with SHA-1 ${before}`;
    return { holds: false, state: 'before', seen };
  }
  const holder = itlHolderOf(cluster, name, which);
  if (holder !== undefined) {
    const outcome = await itlHolds(holder, certificate, which, servers);
    if (!outcome.holds) return outcome;
  }
  return { holds: true, seen: `the ${which} certificate of ${printable(name)} is ${describe(certificate)}` };
}

/** Whose ITL holds a node's certificate: its own where it serves one; TVS, CAPF and ITLRecovery stand in all of them. */
function itlHolderOf(cluster: Cluster, node: string, which: string): string | undefined {
  const serving = tftpNodes(cluster);
  if (serving.includes(node)) return node;
  return which === 'TVS' || which === 'ITLRecovery' ? serving[0] : undefined;
}

async function itlHolds(
  node: string,
  certificate: Certificate,
  which: string,
  servers: LiveServers,
): Promise<CheckOutcome> {
  const name = servers.tftpName(node);
  const bytes = await servers.fetch(node, 'ITLFile.tlv');
  // Before 8.0 there is none.
  if (bytes === undefined) return { holds: true, seen: `${name} has no ITLFile.tlv` };
  const reading = readSigned(bytes);
  if ('problem' in reading) {
    return { holds: false, state: 'other', seen: `${name} serves an ITLFile.tlv that ${reading.problem}` };
  }
  if (reading.list.records.some((record) => recordHolds(record, certificate.der))) return { holds: true, seen: name };
  const seen = `the ITL that ${name} serves does not hold the ${which} certificate ${describe(certificate)}`;
  return { holds: false, state: 'before', seen };
}

/** The certificate that a list must be signed with. */
export async function signerOf(
  signer: ListSigner,
  { cluster, certificateOf }: Pick<CheckContext, 'cluster' | 'certificateOf'>,
): Promise<Certificate> {
  if (signer.kind === 'token') return certificateOf(signer.certificate.sha1);
  return nodeCertificate(publisherOf(cluster), signer.name);
}

/** A certificate in a message. */
export function describe(certificate: Certificate): string {
  return `${printable(formatName(certificate.subject))} (SHA-1 ${sha1Of(certificate.der)})`;
}

function describeDer(der: Uint8Array): string {
  try {
    return describe(decodeCertificate(der));
  } catch {
    return `a certificate with SHA-1 ${sha1Of(der)}`;
  }
}

/** A check that failed, as the error that ends the command. */
export function notAsExpected(step: string, seen: readonly string[]): NetworkError {
  return new NetworkError('not-as-expected', `step ${step} is not done: ${seen.join('; ')}`, {
    hint: 'nothing further was done; correct it, then run the command again',
  });
}
