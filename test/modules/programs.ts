import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, existsSync, openSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Environment variables by name. */
export type Variables = Readonly<Record<string, string>>;

/** A program or file that a test needs, and the Debian package that brings it. */
export interface Need {
  /** The name of a program, or the absolute path of a file. */
  readonly what: string;
  readonly package: string;
}

const programFolders: readonly string[] = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];

/** Debian's name of this kind of machine, as it stands in the paths of libraries. */
const triplets: Readonly<Partial<Record<string, string>>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/** Where Debian puts a library. */
export function libraryPath(name: string): string {
  return `/usr/lib/${triplets[process.arch] ?? process.arch}/${name}`;
}

/**
 * Why something cannot run here, to stand in the names of tests that are skipped; `undefined` when it can. In CI, where
 * .ci/set-up.mjs installs all, nothing may be missing.
 *
 * @throws Error in CI
 */
export function whatIsMissing(needs: readonly Need[], further?: string): string | undefined {
  const packages = needs.filter(({ what }) => !isThere(what)).map((need) => need.package);
  const install = `not installed (Debian: ${[...new Set(packages)].join(' ')})`;
  const reason = process.platform === 'linux' ? (packages.length > 0 ? install : further) : 'runs on Linux only';
  if (reason !== undefined && process.env['CI'] === 'true') throw new Error(`in CI all modules are tested: ${reason}`);
  return reason;
}

function isThere(what: string): boolean {
  const paths = what.startsWith('/') ? [what] : programFolders.map((folder) => join(folder, what));
  return paths.some((path) => existsSync(path) && (what.startsWith('/') || canRun(path)));
}

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface ProgramOptions {
  readonly environment?: Variables;
  readonly cwd?: string;
}

/** Runs a program to its end and gives what it printed. @throws Error with what it said, when it failed */
export function runProgram(words: readonly string[], options: ProgramOptions = {}): string {
  const { status, stdout, stderr, error } = tryProgram(words, options);
  if (status === 0) return stdout;
  throw new Error(`${words.join(' ')}: ${error?.message ?? `exit code ${String(status)}`}\n${stdout}${stderr}`);
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly error?: Error | undefined;
}

function tryProgram([program = '', ...words]: readonly string[], { environment, cwd }: ProgramOptions): Ended {
  return spawnSync(program, words, {
    encoding: 'utf8',
    env: withPrograms(environment),
    timeout: 60_000,
    ...(cwd === undefined ? {} : { cwd }),
  });
}

/** Daemons are in folders that not everybody searches. */
function withPrograms(environment: Variables = {}): NodeJS.ProcessEnv {
  return { ...process.env, PATH: [...new Set(programFolders)].join(delimiter), ...environment };
}

/** Runs a program until it succeeds: the daemon behind it may still be starting. */
export async function runUntilDone(words: readonly string[], options: ProgramOptions = {}): Promise<void> {
  const end = Date.now() + 60_000;
  while (tryProgram(words, options).status !== 0) {
    if (Date.now() > end) runProgram(words, options);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A program that runs until it is ended. */
export interface Daemon {
  readonly child: ChildProcess;
  readonly processId: number;
  end(): Promise<void>;
}

/**
 * Starts a program that ends with this process at the latest, however this process ends.
 *
 * @param log where its output goes.
 * @throws Error when it could not be started
 */
export function startDaemon(words: readonly string[], log: string, options: ProgramOptions = {}): Daemon {
  const output = openSync(log, 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...words], {
    env: withPrograms(options.environment),
    stdio: ['ignore', output, output],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  closeSync(output);
  const exited = once(child, 'exit');
  if (child.pid === undefined) {
    exited.catch(() => undefined);
    throw new Error(`${words.join(' ')} could not be started by setpriv (Debian: util-linux)`);
  }
  return {
    child,
    processId: child.pid,
    end: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const patience = setTimeout(() => child.kill('SIGKILL'), 5_000);
      child.kill('SIGTERM');
      await exited;
      clearTimeout(patience);
    },
  };
}

/** Waits for what must happen, on a machine of any speed. @throws Error after a minute, or when the daemon ended */
export async function waitFor(
  what: string,
  condition: () => boolean | Promise<boolean>,
  daemon?: Daemon,
): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await condition())) {
    const ended = daemon !== undefined && (daemon.child.exitCode !== null || daemon.child.signalCode !== null);
    if (ended || Date.now() > end) throw new Error(`${what}: ${ended ? 'the program ended' : 'not within a minute'}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
