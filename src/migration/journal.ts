import { InputError, RefusalError } from '../errors.js';
import { planDigest } from './plan-file.js';
import type { Plan } from './plan.js';

/** One line of a journal: what `migrate apply` and `migrate undo` did, in order. */
export type JournalEntry =
  /** The first line: which plan the journal belongs to. */
  | {
      readonly entry: 'plan';
      readonly version: 1;
      /** {@link planDigest} of the plan. */
      readonly digest: string;
      /** When the plan was made, by which an edited plan is told from another one. */
      readonly created: string;
    }
  /** A step was begun. */
  | {
      readonly entry: 'begun';
      readonly step: string;
      /** Seconds since 1970-01-01 UTC: TIMESTAMP of the list that the step builds, so that it comes out the same again. */
      readonly timestamp: number;
      /** Whether everything was as the step wants it before anybody did anything. */
      readonly already?: boolean | undefined;
      /** Of a step that builds a list: SHA-256 of all that it is built from, lower-case hex. */
      readonly inputs?: string | undefined;
    }
  | {
      readonly entry: 'done';
      readonly step: string;
      /** SHA-1 of the list that the step built, or that is served since; lower-case hex. */
      readonly sha1?: string | undefined;
    }
  /** A step begins to be undone; `to` is the step that the way back ends behind, none is the beginning. */
  | { readonly entry: 'undo-begun'; readonly step: string; readonly to?: string | undefined }
  | {
      readonly entry: 'undone';
      readonly step: string;
      /** SHA-1 of the list that is served since; lower-case hex. */
      readonly sha1?: string | undefined;
    }
  /** The way back came to its end. */
  | { readonly entry: 'undo-finished' };

/** A journal that was read. */
export interface Journal {
  readonly entries: readonly JournalEntry[];
  /** How many characters hold whole lines; what follows is a line that was cut off when the process was killed. */
  readonly length: number;
}

/** The first line of a plan's journal. */
export function journalHead(plan: Plan): JournalEntry {
  return { entry: 'plan', version: 1, digest: planDigest(plan), created: plan.created };
}

/** One entry as its line, with the line break. */
export function formatJournalEntry(entry: JournalEntry): string {
  return `${JSON.stringify(entry)}\n`;
}

/**
 * Reads a journal. A last line without its line break was being written when the process was killed, and is left out:
 * an entry counts from the moment at which its whole line is on the disk.
 *
 * @param name the name of the file, for errors.
 * @throws InputError `journal` for anything else that is broken.
 */
export function parseJournal(text: string, name: string): Journal {
  const end = text.lastIndexOf('\n') + 1;
  const lines = text.slice(0, end).split('\n').slice(0, -1);
  const entries = lines.map((line, index) => {
    const entry = readEntry(line);
    const isHead = entry?.entry === 'plan';
    if (entry === undefined || isHead !== (index === 0)) throw broken(name, index + 1);
    return entry;
  });
  return { entries, length: end };
}

function broken(name: string, line: number): InputError {
  return new InputError('journal', `the journal ${name} cannot be read: line ${line} is no entry of a journal`, {
    hint: 'put the journal back from a backup; without it nobody knows which steps were done',
  });
}

/** The keys of each entry and what they must be. */
const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
const isSha1 = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{40}$/.test(value);
const isSha256 = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const perhaps = (is: (value: unknown) => boolean) => (value: unknown) => value === undefined || is(value);
const isTimestamp = (value: unknown): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;

const fieldsOf: Readonly<Record<JournalEntry['entry'], Readonly<Record<string, (value: unknown) => boolean>>>> = {
  plan: {
    version: (value) => value === 1,
    digest: isSha256,
    created: isText,
  },
  begun: {
    step: isText,
    timestamp: isTimestamp,
    already: perhaps((value) => typeof value === 'boolean'),
    inputs: perhaps(isSha256),
  },
  done: { step: isText, sha1: perhaps(isSha1) },
  'undo-begun': { step: isText, to: perhaps(isText) },
  undone: { step: isText, sha1: perhaps(isSha1) },
  'undo-finished': {},
};

function readEntry(line: string): JournalEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { entry, ...fields } = value as Readonly<Record<string, unknown>>;
  if (typeof entry !== 'string' || !Object.hasOwn(fieldsOf, entry)) return undefined;
  const wanted = fieldsOf[entry as JournalEntry['entry']];
  const isKnown = Object.keys(fields).every((key) => Object.hasOwn(wanted, key));
  const isRight = Object.entries(wanted).every(([key, is]) => is(fields[key]));
  return isKnown && isRight ? (value as JournalEntry) : undefined;
}

/**
 * Refuses a journal that another plan wrote, or this one before it was edited.
 *
 * @throws RefusalError `other-plan`
 */
export function checkJournalPlan(plan: Plan, { entries }: Journal, name: string): void {
  const [first] = entries;
  if (first?.entry !== 'plan' || first.digest === planDigest(plan)) return;
  const isEdited = first.created === plan.created;
  throw isEdited
    ? new RefusalError('other-plan', `the plan was edited after it was begun: ${name} was written for it as it was`, {
        hint: 'put the plan back as it was to go on with it or to undo it; then let "migrate plan" make a new one',
      })
    : new RefusalError('other-plan', `the journal ${name} belongs to another plan, made at ${first.created}`, {
        hint: 'give another folder with --work, or the plan that the journal belongs to',
      });
}
