import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { makeTemporaryFolder } from '../temporary-folders.js';

export const root: string = fileURLToPath(new URL('../../', import.meta.url));

const packageFile = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
};

export const version: string = packageFile.version;

/** The built command, as npm installs it. */
export const program: string = join(root, packageFile.bin['etoken-bridge'] ?? '');

/** How one command ended, and what it printed. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  /** Added to the environment of the tests, which names no token and no PIN. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  /** Another copy of the command. */
  readonly program?: string;
}

/** The environment of the tests without what would change a command: tokens, PINs, colours, options of Node. */
export function plainEnvironment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(ETOKEN_BRIDGE_.*|SOFTHSM2_.*|NODE_OPTIONS|NO_COLOR|FORCE_COLOR|CI|PKCS11SPY)$/.test(name),
  );
  return { ...Object.fromEntries(kept), ...more };
}

/** Runs the command with these words, as a process of its own, and waits for its end. */
export function run(words: readonly string[], options: RunOptions = {}): Outcome {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [options.program ?? program, ...words], {
    encoding: 'utf8',
    env: plainEnvironment(options.env),
    timeout: 60_000,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.input === undefined ? {} : { input: options.input }),
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/** The one JSON document on standard output. */
export function jsonOf({ stdout }: Outcome): object {
  return JSON.parse(stdout) as object;
}

/** What a failure must look like: nothing on standard output, an error, a hint where one is expected, and no stack. */
export function expectFailure(outcome: Outcome, status: number, error: RegExp | string, hint?: RegExp | string): void {
  expect(outcome.stderr).toMatch(/^(warning: .*\n)*error: /);
  expect(outcome.stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
  expect(outcome.stderr).toMatch(error instanceof RegExp ? error : escaped(error));
  if (hint !== undefined) {
    const text = outcome.stderr.slice(outcome.stderr.indexOf('hint: '));
    expect(text).toMatch(/^hint: /);
    expect(text).toMatch(hint instanceof RegExp ? hint : escaped(hint));
  }
  expect(outcome.stdout).toBe('');
  expect(outcome.status).toBe(status);
}

function escaped(text: string): RegExp {
  return new RegExp(text.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`));
}

/** The words that make a practice cluster of one node in a folder. */
export function initOneNode(folder: string): readonly string[] {
  return ['cluster', 'init', folder, '--lab', '--key-bits', '1024', '--node', 'cucm-pub,10.48.47.153', '-q'];
}

/** A folder that is gone when the tests of the file are done. */
export function temporaryFolder(): string {
  return makeTemporaryFolder('etoken-bridge-cli-');
}

/** Every file below a folder with its content, to tell whether anything changed. */
export function snapshot(folder: string): ReadonlyMap<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.sort().map((path) => [path, readFileSync(path, 'latin1')]));
}

/** Whether this machine lets a test mount a small file system of its own. */
export const canMount: boolean = process.getuid?.() === 0 && spawnSync('unshare', ['-m', 'true']).status === 0;
