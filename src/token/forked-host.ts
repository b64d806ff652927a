import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { DeviceError } from '../errors.js';
import { CallRecord } from './call-record.js';
import type { TokenHost, TokenHostOptions } from './host-client.js';
import { HostLimits } from './host-limits.js';
import type { HostExchange, HostFailure, HostReply, HostRequestKind } from './host-protocol.js';
import { crashError, describeEnd, HostTail, timeoutError, type LastRequest } from './host-words.js';
import type { Environment } from './modules.js';
import { Pin, pinVariable, signaturePinVariable } from './pin.js';
import { killTree } from './process-tree.js';

/** How long the last messages of a host that ended are waited for, in milliseconds. */
const lastWordsTimeout = 200;

/** Hosts that run; the process must not end without them. */
const running = new Set<ChildProcess>();

function killRunning(): void {
  for (const child of running) killHost(child);
}

/** A host that ended is not looked up any more: its number may be another's by now. */
function killHost(child: ChildProcess): void {
  if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) killTree(child.pid);
}

interface Waiting {
  readonly kind: HostRequestKind;
  readonly subject: string;
  /** A PIN is entered at the reader meanwhile. */
  readonly atReader: boolean;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: DeviceError) => void;
}

/** A token host as a child process of Node.js. */
export class ForkedHost implements TokenHost {
  modulePath: string;
  readonly #child: ChildProcess;
  readonly #pinVariables: readonly string[];
  readonly #waiting = new Map<number, Waiting>();
  readonly #record = new CallRecord();
  readonly #limits: HostLimits;
  readonly #tail = new HostTail();
  readonly #exited: Promise<void>;
  #nextId = 1;
  /** Why no more requests are taken. */
  #failure: DeviceError | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: TokenHostOptions) {
    this.modulePath = options.modulePath;
    this.#pinVariables = options.pinVariables ?? [];
    this.#limits = new HostLimits(
      this.#record,
      {
        isAtReader: () => this.#lastRequest().atReader,
        isClosing: () => this.#waiting.values().next().value?.kind === 'close',
      },
      (overdue) => this.#stop(timeoutError(overdue, this.#lastRequest())),
    );
    this.#limits.set(options);
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
    this.#limits.set(options);
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
      if (this.#waiting.size === 0) this.#keepAlive(true);
      const atReader = Object.values(ask).some((value) => value instanceof Pin && value.reveal() === '');
      this.#waiting.set(id, { kind, subject, atReader, resolve, reject });
      this.#limits.ask();
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

  kill(): void {
    this.#stop(new DeviceError('function-failed', `the module ${this.modulePath} was let go of`));
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
    this.#tail.forgetPins();
  }

  /** The request as it is sent: here, and only here, a PIN becomes text. */
  #reveal(ask: object): object {
    const entries = Object.entries(ask).map(([name, value]: [string, unknown]) => {
      if (!(value instanceof Pin)) return [name, value] as const;
      this.#tail.hide(value);
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
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#tail.add(text));
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
    this.#limits.hear();
    const waiting = this.#waiting.get(reply.id);
    if (waiting === undefined) return;
    this.#waiting.delete(reply.id);
    if (this.#waiting.size === 0) this.#rest();
    if ('answer' in reply) waiting.resolve(reply.answer as never);
    else this.#reject(waiting, reply.failure);
  }

  /** The words for failures are loaded only when there is one. */
  #reject({ subject, reject }: Waiting, failure: HostFailure): void {
    import('./device-failure.js').then(({ deviceError }) => {
      // What the library wrote before it failed may be read just after what the host says of the failure.
      setImmediate(() =>
        setImmediate(() => {
          reject(deviceError(failure, { modulePath: this.modulePath, subject, wrote: this.#tail.text }));
        }),
      );
    }, reject);
  }

  #crash(how: string): DeviceError {
    const [call] = this.#record.read() ?? [];
    return crashError(how, call, this.#tail.text, this.#lastRequest());
  }

  /** What the host is asked, for messages: one request after the other, so that the first is the one. */
  #lastRequest(): LastRequest {
    const { modulePath } = this;
    const all = [...this.#waiting.values()];
    const [first] = all;
    return {
      modulePath,
      subject: first?.subject ?? modulePath,
      pin: first?.kind === 'sign' ? 'signature' : 'user',
      atReader: all.some(({ atReader }) => atReader),
    };
  }

  /** The first failure counts; what follows from it, such as the end of a process that was killed, does not. */
  #stop(failure: DeviceError): void {
    this.#failure ??= failure;
    killHost(this.#child);
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
    this.#limits.rest();
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
}

/** The variables of this program that hold PINs, or say where they are. */
const pinNames = new RegExp(`^(${pinVariable}|${signaturePinVariable})`, 'i');

/** Without PINs, and without options that would change how the child starts. */
function hostEnvironment(environment: Environment, pinVariables: readonly string[]): NodeJS.ProcessEnv {
  const left = ['NODE_OPTIONS', ...pinVariables];
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !pinNames.test(name) && !left.includes(name)),
  );
}
