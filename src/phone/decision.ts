import type { PhoneState } from './state.js';

/**
 * The rules of phone-rules.md by number, and the functions that they are:
 *
 * - P1 `bootFiles`, `offerUnsignedConfiguration`, `p1AsksUnsigned`
 * - P2 `missingTrustList`
 * - P3 `p3NothingHeld`, P4 `p4CtlOnly`, P5 `p5KnownSigner`, P6 `p6Applies` and `p6AcceptAny`, P7 `p7Received`, P8
 *   `p8Replace`: the parts of `offerTrustList`
 * - P9 `acceptsTvsServer` and `p9MayAskTvs`
 * - P10 `p10AskTvs`, `p10CachedAnswer`, `p10KeepAnswer`
 * - P11 `p11NoItl`, `p11OnlyItsCtl`, and `createPhone`
 * - P12 `offerSignedFile`
 * - P13 `checkPeer`
 */
export type Rule = 'P1' | 'P2' | 'P3' | 'P4' | 'P5' | 'P6' | 'P7' | 'P8' | 'P9' | 'P10' | 'P11' | 'P12' | 'P13';

/**
 * Where a key or certificate was found. `own`: the offered list's own signing record (P3). `ctl` and `itl`: the lists
 * the phone held before. `any`: nothing was needed (P6). Records are counted from 1, as `show ctl` counts them.
 */
export type Used =
  | { readonly kind: 'own' | 'ctl' | 'itl'; readonly record: number }
  | { readonly kind: 'tvs-cache' }
  | { readonly kind: 'tvs'; readonly server: string }
  | { readonly kind: 'any' };

/** What a phone decided, and why. */
export interface Decision {
  readonly accepted: boolean;
  /** The rule that decided. */
  readonly rule: Rule;
  /** One plain sentence. */
  readonly reason: string;
  /** What was found; of a rejected file what did not fit, if anything was found. */
  readonly used: Used | undefined;
}

/** A decision and the phone after it. The state of a rejection is the very object that was given. */
export interface Outcome {
  readonly decision: Decision;
  readonly state: PhoneState;
}

/** A question for one TVS server: for the certificate of a signer (query), or about a certificate (verify). */
export type TvsQuestion =
  | {
      readonly kind: 'query';
      readonly server: string;
      /** Names and serial as the file's header spells them. */
      readonly subjectName: string;
      readonly issuerName: string;
      readonly serialNumber: Uint8Array;
    }
  | {
      readonly kind: 'verify';
      readonly server: string;
      /** DER. */
      readonly certificate: Uint8Array;
    };

/**
 * What came of a question. `unreachable` is also said of a server whose certificate `acceptsTvsServer` refuses.
 * In the answer to a verify question, `certificate` repeats the one that was asked about.
 */
export type TvsReply =
  | {
      readonly status: 'success';
      /** DER. */
      readonly certificate: Uint8Array;
      /** Numbered as FUNCTION. */
      readonly roles: readonly number[];
      /** Seconds. */
      readonly timeToLive: number;
    }
  | { readonly status: 'not-trusted' }
  | { readonly status: 'unreachable'; readonly reason: string };

/** The steps of a decision: it yields each question to TVS and is given its reply. */
export type Deciding<T> = Generator<TvsQuestion, T, TvsReply>;

/** Runs the steps of a decision, with TVS at hand. */
export function decide<T>(steps: Deciding<T>, ask: (question: TvsQuestion) => TvsReply): T {
  let step = steps.next();
  while (step.done !== true) step = steps.next(ask(step.value));
  return step.value;
}

/** Runs the steps of a decision, with TVS across a network. What `ask` throws is thrown; it decides nothing. */
export async function decideAsync<T>(
  steps: Deciding<T>,
  ask: (question: TvsQuestion) => Promise<TvsReply>,
): Promise<T> {
  let step = steps.next();
  while (step.done !== true) step = steps.next(await ask(step.value));
  return step.value;
}
