import type { Answer, DeletionCondition, DeletionConditionName } from './diagnosis.js';
import { isCtlDoubtful, sha1Of, type DiagnosisCase } from './diagnosis-case.js';
import { isUnrelated } from './diagnosis-relation.js';
import { tvsCertificateDiffers } from './diagnosis-tvs.js';
import type { PhoneLog, PhoneLogEvent } from './phone-log.js';

/** The four conditions of A12, in its order. */
export function judgeConditions(opened: DiagnosisCase): readonly DeletionCondition[] {
  return [itlDiffers(opened), tvsCertificateDiffers(opened), verificationFailed(opened), noOldKeyBackup(opened)];
}

/** How to learn whether a condition holds. */
export function howToLearn(opened: DiagnosisCase, condition: DeletionConditionName): string {
  if (condition !== 'tvs-certificate-differs') return toLearn[condition];
  const { held } = opened;
  const parts = [
    ...(held.itl.kind === 'known'
      ? []
      : ['--held-itl with the ITL that the phone holds (from a backup of the TFTP server that has its checksum)']),
    ...(isCtlDoubtful(opened)
      ? ['--held-ctl with the CTL that the phone holds, or --phone-ctl-checksum none if it holds none']
      : []),
    '--tvs HOST or --tvs-certificate FILE for each TVS server that the lists of the phone name, or --cluster with all of them',
    ...(isUnrelated(opened)
      ? [
          'unless the phone was moved here from another cluster: where nodes were renamed, their TVS certificates are gone, and this condition holds',
        ]
      : []),
  ];
  return `whether the phone still knows a TVS server: ${parts.join('; ')}`;
}

const toLearn: Readonly<Record<Exclude<DeletionConditionName, 'tvs-certificate-differs'>, string>> = {
  'itl-differs':
    "whether the phone's ITL is the server's: --itl with the server's file (tftp get HOST ITLFile.tlv), and --phone-itl-checksum with what the phone shows (Settings, Security Configuration, Trust List, ITL File), or --log with its DeviceTLInfo alarm",
  'verification-failed':
    'whether the phone reports that its ITL failed to verify: --log with its console log or status messages (web page of the phone) of its last boot, or --phone-verification failed or passed, as its status messages say',
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

/** Whether somebody says that the phone's ITL failed to verify, and where. */
interface Report {
  readonly answer: Answer;
  readonly evidence: string;
}

/** What is told and what the logs say. Nobody knows which of two that contradict each other is the later one. */
function verificationFailed({ evidence: { verificationFailed: told, logs = [] } }: DiagnosisCase): DeletionCondition {
  const condition = 'verification-failed';
  const words = told === true ? 'it was told that the phone reports it' : 'it was told that the phone reports none';
  const reports = [
    ...(told === undefined ? [] : [{ answer: told ? 'yes' : 'no', evidence: words } as const]),
    ...logs.map(reportOf).filter((report) => report !== undefined),
  ];
  const [first] = reports;
  if (first === undefined) {
    const evidence =
      logs.length === 0 ? 'no log that shows it was given' : 'the log says nothing of what became of the ITL';
    return { condition, answer: 'unknown', evidence };
  }
  const all = reports.map(({ evidence }) => evidence).join('; ');
  if (reports.every(({ answer }) => answer === first.answer)) {
    return { condition, answer: first.answer, evidence: first.evidence };
  }
  return { condition, answer: 'unknown', evidence: `what was given contradicts itself: ${all}` };
}

type LoggedDecision = Extract<PhoneLogEvent, { readonly kind: 'accepted' | 'rejected' }>;

/** What a log says last of the ITL. Status messages do not name the list: such a one may be the ITL. */
function reportOf({ source, events }: PhoneLog): Report | undefined {
  let last: Report | undefined;
  let before: LoggedDecision | undefined;
  for (const event of events) {
    if (event.kind !== 'accepted' && event.kind !== 'rejected') continue;
    const where = `${source}, line ${String(event.line)}`;
    const [isItl, isUnnamed] = [event.what === 'itl', event.what === 'unknown'];
    const name = isItl ? 'its ITL' : 'a list';
    if ((isItl || isUnnamed) && event.kind === 'rejected') {
      last = { answer: 'yes', evidence: `${where}: the phone rejected ${name}` };
      before = event;
    } else if (isItl || (isUnnamed && before?.what !== 'itl')) {
      last = { answer: 'no', evidence: `${where}: the phone accepted ${name}` };
      before = event;
    } else if (before?.kind === 'rejected' && event.kind === 'accepted' && mayBeTheSame(before, event)) {
      last = { answer: 'unknown', evidence: `${where}: the phone took a list, which may be another than it rejected` };
    }
  }
  return last;
}

/** One of the two is not named. */
function mayBeTheSame({ what: rejected }: LoggedDecision, { what: accepted }: LoggedDecision): boolean {
  return accepted === 'unknown' || (accepted === 'ctl' && rejected === 'unknown');
}

function noOldKeyBackup({ evidence: { oldKeyBackup } }: DiagnosisCase): DeletionCondition {
  const condition = 'no-old-key-backup';
  if (oldKeyBackup === undefined) return { condition, answer: 'unknown', evidence: 'nobody told whether one exists' };
  return oldKeyBackup
    ? { condition, answer: 'no', evidence: 'it was told that a backup exists' }
    : { condition, answer: 'yes', evidence: 'it was told that no backup exists' };
}
