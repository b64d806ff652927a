import { ctlMode } from '../ctl/index.js';
import { acceptsTvsServer } from '../phone/index.js';
import { recordFunction, verifyTrustList, type TrustListRecord } from '../trust-list/index.js';
import {
  deletionConditions,
  type Answer,
  type DeletionCondition,
  type DeletionConditionName,
  type DeletionDiagnosis,
  type DeletionVerdict,
  type DiagnosisFinding,
} from './diagnosis.js';
import {
  filledRecords,
  heldList,
  holdSame,
  sha1Of,
  tvsCertificates,
  type DiagnosisCase,
  phoneWithLists,
} from './diagnosis-case.js';
import { offerAll } from './diagnosis-offers.js';

/** The answer to A12, and the finding when the ITL must be deleted. */
export interface JudgedDeletion {
  readonly diagnosis: DeletionDiagnosis;
  readonly finding: DiagnosisFinding | undefined;
}

/** A12: the ITL needs deleting by hand only if all four conditions hold. */
export function judgeDeletion(answers: Readonly<Record<DeletionConditionName, Answer>>): DeletionVerdict {
  const all = deletionConditions.map((condition) => answers[condition]);
  if (all.includes('no')) return 'need-not';
  return all.includes('unknown') ? 'cannot-tell' : 'must';
}

/** "Does this ITL really have to be deleted?" */
export function judgeDeletionOf(opened: DiagnosisCase): JudgedDeletion {
  const conditions = [
    itlDiffers(opened),
    tvsCertificateDiffers(opened),
    verificationFailed(opened),
    noOldKeyBackup(opened),
  ];
  const diagnosis = { conditions, ...decideOn(opened, conditions) };
  return { diagnosis, finding: diagnosis.verdict === 'must' ? mustBeDeleted(diagnosis) : undefined };
}

type Decided = Omit<DeletionDiagnosis, 'conditions'>;

function decideOn(opened: DiagnosisCase, conditions: readonly DeletionCondition[]): Decided {
  const needNot = (reason: string, whatToDo: readonly string[]): Decided => {
    return { verdict: 'need-not', reason, whatToDo, missing: [] };
  };
  if (!opened.securityByDefault) {
    return needNot('the device has no Security by Default, and so no ITL (P11): only its CTL counts', [
      'look at the CTL instead: when the device rejects the new one, its CTL must be deleted by hand',
    ]);
  }
  const failing = conditions.filter(({ answer }) => answer === 'no');
  if (failing.length > 0) {
    return needNot(
      failing.map(({ condition }) => unmet[condition].reason).join('; and '),
      failing.flatMap(({ condition }) => unmet[condition].instead),
    );
  }
  const wayOut = findWayOut(opened);
  if (wayOut !== undefined) return needNot(wayOut.reason, wayOut.instead);
  const repair = needsRepair(opened);
  const unknown = conditions.filter(({ answer }) => answer === 'unknown');
  if (unknown.length > 0 || repair !== undefined) {
    const missing = [...(repair === undefined ? [] : [repair]), ...unknown.map(({ condition }) => toLearn[condition])];
    const reason =
      repair === undefined
        ? `${String(unknown.length)} of the four conditions cannot be told from what was given`
        : "the server's ITL does not verify, so that the phone would not take it after a deletion either (P3)";
    return { verdict: 'cannot-tell', reason, whatToDo: [], missing };
  }
  return {
    verdict: 'must',
    reason: 'all four conditions hold, and no key that the phone still trusts is left',
    whatToDo: howToDelete,
    missing: [],
  };
}

function mustBeDeleted({ reason, whatToDo, conditions }: DeletionDiagnosis): DiagnosisFinding {
  return {
    rule: 'A12',
    check: 'must-be-deleted',
    severity: 'error',
    list: 'itl',
    what: `the ITL of the phone must be deleted by hand: ${reason}`,
    evidence: conditions.map(({ evidence }) => evidence),
    whatToDo,
  };
}

const howToDelete: readonly string[] = [
  'look once more for a backup (DRS) that has the old CallManager key, on every node: it saves going to each phone',
  'at the phone: Settings, Security Configuration, Trust List, ITL File, unlock with **#, Erase; on others: Admin settings, Reset settings, Security',
  'try one phone first: it must then take the list of the server and register',
  'from now on renew CallManager and TVS one at a time, and let all phones fetch the new ITL in between (A1)',
];

/** What follows when a condition does not hold. */
const unmet: Readonly<Record<DeletionConditionName, { readonly reason: string; readonly instead: readonly string[] }>> =
  {
    'itl-differs': {
      reason: "the phone holds no ITL that differs from the server's",
      instead: [
        "the ITL is not the problem: look at the CTL, at the signer of the phone's configuration, and at the TFTP server that the phone really asks",
      ],
    },
    'tvs-certificate-differs': {
      reason: 'the phone still knows the certificate of a TVS server, which can vouch for the new signer',
      instead: [
        'see that TVS runs on that node, that it is among the TVS servers of the phone, and that it knows the signer (restart TVS after a renewal)',
        'reset the phone: it asks TVS and takes the new ITL by itself',
        'do not renew TVS before every phone has the new ITL',
      ],
    },
    'verification-failed': {
      reason: 'the phone reports no failed verification',
      instead: [
        'reset the phone and look at its status messages or console log: it may not have asked for the new ITL yet, or ask another TFTP server',
      ],
    },
    'no-old-key-backup': {
      reason: 'a backup of the old TFTP private key exists',
      instead: [
        'restore the old CallManager certificate and key from the backup (DRS) on the TFTP node, and restart TFTP: it signs with a key that the phone trusts',
        'let every phone fetch that ITL, then renew again: CallManager first, all phones, TVS after it (A1)',
      ],
    },
  };

/** How to learn whether a condition holds. */
const toLearn: Readonly<Record<DeletionConditionName, string>> = {
  'itl-differs':
    "whether the phone's ITL is the server's: --itl with the server's file (tftp get HOST ITLFile.tlv), and --phone-itl-checksum with what the phone shows (Settings, Security Configuration, Trust List, ITL File), or --log with its DeviceTLInfo alarm",
  'tvs-certificate-differs':
    "whether the phone's ITL knows the TVS certificate: --held-itl with the ITL that the phone holds (from a backup of the TFTP server that has its checksum), and --tvs HOST or --tvs-certificate FILE",
  'verification-failed':
    'whether the phone reports a failed verification: --log with its console log or status messages (web page of the phone), or --phone-verification failed or passed, as its status messages say',
  'no-old-key-backup':
    'whether a backup of the old TFTP private key exists: look for a DRS backup from before the renewal, then --old-key-backup yes or no',
};

function itlDiffers({ same, held, served }: DiagnosisCase): DeletionCondition {
  const condition = 'itl-differs';
  const { itl } = held;
  if (itl.kind === 'none') return { condition, answer: 'no', evidence: 'the phone holds no ITL' };
  if (itl.kind === 'untold')
    return { condition, answer: 'unknown', evidence: 'nothing is told of the ITL that the phone holds' };
  const ofPhone = itl.kind === 'unknown' ? itl.digest : sha1Of(itl.list);
  if (served.itl === undefined || same.itl === undefined) {
    return { condition, answer: 'unknown', evidence: `the phone's ITL is ${ofPhone}; the server's was not given` };
  }
  const { sha1, md5 } = served.itl;
  return same.itl
    ? { condition, answer: 'no', evidence: `both are ${ofPhone}` }
    : {
        condition,
        answer: 'yes',
        evidence: `the phone's is ${ofPhone}, the server's ${ofPhone.length === 32 ? md5 : sha1}`,
      };
}

/** Whether the phone knows no TVS server any more. Its CTL may name one too (P9). */
export function tvsCertificateDiffers(opened: DiagnosisCase): DeletionCondition {
  const condition = 'tvs-certificate-differs';
  if (!opened.securityByDefault) return { condition, answer: 'unknown', evidence: 'the device asks no TVS (P11)' };
  const itl = heldList(opened, 'itl');
  if (itl === undefined) {
    return { condition, answer: 'unknown', evidence: 'the ITL that the phone holds is not at hand' };
  }
  const phone = phoneWithLists(opened);
  const { certificates, incomplete } = tvsCertificates(opened);
  for (const { name, certificate } of certificates) {
    const decision = acceptsTvsServer(phone, certificate);
    if (decision.accepted) return { condition, answer: 'no', evidence: `${name}: ${decision.reason} of the phone` };
  }
  if (filledRecords(itl, recordFunction.tvs).length === 0 && opened.held.ctl.kind !== 'unknown') {
    return { condition, answer: 'yes', evidence: "no TVS certificate is in the phone's ITL" };
  }
  if (certificates.length === 0 || incomplete) {
    const silent = opened.tvs.filter(({ kind }) => kind === 'unreachable').map(({ server }) => server);
    const why = silent.length === 0 ? 'no TVS certificate was given' : `TVS ${silent.join(', ')} showed none`;
    return { condition, answer: 'unknown', evidence: why };
  }
  const names = certificates.map(({ name }) => name).join(', ');
  return { condition, answer: 'yes', evidence: `${names}: not the certificate of a TVS record in the phone's lists` };
}

function verificationFailed({ evidence }: DiagnosisCase): DeletionCondition {
  const condition = 'verification-failed';
  const { verificationFailed: told, logs = [] } = evidence;
  // What the phone said last about each file counts: it may have recovered.
  const last = new Map<string, { readonly rejected: boolean; readonly where: string }>();
  for (const { source, events } of logs) {
    for (const event of events) {
      if (event.kind !== 'accepted' && event.kind !== 'rejected') continue;
      last.set(event.what, { rejected: event.kind === 'rejected', where: `${source}, line ${String(event.line)}` });
    }
  }
  const rejected = [...last].find(([, outcome]) => outcome.rejected);
  if (rejected !== undefined) {
    const what = rejected[0] === 'unknown' ? 'a list' : `its ${loggedNames[rejected[0]] ?? ''}`;
    return { condition, answer: 'yes', evidence: `${rejected[1].where}: the phone rejected ${what}` };
  }
  if (told !== undefined) {
    return {
      condition,
      answer: told ? 'yes' : 'no',
      evidence: told ? 'it was told that the phone reports it' : 'it was told that the phone reports none',
    };
  }
  if (last.size > 0)
    return { condition, answer: 'no', evidence: 'the log shows files accepted, and none rejected after' };
  return { condition, answer: 'unknown', evidence: 'no log that shows it was given' };
}

const loggedNames: Readonly<Record<string, string>> = { ctl: 'CTL', itl: 'ITL', configuration: 'configuration' };

function noOldKeyBackup({ evidence: { oldKeyBackup } }: DiagnosisCase): DeletionCondition {
  const condition = 'no-old-key-backup';
  if (oldKeyBackup === undefined) return { condition, answer: 'unknown', evidence: 'nobody told whether one exists' };
  return oldKeyBackup
    ? { condition, answer: 'no', evidence: 'it was told that a backup exists' }
    : { condition, answer: 'yes', evidence: 'it was told that no backup exists' };
}

/** A list that does not verify is not taken after a deletion either. */
function needsRepair({ served: { itl } }: DiagnosisCase): string | undefined {
  if (itl === undefined || (itl.list !== undefined && verifyTrustList(itl.list).verified)) return undefined;
  return "a server's ITL that verifies: repair it first, as the findings say, then ask again";
}

interface WayOut {
  readonly reason: string;
  readonly instead: readonly string[];
}

/** Keys that the phone trusts and the cluster still has: with one of them no phone needs to be touched. */
function findWayOut(opened: DiagnosisCase): WayOut | undefined {
  const silent = offerAll(opened, 'silent');
  if (silent?.itl?.accepted === true) {
    return {
      reason: `the phone takes the server's ITL by the lists that it holds (${silent.itl.rule})`,
      instead: ['reset the phone, and see that it asks the TFTP server that has this ITL'],
    };
  }
  const asked = opened.tvs.length === 0 ? undefined : offerAll(opened, 'asked');
  if (asked?.itl?.accepted === true) {
    return {
      reason: `the phone takes the server's ITL by what TVS says (${asked.itl.rule})`,
      instead: ['reset the phone while TVS runs'],
    };
  }
  return recoveryKey(opened) ?? tokenOfCtl(opened);
}

/** From 10.0 the ITL holds the ITLRecovery certificate as a signer, and "utils itl reset" signs with its key. */
function recoveryKey(opened: DiagnosisCase): WayOut | undefined {
  const held = filledRecords(heldList(opened, 'itl'), recordFunction.sast);
  const present = opened.evidence.cluster?.nodes.map(({ certificates }) => certificates.ITLRecovery?.der) ?? [];
  const served = filledRecords(opened.served.itl?.list, recordFunction.sast).filter(isRecovery);
  const known = held.some(
    (record) =>
      isRecovery(record) &&
      (served.some((other) => holdSame(record, other)) ||
        present.some((der) => der !== undefined && holdSame(record, { ...record, certificate: der }))),
  );
  if (!known) return undefined;
  return {
    reason: "the phone's ITL knows the ITLRecovery certificate as a signer, and the cluster still has it",
    instead: [
      'run "utils itl reset localkey" on the publisher (the key is on it; a saved ITLRecovery.p12: "utils itl reset remotekey"): the ITL is then signed by ITLRecovery',
      'restart TVS and TFTP on every node that runs them, then reset the phones: they take it by P5, without TVS',
      'only if that fails for a phone, delete its ITL by hand',
    ],
  };
}

function isRecovery({ subjectName = '' }: TrustListRecord): boolean {
  return /(?:^|[;,]\s*)cn="?ITLRECOVERY/i.test(subjectName);
}

/** A token that signed the phone's CTL carries it over to a new CTL, and that to the new ITL. */
function tokenOfCtl(opened: DiagnosisCase): WayOut | undefined {
  const ctl = heldList(opened, 'ctl');
  if (ctl === undefined || ctlMode(ctl) !== 'token') return undefined;
  return {
    reason: "the phone's CTL is signed by a token, which carries it over",
    instead: [
      'update the CTL with one of its tokens ("etoken-bridge ctl update" or the CTL client), so that it holds the new CallManager certificate; restart TFTP',
      'reset the phones: they take the CTL by the token, and the ITL by the CTL (P5)',
      'only if all tokens are lost, delete CTL and ITL by hand (A5)',
    ],
  };
}
