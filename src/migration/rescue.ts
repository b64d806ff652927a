import { deleteTrustList } from '../phone/index.js';
import { attemptAction, type Attempt } from './attempt.js';
import type { Trial } from './carry-out.js';
import type { Action } from './plan.js';
import { bootInWorld, works, type TrialPhone } from './trial.js';
import type { World } from './world.js';

const deletions = ['ctl', 'itl', 'both'] as const;

/**
 * What must be done by hand for the phones that a way loses: the fewest lists deleted at each of them that make it work
 * again. Where the CTL that is served would only lead them back to where they are, such as an emptied one phones without
 * Security by Default, the file is taken from the servers first. Phones that nothing helps are left out.
 */
export async function findRescue(trial: Trial, attempt: Attempt): Promise<readonly Action[]> {
  const remove: Action = { kind: 'remove-ctl-file' };
  const asItIs = deletionsFor(attempt);
  const helped = asItIs.flatMap(({ groups }) => groups).length;
  const { ctl } = attempt.world.source;
  if (helped < attempt.failures.size && ctl !== undefined) {
    const without = await attemptAction(trial, attempt, remove);
    const then = deletionsFor(without);
    if (then.flatMap(({ groups }) => groups).length > helped) return [remove, ...then, { kind: 'restart-phones' }];
  }
  return asItIs.length === 0 ? [] : [...asItIs, { kind: 'restart-phones' }];
}

function deletionsFor(attempt: Attempt): readonly Extract<Action, { kind: 'delete-list' }>[] {
  const groups = new Map<(typeof deletions)[number], number[]>();
  for (const index of attempt.failures.keys()) {
    const phone = attempt.phones[index];
    const list = phone === undefined ? undefined : deletions.find((one) => helps(attempt.world, phone, one));
    if (list !== undefined) groups.set(list, [...(groups.get(list) ?? []), index]);
  }
  return [...groups].map(([list, meant]) => ({ kind: 'delete-list', list, groups: meant }));
}

function helps(world: World, phone: TrialPhone, list: (typeof deletions)[number]): boolean {
  const { ctl, itl } = phone.state;
  if (list !== 'itl' && ctl === undefined) return false;
  if (list !== 'ctl' && itl === undefined) return false;
  return works(bootInWorld(world, { ...phone, state: deleteTrustList(phone.state, list) }));
}
