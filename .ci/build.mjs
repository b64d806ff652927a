// Compiles src/ to dist/ and softhsm/src to softhsm/dist, and joins the command to few files in dist/command/, unless
// all of them are newer than every source.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
  const settings = ['package.json', 'package-lock.json', 'tsconfig.json'].map((name) => statSync(root + name).mtimeMs);
  return [...settings, ...[...sources, '.config', '.ci'].map((folder) => newestChange(root + folder))].some(
    (change) => change > built,
  );
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

/**
 * Joins a program to few files of CommonJS. Node takes longer to find, read and link sixty small ES modules than to run
 * `ctl show`, and people wait for it.
 *
 * @param {string} name
 * @param {string} source
 */
async function joinProgram(name, source) {
  const { rolldown } = await import('rolldown');
  const packages = ['graphene-pk11', 'pkcs11js', 'node-forge', 'ssh2', 'yaml', 'zod', '@clack/prompts'];
  const bundle = await rolldown({
    input: { [name]: root + source },
    platform: 'node',
    external: (id, importer) => (id.startsWith('node:') && !isUnused(id, importer)) || packages.includes(id),
    plugins: [
      {
        name: 'unused-parts-of-node',
        resolveId: { order: 'pre', handler: (id, importer) => (isUnused(id, importer) ? '\0unused' : undefined) },
        load: (id) => (id === '\0unused' ? 'export {}' : undefined),
      },
    ],
  });
  await bundle.write({
    dir: `${root}dist/command`,
    format: 'cjs',
    entryFileNames: '[name].js',
    chunkFileNames: `${name}-[name]-[hash].js`,
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  });
}

/**
 * Commander loads child_process for subcommands in programs of their own. There are none here, and it is slow to load.
 *
 * @param {string} id
 * @param {string | undefined} importer
 */
function isUnused(id, importer) {
  return id === 'node:child_process' && importer !== undefined && importer.includes('/commander/');
}

// Written last: a build that fails half-way is not taken for one.
const mark = `${root}dist/.built`;

if (stale(['src', 'softhsm/src'], mark)) {
  console.error('set-up: building dist/ and softhsm/dist/');
  rmSync(`${root}dist`, { recursive: true, force: true });
  rmSync(`${root}softhsm/dist`, { recursive: true, force: true });
  compile('tsconfig.build.json', 'src/');
  await joinProgram('main', 'src/cli/main.ts');
  // Apart from the command: what the two would share would be loaded, and run, by both.
  await joinProgram('host-process', 'src/token/host-process.ts');
  await joinProgram('host-thread', 'src/token/host-thread.ts');
  writeFileSync(`${root}dist/command/package.json`, '{ "type": "commonjs" }\n');
  compile('tsconfig.softhsm.json', 'softhsm/src/');
  for (const program of ['dist/command/main.js', 'softhsm/dist/main.js']) {
    if (existsSync(root + program)) chmodSync(root + program, 0o755);
  }
  writeFileSync(mark, '');
}
