import { deleteTrustList, type Boot, type Rule } from '../phone/index.js';
import { carryOut, type Trial } from './carry-out.js';
import type { Move } from './moves.js';
import type { Action } from './plan.js';
import type { PhoneGroup } from './situation.js';
import { bootInWorld, isRejectedList, works, type TrialPhone } from './trial.js';
import type { World } from './world.js';

/** Why a phone no longer works. */
export interface Failure {
  /** How many actions had been done: 0 is before the first. */
  readonly after: number;
  readonly rule: Rule | undefined;
  readonly reason: string;
}

/** A way that was tried so far: the servers, a phone of each group, and what was done. */
export interface Attempt {
  readonly world: World;
  /** By group; `undefined` where nobody knows what the phones hold. */
  readonly phones: readonly (TrialPhone | undefined)[];
  readonly actions: readonly Action[];
  /** The groups that do not work now, since when and why. */
  readonly failures: ReadonlyMap<number, Failure>;
  /** How many phones were there after each restart that did not work, all restarts together. */
  readonly outage: number;
  /** By group: how many phones it stands for. */
  readonly sizes: readonly number[];
}

/** Does a move on trial. @throws RefusalError where a flow refuses. */
export async function attemptMove(trial: Trial, before: Attempt, move: Move): Promise<Attempt> {
  let attempt = before;
  for (const action of move.actions) attempt = await attemptAction(trial, attempt, action);
  return attempt;
}

/** Does one action on trial. @throws RefusalError where a flow refuses. */
export async function attemptAction(trial: Trial, before: Attempt, action: Action): Promise<Attempt> {
  const world = await carryOut(trial, before.world, action);
  const attempt = { ...before, world, actions: [...before.actions, action] };
  if (action.kind === 'restart-phones') return restartPhones(attempt);
  if (action.kind !== 'delete-list') return attempt;
  const phones = attempt.phones.map((phone, index) => {
    const isMeant = phone !== undefined && action.groups.includes(index);
    return isMeant ? { ...phone, state: deleteTrustList(phone.state, action.list) } : phone;
  });
  return { ...attempt, phones };
}

/** Every phone restarts. One that works again is no failure any more. */
export function restartPhones(attempt: Attempt): Attempt {
  const failures = new Map(attempt.failures);
  const phones = attempt.phones.map((phone, index) => {
    if (phone === undefined) return undefined;
    const boot = bootInWorld(attempt.world, phone);
    if (works(boot)) failures.delete(index);
    else if (!failures.has(index)) failures.set(index, { after: attempt.actions.length, ...reasonOf(boot) });
    return boot.phone;
  });
  let failing = 0;
  for (const index of failures.keys()) failing += attempt.sizes[index] ?? 0;
  return { ...attempt, phones, failures, outage: attempt.outage + failing };
}

/** Whether all phones that worked at the start would work if they restarted now. */
export function isSafe(start: Attempt, attempt: Attempt): boolean {
  return attempt.phones.every((phone, index) => {
    return phone === undefined || start.failures.has(index) || works(bootInWorld(attempt.world, phone));
  });
}

/** How many phones do not work. */
export function countFailing({ failures }: Attempt, groups: readonly PhoneGroup[]): number {
  let count = 0;
  for (const index of failures.keys()) count += groups[index]?.devices.length ?? 0;
  return count;
}

function reasonOf({ decisions }: Boot): Pick<Failure, 'rule' | 'reason'> {
  const rejected =
    decisions.find(isRejectedList) ?? decisions.find(({ decision }) => !decision.accepted && decision.rule !== 'P2');
  if (rejected === undefined) return { rule: undefined, reason: 'it finds no configuration' };
  const { file, decision } = rejected;
  return { rule: decision.rule, reason: `it rejects ${shownName(file)}: ${decision.reason}` };
}

/** Phones of a trial have no name of their own. */
function shownName(file: string): string {
  return file.startsWith('SEP') ? 'its configuration' : file;
}
