import { sharedTime, type Call, type CallRecord } from './call-record.js';

const defaultCallTimeout = 10_000;
const defaultInteractionTimeout = 60_000;
/** Node.js itself may take this long to start on a busy machine, in milliseconds. */
const startTimeout = 30_000;
/** Finalising hangs in some libraries, and nothing is lost when it is cut short. In milliseconds. */
const closeTimeout = 2_000;
/** Calls that may wait for a person. */
const interactive: readonly string[] = ['C_Login', 'C_Sign', 'C_SetPIN'];
/** How much longer a PIN may take that is typed at the keys of a reader. */
const readerTimes = 3;
const closing: readonly string[] = ['C_CloseAllSessions', 'C_Finalize'];

/** How long calls may take, in milliseconds; see TokenHostOptions. */
export interface Limits {
  readonly callTimeout?: number;
  readonly interactionTimeout?: number;
}

/** What took longer than it may. */
export interface Overdue {
  /** The call that is being made; `undefined` when the host itself does not answer. */
  readonly call: Call | undefined;
  /** In milliseconds. */
  readonly limit: number;
}

/** What the host is asked meanwhile. */
export interface Circumstances {
  /** Whether a PIN is entered at the reader. */
  readonly isAtReader: () => boolean;
  /** Whether it is to let go of the module; one that is only started anew is finalised too, and used after it. */
  readonly isClosing: () => boolean;
}

/** Watches, while a host is asked something, that no call takes too long. */
export class HostLimits {
  readonly #record: CallRecord;
  readonly #circumstances: Circumstances;
  readonly #expired: (overdue: Overdue) => void;
  #callTimeout = defaultCallTimeout;
  #interactionTimeout = defaultInteractionTimeout;
  /** When the host last answered, and when it was last asked something while it had nothing to do: shared time. */
  #heard = 0;
  #asked = 0;
  #isAsked = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(record: CallRecord, circumstances: Circumstances, expired: (overdue: Overdue) => void) {
    this.#record = record;
    this.#circumstances = circumstances;
    this.#expired = expired;
  }

  set({ callTimeout = defaultCallTimeout, interactionTimeout = defaultInteractionTimeout }: Limits): void {
    this.#callTimeout = callTimeout;
    this.#interactionTimeout = interactionTimeout;
  }

  /** The host is asked something. */
  ask(): void {
    if (!this.#isAsked) this.#asked = sharedTime();
    this.#isAsked = true;
    this.#watch();
  }

  /** The host answered something. */
  hear(): void {
    this.#heard = sharedTime();
  }

  /** Nothing is outstanding. */
  rest(): void {
    this.#isAsked = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** What is waited for: the call that has run longest, or the host itself. */
  #longest(): Overdue & { readonly left: number } {
    const calls = this.#record.read();
    const call = calls?.[0];
    const unknown = calls === undefined ? this.#interactionTimeout : this.#callTimeout;
    const limit = call === undefined ? Math.max(startTimeout, unknown) : this.#limitOf(call.functionName);
    const since = Math.max(call?.since ?? this.#heard, this.#asked);
    return { call, limit, left: since + limit - sharedTime() };
  }

  /** How long a call may take, in milliseconds. */
  #limitOf(functionName: string): number {
    if (closing.includes(functionName) && this.#circumstances.isClosing())
      return Math.min(closeTimeout, this.#callTimeout);
    if (!interactive.includes(functionName)) return this.#callTimeout;
    return this.#interactionTimeout * (this.#circumstances.isAtReader() ? readerTimes : 1);
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
    if (!this.#isAsked) return;
    const { call, limit, left } = this.#longest();
    if (left > 0) this.#watch(left);
    else this.#expired({ call, limit });
  }
}
