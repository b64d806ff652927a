import { promises, type BigIntStats } from 'node:fs';

/** What lies at a path, as far as signing goes. */
export type WatchedEntry =
  | WatchedFile
  | { readonly kind: 'folder'; readonly information: BigIntStats }
  | { readonly kind: 'gone' }
  | { readonly kind: 'other'; readonly why: string };

/** A regular file at one moment. */
export interface WatchedFile {
  readonly kind: 'file';
  readonly device: bigint;
  readonly inode: bigint;
  /** Equal at two moments when nothing was written in between, and no other file took the place of this one. */
  readonly state: string;
}

/** Looks at a path. Links are not followed. */
export async function lookAtEntry(path: string): Promise<WatchedEntry> {
  try {
    const information = await promises.lstat(path, { bigint: true });
    if (information.isDirectory()) return { kind: 'folder', information };
    if (information.isSymbolicLink()) return { kind: 'other', why: 'a link, not followed' };
    if (!information.isFile()) return { kind: 'other', why: 'no file' };
    return { kind: 'file', device: information.dev, inode: information.ino, state: stateOf(information) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR' ? { kind: 'gone' } : { kind: 'other', why: code ?? String(error) };
  }
}

/** What tells one state of a file from another; `undefined` where no file is. */
export async function fileState(path: string): Promise<string | undefined> {
  const entry = await lookAtEntry(path);
  return entry.kind === 'file' ? entry.state : undefined;
}

/** With the time of the last change of any kind: programs that copy set the time of writing back. */
function stateOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}
