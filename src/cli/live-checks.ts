import { equalBytes, printable } from '../bytes/index.js';
import type { Cluster } from '../cluster/index.js';
import { ctlMode, isEmptied } from '../ctl/index.js';
import { NetworkError } from '../errors.js';
import type { StepCheck } from '../migration/index.js';
import { formatFunction, recordHolds, type TrustList } from '../trust-list/index.js';
import { certificateRenewed, itlEmptied, itlFilled, nodeRenamed } from './live-certificates.js';
import { describe, describeDer, readSigned, signerOf, type CheckContext, type CheckOutcome } from './live-outcome.js';
import { sha1Of } from './migration-work.js';

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
    case 'node-renamed':
      return nodeRenamed(check.node, check.name, context);
    case 'itl-emptied':
      return itlEmptied(check.node, context);
    case 'itl-filled':
      return itlFilled(check.node, context);
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
  const problem = problemOfOwn(reading.list, context);
  if (problem !== undefined) {
    const seen = `${name} serves ${file} with SHA-1 ${came}, signed by ${describe(wanted)}, and ${problem}`;
    return { holds: false, state: 'other', seen };
  }
  const list = file === 'CTLFile.tlv' ? { list: bytes } : {};
  return { holds: true, seen: `${name} serves ${file} ${came}, signed by ${describe(wanted)}`, ...list };
}

/** What a list that the cluster made itself lacks of what its step wants; other steps want no more than the signer. */
function problemOfOwn(list: TrustList, { action, cluster }: CheckContext): string | undefined {
  if (action.kind !== 'cluster-ctl') return undefined;
  if (action.flow === 'to-non-secure') {
    return isEmptied(list) ? undefined : 'its servers are not emptied: this is no list of a non-secure cluster';
  }
  if (isEmptied(list)) return 'its servers are emptied: this is the list of a non-secure cluster';
  const mode = action.signer.kind === 'cluster' ? 'tokenless' : 'token';
  if (ctlMode(list) !== mode) return `it is a ${ctlMode(list)} list; a ${mode} list is expected`;
  return missingServer(list, cluster);
}

/** Which server of the cluster file has no record with its present certificate. */
function missingServer(list: TrustList, { nodes }: Cluster): string | undefined {
  for (const { name, services, certificates } of nodes) {
    const names = [
      ...(services.includes('CallManager') || services.includes('TFTP') ? (['CallManager'] as const) : []),
      ...(services.includes('CAPF') ? (['CAPF'] as const) : []),
    ];
    for (const which of names) {
      const certificate = certificates[which];
      if (certificate === undefined || list.records.some((record) => recordHolds(record, certificate.der))) continue;
      return `it does not hold the ${which} certificate of ${printable(name)}, ${describe(certificate)}`;
    }
  }
  return undefined;
}

/** TVS answers, and shows the certificate of the cluster file. */
export async function tvsAnswers(node: string, { servers }: Pick<CheckContext, 'servers'>): Promise<CheckOutcome> {
  try {
    await servers.ask(node, () => Promise.resolve());
  } catch (error) {
    if (!(error instanceof NetworkError) || error.code !== 'not-as-expected') throw error;
    return { holds: false, state: 'before', seen: error.message };
  }
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
