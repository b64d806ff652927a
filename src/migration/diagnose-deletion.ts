import { verifyTrustList } from '../trust-list/index.js';
import {
  deletionConditions,
  type Answer,
  type DeletionCondition,
  type DeletionConditionName,
  type DeletionDiagnosis,
  type DeletionVerdict,
  type DiagnosisFinding,
} from './diagnosis.js';
import type { DiagnosisCase } from './diagnosis-case.js';
import { howToLearn, judgeConditions } from './diagnose-conditions.js';
import { findHelpfulDeletion, findWayOut, type HelpfulDeletion } from './diagnose-ways-out.js';

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
  const conditions = judgeConditions(opened);
  const diagnosis = { conditions, ...decideOn(opened, conditions) };
  return { diagnosis, finding: diagnosis.verdict === 'must' ? mustBeDeleted(diagnosis) : undefined };
}

type Decided = Omit<DeletionDiagnosis, 'conditions'>;

function needNot(reason: string, whatToDo: readonly string[]): Decided {
  return { verdict: 'need-not', reason, whatToDo, missing: [] };
}

function cannotTell(reason: string, missing: readonly string[]): Decided {
  return { verdict: 'cannot-tell', reason, whatToDo: [], missing };
}

function decideOn(opened: DiagnosisCase, conditions: readonly DeletionCondition[]): Decided {
  if (!opened.securityByDefault) {
    return needNot('the device has no Security by Default, and so no ITL (P11): only its CTL counts', [
      'look at the CTL instead: when the device rejects the new one, its CTL must be deleted by hand',
    ]);
  }
  if (isBroken(opened)) {
    return cannotTell(
      "the server's ITL does not verify: the phone takes it neither now nor after a deletion (P7, A9)",
      ["a server's ITL that verifies: repair it first, as the findings say, then ask again"],
    );
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
  const unknown = conditions.filter(({ answer }) => answer === 'unknown');
  if (unknown.length > 0) {
    return cannotTell(
      `${String(unknown.length)} of the four conditions cannot be told from what was given`,
      unknown.map(({ condition }) => howToLearn(opened, condition)),
    );
  }
  return decideOnDeletion(findHelpfulDeletion(opened));
}

/** All four conditions hold: what is deleted is what frees the phone. */
function decideOnDeletion(deletion: HelpfulDeletion | undefined): Decided {
  const reason = 'all four conditions hold, and no key that the phone still trusts is left';
  switch (deletion?.kind) {
    case 'itl':
      return { verdict: 'must', reason, whatToDo: [...before, atThePhone.itl, ...after], missing: [] };
    case 'both':
      return {
        verdict: 'must',
        reason: `${reason}; its CTL must be deleted with it, for by that alone it still rejects the server's ITL (${deletion.reason})`,
        whatToDo: [...before, atThePhone.both, ...after],
        missing: [],
      };
    case 'neither':
      return cannotTell(
        `all four conditions hold, but not even a phone without CTL and ITL takes the server's ITL (${deletion.reason})`,
        [
          'lists on the server that a phone without any takes: update the CTL, so that it knows the signer of the ITL (where tokens cannot: make it tokenless), restart TFTP, give both files (--ctl, --itl), and ask again; CTL and ITL are then deleted together',
        ],
      );
    case undefined:
      return cannotTell('what the phone holds is not at hand', [
        'the lists that the phone holds: --held-itl, --held-ctl',
      ]);
  }
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

const before: readonly string[] = [
  'look once more for a backup (DRS) that has the old CallManager key, on every node: it saves going to each phone',
];

const atThePhone = {
  itl: 'at the phone: Settings, Security Configuration, Trust List, ITL File, unlock with **#, Erase; on others: Admin settings, Reset settings, Security',
  both: 'at the phone delete CTL and ITL: Settings, Security Configuration, Trust List, unlock with **#, Erase both CTL File and ITL File; on others: Admin settings, Reset settings, Security',
} as const;

const after: readonly string[] = [
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

/** A list that does not verify is not taken after a deletion either. */
function isBroken({ served: { itl } }: DiagnosisCase): boolean {
  return itl !== undefined && (itl.list === undefined || !verifyTrustList(itl.list).verified);
}
