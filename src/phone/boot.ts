import type { TrustList } from '../trust-list/index.js';
import { bootFiles, missingTrustList, offerUnsignedConfiguration, type BootFile } from './boot-rules.js';
import type { Deciding, Decision, TvsQuestion, TvsReply } from './decision.js';
import { offerSignedFile, type DecryptFile } from './signed-file-rules.js';
import { setTvsServers, type PhoneState } from './state.js';
import { offerTrustList } from './trust-list-rules.js';

/** What a phone decided about one file. */
export interface FileDecision {
  readonly file: string;
  readonly decision: Decision;
}

/** What became of a phone that booted. */
export interface Boot {
  /** In the order in which it decided. */
  readonly decisions: readonly FileDecision[];
  /** Whether it has a configuration to work with, and so registers. */
  readonly registered: boolean;
}

/** What a booting phone asks for: a file of its TFTP server, or an answer of a TVS server. */
export type BootQuestion =
  | { readonly kind: 'file'; readonly name: string }
  | {
      readonly kind: 'tvs';
      readonly question: TvsQuestion;
      /** The phone that asks: its lists say which TVS server it believes (`acceptsTvsServer`). */
      readonly state: PhoneState;
    };

/** What it is given: `undefined` for a file that is not there. A list may come decoded, as `offerTrustList` takes it. */
export type BootReply =
  | { readonly kind: 'file'; readonly file: Uint8Array | TrustList | undefined }
  | { readonly kind: 'tvs'; readonly reply: TvsReply };

/** What happens while a phone boots. */
export type BootEvent =
  | { readonly kind: 'offered'; readonly list: 'ctl' | 'itl' }
  | {
      readonly kind: 'decided';
      readonly about: BootFile['kind'];
      readonly file: string;
      readonly decision: Decision;
      readonly state: PhoneState;
    };

/** How a phone boots. */
export interface BootRequest {
  /** Seconds since 1970-01-01 UTC. */
  readonly now: number;
  /** The TVS servers that a configuration names. */
  readonly readTvsServers: (configuration: Uint8Array) => readonly string[];
  /** Decrypts an encrypted configuration with the phone's own key; without it, that it decrypts is taken for granted. */
  readonly decrypt?: DecryptFile | undefined;
  /** Told what happens, as it happens. */
  readonly onEvent?: (event: BootEvent) => void;
}

/** The steps of a boot: it yields each question and is given its reply. */
export type Booting<T> = Generator<BootQuestion, T, BootReply>;

/**
 * A phone boots: CTL, ITL, configuration, each file as rule P1 says. Nothing is asked of TVS but what a decision needs.
 * Whoever runs the steps has the network, or foretells what it would answer.
 */
export function* bootPhone(state: PhoneState, request: BootRequest): Booting<Boot & { readonly state: PhoneState }> {
  const decisions: FileDecision[] = [];
  let present = state;
  const take = (about: BootFile['kind'], file: string, decided: Decided): void => {
    present = decided.state;
    decisions.push({ file, decision: decided.decision });
    request.onEvent?.({ kind: 'decided', about, file, ...decided });
  };
  for (const { kind, names } of bootFiles(state)) {
    if (kind !== 'ctl' && kind !== 'itl') continue;
    const found = yield* fetchFirst(names);
    if (found === undefined) {
      take(kind, names[0] ?? kind, missingTrustList(present, kind));
      continue;
    }
    request.onEvent?.({ kind: 'offered', list: kind });
    take(kind, found.name, yield* askThrough(present, offerTrustList(present, kind, found.file, request.now)));
  }
  // The lists that came decide which configurations are asked for.
  for (const { kind, names } of bootFiles(present)) {
    if (kind === 'ctl' || kind === 'itl') continue;
    const found = yield* fetchFirst(names);
    if (!(found?.file instanceof Uint8Array)) continue;
    take(kind, found.name, yield* offerConfiguration(present, kind, found.name, found.file, request));
    // A phone that may take its configuration unsigned has no list that could prove the signed one.
    if (decisions.at(-1)?.decision.accepted === true) return { decisions, registered: true, state: present };
  }
  return { decisions, registered: false, state: present };
}

interface Decided {
  readonly decision: Decision;
  readonly state: PhoneState;
}

function* offerConfiguration(
  state: PhoneState,
  kind: 'signed-configuration' | 'unsigned-configuration',
  name: string,
  file: Uint8Array,
  request: BootRequest,
): Booting<Decided> {
  const isSigned = kind === 'signed-configuration';
  const outcome = isSigned
    ? yield* askThrough(state, offerSignedFile(state, file, name, request.now, request.decrypt))
    : { ...offerUnsignedConfiguration(state), content: file };
  const { decision, content } = outcome;
  const isRead = decision.accepted && content !== undefined;
  return { decision, state: isRead ? setTvsServers(outcome.state, request.readTvsServers(content)) : outcome.state };
}

function* fetchFirst(
  names: readonly string[],
): Booting<{ readonly name: string; readonly file: Uint8Array | TrustList } | undefined> {
  for (const name of names) {
    const reply = yield { kind: 'file', name };
    if (reply.kind === 'file' && reply.file !== undefined) return { name, file: reply.file };
  }
  return undefined;
}

/** Hands the questions of a decision on. */
function* askThrough<T>(state: PhoneState, steps: Deciding<T>): Booting<T> {
  let step = steps.next();
  while (step.done !== true) {
    const reply = yield { kind: 'tvs', question: step.value, state };
    step = steps.next(reply.kind === 'tvs' ? reply.reply : { status: 'unreachable', reason: 'it gave no answer' });
  }
  return step.value;
}
