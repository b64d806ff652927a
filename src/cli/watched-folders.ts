import { watch, type BigIntStats, type FSWatcher } from 'node:fs';
import { basename, join, sep } from 'node:path';

/** What is told of a folder. */
export interface FolderListener {
  /** Something happened to this path: a file or a folder in a watched folder, or the folder itself. */
  readonly changed: (path: string) => void;
  /** The system gives no notices of this folder. */
  readonly refused: (folder: string, error: NodeJS.ErrnoException) => void;
}

interface WatchedFolder {
  readonly watcher: FSWatcher;
  /** Another folder of the same name is another folder. */
  readonly number: string;
}

/**
 * The notices of the system for a tree of folders: one watcher for each. `recursive` of Node.js 20 is not used: on Linux
 * it misses what happens in new folders (nodejs/node issue 48437) and throws where something is removed at the wrong
 * moment (52018).
 *
 * A notice says where to look, and nothing else. It may be missing: whoever relies on them looks at everything now and
 * then.
 */
export class FolderNotices {
  readonly #listener: FolderListener;
  readonly #folders = new Map<string, WatchedFolder>();

  constructor(listener: FolderListener) {
    this.#listener = listener;
  }

  /** Watches a folder, unless it is watched. What is in it is to be looked at afterwards. */
  add(folder: string, { dev, ino }: BigIntStats): void {
    const number = `${String(dev)}:${String(ino)}`;
    if (this.#folders.get(folder)?.number === number) return;
    this.remove(folder);
    try {
      const watcher = watch(folder, { persistent: false }, (_kind, name) => {
        if (name !== null) this.#listener.changed(join(folder, name));
        // A folder that is moved or removed says so by its own name.
        if (name === null || name === basename(folder)) this.#listener.changed(folder);
      });
      watcher.on('error', (error) => {
        this.remove(folder);
        this.#refuse(folder, error);
      });
      this.#folders.set(folder, { watcher, number });
    } catch (error) {
      this.#refuse(folder, error as NodeJS.ErrnoException);
    }
  }

  /** Lets go of a folder and all below it. @returns whether it was watched. */
  remove(folder: string): boolean {
    const isWatched = this.#folders.has(folder);
    for (const [path, { watcher }] of this.#folders) {
      if (path !== folder && !path.startsWith(`${folder}${sep}`)) continue;
      this.#folders.delete(path);
      watcher.close();
    }
    return isWatched;
  }

  close(): void {
    for (const { watcher } of this.#folders.values()) watcher.close();
    this.#folders.clear();
  }

  #refuse(folder: string, error: NodeJS.ErrnoException): void {
    // It went in this moment: its parent tells.
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') this.#listener.refused(folder, error);
  }
}
