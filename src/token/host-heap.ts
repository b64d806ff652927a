/** Runs in the token host only. */
import { setFlagsFromString } from 'node:v8';

/**
 * Keeps V8's space for what is thrown away soon at its first size: a host holds nothing for long, and V8 would let that
 * space grow to 32 MB in each of its threads. A new thread sets this back for the whole process (Node.js 20 and 22), so
 * each calls it as it begins. `--max-semi-space-size` on the command line does the same, but Node.js 20 then compiles
 * more of its own code at the start, and `ctl sign` takes 4 % longer.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
