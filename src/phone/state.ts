import type { TrustList } from '../trust-list/index.js';

/** What kind of phone it is. */
export interface PhoneProfile {
  /** 12 upper-case hex digits. */
  readonly mac: string;
  /** As a phone tells TVS, e.g. `CP-8861`. */
  readonly model: string;
  /** Whether it has Security by Default: an ITL and TVS (rule P11). */
  readonly securityByDefault: boolean;
  /** Whether its configuration is encrypted (rules P1 and P12). */
  readonly encryptedConfiguration: boolean;
}

/** A positive answer of TVS that the phone keeps (rule P10). */
export interface CachedCertificate {
  /** DER. */
  readonly certificate: Uint8Array;
  /** What TVS vouched for, numbered as FUNCTION. */
  readonly roles: readonly number[];
  /** Seconds since 1970-01-01 UTC; from this moment on it no longer counts. */
  readonly expires: number;
}

/**
 * Everything a phone decides by, as a value: it is never changed, a decision gives the next one. Phones share the
 * lists they hold, so that a state is a few words of memory.
 */
export interface PhoneState {
  readonly profile: PhoneProfile;
  readonly ctl: TrustList | undefined;
  readonly itl: TrustList | undefined;
  /** At most three, each a host or `host:port`. */
  readonly tvsServers: readonly string[];
  /** By serial (upper-case hex) and issuer of the certificate, in the spelling that was asked for. */
  readonly tvsCache: ReadonlyMap<string, CachedCertificate>;
}

/** What a phone holds when it comes into being. */
export interface HeldFiles {
  readonly ctl?: TrustList | undefined;
  readonly itl?: TrustList | undefined;
  readonly tvsServers?: readonly string[] | undefined;
}

/** So many TVS servers a phone asks (rule P10). */
const mostTvsServers = 3;

const noServers: readonly string[] = [];

/** The cache of every phone that was told nothing by TVS: one for all of them. */
export const emptyTvsCache: ReadonlyMap<string, CachedCertificate> = new Map();

/**
 * A phone with what it holds, nothing unless given. A phone without Security by Default keeps neither ITL nor TVS
 * servers, whatever is given (rule P11); of more than three TVS servers the first three count (rule P10).
 */
export function createPhone(profile: PhoneProfile, held: HeldFiles = {}): PhoneState {
  const { ctl } = held;
  const itl = profile.securityByDefault ? held.itl : undefined;
  return { profile, ctl, itl, tvsServers: usableServers(profile, held.tvsServers), tvsCache: emptyTvsCache };
}

/** The phone after a configuration that names its TVS servers was accepted. */
export function setTvsServers(state: PhoneState, tvsServers: readonly string[]): PhoneState {
  return { ...state, tvsServers: usableServers(state.profile, tvsServers) };
}

function usableServers(profile: PhoneProfile, servers: readonly string[] = noServers): readonly string[] {
  if (!profile.securityByDefault) return noServers;
  return servers.length > mostTvsServers ? servers.slice(0, mostTvsServers) : servers;
}

/**
 * The phone after someone deleted a list at its menu. The TVS cache goes too: what it holds was believed because of a
 * TVS certificate in the lists.
 */
export function deleteTrustList(state: PhoneState, kind: 'ctl' | 'itl' | 'both'): PhoneState {
  return {
    ...state,
    ctl: kind === 'itl' ? state.ctl : undefined,
    itl: kind === 'ctl' ? state.itl : undefined,
    tvsCache: emptyTvsCache,
  };
}
