import { diagnosisChecks, type Diagnosis, type DiagnosisEvidence, type DiagnosisFinding } from './diagnosis.js';
import { openCase } from './diagnosis-case.js';
import { checkOtherCluster } from './diagnose-clusters.js';
import { judgeDeletionOf } from './diagnose-deletion.js';
import { checkHeldLists } from './diagnose-held.js';
import { checkHeldState } from './diagnose-held-state.js';
import { checkLogs } from './diagnose-logs.js';
import { checkServedLists } from './diagnose-served.js';
import { checkSigners } from './diagnose-signers.js';
import { checkTvs } from './diagnose-tvs.js';

/**
 * Says why phones do not take what a server gives them, by rule, and what to do. Takes what is at hand: what is left out
 * is not known, and is never guessed at.
 */
export function diagnose(evidence: DiagnosisEvidence): Diagnosis {
  const opened = openCase(evidence);
  const deletion = judgeDeletionOf(opened);
  const findings = [
    ...checkServedLists(opened),
    ...checkHeldLists(opened),
    ...checkHeldState(opened),
    ...checkOtherCluster(opened),
    ...checkSigners(opened),
    ...checkTvs(opened),
    ...checkLogs(opened),
    ...(deletion.finding === undefined ? [] : [deletion.finding]),
  ];
  return {
    wrong: findings.some(({ severity }) => severity !== 'note'),
    findings: findings.sort(byImportance),
    deletion: deletion.diagnosis,
  };
}

const severities: readonly DiagnosisFinding['severity'][] = ['error', 'warning', 'note'];

function byImportance(left: DiagnosisFinding, right: DiagnosisFinding): number {
  return (
    severities.indexOf(left.severity) - severities.indexOf(right.severity) ||
    diagnosisChecks.indexOf(left.check) - diagnosisChecks.indexOf(right.check)
  );
}
