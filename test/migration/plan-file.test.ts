import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/errors.js';
import {
  checkPlanFile,
  formatPlan,
  parsePlan,
  planDigest,
  type Action,
  type CertificateNote,
  type GroupVerdict,
  type ListSigner,
  type Plan,
  type Step,
  type StepCheck,
} from '../../src/migration/index.js';
import { plan, step } from './plans.js';

const text = formatPlan(plan);

/** Any text that a person, a certificate or an inventory may bring along. */
const words = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom(
    'null',
    '~',
    'true',
    '1.0',
    '- a',
    'a: b',
    '#',
    '',
    ' x',
    'x ',
    "it's",
    '"',
    '0x1F',
    '|',
    '>',
    '&a',
    '*a',
    '!t',
    '\t',
    'a\nb',
    '\u2028',
    '---',
    '<<',
    '1:30',
  ),
);
const hex = (length: number) =>
  fc.array(fc.constantFrom(...Array.from('0123456789abcdef')), { minLength: length, maxLength: length });
const sha1 = hex(40).map((digits) => digits.join(''));
const serialNumber = fc
  .array(hex(2), { minLength: 1, maxLength: 4 })
  .map((bytes) => bytes.map((pair) => pair.join('').toUpperCase()).join(':'));
const note: fc.Arbitrary<CertificateNote> = fc.record({ subject: words, serialNumber, sha1 });
const signer: fc.Arbitrary<ListSigner> = fc.oneof(
  note.map((certificate) => ({ kind: 'token' as const, certificate })),
  fc.constantFrom('CallManager' as const, 'ITLRecovery' as const).map((name) => ({ kind: 'cluster' as const, name })),
);
const nodes = ['cucm-pub', 'cucm-sub'] as const;
const node = fc.constantFrom(...nodes);
const groups = 3;
const certificate = fc.constantFrom('CallManager' as const, 'TVS' as const, 'CAPF' as const);
const securityMode = fc.constantFrom('mixed' as const, 'non-secure' as const);

const building: fc.Arbitrary<Action> = fc.tuple(note, fc.array(note, { maxLength: 2 })).map(([first, others]) => ({
  kind: 'build-ctl',
  flow: 'to-token',
  signer: { kind: 'token', certificate: first },
  tokens: [first, ...others],
  accept: ['A3', 'A5'],
}));

function actionOf(built: string | undefined): fc.Arbitrary<Action> {
  const others: fc.Arbitrary<Action>[] = [
    building,
    fc.record({ kind: fc.constant('upload' as const), store: words, certificates: fc.array(note, { maxLength: 2 }) }),
    fc.record({ kind: fc.constant('start-tvs' as const), node }),
    fc.record({ kind: fc.constant('add-tvs-servers' as const), nodes: fc.array(node, { maxLength: 2 }) }),
    fc.record({
      kind: fc.constant('cluster-ctl' as const),
      flow: fc.constant('update' as const),
      signer,
      securityMode: fc.constant('mixed' as const),
    }),
    fc.record({ kind: fc.constant('renew' as const), node, certificate }),
    fc.constantFrom<Action>({ kind: 'remove-ctl-file' }, { kind: 'empty-itls' }, { kind: 'fill-itls' }),
    fc.constantFrom<Action>({ kind: 'move-phones' }, { kind: 'restart-phones' }),
    fc.constant({ kind: 'change-release' as const, release: '14SU3' }),
    fc.record({
      kind: fc.constant('delete-list' as const),
      list: fc.constantFrom('ctl' as const, 'itl' as const, 'both' as const),
      groups: fc.array(fc.integer({ min: 0, max: groups - 1 }), { maxLength: 3 }),
    }),
  ];
  const publishing: Action = { kind: 'publish-ctl', built: built ?? '', securityMode: 'mixed' };
  return fc.oneof(...others, ...(built === undefined ? [] : [fc.constant(publishing)]));
}

/** The checks that a step must have: those of every TFTP node of the plan. */
function requiredChecks(action: Action): readonly StepCheck[] {
  const file = 'CTLFile.tlv';
  switch (action.kind) {
    case 'build-ctl':
      return [{ check: 'file-verifies' }];
    case 'publish-ctl':
      return nodes.map((name) => ({ check: 'tftp-serves', node: name, file, built: action.built }));
    case 'cluster-ctl':
      return nodes.map((name) => ({ check: 'tftp-serves-signed-by', node: name, file, signer: action.signer }));
    case 'remove-ctl-file':
      return nodes.map((name) => ({ check: 'tftp-lacks', node: name, file }));
    case 'empty-itls':
      return nodes.map((name) => ({ check: 'itl-emptied', node: name }));
    case 'fill-itls':
      return nodes.map((name) => ({ check: 'itl-filled', node: name }));
    case 'start-tvs':
      return [{ check: 'tvs-answers', node: action.node }];
    case 'add-tvs-servers':
      return nodes.map((name) => ({ check: 'tvs-answers', node: name }));
    case 'renew':
      return [{ check: 'certificate-renewed', node: action.node, certificate: action.certificate, before: '' }];
    case 'upload':
      return [];
    default:
      return [{ check: 'confirm', question: 'Is it so?' }];
  }
}

function furtherChecks(action: Action): fc.Arbitrary<readonly StepCheck[]> {
  const fitting: fc.Arbitrary<StepCheck>[] = [words.map((question) => ({ check: 'confirm' as const, question }))];
  if (action.kind === 'cluster-ctl') {
    const check = fc.constant('tftp-serves-signed-by' as const);
    const signedBy = {
      check,
      node,
      file: fc.constant('CTLFile.tlv'),
      signer: fc.constant(action.signer),
      before: sha1,
    };
    fitting.push(fc.record(signedBy, { requiredKeys: ['check', 'node', 'file', 'signer'] }));
  }
  if (action.kind === 'upload') {
    fitting.push(node.map((name) => ({ check: 'tvs-answers' as const, node: name })));
    const check = fc.constant('tvs-vouches' as const);
    fitting.push(fc.record({ check, node, certificate: note, role: fc.integer({ min: 0, max: 0xffff }) }));
  }
  return fc.array(fc.oneof(...fitting), { maxLength: 3 });
}

function checksOf(action: Action): fc.Arbitrary<readonly StepCheck[]> {
  return furtherChecks(action).map((further) => [...requiredChecks(action), ...further]);
}

const performers: Readonly<Partial<Record<Action['kind'], Step['who']>>> = {
  'build-ctl': 'tool',
  'restart-phones': 'phones',
};

const texts = fc.array(words, { maxLength: 2 });

function stepOf(id: string, action: Action): fc.Arbitrary<Step> {
  return fc.record({
    id: fc.constant(id),
    who: fc.constant(performers[action.kind] ?? 'administrator'),
    title: words,
    action: fc.constant(action),
    requires: texts,
    instructions: texts,
    checks: checksOf(action),
    undo: texts,
    safe: fc.boolean(),
  });
}

const steps: fc.Arbitrary<readonly Step[]> = building.chain((first) =>
  fc
    .array(actionOf('1-build-ctl'), { maxLength: 4 })
    .chain((actions) =>
      fc.tuple(...[first, ...actions].map((action, index) => stepOf(`${index + 1}-${action.kind}`, action))),
    ),
);

const end = fc.record(
  {
    mode: fc.constantFrom('no-ctl' as const, 'token' as const, 'tokenless' as const, 'non-secure' as const),
    release: fc.constantFrom('9.1.2', '11.5.1', '12.0', '12.5(1)SU2', '14SU3'),
    securityMode,
    ctl: sha1,
    itls: fc.record({ 'cucm-pub': sha1, 'cucm-sub': sha1 }),
    certificates: fc.record({ 'cucm-pub CallManager': sha1, 'cucm-sub TVS': sha1 }),
  },
  { requiredKeys: ['mode', 'release'] },
);

const verdict = (group: number): fc.Arbitrary<GroupVerdict> =>
  fc.record(
    {
      group: fc.constant(group),
      count: fc.nat(300_000_000),
      devices: texts,
      securityByDefault: fc.boolean(),
      outcome: fc.constantFrom('kept' as const, 'lost' as const, 'unknown' as const),
      step: fc.constant('1-build-ctl'),
      rule: fc.constantFrom('P1' as const, 'P13' as const),
      reason: words,
      deletion: fc.constantFrom('ctl' as const, 'itl' as const, 'both' as const),
    },
    { requiredKeys: ['group', 'count', 'devices', 'securityByDefault', 'outcome'] },
  );

const drafts: fc.Arbitrary<Plan> = fc.record({
  version: fc.constant(1 as const),
  created: fc
    .date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })
    .map((date) => date.toISOString()),
  from: end,
  to: fc.tuple(end, fc.constantFrom('token' as const, 'cluster' as const)).map(([one, wanted]) => ({ ...one, wanted })),
  findings: fc.array(
    fc.record({
      check: fc.constantFrom('A1' as const, 'A14' as const),
      severity: fc.constantFrom('refused' as const, 'warning' as const),
      message: words,
      advice: words,
    }),
    { maxLength: 2 },
  ),
  steps,
  phones: fc.record({
    total: fc.nat(1_000_000_000),
    kept: fc.nat(1_000_000_000),
    lost: fc.nat(1_000_000_000),
    unknown: fc.nat(1_000_000_000),
    groups: fc.tuple(...Array.from({ length: groups }, (_, index) => verdict(index))),
  }),
});

/** A draft whose ends and phones are what its steps and groups say. */
function withTrueClaims({ from, to, phones, steps: all, ...others }: Plan): Plan {
  const published = all.some(({ action }) => action.kind === 'publish-ctl');
  const cleared = all.findLastIndex(({ action }) => action.kind === 'remove-ctl-file');
  const after = all.slice(cleared + 1).some(({ action }) => action.kind === 'publish-ctl');
  const start = from.ctl === undefined ? 'no-ctl' : from.mode === 'no-ctl' ? 'token' : from.mode;
  const mode = cleared >= 0 ? (after ? 'token' : 'no-ctl') : published ? 'token' : start;
  const count = (outcome: GroupVerdict['outcome']): number =>
    phones.groups.filter((one) => one.outcome === outcome).reduce((sum, one) => sum + one.count, 0);
  const [kept, lost, unknown] = [count('kept'), count('lost'), count('unknown')];
  return {
    ...others,
    from: { ...from, mode: start },
    to: { ...to, mode },
    steps: all,
    phones: { total: kept + lost + unknown, kept, lost, unknown, groups: phones.groups },
  };
}

const plans = drafts.map(withTrueClaims);

/** The names of nodes are known when either end has some. */
function hasOnlyKnownNodes({ from, to }: Plan): boolean {
  const named = [from, to].flatMap(({ itls, certificates }) => [
    ...Object.keys(itls ?? {}),
    ...Object.keys(certificates ?? {}).map((key) => key.split(' ')[0]),
  ]);
  return named.length === 0 || nodes.every((name) => named.includes(name));
}

describe('a plan file', () => {
  test('gives back the plan that was written, whatever stands in it', () => {
    fc.assert(
      fc.property(plans.filter(hasOnlyKnownNodes), (one) => {
        const written = formatPlan(one);
        expect(parsePlan(written, 'plan.yaml')).toEqual(one);
        // Written again it is the same.
        expect(formatPlan(parsePlan(written, 'plan.yaml'))).toBe(written);
      }),
      { numRuns: 300 },
    );
  });

  test('is readable: a head of comments, a block for each step in order', () => {
    expect(text).toMatch(/^# A way from one state/);
    expect(text).toContain('\nversion: 1\n');
    expect(text).toContain('\n  - id: 2-build-ctl\n    who: tool\n');
    const order = plan.steps.map(({ id }) => text.indexOf(`  - id: ${id}`));
    expect(order).toEqual([...order].sort((left, right) => left - right));
    expect(order).not.toContain(-1);
  });

  test('says whether it was edited since it was written', () => {
    expect(checkPlanFile(text)).toMatchObject({ isEdited: false, problems: [] });
    expect(checkPlanFile(`# a note\n${text}`)).toMatchObject({ isEdited: false });
    const edits: readonly (readonly [string | RegExp, string])[] = [
      [/accept:\n\s+- A5/, 'accept:\n        - A5\n        - A3'],
      ['safe: false', 'safe: true'],
      [/^digest: .*\n/m, ''],
    ];
    for (const [from, to] of edits) {
      const edited = text.replace(from, to);
      expect(edited).not.toBe(text);
      expect(checkPlanFile(edited)).toMatchObject({ isEdited: true, problems: [] });
    }
  });

  test('that asks for the checks of every node, of each kind of step, and by the new name after a renaming', () => {
    const check = (node: string): StepCheck => ({ check: 'tftp-lacks', node, file: 'CTLFile.tlv' });
    const renaming = step('6-rename', {
      action: { kind: 'rename', node: 'cucm-pub', name: 'cucm-new' },
      checks: [{ check: 'node-renamed', node: 'cucm-pub', name: 'cucm-new' }],
    });
    const removal = (node: string): Step =>
      step('7-remove-ctl-file', { action: { kind: 'remove-ctl-file' }, checks: [check(node)] });
    const more = (...steps: readonly Step[]): Plan => ({
      ...plan,
      steps: [...plan.steps, ...steps],
      to: { ...plan.to, mode: 'no-ctl', wanted: 'no-ctl' },
    });
    expect(checkPlanFile(formatPlan(more(renaming, removal('cucm-new')))).problems).toEqual([]);
    expect(checkPlanFile(formatPlan(more(renaming, removal('cucm-pub')))).problems).toMatchObject([
      { keyPath: 'steps[6].checks', message: expect.stringContaining('tftp-lacks of cucm-new is missing') as string },
    ]);
    for (const one of [...plan.steps.slice(1), renaming]) {
      const bare = { ...more(renaming, removal('cucm-new')), steps: more(renaming, removal('cucm-new')).steps };
      const steps = bare.steps.map((other) => (other.id === one.id ? { ...other, checks: [] } : other));
      const [problem] = checkPlanFile(formatPlan({ ...bare, steps })).problems;
      expect([one.id, problem?.message]).toEqual([one.id, expect.stringContaining('pass for done unseen')]);
    }
  });

  test('has a digest that comments and blanks do not change, and everything else does', () => {
    const commented = parsePlan(`# mine\n${text.replaceAll('\n  - id', '\n\n  # next\n  - id')}`, 'plan.yaml');
    expect(planDigest(commented)).toBe(planDigest(plan));
    expect(planDigest({ ...plan, created: '2026-03-01T10:00:01.000Z' })).not.toBe(planDigest(plan));
    const [first, ...others] = plan.steps;
    expect(planDigest({ ...plan, steps: [{ ...first!, safe: !first!.safe }, ...others] })).not.toBe(planDigest(plan));
  });
});

/** Edits into nonsense: what is replaced, by what, and what is said with its line and key. */
const nonsense: readonly (readonly [name: string, from: string | RegExp, to: string, said: RegExp])[] = [
  [
    'a newer version',
    'version: 1\n',
    'version: 2\n',
    /:11:10: version: the plan is of version 2, and this etoken-bridge reads version 1/,
  ],
  ['no version', 'version: 1\n', 'version: one\n', /version: "one" is no version of plan files/],
  ['a missing version', 'version: 1\n', '', /the key "version" is missing/],
  [
    'an unknown action',
    'kind: publish-ctl',
    'kind: publish-clt',
    /steps\[2\]\.action\.kind: "publish-clt" is an unknown action/,
  ],
  [
    'an action without a kind',
    '      kind: restart-phones\n',
    '      {}\n',
    /steps\[3\]\.action\.kind: the key "kind" is missing/,
  ],
  [
    'a step without an id',
    'id: 3-publish-ctl\n    who: administrator\n',
    'who: administrator\n',
    /steps\[2\]\.id: the key "id" is missing/,
  ],
  [
    'an id twice',
    'id: 4-restart-phones',
    'id: 1-upload',
    /steps\[3\]\.id: "1-upload" is already the id of the step in line \d+/,
  ],
  [
    'an id that is a path',
    'id: 4-restart-phones',
    'id: ../../etc/passwd',
    /steps\[3\]\.id: "\.\.\/\.\.\/etc\/passwd" is no step id/,
  ],
  [
    'a list that nobody builds',
    /built: 2-build-ctl/,
    'built: 9-build-ctl',
    /steps\[2\]\.action\.built: there is no step "9-build-ctl"/,
  ],
  [
    'a list built by what builds none',
    /built: 2-build-ctl/,
    'built: 1-upload',
    /steps\[2\]\.action\.built: the step "1-upload" builds no list/,
  ],
  [
    'an unknown check',
    'check: file-verifies',
    'check: file-verify',
    /steps\[1\]\.checks\[0\]\.check: "file-verify" is an unknown check/,
  ],
  [
    'a check that does not fit',
    'check: file-verifies',
    'check: tftp-lacks\n        node: cucm-pub\n        file: CTLFile.tlv',
    /steps\[1\]\.checks\[0\]\.check: the check "tftp-lacks" does not fit the action "build-ctl"/,
  ],
  [
    'a check about another list',
    /(file: CTLFile\.tlv\n\s+)built: 2-build-ctl/,
    '$1built: 1-upload',
    /steps\[2\]\.checks\[0\]\.built: the step "1-upload" builds no list/,
  ],
  [
    'a node that is not in the plan',
    /node: cucm-pub\n(\s+file)/,
    'node: cucm-pbu\n$1',
    /steps\[2\]\.checks\[0\]\.node: the plan knows no node "cucm-pbu"/,
  ],
  [
    'a group that is not there',
    /groups:\n {8}- 1\n/,
    'groups:\n        - 7\n',
    /steps\[4\]\.action\.groups\[0\]: there is no group 7 among the phones/,
  ],
  [
    'a group that is no number',
    /groups:\n {8}- 1\n/,
    'groups:\n        - -1\n',
    /steps\[4\]\.action\.groups\[0\]: "-1" is no whole number/,
  ],
  ['a list where a mapping belongs', /^from:\n(?: .*\n)+/m, 'from: []\n', /from: a mapping expected, not a list/],
  [
    'a word where a list belongs',
    /requires: \[\]/,
    'requires: none',
    /steps\[0\]\.requires: a list expected, not the text "none"/,
  ],
  [
    'an empty value',
    'title: the step 1-upload',
    'title:',
    /steps\[0\]\.title: a single value expected, not an empty value/,
  ],
  ['neither true nor false', 'safe: false', 'safe: maybe', /steps\[2\]\.safe: "maybe" is neither true nor false/],
  ['an unknown key', '    safe: false', '    save: false\n    safe: false', /steps\[2\]\.save: unknown key "save"/],
  ['who does not exist', / {4}who: tool/, '    who: nobody', /steps\[1\]\.who: "nobody" is no performer/],
  ['a digest of another length', `ctl: ${'a'.repeat(40)}`, 'ctl: abc', /from\.ctl: "abc" is no SHA-1/],
  [
    'a flow that does not exist',
    'flow: to-token',
    'flow: to-tokens',
    /steps\[1\]\.action\.flow: "to-tokens" is no flow/,
  ],
  [
    'a flow that has no tokens',
    'flow: to-token',
    'flow: to-tokenless',
    /steps\[1\]\.action\.tokens: "to-tokenless" makes a tokenless list, and tokens/,
  ],
  [
    'another signer than the first token',
    `sha1: "${'1'.repeat(40)}"\n      tokens`,
    `sha1: "${'3'.repeat(40)}"\n      tokens`,
    /steps\[1\]\.action\.tokens\[0\]: the first token is not the signer/,
  ],
  [
    'a verdict at no step',
    'step: 3-publish-ctl',
    'step: 8-publish-ctl',
    /phones\.groups\[1\]\.step: there is no step "8-publish-ctl"/,
  ],
  ['a release that is none', 'release: 11.5.1', 'release: eleven', /from\.release: "eleven" is not a release/],
  ['a time that is none', /created: .*/, 'created: yesterday', /created: "yesterday" is no UTC time/],
  [
    'a step without its checks',
    /checks:\n {6}- check: tftp-serves\n(?: {8}.*\n)+ {6}- check: confirm\n(?: {8}.*\n)+/,
    'checks: []\n',
    /steps\[2\]\.checks: the check tftp-serves of cucm-pub is missing/,
  ],
  [
    'a check about another file',
    /(tftp-serves\n\s+node: cucm-pub\n\s+file: )CTLFile\.tlv/,
    '$1ITLFile.tlv',
    /steps\[2\]\.checks\[0\]\.file: the step is about CTLFile\.tlv/,
  ],
  ['a lost phone less', /lost: 2/, 'lost: 1', /phones\.lost: 1 phones stand here, and the groups have 2 of them/],
  ['a phone too many', /total: 12/, 'total: 13', /phones\.total: 13 phones stand here, and .* are 12/],
  ['no CTL, and one', 'mode: tokenless', 'mode: no-ctl', /from\.mode: there is no CTL, and one stands here/],
  [
    'an end elsewhere',
    'mode: token\n',
    'mode: non-secure\n',
    /to\.mode: the steps end with token, and the plan says non-secure/,
  ],
  ['phones that build a list', /^ {4}who: tool$/m, '    who: phones', /steps\[1\]\.who: build-ctl is a step of: tool/],
  [
    'a token list without security',
    'securityMode: mixed',
    'securityMode: non-secure',
    /steps\[2\]\.action\.securityMode: a list by to-token belongs to the security mode mixed/,
  ],
  ['no YAML at all', 'title: the step 1-upload', 'title: "the step 1-upload', /a quote opens here and is never closed/],
  ['a tab', '  mode: tokenless', '\tmode: tokenless', /a tab stands where blanks are expected/],
  ['nothing', /[\s\S]*/, '', /the file is empty/],
];

describe('a plan that was edited into nonsense', () => {
  test.each(nonsense)('%s', (_name, from, to, said) => {
    const edited = text.replace(from, to);
    expect(edited).not.toBe(text);
    let message = '';
    try {
      parsePlan(edited, 'plan.yaml');
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      expect(error).toMatchObject({ code: 'plan-file' });
      expect((error as InputError).hint).not.toBe('');
      ({ message } = error as InputError);
    }
    expect(message).toMatch(said);
    expect(message).toMatch(/plan\.yaml:\d+:\d+: /);
  });

  test('nesting, length and aliases without end are refused as those of a plan file', () => {
    const nested = checkPlanFile(`steps: ${'['.repeat(1000)}`).problems;
    expect(nested).toMatchObject([
      { message: 'the values are nested too deeply', hint: 'check that this is the plan file' },
    ]);
    const long = checkPlanFile(`${text}#${'x'.repeat(4 * 1024 * 1024)}`).problems;
    expect(long).toMatchObject([{ message: 'the file has more than 4096 KiB, and no plan file is that long' }]);
    const laughs = Array.from({ length: 9 }, (_, index) => {
      const inner = index === 0 ? 'x' : `*a${index - 1}`;
      return `a${index}: &a${index} [${Array.from({ length: 10 }, () => inner).join(', ')}]`;
    });
    expect(checkPlanFile(laughs.join('\n')).problems.at(-1)?.message).toContain('more than 300,000 values');
  });

  test('publishing before building', () => {
    const [upload, build, publish, ...others] = plan.steps;
    const edited = formatPlan({ ...plan, steps: [upload!, publish!, build!, ...others] });
    const { problems } = checkPlanFile(edited);
    const later = problems.filter(({ message }) => message.includes('comes later'));
    expect(later.map(({ keyPath }) => keyPath)).toEqual(['steps[1].action.built', 'steps[1].checks[0].built']);
  });

  test('several slips are told in one go, in the order of the file', () => {
    const edited = text
      .replace('kind: publish-ctl', 'kind: publish')
      .replace('id: 4-restart-phones', 'id: 1-upload')
      .replace('safe: true', 'safe: yes');
    expect(() => parsePlan(edited, 'plan.yaml')).toThrow(/plan\.yaml has 3 problems:/);
    const { problems } = checkPlanFile(edited);
    expect(problems).toHaveLength(3);
  });
});
