import { closestWord, quoted, type ClusterProblem, type YamlText, type YamlValue } from '../cluster/index.js';
import { actionKinds } from './plan-entries.js';

type Mapping = Readonly<Record<string, YamlValue>>;

/** What changes much of a cluster at once, so that anything may be looked at after it. */
const wideActions = ['change-release', 'move-phones', 'rename'];

/** Which actions each check belongs to. What is not named here belongs to all. */
const actionsOfCheck: Readonly<Partial<Record<string, readonly string[]>>> = {
  'file-verifies': ['build-ctl'],
  'tftp-serves': ['publish-ctl'],
  'tftp-serves-signed-by': [...['publish-ctl', 'cluster-ctl', 'renew', 'empty-itls', 'fill-itls'], ...wideActions],
  'tftp-lacks': ['remove-ctl-file', ...wideActions],
  'tvs-answers': [...['upload', 'start-tvs', 'add-tvs-servers', 'renew', 'publish-ctl', 'cluster-ctl'], ...wideActions],
  'tvs-vouches': [...['upload', 'start-tvs', 'add-tvs-servers', 'renew', 'publish-ctl', 'cluster-ctl'], ...wideActions],
  'certificate-renewed': ['renew', 'rename'],
  'node-renamed': ['rename'],
  'itl-emptied': ['empty-itls'],
  'itl-filled': ['fill-itls'],
};

/** The flows whose lists have tokens. */
const tokenFlows: readonly string[] = ['create-token', 'to-token', 'add-token'];
/** The flows that make a tokenless list. */
const tokenlessFlows: readonly string[] = ['create-tokenless', 'to-tokenless'];

/**
 * What the entries of a plan say against each other. The values are looked at as they stand in the file, so that this is
 * told along with what is wrong with single entries.
 */
export function findPlanContradictions(yaml: YamlText): readonly ClusterProblem[] {
  return new PlanReader(yaml).read();
}

class PlanReader {
  readonly #yaml: YamlText;
  readonly #problems: ClusterProblem[] = [];
  readonly #plan: Mapping;
  readonly #steps: readonly Mapping[];
  readonly #nodes: ReadonlySet<string>;
  /** The groups of phones that the plan tells of. */
  readonly #groups: ReadonlySet<string>;

  constructor(yaml: YamlText) {
    this.#yaml = yaml;
    this.#plan = mapping(yaml.value);
    this.#steps = list(this.#plan['steps']).map(mapping);
    this.#nodes = nodesOf(this.#plan);
    const groups = list(mapping(this.#plan['phones'])['groups']).map((one) => text(mapping(one)['group']));
    this.#groups = new Set(groups.filter((one) => one !== undefined));
  }

  read(): readonly ClusterProblem[] {
    this.#findDuplicates();
    for (const [index, step] of this.#steps.entries()) {
      this.#lookAtAction(step, index);
      for (const [position, check] of list(step['checks']).entries()) {
        this.#lookAtCheck(mapping(check), `steps[${index}].checks[${position}]`, step, index);
      }
    }
    this.#lookAtVerdicts();
    return this.#problems;
  }

  #findDuplicates(): void {
    const first = new Map<string, string>();
    for (const [index, step] of this.#steps.entries()) {
      const id = text(step['id']);
      if (id === undefined) continue;
      const keyPath = `steps[${index}].id`;
      const known = first.get(id);
      if (known === undefined) {
        first.set(id, keyPath);
        continue;
      }
      const line = this.#yaml.placeOf(known)?.line ?? 1;
      const message = `${quoted(id)} is already the id of the step in line ${line}`;
      this.#report('duplicate', keyPath, message, 'give each step an id of its own');
    }
  }

  #lookAtAction(step: Mapping, index: number): void {
    const keyPath = `steps[${index}].action`;
    const action = mapping(step['action']);
    this.#lookAtNode(action, keyPath);
    const kind = text(action['kind']);
    if (kind === 'publish-ctl') this.#lookAtBuilt(action, keyPath, index);
    if (kind === 'build-ctl') this.#lookAtTokens(action, keyPath);
    for (const [position, node] of list(action['nodes']).entries()) {
      this.#lookAtNode({ node }, keyPath, `nodes[${position}]`);
    }
    if (kind !== 'delete-list') return;
    for (const [position, group] of list(action['groups']).entries()) {
      const number = text(group);
      if (number === undefined || !/^\d+$/.test(number) || this.#groups.has(number)) continue;
      const message = `there is no group ${number} among the phones of the plan`;
      this.#report('bad-value', `${keyPath}.groups[${position}]`, message, 'name groups that stand below phones:');
    }
  }

  #lookAtTokens(action: Mapping, keyPath: string): void {
    const flow = text(action['flow']) ?? '';
    const tokens = list(action['tokens']).map(mapping);
    const [first] = tokens;
    const path = `${keyPath}.tokens`;
    if (tokenFlows.includes(flow) && first === undefined && Array.isArray(action['tokens'])) {
      const message = `${quoted(flow)} makes a token list, and no tokens stand here`;
      this.#report('bad-value', path, message, 'name the tokens of the list, the one that signs first');
    }
    if (tokenlessFlows.includes(flow) && first !== undefined) {
      const message = `${quoted(flow)} makes a tokenless list, and tokens stand here`;
      this.#report('bad-value', path, message, 'take the tokens out, or choose another flow');
    }
    const signer = text(mapping(mapping(action['signer'])['certificate'])['sha1']);
    const firstSha1 = text(first?.['sha1']);
    // The token that is added does not sign; one that is in the list already does.
    if (
      !tokenFlows.includes(flow) ||
      flow === 'add-token' ||
      signer === undefined ||
      firstSha1 === undefined ||
      signer === firstSha1
    )
      return;
    this.#report('bad-value', `${path}[0]`, 'the first token is not the signer', 'put the token that signs first');
  }

  #lookAtCheck(check: Mapping, keyPath: string, step: Mapping, index: number): void {
    this.#lookAtNode(check, keyPath);
    const name = text(check['check']);
    const action = mapping(step['action']);
    const kind = text(action['kind']);
    if (name === undefined || kind === undefined) return;
    const fitting = actionsOfCheck[name];
    const isKnown = actionKinds.some((one) => one === kind);
    if (isKnown && fitting !== undefined && !fitting.includes(kind)) {
      const message = `the check ${quoted(name)} does not fit the action ${quoted(kind)}`;
      this.#report('bad-value', `${keyPath}.check`, message, `it belongs to ${fitting.join(', ')}`);
      return;
    }
    if (name === 'tftp-serves') {
      if (this.#lookAtBuilt(check, keyPath, index)) this.#lookAtSame(check, action, 'built', keyPath);
    }
    if (name === 'node-renamed') this.#lookAtSame(check, action, 'node', keyPath);
    if (name === 'certificate-renewed' && kind === 'renew') {
      this.#lookAtSame(check, action, 'node', keyPath);
      this.#lookAtSame(check, action, 'certificate', keyPath);
    }
  }

  /** A check must be about what its action does. */
  #lookAtSame(check: Mapping, action: Mapping, key: string, keyPath: string): void {
    const [here, there] = [text(check[key]), text(action[key])];
    if (here === undefined || there === undefined || here === there) return;
    const message = `the check is about ${quoted(here)}, and the action of the step about ${quoted(there)}`;
    this.#report('bad-value', `${keyPath}.${key}`, message, 'let both name the same');
  }

  /** @returns whether an earlier step builds what is named. */
  #lookAtBuilt(holder: Mapping, keyPath: string, index: number): boolean {
    const built = text(holder['built']);
    if (built === undefined) return false;
    const ids = this.#steps.map((step) => text(step['id']));
    const position = ids.indexOf(built);
    const path = `${keyPath}.built`;
    if (position === -1) {
      const meant = closestWord(
        built,
        ids.filter((id) => id !== undefined),
      );
      const hint = 'name the step that builds the list';
      const message = `there is no step ${quoted(built)}`;
      this.#report('bad-value', path, message, meant === undefined ? hint : `did you mean ${quoted(meant)}? ${hint}`);
      return false;
    }
    if (text(mapping(this.#steps[position]?.['action'])['kind']) !== 'build-ctl') {
      const message = `the step ${quoted(built)} builds no list`;
      this.#report('bad-value', path, message, 'name a step whose action is build-ctl');
      return false;
    }
    if (position < index) return true;
    const message = `the step ${quoted(built)} comes later, and a list is published only after it was built`;
    this.#report('bad-value', path, message, 'put the step that builds before this one');
    return false;
  }

  #lookAtNode(holder: Mapping, keyPath: string, key = 'node'): void {
    const node = text(holder['node']);
    if (node === undefined || this.#nodes.size === 0 || this.#nodes.has(node)) return;
    const names = [...this.#nodes];
    const meant = closestWord(node, names);
    const hint = `its nodes are ${names.join(', ')}`;
    const message = `the plan knows no node ${quoted(node)}`;
    this.#report(
      'bad-value',
      `${keyPath}.${key}`,
      message,
      meant === undefined ? hint : `did you mean ${quoted(meant)}? ${hint}`,
    );
  }

  #lookAtVerdicts(): void {
    const ids = new Set(this.#steps.map((step) => text(step['id'])));
    const seen = new Set<string>();
    for (const [index, one] of list(mapping(this.#plan['phones'])['groups']).entries()) {
      const verdict = mapping(one);
      const [step, group] = [text(verdict['step']), text(verdict['group'])];
      const keyPath = `phones.groups[${index}]`;
      if (step !== undefined && !ids.has(step)) {
        this.#report('bad-value', `${keyPath}.step`, `there is no step ${quoted(step)}`, 'name a step of the plan');
      }
      if (group === undefined) continue;
      if (seen.has(group)) {
        const message = `the group ${group} stands here twice`;
        this.#report('duplicate', `${keyPath}.group`, message, 'keep one of the two');
      }
      seen.add(group);
    }
  }

  #report(code: ClusterProblem['code'], keyPath: string, message: string, hint: string): void {
    const place = this.#yaml.placeOf(keyPath) ?? this.#yaml.placeOfKey(keyPath) ?? { line: 1, column: 1 };
    this.#problems.push({ code, ...place, keyPath, message, hint });
  }
}

/** The nodes that the two ends of a plan name. None: nothing can be said about a node. */
function nodesOf(plan: Mapping): ReadonlySet<string> {
  const ends = [mapping(plan['from']), mapping(plan['to'])];
  const names = ends.flatMap((end) => [
    ...Object.keys(mapping(end['itls'])),
    ...Object.keys(mapping(end['certificates'])).map((key) => key.slice(0, Math.max(0, key.lastIndexOf(' ')))),
  ]);
  const renamed = list(plan['steps']).map((step) => text(mapping(mapping(step)['action'])['name']));
  return new Set([...names, ...(names.length === 0 ? [] : renamed)].filter((name) => (name ?? '') !== '') as string[]);
}

function mapping(value: YamlValue | undefined): Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {};
}

function list(value: YamlValue | undefined): readonly YamlValue[] {
  return Array.isArray(value) ? (value as readonly YamlValue[]) : [];
}

function text(value: YamlValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
