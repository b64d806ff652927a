import { printable } from '../bytes/index.js';
import { certificateChanges, checkFiveMinutes } from '../cluster/index.js';
import { NetworkError } from '../errors.js';
import type { Action, Progress, Step, StepProgress } from '../migration/index.js';
import { askQuestion } from './commands/cluster-question.js';
import { isLive, lookAt } from './live-checks.js';
import { describe, notAsExpected, type CheckOutcome } from './live-outcome.js';
import { tftpNodeNames } from './live-servers.js';
import { buildList, inputsOf } from './migration-build.js';
import type { MigrationRun } from './migration-run.js';
import { ctlFile, hasAllFolders, putList, removeLists } from './migration-lists.js';
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
const statesOnly: readonly Action['kind'][] = [
  'upload',
  'start-tvs',
  'publish-ctl',
  'remove-ctl-file',
  'empty-itls',
  'fill-itls',
];
/**
 * Those of them that were so before the plan, when they are so at their beginning, and stay so when it is undone. A list
 * of the plan that is served already was copied for its sake.
 */
const leftAlone: readonly Action['kind'][] = ['upload', 'start-tvs', 'empty-itls', 'fill-itls'];

/**
 * Whether the checks of a step tell whether it was done. That TVS answers does not tell, say, that its server was added
 * to the phones' group: there somebody must say so.
 */
function isToldByChecks({ action, checks }: Step): boolean {
  if (confirmsOf({ checks }).length > 0) return false;
  if (statesOnly.includes(action.kind) || action.kind === 'cluster-ctl' || action.kind === 'rename') return true;
  const renewed = checks.filter((check) => check.check === 'certificate-renewed');
  return action.kind === 'renew' && renewed.some(({ before }) => before !== '');
}

/**
 * Takes one step, from wherever it was left, to its end or to the point where somebody else has to do something.
 *
 * @returns what it waits for; `undefined` when it is done.
 */
export async function takeStep(run: MigrationRun, progress: Progress, one: StepProgress): Promise<Waiting | undefined> {
  const { step } = one;
  if (step.action.kind === 'build-ctl') {
    const begun = one.state === 'open' ? await beginBuilding(run, progress, one) : one;
    finishStep(run, step, await buildList(run, progress, begun));
    return undefined;
  }
  const isOpen = one.state === 'open';
  const first = !isOpen || statesOnly.includes(step.action.kind) ? await look(run, progress, one) : undefined;
  const isDone = first !== undefined && allHold(first) && isToldByChecks(step);
  if (isOpen && step.action.kind === 'renew') await checkPause(run, step.action);
  const already = isDone && leftAlone.includes(step.action.kind);
  const begun = isOpen ? beginStep(run, progress, one, { already }) : one;
  if (isDone) {
    await finishLooked(run, step, first);
    return undefined;
  }
  if (first !== undefined) refuseOther(step, first);
  return askAndLook(run, progress, begun, await placeFiles(run, progress, begun));
}

/** Tells what is to be done, waits until somebody says that it is, and looks whether it is so. */
async function askAndLook(
  run: MigrationRun,
  progress: Progress,
  one: StepProgress,
  isPlaced: boolean,
): Promise<Waiting | undefined> {
  const { step } = one;
  const instructions = await instructionsOf(run, step, isPlaced);
  tell(run, step, instructions);
  const yes = answerOf(run, step);
  const isAnswered = yes === true || isInteractive();
  if (!isAnswered) {
    const seen = await look(run, progress, one);
    refuseOther(step, seen);
    if (!allHold(seen) || !isToldByChecks(step)) return waiting(step, instructions, seen);
    await finishLooked(run, step, seen);
    return undefined;
  }
  if (instructions.length > 0 && !(await askQuestion({ text: `${step.id}: is it done? (y/n)`, yes }))) {
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

/**
 * The answer to the questions of a step that was given beforehand. Whether phones have restarted is told of each time by
 * itself: else one list would follow the other before any phone has seen the first.
 */
function answerOf({ options }: MigrationRun, { id, action }: Step): boolean | undefined {
  return action.kind === 'restart-phones' ? options.phonesRestarted?.includes(id) : options.yes;
}

/**
 * A11: two certificates of a node are not changed within five minutes of each other.
 *
 * @throws RefusalError `A11`
 */
async function checkPause(run: MigrationRun, action: Extract<Action, { readonly kind: 'renew' }>): Promise<void> {
  if (ctlOptions(run.options).accept?.includes('A11') === true) return;
  await run.reload();
  const node = run.clusterFile.nodes.find(({ name }) => name === action.node);
  if (node !== undefined) checkFiveMinutes(node.name, action.certificate, certificateChanges(node), new Date());
}

/**
 * What is to be done, with the files that it is done with.
 *
 * @param isPlaced whether this tool has put the CTL file in its place, or taken it away.
 */
async function instructionsOf(run: MigrationRun, step: Step, isPlaced: boolean): Promise<readonly string[]> {
  const { action } = step;
  if (isPlaced) return step.instructions.filter((line) => !line.includes(ctlFile));
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

function beginStep(
  run: MigrationRun,
  progress: Progress,
  { step }: StepProgress,
  { already = false, inputs }: { readonly already?: boolean; readonly inputs?: string },
): StepProgress {
  const { timestamp } = ctlOptions(run.options);
  run.work.append({
    entry: 'begun',
    step: step.id,
    timestamp,
    ...(already ? { already } : {}),
    ...(inputs === undefined ? {} : { inputs }),
  });
  return { step, state: 'begun', timestamp, sha1: undefined, already, inputs, before: progress.ctl };
}

/** A list of a former time, from before the step was undone, is not taken for the one that is built now. */
async function beginBuilding(run: MigrationRun, progress: Progress, one: StepProgress): Promise<StepProgress> {
  const inputs = await inputsOf(run, progress, one);
  await run.work.setListAside(one.step.id);
  return beginStep(run, progress, one, { inputs });
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
  const [node] = tftpNodeNames(run.clusterFile);
  return node === undefined ? undefined : run.servers.fetch(node, 'CTLFile.tlv');
}

/**
 * Puts the list of a step into the folders that were named, or takes it away from them.
 *
 * @returns whether these are the folders of all TFTP servers.
 */
async function placeFiles(run: MigrationRun, progress: Progress, { step, before }: StepProgress): Promise<boolean> {
  const { action } = step;
  if (run.folders.length === 0) return false;
  if (action.kind === 'publish-ctl') {
    const sha1 = progress.steps.find((one) => one.step.id === action.built)?.sha1;
    if (sha1 === undefined) return false;
    await putList(run, run.listOf(sha1).bytes, before);
  } else if (action.kind === 'remove-ctl-file') {
    await removeLists(run, before);
  } else {
    return false;
  }
  return hasAllFolders(run);
}
