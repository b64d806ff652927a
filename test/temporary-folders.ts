import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const folders = new Set<string>();

function removeAll(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  folders.clear();
}

// Here and not where a folder is made: an afterAll that is registered inside of a hook never runs.
afterAll(removeAll);
// Where all tests of a file are skipped, nothing comes after them; vitest ends a worker with SIGTERM.
process.once('exit', removeAll);
process.once('SIGTERM', () => {
  removeAll();
  process.kill(process.pid, 'SIGTERM');
});

/** Makes a folder that is gone when the tests of the file are done, also when a hook makes it. */
export function makeTemporaryFolder(prefix: string): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), prefix)));
  folders.add(folder);
  return folder;
}
