import { DeviceError } from '../errors.js';
import { explainAbsentTokens } from './absent-tokens.js';
import { deviceError } from './device-failure.js';
import type { TokenHost } from './host-client.js';
import type { HostFailure } from './host-protocol.js';
import { moduleToOpen, openHost, pinVariablesOf, slotOf, type TokenAccess } from './module-hosts.js';
import type { ModuleCandidate } from './modules.js';
import { nameToken, tokenInfo, type TokenInfo } from './token-info.js';
import type { TokenUri } from './token-uri.js';

/** How a module is watched: see `WatchTokensOptions`. */
export interface WatchedModuleOptions extends TokenAccess {
  readonly uri?: TokenUri;
  readonly interval: number;
  readonly clock: () => number;
}

/** What one reading of a module brought to light. */
export interface Reading {
  /** What failed and did not fail in the same way the last time. */
  readonly failures: readonly DeviceError[];
  /** Whether all is well again that failed the last time. */
  readonly works: boolean;
  /** Whether a token was there before: its slot could not be read since the watch began. */
  readonly isFirstOf: (token: TokenInfo) => boolean;
}

/** What went wrong, by a name that tells whether it is the same as before. */
interface Trouble {
  readonly name: string;
  readonly functionName: string | undefined;
}

/** A module that fails is asked again after the interval, then after twice the time, up to this, in milliseconds. */
const longestWait = 60_000;

/** CKR_SLOT_ID_INVALID, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED: the token is not there. */
const tokenGone: readonly (number | undefined)[] = [0x3, 0x32, 0xe0, 0xe1];
const tokenNotRecognized = 0xe1;

/** One module, with what was last seen of it. */
export class WatchedModule {
  readonly #module: ModuleCandidate;
  readonly #options: WatchedModuleOptions;
  #host: TokenHost | undefined;
  #isAsked = false;
  #tokens: readonly TokenInfo[] = [];
  #wasRead = false;
  /** Slots that could not be read since the first reading. */
  #unread: readonly (number | undefined)[] = [];
  /** Slots that say that the token is gone which was in them. */
  #emptied: readonly (number | undefined)[] = [];
  /** What went wrong last time; told again only when it is something else. */
  #standing: readonly Trouble[] = [];
  #failures = 0;
  #notBefore = 0;
  #isExplained = false;

  constructor(module: ModuleCandidate, options: WatchedModuleOptions) {
    this.#module = module;
    this.#options = options;
  }

  get path(): string {
    return this.#module.path;
  }

  /** What counts as there: also what could not be read this time. */
  get tokens(): readonly TokenInfo[] {
    return this.#tokens;
  }

  /** Whether it could not be read the last time. */
  get failed(): boolean {
    return this.#failures > 0;
  }

  /** Asks the module, unless it is still being asked, or failed a moment ago: then there is no reading. */
  async ask(): Promise<Reading | undefined> {
    if (this.#isAsked || this.#options.clock() < this.#notBefore) return undefined;
    this.#isAsked = true;
    try {
      return await this.#read();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      // Whatever state it is in, a new process has none of it.
      this.end();
      this.#failures += 1;
      const wait = Math.min(this.#options.interval * 2 ** this.#failures, longestWait);
      this.#notBefore = this.#options.clock() + wait;
      return { ...this.#note([{ error }]), isFirstOf: () => false };
    } finally {
      this.#isAsked = false;
    }
  }

  /** Why it may show no token, each time that it begins to show none. */
  async explainAbsence(): Promise<readonly string[]> {
    const shows = this.#tokens.some(({ initialised }) => initialised);
    if (shows || this.#isExplained) {
      this.#isExplained = !shows;
      return [];
    }
    this.#isExplained = true;
    return explainAbsentTokens([this.#module], this.#options.environment);
  }

  end(): void {
    this.#host?.kill();
    this.#host = undefined;
  }

  async #read(): Promise<Reading> {
    const isNew = this.#host === undefined;
    this.#host ??= openHost(this.#module, this.#options, pinVariablesOf(this.#options.uri ?? {}));
    const { library, tokens, problems } = await this.#host.request('tokens', {
      ...moduleToOpen(this.#module),
      anew: true,
    });
    const before = this.#tokens;
    const unreadable = problems.filter(({ returnValue }) => !tokenGone.includes(returnValue));
    const slots = unreadable.map(({ slotId }) => slotId);
    const kept = before.filter(({ slotId }) => slots.includes(slotId));
    this.#tokens = [...tokens.map((token) => tokenInfo(token, library, this.path)), ...kept];
    const wasRead = this.#wasRead;
    const unread = this.#unread;
    this.#wasRead = true;
    this.#unread = wasRead ? unread.filter((slotId) => slots.includes(slotId)) : slots;
    this.#failures = 0;
    const failures = this.#failuresAmong(problems, before);
    const isFirstOf = ({ modulePath, slotId }: TokenInfo): boolean =>
      modulePath === this.path && (!wasRead || unread.includes(slotId));
    return { ...this.#note(failures, isNew), isFirstOf };
  }

  /** A token that is gone is told as such, and no failure. A card that is not recognised and never was is one. */
  #failuresAmong(
    problems: readonly HostFailure[],
    before: readonly TokenInfo[],
  ): readonly { readonly error: DeviceError; readonly slotId: number | undefined }[] {
    const held = [...this.#emptied, ...before.map(({ slotId }) => slotId)];
    const gone = problems.filter(({ returnValue }) => tokenGone.includes(returnValue));
    this.#emptied = gone.map(({ slotId }) => slotId).filter((slotId) => held.includes(slotId));
    return problems
      .filter(
        (problem) =>
          !gone.includes(problem) ||
          (problem.returnValue === tokenNotRecognized && !this.#emptied.includes(problem.slotId)),
      )
      .map((problem) => ({ error: this.#slotError(problem, before), slotId: problem.slotId }));
  }

  #slotError(problem: HostFailure, before: readonly TokenInfo[]): DeviceError {
    const token = before.find(({ slotId }) => slotId === problem.slotId);
    const subject = token === undefined ? slotOf(problem) : nameToken(token);
    return deviceError(problem, { modulePath: this.path, subject });
  }

  /**
   * Messages are not compared: a crash repeats what the library wrote, with times and process ids.
   *
   * @param isNew whether it was read in a new process, which begins without the C_Finalize that may have failed before.
   */
  #note(
    failures: readonly { readonly error: DeviceError; readonly slotId?: number | undefined }[],
    isNew = false,
  ): Pick<Reading, 'failures' | 'works'> {
    const before = this.#standing;
    const named = failures.map(({ error, slotId }) => {
      const { code, functionName, returnValue } = error;
      return { error, functionName, name: JSON.stringify([code, functionName, returnValue, slotId]) };
    });
    const untried = isNew ? before.filter(({ functionName }) => functionName === 'C_Finalize') : [];
    this.#standing = [...named, ...untried];
    const fresh = named.filter(({ name }) => !before.some((one) => one.name === name)).map(({ error }) => error);
    return { failures: fresh, works: before.length > 0 && this.#standing.length === 0 };
  }
}
