// Everything that is checked without running the program: types, lint, format, dead code, the package, the docs.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
await import('./build.mjs');

const checks = [
  ['types', 'tsc', '-p', 'tsconfig.json'],
  ['lint', 'eslint', '-c', '.config/eslint.config.mjs', '--max-warnings', '0', '.'],
  ['format', 'prettier', '--check', '--log-level', 'warn', '.'],
  ['dead code', 'knip', '--config', '.config/knip.json', '--no-progress'],
  ['package', 'publint', '--strict'],
  ['package types', 'attw', '--pack', '.', '--profile', 'esm-only', '--quiet'],
  ['docs', 'typedoc', '--options', '.config/typedoc.json'],
];

let failed = 0;
for (const [name, command, ...words] of checks) {
  const started = Date.now();
  const result = spawnSync(`${root}node_modules/.bin/${command}`, words, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  const good = result.status === 0;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  if (!good) {
    failed += 1;
    console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`);
  }
}
process.exit(failed === 0 ? 0 : 1);
