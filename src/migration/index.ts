export {
  type Action,
  type CertificateNote,
  type CtlFlow,
  type Finding,
  type GroupVerdict,
  type ListSigner,
  type Performer,
  type Plan,
  type PlanEnd,
  type Step,
  type StepCheck,
} from './plan.js';
export { planMigration, type PlanOptions } from './planner.js';
export {
  type CentralTftp,
  type HeldList,
  type PhoneGroup,
  type Renaming,
  type Renewal,
  type Situation,
  type TvsState,
  type Wanted,
  type WantedMode,
} from './situation.js';
export { checkPlanFile, formatPlan, parsePlan, parsePlanFile, planDigest, type PlanFileCheck } from './plan-file.js';
export {
  checkJournalPlan,
  formatJournalEntry,
  journalHead,
  parseJournal,
  type Journal,
  type JournalEntry,
} from './journal.js';
export {
  leavesTraces,
  nextStep,
  progressOf,
  wayBack,
  type Progress,
  type StepProgress,
  type StepState,
  type WayBack,
} from './progress.js';
export { parseDeviceTlInfo, type DeviceTlInfo } from './alarm.js';
export { formatPhonesCsv, verdictColumns } from './fleet-csv.js';
export {
  judgeAgainst,
  offerList,
  tvsIsSilent,
  tvsOfCluster,
  tvsServersOf,
  type Acceptance,
  type TvsAnswers,
} from './fleet-offer.js';
export {
  judgeFleet,
  type FleetFate,
  type FleetVerdict,
  type ListVerdict,
  type Offer,
  type OfferedList,
} from './fleet-verdict.js';
export { groupPhones, joinInventories, type Fleet, type GroupOptions, type UnknownList } from './fleet.js';
export { columnNames, type ColumnMeaning } from './inventory-columns.js';
export { hasSecurityByDefault } from './inventory-models.js';
export {
  untold,
  type Inventory,
  type InventoryPhone,
  type InventoryProblem,
  type InventorySource,
  type InventoryState,
  type UnusableLines,
  type UnusableRow,
} from './inventory-phone.js';
export { InventoryReader, readInventory } from './inventory.js';
export { KnownLists, type KnownList } from './known-lists.js';
export { diagnose } from './diagnose.js';
export { judgeDeletion } from './diagnose-deletion.js';
export { signersToAsk } from './diagnose-tvs.js';
export {
  deletionConditions,
  diagnosisChecks,
  type Answer,
  type DeletionCondition,
  type DeletionConditionName,
  type DeletionDiagnosis,
  type DeletionVerdict,
  type Diagnosis,
  type DiagnosisCheck,
  type DiagnosisEvidence,
  type DiagnosisFinding,
  type DiagnosisList,
  type DiagnosisRule,
  type DiagnosisSeverity,
  type TvsCertificateEvidence,
  type TvsEvidence,
  type TvsSignerReply,
} from './diagnosis.js';
export {
  readPhoneLog,
  type LoggedDigest,
  type LoggedFile,
  type PhoneLog,
  type PhoneLogEvent,
  type TvsLogQuestion,
} from './phone-log.js';
