#!/usr/bin/env node
import { unlinkSync } from 'node:fs';
import { exitCode } from './exit-code.js';
import { unfinishedFiles } from './files.js';
import { reportFailure, runCommand } from './program.js';

const words = process.argv.slice(2);

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

// A reader that stops early (`| head`) is no failure. A disk that is full is one.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? exitCode.done);
  process.stderr.write(`error: standard output cannot be written: ${error.code ?? error.message}\n`);
  process.exit(exitCode.usage);
});

// Nobody can be told.
process.stderr.on('error', () => process.exit(process.exitCode ?? exitCode.usage));

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => process.exit(reportFailure(error, words)));
}

// Node ends with 0 when nothing is left to wait for, also when the command has not come to its end.
process.once('beforeExit', () => process.exit(reportFailure(new Error('the command ended before its work'), words)));

void runCommand(words).then((code) => {
  process.removeAllListeners('beforeExit');
  process.exitCode = code;
});
