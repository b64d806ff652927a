import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/errors.js';
import {
  certificateNames,
  draftClusterFile,
  formatClusterFile,
  parseClusterFile,
  withChange,
  withPasswordChange,
  withRecoveryBackup,
  withSecurityMode,
  type ClusterFileContent,
} from '../../src/cluster/index.js';
import { readVectors } from './vectors.js';

const outline = {
  release: '11.5.1',
  securityMode: 'mixed',
  nodes: [
    { name: 'cucm-pub', address: '10.48.47.153', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
    { name: 'cucm-sub1', address: '10.48.47.154', services: ['CallManager', 'TFTP', 'TVS'] },
  ],
} as const;
const drafted = formatClusterFile(draftClusterFile(outline, true));
const backup = { time: new Date('2026-01-31T12:00:00Z'), sha1: '0123456789abcdef0123456789abcdef01234567' };

/** What a file says, without the functions of its reading. */
function contentOf(text: string): ClusterFileContent {
  const { release, securityMode, nodes, trustStores, recoveryBackup } = parseClusterFile(text, 'cluster.yaml');
  return { release, securityMode, nodes, trustStores, recoveryBackup };
}

const mode = fc.constantFrom('mixed', "'mixed'", '"mixed"', '&mode mixed', '&mode "mixed"', '"mi\\x78ed"');
const word = fc.stringMatching(/^[ -~äß€]{0,20}$/);

/** A cluster file as people write it, and the same one with another security mode. */
const fileText = fc
  .record({
    mode,
    gap: fc.constantFrom(' ', '   '),
    before: fc.array(word, { maxLength: 3 }),
    after: fc.option(word),
    behind: fc.array(word, { maxLength: 3 }),
    lineBreak: fc.constantFrom('\n', '\r\n'),
    last: fc.boolean(),
    mark: fc.boolean(),
    end: fc.constantFrom('', '\n', '\n\n# the end\n', '\n...\n'),
    nodes: fc.constantFrom(
      'nodes: [{name: mixed, address: 10.1.1.5, services: [CallManager], certificates: {CallManager: mixed.pem}}]',
      'nodes:\n- name: mixed # mixed\n  address: 10.1.1.5\n  services: [CallManager]\n  certificates:\n      CallManager: mixed.pem',
      'nodes:\n    -   name: "mixed"\n        services:\n        - CallManager\n        address: 10.1.1.5\n        # securityMode: mixed\n        certificates: { CallManager: mixed.pem }',
    ),
  })
  .map((made) => {
    const comments = (words: readonly string[]): string => words.map((one) => `# ${one}\n`).join('');
    const line = (value: string): string =>
      `securityMode:${made.gap}${value}${made.after === null ? '' : ` # ${made.after}`}`;
    const parts = (value: string): string[] => {
      const rest = [`release: "12.5"`, made.nodes];
      const whole = made.last ? [...rest, line(value)] : [line(value), ...rest];
      return [comments(made.before), whole.join(`\n${comments(made.behind)}`), made.end];
    };
    const whole = (value: string): string =>
      `${made.mark ? '\ufeff' : ''}${parts(value).join('')}`.replaceAll('\n', made.lineBreak);
    return { text: whole(made.mode), changed: whole(made.mode.replace(/mixed|'mixed'|"mi.*ed"/, 'non-secure')) };
  });

describe('the security mode', () => {
  test('of a file as people write it: only its word changes', () => {
    fc.assert(
      fc.property(fileText, ({ text, changed }) => {
        expect(withSecurityMode(text, 'non-secure', 'cluster.yaml')).toBe(changed);
        expect(parseClusterFile(changed, 'cluster.yaml').securityMode).toBe('non-secure');
      }),
      { numRuns: 150 },
    );
  });

  test('there and back gives the same bytes', () => {
    const there = withSecurityMode(drafted, 'non-secure', 'cluster.yaml');
    expect(there).not.toBe(drafted);
    expect(withSecurityMode(there, 'mixed', 'cluster.yaml')).toBe(drafted);
    expect(withSecurityMode(drafted, 'mixed', 'cluster.yaml')).toBe(drafted);
  });

  test('JSON is YAML too', () => {
    const text = JSON.stringify(
      {
        release: '12.5',
        securityMode: 'mixed',
        nodes: [{ name: 'a', address: '10.1.1.5', services: ['CallManager'] }],
      },
      undefined,
      2,
    ).replace('"services"', '"certificates": {"CallManager": "a.pem"}, "services"');
    const changed = withSecurityMode(text, 'non-secure', 'cluster.yaml');
    expect(parseClusterFile(changed, 'cluster.yaml').securityMode).toBe('non-secure');
    expect(parseClusterFile(changed, 'cluster.yaml').nodes).toEqual(parseClusterFile(text, 'cluster.yaml').nodes);
  });

  test('a word that other entries share is not changed behind their back', () => {
    const text = drafted
      .replace('securityMode: mixed', 'securityMode: &word mixed')
      .replace('name: cucm-sub1', 'name: *word');
    const change = (): string => withSecurityMode(text, 'non-secure', 'cluster.yaml');
    expect(change).toThrow(InputError);
    expect(change).toThrow(/cluster\.yaml is written in a way that securityMode cannot be changed/);
  });

  test('an alias is replaced where it stands, and its anchor stays', () => {
    const text = drafted
      .replace('securityMode: mixed\n', '')
      .replace('name: cucm-sub1', 'name: &word mixed')
      .concat('securityMode: *word\n');
    const changed = withSecurityMode(text, 'non-secure', 'cluster.yaml');
    expect(parseClusterFile(changed, 'x').securityMode).toBe('non-secure');
    expect(parseClusterFile(changed, 'x').nodes[1]?.name).toBe('mixed');
  });

  const vectors = readVectors(() => true);
  test('every file of test/vectors/cluster is changed and read back, or refused for what is wrong with it', () => {
    let changed = 0;
    for (const { name, text, expected } of vectors) {
      const change = (): string => withSecurityMode(text, 'non-secure', name);
      if (expected.some(({ code }) => !code.startsWith('file-') && code !== 'bad-certificate')) {
        expect(change, name).toThrow(InputError);
        continue;
      }
      const { securityMode: _mode, ...rest } = contentOf(text);
      expect(contentOf(change()), name).toEqual({ ...rest, securityMode: 'non-secure' });
      changed += 1;
    }
    expect(changed).toBeGreaterThan(0);
    expect(changed).toBeLessThan(vectors.length);
  });

  test('a text that is no cluster file is refused', () => {
    for (const text of ['', 'securityMode: mixed\n', 'nodes: [', drafted.replace('release:', 'relaese:')]) {
      expect(() => withSecurityMode(text, 'non-secure', 'cluster.yaml')).toThrow(InputError);
    }
  });
});

describe('the notes', () => {
  const time = new Date('2026-11-21T07:31:51.500Z');

  test('a change stands below its node, and every line of before is still there', () => {
    const text = withChange(drafted, 1, 'TVS', time, 'cluster.yaml');
    const lines = text.split('\n');
    const added = lines.filter((line) => !drafted.split('\n').includes(line));
    expect(added).toEqual(['    changed:', '      TVS: 2026-11-21T07:31:51Z']);
    expect(lines.filter((line) => !added.includes(line)).join('\n')).toBe(drafted);
    expect(contentOf(text).nodes[1]?.changed).toEqual({ TVS: new Date('2026-11-21T07:31:51Z') });
    expect(contentOf(text).nodes[0]?.changed).toBeUndefined();
  });

  test('a later change of the same certificate replaces the note; of another one, joins it', () => {
    const first = withChange(drafted, 0, 'TVS', time, 'x');
    const later = new Date('2026-11-21T08:00:00Z');
    const second = withChange(first, 0, 'TVS', later, 'x');
    expect(second).toBe(first.replace('2026-11-21T07:31:51Z', '2026-11-21T08:00:00Z'));
    const both = withChange(second, 0, 'CallManager', time, 'x');
    expect(both).toBe(second.replace(/(?<=      TVS: 2026.*)\n/, '\n      CallManager: 2026-11-21T07:31:51Z\n'));
    expect(contentOf(both).nodes[0]?.changed?.TVS).toEqual(later);
  });

  test('in whatever way the file is written: comments stay, and nothing else changes', () => {
    fc.assert(
      fc.property(fileText, fc.constantFrom(...certificateNames), ({ text }, name) => {
        const changed = withRecoveryBackup(withChange(text, 0, name, time, 'x'), backup, 'x');
        const [was, is] = [contentOf(text), contentOf(changed)];
        expect(is.recoveryBackup).toEqual(backup);
        expect(is.nodes[0]?.changed?.[name]).toEqual(new Date('2026-11-21T07:31:51Z'));
        expect({
          ...is,
          recoveryBackup: undefined,
          nodes: is.nodes.map((one) => ({ ...one, changed: undefined })),
        }).toEqual(was);
        const commentsOf = (one: string): string[] => (one.match(/#.*$/gm) ?? []).map((comment) => comment.trim());
        expect(commentsOf(changed).sort()).toEqual(commentsOf(text).sort());
      }),
      { numRuns: 150 },
    );
  });

  test('a backup is noted at the end, and noted again in its place', () => {
    const text = withRecoveryBackup(drafted, backup, 'x');
    expect(text).toBe(
      `${drafted}\nrecoveryBackup:\n  time: 2026-01-31T12:00:00Z\n  sha1: 0123456789abcdef0123456789abcdef01234567\n`,
    );
    const digits = { time: new Date('2027-01-31T12:00:00Z'), sha1: '1'.repeat(40) };
    const again = withRecoveryBackup(text, digits, 'x');
    expect(contentOf(again).recoveryBackup).toEqual(digits);
    expect(again.split('\n')).toHaveLength(text.split('\n').length);
  });

  test('a changed password is noted beside the backup, and stays there when the next backup is noted', () => {
    const passwordChanged = new Date('2026-03-01T08:00:00Z');
    const text = withPasswordChange(withRecoveryBackup(drafted, backup, 'x'), passwordChanged, 'x');
    expect(text.endsWith('  passwordChanged: 2026-03-01T08:00:00Z\n')).toBe(true);
    const later = { ...backup, time: new Date('2027-01-31T12:00:00Z') };
    expect(contentOf(withRecoveryBackup(text, later, 'x')).recoveryBackup).toEqual({ ...later, passwordChanged });
    expect(() => withPasswordChange(drafted, passwordChanged, 'x')).toThrow('x notes no backup of the ITLRecovery key');
  });

  test('formatting and reading a file with notes gives them back', () => {
    const noted = withRecoveryBackup(withChange(drafted, 0, 'CAPF', time, 'x'), backup, 'x');
    for (const text of [noted, withPasswordChange(noted, new Date('2026-03-01T08:00:00Z'), 'x')]) {
      const content = contentOf(text);
      expect(contentOf(formatClusterFile(content))).toEqual(content);
    }
  });

  test.each([
    ['    changed:\n      TVS: yesterday\n', 'nodes[1].changed.TVS', /"yesterday" is not a time in UTC/],
    ['    changed:\n      TVS: 2026-02-30T00:00:00Z\n', 'nodes[1].changed.TVS', /is not a time in UTC/],
    ['    changed:\n      TVS: 2026-02-28T00:00:00+02:00\n', 'nodes[1].changed.TVS', /is not a time in UTC/],
    ['    changed: now\n', 'nodes[1].changed', /a mapping of times expected, not a text/],
    ['    changed:\n      tomcat: 2026-02-28T00:00:00Z\n', 'nodes[1].changed.tomcat', /unknown key "tomcat"/],
    [
      `recoveryBackup: {time: 2026-02-28T00:00:00Z, sha1: ${backup.sha1}, passwordChanged: today}\n`,
      'recoveryBackup.passwordChanged',
      /"today" is not a time in UTC/,
    ],
    ['recoveryBackup: yes\n', 'recoveryBackup', /a mapping expected, not a text/],
    ['recoveryBackup: {time: 2026-02-28T00:00:00Z}\n', 'recoveryBackup.sha1', /the key "sha1" is missing/],
    ['recoveryBackup: {time: 2026-02-28T00:00:00Z, sha1: abc}\n', 'recoveryBackup.sha1', /"abc" is not a SHA-1/],
  ])('a note that is wrong is told with its place: %j', (lines, keyPath, message) => {
    const store = drafted.indexOf('\n# Certificates in the trust stores');
    const text = lines.startsWith(' ') ? drafted.slice(0, store) + lines + drafted.slice(store) : drafted + lines;
    expect(() => parseClusterFile(text, 'cluster.yaml')).toThrow(message);
    expect(() => parseClusterFile(text, 'cluster.yaml')).toThrow(`: ${keyPath}: `);
  });
});
