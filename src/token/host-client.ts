import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { DeviceError } from '../errors.js';
import { CallRecord, sharedTime, type Call } from './call-record.js';
import type { HostExchange, HostFailure, HostReply, HostRequestKind } from './host-protocol.js';
import type { Environment } from './modules.js';
import { Pin, pinVariable } from './pin.js';

/** How a token host is started. */
export interface TokenHostOptions {
  readonly modulePath: string;
  /** How long one PKCS#11 call may take, in milliseconds: 10,000 unless given. */
  readonly callTimeout?: number;
  /** The same for calls that may wait for a person, C_Login and C_Sign: 60,000 unless given. */
  readonly interactionTimeout?: number;
  /** The environment of the module; that of this process unless given. Variables that hold PINs are left out. */
  readonly environment?: Environment;
  /** More variables that hold PINs. */
  readonly pinVariables?: readonly string[];
}

/**
 * A child process that holds one PKCS#11 module. It does one request after the other, whoever asks. It is killed when a
 * call outlives its limit; then, and when the library crashes, every request fails, and so does every later one.
 */
export interface TokenHost {
  readonly modulePath: string;
  /** The child's process id; `undefined` when it could not be started. */
  readonly processId: number | undefined;
  /**
   * @param subject words that a message of a failure begins with, such as the name of the token.
   * @throws DeviceError
   */
  request<Kind extends HostRequestKind>(
    kind: Kind,
    ask: HostExchange<Pin>[Kind]['ask'],
    subject?: string,
  ): Promise<HostExchange<Pin>[Kind]['answer']>;
  /** Ends the sessions, finalises the module and ends the process. It never fails: what matters was answered before. */
  close(): Promise<void>;
}

const defaultCallTimeout = 10_000;
const defaultInteractionTimeout = 60_000;
/** Node.js itself may take this long to start on a busy machine, in milliseconds. */
const startTimeout = 30_000;
/** Finalising hangs in some libraries, and nothing is lost when it is cut short. In milliseconds. */
const closeTimeout = 2_000;
/** How long the last messages of a host that ended are waited for, in milliseconds. */
const lastWordsTimeout = 200;
/** How much of what the library writes to its standard error is kept, in characters. */
const tailLength = 1_000;
const crashSignals: readonly string[] = ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP'];
const interactive: readonly string[] = ['C_Login', 'C_Sign'];
const closing: readonly string[] = ['C_CloseAllSessions', 'C_Finalize'];

/** Hosts that run; the process must not end without them. */
const running = new Set<ChildProcess>();

function killRunning(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Starts a token host. It returns at once: what fails, also at the start, fails the first request. */
export function openTokenHost(options: TokenHostOptions): TokenHost {
  const host = prepared?.takes(options) === true ? prepared : undefined;
  if (host === undefined) return new ForkedHost(options);
  prepared = undefined;
  host.assign(options);
  return host;
}

/** A host that was started ahead and has no module yet. */
let prepared: ForkedHost | undefined;

/**
 * Starts a host before it is known for which module: Node.js takes its time to start, and the caller has files to read
 * meanwhile. The next host that is opened with this process's environment is this one. One that nobody opens ends with
 * this process.
 *
 * @param pinVariables variables that hold PINs, to be left out of its environment.
 */
export function prepareTokenHost(pinVariables: readonly string[] = []): void {
  prepared ??= new ForkedHost({ modulePath: 'a token host', pinVariables });
}

interface Waiting {
  readonly subject: string;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: DeviceError) => void;
}

class ForkedHost implements TokenHost {
  modulePath: string;
  readonly #child: ChildProcess;
  readonly #pinVariables: readonly string[];
  #callTimeout: number;
  #interactionTimeout: number;
  readonly #waiting = new Map<number, Waiting>();
  readonly #pins = new Set<Pin>();
  readonly #record = new CallRecord();
  readonly #exited: Promise<void>;
  #nextId = 1;
  /** When the host last answered, and when it was last asked something while it had nothing to do: shared time. */
  #heard = 0;
  #asked = 0;
  #timer: NodeJS.Timeout | undefined;
  #tail = '';
  /** Why no more requests are taken. */
  #failure: DeviceError | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: TokenHostOptions) {
    this.modulePath = options.modulePath;
    this.#pinVariables = options.pinVariables ?? [];
    this.#callTimeout = options.callTimeout ?? defaultCallTimeout;
    this.#interactionTimeout = options.interactionTimeout ?? defaultInteractionTimeout;
    this.#child = fork(fileURLToPath(new URL('./host-process.js', import.meta.url)), [], {
      serialization: 'advanced',
      // Libraries of vendors print; what they print is not the output of the command.
      stdio: ['ignore', 'ignore', 'pipe', 'ipc', this.#record.descriptor],
      execArgv: [],
      env: hostEnvironment(options.environment ?? process.env, options.pinVariables ?? []),
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      this.#child.once('error', () => resolve());
    });
    this.#listen();
    this.#keepAlive(false);
  }

  /** Whether a host that has no module yet can become the one that is asked for. */
  takes({ environment, pinVariables = [] }: TokenHostOptions): boolean {
    const hides = pinVariables.every((name) => this.#pinVariables.includes(name));
    return environment === undefined && hides && this.#failure === undefined;
  }

  /** Gives a host that has no module yet its module and limits. */
  assign(options: TokenHostOptions): void {
    this.modulePath = options.modulePath;
    this.#callTimeout = options.callTimeout ?? defaultCallTimeout;
    this.#interactionTimeout = options.interactionTimeout ?? defaultInteractionTimeout;
  }

  get processId(): number | undefined {
    return this.#child.pid;
  }

  request<Kind extends HostRequestKind>(
    kind: Kind,
    ask: HostExchange<Pin>[Kind]['ask'],
    subject: string = this.modulePath,
  ): Promise<HostExchange<Pin>[Kind]['answer']> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) {
        this.#asked = sharedTime();
        this.#keepAlive(true);
      }
      this.#waiting.set(id, { subject, resolve, reject });
      this.#watch();
      this.#child.send({ id, kind, ...this.#reveal(ask) }, (error) => {
        // The channel is gone; 'exit' or 'error' tells why, and may have told already.
        if (error !== null && this.#failure !== undefined) this.#fail(this.#failure);
      });
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    try {
      await this.request('close', {});
    } catch {
      // A library that fails or hangs here has nothing left to lose.
    }
    this.#failure ??= new DeviceError('function-failed', `the module ${this.modulePath} was closed before`);
    this.#keepAlive(true);
    this.#child.kill('SIGKILL');
    await this.#exited;
    this.#pins.clear();
  }

  /** The request as it is sent: here, and only here, a PIN becomes text. */
  #reveal(ask: object): object {
    const entries = Object.entries(ask).map(([name, value]: [string, unknown]) => {
      if (!(value instanceof Pin)) return [name, value] as const;
      this.#pins.add(value);
      return [name, value.reveal()] as const;
    });
    return Object.fromEntries(entries);
  }

  #listen(): void {
    const child = this.#child;
    if (running.size === 0) process.on('exit', killRunning);
    running.add(child);
    child.on('message', (reply) => this.#receive(reply as HostReply));
    child.on('error', (error) => {
      const what = child.pid === undefined ? 'cannot be started' : 'does not answer';
      this.#stop(this.#crash(`${what}: ${error.message}`));
      if (child.pid === undefined) this.#record.close();
    });
    child.once('exit', (code, signal) => {
      running.delete(child);
      if (running.size === 0) process.off('exit', killRunning);
      this.#afterLastWords(() => {
        this.#stop(this.#crash(describeEnd(code, signal)));
        this.#record.close();
      });
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#tail = this.#redact(this.#tail + text).slice(-tailLength);
    });
  }

  /**
   * Waits until everything has been read that the host sent and wrote before it ended, but not for long: what the
   * library itself started may hold the other ends open.
   */
  #afterLastWords(then: () => void): void {
    let open = this.#child.channel == null ? 1 : 2;
    const timer = setTimeout(then, lastWordsTimeout);
    if (this.#waiting.size === 0) timer.unref();
    const closed = (): void => {
      open -= 1;
      if (open > 0) return;
      clearTimeout(timer);
      then();
    };
    this.#child.once('disconnect', closed);
    this.#child.once('close', closed);
  }

  #receive(reply: HostReply): void {
    this.#heard = sharedTime();
    const waiting = this.#waiting.get(reply.id);
    if (waiting === undefined) return;
    this.#waiting.delete(reply.id);
    if (this.#waiting.size === 0) this.#rest();
    if ('answer' in reply) waiting.resolve(reply.answer as never);
    else this.#reject(waiting, reply.failure);
  }

  /** The words for failures are loaded only when there is one. */
  #reject({ subject, reject }: Waiting, failure: HostFailure): void {
    import('./device-failure.js').then(
      ({ deviceError }) => reject(deviceError(failure, { modulePath: this.modulePath, subject })),
      reject,
    );
  }

  /** What is waited for: the call that has run longest, or the host itself. */
  #longest(): { readonly call: Call | undefined; readonly limit: number; readonly left: number } {
    const calls = this.#record.read();
    const call = calls?.[0];
    const unknown = calls === undefined ? this.#interactionTimeout : this.#callTimeout;
    const limit = call === undefined ? Math.max(startTimeout, unknown) : this.#limitOf(call.functionName);
    const since = Math.max(call?.since ?? this.#heard, this.#asked);
    return { call, limit, left: since + limit - sharedTime() };
  }

  /** How long a call may take, in milliseconds. */
  #limitOf(functionName: string): number {
    if (closing.includes(functionName)) return Math.min(closeTimeout, this.#callTimeout);
    return interactive.includes(functionName) ? this.#interactionTimeout : this.#callTimeout;
  }

  /** Looks again when something may have taken too long. @param left not before that, in milliseconds. */
  #watch(left: number = this.#callTimeout): void {
    if (this.#timer !== undefined) return;
    const shortest = Math.min(left, this.#callTimeout, this.#interactionTimeout, closeTimeout);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // If it was this process that was busy, the answer is there, and is read before the limit is looked at.
      setImmediate(() => setImmediate(() => this.#expire()));
    }, shortest + 1);
  }

  #expire(): void {
    if (this.#waiting.size === 0) return;
    const { call, limit, left } = this.#longest();
    if (left > 0) {
      this.#watch(left);
      return;
    }
    const [first] = this.#waiting.values();
    const subject = first?.subject ?? this.modulePath;
    const time = limit < 1000 ? `${limit} ms` : `${Math.round(limit / 100) / 10} s`;
    this.#stop(
      new DeviceError(
        'timeout',
        `${subject}: no answer within ${time}; the process that holds the token was ended`,
        call === undefined ? {} : { functionName: call.functionName },
        { hint: 'unplug the token and plug it in again; if it waits for a touch or a PIN at the reader, be quicker' },
      ),
    );
  }

  #crash(how: string): DeviceError {
    const [call] = this.#record.read() ?? [];
    const said = this.#tail.trim();
    const wrote = said === '' ? '' : `; it wrote: ${said.replaceAll(/\s+/g, ' ')}`;
    return new DeviceError(
      'host-crashed',
      `the process that holds ${this.modulePath} ${how}${wrote}`,
      call === undefined ? {} : { functionName: call.functionName },
      { hint: 'repeat the command; if it happens again, update the software of the token vendor' },
    );
  }

  /** The first failure counts; what follows from it, such as the end of a process that was killed, does not. */
  #stop(failure: DeviceError): void {
    this.#failure ??= failure;
    this.#child.kill('SIGKILL');
    this.#fail(this.#failure);
  }

  #fail(failure: DeviceError): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#rest();
    for (const { reject } of waiting) reject(failure);
  }

  /** Nothing is outstanding. */
  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#keepAlive(false);
  }

  /** A host with nothing to do must not keep a program from ending that forgot to close it. */
  #keepAlive(wanted: boolean): void {
    const child = this.#child;
    // The pipe is a socket, which can be let go like the others.
    const stderr = child.stderr as { ref(): unknown; unref(): unknown } | null;
    for (const one of [child, child.channel, stderr]) {
      if (wanted) one?.ref();
      else one?.unref();
    }
  }

  #redact(text: string): string {
    let shown = text;
    for (const pin of this.#pins) {
      const value = pin.reveal();
      if (value === '') continue;
      const hex = Buffer.from(value).toString('hex');
      shown = shown.replaceAll(value, String(pin)).replaceAll(new RegExp(hex, 'gi'), String(pin));
    }
    // Control characters could change what a terminal shows.
    return shown.replaceAll(/[\x00-\x08\x0b-\x1f\x7f]/g, '');
  }
}

/** Without PINs, and without options that would change how the child starts. */
function hostEnvironment(environment: Environment, pinVariables: readonly string[]): NodeJS.ProcessEnv {
  const left = ['NODE_OPTIONS', ...pinVariables];
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !name.toUpperCase().startsWith(pinVariable) && !left.includes(name)),
  );
}

function describeEnd(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === null) return `ended with code ${code ?? 'unknown'}`;
  return crashSignals.includes(signal) ? `crashed (${signal})` : `was ended from outside (${signal})`;
}
