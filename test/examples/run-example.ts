import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

/** The root of the repository. */
export const root: string = fileURLToPath(new URL('../..', import.meta.url));

/** How a program ended, and what it printed. */
export interface ProgramRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** How long it took, in milliseconds. */
  readonly took: number;
  /** The files and folders that it left in its temporary folder. */
  readonly leftBehind: readonly string[];
}

export interface ProgramSettings {
  /** Beside the environment of the tests, without what chooses a token there. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What the program reads from standard input. */
  readonly input?: string;
  readonly directory?: string;
}

/** Runs an example by the beginning of its name, e.g. `02`, as `node examples/02-….mjs` does. */
export async function runExample(
  number: string,
  words: readonly string[] = [],
  settings: ProgramSettings = {},
): Promise<ProgramRun> {
  const name = readdirSync(join(root, 'examples')).find((file) => file.startsWith(`${number}-`));
  if (name === undefined) throw new Error(`there is no example ${number}`);
  return runNode([join(root, 'examples', name), ...words], settings);
}

/** Runs node with a temporary folder of its own, and looks what is left in it. */
export async function runNode(words: readonly string[], settings: ProgramSettings = {}): Promise<ProgramRun> {
  const temporary = mkdtempSync(join(tmpdir(), 'etoken-bridge-run-'));
  try {
    const started = performance.now();
    const child = spawn(process.execPath, words, {
      cwd: settings.directory ?? root,
      env: { ...inheritedEnvironment(), ...settings.environment, TMPDIR: temporary },
    });
    child.stdin.end(settings.input ?? '');
    const exit = new Promise<number | null>((resolve, reject) => child.once('close', resolve).once('error', reject));
    const [exitCode, stdout, stderr] = await Promise.all([exit, text(child.stdout), text(child.stderr)]);
    return { exitCode, stdout, stderr, took: performance.now() - started, leftBehind: readdirSync(temporary) };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function inheritedEnvironment(): NodeJS.ProcessEnv {
  const foreign = /^(ETOKEN_BRIDGE_|SOFTHSM2_CONF$|NODE_OPTIONS$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

/** A folder that is gone when the tests of the file are done. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'etoken-bridge-examples-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
