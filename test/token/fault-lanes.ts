import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { plainEnvironment, program, snapshot, type Outcome } from '../cli/etoken-bridge.js';
import type { SoftTokens } from '../cli/soft-tokens.js';
import type { FaultShim } from '../fault-shim/build.js';
import { functionsOf, hangLimit, type FaultCase, type FaultyCommand } from './fault-cases.js';
import { waitUntil } from './soft-tokens.js';

/** What became of one case. */
export interface FaultOutcome extends Outcome {
  /** In milliseconds. */
  readonly took: number;
  /** How often the PIN was tried. */
  readonly logins: number;
  /** The files that are there afterwards and were not before, or are others. */
  readonly changed: readonly string[];
  /** What the command wrote, by its name: signed list or certificate. */
  readonly written: string | undefined;
  /** Processes that were left behind. */
  readonly left: readonly string[];
  /** The next run without a fault; `undefined` where the run itself succeeded. */
  readonly next: (Outcome & { readonly written: string | undefined }) | undefined;
}

/** A command that takes longer, in milliseconds, is killed: each has limits of its own, and ends before. */
const longest = 120_000;

const timestamp = '2026-01-01T00:00:00Z';

/**
 * A place where one case after the other is tried: tokens, rules and files of its own, because SoftHSM2 and the rules
 * are shared by all commands that have the same.
 */
export class FaultLane {
  readonly folder: string;
  readonly #work: string;
  readonly #shim: FaultShim;
  readonly #tokens: SoftTokens;
  readonly #environment: Readonly<Record<string, string>>;
  /** How often each command calls each function when nothing goes wrong. */
  #calls: ReadonlyMap<FaultyCommand, readonly string[]> = new Map();

  /** @param folder a new folder */
  constructor(folder: string, tokens: SoftTokens, shim: FaultShim) {
    this.folder = folder;
    this.#tokens = tokens;
    this.#work = join(folder, 'work');
    mkdirSync(this.#work, { recursive: true });
    cpSync(join(tokens.folder, 'softhsm/tokens'), join(folder, 'tokens'), { recursive: true });
    const configuration = join(folder, 'softhsm2.conf');
    writeFileSync(configuration, `directories.tokendir = ${join(folder, 'tokens')}\nlog.level = ERROR\n`);
    cpSync(join(tokens.folder, 'CTLFile.tlv'), join(this.#work, 'CTLFile.tlv'));
    this.#shim = shim.withOwnRules(folder);
    this.#environment = { SOFTHSM2_CONF: configuration, ...this.#shim.environment };
  }

  words(command: FaultyCommand): readonly string[] {
    const { first } = this.#tokens;
    const token = ['--module', this.#shim.module, '--token-serial', first.token.serialNumber];
    return command === 'token export'
      ? ['token', 'export', '--out', 'exported', ...token]
      : [
          'ctl',
          'sign',
          'CTLFile.tlv',
          '--out',
          'signed.tlv',
          '--timestamp',
          timestamp,
          ...token,
          '--pin-file',
          first.pinFile,
        ];
  }

  /** Runs both commands without a fault, to know what they write and which functions they call. */
  async learn(): Promise<ReadonlyMap<FaultyCommand, { readonly written: string; readonly calls: readonly string[] }>> {
    const learnt = new Map<FaultyCommand, { readonly written: string; readonly calls: readonly string[] }>();
    for (const command of Object.keys(functionsOf) as FaultyCommand[]) {
      this.#shim.takeCalls();
      const { status, stderr, written } = await this.#runAndTake(command);
      if (status !== 0 || written === undefined) throw new Error(`${command} fails without a fault: ${stderr}`);
      learnt.set(command, { written, calls: this.#shim.takeCalls() });
    }
    this.#calls = new Map([...learnt].map(([command, { calls }]) => [command, calls]));
    return learnt;
  }

  async try(one: FaultCase): Promise<FaultOutcome> {
    const { command, functionName, kind, exitCode } = one;
    const before = this.files();
    this.#shim.setRules(`${functionName} ${this.#nth(one)} ${one.action}`);
    this.#shim.takeCalls();
    const started = performance.now();
    const limit = kind === 'hang' ? { ETOKEN_BRIDGE_TOKEN_TIMEOUT: String(hangLimit) } : {};
    const outcome = await this.run(this.words(command), limit);
    const took = performance.now() - started;
    await waitUntil(() => this.processes().length === 0);
    const left = this.processes();
    const logins = this.#shim.takeCalls().filter((name) => name === 'C_Login').length;
    const written = this.#takeWritten();
    const after = this.files();
    const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
      (path) => before.get(path) !== after.get(path),
    );
    this.#shim.setRules();
    const next = exitCode === 0 ? undefined : await this.#runAndTake(command);
    return { ...outcome, took, logins, changed, written, left, next };
  }

  /** Starts a command here and waits for its end; one that does not end is killed, and has no status then. */
  async run(
    words: readonly string[],
    more: Readonly<Record<string, string>> = {},
    timeout = longest,
  ): Promise<Outcome> {
    const child = spawn(process.execPath, [program, ...words], {
      cwd: this.#work,
      env: plainEnvironment({ ...this.#environment, ...more }),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout,
      killSignal: 'SIGKILL',
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [status] = (await once(child, 'close')) as [number | null];
    return { status, stdout, stderr };
  }

  /** Every file that commands can change here, by its path. */
  files(): ReadonlyMap<string, string> {
    return snapshot(this.#work);
  }

  /** For rules by hand. */
  get shim(): FaultShim {
    return this.#shim;
  }

  /** The processes of the commands that run here, each with its arguments and its environment. */
  processes(): readonly string[] {
    if (!existsSync('/proc/self/environ')) return [];
    const mark = this.#shim.environment['FAULT_SHIM_RULES'] ?? '';
    return readdirSync('/proc').flatMap((name) => {
      if (!/^\d+$/.test(name)) return [];
      try {
        const environment = readFileSync(`/proc/${name}/environ`, 'latin1');
        return environment.includes(mark) ? [`${readFileSync(`/proc/${name}/cmdline`, 'latin1')}\n${environment}`] : [];
      } catch {
        // It ended meanwhile.
        return [];
      }
    });
  }

  #nth({ command, functionName, which }: FaultCase): string {
    if (which !== 'last') return which === 'first' ? '1' : '*';
    return String(this.#calls.get(command)?.filter((name) => name === functionName).length ?? 0);
  }

  async #runAndTake(command: FaultyCommand): Promise<Outcome & { readonly written: string | undefined }> {
    const outcome = await this.run(this.words(command));
    return { ...outcome, written: this.#takeWritten() };
  }

  /** What a command wrote as its result; the place is as before then. */
  #takeWritten(): string | undefined {
    const paths = ['signed.tlv', 'exported'].map((name) => join(this.#work, name)).filter((path) => existsSync(path));
    const [path] = paths;
    if (path === undefined) return undefined;
    const written = path.endsWith('.tlv')
      ? readFileSync(path, 'latin1')
      : readdirSync(path)
          .map((name) => readFileSync(join(path, name), 'latin1'))
          .join('');
    for (const one of paths) rmSync(one, { recursive: true });
    return written;
  }
}

/** Cases that are being tried. */
export interface Trials {
  /** What becomes of each; of one that is not begun when they are stopped, nothing. */
  readonly outcomes: ReadonlyMap<FaultCase, Promise<FaultOutcome>>;
  /** Begins no other case, and waits for those that were begun. */
  stop(): Promise<void>;
}

/** Tries the cases in their order, as many side by side as there are lanes; each has an outcome of its own to wait for. */
export function tryAll(lanes: readonly FaultLane[], cases: readonly FaultCase[]): Trials {
  const outcomes = new Map<FaultCase, Promise<FaultOutcome>>();
  const settle = new Map<FaultCase, (outcome: Promise<FaultOutcome>) => void>();
  for (const one of cases) outcomes.set(one, new Promise((resolve) => settle.set(one, resolve)));
  const waiting = [...cases];
  const work = async (lane: FaultLane): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      const outcome = lane.try(one);
      settle.get(one)?.(outcome);
      await outcome.catch(() => undefined);
    }
  };
  const ended = Promise.all(lanes.map(work));
  return {
    outcomes,
    stop: async () => {
      waiting.length = 0;
      await ended;
    },
  };
}
