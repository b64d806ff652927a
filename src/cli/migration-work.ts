import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  promises,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { formatHex, printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import {
  checkJournalPlan,
  formatJournalEntry,
  journalHead,
  parseJournal,
  progressOf,
  type Journal,
  type JournalEntry,
  type Plan,
  type Progress,
} from '../migration/index.js';
import { commonName, type Certificate } from '../x509/index.js';
import { FileLock } from './file-lock.js';
import { explainWrite, keepBackup, makeFolder, writeOutput } from './files.js';

const listSuffix = '-CTLFile.tlv';

/** The name of the list that was served before the first step. */
export const firstList = 'from';

/** The folder of a plan that is being applied: its journal, the lists that were built or replaced, a lock. */
export class MigrationWork {
  readonly path: string;
  readonly #plan: Plan;
  readonly #lock: FileLock;
  #isLocked = false;

  constructor(path: string, plan: Plan) {
    this.path = path;
    this.#plan = plan;
    this.#lock = new FileLock(path, 'lock', {
      what: path,
      hint: 'check the permissions of the folder, or give another with --work',
    });
  }

  get journalPath(): string {
    return join(this.path, 'journal.jsonl');
  }

  /**
   * Keeps other processes away, when the folder is there.
   *
   * @throws InputError `usage` when one works on it, `file-unwritable`
   */
  lockIfThere(): void {
    if (this.#isLocked || !existsSync(this.path)) return;
    this.#lock.take();
    this.#isLocked = true;
  }

  /** Makes the folder and the first line of the journal, when they are not there. */
  async begin(): Promise<void> {
    await makeFolder(this.path, 'give another folder with --work');
    const isNew = !this.#isLocked;
    this.lockIfThere();
    if (isNew && this.readJournal().entries.length > 0) {
      throw new InputError('usage', `another process has just worked on ${printable(this.path)}`, {
        hint: 'run the command again',
      });
    }
  }

  release(): void {
    if (this.#isLocked) this.#lock.release();
    this.#isLocked = false;
  }

  /**
   * @throws InputError `journal`, `file-unreadable`; RefusalError `other-plan`
   */
  readJournal(): Journal {
    const journal = parseJournal(this.#journalText(), printable(this.journalPath));
    checkJournalPlan(this.#plan, journal, printable(this.journalPath));
    return journal;
  }

  progress(): Progress {
    return progressOf(this.#plan, this.readJournal());
  }

  /**
   * Appends an entry, and returns when it is on the disk. What a killed process left of a line is taken out before.
   *
   * @throws InputError `file-unwritable`
   */
  append(entry: JournalEntry): void {
    try {
      const { length } = parseJournal(this.#journalText(), printable(this.journalPath));
      const file = openSync(this.journalPath, length === 0 ? 'a' : 'r+');
      try {
        // Characters are bytes here: entries are ASCII but for the ids of steps, which are too.
        ftruncateSync(file, length);
        const head = length === 0 && entry.entry !== 'plan' ? formatJournalEntry(journalHead(this.#plan)) : '';
        writeSync(file, head + formatJournalEntry(entry), length === 0 ? null : length);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      if (length === 0) syncFolder(this.path);
    } catch (error) {
      if (error instanceof InputError) throw error;
      const reason = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new InputError(
        'file-unwritable',
        `the journal ${printable(this.journalPath)} cannot be written: ${reason}`,
        {
          hint: 'make room or correct the permissions, then run the command again; nothing is done twice',
          cause: error,
        },
      );
    }
  }

  #journalText(): string {
    try {
      return readFileSync(this.journalPath, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return '';
      throw new InputError('file-unreadable', `the journal ${printable(this.journalPath)} cannot be read`, {
        hint: 'check its permissions',
        cause: error,
      });
    }
  }

  /** Where the list of a step is kept. */
  listPath(step: string): string {
    return join(this.path, `${step}${listSuffix}`);
  }

  readList(step: string): Uint8Array | undefined {
    return readIfThere(this.listPath(step));
  }

  /** Writes the list of a step; a former one is kept in `backups/`. */
  async keepList(step: string, bytes: Uint8Array): Promise<string> {
    return (await writeOutput({ path: this.listPath(step), bytes })).path;
  }

  /** Puts a former list of a step into `backups/`, where {@link findList} still finds it. */
  async setListAside(step: string): Promise<void> {
    await setAside(this.listPath(step));
  }

  /** Where a certificate is kept for the administrator to upload. */
  async keepCertificate(certificate: Certificate): Promise<string> {
    const folder = join(this.path, 'certificates');
    await makeFolder(folder, 'give another folder with --work');
    const name = (commonName(certificate.subject) ?? '')
      .trim()
      .replaceAll(/[^A-Za-z0-9._-]/g, '_')
      .slice(0, 60);
    const path = join(folder, `${name}-${sha1Of(certificate.der).slice(0, 8)}.cer`);
    await writeOutput({ path, bytes: certificate.der });
    return path;
  }

  /** The certificates that were kept. */
  certificatePaths(): readonly string[] {
    const folder = join(this.path, 'certificates');
    if (!existsSync(folder)) return [];
    const names = readdirSync(folder).filter((name) => name.endsWith('.cer') && !name.startsWith('.'));
    return names.sort().map((name) => join(folder, name));
  }

  /** The list of the folder that has this SHA-1, and where it is. */
  findList(sha1: string): { readonly path: string; readonly bytes: Uint8Array } | undefined {
    const folders = [this.path, join(this.path, 'backups')].filter((folder) => existsSync(folder));
    for (const folder of folders) {
      for (const name of readdirSync(folder).sort()) {
        if (name.startsWith('.') || !name.includes(listSuffix)) continue;
        const path = join(folder, name);
        const bytes = readIfThere(path);
        if (bytes !== undefined && sha1Of(bytes) === sha1) return { path, bytes };
      }
    }
    return undefined;
  }
}

/** Moves a file into `backups/` beside it; one that is not there is none. @throws InputError `file-unwritable` */
export async function setAside(path: string): Promise<void> {
  const bytes = readIfThere(path);
  if (bytes === undefined) return;
  try {
    await keepBackup(path, bytes, statSync(path).mtime);
    await promises.unlink(path);
  } catch (error) {
    throw explainWrite(error, path);
  }
  syncFolder(dirname(path));
}

/** SHA-1 in lower-case hex. */
export function sha1Of(bytes: Uint8Array): string {
  return formatHex(createHash('sha1').update(bytes).digest());
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return statSync(path).isFile() ? new Uint8Array(readFileSync(path)) : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new InputError('file-unreadable', `${printable(path)} cannot be read`, {
      hint: 'check its permissions',
      cause: error,
    });
  }
}

function syncFolder(path: string): void {
  // Windows cannot open folders.
  let folder: number | undefined;
  try {
    folder = openSync(path, 'r');
    fsyncSync(folder);
  } catch {
    // As safe as the system makes it.
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}
