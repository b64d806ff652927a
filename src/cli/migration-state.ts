import { printable } from '../bytes/index.js';
import { certificateNames, compareReleases, parseRelease, type Cluster } from '../cluster/index.js';
import { RefusalError } from '../errors.js';
import { nextStep, type Plan, type Progress, type StepProgress } from '../migration/index.js';
import { tftpNodeNames, type LiveServers } from './live-servers.js';
import { sha1Of } from './migration-work.js';

/** The steps whose effects may be there: those that are done, and the one that is under way. */
function touched(progress: Progress): readonly StepProgress[] {
  return progress.steps.filter(({ state }) => state !== 'open');
}

/** A state that is not the one that the plan was made for. */
function otherState(message: string, hint: string): RefusalError {
  return new RefusalError('other-state', `the plan was made for another state: ${message}`, { hint });
}

const planAgain = 'let "migrate plan" make a plan for the present state; nothing was done';

/**
 * Refuses a cluster file that is not the one the plan was made for, as far as the steps that are done explain it. On the
 * way back also what steps explain that are undone already: a way back can always be gone to its end.
 *
 * @throws RefusalError `other-state`
 */
export function checkClusterState(plan: Plan, progress: Progress, cluster: Cluster, isBack: boolean): void {
  const steps = touched(progress);
  const explaining = isBack ? progress.steps : steps;
  checkRelease(plan, explaining, cluster);
  if (steps.length === 0 && !isBack) checkSecurityMode(plan, cluster);
  checkCertificates(plan, explaining, cluster);
}

function checkRelease(plan: Plan, steps: readonly StepProgress[], { release }: Cluster): void {
  const changes = steps.flatMap(({ step }) => (step.action.kind === 'change-release' ? [step.action.release] : []));
  const possible = [plan.from.release, ...changes];
  if (possible.some((one) => compareReleases(parseRelease(one), release) === 0)) return;
  const expected = possible.at(-1) ?? '';
  throw otherState(`the cluster file says release ${printable(release.text)}, and the plan ${expected}`, planAgain);
}

function checkSecurityMode({ from }: Plan, { securityMode }: Cluster): void {
  if (from.securityMode === undefined || from.securityMode === securityMode) return;
  throw otherState(`the cluster file says securityMode ${securityMode}, and the plan ${from.securityMode}`, planAgain);
}

function checkCertificates({ from }: Plan, steps: readonly StepProgress[], cluster: Cluster): void {
  if (from.certificates === undefined) return;
  // Another release makes certificates of its own, and the plan says that the cluster file is to name them.
  if (steps.some(({ step }) => step.action.kind === 'change-release')) return;
  const renamed = new Set(
    steps.flatMap(({ step: { action } }) => (action.kind === 'rename' ? [action.node, action.name] : [])),
  );
  const renewed = new Set(
    steps.flatMap(({ step }) =>
      step.action.kind === 'renew' ? [`${step.action.node} ${step.action.certificate}`] : [],
    ),
  );
  const present = certificatesOf(cluster);
  for (const key of new Set([...Object.keys(from.certificates), ...present.keys()])) {
    const [expected, came] = [from.certificates[key], present.get(key)];
    if (expected === came || renewed.has(key)) continue;
    const [node, which] = [key.slice(0, key.lastIndexOf(' ')), key.slice(key.lastIndexOf(' ') + 1)];
    if (renamed.has(node)) continue;
    const what = `${which} certificate of ${printable(node)}`;
    const message =
      came === undefined
        ? `the cluster file has no ${what}, and the plan has one with SHA-1 ${expected ?? ''}`
        : expected === undefined
          ? `the cluster file has a ${what}, which the plan does not know`
          : `the ${what} in the cluster file has SHA-1 ${came}, and that of the plan ${expected}`;
    throw otherState(message, `give the cluster file that the plan was made for, or ${planAgain}`);
  }
}

/** SHA-1 of each certificate of a cluster, by `<node> <name>`. */
function certificatesOf(cluster: Cluster): ReadonlyMap<string, string> {
  const entries = cluster.nodes.flatMap(({ name, certificates }) =>
    certificateNames.flatMap((which) => {
      const certificate = certificates[which];
      return certificate === undefined ? [] : [[`${name} ${which}`, sha1Of(certificate.der)] as const];
    }),
  );
  return new Map(entries);
}

/** The CTLs that may be served now. */
interface ExpectedCtl {
  /** SHA-1 each; `undefined` stands for no CTL. None at all: nobody can tell. */
  readonly possible: readonly (string | undefined)[] | undefined;
  /** The step after which it is so. */
  readonly after: string | undefined;
}

function expectedCtl(progress: Progress): ExpectedCtl {
  const done = progress.steps.findLast(({ state }) => state === 'done');
  const after = done?.step.id;
  const current = progress.steps.find(({ state }) => state === 'begun' || state === 'undo-begun');
  if (current === undefined) {
    // Whoever copied the list that is published next was only early.
    const next = nextStep(progress)?.step.action;
    const early = next?.kind === 'publish-ctl' ? builtBy(progress, next.built) : undefined;
    return { possible: early === undefined ? [progress.ctl] : [progress.ctl, early], after };
  }
  const { action } = current.step;
  // Each server may have the list of before or that of after.
  const both = [current.before, progress.ctl];
  if (action.kind === 'publish-ctl') {
    return { possible: [...both, builtBy(progress, action.built)], after };
  }
  if (action.kind === 'remove-ctl-file') return { possible: [...both, undefined], after };
  const isOpen = ['cluster-ctl', 'change-release', 'move-phones', 'rename'].includes(action.kind);
  return isOpen ? { possible: undefined, after } : { possible: both, after };
}

/** SHA-1 of the list that a step built. */
function builtBy({ steps }: Progress, id: string): string | undefined {
  return steps.find(({ step }) => step.id === id)?.sha1;
}

/**
 * Refuses when the servers serve another CTL than the plan begins with or, later, than the steps that are done left
 * there.
 *
 * @param given the CTL that was given as a file: then the servers are not asked.
 * @returns the CTL that is there.
 * @throws RefusalError `other-state`; NetworkError when a server cannot be asked
 */
export async function checkServedCtl(
  plan: Plan,
  progress: Progress,
  cluster: Cluster,
  servers: LiveServers,
  given: { readonly path: string; readonly bytes: Uint8Array } | undefined,
): Promise<Uint8Array | undefined> {
  const { possible, after } = expectedCtl(progress);
  if (given !== undefined) {
    const sha1 = sha1Of(given.bytes);
    // The list of the beginning may be given again whenever the plan is gone on with.
    if (possible === undefined || possible.includes(sha1) || (after !== undefined && sha1 === plan.from.ctl)) {
      return given.bytes;
    }
    throw otherState(`${printable(given.path)} has SHA-1 ${sha1}, and ${wanted(possible[0], after)}`, planAgain);
  }
  const nodes = tftpNodeNames(cluster);
  const served = await Promise.all(nodes.map(async (node) => servers.fetch(node, 'CTLFile.tlv')));
  for (const [index, node] of nodes.entries()) {
    const bytes = served[index];
    const sha1 = bytes === undefined ? undefined : sha1Of(bytes);
    if (possible === undefined || possible.includes(sha1)) continue;
    const came = sha1 === undefined ? 'has no CTLFile.tlv' : `serves a CTL with SHA-1 ${sha1}`;
    throw otherState(
      `${servers.tftpName(node)} ${came}, and ${wanted(possible[0], after)}`,
      after === undefined
        ? planAgain
        : 'put the list back that the plan left there (its folder has it); nothing was done',
    );
  }
  return served.find((bytes) => bytes !== undefined && sha1Of(bytes) === progress.ctl) ?? served[0];
}

function wanted(sha1: string | undefined, after: string | undefined): string {
  const list = sha1 === undefined ? 'without a CTL' : `with the one with SHA-1 ${sha1}`;
  return after === undefined ? `the plan begins ${list}` : `the plan goes on after step ${after} ${list}`;
}
