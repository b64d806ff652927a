import type { z as Zod } from 'zod';
import {
  certificateNames,
  formatKeyPath,
  loadZod,
  quoted,
  securityModes,
  type ClusterProblem,
  type Place,
  type YamlText,
  type YamlValue,
} from '../cluster/index.js';
import {
  actionKinds,
  anyText,
  checkKinds,
  ctlFlows,
  deletedLists,
  endModes,
  fileName,
  findingChecks,
  moment,
  nodeName,
  outcomes,
  performers,
  release,
  rules,
  serial,
  sha1,
  sha1OrNothing,
  sha256,
  signerKinds,
  stepId,
  truth,
  versionOne,
  wantedEnds,
  whole,
  word,
  type Read,
} from './plan-entries.js';
import type { Plan } from './plan.js';

/** A plan as it stands in a file: with the digest that its writer gave it. */
type WrittenPlan = Plan & { readonly digest?: string | undefined };

let builtSchema: Zod.ZodType<WrittenPlan> | undefined;

function planSchema(): Zod.ZodType<WrittenPlan> {
  builtSchema ??= buildSchema(loadZod());
  return builtSchema;
}

type ScalarOf = <Value>(read: Read<Value>) => Zod.ZodPipe<Zod.ZodString, Zod.ZodTransform<Value, string>>;

function buildSchema(z: typeof Zod): Zod.ZodType<WrittenPlan> {
  const scalar: ScalarOf = (read) =>
    z.string().transform((text, context) => {
      const reading = read(text);
      if ('value' in reading) return reading.value;
      context.addIssue({ code: 'custom', message: reading.message, params: { hint: reading.hint } });
      return z.NEVER;
    });
  const texts = z.array(scalar(anyText));
  const end = {
    release: scalar(release),
    securityMode: scalar(word('security mode', securityModes)).optional(),
    ctl: scalar(sha1).optional(),
    itls: z.record(z.string(), scalar(sha1)).optional(),
    certificates: z.record(z.string(), scalar(sha1)).optional(),
  };
  const step = z.strictObject({
    id: scalar(stepId),
    who: scalar(word('performer', performers)),
    title: scalar(anyText),
    action: buildAction(z, scalar),
    requires: texts,
    instructions: texts,
    checks: z.array(buildCheck(z, scalar)),
    undo: texts,
    safe: scalar(truth),
  });
  const finding = z.strictObject({
    check: scalar(word('check', findingChecks)),
    severity: scalar(word('severity', ['refused', 'warning'] as const)),
    message: scalar(anyText),
    advice: scalar(anyText),
  });
  const count = scalar(whole(1_000_000_000));
  const verdict = z.strictObject({
    group: count,
    count,
    devices: texts,
    securityByDefault: scalar(truth),
    outcome: scalar(word('outcome', outcomes)),
    step: scalar(stepId).optional(),
    rule: scalar(word('rule of the phones', rules)).optional(),
    reason: scalar(anyText).optional(),
    deletion: scalar(word('list', deletedLists)).optional(),
  });
  return z.strictObject({
    version: scalar(versionOne),
    created: scalar(moment),
    digest: scalar(sha256).optional(),
    from: z.strictObject({ mode: scalar(word('mode', endModes)), ...end }),
    to: z.strictObject({
      mode: scalar(word('mode', endModes)),
      wanted: scalar(word('goal', wantedEnds)),
      ...end,
    }),
    findings: z.array(finding),
    steps: z.array(step),
    phones: z.strictObject({ total: count, kept: count, lost: count, unknown: count, groups: z.array(verdict) }),
  });
}

function buildNote(z: typeof Zod, scalar: ScalarOf) {
  return z.strictObject({ subject: scalar(anyText), serialNumber: scalar(serial), sha1: scalar(sha1) });
}

function buildListSigner(z: typeof Zod, scalar: ScalarOf) {
  return z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('token'), certificate: buildNote(z, scalar) }),
    z.strictObject({
      kind: z.literal('cluster'),
      name: scalar(word('signer', ['CallManager', 'ITLRecovery'] as const)),
    }),
  ]);
}

function buildAction(z: typeof Zod, scalar: ScalarOf) {
  const note = buildNote(z, scalar);
  const signer = buildListSigner(z, scalar);
  const flow = scalar(word('flow', ctlFlows));
  const securityMode = scalar(word('security mode', securityModes));
  const certificate = scalar(word('certificate', certificateNames));
  const list = scalar(word('list', deletedLists));
  return z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('upload'), store: scalar(anyText), certificates: z.array(note) }),
    z.strictObject({ kind: z.literal('start-tvs'), node: scalar(nodeName) }),
    z.strictObject({ kind: z.literal('add-tvs-servers'), nodes: z.array(scalar(nodeName)) }),
    z.strictObject({
      kind: z.literal('build-ctl'),
      flow,
      signer,
      tokens: z.array(note),
      accept: z.array(scalar(word('check', findingChecks))),
    }),
    z.strictObject({ kind: z.literal('publish-ctl'), built: scalar(stepId), securityMode }),
    z.strictObject({ kind: z.literal('cluster-ctl'), flow, signer, securityMode }),
    z.strictObject({ kind: z.literal('renew'), node: scalar(nodeName), certificate }),
    z.strictObject({ kind: z.literal('rename'), node: scalar(nodeName), name: scalar(nodeName) }),
    z.strictObject({ kind: z.literal('remove-ctl-file') }),
    z.strictObject({ kind: z.literal('empty-itls') }),
    z.strictObject({ kind: z.literal('fill-itls') }),
    z.strictObject({ kind: z.literal('change-release'), release: scalar(release) }),
    z.strictObject({ kind: z.literal('move-phones') }),
    z.strictObject({ kind: z.literal('restart-phones') }),
    z.strictObject({ kind: z.literal('delete-list'), list, groups: z.array(scalar(whole(1_000_000_000))) }),
  ]);
}

function buildCheck(z: typeof Zod, scalar: ScalarOf) {
  const note = buildNote(z, scalar);
  const served = { node: scalar(nodeName), file: scalar(fileName) };
  return z.discriminatedUnion('check', [
    z.strictObject({ check: z.literal('file-verifies') }),
    z.strictObject({ check: z.literal('tftp-serves'), ...served, built: scalar(stepId) }),
    z.strictObject({
      check: z.literal('tftp-serves-signed-by'),
      ...served,
      signer: buildListSigner(z, scalar),
      before: scalar(sha1).optional(),
    }),
    z.strictObject({ check: z.literal('tftp-lacks'), ...served }),
    z.strictObject({ check: z.literal('tvs-answers'), node: scalar(nodeName) }),
    z.strictObject({
      check: z.literal('tvs-vouches'),
      node: scalar(nodeName),
      certificate: note,
      role: scalar(whole(0xffff)),
    }),
    z.strictObject({
      check: z.literal('certificate-renewed'),
      node: scalar(nodeName),
      certificate: scalar(word('certificate', certificateNames)),
      // Of a certificate that an earlier step renews nothing is known yet.
      before: scalar(sha1OrNothing),
    }),
    z.strictObject({ check: z.literal('node-renamed'), node: scalar(nodeName), name: scalar(nodeName) }),
    z.strictObject({ check: z.literal('itl-emptied'), node: scalar(nodeName) }),
    z.strictObject({ check: z.literal('itl-filled'), node: scalar(nodeName) }),
    z.strictObject({ check: z.literal('confirm'), question: scalar(anyText) }),
  ]);
}

/** The plan, when its shape is right, and what is wrong with each entry by itself. */
export interface PlanShape {
  readonly plan: Plan | undefined;
  /** The digest that stands in the file. */
  readonly digest: string | undefined;
  readonly problems: readonly ClusterProblem[];
}

/** Checks each entry of a plan by itself: the keys, the types, the form of each value. */
export function checkPlanShape(yaml: YamlText): PlanShape {
  const result = planSchema().safeParse(yaml.value);
  if (result.success) {
    const { digest, ...plan } = result.data;
    return { plan, digest, problems: [] };
  }
  return {
    plan: undefined,
    digest: undefined,
    problems: result.error.issues.flatMap((issue) => explainIssue(issue, yaml)),
  };
}

const start: Place = { line: 1, column: 1 };
const compare = 'compare it with the plan that `migrate plan` writes';

/** What belongs to keys that are missing, by the key. */
const examples: Readonly<Partial<Record<string, string>>> = {
  version: 'write version: 1 at the top',
  id: 'every step has an id, e.g. id: 3-publish-ctl',
  who: `write e.g. who: administrator; the choices are ${performers.join(', ')}`,
  action: 'every step has an action with a kind, e.g. kind: publish-ctl',
  kind: `the kinds of action are ${actionKinds.join(', ')}`,
  check: `the checks are ${checkKinds.join(', ')}`,
  built: 'name the step that builds the list, e.g. built: 2-build-ctl',
  safe: 'write safe: true where it is well to stop after the step, else safe: false',
};

/** Zod's names of types in the words of someone who edits the file. */
const typeWords: Readonly<Partial<Record<string, string>>> = {
  string: 'a single value',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
};

function explainIssue(issue: Zod.core.$ZodIssue, yaml: YamlText): readonly ClusterProblem[] {
  const keyPath = formatKeyPath(issue.path);
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(key, issue.path, yaml));
  const value = valueAt(yaml.value, issue.path);
  if (value === undefined) {
    const holder = yaml.placeOf(formatKeyPath(issue.path.slice(0, -1))) ?? start;
    const key = String(issue.path.at(-1));
    const message = `the key ${quoted(key)} is missing`;
    return [{ code: 'missing-key', ...holder, keyPath, message, hint: examples[key] ?? compare }];
  }
  const place = yaml.placeOf(keyPath) ?? yaml.placeOfKey(keyPath) ?? start;
  if (issue.code === 'custom') {
    const { hint } = issue.params as { readonly hint: string };
    return [{ code: 'bad-value', ...place, keyPath, message: issue.message, hint }];
  }
  const lastKey = issue.path.at(-1);
  if (issue.code === 'invalid_union' && typeof value === 'string') {
    const isSigner = issue.path.at(-2) === 'signer';
    const kinds = isSigner ? signerKinds : lastKey === 'kind' ? actionKinds : checkKinds;
    const what = isSigner ? 'kind of signer' : lastKey === 'kind' ? 'action' : 'check';
    const reading = word<string>(what, kinds)(value);
    const { message, hint } = 'value' in reading ? { message: `the ${what} does not fit`, hint: compare } : reading;
    return [{ code: 'bad-value', ...place, keyPath, message: message.replace(' is no ', ' is an unknown '), hint }];
  }
  const expected = issue.code === 'invalid_type' ? typeWords[issue.expected] : undefined;
  const message = `${expected ?? 'a single value'} expected, not ${kindOf(value)}`;
  return [{ code: 'wrong-type', ...place, keyPath, message, hint: compare }];
}

function unknownKey(key: string, holder: readonly PropertyKey[], yaml: YamlText): ClusterProblem {
  const keyPath = formatKeyPath([...holder, key]);
  const place = yaml.placeOfKey(keyPath) ?? start;
  const where = holder.length === 0 ? 'a plan' : 'this place';
  return {
    code: 'unknown-key',
    ...place,
    keyPath,
    message: `unknown key ${quoted(key)}`,
    hint: `take it out, or correct it: ${where} has no such key`,
  };
}

function valueAt(value: YamlValue | undefined, path: readonly PropertyKey[]): YamlValue | undefined {
  let inner: unknown = value;
  for (const step of path) {
    inner = typeof inner === 'object' && inner !== null ? (inner as Record<PropertyKey, unknown>)[step] : undefined;
  }
  return inner as YamlValue | undefined;
}

function kindOf(value: YamlValue): string {
  if (value === null) return 'an empty value';
  if (typeof value === 'string') return `the text ${quoted(value)}`;
  return Array.isArray(value) ? 'a list' : 'a mapping';
}
