import { realpathSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { printable } from '../../bytes/index.js';
import { InputError } from '../../errors.js';
import type { Signer } from '../../signer/index.js';
import { identityAt } from '../bulk-inputs.js';
import { placeOutputs, requireOut } from '../bulk-places.js';
import { encryptedForPhone, encryptedInstead } from '../encrypted-names.js';
import { exitCode, exitCodeOf } from '../exit-code.js';
import { FileLock } from '../file-lock.js';
import { signingInputs, withFileSigner } from '../file-signers.js';
import { explainRead, makeFolder } from '../files.js';
import { OutputFolders } from '../new-file.js';
import type { Output } from '../output.js';
import { signOneFile } from '../sign-file.js';
import { endInterrupted } from '../unfinished-files.js';
import { untilStopped } from '../until-stopped.js';
import { lookAtEntry } from '../watched-entry.js';
import { whyPassedOver } from '../watched-names.js';
import type { QuietPath } from '../watched-quiet.js';
import {
  describeFailure,
  WatchedSigning,
  type SigningResult,
  type WatchedSigningOptions,
  type WatchEvent,
} from '../watched-signing.js';
import { FolderWatch, type FolderWatchOptions } from '../watched-tree.js';
import type { WatchOptions } from './file-options.js';
import { signingOf } from './file-sign.js';

/** How often everything is looked at although the system gives notices: some are lost, and some disks give none. */
const interval = 60_000;

/** Where is watched and written, without links in the paths. */
interface Places {
  readonly root: string;
  readonly out: string | undefined;
  /** Files that the command reads itself, such as its key. */
  readonly guarded: readonly string[];
}

/** `file watch`. Ends with exit code 0 when it is told to end, as servers do. */
export async function watchFolder(folder: string, options: WatchOptions, output: Output): Promise<number> {
  const settle = parseSeconds(options.settle, '--settle', 0.1);
  const poll = options.poll === undefined ? undefined : parseSeconds(options.poll, '--poll', 0.1);
  const places = await findPlaces(folder, options);
  const lock = new FileLock(places.out ?? places.root, '.etoken-bridge-watch', {
    what: places.out ?? places.root,
    hint: 'signed files are written there: check its permissions',
  });
  lock.take();
  try {
    return await withFileSigner(options, output, async (signer) => {
      const watch = new Watching(places, settle, poll, signer, options, output);
      return watch.run();
    });
  } finally {
    lock.release();
  }
}

/** @throws InputError `usage` */
function parseSeconds(text: string, option: string, least: number): number {
  const seconds = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (seconds >= least && seconds <= 86_400) return seconds * 1000;
  throw new InputError('usage', `${option} cannot be ${printable(text)}`, {
    hint: `give seconds from ${String(least)} to 86400, e.g. ${option} 2`,
  });
}

async function findPlaces(folder: string, options: WatchOptions): Promise<Places> {
  requireOut(options.out);
  const entry = await lookAtEntry(realFolder(folder));
  if (entry.kind !== 'folder') {
    throw new InputError('file-unreadable', `${printable(folder)} is no folder`, { hint: 'give the folder to watch' });
  }
  const root = realFolder(folder);
  const guarded = await signingInputs(options);
  if (options.out === undefined) return { root, out: undefined, guarded };
  await makeFolder(options.out, 'give another --out');
  const out = realFolder(options.out);
  return { root, out: out === root ? undefined : out, guarded };
}

function realFolder(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw explainRead(error, path, 'folder');
  }
}

/** One run of the command. */
class Watching {
  readonly #places: Places;
  readonly #guarded: ReadonlySet<string | undefined>;
  readonly #signer: Signer;
  readonly #options: WatchOptions;
  readonly #output: Output;
  readonly #signing: WatchedSigning;
  readonly #tree: FolderWatch;
  readonly #warned = new Set<string>();
  /** Of the files that are being signed together. */
  #folders = new OutputFolders();

  constructor(
    places: Places,
    settle: number,
    poll: number | undefined,
    signer: Signer,
    options: WatchOptions,
    output: Output,
  ) {
    this.#places = places;
    this.#guarded = new Set(places.guarded.map(identityAt).filter((one) => one !== undefined));
    this.#signer = signer;
    this.#options = options;
    this.#output = output;
    this.#signing = new WatchedSigning(this.#signingOptions(poll ?? interval));
    this.#tree = new FolderWatch(this.#treeOptions(settle, poll));
  }

  #signingOptions(look: number): WatchedSigningOptions {
    const { root, out } = this.#places;
    return {
      root,
      clock,
      remove: this.#options.remove === true,
      // Less than that: it comes after a look at everything, and the next look is to find it due.
      retry: look / 2,
      outputOf: (path) => outputOf(path, root, out),
      sign: (path, place, isUnchanged) => this.#sign(path, place, isUnchanged),
      tell: (event) => this.#tell(event),
      warn: (text) => this.#output.warning(text),
    };
  }

  #treeOptions(settle: number, poll: number | undefined): FolderWatchOptions {
    const { root, out } = this.#places;
    return {
      root,
      clock,
      settle,
      without: out === undefined ? [] : [out],
      interval: poll ?? interval,
      notices: poll === undefined && this.#options.once !== true,
      isDone: (path, entry) => this.#signing.isDone(path, entry),
      onOpen: (path, pid) => this.#signing.noteOpen(path, pid),
      onQuiet: (paths) => this.#deal(paths),
      onUnusable: (path, error) => {
        this.#tell({ event: 'failed', file: relative(root, path), ...describeFailure(error) });
      },
      known: () => this.#signing.known(),
      warn: (text) => {
        if (!this.#warned.has(text)) this.#output.warning(text);
        this.#warned.add(text);
      },
    };
  }

  async #deal(paths: readonly QuietPath[]): Promise<readonly string[]> {
    const { root, out } = this.#places;
    this.#folders = new OutputFolders(paths.map(({ path }) => outputOf(path, root, out)));
    try {
      return await this.#signing.deal(paths);
    } finally {
      await this.#folders.sync();
    }
  }

  async run(): Promise<number> {
    const stop = new AbortController();
    let signal = '';
    void untilStopped().then((name) => {
      signal = name;
      endAtSecondSignal();
      stop.abort();
    });
    const { once } = this.#options;
    const isEnough = (waiting: readonly string[]): boolean =>
      once === true && waiting.every((path) => this.#signing.isOpen(path));
    try {
      await this.#tree.run(stop.signal, isEnough, () => this.#say('watching', this.#places.root));
    } catch (error) {
      await this.#end('failure');
      throw error;
    }
    const notSigned = await this.#end(signal === '' ? 'done' : signal);
    if (once !== true || signal !== '') return exitCode.done;
    const [failure] = [
      ...Array.from(this.#signing.failures.values(), ({ error }) => error),
      ...this.#tree.unusable.values(),
    ];
    if (failure !== undefined) return exitCodeOf(failure);
    return notSigned.length > 0 ? exitCode.no : exitCode.done;
  }

  async #sign(path: string, place: string, isUnchanged: () => Promise<boolean>): Promise<SigningResult> {
    const { root, out, guarded } = this.#places;
    const below = relative(root, path);
    const identity = identityAt(path) ?? '';
    if (this.#guarded.has(identity)) {
      throw new InputError('usage', 'it is read by this command itself, as a key, PIN or certificate', {
        hint: 'keep it in another folder: whoever may read this one can read it',
      });
    }
    placeOutputs([{ path, relative: below, named: false, size: 0, identity }], {
      outputNames: () => [basename(place)],
      out,
      guarded,
    });
    if (encryptedInstead(place) !== undefined) return { kind: 'passed-over', why: encryptedForPhone };
    const reading = { isChanged: false };
    const signer: Signer = {
      certificate: this.#signer.certificate,
      digests: this.#signer.digests,
      // Here the file was read to its end. What was read is whole if nobody wrote since it was found quiet.
      sign: async (request) => {
        reading.isChanged = !(await isUnchanged());
        if (reading.isChanged) throw new InputError('file-unreadable', `${printable(path)} changed while it was read`);
        return this.#signer.sign(request);
      },
    };
    try {
      const signing = { ...signingOf(this.#options), keepFinished: 'any-time', folders: this.#folders } as const;
      const { alreadyDone, unchanged, backup } = await signOneFile(path, place, signer, signing);
      return alreadyDone || unchanged ? { kind: 'right' } : { kind: 'signed', backup };
    } catch (error) {
      if (reading.isChanged) return { kind: 'changed' };
      if (error instanceof InputError && error.code === 'already-signed') return { kind: 'signed-already' };
      throw error;
    }
  }

  #tell(event: WatchEvent): void {
    const file = printable(event.file);
    switch (event.event) {
      case 'signed':
        this.#say('signed', file, event);
        break;
      case 'gone':
        this.#say(event['removed'] === true ? 'removed' : 'kept', describeGone(event), event);
        break;
      case 'open': {
        const what = `process ${String(event['pid'])} has it open for writing; it is signed when that is closed`;
        if (this.#output.json) this.#say('open', file, event);
        else this.#output.note(`${now()} waits ${file}: ${what}`);
        break;
      }
      case 'passed-over':
        if (this.#output.json) this.#say('passed-over', file, event);
        else this.#output.note(`${now()} passed over ${file}: ${String(event['reason'])}`);
        break;
      case 'failed':
        if (this.#output.json) this.#say('failed', file, event);
        this.#output.warning(`${now()} ${file === '' ? '.' : file} is not signed: ${String(event['reason'])}`);
        if (typeof event['hint'] === 'string') this.#output.instruction(`hint: ${event['hint']}`);
    }
  }

  #say(what: string, text: string, event: object = { event: what, folder: text }): void {
    const time = now();
    this.#output.event(`${time} ${what} ${text}`, { time, ...event });
  }

  /** Says how it ended, and names the files that are not signed. */
  async #end(reason: string): Promise<readonly string[]> {
    const notSigned = [...(await this.#unsigned()), ...this.#signing.failures.keys(), ...this.#tree.unusable.keys()]
      .map((path) => relative(this.#places.root, path) || '.')
      .sort();
    const { signed } = this.#signing;
    if (this.#output.json) this.#output.event('', { time: now(), event: 'ended', reason, signed, notSigned });
    else {
      const how = reason === 'done' || reason === 'failure' ? 'ended' : `ended by ${reason}`;
      this.#output.note(`${now()} ${how}; ${String(signed)} signed, ${String(notSigned.length)} not signed`);
    }
    const shown = notSigned.slice(0, longestList).map((name) => `not signed: ${printable(name)}`);
    const more = notSigned.length > longestList ? [`and ${String(notSigned.length - longestList)} more`] : [];
    if (notSigned.length > 0) this.#output.instruction([...shown, ...more].join('\n'));
    return notSigned;
  }

  /** Files that were seen, and not dealt with. */
  async #unsigned(): Promise<readonly string[]> {
    const unsigned: string[] = [];
    for (const path of this.#tree.waiting) {
      const entry = await lookAtEntry(path);
      const isWanted = whyPassedOver(path) === undefined && path.startsWith(`${this.#places.root}${sep}`);
      if (isWanted && entry.kind === 'file' && !(await this.#signing.isDone(path, entry))) unsigned.push(path);
    }
    return unsigned;
  }
}

/** Names of files that are listed for people. */
const longestList = 20;

function describeGone({ file, output, removed }: WatchEvent): string {
  const signed = printable(String(output));
  return removed === true ? `${signed}: ${printable(file)} is gone` : `${signed}, although ${printable(file)} is gone`;
}

function now(): string {
  return new Date().toISOString();
}

/** Milliseconds of a clock that never goes back. */
function clock(): number {
  return performance.now();
}

function outputOf(path: string, root: string, out: string | undefined): string {
  return `${out === undefined ? path : join(out, relative(root, path))}.sgn`;
}

/** The first signal waits for the files that are being signed; the second one does not. */
function endAtSecondSignal(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => endInterrupted());
}
