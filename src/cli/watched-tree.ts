import { promises } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { explainRead } from './files.js';
import { lookAtEntry } from './watched-entry.js';
import { FolderNotices } from './watched-folders.js';
import { isFolderPassedOver, isNotUtf8, whyPassedOver } from './watched-names.js';
import { QuietFiles, type QuietOptions, type QuietPath } from './watched-quiet.js';

export interface FolderWatchOptions extends QuietOptions {
  /** The folder, without links in its path. */
  readonly root: string;
  /** Folders below the root that are left out. */
  readonly without: readonly string[];
  /** Milliseconds between two looks at everything. */
  readonly interval: number;
  /** Whether the system is asked for notices. */
  readonly notices: boolean;
  /** What to do with paths that are quiet. @returns those that were changed in the meantime. */
  readonly onQuiet: (paths: readonly QuietPath[]) => Promise<readonly string[]>;
  /** Every file that was there before: it may have gone. */
  readonly known: () => Iterable<string>;
  /** Something in which files lie that cannot be signed: a folder, or a file with such a name. Told once. */
  readonly onUnusable: (path: string, error: InputError) => void;
  /** Something that an administrator has to know; said once for the same words. */
  readonly warn: (text: string) => void;
}

/** How long notices are collected before they are looked at, in milliseconds. */
const collected = 50;

/** Milliseconds between two looks at everything, where the system does not give all notices. */
const withoutNotices = 5000;

/** How many paths are given to the signer together: between two of them a stop is noticed. */
const atOnce = 64;

/** Watches a folder and all below it, until it is stopped. */
export class FolderWatch {
  readonly #options: FolderWatchOptions;
  readonly #quiet: QuietFiles;
  readonly #notices: FolderNotices;
  /** By the folder that was looked into. */
  readonly #unusable = new Map<string, ReadonlyMap<string, InputError>>();
  /** Paths that notices named. */
  #noticed = new Set<string>();
  #interval: number;
  #wake: () => void = () => undefined;

  constructor(options: FolderWatchOptions) {
    this.#options = options;
    this.#interval = options.interval;
    this.#quiet = new QuietFiles(options);
    this.#notices = new FolderNotices({
      changed: (path) => this.notice(path),
      refused: (folder, error) => {
        this.#interval = Math.min(this.#interval, withoutNotices);
        const seconds = String(this.#interval / 1000);
        const limit = error.code === 'ENOSPC' || error.code === 'EMFILE';
        const help = limit ? '; raise fs.inotify.max_user_watches and max_user_instances with sysctl' : '';
        const why = `the system gives no notices of ${printable(folder)} (${error.code ?? error.message})`;
        options.warn(`${why}: it is looked at every ${seconds} seconds${help}`);
      },
    });
  }

  /** Paths that are not dealt with, as far as they were looked at. */
  get waiting(): readonly string[] {
    return [...new Set([...this.#quiet.waiting, ...this.#noticed])];
  }

  /** Folders that cannot be looked into, and names that cannot be signed. */
  get unusable(): ReadonlyMap<string, InputError> {
    return new Map([...this.#unusable.values()].flatMap((some) => [...some]));
  }

  /** Something happened to this path, or may have happened. */
  notice(path: string): void {
    this.#noticed.add(path);
    this.#wake();
  }

  /**
   * Watches.
   *
   * @param stop ends it, after the files that are being signed at this moment.
   * @param isEnough whether to end although these paths are not dealt with.
   * @param onLooked called when everything was looked at for the first time: from then on no change is missed.
   */
  async run(stop: AbortSignal, isEnough: (waiting: readonly string[]) => boolean, onLooked: () => void): Promise<void> {
    const wake = (): void => this.#wake();
    stop.addEventListener('abort', wake);
    try {
      const { clock } = this.#options;
      let next = -Infinity;
      while (!stop.aborted) {
        if (clock() >= next) {
          await this.#lookAtEverything();
          if (next === -Infinity) onLooked();
          next = clock() + this.#interval;
        }
        await this.#lookAtNoticed();
        await this.#deal(await this.#quiet.look(), stop);
        if (this.#noticed.size === 0 && isEnough(this.#quiet.waiting)) return;
        await this.#rest(Math.min(next, this.#quiet.due) - clock(), stop);
      }
    } finally {
      stop.removeEventListener('abort', wake);
      this.#notices.close();
    }
  }

  async #deal(quiet: readonly QuietPath[], stop: AbortSignal): Promise<void> {
    let done = 0;
    try {
      for (; done < quiet.length && !stop.aborted; done += atOnce) {
        const changed = await this.#options.onQuiet(quiet.slice(done, done + atOnce));
        for (const path of changed) this.#quiet.add(path);
      }
    } finally {
      for (const { path } of quiet.slice(done)) this.#quiet.consider(path);
    }
  }

  /** Waits for the next thing to do. */
  async #rest(milliseconds: number, stop: AbortSignal): Promise<void> {
    const isNoticed = this.#noticed.size > 0;
    const pause = isNoticed ? collected : Math.max(milliseconds, collected);
    const woken = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), Math.min(pause, 2 ** 31 - 1));
      this.#wake = (): void => {
        // What comes with a notice mostly comes in numbers.
        if (isNoticed && !stop.aborted) return;
        clearTimeout(timer);
        resolve(true);
      };
      if (stop.aborted) this.#wake();
    });
    this.#wake = (): void => undefined;
    if (woken && !stop.aborted) await this.#rest(collected, stop);
  }

  async #lookAtEverything(): Promise<void> {
    const { root, known, warn } = this.#options;
    const seen = new Set<string>();
    const entry = await lookAtEntry(root);
    if (entry.kind === 'folder') await this.#lookInto(root, seen);
    else warn(`${printable(root)} is gone; it is looked for every ${String(this.#interval / 1000)} seconds`);
    for (const path of known()) if (!seen.has(path)) this.#quiet.consider(path);
  }

  /** A folder is watched first and read afterwards: what comes in between is not missed. */
  async #lookInto(folder: string, seen?: Set<string>): Promise<void> {
    const { root, notices } = this.#options;
    if (folder !== root && this.#isLeftOut(join(folder, '*'))) return;
    const entry = await lookAtEntry(folder);
    if (entry.kind === 'other') this.#noteUnusable(folder, new Map([[folder, explainEntry(folder, entry.why)]]));
    if (entry.kind !== 'folder') return;
    if (notices) this.#notices.add(folder, entry.information);
    const unusable = new Map<string, InputError>();
    const entries = await promises.readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') unusable.set(folder, explainFolder(error, folder));
      return [];
    });
    for (const { name } of entries) if (isNotUtf8(name)) unusable.set(join(folder, name), explainName(name));
    this.#noteUnusable(folder, unusable);
    for (const one of entries) {
      const path = join(folder, one.name);
      if (one.isDirectory()) await this.#lookInto(path, seen);
      else if (whyPassedOver(path) === undefined) this.#take(path, one.isFile(), seen);
    }
  }

  #noteUnusable(folder: string, unusable: ReadonlyMap<string, InputError>): void {
    const before = this.#unusable.get(folder);
    if (unusable.size > 0) this.#unusable.set(folder, unusable);
    else this.#unusable.delete(folder);
    for (const [path, error] of unusable) if (before?.has(path) !== true) this.#options.onUnusable(path, error);
  }

  #take(path: string, isFile: boolean, seen?: Set<string>): void {
    seen?.add(path);
    if (!isFile) this.#options.warn(`${printable(path)} is not signed: it is a link, or no file at all`);
    else if (seen === undefined) this.#quiet.add(path);
    else this.#quiet.consider(path);
  }

  async #lookAtNoticed(): Promise<void> {
    const noticed = this.#noticed;
    this.#noticed = new Set();
    const { root } = this.#options;
    for (const path of noticed) {
      // A signed file that was changed or removed by others: the plain file beside it tells what belongs there.
      const plain = path.endsWith('.sgn') ? path.slice(0, -'.sgn'.length) : path;
      const entry = await lookAtEntry(plain);
      if (entry.kind === 'folder') await this.#lookInto(plain);
      else if (entry.kind === 'gone') this.#lose(plain);
      if (entry.kind === 'folder' || plain === root || this.#isLeftOut(plain)) continue;
      if (whyPassedOver(plain) === undefined) this.#take(plain, entry.kind !== 'other');
    }
  }

  /** Whether a path lies in a folder in which nothing is signed. */
  #isLeftOut(path: string): boolean {
    const { root, without } = this.#options;
    const folders = relative(root, path).split(sep).slice(0, -1);
    return folders.some(isFolderPassedOver) || without.some((folder) => path.startsWith(`${folder}${sep}`));
  }

  /** What is gone may have been a folder. */
  #lose(path: string): void {
    for (const folder of this.#unusable.keys())
      if (folder === path || folder.startsWith(`${path}${sep}`)) this.#unusable.delete(folder);
    if (!this.#notices.remove(path)) return;
    for (const file of this.#options.known()) if (file.startsWith(`${path}${sep}`)) this.#quiet.add(file);
  }
}

function explainFolder(error: unknown, folder: string): InputError {
  const { message, hint = '' } = explainRead(error, folder, 'folder');
  return new InputError('file-unreadable', `${message}; nothing in it is signed`, { hint, cause: error });
}

function explainEntry(folder: string, why: string): InputError {
  return new InputError('file-unreadable', `the folder ${printable(folder)} cannot be read: ${why}`, {
    hint: 'check the folder and its permissions',
  });
}

function explainName(name: string): InputError {
  return new InputError('file-unreadable', `the name ${printable(name)} is not UTF-8`, {
    hint: 'rename it: FILENAME of a signed file is UTF-8, and phones ask for it so',
  });
}
