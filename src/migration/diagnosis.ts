import type { Cluster } from '../cluster/index.js';
import type { Rule, TvsReply } from '../phone/index.js';
import type { PhoneLog } from './phone-log.js';
import type { HeldList } from './situation.js';

/** Which of the two lists something is about. */
export type DiagnosisList = 'ctl' | 'itl';

/** A rule of phone-rules.md: what a phone does (P), or what follows for an administrator (A). */
export type DiagnosisRule =
  Rule | 'A1' | 'A3' | 'A4' | 'A5' | 'A6' | 'A7' | 'A8' | 'A9' | 'A10' | 'A12' | 'A13' | 'A14';

/** What came of connecting to one TVS server. */
export type TvsEvidence =
  | {
      readonly kind: 'answered';
      /** As it was named, with its port. */
      readonly server: string;
      /** What the server showed, DER. */
      readonly certificate: Uint8Array;
      readonly replies: readonly TvsSignerReply[];
    }
  | { readonly kind: 'unreachable'; readonly server: string; readonly reason: string };

/** What a TVS server answered about one signer. */
export interface TvsSignerReply {
  readonly issuerName: string;
  readonly serialNumber: Uint8Array;
  readonly reply: TvsReply;
}

/** A certificate in a file that is said to be that of TVS. */
export interface TvsCertificateEvidence {
  /** Where it is from, e.g. the name of the file. */
  readonly name: string;
  /** DER. */
  readonly certificate: Uint8Array;
}

/** What is at hand, any part of it. What is left out is not known. */
export interface DiagnosisEvidence {
  /** The files of the TFTP server, byte for byte, whether they are lists or not. */
  readonly served?: { readonly ctl?: Uint8Array | undefined; readonly itl?: Uint8Array | undefined } | undefined;
  /** What the phone holds. */
  readonly held?: { readonly ctl?: HeldList | undefined; readonly itl?: HeldList | undefined } | undefined;
  /** Whether the device has an ITL and TVS (rule P11): yes unless told. */
  readonly securityByDefault?: boolean | undefined;
  /** The signed configuration that the phone is served (`SEP<MAC>.cnf.xml.sgn`). */
  readonly configuration?: Uint8Array | undefined;
  readonly cluster?: Cluster | undefined;
  /** The TVS servers of the phone's configuration, in its order; three at most count. */
  readonly tvs?: readonly TvsEvidence[] | undefined;
  readonly tvsCertificates?: readonly TvsCertificateEvidence[] | undefined;
  readonly logs?: readonly PhoneLog[] | undefined;
  /** Whether the phone itself reports that a list or its configuration failed to verify. */
  readonly verificationFailed?: boolean | undefined;
  /** Whether a backup of the old TFTP (CallManager) private key exists. */
  readonly oldKeyBackup?: boolean | undefined;
  /** Seconds since 1970-01-01 UTC. */
  readonly now: number;
}

/** `error`: phones do not take a list or cannot work. `warning`: something to be done. `note`: good to know. */
export type DiagnosisSeverity = 'error' | 'warning' | 'note';

/** What is looked for, the most important first. */
export const diagnosisChecks = [
  'list-unreadable',
  'list-of-other-kind',
  'no-signing-record',
  'not-verified',
  'must-be-deleted',
  'other-cluster',
  'both-renewed',
  'signers-renewed',
  'list-rejected',
  'configuration-rejected',
  'tokens-end',
  'tokenless-too-early',
  'tokenless-to-tokens',
  'tokens-to-tokenless',
  'signer-renewed',
  'tvs-certificate',
  'tvs-not-trusted',
  'tvs-roles',
  'tvs-unreachable',
  'rejected-in-log',
  'tvs-refused-in-log',
  'tvs-failed-in-log',
  'central-tftp-in-log',
  'signer-not-current',
  'one-token',
  'tvs-certificate-file',
  'needs-tvs',
  'list-differs',
  'ctl-left-over',
  'empty-itl',
  'held-is-another',
  'no-security-by-default',
  'list-would-be-taken',
  'list-same',
  'accepted-in-log',
  'tvs-answered-in-log',
  'several-phones-in-log',
  'nothing-in-log',
] as const;

export type DiagnosisCheck = (typeof diagnosisChecks)[number];

/** One thing that was found. */
export interface DiagnosisFinding {
  /** The rule that it follows from; `undefined` where the rules have none. */
  readonly rule: DiagnosisRule | undefined;
  readonly check: DiagnosisCheck;
  readonly severity: DiagnosisSeverity;
  /** The list that it is about, if one. */
  readonly list: DiagnosisList | undefined;
  /** One sentence. */
  readonly what: string;
  /** What shows it, a sentence each. */
  readonly evidence: readonly string[];
  /** A sentence each, in the order in which to do it. */
  readonly whatToDo: readonly string[];
}

/** Whether one of the four conditions of A12 holds. */
export type Answer = 'yes' | 'no' | 'unknown';

/** The four conditions of A12, in its order. */
export const deletionConditions = [
  'itl-differs',
  'tvs-certificate-differs',
  'verification-failed',
  'no-old-key-backup',
] as const;

export type DeletionConditionName = (typeof deletionConditions)[number];

/** One condition of A12, and what shows it. */
export interface DeletionCondition {
  readonly condition: DeletionConditionName;
  readonly answer: Answer;
  readonly evidence: string;
}

/** Whether the phone's ITL has to be deleted by hand. */
export type DeletionVerdict = 'must' | 'need-not' | 'cannot-tell';

/** The answer to "does this ITL really have to be deleted?" (A12). */
export interface DeletionDiagnosis {
  readonly verdict: DeletionVerdict;
  /** Why, in one sentence. */
  readonly reason: string;
  readonly conditions: readonly DeletionCondition[];
  /** Of `must` and `need-not`: what to do, or what to do instead. */
  readonly whatToDo: readonly string[];
  /** Of `cannot-tell`: what is missing, and how to get it. */
  readonly missing: readonly string[];
}

/** What is wrong, and what to do. */
export interface Diagnosis {
  /** Whether anything is: an error or a warning was found. */
  readonly wrong: boolean;
  /** The most important first. */
  readonly findings: readonly DiagnosisFinding[];
  readonly deletion: DeletionDiagnosis;
}
