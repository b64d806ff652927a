import { printable } from '../bytes/index.js';
import { nodeCertificate, publisherOf, type Cluster } from '../cluster/index.js';
import { FormatError, NetworkError } from '../errors.js';
import type { Action, ListSigner } from '../migration/index.js';
import { decodeTrustList, verifyTrustList, type TrustList } from '../trust-list/index.js';
import { decodeCertificate, formatName, type Certificate } from '../x509/index.js';
import type { LiveServers } from './live-servers.js';
import { sha1Of } from './migration-work.js';

/** What a check found. */
export type CheckOutcome =
  | {
      readonly holds: true;
      /** What was seen, as one line. */
      readonly seen: string;
      /** The CTL that is served, where the check was about one that this tool did not build. */
      readonly list?: Uint8Array | undefined;
    }
  | {
      readonly holds: false;
      /** `before`: it is as it was before the step. `other`: it is neither that nor what the step wants. */
      readonly state: 'before' | 'other';
      readonly seen: string;
    };

/** What checks are looked at with. */
export interface CheckContext {
  readonly servers: LiveServers;
  readonly cluster: Cluster;
  /** What the step does that is looked at. */
  readonly action: Action;
  /** SHA-1 of each certificate before the first step, by `<node> <name>`. */
  readonly certificatesBefore: Readonly<Record<string, string>>;
  /** SHA-1 of the CTL before the step; none when there was none. */
  readonly before: string | undefined;
  /** SHA-1 of the list that a step built. */
  readonly builtBy: (step: string) => string | undefined;
  /** The whole certificate of a note. */
  readonly certificateOf: (sha1: string) => Promise<Certificate>;
}

/** A list with the certificate of its signer, or why it is no list that verifies. */
export function readSigned(
  bytes: Uint8Array,
): { readonly list: TrustList; readonly signer: Uint8Array | undefined } | { readonly problem: string } {
  let list: TrustList;
  try {
    list = decodeTrustList(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { problem: `is no trust list (${printable(error.message)})` };
  }
  const verification = verifyTrustList(list);
  if (!verification.verified) return { problem: `does not verify: ${verification.reason}` };
  return { list, signer: verification.signer.certificate };
}

/** The certificate that a list must be signed with. */
export async function signerOf(
  signer: ListSigner,
  { cluster, certificateOf }: Pick<CheckContext, 'cluster' | 'certificateOf'>,
): Promise<Certificate> {
  if (signer.kind === 'token') return certificateOf(signer.certificate.sha1);
  return nodeCertificate(publisherOf(cluster), signer.name);
}

/** A certificate in a message. */
export function describe(certificate: Certificate): string {
  return `${printable(formatName(certificate.subject))} (SHA-1 ${sha1Of(certificate.der)})`;
}

/** A certificate of a list in a message. */
export function describeDer(der: Uint8Array): string {
  try {
    return describe(decodeCertificate(der));
  } catch {
    return `a certificate with SHA-1 ${sha1Of(der)}`;
  }
}

/** A check that failed, as the error that ends the command. */
export function notAsExpected(step: string, seen: readonly string[]): NetworkError {
  return new NetworkError('not-as-expected', `step ${step} is not done: ${seen.join('; ')}`, {
    hint: 'nothing further was done; correct it, then run the command again',
  });
}
