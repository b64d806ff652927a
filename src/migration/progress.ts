import { InputError, RefusalError } from '../errors.js';
import type { Journal, JournalEntry } from './journal.js';
import type { Plan, Step } from './plan.js';

/** How far a step is. */
export type StepState = 'open' | 'begun' | 'done' | 'undo-begun';

/** What a journal says about a step. */
export interface StepProgress {
  readonly step: Step;
  readonly state: StepState;
  /** Seconds since 1970-01-01 UTC; there from `begun` on. */
  readonly timestamp: number | undefined;
  /** SHA-1 of the list that it built, or that was served since. */
  readonly sha1: string | undefined;
  /** Whether nobody had to do anything. */
  readonly already: boolean;
  /** Of a step that builds a list: SHA-256 of all that it is built from. */
  readonly inputs?: string | undefined;
  /** SHA-1 of the CTL that was served before the step, from `begun` on; none when there was no CTL. */
  readonly before: string | undefined;
}

/** Where a plan stands. */
export interface Progress {
  readonly steps: readonly StepProgress[];
  /** SHA-1 of the CTL that the servers are to serve after the steps that are done; none when there is no CTL. */
  readonly ctl: string | undefined;
  /** A way back that was begun and has not come to its end; `to` is the step behind which it ends. */
  readonly undoing: { readonly to: string | undefined } | undefined;
}

/**
 * Where a plan stands, by its journal.
 *
 * @throws InputError `journal` when the entries do not follow from the plan, e.g. a step done that was never begun.
 */
export function progressOf(plan: Plan, journal: Journal): Progress {
  const walk = new Walk(plan);
  for (const [index, entry] of journal.entries.entries()) walk.take(entry, index + 1);
  return walk.progress();
}

/** The step that comes next: the one that was begun, else the first that was not; `undefined` when all are done. */
export function nextStep({ steps }: Pick<Progress, 'steps'>): StepProgress | undefined {
  return steps.find(({ state }) => state !== 'done');
}

type MutableProgress = { -readonly [Key in keyof StepProgress]: StepProgress[Key] };

/** Follows a journal from its beginning. */
class Walk {
  readonly #steps: readonly MutableProgress[];
  #ctl: string | undefined;
  #undoing: { readonly to: string | undefined } | undefined;

  constructor(plan: Plan) {
    this.#ctl = plan.from.ctl;
    this.#steps = plan.steps.map((step) => ({
      step,
      state: 'open',
      timestamp: undefined,
      sha1: undefined,
      already: false,
      before: undefined,
    }));
  }

  progress(): Progress {
    return {
      steps: this.#steps.map((one) => ({ ...one })),
      ctl: this.#ctl,
      undoing: this.#undoing,
    };
  }

  take(entry: JournalEntry, line: number): void {
    if (entry.entry === 'plan') return;
    if (entry.entry === 'undo-finished') {
      this.#undoing = undefined;
      return;
    }
    const index = this.#steps.findIndex(({ step }) => step.id === entry.step);
    const one = this.#steps[index];
    if (one === undefined) throw outOfPlace(entry, line);
    const before = this.#steps.slice(0, index).every(({ state }) => state === 'done');
    const after = this.#steps.slice(index + 1).every(({ state }) => state === 'open');
    if (!before || !after || !this.#follows(one, entry)) throw outOfPlace(entry, line);
    this.#change(one, entry);
  }

  #follows({ state }: MutableProgress, entry: JournalEntry): boolean {
    switch (entry.entry) {
      case 'begun':
        return state === 'open' && this.#undoing === undefined;
      case 'done':
        return state === 'begun';
      case 'undo-begun':
        return state === 'begun' || state === 'done';
      case 'undone':
        return state === 'undo-begun';
      default:
        return false;
    }
  }

  #change(one: MutableProgress, entry: JournalEntry): void {
    switch (entry.entry) {
      case 'begun':
        Object.assign(one, { state: 'begun', timestamp: entry.timestamp, sha1: undefined });
        one.already = entry.already === true;
        one.inputs = entry.inputs;
        one.before = this.#ctl;
        return;
      case 'done':
        Object.assign(one, { state: 'done', sha1: entry.sha1 });
        this.#ctl = ctlAfter(one.step, this.#ctl, entry.sha1, this.#builtBy(one.step));
        return;
      case 'undo-begun':
        one.state = 'undo-begun';
        this.#undoing = { to: entry.to };
        return;
      case 'undone':
        Object.assign(one, { state: 'open', timestamp: undefined, sha1: undefined, already: false });
        this.#ctl = entry.sha1 ?? one.before;
        one.before = undefined;
        return;
      default:
    }
  }

  #builtBy({ action }: Step): string | undefined {
    if (action.kind !== 'publish-ctl') return undefined;
    return this.#steps.find(({ step }) => step.id === action.built)?.sha1;
  }
}

/** The CTL that is served after a step. */
function ctlAfter(
  { action }: Step,
  before: string | undefined,
  sha1: string | undefined,
  built: string | undefined,
): string | undefined {
  if (action.kind === 'publish-ctl') return sha1 ?? built;
  if (action.kind === 'cluster-ctl') return sha1 ?? before;
  return action.kind === 'remove-ctl-file' ? undefined : before;
}

function outOfPlace(entry: JournalEntry, line: number): InputError {
  const step = 'step' in entry ? ` of step ${entry.step}` : '';
  return new InputError(
    'journal',
    `the journal contradicts the plan: line ${line} (${entry.entry}${step}) fits nowhere`,
    {
      hint: 'put the journal back from a backup; without it nobody knows which steps were done',
    },
  );
}

/** The steps that a way back undoes, the last first, and the step behind which it ends. */
export interface WayBack {
  readonly to: string | undefined;
  readonly steps: readonly StepProgress[];
}

/**
 * The way back: to the last safe state before the last step, or to a step that is named; a way back that was begun is
 * gone to its end. The beginning of the plan is a safe state.
 *
 * @param to the id of a step, or `start`.
 * @throws InputError `usage` for a step that is not there or not done; RefusalError `not-undoable` when a step on the
 *   way says no way back.
 */
export function wayBack(progress: Progress, to?: string): WayBack {
  const touched = progress.steps.filter(({ state }) => state !== 'open');
  const target = targetOf(progress, touched, to);
  const steps = touched.slice(target + 1).reverse();
  for (const one of steps) if (one.state !== 'begun') requireUndoable(one);
  return { to: touched[target]?.step.id, steps };
}

function targetOf(progress: Progress, touched: readonly StepProgress[], to: string | undefined): number {
  const { undoing } = progress;
  const position = (id: string | undefined): number => touched.findIndex(({ step }) => step.id === id);
  if (undoing !== undefined) {
    const wanted = to === 'start' ? undefined : (to ?? undoing.to);
    if (to !== undefined && wanted !== undoing.to) {
      throw new InputError(
        'usage',
        `a way back to ${undoing.to ?? 'the start'} was begun and has not come to its end`,
        {
          hint: 'run "migrate undo" without --back-to first',
        },
      );
    }
    return position(undoing.to);
  }
  if (to === 'start') return -1;
  if (to !== undefined) {
    const index = position(to);
    if (touched[index]?.state === 'done') return index;
    const isStep = progress.steps.some(({ step }) => step.id === to);
    throw new InputError('usage', isStep ? `the step ${to} is not done` : `the plan has no step ${to}`, {
      hint: 'give a step that is done, or --back-to start for the beginning',
    });
  }
  return touched.findLastIndex(({ step, state }, index) => index < touched.length - 1 && step.safe && state === 'done');
}

/** Steps that leave nothing behind that would have to be taken back, whatever a plan says about them. */
const leavesNothing: readonly Step['action']['kind'][] = ['build-ctl', 'restart-phones', 'start-tvs', 'delete-list'];

/** Whether a step leaves anything behind that must be taken back. */
export function leavesTraces({ step, already }: Pick<StepProgress, 'step' | 'already'>): boolean {
  return !already && !leavesNothing.includes(step.action.kind);
}

function requireUndoable(one: StepProgress): void {
  const { step } = one;
  const isServed = step.action.kind === 'publish-ctl' || step.action.kind === 'remove-ctl-file';
  if (!leavesTraces(one) || isServed || step.undo.length > 0) return;
  throw new RefusalError('not-undoable', `the step ${step.id} (${step.title}) cannot be undone`, {
    hint: 'go on with "migrate apply", or name a later step with --back-to',
  });
}
