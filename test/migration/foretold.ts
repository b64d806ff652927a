import { expect } from 'vitest';
import type { Plan } from '../../src/migration/index.js';
import type { Boot, FileDecision } from '../../src/phone/index.js';
import type { LabRun } from './lab-run.js';

/** Whether a phone took all that it was offered, and registers. */
export function isWorking({ decisions, registered }: Boot): boolean {
  return registered && decisions.every((one) => one.decision.accepted || !isRejection(one));
}

/** A rejected list counts; a phone without lists may pass over its signed configuration and take the unsigned one. */
function isRejection({ file, decision }: FileDecision): boolean {
  return /^(CTL|ITL)/.test(file) && !decision.accepted && decision.rule !== 'P2';
}

/** The rule by which a phone was lost. */
function ruleOf({ decisions }: Boot): string {
  const rejected = decisions.find(isRejection) ?? decisions.findLast(({ decision }) => !decision.accepted);
  return rejected?.decision.rule ?? 'none';
}

/** The first of the steps that put right by hand what the others lose. */
function beginOfRescue({ steps }: Plan): number {
  let begin = steps.length - 1;
  while (['delete-list', 'remove-ctl-file'].includes(steps[begin - 1]?.action.kind ?? '')) begin -= 1;
  return begin;
}

/** Runs a plan in the lab and says of each phone after which step it no longer worked, by which rule. */
async function runPlan(
  run: LabRun,
  plan: Plan,
): Promise<{ lost: (string | undefined)[]; rescued: readonly boolean[] }> {
  const failures = (await run.boot()).map((boot) => (isWorking(boot) ? undefined : ` ${ruleOf(boot)}`));
  const lostAt: (string | undefined)[] = [];
  const hasRescue = plan.phones.groups.some(({ deletion }) => deletion !== undefined);
  const rescueBegins = hasRescue ? beginOfRescue(plan) : plan.steps.length;
  for (const [index, step] of plan.steps.entries()) {
    if (index === rescueBegins) lostAt.push(...failures);
    if (step.action.kind !== 'restart-phones') {
      await run.carryOut(step);
      continue;
    }
    const boots = await run.boot();
    for (const [phone, boot] of boots.entries()) {
      if (isWorking(boot)) failures[phone] = undefined;
      else failures[phone] ??= `${step.id} ${ruleOf(boot)}`;
    }
  }
  if (rescueBegins >= plan.steps.length) lostAt.push(...failures);
  return { lost: lostAt, rescued: failures.map((failure) => failure === undefined) };
}

/** The phones of the lab are lost where, when and by which rule the plan foretells, and work again as it foretells. */
export async function expectForetold(run: LabRun, plan: Plan, name: string): Promise<void> {
  const { lost, rescued } = await runPlan(run, plan);
  const foretold = plan.phones.groups.map(({ outcome, step, rule }) =>
    outcome === 'lost' ? `${step ?? ''} ${rule ?? 'none'}` : undefined,
  );
  expect([name, lost]).toEqual([name, foretold]);
  const works = plan.phones.groups.map(({ outcome, deletion }) => outcome === 'kept' || deletion !== undefined);
  expect([name, rescued]).toEqual([name, works]);
}
