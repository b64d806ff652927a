import { equalBytes, formatHex, parseHex } from '../bytes/index.js';
import { isAtLeast, publisherOf, type Cluster, type Release } from '../cluster/index.js';
import { RefusalError } from '../errors.js';
import type { Signer } from '../signer/index.js';
import { draftOfRecord, recordFunction, type TrustList, type TrustListRecord } from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import { clusterSigners, replaceServers, tokenLayout, tokenlessLayout } from './arrangement.js';
import {
  checkSignerPresent,
  Checks,
  checkTokenCount,
  checkTokenlessSigner,
  checkTokensAllowed,
  checkTokensUploaded,
  describeCertificate,
  noticeTokensToTokenless,
} from './checks.js';
import { certificateOf, emptiedRecord, serverRecords, tokenRecord } from './layout.js';
import { ctlMode, holdsCertificate, isServerRecord, tokenRecords, type CtlMode } from './present.js';
import { countSigners, sign, withAcceptedSigner, type CtlOptions, type CtlResult } from './signing.js';

/**
 * A first CTL in token mode: the first token, the servers, the further tokens, signed by a token among them.
 *
 * @param tokens the SAST certificates of the tokens, two or more.
 * @throws RefusalError `A2` (the signer is none of the tokens), `A5`, `A9`, `A14`, `too-large`; InputError
 *   `cluster-file`; what the signer throws.
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
  checkTokenCount(checks, all.length);
  return sign(checks, tokenLayout(cluster, all, undefined), signer, options);
}

/**
 * A first CTL in tokenless mode, as `utils ctl set-cluster mixed-mode` writes it.
 *
 * @param signer holds the key of {@link tokenlessSigner}.
 * @throws RefusalError `A9`, `too-large`; InputError `cluster-file`.
 */
export async function createTokenlessCtl(cluster: Cluster, signer: Signer, options: CtlOptions): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  return sign(checks, tokenlessLayout(cluster, undefined), signer, options);
}

/**
 * The certificate whose key signs a cluster's tokenless lists: the publisher's CallManager before 12.0, its
 * ITLRecovery from 12.0.
 *
 * @throws InputError `cluster-file` when the publisher has none.
 */
export function tokenlessSigner(cluster: Cluster): { name: 'CallManager' | 'ITLRecovery'; certificate: Certificate } {
  const name = isAtLeast(cluster.release, '12.0') ? 'ITLRecovery' : 'CallManager';
  return { name, certificate: certificateOf(publisherOf(cluster), name) };
}

/**
 * Brings a list up to date with the cluster file, in the mode it is in. Tokens and records that the cluster file does
 * not speak for stay as they are.
 *
 * @throws RefusalError `A2`, `A5`, `A7`, `A9`, `A14`, `too-large`; InputError `cluster-file`.
 */
export async function updateCtl(
  present: TrustList,
  cluster: Cluster,
  signer: Signer,
  options: CtlOptions,
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  if (ctlMode(present) === 'tokenless') {
    checkTokenlessSigner(checks, present, signer.certificate, clusterSigners(cluster));
    return sign(checks, tokenlessLayout(cluster, present), signer, options, present);
  }
  checkTokensAllowed(checks, cluster.release);
  checkSignerPresent(checks, present, signer.certificate);
  const records = replaceServers(present, serverRecords(cluster, 'token', present));
  const complete = withAcceptedSigner(records, present, signer);
  checkTokenCount(checks, countSigners(complete));
  return sign(checks, complete, signer, options, present);
}

/**
 * Adds a token to a token list.
 *
 * @param release of the cluster, when it is known.
 * @throws RefusalError `A2`, `A9`, `A14`, `already-present`, `wrong-mode`, `too-large`.
 */
export async function addToken(
  present: TrustList,
  token: Certificate,
  signer: Signer,
  options: CtlOptions & { readonly release?: Release | undefined },
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  requireMode(present, 'token', 'to-token');
  checkTokensAllowed(checks, options.release);
  if (tokenRecords(present).some((record) => holdsCertificate(record, token))) {
    throw new RefusalError('already-present', `${describeCertificate(token)} is in the list already`);
  }
  checkSignerPresent(checks, present, signer.certificate);
  const records = [...present.records.map(draftOfRecord), tokenRecord(token, present)];
  return sign(checks, withAcceptedSigner(records, present, signer), signer, options, present);
}

/**
 * Removes a token from a token list.
 *
 * @param serialNumber in hex, as the list or as the certificate has it; colons and blanks are allowed.
 * @throws RefusalError `A2`, `A5`, `A9`, `last-token`, `signing-token`, `no-such-token`, `wrong-mode`.
 */
export async function removeToken(
  present: TrustList,
  serialNumber: string,
  signer: Signer,
  options: CtlOptions,
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  requireMode(present, 'token', 'to-token');
  const tokens = tokenRecords(present);
  const leaving = findToken(tokens, serialNumber);
  if (tokens.length === 1) {
    throw new RefusalError('last-token', 'this is the last token of the list: nobody could sign the next one', {
      hint: 'add another token first, or go tokenless with "ctl to-tokenless"',
    });
  }
  if (holdsCertificate(leaving, signer.certificate)) {
    throw new RefusalError('signing-token', 'the token that is to be removed cannot sign the list without it', {
      hint: 'sign with a token that stays: give its URI with --token',
    });
  }
  checkSignerPresent(checks, present, signer.certificate);
  const records = present.records.filter((record) => record !== leaving).map(draftOfRecord);
  const complete = withAcceptedSigner(records, present, signer);
  checkTokenCount(checks, countSigners(complete));
  return sign(checks, complete, signer, options, present);
}

/**
 * From tokens to the cluster's own key.
 *
 * @param signer holds the key of {@link tokenlessSigner}.
 * @throws RefusalError `A9`, `wrong-mode`, `too-large`; InputError `cluster-file`.
 */
export async function toTokenless(
  present: TrustList,
  cluster: Cluster,
  signer: Signer,
  options: CtlOptions,
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  requireMode(present, 'token', 'update');
  noticeTokensToTokenless(checks, present, signer.certificate);
  return sign(checks, tokenlessLayout(cluster, present), signer, options, present);
}

/**
 * From the cluster's own key to tokens.
 *
 * @param tokens the SAST certificates of the tokens, two or more, all in the cluster file's Phone-SAST-trust.
 * @throws RefusalError `A3`, `A5`, `A9`, `A14`, `wrong-mode`, `too-large`; InputError `cluster-file`.
 */
export async function toToken(
  present: TrustList,
  cluster: Cluster,
  tokens: readonly Certificate[],
  signer: Signer,
  options: CtlOptions,
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  requireMode(present, 'tokenless', 'update');
  const all = tokensWithSigner(tokens, signer);
  checkTokensAllowed(checks, cluster.release);
  checkTokenCount(checks, all.length);
  checkTokensUploaded(checks, cluster, all);
  return sign(checks, tokenLayout(cluster, all, present), signer, options, present);
}

/**
 * Empties the servers of a list, as a cluster's change to non-secure does; signers and CAPF stay whole. Phones keep
 * the CTL they have when the file is only taken away (rule P2): this list is what takes the servers out of it.
 *
 * @throws RefusalError `A2`, `A9`, `too-large`.
 */
export async function toNonSecure(present: TrustList, signer: Signer, options: CtlOptions): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  checkSignerPresent(checks, present, signer.certificate);
  const records = present.records.map((record) =>
    isServerRecord(record) && record.function !== recordFunction.capf ? emptiedRecord(record) : draftOfRecord(record),
  );
  return sign(checks, withAcceptedSigner(records, present, signer), signer, options, present);
}

/**
 * Signs a list again as it is, by any signer that is in it.
 *
 * @throws RefusalError `A2`, `A9`, `A14`.
 */
export async function signCtl(
  present: TrustList,
  signer: Signer,
  options: CtlOptions & { readonly release?: Release | undefined },
): Promise<CtlResult> {
  const checks = new Checks(options.accept);
  if (ctlMode(present) === 'token') checkTokensAllowed(checks, options.release);
  checkSignerPresent(checks, present, signer.certificate);
  const records = present.records.map(draftOfRecord);
  return sign(checks, withAcceptedSigner(records, present, signer), signer, options, present);
}

/** The signer's certificate first, then the other tokens, each once. */
function tokensWithSigner(tokens: readonly Certificate[], signer: Signer): readonly Certificate[] {
  const all: Certificate[] = [signer.certificate];
  for (const token of tokens) {
    if (!all.some((other) => equalBytes(other.der, token.der))) all.push(token);
  }
  return all;
}

function findToken(tokens: readonly TrustListRecord[], serialNumber: string): TrustListRecord {
  const wanted = parseHex(serialNumber);
  const fits = (record: TrustListRecord): boolean => {
    const serial = record.serialNumber ?? new Uint8Array();
    return wanted !== undefined && (equalBytes(serial, wanted) || equalBytes(serial, wanted.slice().reverse()));
  };
  const found = tokens.find(fits);
  if (found !== undefined) return found;
  const there = tokens.map((record) => formatHex(record.serialNumber ?? new Uint8Array(), ':').toUpperCase());
  throw new RefusalError('no-such-token', `no token of the list has serial ${serialNumber}`, {
    hint: `its tokens have the serials ${there.join(', ')}`,
  });
}

function requireMode(present: TrustList, wanted: CtlMode, instead: string): void {
  const mode = ctlMode(present);
  if (mode === wanted) return;
  throw new RefusalError('wrong-mode', `the list is a ${mode} list; this wants a ${wanted} one`, {
    hint: `use "ctl ${instead}" with this list`,
  });
}
