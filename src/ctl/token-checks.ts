import { equalBytes, formatHex } from '../bytes/index.js';
import { tokensEnd, type Cluster, type Release } from '../cluster/index.js';
import { ProofError, RefusalError } from '../errors.js';
import { modulusLengths } from '../signed-file/index.js';
import type { TrustList } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { describeCertificate, type Checks } from './checks.js';
import { holdsCertificate, isServerRecord } from './present.js';

/**
 * A5: with one token in the list, losing it locks the cluster out. A token that is there twice, or with two
 * certificates for one key, is one token.
 */
export function checkTokenCount(
  checks: Checks,
  tokens: readonly { readonly publicKey: Uint8Array | undefined }[],
): void {
  const keys = new Set(tokens.flatMap(({ publicKey }) => (publicKey === undefined ? [] : [formatHex(publicKey)])));
  if (keys.size >= 2) return;
  const count = keys.size === 1 ? 'one token' : 'no token';
  checks.refuse(
    'A5',
    `the list would hold ${count}; if it is lost, no further list can be signed that phones accept`,
    'plug in a second token, or give its certificate with --token-certificate',
  );
}

/** A14: clusters from 14SU3 on know only tokenless lists. */
export function checkTokensAllowed(checks: Checks, release: Release | undefined): void {
  if (release === undefined || !tokensEnd(release)) return;
  checks.refuse(
    'A14',
    `hardware tokens end with 14SU3, and the cluster file says release ${release.text}`,
    'build a tokenless list, or correct the release in the cluster file',
  );
}

/** A3: phones with a tokenless list accept a token list only through TVS, which knows Phone-SAST-trust. */
export function checkTokensUploaded(checks: Checks, cluster: Cluster, tokens: readonly Certificate[]): void {
  const uploaded = cluster.trustStores['Phone-SAST-trust'] ?? [];
  const missing = tokens.filter((token) => !uploaded.some((certificate) => equalBytes(certificate.der, token.der)));
  if (missing.length === 0) return;
  checks.refuse(
    'A3',
    `not in the cluster file's Phone-SAST-trust: ${missing.map(describeCertificate).join(', ')}; phones would reject the list`,
    'run "token export", upload each certificate to Phone-SAST-trust, and add it to trustStores in the cluster file',
  );
}

/**
 * A token that joins a list must be one: able to sign it, and not a server's certificate, whose renewal would take the
 * "token" away.
 *
 * @throws ProofError `unsupported-key`; RefusalError `wrong-mode`.
 */
export function requireTokens(
  tokens: readonly Certificate[],
  { cluster, present }: { readonly cluster?: Cluster; readonly present?: TrustList },
): void {
  for (const token of tokens) {
    requireSigningKey(token);
    const own = cluster?.nodes.flatMap(({ certificates }) => Object.values(certificates)) ?? [];
    const isServers =
      own.some((certificate) => equalBytes(certificate.der, token.der)) ||
      present?.records.some((record) => isServerRecord(record) && holdsCertificate(record, token)) === true;
    if (!isServers) continue;
    throw new RefusalError('wrong-mode', `${describeCertificate(token)} is a server's certificate, not a token's`, {
      hint: 'the cluster\'s own keys sign tokenless lists: use "ctl to-tokenless", or "ctl create --mode tokenless"',
    });
  }
}

function requireSigningKey(token: Certificate): void {
  if (token.keyType === 'rsa' && modulusLengths.includes(token.keyBits / 8)) return;
  throw new ProofError(
    'unsupported-key',
    `${describeCertificate(token)} has a key of ${token.keyBits} bits (${token.keyType}), which cannot sign trust lists`,
    { hint: 'trust lists are signed with RSA keys of 512, 1024, 2048 or 4096 bits' },
  );
}
