import { printable } from '../bytes/index.js';
import { EtokenBridgeError, FormatError, InputError } from '../errors.js';
import type { BulkResult, FileOutcome } from './bulk-files.js';
import type { CollectedFiles } from './bulk-inputs.js';
import { exitCode, exitCodeOf } from './exit-code.js';
import type { Output, OutputOptions } from './output.js';

/** The words of a command. */
export interface BulkWords {
  /** E.g. `file sign`. */
  readonly command: string;
  /** What is true of a file that it worked on, e.g. `signed`. */
  readonly done: string;
  /** What is true of one where the answer is no. */
  readonly no?: string;
}

/** Tells what became of many files: results and their sum on standard output, failures and what was left on standard error. */
export function reportBulk(
  result: BulkResult,
  collected: CollectedFiles,
  words: BulkWords,
  options: OutputOptions,
  output: Output,
): number {
  const { outcomes, stopped } = result;
  tellPassedOver(collected, output);
  for (const outcome of outcomes) tellProblem(outcome, options, output);
  for (const { path, error } of collected.unusable) output.error(naming(path, error), options.debug === true);
  for (const { state, file } of outcomes) {
    if (state === 'not-done' && !output.json) output.instruction(`not done: ${printable(file.path)}`);
  }
  if (stopped !== undefined) output.error(stopped, options.debug === true);
  const counts = countOutcomes(result, collected);
  const lines = outcomes.flatMap((outcome) => lineOf(outcome, options.quiet === true));
  output.result([...lines, sumOf(counts, words), ''].join('\n'), {
    command: words.command,
    ...counts,
    interrupted: result.interrupted,
    error: stopped === undefined ? null : describeError(stopped),
    files: [
      ...outcomes.map((outcome) => describeOutcome(outcome, words)),
      ...collected.unusable.map(({ path, error }) => ({
        path,
        outputs: [],
        state: 'failed',
        warnings: [],
        error: describeError(error),
      })),
    ],
    passedOver: collected.passedOver.map(({ path, reason }) => ({ path, reason })),
  });
  return exitCodeOfAll(result, collected);
}

interface Counts {
  readonly done: number;
  readonly alreadyDone: number;
  readonly notVerified: number;
  readonly failed: number;
  readonly notDone: number;
}

function countOutcomes({ outcomes }: BulkResult, { unusable }: CollectedFiles): Counts {
  const count = (state: FileOutcome['state']): number => outcomes.filter((one) => one.state === state).length;
  return {
    done: count('done'),
    alreadyDone: count('already-done'),
    notVerified: count('no'),
    failed: count('failed') + unusable.length,
    notDone: count('not-done'),
  };
}

function sumOf({ done, alreadyDone, notVerified, failed, notDone }: Counts, words: BulkWords): string {
  const parts = [
    `${String(done)} ${words.done}`,
    ...(alreadyDone === 0 ? [] : [`${String(alreadyDone)} already done`]),
    ...(notVerified === 0 ? [] : [`${String(notVerified)} ${words.no ?? ''}`]),
    ...(failed === 0 ? [] : [`${String(failed)} failed`]),
    ...(notDone === 0 ? [] : [`${String(notDone)} not done`]),
  ];
  return parts.join(', ');
}

function lineOf(outcome: FileOutcome, quiet: boolean): readonly string[] {
  const { state, file } = outcome;
  if (state === 'failed' || state === 'not-done' || state === 'passed-over') return [];
  return quiet && state !== 'no' ? [] : [`${printable(file.path)}: ${printable(outcome.text)}`];
}

function tellProblem(outcome: FileOutcome, options: OutputOptions, output: Output): void {
  const { file, state } = outcome;
  if (state === 'failed') {
    output.error(naming(file.path, outcome.error), options.debug === true);
  } else if (state === 'passed-over') {
    output.note(`passed over: ${file.path}: ${outcome.text}`);
  } else if (state !== 'not-done') {
    for (const warning of outcome.warnings ?? []) output.warning(`${printable(file.path)}: ${warning}`);
  }
}

/** Links and the like by their names; what is passed over as a matter of course by its number. */
function tellPassedOver({ passedOver }: CollectedFiles, output: Output): void {
  const byReason = new Map<string, number>();
  for (const { path, reason, unexpected } of passedOver) {
    if (unexpected) output.note(`passed over: ${path}: ${reason}`);
    else byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
  }
  for (const [reason, count] of byReason) output.note(`passed over: ${String(count)} (${reason})`);
}

/** A failure with the name of its file. A defect of the program stays what it is. */
function naming(path: string, error: Error): Error {
  if (!(error instanceof EtokenBridgeError) || error.message.includes(printable(path))) return error;
  const hint = hintOf(error);
  const details = hint === undefined ? { cause: error } : { cause: error, hint };
  return new InputError('file-unreadable', `${printable(path)}: ${error.message}`, details);
}

/** What to do about a file that does not follow its format, where the failure does not say it. */
function hintOf(error: EtokenBridgeError): string | undefined {
  if (error.hint !== undefined || !(error instanceof FormatError)) return error.hint;
  return error.code === 'truncated'
    ? 'the file is not whole, or no signed file: copy it again, or sign it again'
    : 'it is no signed file, or a damaged one: copy it again, or sign it again';
}

function describeOutcome(outcome: FileOutcome, words: BulkWords): object {
  const { file, state } = outcome;
  const common = { path: file.path, outputs: file.outputs };
  if (state === 'failed') return { ...common, state, warnings: [], error: describeError(outcome.error) };
  if (state === 'not-done') return { ...common, state, warnings: [], error: null };
  const word = state === 'done' ? words.done : state === 'no' ? (words.no ?? state) : state;
  const { details = {}, warnings = [] } = outcome;
  return { ...common, state: word.replaceAll(' ', '-'), ...details, warnings, error: null };
}

function describeError(error: Error): object {
  const known = error instanceof EtokenBridgeError ? error : undefined;
  return { code: known?.code ?? null, message: error.message, hint: (known && hintOf(known)) ?? null };
}

/** From what weighs most to what weighs least. */
const weights: readonly number[] = [exitCode.device, exitCode.refused, exitCode.usage, exitCode.no];

function exitCodeOfAll(result: BulkResult, { unusable }: CollectedFiles): number {
  if (result.interrupted) return exitCode.interrupted;
  const codes = new Set<number>(unusable.map(({ error }) => exitCodeOf(error)));
  if (result.stopped !== undefined) codes.add(exitCodeOf(result.stopped));
  for (const outcome of result.outcomes) {
    if (outcome.state === 'failed') codes.add(exitCodeOf(outcome.error));
    if (outcome.state === 'no') codes.add(exitCode.no);
  }
  return weights.find((code) => codes.has(code)) ?? exitCode.done;
}
