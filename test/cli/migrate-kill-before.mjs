// Loaded before the command (node --import): ends the process by SIGKILL before the n-th change of the file system,
// KILL_AT=n, or writes every change that was made to the file TRACE. Only the functions of KILL_AMONG count, if set.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { writeFileSync } = fs;
const { KILL_AT, KILL_AMONG, TRACE } = process.env;
const at = Number(KILL_AT ?? 0);
const among = KILL_AMONG?.split(',');
/** @type {string[]} */
const changes = [];

/**
 * @param {Record<string, (this: unknown, ...operands: unknown[]) => unknown>} holder
 * @param {string} name
 */
function watch(holder, name) {
  const original = holder[name];
  if (original === undefined || (among !== undefined && !among.includes(name))) return;
  /** @this {unknown} */
  holder[name] = function (...operands) {
    const named = operands.filter((operand) => typeof operand === 'string').slice(0, 2);
    changes.push([name, ...named].join(' ').split('\n')[0] ?? '');
    if (changes.length === at) {
      process.kill(process.pid, 'SIGKILL');
      for (;;);
    }
    return original.apply(this, operands);
  };
}

const [files, promises] = /** @type {[any, any]} */ ([fs, fs.promises]);
for (const name of ['writeSync', 'fsyncSync', 'ftruncateSync', 'linkSync', 'unlinkSync', 'writeFileSync']) {
  watch(files, name);
}
for (const name of ['open', 'rename', 'link', 'unlink', 'mkdir', 'writeFile', 'copyFile']) watch(promises, name);
syncBuiltinESMExports();
process.on('exit', () => {
  if (TRACE !== undefined) writeFileSync(TRACE, changes.map((change) => `${change}\n`).join(''));
});
