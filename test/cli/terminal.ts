import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { notMissingInCi } from '../skip-reason.js';
import { plainEnvironment, program, type RunOptions } from './etoken-bridge.js';

const isScriptThere = String(spawnSync('script', ['--version']).stdout).includes('util-linux');

/** Why no terminal can be made for a command here; `undefined` when it can, as always in CI. */
export const noTerminal: string | undefined = notMissingInCi(
  'a command on a terminal',
  isScriptThere ? undefined : 'script of util-linux is not installed',
);

/** A command that runs on a terminal of its own. */
export interface Terminal {
  /** Everything that stood on the terminal so far, colours and cursor movements included. */
  screen(): string;
  /** Waits until the terminal shows a text. */
  waitFor(text: string | RegExp): Promise<void>;
  /** Types; `\r` is the enter key. */
  type(keys: string): void;
  /** The process id of the command. @throws Error while it is not known */
  processId(): number;
  /** The exit code of the command. */
  readonly ended: Promise<number | null>;
}

/** Starts the command on a terminal of 200 columns. */
export function openTerminal(words: readonly string[], options: RunOptions & { readonly cwd: string }): Terminal {
  const quote = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;
  const pidFile = join(options.cwd, '.terminal-pid');
  const command = [process.execPath, program, ...words].map(quote).join(' ');
  const line = `stty cols 200 rows 50; echo $$ >${quote(pidFile)}; exec ${command}`;
  const child = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
    cwd: options.cwd,
    env: { ...plainEnvironment(options.env), SHELL: '/bin/sh', TERM: 'xterm-256color' },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  let screen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const shows = (text: string | RegExp): boolean =>
    typeof text === 'string' ? screen.includes(text) : text.test(screen);
  return {
    screen: () => screen,
    waitFor: async (text) => {
      for (const started = Date.now(); !shows(text);) {
        if (Date.now() - started > 20_000 || child.exitCode !== null) {
          throw new Error(`${String(text)} was not shown; the terminal shows ${JSON.stringify(screen)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    type: (keys) => child.stdin.write(keys),
    processId: () => processIdIn(pidFile),
    ended,
  };
}

function processIdIn(path: string): number {
  const text = readFileSync(path, 'utf8');
  const processId = Number(text);
  // A signal to process 0 goes to everything that belongs together with these tests, and 1 is the machine's own.
  if (Number.isInteger(processId) && processId > 1) return processId;
  throw new Error(`${path} holds no process id but ${JSON.stringify(text)}; wait until the terminal shows something`);
}

/** The processes that a process started and that run: the token hosts of a command. */
export function childrenOf(processId: number): readonly number[] {
  const children = readFileSync(`/proc/${processId}/task/${processId}/children`, 'utf8');
  return children.split(' ').filter(Boolean).map(Number);
}

/** Whether a process runs; one that has ended and waits for its parent to notice does not. */
export function isRunning(processId: number): boolean {
  try {
    const fields = readFileSync(`/proc/${processId}/stat`, 'latin1').replace(/^.*\) /s, '');
    return !fields.startsWith('Z');
  } catch {
    return false;
  }
}
