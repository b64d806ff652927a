import { DeviceError, ProofError } from '../errors.js';
import type { PlacedFile } from './bulk-places.js';
import type { Output } from './output.js';
import { endInterrupted } from './unfinished-files.js';

/** What became of a file that was worked on to the end. */
export interface FinishedWork {
  /** `done`; `already-done` by an earlier run; `no` when the answer is no; `passed-over` when it was no file to work on. */
  readonly state: 'done' | 'already-done' | 'no' | 'passed-over';
  /** What there is to say of it, behind its name. */
  readonly text: string;
  /** The same with stable keys. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly warnings?: readonly string[];
}

/** What became of a file. */
export type FileOutcome =
  | ({ readonly file: PlacedFile } & FinishedWork)
  | { readonly file: PlacedFile; readonly state: 'failed'; readonly error: Error }
  | { readonly file: PlacedFile; readonly state: 'not-done' };

/** What became of all of them, in their order. */
export interface BulkResult {
  readonly outcomes: readonly FileOutcome[];
  /** What ended the work for all that were left, such as a token that is gone. */
  readonly stopped?: Error;
  readonly interrupted: boolean;
}

/** How many files are worked on. */
export interface BulkWork {
  /** So many at a time. */
  readonly jobs: number;
  /** For the progress, e.g. `signing`. */
  readonly doing: string;
  /** Works on one file. @param advance so many bytes more are done */
  readonly work: (file: PlacedFile, advance: (count: number) => void) => Promise<FinishedWork>;
  /** Tells what was done when the user breaks off. It is called once, and must not wait for anything. */
  readonly onInterrupt: (result: BulkResult) => void;
}

/**
 * Works on many files, some at a time. A file that fails leaves the others to their work; what fails for all of them,
 * such as a token that is pulled out or a disk that is full, ends it: what is under way is waited for, and the rest is
 * not begun. Ctrl-C ends the command: what is not in its place by then is removed, and named.
 */
export async function runBulk(files: readonly PlacedFile[], bulk: BulkWork, output: Output): Promise<BulkResult> {
  const outcomes = new Map<PlacedFile, FileOutcome>();
  const progress = new Progress(files, bulk.doing, output);
  let stopped: Error | undefined;
  let next = 0;
  const result = (interrupted: boolean): BulkResult => ({
    outcomes: files.map((file) => outcomes.get(file) ?? { file, state: 'not-done' }),
    interrupted,
    ...(stopped === undefined ? {} : { stopped }),
  });
  const work = async (): Promise<void> => {
    for (;;) {
      const file = files[next];
      if (file === undefined || stopped !== undefined) return;
      next += 1;
      try {
        outcomes.set(file, { file, ...(await bulk.work(file, (count) => progress.advance(count))) });
      } catch (caught) {
        const error = caught instanceof Error ? caught : new Error(String(caught));
        if (failsForAll(error)) stopped ??= error;
        else outcomes.set(file, { file, state: 'failed', error });
      }
      progress.finish(file);
    }
  };
  const release = onInterruption(() => {
    progress.end();
    bulk.onInterrupt(result(true));
  });
  try {
    await Promise.all(Array.from({ length: Math.min(bulk.jobs, files.length) }, work));
  } finally {
    release();
    progress.end();
  }
  return result(false);
}

const fullDisk: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT', 'EROFS'];

/** Whether every other file would fail in the same way. */
function failsForAll(error: Error): boolean {
  if (error instanceof DeviceError) return true;
  // A key that does not fit its certificate, or cannot sign what is wanted.
  if (error instanceof ProofError) return error.code !== 'digest-mismatch';
  return fullDisk.includes((error.cause as NodeJS.ErrnoException | undefined)?.code);
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Takes the place of what ends other commands. What is written here is renamed at once, so nothing is half in place. */
function onInterruption(tell: () => void): () => void {
  const before = signals.map((signal) => ({ signal, listeners: process.listeners(signal) }));
  const end = (): void => endInterrupted(tell);
  for (const signal of signals) {
    process.removeAllListeners(signal);
    process.on(signal, end);
  }
  return () => {
    for (const { signal, listeners } of before) {
      process.off(signal, end);
      for (const listener of listeners) process.on(signal, listener);
    }
  };
}

/** Between two looks at the terminal, in milliseconds. */
const progressPause = 100;
const barLength = 24;

/** A bar for the bytes, and the number of files. */
class Progress {
  readonly #total: number;
  readonly #bytes: number;
  readonly #doing: string;
  readonly #output: Output;
  #finished = 0;
  #finishedBytes = 0;
  /** Of the files that are under way. */
  #advanced = 0;
  #shown = 0;

  constructor(files: readonly PlacedFile[], doing: string, output: Output) {
    this.#total = files.length;
    // A file without bytes is work too.
    this.#bytes = files.reduce((sum, { size }) => sum + size + 1, 0);
    this.#doing = doing;
    this.#output = output;
  }

  advance(count: number): void {
    this.#advanced += count;
    this.#show();
  }

  finish({ size }: PlacedFile): void {
    this.#finished += 1;
    this.#finishedBytes += size + 1;
    this.#advanced = Math.max(0, this.#advanced - size);
    this.#show();
  }

  end(): void {
    if (!this.#output.json) this.#output.progress(this.#total, this.#total, this.#doing);
  }

  #show(): void {
    if (this.#output.json || Date.now() - this.#shown < progressPause) return;
    this.#shown = Date.now();
    const part = Math.min(1, (this.#finishedBytes + this.#advanced) / this.#bytes);
    const filled = Math.floor(part * barLength);
    const bar = `[${'#'.repeat(filled)}${'-'.repeat(barLength - filled)}]`;
    this.#output.progress(this.#finished, this.#total, `${bar} ${this.#doing} files`);
  }
}
