import type { DeviceError } from '../errors.js';
import { selectModules, withoutRepeats, type TokenAccess } from './module-hosts.js';
import { matchesToken, type TokenInfo } from './token-info.js';
import type { TokenUri } from './token-uri.js';
import { WatchedModule, type Reading } from './watched-module.js';

export interface WatchTokensOptions extends TokenAccess {
  /** Only tokens that this URI means, and only in its module. */
  readonly uri?: TokenUri;
  /** How long nothing is asked between two rounds, in milliseconds. */
  readonly interval: number;
  /** Ends the watch, also in the middle of a round. */
  readonly signal: AbortSignal;
  /** Unless given, the time of this machine. */
  readonly now?: () => Date;
  /** A clock that never goes back, in milliseconds; `performance.now` unless given. */
  readonly clock?: () => number;
}

/** What a watch saw. */
export type TokenEvent = { readonly time: Date } & (
  | {
      /**
       * `present`: it was there when its module was read for the first time. `changed`: its label, flags or slot did.
       */
      readonly kind: 'present' | 'plugged-in' | 'pulled-out' | 'changed';
      readonly token: TokenInfo;
    }
  | {
      /** A module, or one slot of it, could not be asked. The tokens of both count as they were before. */
      readonly kind: 'module-failed';
      readonly modulePath: string;
      readonly error: DeviceError;
    }
  | { readonly kind: 'module-works'; readonly modulePath: string }
  | {
      /** A module shows no token, and this may be why. Each reason is told once. */
      readonly kind: 'no-tokens';
      readonly modulePath: string;
      readonly reason: string;
    }
);

type WithoutTime<Event> = Event extends { readonly time: Date } ? Omit<Event, 'time'> : never;
type Seen = WithoutTime<TokenEvent>;

/** A module that takes longer, in milliseconds, is waited for beside the others. */
const patience = 1_000;

/**
 * Tells which tokens are there, then each that is plugged in or pulled out, until the signal says stop. No PIN is asked
 * for and nothing is logged in to.
 *
 * The modules are asked in rounds, one after the other, because two that talk to the same card at the same moment
 * disturb each other; but none waits for one that is slow, or that failed before. Before each round a module is
 * finalised and initialised, because some notice tokens in no other way; one that hangs or crashes is ended, told as an
 * event, and tried again.
 *
 * @throws DeviceError `module-missing` and others, when there is nothing to watch
 */
export async function* watchTokenEvents(options: WatchTokensOptions): AsyncGenerator<TokenEvent, void, undefined> {
  const { signal, now = () => new Date() } = options;
  const stop = new AbortController();
  const events: Seen[] = [];
  let wake = (): void => undefined;
  let failure: { readonly reason: unknown } | undefined;
  const end = (): void => {
    stop.abort();
    wake();
  };
  signal.addEventListener('abort', end);
  if (signal.aborted) stop.abort();
  const isStopped = (): boolean => stop.signal.aborted;
  const rounds = new Rounds(options, stop.signal, (seen) => {
    events.push(...seen);
    wake();
  });
  rounds.run().catch((reason: unknown) => {
    failure = { reason };
    wake();
  });
  try {
    while (!isStopped()) {
      const event = events.shift();
      if (event !== undefined) yield { time: now(), ...event };
      else if (failure !== undefined) throw failure.reason;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    signal.removeEventListener('abort', end);
    stop.abort();
    rounds.end();
  }
}

/** The modules, and the tokens that are known of them. */
class Rounds {
  readonly #options: WatchTokensOptions;
  readonly #stop: AbortSignal;
  readonly #tell: (seen: readonly Seen[]) => void;
  readonly #modules: readonly WatchedModule[];
  readonly #reasons = new Set<string>();
  #known: readonly TokenInfo[] = [];
  #failure: { readonly reason: unknown } | undefined;

  constructor(options: WatchTokensOptions, stop: AbortSignal, tell: (seen: readonly Seen[]) => void) {
    this.#options = options;
    this.#stop = stop;
    this.#tell = tell;
    const clock = options.clock ?? ((): number => performance.now());
    this.#modules = selectModules(options, options.uri ?? {}).map(
      (module) => new WatchedModule(module, { ...options, clock }),
    );
  }

  /** Ends with the signal. */
  async run(): Promise<void> {
    while (!this.#isStopped()) {
      for (const module of this.#modules) {
        const answered = new AbortController();
        void this.#ask(module)
          .catch((reason: unknown) => (this.#failure = { reason }))
          .finally(() => answered.abort());
        await sleep(module.failed ? 0 : patience, this.#stop, answered.signal);
        if (this.#isStopped()) return;
        if (this.#failure !== undefined) throw this.#failure.reason;
      }
      await sleep(this.#options.interval, this.#stop);
    }
  }

  end(): void {
    for (const module of this.#modules) module.end();
  }

  #isStopped(): boolean {
    return this.#stop.aborted;
  }

  async #ask(module: WatchedModule): Promise<void> {
    const reading = await module.ask();
    // A module that was let go of in the middle of a call looks like one that failed.
    if (reading === undefined || this.#isStopped()) return;
    this.#tell([...eventsOf(module, reading), ...this.#compare(reading)]);
    for (const reason of await module.explainAbsence()) {
      if (!this.#reasons.has(reason)) this.#tell([{ kind: 'no-tokens', modulePath: module.path, reason }]);
      this.#reasons.add(reason);
    }
  }

  /** What is different from before, now that one module was read. */
  #compare({ isFirstOf }: Reading): readonly Seen[] {
    const { uri = {} } = this.#options;
    const all = this.#modules.flatMap(({ tokens }) => tokens.map((token) => ({ token })));
    const present = withoutRepeats(all)
      .map(({ token }) => token)
      .filter((token) => token.initialised && matchesToken(token, uri));
    const known = this.#known;
    const earlier = pairUp(known, present);
    const stayed = new Set(earlier.values());
    const events: Seen[] = [];
    for (const token of known) {
      if (!stayed.has(token) && !isShownElsewhere(token, present)) events.push({ kind: 'pulled-out', token });
    }
    for (const token of present) {
      const before = earlier.get(token);
      if (before !== undefined) {
        if (stateOf(before) !== stateOf(token)) events.push({ kind: 'changed', token });
      } else if (!isShownElsewhere(token, known)) {
        events.push({ kind: isFirstOf(token) ? 'present' : 'plugged-in', token });
      }
    }
    this.#known = present;
    return events;
  }
}

function eventsOf({ path }: WatchedModule, { failures, works }: Reading): readonly Seen[] {
  return [
    ...failures.map((error) => ({ kind: 'module-failed' as const, modulePath: path, error })),
    ...(works ? [{ kind: 'module-works' as const, modulePath: path }] : []),
  ];
}

/**
 * Which token of before each token is, within its module. Each counts once: OpenSC shows each PIN of a card as a token
 * of its own, with the same serial number. The surest pairs are made first, so that such tokens are not mixed up.
 */
function pairUp(known: readonly TokenInfo[], present: readonly TokenInfo[]): ReadonlyMap<TokenInfo, TokenInfo> {
  const pairs = new Map<TokenInfo, TokenInfo>();
  const left = new Set(known);
  for (const names of [['slotId', 'label'], ['label'], ['slotId']] as const) {
    for (const token of present.filter((one) => !pairs.has(one))) {
      const before = [...left].find(
        (other) => mayBeSame(token, other) && names.every((name) => token[name] === other[name]),
      );
      if (before === undefined) continue;
      pairs.set(token, before);
      left.delete(before);
    }
  }
  return pairs;
}

/** By what stays the same while a token is plugged in; one without a serial number has nothing but its slot. */
function mayBeSame(one: TokenInfo, other: TokenInfo): boolean {
  return (
    one.modulePath === other.modulePath &&
    one.serialNumber === other.serialNumber &&
    one.manufacturer === other.manufacturer &&
    one.model === other.model &&
    (hasSerialNumber(one) || one.slotId === other.slotId)
  );
}

/** Whether another module shows the token: it may give it names and slots of its own. */
function isShownElsewhere(token: TokenInfo, others: readonly TokenInfo[]): boolean {
  const { modulePath, serialNumber } = token;
  return (
    hasSerialNumber(token) &&
    others.some((other) => other.modulePath !== modulePath && other.serialNumber === serialNumber)
  );
}

/** Some software tokens have none, or zeros. */
function hasSerialNumber({ serialNumber }: TokenInfo): boolean {
  return !/^0*$/.test(serialNumber);
}

function stateOf({ label, flags, slotId }: TokenInfo): string {
  return JSON.stringify([label, flags, slotId]);
}

/** Ends with the first of the signals too, and leaves nothing behind on them. */
function sleep(milliseconds: number, ...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    for (const signal of signals) signal.addEventListener('abort', done);
    if (signals.some(({ aborted }) => aborted)) done();
  });
}
