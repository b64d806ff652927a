import { equalBytes, printable } from '../bytes/index.js';
import { ctlMode } from '../ctl/index.js';
import { leavesTraces, type Progress, type Step, type StepProgress } from '../migration/index.js';
import { decodeTrustList } from '../trust-list/index.js';
import { askQuestion } from './commands/cluster-question.js';
import { certificateRestored, itlEmptied, itlFilled, nameRestored } from './live-certificates.js';
import { tftpServes, tvsAnswers } from './live-checks.js';
import { notAsExpected, readSigned, type CheckContext, type CheckOutcome } from './live-outcome.js';
import { tftpNodeNames } from './live-servers.js';
import type { MigrationRun } from './migration-run.js';
import { ctlFile, hasAllFolders, putList, removeLists } from './migration-lists.js';
import type { Waiting } from './migration-steps.js';
import { sha1Of } from './migration-work.js';
import { isInteractive } from './prompts.js';

/** Steps after which another CTL is served. */
const changesCtl: readonly Step['action']['kind'][] = ['publish-ctl', 'cluster-ctl', 'remove-ctl-file'];

/**
 * Takes one step back, from wherever it was left.
 *
 * @param to the step behind which the way back ends.
 * @returns what it waits for; `undefined` when the step is undone.
 */
export async function undoStep(
  run: MigrationRun,
  progress: Progress,
  one: StepProgress,
  to: string | undefined,
): Promise<Waiting | undefined> {
  const { step } = one;
  if (one.state !== 'undo-begun') {
    run.work.append({ entry: 'undo-begun', step: step.id, ...(to === undefined ? {} : { to }) });
  }
  if (step.action.kind === 'build-ctl' || !leavesTraces(one)) {
    finish(run, step);
    return undefined;
  }
  if (changesCtl.includes(step.action.kind)) return putBack(run, one);
  const waiting = await tellAndAsk(run, step, step.undo);
  if (waiting !== undefined) return waiting;
  await run.reload();
  const context = await run.checkContext(progress, one);
  const seen = [...(await lookAtFormer(run, progress.ctl, one)), ...(await lookAtEffects(step, context))];
  const unmet = seen.filter(({ holds }) => !holds);
  if (unmet.length > 0)
    throw notAsExpected(
      `${step.id} (undo)`,
      unmet.map((outcome) => outcome.seen),
    );
  finish(run, step);
  return undefined;
}

/** Whether what a step did to certificates and ITLs is taken back. */
async function lookAtEffects({ action, checks }: Step, context: CheckContext): Promise<readonly CheckOutcome[]> {
  const nodes = tftpNodeNames(context.cluster);
  switch (action.kind) {
    case 'renew': {
      const { node, certificate } = action;
      const renewed = checks.find((check) => check.check === 'certificate-renewed');
      // Of a certificate that was renewed twice nobody noted the one between.
      if (renewed === undefined || renewed.before === '') return [];
      const restored = await certificateRestored(node, certificate, renewed.before, context);
      const isAsked = restored.holds && checks.some(({ check }) => check === 'tvs-answers');
      return isAsked ? [restored, await tvsAnswers(node, context)] : [restored];
    }
    case 'rename':
      return [await nameRestored(action.node, action.name, context)];
    case 'empty-itls':
      return Promise.all(nodes.map((node) => itlFilled(node, context)));
    case 'fill-itls':
      return Promise.all(nodes.map((node) => itlEmptied(node, context)));
    default:
      return [];
  }
}

/** The list that was served before the step is served again. */
async function putBack(run: MigrationRun, one: StepProgress): Promise<Waiting | undefined> {
  const { step, before } = one;
  const first = await lookAtFormer(run, before, one);
  if (first.every(({ holds }) => holds)) {
    finish(run, step);
    return undefined;
  }
  const isPut = await writeFormer(run, one);
  const former = before === undefined ? undefined : run.listOf(before);
  const file =
    former === undefined
      ? 'there was no CTL before: take CTLFile.tlv from every TFTP server'
      : `the list that was served before is ${printable(former.path)}`;
  const instructions = isPut ? step.undo.filter((line) => !line.includes(ctlFile)) : [file, ...step.undo];
  // Services, security mode and phones are somebody's to see to, wherever the list came from.
  if (isPut) tell(run, step, instructions);
  else {
    const waiting = await tellAndAsk(run, step, instructions, await explain(run, one));
    if (waiting !== undefined) return waiting;
  }
  const seen = await lookAtFormer(run, before, one);
  if (seen.every(({ holds }) => holds)) {
    for (const { seen: line } of seen) run.output.note(`${step.id}: ${line}`);
    finish(run, step);
    return undefined;
  }
  const made = step.action.kind === 'cluster-ctl' ? await madeAgain(run, one, former?.bytes) : undefined;
  if (made === undefined) {
    throw notAsExpected(
      `${step.id} (undo)`,
      seen.filter(({ holds }) => !holds).map((outcome) => outcome.seen),
    );
  }
  await run.work.keepList(`${step.id}-undone`, made);
  finish(run, step, sha1Of(made));
  return undefined;
}

async function explain(run: MigrationRun, one: StepProgress): Promise<readonly string[]> {
  const seen = await lookAtFormer(run, one.before, one);
  return seen.filter(({ holds }) => !holds).map((outcome) => outcome.seen);
}

/** What the TFTP servers say to the list of before. */
async function lookAtFormer(
  run: MigrationRun,
  former: string | undefined,
  one: StepProgress,
): Promise<readonly CheckOutcome[]> {
  const { servers } = run;
  const nodes = tftpNodeNames(run.clusterFile);
  return Promise.all(nodes.map((node) => tftpServes(node, 'CTLFile.tlv', former, { servers, before: one.sha1 })));
}

/** A cluster that makes its list itself makes another one with the same signer, not the bytes of before. */
async function madeAgain(
  run: MigrationRun,
  one: StepProgress,
  former: Uint8Array | undefined,
): Promise<Uint8Array | undefined> {
  if (former === undefined) return undefined;
  const wanted = readSigned(former);
  const served = await Promise.all(
    tftpNodeNames(run.clusterFile).map((node) => run.servers.fetch(node, 'CTLFile.tlv')),
  );
  const [first] = served;
  if (first === undefined || 'problem' in wanted || sha1Of(first) === one.sha1) return undefined;
  if (served.some((bytes) => bytes === undefined || !equalBytes(bytes, first))) return undefined;
  const reading = readSigned(first);
  if ('problem' in reading || reading.signer === undefined || wanted.signer === undefined) return undefined;
  const isSame = equalBytes(reading.signer, wanted.signer);
  return isSame && ctlMode(reading.list) === ctlMode(decodeTrustList(former)) ? first : undefined;
}

/** Puts the list of before into the folders that were named. @returns whether these are those of all TFTP servers. */
async function writeFormer(run: MigrationRun, one: StepProgress): Promise<boolean> {
  if (run.folders.length === 0 || one.step.action.kind === 'cluster-ctl') return false;
  const after = one.step.action.kind === 'remove-ctl-file' ? undefined : builtSha1(run, one.step);
  if (one.before !== undefined) await putList(run, run.listOf(one.before).bytes, after);
  else if (after !== undefined) await removeLists(run, after);
  return hasAllFolders(run);
}

function builtSha1(run: MigrationRun, { action }: Step): string | undefined {
  if (action.kind !== 'publish-ctl') return undefined;
  return run.work.progress().steps.find(({ step }) => step.id === action.built)?.sha1;
}

function tell(run: MigrationRun, step: Step, instructions: readonly string[]): void {
  const lines = instructions.map((line, index) => `  ${index + 1}. ${printable(line)}`);
  run.output.instruction([`${step.id}, to be undone: ${printable(step.title)}`, ...lines].join('\n'));
}

async function tellAndAsk(
  run: MigrationRun,
  step: Step,
  instructions: readonly string[],
  reasons: readonly string[] = [],
): Promise<Waiting | undefined> {
  tell(run, step, instructions);
  const { yes } = run.options;
  const waiting = { step, instructions, reasons };
  if (yes !== true && !isInteractive()) return waiting;
  return (await askQuestion({ text: `${step.id}: is it undone? (y/n)`, yes })) ? undefined : waiting;
}

function finish(run: MigrationRun, { id, title }: Step, sha1?: string): void {
  run.work.append({ entry: 'undone', step: id, ...(sha1 === undefined ? {} : { sha1 }) });
  run.output.note(`${id}: undone, ${printable(title)}`);
}
