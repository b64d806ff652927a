import type { KeyObject } from 'node:crypto';
import type { AcceptableCheck } from '../ctl/index.js';
import { RefusalError } from '../errors.js';
import { generateRsaKey, type Certificate } from '../x509/index.js';
import { attemptAction, isSafe, restartPhones, type Attempt } from './attempt.js';
import type { Trial } from './carry-out.js';
import { requireConsistency } from './consistency.js';
import { findDangers } from './dangers.js';
import { untold } from './inventory-phone.js';
import type { Action, Finding, GroupVerdict, Plan, PlanEnd, Step } from './plan.js';
import { describeStart, examineCtl, modeOf, sha1Of } from './present.js';
import { findRescue } from './rescue.js';
import { searchWay } from './search.js';
import type { HeldList, PhoneGroup, Situation, Wanted } from './situation.js';
import { StandIns } from './stand-ins.js';
import { describeStep } from './steps.js';
import { startPhone } from './trial.js';
import { prepareStandIns, serve } from './world.js';

/** How a plan is made. */
export interface PlanOptions {
  /** The moment it is. */
  readonly now: Date;
  /** Checks that are let through. */
  readonly accept?: readonly AcceptableCheck[] | undefined;
  /** Where the RSA keys come from that stand in for those that are elsewhere, by a number; new ones unless given. */
  readonly makeKey?: ((index: number) => Promise<KeyObject>) | undefined;
}

/** The devices that a plan names of each group. */
const shownDevices = 5;

/**
 * Plans the way from a situation to what is wanted. Every way is tried with the phones of the situation: lists are built
 * by the flows of `ctl` and `itl` with keys that stand in for the real ones, and the phones decide by the rules of
 * `phone`. The plan names the phones that it loses, the step and the rule.
 *
 * @throws RefusalError with the number of the check when every way is refused; InputError `usage` for a wish that names
 *   what is not there, `cluster-file` when the cluster file contradicts the lists.
 */
export async function planMigration(situation: Situation, wanted: Wanted, options: PlanOptions): Promise<Plan> {
  const accept = options.accept ?? [];
  requireConsistency(situation, wanted);
  const dangers = findDangers(situation, wanted);
  refuse(dangers.filter(({ severity, check }) => severity === 'refused' && !accept.includes(check)));
  const standIns = new StandIns(options.makeKey ?? (() => generateRsaKey(1024)));
  const trial: Trial = { standIns, known: knownCertificates(situation, wanted), accept };
  const start = await begin(standIns, situation, wanted, Math.floor(options.now.getTime() / 1000));
  const found = await searchWay(trial, { situation, wanted, start, isBehind: isBehind(situation) });
  if (found.attempt === undefined) {
    throw found.refusal ?? new RefusalError('wrong-mode', 'there is no way from the present state to the wanted one');
  }
  const rescue = await findRescue(trial, found.attempt);
  const actions = withNewNames([...found.attempt.actions, ...rescue]);
  const { steps, end } = await writeDown(trial, start, actions, situation);
  return {
    version: 1,
    created: options.now.toISOString(),
    from: describeStart(situation),
    to: describeEnd(end, wanted),
    findings: acceptedFindings(dangers, accept),
    steps,
    phones: describePhones(found.attempt, situation.phones, steps, rescue),
  };
}

/** Those that no other token and no other list helps come first. */
const gravest: readonly Finding['check'][] = ['A9', 'A14', 'A8'];

/** @throws RefusalError for the gravest of them. */
function refuse(refused: readonly Finding[]): void {
  const first = refused.find(({ check }) => gravest.includes(check)) ?? refused[0];
  if (first === undefined) return;
  const others = refused.filter((one) => one !== first).map(({ check, message }) => `; and ${check}: ${message}`);
  const hint = `${first.advice}; --accept ${first.check} lets this one through`;
  throw new RefusalError(first.check, `${first.message}${others.join('')}`, { hint });
}

/** The servers and phones before anything is done; phones that do not work now are failures from the beginning. */
async function begin(standIns: StandIns, situation: Situation, wanted: Wanted, now: number): Promise<Attempt> {
  // All twins first: a list that is rewritten before one of them is there would name the real certificate.
  await prepareStandIns(standIns, situation);
  if (wanted.destination !== undefined) await prepareStandIns(standIns, { ...wanted.destination, tokens: [] });
  const source = await serve(standIns, situation, now);
  const destination = wanted.destination === undefined ? undefined : await serve(standIns, wanted.destination, now);
  const phones = situation.phones.map((group) => startPhone(standIns, source, group));
  const world = { source, destination, hasMoved: false, newNames: {}, addedTvs: [], built: undefined, now };
  const sizes = situation.phones.map(({ devices }) => devices.length);
  return { world, phones, actions: [], failures: new Map(), outage: 0, sizes };
}

/** Whether phones hold other lists than the servers offer: a plan begins with phones that are up to date. */
function isBehind(situation: Situation): boolean {
  return situation.phones.some((group) => isOther(group.ctl, situation) || isOther(group.itl, situation));
}

function isOther(held: HeldList, { ctl, itls }: Situation): boolean {
  if (held.kind !== 'known') return false;
  const served = [ctl, ...Object.values(itls)].filter((list) => list !== undefined);
  const digest = sha1Of(held.list.bytes);
  return !served.some((list) => list === held.list || sha1Of(list.bytes) === digest);
}

function knownCertificates({ cluster, tokens }: Situation, { destination }: Wanted): readonly Certificate[] {
  const clusters = destination === undefined ? [cluster] : [cluster, destination.cluster];
  return [
    ...tokens,
    ...clusters.flatMap(({ nodes, trustStores }) => [
      ...nodes.flatMap(({ certificates }) => Object.values(certificates)),
      ...Object.values(trustStores).flat(),
    ]),
  ];
}

/** After a node got another name, the steps that follow call it so. */
function withNewNames(actions: readonly Action[]): readonly Action[] {
  const names = new Map<string, string>();
  const named = (node: string): string => names.get(node) ?? node;
  return actions.map((action) => {
    if (action.kind === 'rename') names.set(action.node, action.name);
    else if ('node' in action) return { ...action, node: named(action.node) };
    else if ('nodes' in action) return { ...action, nodes: action.nodes.map(named) };
    return action;
  });
}

/** Goes the whole way once more, to say of each step whether it is well to stop after it. */
async function writeDown(
  trial: Trial,
  start: Attempt,
  actions: readonly Action[],
  situation: Situation,
): Promise<{ readonly steps: readonly Step[]; readonly end: Attempt }> {
  const steps: Step[] = [];
  const begun = restartPhones(start);
  let attempt = begun;
  let built = '';
  for (const [index, action] of actions.entries()) {
    const id = `${String(index + 1)}-${action.kind}`;
    const named = writtenAction(action, built, trial.accept);
    if (action.kind === 'build-ctl') built = id;
    const before = attempt.world.source;
    attempt = await attemptAction(trial, attempt, action);
    const safe = action.kind !== 'delete-list' && isSafe(begun, attempt);
    const earlier = actions.slice(0, index);
    steps.push(describeStep(id, named, { situation, before, after: attempt.world.source, earlier, safe }));
  }
  return { steps, end: attempt };
}

/** With the step that built the list, and the checks that were let through: who walks the plan need not repeat them. */
function writtenAction(action: Action, built: string, accept: readonly AcceptableCheck[]): Action {
  if (action.kind === 'publish-ctl') return { ...action, built };
  return action.kind === 'build-ctl' ? { ...action, accept } : action;
}

function describeEnd({ world }: Attempt, wanted: Wanted): Plan['to'] {
  const { cluster, ctl } = world.source;
  const end: PlanEnd = { mode: modeOf(examineCtl({ ctl, tokens: [] })), release: cluster.release.text };
  return { ...end, wanted: wishOf(wanted) };
}

function wishOf({ mode, renewals = [], renamings = [], release }: Wanted): Plan['to']['wanted'] {
  if (mode !== undefined) return mode;
  if (renewals.length > 0 || renamings.length > 0) return 'certificates';
  return release === undefined ? 'cluster' : 'release';
}

function acceptedFindings(findings: readonly Finding[], accept: readonly AcceptableCheck[]): readonly Finding[] {
  return findings.map((finding) =>
    finding.severity === 'refused' && accept.includes(finding.check)
      ? { ...finding, severity: 'warning', message: `accepted: ${finding.message}` }
      : finding,
  );
}

function describePhones(
  { failures, phones }: Attempt,
  groups: readonly PhoneGroup[],
  steps: readonly Step[],
  rescue: readonly Action[],
): Plan['phones'] {
  const verdicts = groups.map((group, index): GroupVerdict => {
    const { devices, securityByDefault } = group;
    const common = { group: index, count: devices.length, devices: devices.slice(0, shownDevices), securityByDefault };
    if (phones[index] === undefined) return { ...common, outcome: 'unknown', reason: unknownLists(group) };
    const failure = failures.get(index);
    if (failure === undefined) return { ...common, outcome: 'kept' };
    const { after, rule, reason } = failure;
    const deleted = rescue.find((action) => action.kind === 'delete-list' && action.groups.includes(index));
    const deletion = deleted?.kind === 'delete-list' ? deleted.list : undefined;
    return { ...common, outcome: 'lost', step: steps[after - 1]?.id, rule, reason, deletion };
  });
  const count = (outcome: GroupVerdict['outcome']): number =>
    verdicts.filter((one) => one.outcome === outcome).reduce((sum, one) => sum + one.count, 0);
  const [kept, lost, unknown] = [count('kept'), count('lost'), count('unknown')];
  return { total: kept + lost + unknown, kept, lost, unknown, groups: verdicts };
}

function unknownLists({ ctl, itl }: PhoneGroup): string {
  const words = [['CTL', ctl] as const, ['ITL', itl] as const].flatMap(([kind, held]) => {
    if (held.kind !== 'unknown') return [];
    return [
      held.digest === untold ? `its ${kind} was not told` : `its ${kind} (${held.digest}) is none of the known lists`,
    ];
  });
  return words.join(', and ');
}
