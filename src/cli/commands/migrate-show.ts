import { printable } from '../../bytes/index.js';
import { planDigest, type GroupVerdict, type Performer, type Plan } from '../../migration/index.js';
import { exitCode } from '../exit-code.js';
import { readPlan } from '../migration-run.js';
import { formatTable, type Output } from '../output.js';

const performers: Readonly<Record<Performer, string>> = {
  tool: 'etoken-bridge',
  administrator: 'administrator',
  phones: 'phones',
};

/** `migrate show`. */
export async function showPlan(path: string, output: Output): Promise<number> {
  const plan = await readPlan(path, output);
  output.result(formatSummary(plan), { path, digest: planDigest(plan), ...plan });
  return exitCode.done;
}

/** A plan in a table, what it warns of, and what becomes of the phones. */
export function formatSummary(plan: Plan): string {
  const { from, to, findings, steps, phones } = plan;
  const lines = [
    `from ${from.mode}, release ${printable(from.release)}, to ${to.mode}, release ${printable(to.release)} (made ${plan.created})`,
    '',
    formatTable(
      ['STEP', 'WHO', 'SAFE', 'WHAT'],
      steps.map(({ id, who, safe, title }) => [id, performers[who], safe ? 'yes' : 'no', title]),
    ),
    ...findings.map(({ check, message, advice }) => `${check}: ${printable(message)} (${printable(advice)})`),
    ...(findings.length === 0 ? [] : ['']),
    `phones: ${phones.total}, kept ${phones.kept}, lost ${phones.lost}, unknown ${phones.unknown}`,
    ...phones.groups.filter(({ outcome }) => outcome !== 'kept').map(formatGroup),
  ];
  return `${lines.join('\n')}\n`;
}

function formatGroup({ group, count, devices, outcome, step, rule, reason, deletion }: GroupVerdict): string {
  const at = step === undefined ? '' : ` at ${step}`;
  const by = rule === undefined ? '' : ` by ${rule}`;
  const why = reason === undefined ? '' : `: ${printable(reason)}`;
  const more = count > devices.length ? ', …' : '';
  const then = describeDeletion(outcome, deletion);
  return `  group ${group}, ${count} ${outcome}${at}${by}${why}${then === '' ? '' : `; ${then}`} [${devices.map(printable).join(', ')}${more}]`;
}

/** What must be done at each phone of a group. */
export function describeDeletion(outcome: GroupVerdict['outcome'], deletion: GroupVerdict['deletion']): string {
  const lists = { ctl: 'its CTL', itl: 'its ITL', both: 'its CTL and ITL' };
  if (deletion !== undefined) return `delete ${lists[deletion]} by hand`;
  return outcome === 'lost' ? 'no list that is deleted at it helps' : '';
}
