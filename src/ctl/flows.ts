import { equalBytes } from '../bytes/index.js';
import type { Cluster, Release } from '../cluster/index.js';
import { RefusalError } from '../errors.js';
import type { Signer } from '../signer/index.js';
import {
  draftOfRecord,
  recordFunction,
  type RecordDraft,
  type TrustList,
  type TrustListRecord,
} from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { arrange, isOwnSigner } from './arrangement.js';
import { Checks, describeCertificate } from './checks.js';
import { emptyRecord, layOut } from './layout.js';
import {
  ctlMode,
  holdsCertificate,
  isEmptied,
  isServerRecord,
  isSignerOf,
  isTokenRecord,
  presentSpelling,
  tokenRecords,
  type CtlMode,
} from './present.js';
import {
  checkClusterSigner,
  checkPresent,
  checkSignerPresent,
  checkTokenlessAllowed,
  checkTokenlessSigner,
  noticeOtherSigners,
  noticeTokensToTokenless,
} from './signer-checks.js';
import { sign, withAcceptedSigner, type CtlOptions, type CtlResult } from './signing.js';
import {
  checkTokenCount,
  checkTokensAllowed,
  checkTokensUploaded,
  noticeTokens,
  noticeTokensNotUploaded,
  requireTokens,
} from './token-checks.js';
import { findLeaving } from './token-serial.js';
import { serversOf, tokenlessList, tokenList } from './wanted.js';

/**
 * A first CTL in token mode: the first token, the servers, the further tokens, signed by one of them.
 *
 * @param tokens the SAST certificates of the tokens, two or more. A signer that is none of them becomes the first.
 * @throws RefusalError `A5`, `A14`, `wrong-mode` (a token's certificate is a server's), `too-large`; ProofError
 *   `unsupported-key`; InputError `cluster-file`; what the signer throws.
 */
export async function createTokenCtl(
  cluster: Cluster,
  tokens: readonly Certificate[],
  signer: Signer,
  options: CtlOptions,
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  const all = tokensWithSigner(tokens, signer);
  checkTokensAllowed(checks, cluster.release);
  requireTokens(all, { cluster });
  checkTokenCount(checks, all);
  noticeTokensNotUploaded(checks, cluster, all);
  noticeTokens(checks, all, signer.certificate, options.now);
  return sign(checks, arrange(checks, { wanted: tokenList(cluster, all), mode: 'token' }), signer, options);
}

/**
 * A first CTL in tokenless mode, as `utils ctl set-cluster mixed-mode` writes it.
 *
 * @param signer holds the key of {@link tokenlessSigner}.
 * @throws RefusalError `A8`, `A9`, `too-large`; InputError `cluster-file`; what the signer throws.
 */
export async function createTokenlessCtl(cluster: Cluster, signer: Signer, options: CtlOptions): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  checkTokenlessAllowed(checks, cluster);
  checkClusterSigner(checks, cluster, signer.certificate);
  return sign(checks, arrange(checks, { wanted: tokenlessList(cluster), mode: 'tokenless' }), signer, options);
}

/**
 * Brings a list up to date with the cluster file, in the mode it is in. Tokens and records that the cluster file does
 * not speak for stay as they are. An emptied list gets its servers back, unless the cluster file says that the cluster
 * is non-secure.
 *
 * @throws RefusalError `A2`, `A5`, `A7`, `A8`, `A9`, `A14`, `wrong-mode`, `too-large`; InputError `cluster-file`; what
 *   the signer throws.
 */
export async function updateCtl(
  present: TrustList,
  cluster: Cluster,
  signer: Signer,
  options: CtlOptions,
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  checkPresent(checks, present);
  if (ctlMode(present) === 'tokenless') {
    checkTokenlessAllowed(checks, cluster);
    checkClusterSigner(checks, cluster, signer.certificate, present);
    checkTokenlessSigner(checks, present, cluster, signer.certificate);
    return sign(checks, rearrangeTokenless(checks, present, cluster), signer, options, present);
  }
  checkTokensAllowed(checks, cluster.release);
  checkSignerPresent(checks, present, signer.certificate);
  checkTokenCount(checks, [...tokenRecords(present), signer.certificate], 'add another token with "ctl add-token"');
  const records = arrange(checks, {
    wanted: serversOf(cluster, 'token'),
    mode: 'token',
    present: { list: present, isReplaced: isServerRecord },
    emptied: staysEmptied(present, cluster),
  });
  return sign(checks, withAcceptedSigner(checks, records, present, signer, options.now), signer, options, present);
}

/**
 * Adds a token to a token list, behind all other records.
 *
 * @throws RefusalError `A2`, `A9`, `A14`, `already-present`, `wrong-mode`, `too-large`; ProofError `unsupported-key`;
 *   what the signer throws.
 */
export async function addToken(
  present: TrustList,
  token: Certificate,
  signer: Signer,
  options: CtlOptions & { readonly release?: Release | undefined },
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  checkPresent(checks, present);
  requireMode(present, 'token', 'to-token');
  checkTokensAllowed(checks, options.release);
  if (isSignerOf(present, token)) {
    throw new RefusalError('already-present', `${describeCertificate(token)} is in the list already`, {
      hint: 'give the certificate of the token that is to be added',
    });
  }
  requireTokens([token], { present });
  checkSignerPresent(checks, present, signer.certificate);
  const known = withAcceptedSigner(checks, present.records.map(draftOfRecord), present, signer, options.now);
  const isSigner = equalBytes(token.der, signer.certificate.der);
  if (!isSigner) noticeTokens(checks, [token], signer.certificate, options.now);
  const added = layOut({ certificate: token, role: recordFunction.sast }, 'token', presentSpelling(present, token));
  return sign(checks, isSigner ? known : [...known, added], signer, options, present);
}

/**
 * Removes a token from a token list, all of its records if it is there more than once.
 *
 * @param serialNumber in hex, as the list or as the certificate has it; colons and blanks are allowed.
 * @throws RefusalError `A2`, `A5`, `A9`, `last-token`, `signing-token`, `no-such-token`, `ambiguous-serial`,
 *   `wrong-mode`; what the signer throws.
 */
export async function removeToken(
  present: TrustList,
  serialNumber: string,
  signer: Signer,
  options: CtlOptions,
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  checkPresent(checks, present);
  requireMode(present, 'token', 'to-token');
  const tokens = tokenRecords(present);
  const leaving = findLeaving(tokens, serialNumber);
  const staying = tokens.filter((record) => !leaving.includes(record));
  if (staying.length === 0) {
    throw new RefusalError('last-token', 'this is the last token of the list: nobody could sign the next one', {
      hint: 'add another token first, or go tokenless with "ctl to-tokenless"',
    });
  }
  if (leaving.some((record) => holdsCertificate(record, signer.certificate))) {
    throw new RefusalError('signing-token', 'the token that is to be removed cannot sign the list without it', {
      hint: 'sign with a token that stays: give its URI with --token',
    });
  }
  checkSignerPresent(checks, present, signer.certificate);
  checkTokenCount(checks, [...staying, signer.certificate], 'add another token first with "ctl add-token"');
  const records = present.records.filter((record) => !leaving.includes(record)).map(draftOfRecord);
  return sign(checks, withAcceptedSigner(checks, records, present, signer, options.now), signer, options, present);
}

/**
 * From tokens to the cluster's own key.
 *
 * @param signer holds the key of {@link tokenlessSigner}.
 * @throws RefusalError `A8`, `A9`, `wrong-mode`, `too-large`; InputError `cluster-file`; what the signer throws.
 */
export async function toTokenless(
  present: TrustList,
  cluster: Cluster,
  signer: Signer,
  options: CtlOptions,
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  checkPresent(checks, present);
  requireMode(present, 'token', 'update');
  checkTokenlessAllowed(checks, cluster);
  checkClusterSigner(checks, cluster, signer.certificate);
  noticeTokensToTokenless(checks, present, signer.certificate);
  return sign(checks, rearrangeTokenless(checks, present, cluster), signer, options, present);
}

/**
 * From the cluster's own key to tokens.
 *
 * @param tokens the SAST certificates of the tokens, two or more, all in the cluster file's Phone-SAST-trust. A signer
 *   that is none of them becomes the first.
 * @throws RefusalError `A3`, `A5`, `A9`, `A14`, `wrong-mode`, `too-large`; ProofError `unsupported-key`; InputError
 *   `cluster-file`; what the signer throws.
 */
export async function toToken(
  present: TrustList,
  cluster: Cluster,
  tokens: readonly Certificate[],
  signer: Signer,
  options: CtlOptions,
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  checkPresent(checks, present);
  requireMode(present, 'tokenless', 'update');
  const all = tokensWithSigner(tokens, signer);
  checkTokensAllowed(checks, cluster.release);
  requireTokens(all, { cluster, present });
  checkTokenCount(checks, all);
  checkTokensUploaded(checks, cluster, all);
  noticeTokens(checks, all, signer.certificate, options.now);
  noticeOtherSigners(checks, present, cluster);
  const records = arrange(checks, {
    wanted: tokenList(cluster, all),
    mode: 'token',
    present: { list: present, isReplaced: replacedBy(cluster, present) },
    emptied: staysEmptied(present, cluster),
  });
  return sign(checks, records, signer, options, present);
}

/**
 * Empties the servers of a list, as a cluster's change to non-secure does; signers and CAPF stay whole. Phones keep
 * the CTL they have when the file is only taken away (rule P2): this list is what takes the servers out of it.
 *
 * @throws RefusalError `A2`, `A9`, `wrong-mode`, `too-large`; what the signer throws.
 */
export async function toNonSecure(present: TrustList, signer: Signer, options: CtlOptions): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  checkPresent(checks, present);
  checkSignerPresent(checks, present, signer.certificate);
  const records = present.records.map((record) => emptyRecord(draftOfRecord(record)));
  return sign(checks, withAcceptedSigner(checks, records, present, signer, options.now), signer, options, present);
}

/**
 * Signs a list again as it is, by any signer that is in it.
 *
 * @throws RefusalError `A2`, `A9`, `A14`, `wrong-mode`, `too-large`; what the signer throws.
 */
export async function signCtl(
  present: TrustList,
  signer: Signer,
  options: CtlOptions & { readonly release?: Release | undefined },
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  checkPresent(checks, present);
  if (ctlMode(present) === 'token') checkTokensAllowed(checks, options.release);
  checkSignerPresent(checks, present, signer.certificate);
  const records = present.records.map(draftOfRecord);
  return sign(checks, withAcceptedSigner(checks, records, present, signer, options.now), signer, options, present);
}

/** The given tokens, each once; the signer's certificate first where it is none of them. */
function tokensWithSigner(tokens: readonly Certificate[], { certificate }: Signer): readonly Certificate[] {
  const isGiven = tokens.some((token) => equalBytes(token.der, certificate.der));
  const all = isGiven ? tokens : [certificate, ...tokens];
  return all.filter((token, index) => all.findIndex((other) => equalBytes(other.der, token.der)) === index);
}

function rearrangeTokenless(checks: Checks, present: TrustList, cluster: Cluster): readonly RecordDraft[] {
  noticeOtherSigners(checks, present, cluster);
  return arrange(checks, {
    wanted: tokenlessList(cluster),
    mode: 'tokenless',
    present: { list: present, isReplaced: replacedBy(cluster, present) },
    emptied: staysEmptied(present, cluster),
  });
}

/** An emptied list gets its servers back when the cluster file says that the cluster is no longer non-secure. */
function staysEmptied(present: TrustList, cluster: Cluster): boolean {
  return isEmptied(present) && cluster.securityMode === 'non-secure';
}

/** The records that tokens and the cluster file speak for. */
function replacedBy(cluster: Cluster, present: TrustList): (record: TrustListRecord) => boolean {
  return (record) => isServerRecord(record) || isTokenRecord(record, present) || isOwnSigner(record, present, cluster);
}

function requireMode(present: TrustList, wanted: CtlMode, instead: string): void {
  const mode = ctlMode(present);
  if (mode === wanted) return;
  throw new RefusalError('wrong-mode', `the list is a ${mode} list; this wants a ${wanted} one`, {
    hint: `use "ctl ${instead}" with this list`,
  });
}
