import { printable } from '../bytes/index.js';
import { NetworkError } from '../errors.js';
import {
  formatFingerprint,
  formatMd5Fingerprint,
  hasFingerprint,
  hostKeyType,
  type Fingerprint,
} from './fingerprint.js';
import { checkKnownHosts, knownKeyTypes, sshPort, type KnownHost } from './known-hosts.js';

/** How a server proves that it is the one that is meant. There is no way to trust it blindly. */
export type HostKeyTrust =
  | { readonly kind: 'known-hosts'; readonly entries: readonly KnownHost[] }
  | { readonly kind: 'fingerprint'; readonly fingerprint: Fingerprint };

/** The families of host keys, and the algorithms by which a server proves that it has one. */
export const hostKeyFamilies: readonly { readonly types: readonly string[]; readonly algorithms: readonly string[] }[] =
  [
    { types: ['ssh-ed25519'], algorithms: ['ssh-ed25519'] },
    ...['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'].map((name) => ({
      types: [name],
      algorithms: [name],
    })),
    { types: ['ssh-rsa'], algorithms: ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'] },
  ];

/**
 * The algorithms to ask a server for, those of the keys it is known by first: a server with several keys presents the
 * one that is asked for.
 *
 * @param without types of keys that were presented before, and are not the ones.
 */
export function hostKeyAlgorithms(
  trust: HostKeyTrust,
  host: string,
  port: number,
  without: readonly string[] = [],
): readonly string[] {
  const known = trust.kind === 'known-hosts' ? knownKeyTypes(trust.entries, host, port) : [];
  const families = hostKeyFamilies.filter(({ types }) => !types.some((type) => without.includes(type)));
  const isKnown = ({ types }: { readonly types: readonly string[] }): boolean =>
    types.some((one) => known.includes(one));
  return [...families.filter(isKnown), ...families.filter((family) => !isKnown(family))].flatMap(
    ({ algorithms }) => algorithms,
  );
}

/** Why the host key of a server is not trusted; `undefined` when it is. */
export function refuseHostKey(
  trust: HostKeyTrust,
  host: string,
  port: number,
  key: Uint8Array,
): NetworkError | undefined {
  const server = port === sshPort ? printable(host) : `${printable(host)}, port ${String(port)}`;
  const presented = `${hostKeyType(key)} key ${formatFingerprint(key)} (MD5 ${formatMd5Fingerprint(key)})`;
  if (trust.kind === 'fingerprint') {
    if (hasFingerprint(key, trust.fingerprint)) return undefined;
    return new NetworkError(
      'host-key-changed',
      `${server} presents the ${presented}, which is not the one that was given`,
      {
        hint: 'nothing was sent: somebody may stand between; ask whoever runs the server for its fingerprint (ssh-keygen -lf on it)',
      },
    );
  }
  const { verdict, lines } = checkKnownHosts(trust.entries, host, port, key);
  const places = lines.map(({ file, line }) => `${printable(file)} line ${String(line)}`).join(', ');
  switch (verdict) {
    case 'known':
      return undefined;
    case 'revoked':
      return new NetworkError('host-key-revoked', `${server} presents the ${presented}, which is revoked (${places})`, {
        hint: 'nothing was sent: whoever holds this key is not to be trusted; ask whoever runs the server',
      });
    case 'changed':
      return new NetworkError(
        'host-key-changed',
        `THE HOST KEY OF ${server} HAS CHANGED: it presents the ${presented}, and is known by another (${places})`,
        {
          hint: 'nothing was sent: somebody may stand between. If the server was really set up anew, compare the fingerprint with the one that its administrator reads off it (ssh-keygen -lf), then take the old line out of known_hosts',
        },
      );
    case 'unknown':
      return new NetworkError('host-key-unknown', `${server} is not known: it presents the ${presented}`, {
        hint: 'nothing was sent: compare the fingerprint with the one that the administrator of the server reads off it (ssh-keygen -lf); when it is the same, give the fingerprint, or note the key in known_hosts',
      });
  }
}
