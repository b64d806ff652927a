import { printable } from '../../bytes/index.js';
import { wayBack, type Progress, type WayBack } from '../../migration/index.js';
import { exitCode } from '../exit-code.js';
import { MigrationRun, type WalkOptions } from '../migration-run.js';
import type { Waiting } from '../migration-steps.js';
import { undoStep } from '../migration-undo.js';
import type { Output } from '../output.js';
import { describeRun, formatWaiting } from './migrate-apply.js';

/** `migrate undo`. Exit code 1 also where the way back waits for somebody. */
export async function undoPlan(path: string, options: WalkOptions, output: Output): Promise<number> {
  const run = await MigrationRun.open(path, options, output);
  if (options.dryRun === true) return rehearse(run);
  try {
    let progress = await run.begin(false);
    const back = wayBack(progress, options.backTo);
    warnOfPhones(run, back);
    let waiting: Waiting | undefined;
    for (const { step } of back.steps) {
      const one = progress.steps.find((candidate) => candidate.step.id === step.id);
      if (one === undefined) continue;
      waiting = await undoStep(run, progress, one, back.to);
      progress = run.work.progress();
      if (waiting !== undefined) break;
    }
    if (waiting === undefined && progress.undoing !== undefined) {
      run.work.append({ entry: 'undo-finished' });
      progress = run.work.progress();
    }
    return report(run, progress, back, waiting);
  } finally {
    await run.close();
  }
}

/** Phones that have taken a list of the way decide by it: what they took before may be nothing to them now. */
function warnOfPhones({ output, plan }: MigrationRun, { steps }: WayBack): void {
  const isPhones = ({ step: { action } }: WayBack['steps'][number]): boolean =>
    action.kind === 'restart-phones' || action.kind === 'delete-list';
  const told = steps.find((one) => one.state !== 'open' && isPhones(one));
  if (told === undefined) return;
  output.warning(
    `phones have restarted since (${told.step.id}), and nobody tried whether they take the former lists again; better make a plan back: etoken-bridge migrate plan --to ${plan.from.mode}, with the lists that they hold now`,
  );
}

function report(run: MigrationRun, progress: Progress, back: WayBack, waiting: Waiting | undefined): number {
  const state = waiting === undefined ? 'undone' : 'waiting';
  const undone = back.steps.map(({ step }) => step.id);
  const document = { state, to: back.to ?? null, undo: undone, ...describeRun(run, progress, waiting) };
  if (waiting !== undefined) {
    run.output.result(formatWaiting(run.planPath, waiting, `on the way back to ${where(back)}`), document);
    return exitCode.no;
  }
  const ctl = progress.ctl === undefined ? 'no CTL is served' : `CTL with SHA-1 ${progress.ctl}`;
  const text =
    undone.length === 0
      ? `${printable(run.planPath)}: nothing was done, so nothing is undone\n`
      : `${printable(run.planPath)}: ${undone.length} steps are undone, back to ${where(back)}; ${ctl}\n`;
  run.output.result(text, document);
  return exitCode.done;
}

function where({ to }: WayBack): string {
  return to === undefined ? 'the beginning' : `the state after ${to}`;
}

/** `--dry-run`: nothing is asked, written or put back. */
function rehearse(run: MigrationRun): number {
  const progress = run.look(false);
  const back = wayBack(progress, run.options.backTo);
  const lines = back.steps.flatMap(({ step }) => [
    `${step.id}: ${printable(step.title)}`,
    ...step.undo.map((line) => `  do: ${printable(line)}`),
  ]);
  const text = lines.length === 0 ? 'nothing was done, so nothing is to be undone\n' : `${lines.join('\n')}\n`;
  const undo = back.steps.map(({ step }) => step.id);
  run.output.result(text, { state: 'dry-run', to: back.to ?? null, undo, ...describeRun(run, progress, undefined) });
  return exitCode.done;
}
