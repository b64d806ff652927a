// Compiles src/ to dist/ and softhsm/src to softhsm/dist, unless both are newer than every source.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The newest change below a folder, in milliseconds of the epoch. @param {string} folder */
function newestChange(folder) {
  return Math.max(
    ...readdirSync(folder, { recursive: true }).map((name) => statSync(`${folder}/${name}`).mtimeMs),
    statSync(folder).mtimeMs,
  );
}

/**
 * A build is stale when any source, or the way of building, changed after its last file was written.
 *
 * @param {string[]} sources
 * @param {string} mark
 */
function stale(sources, mark) {
  if (!existsSync(mark)) return true;
  const built = statSync(mark).mtimeMs;
  return [...sources, '.config', '.ci'].some((folder) => newestChange(root + folder) > built);
}

/**
 * @param {string} project
 * @param {string} what
 */
function compile(project, what) {
  const tsc = `${root}node_modules/typescript/bin/tsc`;
  const result = spawnSync(process.execPath, [tsc, '-p', `${root}.config/${project}`], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) {
    console.error(`error: ${what} does not compile`);
    process.exit(1);
  }
}

if (stale(['src', 'softhsm/src'], `${root}softhsm/dist/index.js`)) {
  console.error('set-up: building dist/ and softhsm/dist/');
  rmSync(`${root}dist`, { recursive: true, force: true });
  rmSync(`${root}softhsm/dist`, { recursive: true, force: true });
  compile('tsconfig.build.json', 'src/');
  compile('tsconfig.softhsm.json', 'softhsm/src/');
  for (const program of ['dist/cli/main.js', 'softhsm/dist/main.js']) {
    if (existsSync(root + program)) chmodSync(root + program, 0o755);
  }
}
