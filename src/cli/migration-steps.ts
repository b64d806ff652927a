import { join } from 'node:path';
import { printable } from '../bytes/index.js';
import { NetworkError, RefusalError } from '../errors.js';
import type { Action, Progress, Step, StepProgress } from '../migration/index.js';
import { askQuestion } from './commands/cluster-question.js';
import { readInput, writeOutput } from './files.js';
import { describe, isLive, lookAt, notAsExpected, type CheckOutcome } from './live-checks.js';
import { tftpNodes } from './live-servers.js';
import { buildList } from './migration-build.js';
import type { MigrationRun } from './migration-run.js';
import { sha1Of } from './migration-work.js';
import { ctlOptions } from './commands/ctl-build.js';
import { isInteractive } from './prompts.js';

/** A step that waits for somebody, and why. */
export interface Waiting {
  readonly step: Step;
  readonly instructions: readonly string[];
  /** What was seen of it, one line each. */
  readonly reasons: readonly string[];
}

/** What was seen of a step by all of its checks. */
interface Look {
  readonly outcomes: readonly CheckOutcome[];
  /** Servers that could not be asked. */
  readonly failures: readonly NetworkError[];
}

/** Steps that leave a state which is the same whoever made it: when their checks hold, there is nothing to do. */
const statesOnly: readonly Action['kind'][] = ['upload', 'start-tvs', 'publish-ctl', 'remove-ctl-file'];

/**
 * Whether the checks of a step tell whether it was done. That TVS answers does not tell, say, that its server was added
 * to the phones' group: there somebody must say so.
 */
function isToldByChecks({ action, checks }: Step): boolean {
  if (statesOnly.includes(action.kind) || action.kind === 'cluster-ctl') return confirmsOf({ checks }).length === 0;
  const renewed = checks.filter((check) => check.check === 'certificate-renewed');
  return action.kind === 'renew' && confirmsOf({ checks }).length === 0 && renewed.some(({ before }) => before !== '');
}

/**
 * Takes one step, from wherever it was left, to its end or to the point where somebody else has to do something.
 *
 * @returns what it waits for; `undefined` when it is done.
 */
export async function takeStep(run: MigrationRun, progress: Progress, one: StepProgress): Promise<Waiting | undefined> {
  const { step } = one;
  if (step.action.kind === 'build-ctl') {
    const begun = one.state === 'open' ? beginStep(run, progress, one) : one;
    finishStep(run, step, await buildList(run, progress, begun));
    return undefined;
  }
  const isOpen = one.state === 'open';
  const first = !isOpen || statesOnly.includes(step.action.kind) ? await look(run, progress, one) : undefined;
  const isDone = first !== undefined && allHold(first) && isToldByChecks(step);
  const begun = isOpen ? beginStep(run, progress, one, isDone) : one;
  if (isDone) {
    await finishLooked(run, step, first);
    return undefined;
  }
  if (first !== undefined) refuseOther(step, first);
  const isPublished = step.action.kind === 'publish-ctl' && (await publish(run, progress, begun, step.action));
  return askAndLook(run, progress, begun, isPublished);
}

/** Tells what is to be done, waits until somebody says that it is, and looks whether it is so. */
async function askAndLook(
  run: MigrationRun,
  progress: Progress,
  one: StepProgress,
  isPublished: boolean,
): Promise<Waiting | undefined> {
  const { step } = one;
  const instructions = isPublished ? [] : await instructionsOf(run, step);
  tell(run, step, instructions);
  const isAnswered = run.options.yes === true || isInteractive();
  if (!isAnswered) {
    const seen = await look(run, progress, one);
    refuseOther(step, seen);
    if (!allHold(seen) || !isToldByChecks(step)) return waiting(step, instructions, seen);
    await finishLooked(run, step, seen);
    return undefined;
  }
  const yes = run.options.yes;
  if (!isPublished && !(await askQuestion({ text: `${step.id}: is it done? (y/n)`, yes }))) {
    return waiting(step, instructions);
  }
  await run.reload();
  const seen = await look(run, progress, one);
  const [failure] = seen.failures;
  if (failure !== undefined) throw failure;
  const unmet = seen.outcomes.filter(({ holds }) => !holds);
  if (unmet.length > 0)
    throw notAsExpected(
      step.id,
      unmet.map(({ seen: line }) => line),
    );
  for (const { question } of confirmsOf(step)) {
    if (!(await askQuestion({ text: `${printable(question)} (y/n)`, yes }))) return waiting(step, instructions);
  }
  await finishLooked(run, step, seen);
  return undefined;
}

function waiting(step: Step, instructions: readonly string[], seen?: Look): Waiting {
  const asked = confirmsOf(step).map(({ question }) => question);
  const questions = asked.length > 0 || isToldByChecks(step) ? asked : ['Is it done?'];
  const unmet = (seen?.outcomes ?? []).filter(({ holds }) => !holds).map(({ seen: line }) => line);
  const failures = (seen?.failures ?? []).map(({ message }) => message);
  return { step, instructions, reasons: [...unmet, ...failures, ...questions] };
}

function tell(run: MigrationRun, step: Step, instructions: readonly string[]): void {
  const who = step.who === 'phones' ? 'the phones' : step.who === 'tool' ? 'etoken-bridge' : 'you';
  const lines = [
    ...step.requires.map((line) => `  before: ${printable(line)}`),
    ...instructions.map((line, index) => `  ${index + 1}. ${printable(line)}`),
  ];
  run.output.instruction([`${step.id} (${who}): ${printable(step.title)}`, ...lines].join('\n'));
}

/** What is to be done, with the files that it is done with. */
async function instructionsOf(run: MigrationRun, step: Step): Promise<readonly string[]> {
  const { action } = step;
  if (action.kind === 'publish-ctl') {
    return [`the list is ${printable(run.work.listPath(action.built))}`, ...step.instructions];
  }
  if (action.kind !== 'upload') return step.instructions;
  const files = await Promise.all(
    action.certificates.map(async ({ sha1 }) => {
      const certificate = await run.certificates.find(sha1);
      return `${describe(certificate)} is ${printable(await run.work.keepCertificate(certificate))}`;
    }),
  );
  return [...files, ...step.instructions];
}

function confirmsOf({ checks }: Pick<Step, 'checks'>): readonly { readonly question: string }[] {
  return checks.flatMap((check) => (check.check === 'confirm' ? [check] : []));
}

/** Looks at all live checks of a step. Servers that cannot be asked are told of, not thrown. */
async function look(run: MigrationRun, progress: Progress, one: StepProgress): Promise<Look> {
  const context = await run.checkContext(progress, one);
  const outcomes: CheckOutcome[] = [];
  const failures: NetworkError[] = [];
  for (const check of one.step.checks.filter(isLive)) {
    try {
      outcomes.push(await lookAt(check, context));
    } catch (error) {
      if (!(error instanceof NetworkError) || error.code === 'not-as-expected') throw error;
      failures.push(error);
    }
  }
  return { outcomes, failures };
}

/** Whether there was something to look at, and all of it is as it should be. */
function allHold({ outcomes, failures }: Look): boolean {
  return outcomes.length > 0 && failures.length === 0 && outcomes.every(({ holds }) => holds);
}

/** A server that has neither what was there before nor what the step wants: somebody else is at work. */
function refuseOther({ id }: Step, { outcomes }: Look): void {
  const others = outcomes.filter((outcome) => !outcome.holds && outcome.state === 'other');
  if (others.length > 0)
    throw notAsExpected(
      id,
      others.map(({ seen }) => seen),
    );
}

function beginStep(run: MigrationRun, progress: Progress, { step }: StepProgress, already = false): StepProgress {
  const { timestamp } = ctlOptions(run.options);
  run.work.append({ entry: 'begun', step: step.id, timestamp, ...(already ? { already } : {}) });
  return { step, state: 'begun', timestamp, sha1: undefined, already, before: progress.ctl };
}

function finishStep(run: MigrationRun, { id, title }: Step, sha1?: string): void {
  run.work.append({ entry: 'done', step: id, ...(sha1 === undefined ? {} : { sha1 }) });
  run.output.note(`${id}: done, ${printable(title)}${sha1 === undefined ? '' : `, SHA-1 ${sha1}`}`);
}

async function finishLooked(run: MigrationRun, step: Step, { outcomes }: Look): Promise<void> {
  for (const { seen } of outcomes) run.output.note(`${step.id}: ${seen}`);
  if (step.action.kind !== 'cluster-ctl') {
    finishStep(run, step);
    return;
  }
  // The list that the cluster made is what the next steps begin with.
  const checked = outcomes.flatMap((outcome) => (outcome.holds ? (outcome.list ?? []) : []))[0];
  const list = checked ?? (await servedCtl(run));
  if (list !== undefined) await run.work.keepList(step.id, list);
  finishStep(run, step, list === undefined ? undefined : sha1Of(list));
}

async function servedCtl(run: MigrationRun): Promise<Uint8Array | undefined> {
  const [node] = tftpNodes(run.clusterFile);
  return node === undefined ? undefined : run.servers.fetch(node, 'CTLFile.tlv');
}

/** Puts the list into the folders that were named. @returns whether these are the folders of all TFTP servers. */
async function publish(
  run: MigrationRun,
  progress: Progress,
  one: StepProgress,
  { built }: Extract<Action, { readonly kind: 'publish-ctl' }>,
): Promise<boolean> {
  const sha1 = progress.steps.find(({ step }) => step.id === built)?.sha1;
  if (run.folders.size === 0 || sha1 === undefined) return false;
  await putList(run, run.listOf(sha1).bytes, one.before);
  return tftpNodes(run.clusterFile).every((node) => run.folders.has(node));
}

/**
 * Puts a list into the folders of the TFTP servers.
 *
 * @param before SHA-1 of the list that is there; none when there is none.
 * @throws RefusalError `other-state` when another is there, so that nobody's list is lost
 */
export async function putList(run: MigrationRun, bytes: Uint8Array, before: string | undefined): Promise<void> {
  const wanted = sha1Of(bytes);
  const paths = [...run.folders.values()].map((folder) => join(folder, 'CTLFile.tlv'));
  for (const path of paths) {
    const present = await presentSha1(path);
    if (present === before || present === wanted) continue;
    const there = present === undefined ? 'is not there' : `has SHA-1 ${present}`;
    throw new RefusalError(
      'other-state',
      `${printable(path)} ${there}, and ${before === undefined ? 'no CTL' : `SHA-1 ${before}`} was expected there`,
      { hint: 'check that --tftp-folder names the folder that the TFTP server serves; nothing was written' },
    );
  }
  for (const path of paths) await writeOutput({ path, bytes });
}

async function presentSha1(path: string): Promise<string | undefined> {
  try {
    return sha1Of(await readInput(path, 'CTL'));
  } catch (error) {
    if ((error as { readonly code?: string }).code === 'file-missing') return undefined;
    throw error;
  }
}
