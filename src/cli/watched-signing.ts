import { promises } from 'node:fs';
import { dirname, relative } from 'node:path';
import { DeviceError, EtokenBridgeError, ProofError } from '../errors.js';
import { explainWrite, syncFolder } from './files.js';
import { fileState, lookAtEntry, type WatchedFile } from './watched-entry.js';
import type { QuietPath } from './watched-quiet.js';

/** What became of a file that was to be signed. */
export type SigningResult =
  | { readonly kind: 'signed'; readonly backup: string | undefined }
  /** The signed file that is there is this signer's, and of this content. */
  | { readonly kind: 'right' }
  /** The file has a signature itself. */
  | { readonly kind: 'signed-already' }
  /** Phones get something else in its place: nothing was written. */
  | { readonly kind: 'passed-over'; readonly why: string }
  /** It was changed while it was read: nothing was written. */
  | { readonly kind: 'changed' };

/** One thing that happened, in the words of `--json`. */
export interface WatchEvent {
  readonly event: 'signed' | 'passed-over' | 'gone' | 'failed' | 'open';
  /** Below the folder, with `/` between its parts. */
  readonly file: string;
  readonly [key: string]: unknown;
}

export interface WatchedSigningOptions {
  readonly root: string;
  /** Where the signed file of a file lies. */
  readonly outputOf: (path: string) => string;
  /** Whether the signed file goes with its file. */
  readonly remove: boolean;
  /**
   * Signs a file unless that is done.
   *
   * @param isUnchanged whether the file is still the one that was to be signed: to be asked when it was read to its end.
   */
  readonly sign: (path: string, output: string, isUnchanged: () => Promise<boolean>) => Promise<SigningResult>;
  readonly tell: (event: WatchEvent) => void;
  /** Something that an administrator has to know. */
  readonly warn: (text: string) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly clock: () => number;
  /** Milliseconds after which a file that could not be signed is tried again. */
  readonly retry: number;
}

/** A file and its signed file as they were when they belonged together. */
interface Known {
  readonly state: string;
  /** `undefined` where there is none, and none is wanted. */
  readonly signed: string | undefined;
  /** Whether the signed file belongs to this file, and not to what phones get in its place. */
  readonly isOurs: boolean;
  /** Whether the signed file was read since: in between somebody else may have put another in its place. */
  readonly checked: boolean;
  readonly device: bigint;
}

interface Failure {
  readonly state: string;
  readonly error: Error;
  readonly at: number;
}

/** What is known of the files of a watched folder, and what is done when one is quiet. */
export class WatchedSigning {
  readonly #options: WatchedSigningOptions;
  readonly #known = new Map<string, Known>();
  readonly #failures = new Map<string, Failure>();
  /** Files that somebody had open when they were to be signed: that is told once. */
  readonly #open = new Set<string>();
  /** Files that were passed over: that is told once. */
  readonly #passedOver = new Set<string>();
  #signed = 0;

  constructor(options: WatchedSigningOptions) {
    this.#options = options;
  }

  /** How many files were signed. */
  get signed(): number {
    return this.#signed;
  }

  /** Files that could not be signed, each with the reason. */
  get failures(): ReadonlyMap<string, { readonly error: Error }> {
    return this.#failures;
  }

  /** Files that are dealt with. */
  known(): Iterable<string> {
    return [...this.#known.keys(), ...this.#failures.keys()];
  }

  /** Whether there is nothing to do for a file in this state. */
  async isDone(path: string, entry: QuietPath['entry']): Promise<boolean> {
    const known = this.#known.get(path);
    const failure = this.#failures.get(path);
    if (entry.kind === 'gone') return known === undefined && failure === undefined;
    if (failure?.state === entry.state) return this.#options.clock() - failure.at < this.#options.retry;
    if (known?.state !== entry.state) return false;
    if (known.signed === undefined) return true;
    return known.checked && known.signed === (await fileState(this.#options.outputOf(path)));
  }

  /** Whether a process was found to have a file open for writing. */
  isOpen(path: string): boolean {
    return this.#open.has(path);
  }

  /** Says that a process has a file open for writing. */
  noteOpen(path: string, pid: number): void {
    if (this.#open.has(path)) return;
    this.#open.add(path);
    this.#tell('open', path, { pid });
  }

  /**
   * Signs what is quiet, and forgets what is gone.
   *
   * @returns those that were changed in the meantime.
   * @throws what the signer throws, after the other files are done with.
   */
  async deal(paths: readonly QuietPath[]): Promise<readonly string[]> {
    const dealt = await Promise.allSettled(
      paths.map(async ({ path, entry }) => (entry.kind === 'gone' ? this.#lose(path) : this.#sign(path, entry))),
    );
    for (const one of dealt) if (one.status === 'rejected') throw one.reason;
    return paths.flatMap(({ path }, index) => {
      const one = dealt[index];
      return one?.status === 'fulfilled' && one.value === 'changed' ? [path] : [];
    });
  }

  async #sign(path: string, { state, device }: WatchedFile): Promise<'done' | 'changed'> {
    const { outputOf, sign } = this.#options;
    const output = outputOf(path);
    const isUnchanged = async (): Promise<boolean> => {
      const now = await lookAtEntry(path);
      return now.kind === 'file' && now.state === state;
    };
    try {
      const before = await fileState(output);
      const result = await sign(path, output, isUnchanged);
      if (result.kind === 'changed') return 'changed';
      const isRight = result.kind === 'right' || result.kind === 'passed-over';
      const isOurs = result.kind !== 'passed-over';
      const signed =
        result.kind === 'signed-already' ? undefined : ((isRight ? before : await fileState(output)) ?? '');
      this.#known.set(path, { state, signed, isOurs, checked: isRight, device });
      this.#failures.delete(path);
      this.#open.delete(path);
      if (result.kind === 'passed-over') this.#passOver(path, result.why);
      else this.#passedOver.delete(path);
      if (result.kind === 'signed') {
        this.#signed += 1;
        this.#tell('signed', path, { output, backup: result.backup ?? null });
      }
      return 'done';
    } catch (error) {
      // A name that no header can hold, a disk that is full, a file of somebody else: the others are signed. What the
      // signer cannot do for one it cannot do for any.
      if (error instanceof DeviceError || error instanceof ProofError || !(error instanceof Error)) throw error;
      if (!(await isUnchanged())) return 'changed';
      this.#fail(path, state, error);
      return 'done';
    }
  }

  #passOver(path: string, why: string): void {
    if (this.#passedOver.has(path)) return;
    this.#passedOver.add(path);
    this.#tell('passed-over', path, { reason: why });
  }

  #fail(path: string, state: string, error: Error): void {
    const before = this.#failures.get(path);
    this.#known.delete(path);
    this.#failures.set(path, { state, error, at: this.#options.clock() });
    const isNew = before?.state !== state || before.error.message !== error.message;
    if (isNew) this.#tell('failed', path, describeFailure(error));
  }

  async #lose(path: string): Promise<'done'> {
    const known = this.#known.get(path);
    this.#known.delete(path);
    this.#failures.delete(path);
    this.#open.delete(path);
    this.#passedOver.delete(path);
    if (known?.signed === undefined || !known.isOurs) return 'done';
    const output = this.#options.outputOf(path);
    // What others put in its place, or removed, is not ours.
    if (known.signed !== (await fileState(output))) return 'done';
    const isToGo = this.#options.remove && (await this.#isStillMounted(path, known));
    try {
      const removed = isToGo && (await removeSigned(output));
      this.#tell('gone', path, { output, removed });
    } catch (error) {
      this.#tell('gone', path, { output, removed: false });
      this.#options.warn(error instanceof Error ? error.message : String(error));
    }
    return 'done';
  }

  /** A network folder that is away looks as if all of its files were removed. */
  async #isStillMounted(path: string, { device }: Known): Promise<boolean> {
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      const entry = await lookAtEntry(folder);
      if (entry.kind === 'folder') return entry.information.dev === device;
      if (entry.kind !== 'gone' || folder === this.#options.root || folder === dirname(folder)) return false;
    }
  }

  #tell(event: WatchEvent['event'], path: string, more: Readonly<Record<string, unknown>>): void {
    this.#options.tell({ event, file: relative(this.#options.root, path), ...more });
  }
}

/** What a `failed` event says besides the file. */
export function describeFailure(error: Error): Readonly<Record<string, string | null>> {
  const known = error instanceof EtokenBridgeError ? error : undefined;
  return { reason: error.message, code: known?.code ?? null, hint: known?.hint ?? null };
}

/** @throws InputError `file-unwritable` */
async function removeSigned(path: string): Promise<boolean> {
  try {
    await promises.unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw explainWrite(error, path);
  }
  await syncFolder(dirname(path));
  return true;
}
