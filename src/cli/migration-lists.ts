import { join } from 'node:path';
import { printable } from '../bytes/index.js';
import { RefusalError } from '../errors.js';
import { readInput, writeOutput } from './files.js';
import { tftpNodeNames } from './live-servers.js';
import type { MigrationRun } from './migration-run.js';
import { setAside, sha1Of } from './migration-work.js';

/** The name under which phones ask for the CTL. */
export const ctlFile = 'CTLFile.tlv';

/** Whether the folders of all TFTP servers were named. */
export function hasAllFolders(run: MigrationRun): boolean {
  return tftpNodeNames(run.clusterFile).every((node) => run.folderOf(node) !== undefined);
}

/**
 * Puts a list into the folders of the TFTP servers.
 *
 * @param before SHA-1 of the list that is there; none when there is none.
 * @throws RefusalError `other-state` when another is there, so that nobody's list is lost
 */
export async function putList(run: MigrationRun, bytes: Uint8Array, before: string | undefined): Promise<void> {
  const paths = run.folders.map((folder) => join(folder, ctlFile));
  await refuseOthers(paths, [before, sha1Of(bytes)], before);
  for (const path of paths) await writeOutput({ path, bytes });
}

/**
 * Takes the list from the folders of the TFTP servers, into their `backups/`.
 *
 * @param present SHA-1 of the list that is there.
 * @throws RefusalError `other-state` when another is there, before anything is taken away
 */
export async function removeLists(run: MigrationRun, present: string | undefined): Promise<void> {
  const paths = run.folders.map((folder) => join(folder, ctlFile));
  await refuseOthers(paths, [undefined, present], present);
  for (const path of paths) await setAside(path);
}

async function refuseOthers(
  paths: readonly string[],
  possible: readonly (string | undefined)[],
  expected: string | undefined,
): Promise<void> {
  for (const path of paths) {
    const present = await presentSha1(path);
    if (possible.includes(present)) continue;
    const there = present === undefined ? 'is not there' : `has SHA-1 ${present}`;
    throw new RefusalError(
      'other-state',
      `${printable(path)} ${there}, and ${expected === undefined ? 'no CTL' : `SHA-1 ${expected}`} was expected there`,
      { hint: 'check that --tftp-folder names the folder that the TFTP server serves; nothing was changed' },
    );
  }
}

async function presentSha1(path: string): Promise<string | undefined> {
  try {
    return sha1Of(await readInput(path, 'CTL'));
  } catch (error) {
    if ((error as { readonly code?: string }).code === 'file-missing') return undefined;
    throw error;
  }
}
