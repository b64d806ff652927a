#!/usr/bin/env node
import { exitCode } from './exit-code.js';
import { endInterrupted } from './unfinished-files.js';

const words = process.argv.slice(2);

// Many files: some threads wait for the disk while others sign. Node reads this when the first of them is started.
if (words[0] === 'file') process.env['UV_THREADPOOL_SIZE'] ??= '16';

// Ctrl-C leaves no half-written file. The token host sees its pipe close and ends by itself.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => endInterrupted());

// A reader that stops early (`| head`) is no failure. A disk that is full is one.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? exitCode.done);
  process.stderr.write(`error: standard output cannot be written: ${error.code ?? error.message}\n`);
  process.exit(exitCode.usage);
});

// Nobody can be told.
process.stderr.on('error', () => process.exit(process.exitCode ?? exitCode.usage));

function fail(error: unknown): void {
  void import('./program.js').then(({ reportFailure }) => process.exit(reportFailure(error, words)));
}

for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, fail);

// Node ends with 0 when nothing is left to wait for, also when the command has not come to its end.
process.once('beforeExit', () => fail(new Error('the command ended before its work')));

void start();

async function start(): Promise<void> {
  await startNamedToken();
  const { runCommand } = await import('./program.js');
  const code = await runCommand(words);
  process.removeAllListeners('beforeExit');
  process.exitCode = code;
}

/** A token host takes longer to start than the command to load, so it goes before the command line is understood. */
async function startNamedToken(): Promise<void> {
  const option = words.indexOf('--token');
  const token = words[option + 1];
  if (words[0] !== 'ctl' || option === -1 || token === undefined) return;
  const named = await import('./named-token.js');
  try {
    named.startNamedToken({ token });
  } catch {
    // The command says what is wrong with the URI.
  }
}
