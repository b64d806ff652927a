import type { SignedHeader } from '../signed-file/index.js';
import type { Deciding, Used } from './decision.js';
import { findSignerRecord, signerOf } from './held-records.js';
import type { PhoneState } from './state.js';
import { p10AskTvs, p10CachedAnswer, publicKeyOf, type TvsYes } from './tvs-rules.js';

/** For which functions a signer is looked up in each place. */
export interface WantedFunctions {
  readonly ctl: readonly number[];
  readonly itl: readonly number[];
  /** One of these TVS must vouch for. */
  readonly tvs: readonly number[];
}

/** What looking up a signer gave. */
export type SignerLookup =
  | {
      readonly found: true;
      readonly publicKey: Uint8Array;
      readonly used: Used;
      /** Where that is, for sentences. */
      readonly place: string;
      /** The answer of TVS, if it was asked: to be kept when the file is accepted. */
      readonly vouched?: TvsYes;
    }
  | { readonly found: false; readonly reason: string };

/** The lists of a phone. */
export type HeldLists = Pick<PhoneState, 'ctl' | 'itl'>;

/** Looks a signer up in the lists that a phone holds: in the CTL, then the ITL. */
export function findHeldSigner(
  state: HeldLists,
  header: SignedHeader,
  wanted: Pick<WantedFunctions, 'ctl' | 'itl'>,
): SignerLookup {
  const signer = signerOf(header);
  for (const kind of ['ctl', 'itl'] as const) {
    const held = findSignerRecord(state[kind], signer, wanted[kind]);
    if (held?.record.publicKey === undefined) continue;
    const place = `record ${String(held.number)} of the ${kind.toUpperCase()}`;
    return { found: true, publicKey: held.record.publicKey, used: { kind, record: held.number }, place };
  }
  return { found: false, reason: 'not in its lists' };
}

/** Looks a signer up in the CTL, the ITL, the TVS cache, and asks TVS (rules P5 and P12). @param now epoch seconds. */
export function* findSigner(
  state: PhoneState,
  header: SignedHeader,
  wanted: WantedFunctions,
  now: number,
): Deciding<SignerLookup> {
  const held = findHeldSigner(state, header, wanted);
  if (held.found) return held;
  const isWanted = (role: number): boolean => wanted.tvs.includes(role);
  const cached = p10CachedAnswer(state, signerOf(header).cacheKey, isWanted, now);
  const cachedKey = cached === undefined ? undefined : publicKeyOf(cached.certificate);
  if (cachedKey !== undefined) {
    return { found: true, publicKey: cachedKey, used: { kind: 'tvs-cache' }, place: 'the TVS cache' };
  }
  const { signerName: subjectName, issuerName, serialNumber } = header;
  const answer = yield* p10AskTvs(state, (server) => ({
    kind: 'query',
    server,
    subjectName,
    issuerName,
    serialNumber,
  }));
  if (answer.status === 'unasked') return { found: false, reason: `${held.reason}, and ${answer.reason}` };
  const tvs = `TVS ${answer.server}`;
  if (answer.status === 'not-trusted') return { found: false, reason: `${held.reason}, and ${tvs} does not know it` };
  const { certificate, roles } = answer.reply;
  if (!roles.some(isWanted)) {
    const [given, needed] = [roles.join(', '), wanted.tvs.join(' or ')];
    return { found: false, reason: `${held.reason}, and ${tvs} vouches for the roles {${given}}, not for ${needed}` };
  }
  const publicKey = publicKeyOf(certificate);
  if (publicKey === undefined) return { found: false, reason: `${held.reason}, and ${tvs} sent no certificate of it` };
  return { found: true, publicKey, used: { kind: 'tvs', server: answer.server }, place: tvs, vouched: answer.reply };
}
