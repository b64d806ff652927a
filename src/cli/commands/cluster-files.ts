import { existsSync, promises } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { equalBytes, printable } from '../../bytes/index.js';
import { InputError } from '../../errors.js';
import { checkOutput, readInput, writeOutput, type WriteRequest, type WrittenFile } from '../files.js';

/**
 * Writes several files: all of them, or none. They are written in their order, each so that the old or the new one is
 * there whole; where one fails, those before it get their old content back. A process that is killed on the way leaves
 * the first ones new and the others old.
 *
 * @throws InputError as {@link writeOutput}
 */
export async function writeTogether(requests: readonly WriteRequest[]): Promise<readonly WrittenFile[]> {
  for (const request of requests) await checkOutput(request);
  const undo: (() => Promise<void>)[] = [];
  const written: WrittenFile[] = [];
  try {
    for (const request of requests) {
      const path = await promises.realpath(request.path).catch(() => resolve(request.path));
      const wasThere = existsSync(path);
      const file = await writeOutput(request);
      written.push(file);
      undo.push(() => takeBack(path, file.backup, wasThere));
    }
    return written;
  } catch (error) {
    // What cannot be taken back must not hide why it had to be.
    for (const step of undo.reverse()) await step().catch(() => undefined);
    throw error;
  }
}

/** @param backup where the old content is kept; `undefined` for a file that is new, or that had these bytes before. */
async function takeBack(path: string, backup: string | undefined, wasThere: boolean): Promise<void> {
  if (backup !== undefined) {
    await promises.rename(backup, path);
    // Only where nothing else is in it.
    await promises.rmdir(dirname(backup)).catch(() => undefined);
  } else if (!wasThere) {
    await promises.unlink(path);
  }
}

/**
 * Refuses to go on with a file that somebody changed while the question was open: the change would be overwritten.
 *
 * @param before what was read, as text or bytes.
 * @throws InputError `usage`
 */
export async function refuseChanged(path: string, before: string | Uint8Array): Promise<void> {
  const bytes = typeof before === 'string' ? new TextEncoder().encode(before) : before;
  if (equalBytes(await readInput(path, 'file'), bytes)) return;
  throw new InputError('usage', `${printable(path)} was changed while the question was open`, {
    hint: 'nothing was written: look at the change, and run the command again',
  });
}
