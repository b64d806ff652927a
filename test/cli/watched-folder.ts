import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { decodeSignedFile, verifySignedFile } from '../../src/signed-file/index.js';
import type { Certificate } from '../../src/x509/index.js';
import { plainEnvironment, program } from './etoken-bridge.js';

/** One line of `file watch --json`. */
export interface WatchLine {
  readonly time: string;
  readonly event: string;
  readonly file?: string;
  readonly [key: string]: unknown;
}

/** `file watch` that runs as a process of its own. */
export interface Watcher {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly lines: () => readonly WatchLine[];
  readonly log: () => string;
  /** Waits until a line of this kind was printed so many times. */
  readonly told: (event: string, file?: string, times?: number) => Promise<void>;
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>;
}

/** Waits long: machines under load are slow. */
export async function until(isSo: () => boolean, what: () => string): Promise<void> {
  for (const started = Date.now(); !isSo();) {
    if (Date.now() - started > 45_000) throw new Error(what());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Starts `file watch` and waits until it watches; it is ended with the test at the latest. */
export async function startWatch(
  folder: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Watcher> {
  const child = spawn(process.execPath, [program, 'file', 'watch', folder, '--json', ...words], {
    env: plainEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let out = '';
  let log = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const lines = (): readonly WatchLine[] =>
    out
      .slice(0, out.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as WatchLine);
  const told = async (event: string, file?: string, times = 1): Promise<void> => {
    const count = (): number =>
      lines().filter((line) => line.event === event && (file === undefined || line.file === file)).length;
    await until(
      () => count() >= times || child.exitCode !== null,
      () => `${event} ${file ?? ''} was not told ${String(times)} times:\n${out}${log}`,
    );
    if (count() < times) throw new Error(`it ended before ${event} ${file ?? ''}:\n${out}${log}`);
  };
  const stop = (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    child.kill(signal);
    return ended;
  };
  await told('watching');
  return { child, ended, lines, log: () => log, told, stop };
}

/** The content of a signed file, which must be whole, and signed by this signer. */
export function signedContent(path: string, certificate: Certificate): string {
  const file = decodeSignedFile(new Uint8Array(readFileSync(path)));
  if (!verifySignedFile(file, certificate)) throw new Error(`${path} does not verify`);
  return Buffer.from(file.content).toString();
}

/** Waits until a file is signed with this content. */
export async function untilSigned(
  folder: string,
  name: string,
  content: string,
  certificate: Certificate,
): Promise<void> {
  const path = join(folder, `${name}.sgn`);
  await until(
    () => existsSync(path) && signedContent(path, certificate) === content,
    () => `${name} was not signed`,
  );
}
