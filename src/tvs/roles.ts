/**
 * The roles that TVS gives the certificates of each store, numbered as FUNCTION (tvs-protocol.md). The plain trust
 * stores (CallManager-trust, CAPF-trust, TVS-trust, ipsec-trust, directory-trust) and names that are not known give
 * none: their certificates are known, and good for nothing in particular.
 */
const rolesByStore: Readonly<Partial<Record<string, readonly number[]>>> = {
  CallManager: [0, 2],
  'Phone-SAST-trust': [0, 3],
  CAPF: [4],
  TVS: [21],
  tomcat: [7],
  'tomcat-trust': [7],
  ipsec: [7],
  'Phone-trust': [7],
  'Phone-CTL-trust': [7],
  'Phone-VPN-trust': [26],
};

/** The roles of a store's certificates. */
export function rolesOfStore(store: string): readonly number[] {
  return Object.hasOwn(rolesByStore, store) ? (rolesByStore[store] ?? []) : [];
}
