import type { ClusterProblem, YamlText } from '../cluster/index.js';
import type { Action, CtlFlow, Performer, Plan, PlanEnd, Step, StepCheck } from './plan.js';

/** Who does what a step does, where it is not the administrator. */
const performerOf: Readonly<Partial<Record<Action['kind'], Performer>>> = {
  'build-ctl': 'tool',
  'restart-phones': 'phones',
};

/** Who does a step of this kind. */
export function performerFor(kind: Action['kind']): Performer {
  return performerOf[kind] ?? 'administrator';
}

/** The file of every check that is about a CTL. */
const ctlFile = 'CTLFile.tlv';

/** The mode that a flow leaves behind; `undefined`: that of before. */
const modeOfFlow: Readonly<Record<CtlFlow, PlanEnd['mode'] | undefined>> = {
  'create-token': 'token',
  'to-token': 'token',
  'add-token': 'token',
  'create-tokenless': 'tokenless',
  'to-tokenless': 'tokenless',
  'to-non-secure': 'non-secure',
  update: undefined,
};

/**
 * What a plan claims against itself: checks that its steps do not have, an end that its flows do not lead to, phones that
 * do not add up. Without all of its checks a step would pass for done unseen.
 *
 * @param plan of the right shape.
 * @param yaml where it stands.
 */
export function findFalseClaims(plan: Plan, yaml: YamlText): readonly ClusterProblem[] {
  return new ClaimReader(plan, yaml).read();
}

/** A check that a step must have. */
interface RequiredCheck {
  readonly text: string;
  readonly isIt: (check: StepCheck) => boolean;
}

class ClaimReader {
  readonly #plan: Plan;
  readonly #yaml: YamlText;
  readonly #problems: ClusterProblem[] = [];
  /** The nodes that serve files, by their names at the moment. */
  #serving: readonly string[];
  #mode: PlanEnd['mode'];

  constructor(plan: Plan, yaml: YamlText) {
    this.#plan = plan;
    this.#yaml = yaml;
    this.#serving = Object.keys(plan.from.itls ?? {});
    this.#mode = plan.from.mode;
  }

  read(): readonly ClusterProblem[] {
    const { from, to, steps } = this.#plan;
    if ((from.mode === 'no-ctl') !== (from.ctl === undefined)) {
      const message =
        from.ctl === undefined
          ? `the mode is ${from.mode}, and no CTL stands here`
          : 'there is no CTL, and one stands here';
      this.#report('from.mode', message, 'let from.mode and from.ctl say the same');
    }
    for (const [index, step] of steps.entries()) this.#lookAtStep(step, `steps[${index}]`);
    if (this.#mode !== to.mode) {
      const message = `the steps end with ${this.#mode}, and the plan says ${to.mode}`;
      this.#report('to.mode', message, 'let `migrate plan` make a plan for this end');
    }
    this.#lookAtPhones();
    return this.#problems;
  }

  #lookAtStep(step: Step, keyPath: string): void {
    const { action, checks, who } = step;
    const performer = performerFor(action.kind);
    if (who !== performer) {
      this.#report(`${keyPath}.who`, `${action.kind} is a step of: ${performer}`, `write who: ${performer}`);
    }
    for (const { text, isIt } of this.#requiredChecks(action)) {
      if (checks.some(isIt)) continue;
      const message = `the check ${text} is missing, so that the step would pass for done unseen`;
      this.#report(`${keyPath}.checks`, message, 'put it back as `migrate plan` wrote it');
    }
    for (const [position, check] of checks.entries()) this.#lookAtCheck(step, check, `${keyPath}.checks[${position}]`);
    const flow = this.#flowOf(action);
    if (flow !== undefined) this.#lookAtMode(action, flow, keyPath);
    if (action.kind === 'remove-ctl-file') this.#mode = 'no-ctl';
    if (action.kind === 'rename') {
      this.#serving = this.#serving.map((node) => (node === action.node ? action.name : node));
    }
  }

  #requiredChecks(action: Action): readonly RequiredCheck[] {
    const ofServing = (check: (StepCheck & { readonly node: string })['check']): readonly RequiredCheck[] =>
      required(check, this.#serving);
    switch (action.kind) {
      case 'build-ctl':
        return [{ text: 'file-verifies', isIt: ({ check }) => check === 'file-verifies' }];
      case 'publish-ctl':
        return ofServing('tftp-serves');
      case 'cluster-ctl':
        return ofServing('tftp-serves-signed-by');
      case 'remove-ctl-file':
        return ofServing('tftp-lacks');
      case 'empty-itls':
        return ofServing('itl-emptied');
      case 'fill-itls':
        return ofServing('itl-filled');
      case 'renew':
        return required('certificate-renewed', [action.node]);
      case 'rename':
        return required('node-renamed', [action.node]);
      case 'start-tvs':
        return required('tvs-answers', [action.node]);
      case 'add-tvs-servers':
        return required('tvs-answers', action.nodes);
      case 'upload':
        // Where no TVS server answers there is none to look at.
        return [];
      default:
        return [{ text: 'confirm', isIt: ({ check }) => check === 'confirm' }];
    }
  }

  #lookAtCheck({ action }: Step, check: StepCheck, keyPath: string): void {
    const isOfCtl = ['publish-ctl', 'cluster-ctl', 'remove-ctl-file'].includes(action.kind);
    if ('file' in check && isOfCtl && check.file !== ctlFile) {
      this.#report(`${keyPath}.file`, `the step is about ${ctlFile}`, `write file: ${ctlFile}`);
    }
    if (check.check === 'tftp-serves-signed-by' && action.kind === 'cluster-ctl') {
      const [here, there] = [check.signer, action.signer].map(signerText);
      if (here === there) return;
      this.#report(`${keyPath}.signer`, 'the check names another signer than the action', 'let both name the same');
    }
    if (check.check === 'node-renamed' && action.kind === 'rename' && check.name !== action.name) {
      this.#report(`${keyPath}.name`, 'the check names another name than the action', 'let both name the same');
    }
  }

  #flowOf(action: Action): CtlFlow | undefined {
    if (action.kind === 'cluster-ctl') return action.flow;
    if (action.kind !== 'publish-ctl') return undefined;
    const built = this.#plan.steps.find(({ id }) => id === action.built)?.action;
    return built?.kind === 'build-ctl' ? built.flow : undefined;
  }

  #lookAtMode(action: Action, flow: CtlFlow, keyPath: string): void {
    this.#mode = modeOfFlow[flow] ?? this.#mode;
    const securityMode = flow === 'to-non-secure' ? 'non-secure' : 'mixed';
    if (!('securityMode' in action) || action.securityMode === securityMode) return;
    const message = `a list by ${flow} belongs to the security mode ${securityMode}`;
    this.#report(`${keyPath}.action.securityMode`, message, `write securityMode: ${securityMode}`);
  }

  #lookAtPhones(): void {
    const { groups, ...counts } = this.#plan.phones;
    for (const outcome of ['kept', 'lost', 'unknown'] as const) {
      const sum = groups.filter((one) => one.outcome === outcome).reduce((before, { count }) => before + count, 0);
      if (sum === counts[outcome]) continue;
      const message = `${counts[outcome]} phones stand here, and the groups have ${sum} of them`;
      this.#report(`phones.${outcome}`, message, 'let `migrate plan` count them');
    }
    const total = counts.kept + counts.lost + counts.unknown;
    if (total === counts.total) return;
    const message = `${counts.total} phones stand here, and kept, lost and unknown are ${total}`;
    this.#report('phones.total', message, 'let `migrate plan` count them');
  }

  #report(keyPath: string, message: string, hint: string): void {
    const place = this.#yaml.placeOf(keyPath) ?? this.#yaml.placeOfKey(keyPath) ?? { line: 1, column: 1 };
    this.#problems.push({ code: 'bad-value', ...place, keyPath, message, hint });
  }
}

/** One check of each node; at least one where no node is known. */
function required(name: StepCheck['check'], nodes: readonly string[]): readonly RequiredCheck[] {
  const isIt = ({ check }: StepCheck): boolean => check === name;
  if (nodes.length === 0) return [{ text: name, isIt }];
  return nodes.map((node) => ({
    text: `${name} of ${node}`,
    isIt: (check) => isIt(check) && 'node' in check && check.node === node,
  }));
}

function signerText(signer: Extract<StepCheck, { check: 'tftp-serves-signed-by' }>['signer']): string {
  return signer.kind === 'token' ? signer.certificate.sha1 : signer.name;
}
