// Brings a fresh clone to the state that `npm start` and `npm test` need: packages, a build, SoftHSM2.
// Does nothing that is already done, so that it costs little on every later run.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Runs a command quietly; prints what it said only when it failed.
 *
 * @param {[string, ...string[]]} words
 * @param {string} what
 */
function run(words, what) {
  const [command, ...rest] = words;
  const result = spawnSync(command, rest, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (result.status === 0) return;
  console.error(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  console.error(`error: ${what} failed (${words.join(' ')})`);
  process.exit(result.status ?? 1);
}

/**
 * @param {string} file
 * @param {string} thanFile
 */
function newer(file, thanFile) {
  return existsSync(file) && existsSync(thanFile) && statSync(file).mtimeMs >= statSync(thanFile).mtimeMs;
}

if (!newer(`${root}node_modules/.package-lock.json`, `${root}package-lock.json`)) {
  console.error('set-up: installing packages (npm ci)');
  run(['npm', 'ci', '--no-audit', '--no-fund'], 'installing packages');
}
await import('./build.mjs');
const { installSoftHsm } = await import('softhsm-config');
try {
  const found = await installSoftHsm({ log: (line) => console.error(`set-up: ${line}`) });
  console.error(`set-up: SoftHSM2 is ${found.module}`);
} catch (error) {
  const { message, hint } = /** @type {Error & { hint?: string }} */ (error);
  console.error(`error: ${message}`);
  if (hint !== undefined) console.error(`hint: ${hint}`);
  process.exit(3);
}
