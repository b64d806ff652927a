import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';

/** A file by its number on its disk. */
export interface FileNumber {
  readonly path: string;
  readonly device: bigint;
  readonly inode: bigint;
}

/** The lowest bits of the flags of an open file: 0 is reading only. */
const accessMode = 0o3;

/**
 * Which of these files a process has open for writing, as far as Linux tells: of the processes of this user, or of all
 * for root. Files that other machines write to over a network, and other systems, tell nothing.
 *
 * @returns the process by the path of the file.
 */
export function findWriters(files: readonly FileNumber[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  if (files.length === 0 || process.platform !== 'linux') return found;
  // Links are not touched but for these names: on a network disk that does not answer, that would take for ever.
  const names = new Map<string, FileNumber[]>();
  for (const file of files) {
    const name = basename(file.path);
    names.set(name, [...(names.get(name) ?? []), file]);
  }
  for (const word of list('/proc')) {
    const pid = Number(word);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    for (const number of list(`/proc/${word}/fd`)) {
      const open = quietly(() => readlinkSync(`/proc/${word}/fd/${number}`));
      const candidates = open === undefined ? undefined : names.get(basename(open));
      if (candidates === undefined || !isWriting(word, number)) continue;
      const information = quietly(() => statSync(`/proc/${word}/fd/${number}`, { bigint: true }));
      const file = candidates.find(({ device, inode }) => device === information?.dev && inode === information.ino);
      if (file !== undefined) found.set(file.path, pid);
    }
  }
  return found;
}

function isWriting(pid: string, number: string): boolean {
  const text = quietly(() => readFileSync(`/proc/${pid}/fdinfo/${number}`, 'latin1'));
  const flags = /^flags:\s*([0-7]+)$/m.exec(text ?? '')?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & accessMode) !== 0;
}

function list(folder: string): readonly string[] {
  return quietly(() => readdirSync(folder)) ?? [];
}

/** A process that ended a moment ago, or belongs to somebody else, tells nothing. */
function quietly<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
