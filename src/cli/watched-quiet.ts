import { lookAtEntry, type WatchedFile } from './watched-entry.js';
import { findWriters, type FileNumber } from './watched-writers.js';

/** A path at which nothing happened for the time to settle. */
export interface QuietPath {
  readonly path: string;
  readonly entry: WatchedFile | { readonly kind: 'gone' };
}

interface Waiting {
  /** What was there when it was looked at last; empty before. */
  readonly state: string;
  /** When it is looked at next, in milliseconds of the clock. */
  readonly due: number;
  /** How long it was left alone before that, in milliseconds: longer the longer somebody has it open. */
  readonly patience: number;
}

export interface QuietOptions {
  /** Milliseconds in which nothing may happen to a file. */
  readonly settle: number;
  /** Milliseconds of a clock that never goes back. */
  readonly clock: () => number;
  /** Whether there is nothing to do for a file in this state. */
  readonly isDone: (path: string, entry: QuietPath['entry']) => Promise<boolean>;
  /** A file that is quiet, and that a process has open for writing. */
  readonly onOpen: (path: string, pid: number) => void;
}

/** The longest time between two looks at a file that somebody has open for writing, in milliseconds. */
const longestPatience = 10_000;

/** How many files are looked at together. */
const together = 64;

/**
 * Paths that wait until nothing happens to them any more. A file is quiet when it is the same file, of the same length
 * and times, at two looks with the time to settle between them, no notice came in that time, and no process of this
 * machine has it open for writing.
 */
export class QuietFiles {
  readonly #options: QuietOptions;
  readonly #waiting = new Map<string, Waiting>();

  constructor(options: QuietOptions) {
    this.#options = options;
  }

  /** Paths that wait. */
  get waiting(): readonly string[] {
    return [...this.#waiting.keys()];
  }

  /** When there is something to look at next. */
  get due(): number {
    let first = Infinity;
    for (const { due } of this.#waiting.values()) first = Math.min(first, due);
    return first;
  }

  /** Something happened to this path: the time to settle begins again. */
  add(path: string): void {
    this.#waiting.set(path, { state: '', due: 0, patience: this.#options.settle });
  }

  /** Something may have happened to this path. */
  consider(path: string): void {
    if (!this.#waiting.has(path)) this.add(path);
  }

  /** Looks at what is due. @returns those that are quiet; they wait no longer. */
  async look(): Promise<readonly QuietPath[]> {
    const now = this.#options.clock();
    const due = [...this.#waiting].filter(([, waiting]) => waiting.due <= now);
    const quiet: (QuietPath & { readonly seen: Waiting })[] = [];
    for (let start = 0; start < due.length; start += together) {
      const looked = due.slice(start, start + together).map(async ([path, seen]) => this.#lookAt(path, seen));
      for (const one of await Promise.all(looked)) if (one !== undefined) quiet.push(one);
    }
    const writers = findWriters(quiet.flatMap(fileNumber));
    return quiet.filter(({ path, seen }) => {
      const pid = writers.get(path);
      if (pid !== undefined) this.#waitForWriter(path, seen, pid);
      return pid === undefined;
    });
  }

  async #lookAt(path: string, seen: Waiting): Promise<(QuietPath & { readonly seen: Waiting }) | undefined> {
    const entry = await lookAtEntry(path);
    const isDone = entry.kind === 'folder' || entry.kind === 'other' || (await this.#options.isDone(path, entry));
    // A notice that came while this was looked at stands for something that may have happened later.
    if (this.#waiting.get(path) !== seen) return undefined;
    const state = entry.kind === 'file' ? entry.state : 'gone';
    if (!isDone && state !== seen.state) {
      this.#waiting.set(path, { ...seen, state, due: this.#options.clock() + this.#options.settle });
      return undefined;
    }
    this.#waiting.delete(path);
    return isDone ? undefined : { path, entry, seen };
  }

  #waitForWriter(path: string, seen: Waiting, pid: number): void {
    this.#options.onOpen(path, pid);
    if (this.#waiting.has(path)) return;
    const patience = Math.min(Math.max(longestPatience, this.#options.settle), seen.patience * 2);
    this.#waiting.set(path, { ...seen, patience, due: this.#options.clock() + patience });
  }
}

function fileNumber({ path, entry }: QuietPath): readonly FileNumber[] {
  return entry.kind === 'file' ? [{ path, device: entry.device, inode: entry.inode }] : [];
}
