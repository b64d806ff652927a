import { createHash } from 'node:crypto';
import { equalBytes } from '../bytes/index.js';
import { FormatError } from '../errors.js';
import { createPhone, type PhoneState } from '../phone/index.js';
import { decodeSignedHeader, type SignedHeader } from '../signed-file/index.js';
import {
  decodeTrustList,
  recordFunction,
  recordHolds,
  type TrustList,
  type TrustListRecord,
} from '../trust-list/index.js';
import type { DiagnosisEvidence, DiagnosisList, TvsEvidence } from './diagnosis.js';
import type { HeldList } from './situation.js';

/** A file of the TFTP server. */
export interface ServedFile {
  readonly bytes: Uint8Array;
  /** Lower-case hex. */
  readonly sha1: string;
  readonly md5: string;
  /** The list, if the file is one. */
  readonly list: TrustList | undefined;
  /** Why it is none. */
  readonly fault: string | undefined;
}

/** What is known of a list that the phone holds; `untold`: nothing. */
export type HeldKnowledge = HeldList | { readonly kind: 'untold' };

/** The evidence, looked at once: what every check needs of it. */
export interface DiagnosisCase {
  readonly evidence: DiagnosisEvidence;
  readonly securityByDefault: boolean;
  readonly served: Readonly<Record<DiagnosisList, ServedFile | undefined>>;
  readonly held: Readonly<Record<DiagnosisList, HeldKnowledge>>;
  /** Of the list that the phone holds: whether it is the server's, byte for byte; `undefined` when nobody can tell. */
  readonly same: Readonly<Record<DiagnosisList, boolean | undefined>>;
  /** The checksums that the phone last reported by an alarm. */
  readonly reported: Readonly<Record<DiagnosisList, string | undefined>>;
  readonly tvs: readonly TvsEvidence[];
}

export const bothLists: readonly DiagnosisList[] = ['ctl', 'itl'];

/** What the lists are called in sentences. */
export const listNames: Readonly<Record<DiagnosisList, string>> = { ctl: 'CTL', itl: 'ITL' };

/** Looks at the evidence. */
export function openCase(evidence: DiagnosisEvidence): DiagnosisCase {
  const served = { ctl: serve(evidence.served?.ctl), itl: serve(evidence.served?.itl) };
  const reported = reportedDigests(evidence);
  const held = {
    ctl: knowHeld(evidence.held?.ctl, reported.ctl, served.ctl),
    itl: knowHeld(evidence.held?.itl, reported.itl, served.itl),
  };
  return {
    evidence,
    securityByDefault: evidence.securityByDefault ?? true,
    served,
    held,
    same: { ctl: isSame(held.ctl, served.ctl), itl: isSame(held.itl, served.itl) },
    reported,
    tvs: (evidence.tvs ?? []).slice(0, 3),
  };
}

function serve(bytes: Uint8Array | undefined): ServedFile | undefined {
  if (bytes === undefined) return undefined;
  const digest = (algorithm: string): string => createHash(algorithm).update(bytes).digest('hex');
  const file = { bytes, sha1: digest('sha1'), md5: digest('md5') };
  try {
    return { ...file, list: decodeTrustList(bytes), fault: undefined };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { ...file, list: undefined, fault: error.message };
  }
}

function reportedDigests({ logs = [] }: DiagnosisEvidence): Record<DiagnosisList, string | undefined> {
  const alarms = logs.flatMap(({ events }) => events).filter((event) => event.kind === 'alarm');
  const last = alarms.at(-1);
  return { ctl: last?.ctl, itl: last?.itl };
}

/** What was told counts before what a log says; a checksum that is the server's makes the list known. */
function knowHeld(
  told: HeldList | undefined,
  reported: string | undefined,
  served: ServedFile | undefined,
): HeldKnowledge {
  const held = told ?? fromReport(reported);
  if (held.kind !== 'unknown' || served?.list === undefined) return held;
  return hasDigest(served, held.digest) ? { kind: 'known', list: served.list } : held;
}

function fromReport(reported: string | undefined): HeldKnowledge {
  if (reported === undefined) return { kind: 'untold' };
  return reported === 'none' ? { kind: 'none' } : { kind: 'unknown', digest: reported };
}

/** Whether a file has a checksum, SHA-1 or MD5. */
export function hasDigest({ sha1, md5 }: Pick<ServedFile, 'sha1' | 'md5'>, digest: string): boolean {
  return digest === sha1 || digest === md5;
}

function isSame(held: HeldKnowledge, served: ServedFile | undefined): boolean | undefined {
  if (served === undefined || held.kind === 'untold') return undefined;
  if (held.kind === 'none') return false;
  if (held.kind === 'unknown') return hasDigest(served, held.digest);
  return equalBytes(held.list.bytes, served.bytes);
}

/** SHA-1 of a list, as phones show it. */
export function sha1Of(list: TrustList): string {
  return createHash('sha1').update(list.bytes).digest('hex');
}

/** The list that the phone holds, when it is at hand. */
export function heldList(opened: DiagnosisCase, kind: DiagnosisList): TrustList | undefined {
  const held = opened.held[kind];
  return held.kind === 'known' ? held.list : undefined;
}

/** The phone, and which of its lists were taken for none because nobody told. */
export interface Reckoning {
  readonly phone: PhoneState;
  readonly assumed: readonly DiagnosisList[];
}

/**
 * The phone with what it holds. A list that nobody told is taken for none, and named.
 *
 * @returns `undefined` when nothing is told of either list, or one is known by its checksum only.
 */
export function reckonPhone(opened: DiagnosisCase): Reckoning | undefined {
  const { held, securityByDefault, tvs } = opened;
  const wanted = securityByDefault ? bothLists : (['ctl'] as const);
  if (wanted.some((kind) => held[kind].kind === 'unknown')) return undefined;
  const assumed = wanted.filter((kind) => held[kind].kind === 'untold');
  if (assumed.length === wanted.length) return undefined;
  return {
    phone: phoneWithLists(
      opened,
      tvs.map(({ server }) => server),
    ),
    assumed,
  };
}

/** A phone with those of its lists that are at hand. Nothing that is decided here depends on its name or model. */
export function phoneWithLists(opened: DiagnosisCase, tvsServers: readonly string[] = []): PhoneState {
  const { securityByDefault } = opened;
  const profile = { mac: '000000000000', model: 'CP-8861', securityByDefault, encryptedConfiguration: false };
  return createPhone(profile, { ctl: heldList(opened, 'ctl'), itl: heldList(opened, 'itl'), tvsServers });
}

/**
 * Whether the phone may well hold a CTL that nobody gave: it reported one that is not at hand, or nobody told of one
 * though the cluster has one.
 */
export function isCtlDoubtful({ held, served, evidence }: DiagnosisCase): boolean {
  if (held.ctl.kind === 'unknown') return true;
  return held.ctl.kind === 'untold' && (served.ctl !== undefined || evidence.cluster?.securityMode === 'mixed');
}

/** The header of a signed file; `undefined` for what is none. */
export function signedHeaderOf(file: Uint8Array): SignedHeader | undefined {
  try {
    return decodeSignedHeader(file);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** The records of a list that hold a certificate or its hash for a function. */
export function filledRecords(list: TrustList | undefined, role?: number): readonly TrustListRecord[] {
  return (list?.records ?? []).filter(
    (record) =>
      (role === undefined || record.function === role) &&
      (record.certificate !== undefined || record.certificateHash !== undefined),
  );
}

/** Whether a list is an ITL without TFTP and TVS certificates (rule P6). */
export function isEmptyItl(list: TrustList): boolean {
  const { ccmTftp, tftp, tvs } = recordFunction;
  return [ccmTftp, tftp, tvs].every((role) => filledRecords(list, role).length === 0);
}

/** Whether two records hold the same certificate, by its whole or its hash. */
export function holdSame(left: TrustListRecord, right: TrustListRecord): boolean {
  if (left.certificate !== undefined) return recordHolds(right, left.certificate);
  if (right.certificate !== undefined) return recordHolds(left, right.certificate);
  const [one, other] = [left.certificateHash, right.certificateHash];
  return one !== undefined && other !== undefined && equalBytes(one, other);
}

/** Whether any record of one list holds a certificate that the other one holds too. */
export function shareCertificate(left: readonly TrustListRecord[], right: readonly TrustListRecord[]): boolean {
  return left.some((one) => right.some((other) => holdSame(one, other)));
}
