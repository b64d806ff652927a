import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { defineConfig } from 'vitest/config';

const builtForkedHost = pathToFileURL(new URL('../dist/token/forked-host.js', import.meta.url).pathname).href;

export default defineConfig({
  plugins: [
    {
      // The token host runs in a child of plain node, which cannot run TypeScript: tests use the built one.
      name: 'built-token-host',
      enforce: 'pre',
      load(id) {
        if (!id.endsWith('/src/token/forked-host.ts')) return null;
        return readFileSync(id, 'utf8').replaceAll('import.meta.url', JSON.stringify(builtForkedHost));
      },
    },
  ],
  test: {
    include: ['test/**/*.test.ts'],
    // Threads that initialise one PKCS#11 module together crash it; processes do not. Each file of tests has a SoftHSM2
    // configuration of its own, so that two of them do not meet on one token.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
