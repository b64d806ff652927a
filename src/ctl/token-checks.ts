import { equalBytes, formatHex } from '../bytes/index.js';
import { tokensEnd, type Cluster, type Release } from '../cluster/index.js';
import { ProofError, RefusalError } from '../errors.js';
import { modulusLengths } from '../signed-file/index.js';
import type { TrustList } from '../trust-list/index.js';
import { isSastName, type Certificate } from '../x509/index.js';
import { describeCertificate, noticeDates, type Checks } from './checks.js';
import { holdsCertificate, isServerRecord } from './present.js';

/**
 * A5: with one token in the list, losing it locks the cluster out. A token that is there twice, or with two
 * certificates for one key, is one token.
 */
export function checkTokenCount(
  checks: Checks,
  tokens: readonly { readonly publicKey: Uint8Array | undefined }[],
  hint = 'plug in a second token, or give its certificate with --token-certificate',
): void {
  const keys = new Set(tokens.flatMap(({ publicKey }) => (publicKey === undefined ? [] : [formatHex(publicKey)])));
  if (keys.size >= 2) return;
  const count = keys.size === 1 ? 'one token' : 'no token';
  checks.refuse(
    'A5',
    `the list would hold ${count}; if it is lost, no further list can be signed that phones accept`,
    hint,
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
  const missing = notUploaded(cluster, tokens);
  checks.notice(
    'A3',
    'the present list has no token: phones accept this one only where TVS vouches for the token that signs; phones without Security by Default need their CTL deleted by hand',
  );
  if (missing.length === 0) return;
  checks.refuse(
    'A3',
    `not in the cluster file's Phone-SAST-trust: ${missing.map(describeCertificate).join(', ')}; phones would reject the list`,
    'run "token export", upload each certificate to Phone-SAST-trust, and add it to trustStores in the cluster file',
  );
}

/** A3 with a first list: phones have an ITL from their cluster, and find the token that signs through TVS (P5). */
export function noticeTokensNotUploaded(checks: Checks, cluster: Cluster, tokens: readonly Certificate[]): void {
  const missing = notUploaded(cluster, tokens);
  if (missing.length === 0) return;
  checks.notice(
    'A3',
    `not in the cluster file's Phone-SAST-trust: ${missing.map(describeCertificate).join(', ')}; phones that hold an ITL accept the list only where TVS vouches for the token that signs, and TVS knows tokens from there`,
  );
}

function notUploaded(cluster: Cluster, tokens: readonly Certificate[]): readonly Certificate[] {
  const uploaded = cluster.trustStores['Phone-SAST-trust'] ?? [];
  return tokens.filter((token) => !uploaded.some((certificate) => equalBytes(certificate.der, token.der)));
}

/** What is odd about a token that joins a list, but does not keep it from signing. */
export function noticeTokens(checks: Checks, tokens: readonly Certificate[], signer: Certificate, now: Date): void {
  for (const token of tokens) {
    const name = describeCertificate(token);
    // Of the signer, the last step of every flow says it.
    if (!equalBytes(token.der, signer.der)) noticeDates(checks, 'expired-token', token, now);
    if (!isSastName(token.subject)) {
      checks.notice('not-a-sast', `${name} does not call itself a token: the CN of a token begins with SAST-`);
    }
    if (token.keyBits < 1024) {
      checks.notice('weak-key', `${name} has an RSA key of ${token.keyBits} bits; tokens have 1024 or more`);
    }
  }
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
