import { createHash } from 'node:crypto';
import { clusterFileError, loadYaml, readYamlText, type ClusterProblem, type YamlKind } from '../cluster/index.js';
import { findFalseClaims } from './plan-claims.js';
import { findPlanContradictions } from './plan-contradictions.js';
import { checkPlanShape } from './plan-schema.js';
import type { Plan } from './plan.js';

const planFileKind: YamlKind = {
  name: 'plan file',
  subject: 'plan',
  writtenBy: 'migrate plan',
  largestText: 4 * 1024 * 1024,
  mostValues: 300_000,
};

const head = `# A way from one state of a cluster to another, made by "etoken-bridge migrate plan".
#
#   etoken-bridge migrate show FILE                    what it does, and which phones it loses
#   etoken-bridge migrate apply FILE --cluster FILE    walks it, each step checked against the servers
#   etoken-bridge migrate undo FILE --cluster FILE     back to the last safe state
#
# The steps are done in this order. who: tool (etoken-bridge does it), administrator (at the cluster) or phones.
# safe: whether it is well to stop after the step. Once "migrate apply" has begun, the plan must not be changed.
# digest: of the plan as it was tried with the phones. An edited plan is applied with a warning: nobody tried it.
`;

/** A plan as text: YAML with a commented head, one block for each step. {@link parsePlan} reads it. */
export function formatPlan(plan: Plan): string {
  const { Document, isMap, isSeq } = loadYaml();
  const document = new Document(inOrder({ ...plan, digest: planDigest(plan) }));
  document.commentBefore = head.replaceAll(/^#/gm, '').trimEnd();
  const steps = document.get('steps');
  if (isSeq(steps)) {
    for (const [index, step] of steps.items.entries()) if (isMap(step)) step.spaceBefore = index > 0;
  }
  return document.toString({ lineWidth: 0, indentSeq: true });
}

/** The keys of plans in the order in which people read them. */
const keyOrder: readonly string[] = [
  ...['version', 'created', 'digest', 'from', 'to', 'findings', 'steps', 'phones'],
  ...['id', 'who', 'title', 'action', 'requires', 'instructions', 'checks', 'undo', 'safe'],
  ...[
    'kind',
    'check',
    'severity',
    'message',
    'advice',
    'mode',
    'wanted',
    'release',
    'securityMode',
    'store',
    'ctl',
    'itls',
  ],
  ...['flow', 'node', 'nodes', 'file', 'built', 'signer', 'tokens', 'accept', 'certificates'],
  ...['subject', 'serialNumber', 'sha1', 'certificate', 'name', 'role', 'before', 'question', 'list'],
  ...['total', 'kept', 'lost', 'unknown', 'group', 'count', 'devices', 'securityByDefault', 'outcome', 'step'],
  ...['rule', 'reason', 'deletion', 'groups'],
];
const placeOfKey: ReadonlyMap<string, number> = new Map(keyOrder.map((key, index) => [key, index]));

/** Plain data with its keys in order, without those that stand for nothing. */
function inOrder(plan: object): object {
  const text = JSON.stringify(plan, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const place = (key: string): number => placeOfKey.get(key) ?? keyOrder.length;
    return Object.fromEntries(Object.entries(value).sort(([left], [right]) => place(left) - place(right)));
  });
  return JSON.parse(text) as object;
}

/**
 * Reads a plan from its text.
 *
 * @param name the name of the file, for errors.
 * @throws InputError `plan-file` with every problem, each with its line, column and key.
 */
export function parsePlan(text: string, name: string): Plan {
  return parsePlanFile(text, name).plan;
}

/**
 * Reads a plan, and tells whether it was edited.
 *
 * @throws InputError `plan-file` as {@link parsePlan}
 */
export function parsePlanFile(text: string, name: string): { readonly plan: Plan; readonly isEdited: boolean } {
  const { plan, isEdited, problems } = checkPlanFile(text);
  if (plan === undefined) throw clusterFileError(name, problems, 'plan-file');
  return { plan, isEdited };
}

/** What {@link checkPlanFile} finds: the plan, or what is wrong with it. */
export interface PlanFileCheck {
  readonly plan: Plan | undefined;
  /** Whether the plan is another than the one that was written, so that what it says of the phones was tried by nobody. */
  readonly isEdited: boolean;
  readonly problems: readonly ClusterProblem[];
}

/** Checks the text of a plan; all problems are found in one go. */
export function checkPlanFile(text: string): PlanFileCheck {
  const yaml = readYamlText(text.replace(/^\ufeff/, ''), planFileKind);
  if (yaml.value === undefined || yaml.problems.length > 0) return broken(yaml.problems);
  if (yaml.value === null) return broken([emptyFile]);
  const { plan, digest, problems: shapeProblems } = checkPlanShape(yaml);
  const newer = shapeProblems.find(({ keyPath }) => keyPath === 'version');
  // Of another version nothing else can be said.
  if (newer !== undefined) return broken([newer]);
  const claims = plan === undefined ? [] : findFalseClaims(plan, yaml);
  const problems = [...shapeProblems, ...findPlanContradictions(yaml), ...claims];
  if (plan === undefined || problems.length > 0) return broken(problems);
  return { plan, isEdited: digest !== planDigest(plan), problems };
}

function broken(problems: readonly ClusterProblem[]): PlanFileCheck {
  return { plan: undefined, isEdited: false, problems };
}

const emptyFile: ClusterProblem = {
  code: 'empty',
  line: 1,
  column: 1,
  keyPath: '',
  message: 'the file is empty, or holds only comments',
  hint: 'let `migrate plan` write one',
};

/** SHA-256 of what a plan says, whatever its comments and blanks: lower-case hex. A journal belongs to one of these. */
export function planDigest(plan: Plan): string {
  return createHash('sha256').update(canonical(plan)).digest('hex');
}

/** JSON with its keys in order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)));
  });
}
