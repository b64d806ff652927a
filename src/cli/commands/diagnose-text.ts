import { printable } from '../../bytes/index.js';
import type {
  DeletionConditionName,
  DeletionDiagnosis,
  DeletionVerdict,
  Diagnosis,
  DiagnosisFinding,
} from '../../migration/index.js';

const conditionWords: Readonly<Record<DeletionConditionName, string>> = {
  'itl-differs': "the phone's ITL differs from the server's",
  'tvs-certificate-differs': "the TVS certificate differs from the one in the phone's ITL",
  'verification-failed': 'the phone reports a failed verification',
  'no-old-key-backup': 'no backup of the old TFTP private key exists',
};

const verdictWords: Readonly<Record<DeletionVerdict, string>> = {
  must: 'yes, it must be deleted by hand',
  'need-not': 'no, it need not be deleted',
  'cannot-tell': 'cannot be told yet',
};

/** A diagnosis to read: the findings, the most important first, then A12. */
export function formatDiagnosis({ findings, deletion }: Diagnosis): string {
  const [errors, warnings] = (['error', 'warning'] as const).map(
    (severity) => findings.filter((finding) => finding.severity === severity).length,
  );
  const head =
    errors === 0 && warnings === 0
      ? 'nothing wrong was found in what was given'
      : `${count(errors ?? 0, 'error')}, ${count(warnings ?? 0, 'warning')}`;
  return [head, '', ...findings.flatMap(formatFinding), ...formatDeletion(deletion)]
    .map((line) => `${line}\n`)
    .join('');
}

function count(number: number, word: string): string {
  return `${String(number)} ${word}${number === 1 ? '' : 's'}`;
}

function formatFinding(finding: DiagnosisFinding): readonly string[] {
  const { rule, severity, what, evidence, whatToDo } = finding;
  return [
    `${severity}${rule === undefined ? '' : ` (${rule})`}: ${printable(what)}`,
    ...evidence.map((line) => `    ${printable(line)}`),
    ...whatToDo.map((line) => `  do: ${printable(line)}`),
    '',
  ];
}

function formatDeletion({ verdict, reason, conditions, whatToDo, missing }: DeletionDiagnosis): readonly string[] {
  return [
    'Does the ITL of this phone have to be deleted (A12)? Only if all four are yes:',
    ...conditions.map(
      ({ condition, answer, evidence }) =>
        `  ${answer.padEnd(7)}  ${conditionWords[condition]} (${printable(evidence)})`,
    ),
    `Answer: ${verdictWords[verdict]}: ${printable(reason)}`,
    ...whatToDo.map((line) => `  do: ${printable(line)}`),
    ...missing.map((line) => `  missing: ${printable(line)}`),
  ];
}

/** A diagnosis with stable keys. */
export function describeDiagnosis({ wrong, findings, deletion }: Diagnosis): object {
  const { verdict, reason, conditions, whatToDo, missing } = deletion;
  return {
    wrong,
    findings: findings.map((finding) => ({
      rule: finding.rule ?? null,
      check: finding.check,
      severity: finding.severity,
      list: finding.list ?? null,
      what: finding.what,
      evidence: finding.evidence,
      whatToDo: finding.whatToDo,
    })),
    deletion: { rule: 'A12', verdict, reason, conditions, whatToDo, missing },
  };
}
