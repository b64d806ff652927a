import { printable } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { recordFunction } from '../trust-list/index.js';
import { decodeCertificate } from '../x509/index.js';
import type { Decision, Deciding, TvsQuestion, TvsReply } from './decision.js';
import { findCertificateRecord, hasTvsRecord } from './held-records.js';
import type { CachedCertificate, PhoneState } from './state.js';

/** What TVS said in the end: its yes, its no, or why nobody said anything. */
export type TvsAnswer =
  | { readonly status: 'success'; readonly server: string; readonly reply: TvsYes }
  | { readonly status: 'not-trusted'; readonly server: string }
  | { readonly status: 'unasked'; readonly reason: string };

export type TvsYes = Extract<TvsReply, { readonly status: 'success' }>;

/** Whether TVS may be asked at all: one of the lists has a TVS certificate (rule P9). */
export function p9MayAskTvs(state: PhoneState): boolean {
  const { ctl, itl, profile } = state;
  if (!profile.securityByDefault) return false;
  return (ctl !== undefined && hasTvsRecord(ctl)) || (itl !== undefined && hasTvsRecord(itl));
}

/**
 * Whether the phone takes a TLS server for one of its TVS servers (rule P9): its certificate, or the hash of it,
 * stands in the CTL, then the ITL, with function 21. Equal certificates have equal issuers and serials, so that these
 * need no comparison of their own; and lists of different writers spell the same issuer differently.
 *
 * @param presented the certificate that the server showed, DER.
 */
export function acceptsTvsServer(state: PhoneState, presented: Uint8Array): Decision {
  const reject = (reason: string): Decision => ({ accepted: false, rule: 'P9', reason, used: undefined });
  if (!state.profile.securityByDefault) {
    return { ...reject('a device without Security by Default has no TVS'), rule: 'P11' };
  }
  for (const kind of ['ctl', 'itl'] as const) {
    const found = findCertificateRecord(state[kind], presented, (role) => role === recordFunction.tvs);
    if (found === undefined) continue;
    const reason = `the TVS server's certificate is record ${String(found.number)} of the ${kind.toUpperCase()}`;
    return { accepted: true, rule: 'P9', reason, used: { kind, record: found.number } };
  }
  return reject(
    p9MayAskTvs(state)
      ? "the TVS server's certificate is not the one of a TVS record in the CTL or ITL"
      : 'neither CTL nor ITL has a TVS certificate',
  );
}

/**
 * Asks the TVS servers in order (rule P10): the first answer counts, yes or no; who cannot be reached is skipped.
 * Without a TVS certificate in the lists nobody is asked (rule P9).
 */
export function* p10AskTvs(state: PhoneState, question: (server: string) => TvsQuestion): Deciding<TvsAnswer> {
  if (!state.profile.securityByDefault) {
    return { status: 'unasked', reason: 'a device without Security by Default has no TVS (P11)' };
  }
  if (!p9MayAskTvs(state)) {
    return { status: 'unasked', reason: 'no TVS is asked, for neither CTL nor ITL has a TVS certificate (P9)' };
  }
  if (state.tvsServers.length === 0) return { status: 'unasked', reason: 'its configuration names no TVS server' };
  const failures: string[] = [];
  for (const server of state.tvsServers) {
    const reply = yield question(server);
    if (reply.status === 'success') return { status: 'success', server, reply };
    if (reply.status === 'not-trusted') return { status: 'not-trusted', server };
    failures.push(`${server}: ${printable(reply.reason)}`);
  }
  return { status: 'unasked', reason: `no TVS server could be reached (${failures.join('; ')})` };
}

/** An answer that the phone still has, if one of the roles was vouched for (rule P10). @param now epoch seconds. */
export function p10CachedAnswer(
  state: PhoneState,
  key: string,
  isWanted: (role: number) => boolean,
  now: number,
): CachedCertificate | undefined {
  const cached = state.tvsCache.get(key);
  return cached !== undefined && now < cached.expires && cached.roles.some(isWanted) ? cached : undefined;
}

/** The phone after an answer that let it accept something: it keeps the answer for its time to live (rule P10). */
export function p10KeepAnswer(state: PhoneState, key: string, answer: TvsYes, now: number): PhoneState {
  const living = [...state.tvsCache].filter(([, cached]) => now < cached.expires);
  // A copy: the answer may be a view of what a socket reads into.
  const kept = { certificate: answer.certificate.slice(), roles: answer.roles, expires: now + answer.timeToLive };
  return { ...state, tvsCache: new Map([...living, [key, kept]]) };
}

/** The RSA or EC key in a certificate of TVS, as a record's PUBLICKEY holds it; `undefined` if it is no certificate. */
export function publicKeyOf(certificate: Uint8Array): Uint8Array | undefined {
  try {
    return decodeCertificate(certificate).publicKey;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
