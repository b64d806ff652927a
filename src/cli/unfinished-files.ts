import { unlinkSync } from 'node:fs';
import { exitCode } from './exit-code.js';

/** Files that are being written at this moment, to be removed when the user breaks off. */
const unfinished = new Set<string>();

/** A name that is removed when the user breaks off, until `end`. */
export function trackUnfinished(path: string): { readonly end: () => void } {
  unfinished.add(path);
  return { end: () => unfinished.delete(path) };
}

/** Ends the process as Ctrl-C does: no half-written file is left. @param tell what is said before. */
export function endInterrupted(tell: () => void = () => undefined): never {
  for (const path of unfinished) {
    try {
      unlinkSync(path);
    } catch {
      // It was moved to its place or removed a moment ago: there is nothing to clean up.
    }
  }
  tell();
  process.stderr.write('interrupted\n');
  process.exit(exitCode.interrupted);
}
