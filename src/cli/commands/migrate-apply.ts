import { printable } from '../../bytes/index.js';
import { RefusalError } from '../../errors.js';
import { nextStep, type Progress, type StepCheck } from '../../migration/index.js';
import { formatFunction } from '../../trust-list/index.js';
import { exitCode } from '../exit-code.js';
import { MigrationRun, type WalkOptions } from '../migration-run.js';
import { takeStep, type Waiting } from '../migration-steps.js';
import type { Output } from '../output.js';

/** `migrate apply`. Exit code 1 also where the plan waits for somebody. */
export async function applyPlan(path: string, options: WalkOptions, output: Output): Promise<number> {
  const run = await MigrationRun.open(path, options, output);
  if (options.dryRun === true) return rehearse(run);
  try {
    let progress = await run.begin(true);
    refuseUndoing(progress);
    warnOfLost(run);
    let waiting: Waiting | undefined;
    for (;;) {
      const next = nextStep(progress);
      if (next === undefined) break;
      waiting = await takeStep(run, progress, next);
      progress = run.work.progress();
      if (waiting !== undefined) break;
    }
    return report(run, progress, waiting);
  } finally {
    await run.close();
  }
}

/** Whoever applies a plan need not be who made it. */
function warnOfLost({ output, plan, planPath }: MigrationRun): void {
  const { total, lost, unknown } = plan.phones;
  if (lost === 0 && unknown === 0) return;
  const words = [...(lost === 0 ? [] : [`loses ${lost}`]), ...(unknown === 0 ? [] : [`cannot tell of ${unknown}`])];
  output.warning(`the plan ${words.join(' and ')} of ${total} phones: see "migrate show ${planPath}"`);
}

/** A way back that was begun is gone to its end: in between nobody can say what a step would meet. */
function refuseUndoing({ undoing }: Progress): void {
  if (undoing === undefined) return;
  throw new RefusalError('other-state', 'a way back was begun with "migrate undo" and has not come to its end', {
    hint: 'run "migrate undo" first; then the plan can be applied again',
  });
}

/** The document of `migrate apply` and `migrate undo`. */
export function describeRun(run: MigrationRun, progress: Progress, waiting: Waiting | undefined): object {
  return {
    plan: run.planPath,
    work: run.work.path,
    ctl: progress.ctl ?? null,
    steps: progress.steps.map(({ step: { id, who, title, safe }, state }) => ({ id, who, title, safe, state })),
    waiting:
      waiting === undefined
        ? null
        : {
            step: waiting.step.id,
            title: waiting.step.title,
            instructions: waiting.instructions,
            reasons: waiting.reasons,
          },
  };
}

function report(run: MigrationRun, progress: Progress, waiting: Waiting | undefined): number {
  const total = progress.steps.length;
  const done = progress.steps.filter(({ state }) => state === 'done').length;
  const document = { state: waiting === undefined ? 'done' : 'waiting', ...describeRun(run, progress, waiting) };
  if (waiting !== undefined) {
    run.output.result(formatWaiting(run.planPath, waiting, `${done} of ${total} steps are done`), document);
    return exitCode.no;
  }
  const ctl = progress.ctl === undefined ? 'no CTL is served' : `CTL with SHA-1 ${progress.ctl}`;
  run.output.result(`${printable(run.planPath)}: all ${total} steps are done; ${ctl}\n`, document);
  noteClusterFile(run, progress);
  return exitCode.done;
}

/** Why a command ends before its work is done. */
export function formatWaiting(path: string, { step, reasons }: Waiting, where: string): string {
  const who = step.who === 'phones' ? 'the phones' : 'the administrator';
  const lines = [
    `${printable(path)}: ${where}; ${step.id} waits for ${who}`,
    ...reasons.map((reason) => `  ${printable(reason)}`),
    step.action.kind === 'restart-phones'
      ? `when they have, run the same command again with --phones-restarted ${step.id}`
      : 'when it is done, run the same command again (with --yes when a question is left)',
  ];
  return `${lines.join('\n')}\n`;
}

/** What the plan changed and the cluster file may not say yet. */
function noteClusterFile({ clusterFile, output, plan }: MigrationRun, progress: Progress): void {
  const modes = progress.steps.flatMap(({ step: { action } }) =>
    action.kind === 'publish-ctl' || action.kind === 'cluster-ctl' ? [action.securityMode] : [],
  );
  const mode = modes.at(-1);
  if (mode !== undefined && mode !== clusterFile.securityMode) {
    output.note(`the cluster file still says securityMode: ${clusterFile.securityMode}; change it to ${mode}`);
  }
  const changed = plan.steps.flatMap(({ action }) => (action.kind === 'change-release' ? [action.release] : []));
  const release = changed.at(-1);
  if (release !== undefined && release !== clusterFile.release.text) {
    output.note(`the cluster file still says release: ${clusterFile.release.text}; change it to ${release}`);
  }
}

/** `--dry-run`: nothing is asked, written or signed. */
function rehearse(run: MigrationRun): number {
  const progress = run.look(true);
  refuseUndoing(progress);
  const open = progress.steps.filter(({ state }) => state !== 'done');
  const lines = open.flatMap(({ step, state }) => [
    `${step.id} (${step.who})${state === 'begun' ? ', begun' : ''}: ${printable(step.title)}`,
    ...step.requires.map((line) => `  before: ${printable(line)}`),
    ...step.instructions.map((line) => `  do: ${printable(line)}`),
    ...step.checks.map((check) => `  look: ${printable(describeCheck(check))}`),
  ]);
  const text = open.length === 0 ? 'nothing is left to do\n' : `${lines.join('\n')}\n`;
  run.output.result(text, { state: 'dry-run', ...describeRun(run, progress, undefined) });
  return exitCode.done;
}

/** A check as one line. */
function describeCheck(check: StepCheck): string {
  switch (check.check) {
    case 'file-verifies':
      return 'the list verifies under its signer';
    case 'tftp-serves':
      return `TFTP of ${check.node} serves the ${check.file} that ${check.built} builds`;
    case 'tftp-serves-signed-by': {
      const signer = check.signer.kind === 'token' ? check.signer.certificate.subject : check.signer.name;
      return `TFTP of ${check.node} serves another ${check.file}, signed by ${signer}`;
    }
    case 'tftp-lacks':
      return `TFTP of ${check.node} has no ${check.file}`;
    case 'tvs-answers':
      return `TVS of ${check.node} answers`;
    case 'tvs-vouches': {
      const role = `${formatFunction(check.role)} (${check.role})`;
      return `TVS of ${check.node} vouches for ${check.certificate.subject} as ${role}`;
    }
    case 'certificate-renewed':
      return `the cluster file and the ITL have another ${check.certificate} certificate of ${check.node}`;
    case 'node-renamed':
      return `the cluster file and the ITLs have ${check.node} as ${check.name}, with other certificates`;
    case 'itl-emptied':
      return `TFTP of ${check.node} serves an ITL whose TFTP and TVS records hold no certificate`;
    case 'itl-filled':
      return `TFTP of ${check.node} serves an ITL whose TFTP and TVS records hold their certificates`;
    case 'confirm':
      return check.question;
  }
}
