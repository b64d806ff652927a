import { equalBytes } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { formatFunction, recordFunction } from '../trust-list/index.js';
import { decodeCertificate, formatClusterName } from '../x509/index.js';
import type { Deciding, Decision, Outcome, Used } from './decision.js';
import { findCertificateRecord, tvsCacheKey } from './held-records.js';
import type { PhoneState } from './state.js';
import { p10AskTvs, p10KeepAnswer } from './tvs-rules.js';

/**
 * Whether a phone trusts a TLS peer (rule P13): its certificate is in the CTL, then the ITL, whole or as its hash, for
 * the function, then in the TVS cache, then TVS vouches for it with that role. CCM+TFTP (2) serves for CCM (1) and for
 * TFTP (3).
 *
 * @param certificate what the peer showed, DER.
 * @param wantedFunction what the peer should be, numbered as FUNCTION, e.g. 4 for CAPF, 7 for an HTTPS server.
 * @param now seconds since 1970-01-01 UTC.
 */
export function* checkPeer(
  state: PhoneState,
  certificate: Uint8Array,
  wantedFunction: number,
  now: number,
): Deciding<Outcome> {
  const what = `the peer's certificate, for function ${String(wantedFunction)} (${formatFunction(wantedFunction)}),`;
  const decided = (accepted: boolean, reason: string, used?: Used): Outcome => {
    const decision: Decision = { accepted, rule: 'P13', reason: `${what} ${reason}`, used };
    return { decision, state };
  };
  const isWanted = (role: number): boolean => servesFor(role, wantedFunction);
  for (const kind of ['ctl', 'itl'] as const) {
    const held = findCertificateRecord(state[kind], certificate, isWanted);
    if (held === undefined) continue;
    const { number } = held;
    return decided(true, `is record ${String(number)} of the ${kind.toUpperCase()}`, { kind, record: number });
  }
  const isCached = [...state.tvsCache.values()].some(
    (cached) => now < cached.expires && cached.roles.some(isWanted) && equalBytes(cached.certificate, certificate),
  );
  if (isCached) return decided(true, 'is in the TVS cache', { kind: 'tvs-cache' });
  const key = peerCacheKey(certificate);
  if (key === undefined) return decided(false, 'is no certificate');
  const answer = yield* p10AskTvs(state, (server) => ({ kind: 'verify', server, certificate }));
  if (answer.status === 'unasked') return decided(false, `is not in its lists, and ${answer.reason}`);
  const { server } = answer;
  if (answer.status === 'not-trusted') return decided(false, `is not in its lists, and TVS ${server} does not know it`);
  const { reply } = answer;
  if (!reply.roles.some(isWanted)) {
    const given = reply.roles.join(', ');
    return decided(false, `is not in its lists, and TVS ${server} vouches for the roles {${given}} only`);
  }
  const { decision } = decided(true, `is vouched for by TVS ${server}`, { kind: 'tvs', server });
  // What was asked about is kept, whatever certificate the answer repeats.
  return { decision, state: p10KeepAnswer(state, key, { ...reply, certificate }, now) };
}

function servesFor(role: number, wanted: number): boolean {
  const { ccm, ccmTftp, tftp } = recordFunction;
  return role === wanted || (role === ccmTftp && (wanted === ccm || wanted === tftp));
}

/** The key that a query for this certificate would have in the cluster's spelling. */
function peerCacheKey(certificate: Uint8Array): string | undefined {
  try {
    const { serialNumber, issuer } = decodeCertificate(certificate);
    return tvsCacheKey(serialNumber, formatClusterName(issuer));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
