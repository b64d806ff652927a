import { FormatError } from '../errors.js';
import {
  decodeTrustList,
  largestTrustList,
  recordFunction,
  trustListKind,
  type TrustList,
  type TrustListRecord,
} from '../trust-list/index.js';
import type { Decision, Deciding, Outcome, Rule, Used } from './decision.js';
import { isEmptyItl, listVerifiesWith, ownVerification, signerOf } from './held-records.js';
import { findHeldSigner, findSigner, type SignerLookup, type WantedFunctions } from './signer-lookup.js';
import { emptyTvsCache, type PhoneState } from './state.js';

/** Which of its two lists a phone is offered. */
export type ListKind = 'ctl' | 'itl';

const { sast, ccmTftp, tftp } = recordFunction;

/**
 * For which functions the signer of a list is looked up. A CTL is signed by a SAST; an ITL also by a CallManager key,
 * which a token-signed CTL holds as CCM+TFTP or TFTP only: P4 says so, and P5 finds it there too, for a token-signed
 * CTL could not save a phone otherwise whose ITL knows neither CallManager nor TVS any more (A1).
 * The page names no role for what TVS answers about lists. Every key that may sign one carries role 0 there
 * (CallManager {0, 2}, Phone-SAST-trust {0, 3}, tokens {0}); a CAPF or tomcat certificate, which TVS knows as well,
 * must not become the signer of a list, so role 0 it is.
 */
const listSigners: Readonly<Record<ListKind, WantedFunctions>> = {
  ctl: { ctl: [sast], itl: [sast], tvs: [sast] },
  itl: { ctl: [sast, ccmTftp, tftp], itl: [sast], tvs: [sast] },
};

/**
 * Offers a phone a CTL or ITL (rules P3 to P8 and P11). A rejected list leaves the very state that was given.
 *
 * @param offered the bytes that were received, of which the phone keeps a copy; or a list that was decoded from them,
 *   which many phones may share and which must not be changed any more.
 * @param now seconds since 1970-01-01 UTC.
 */
export function* offerTrustList(
  state: PhoneState,
  kind: ListKind,
  offered: Uint8Array | TrustList,
  now: number,
): Deciding<Outcome> {
  if (kind === 'itl' && !state.profile.securityByDefault) return { decision: p11NoItl(), state };
  const received = p7Received(kind, offered);
  if (!received.proven) return { decision: received.decision, state };
  const { list } = received;
  const decision = yield* decideByState(state, kind, list, received.signer, now);
  return { decision, state: decision.accepted ? p8Replace(state, kind, list) : state };
}

function* decideByState(
  state: PhoneState,
  kind: ListKind,
  list: TrustList,
  signer: TrustListRecord,
  now: number,
): Deciding<Decision> {
  if (p6Applies(state)) return p6AcceptAny(list);
  if (state.ctl === undefined && state.itl === undefined) return p3NothingHeld(list, signer);
  if (!state.profile.securityByDefault) return p11OnlyItsCtl(state, list);
  if (state.itl === undefined) return p4CtlOnly(state, kind, list);
  return yield* p5KnownSigner(state, kind, list, now);
}

/** Nothing is held: the first list is believed, whoever signed it, once it verifies against itself (rule P3). */
export function p3NothingHeld(list: TrustList, signer: TrustListRecord): Decision {
  const reason = `it holds no list yet, and the signature is that of the list's own signer ${signerOf(list.header).name}`;
  return { accepted: true, rule: 'P3', reason, used: { kind: 'own', record: list.records.indexOf(signer) + 1 } };
}

/** A CTL and no ITL: the signer must be in the CTL, and TVS is not asked (rule P4). */
export function p4CtlOnly(state: PhoneState, kind: ListKind, list: TrustList): Decision {
  return judge('P4', list, findHeldSigner(state, list.header, listSigners[kind]));
}

/**
 * Both lists, or an ITL only: the signer is looked up in the CTL, the ITL, the TVS cache, and TVS is asked (rule P5).
 *
 * @param now seconds since 1970-01-01 UTC.
 */
export function* p5KnownSigner(state: PhoneState, kind: ListKind, list: TrustList, now: number): Deciding<Decision> {
  return judge('P5', list, yield* findSigner(state, list.header, listSigners[kind], now));
}

/**
 * Whether anything is accepted: an empty ITL and no CTL (rule P6). An empty ITL beside a CTL, also beside one that was
 * emptied, changes nothing: P5 goes on, and finds no TVS certificate to ask TVS by.
 */
export function p6Applies(state: PhoneState): boolean {
  return state.ctl === undefined && state.itl !== undefined && isEmptyItl(state.itl);
}

/**
 * The signer does not matter (rule P6). P7 has been kept all the same: it excepts nobody, so that the list parses, and
 * its signature is that of its own signing record, as for a phone that holds nothing.
 */
export function p6AcceptAny(list: TrustList): Decision {
  const reason = `its ITL is empty and it has no CTL, so it accepts a list of anyone, here of ${signerOf(list.header).name}`;
  return { accepted: true, rule: 'P6', reason, used: { kind: 'any' } };
}

type Received =
  | { readonly proven: true; readonly list: TrustList; readonly signer: TrustListRecord }
  | { readonly proven: false; readonly decision: Decision };

/**
 * What every list must be before its signer is looked up (rule P7): it parses, is not larger than what phones load,
 * does not call itself a list of the other kind, and its signature, over the bytes that were received, is that of its
 * own signing record. Without that record no file verifies (trust-list-format.md, Serial numbers; A9).
 */
export function p7Received(kind: ListKind, offered: Uint8Array | TrustList): Received {
  const refuse = (reason: string): Received => ({ proven: false, decision: rejected('P7', reason) });
  const size = offered instanceof Uint8Array ? offered.length : offered.bytes.length;
  if (size > largestTrustList) {
    return refuse(`the list has ${String(size)} bytes, and phones load ${String(largestTrustList)} at the most`);
  }
  let list: TrustList;
  try {
    list = offered instanceof Uint8Array ? decodeTrustList(offered.slice()) : offered;
  } catch (error) {
    if (error instanceof FormatError) return refuse(`the list does not parse: ${error.message}`);
    throw error;
  }
  const named = trustListKind(list.header.fileName);
  if (named !== undefined && named !== kind.toUpperCase()) {
    return refuse(`the list is offered as ${kind.toUpperCase()}, and its FILENAME says that it is an ${named}`);
  }
  const own = ownVerification(list);
  return own.verified ? { proven: true, list, signer: own.signer } : refuse(own.reason);
}

/** An accepted list takes the place of the old one of its kind, and the TVS cache is cleared (rule P8). */
export function p8Replace(state: PhoneState, kind: ListKind, list: TrustList): PhoneState {
  const { profile, tvsServers } = state;
  const ctl = kind === 'ctl' ? list : state.ctl;
  const itl = kind === 'itl' ? list : state.itl;
  return { profile, ctl, itl, tvsServers, tvsCache: emptyTvsCache };
}

/** A device without Security by Default takes no ITL (rule P11). */
export function p11NoItl(): Decision {
  return rejected('P11', 'a device without Security by Default has no ITL');
}

/** A device without Security by Default that holds a CTL: only that CTL counts (rule P11). */
export function p11OnlyItsCtl(state: PhoneState, list: TrustList): Decision {
  return judge('P11', list, findHeldSigner(state, list.header, listSigners.ctl));
}

function judge(rule: Rule, list: TrustList, lookup: SignerLookup): Decision {
  const signer = `the signer ${signerOf(list.header).name}`;
  if (!lookup.found) return rejected(rule, `${signer} is ${lookup.reason}`);
  const { used, place, publicKey } = lookup;
  if (!listVerifiesWith(list, publicKey)) {
    return rejected('P7', `${signer} was found (${place}), and the signature was not made with its key`, used);
  }
  return { accepted: true, rule, reason: `${signer} was found (${place}), and its key verifies the signature`, used };
}

function rejected(rule: Rule, reason: string, used?: Used): Decision {
  return { accepted: false, rule, reason, used };
}
