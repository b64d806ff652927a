import { equalBytes } from '../bytes/index.js';

/** A certificate in one of the server's two stores. */
export interface CachedCertificate {
  /** In DER. */
  readonly certificate: Uint8Array;
  /** Ascending, numbered as FUNCTION. */
  readonly roles: readonly number[];
}

/**
 * Certificates by their look-up keys. One that comes from several places has the roles of all of them: each place
 * vouches for its own, and a cluster copies its CallManager certificates to CallManager-trust, which has none, and
 * still answers {0, 2}.
 */
export class CertificateCache {
  readonly #byKey = new Map<string, CachedCertificate[]>();

  add(keys: readonly string[], certificate: Uint8Array, roles: readonly number[]): void {
    for (const key of keys) {
      const same = this.#byKey.get(key) ?? [];
      const index = same.findIndex((other) => equalBytes(other.certificate, certificate));
      const united = [...new Set([...(same[index]?.roles ?? []), ...roles])].sort((left, right) => left - right);
      const entry = { certificate, roles: united };
      if (index < 0) same.push(entry);
      else same[index] = entry;
      this.#byKey.set(key, same);
    }
  }

  /** All that is known under a key. More than one only where an issuer gave a serial twice. */
  find(key: string): readonly CachedCertificate[] {
    return this.#byKey.get(key) ?? [];
  }
}
