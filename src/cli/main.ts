#!/usr/bin/env node
import { unlinkSync } from 'node:fs';
import { exitCode } from './exit-code.js';
import { unfinishedFiles } from './files.js';
import { runCommand } from './program.js';

// Ctrl-C leaves no half-written file. The token host sees its pipe close and ends by itself.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    for (const path of unfinishedFiles()) {
      try {
        unlinkSync(path);
      } catch {
        // It was renamed or removed a moment ago: there is nothing to clean up.
      }
    }
    process.stderr.write('interrupted\n');
    process.exit(exitCode.interrupted);
  });
}

// A reader that stops early (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode ?? exitCode.done);
});

void runCommand(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
