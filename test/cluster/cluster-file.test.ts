import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/errors.js';
import {
  checkClusterFile,
  draftClusterFile,
  formatClusterFile,
  formatClusterProblem,
  parseClusterFile,
  parseRelease,
  services,
  trustStoreNames,
  type ClusterFileContent,
  type ClusterFileNode,
} from '../../src/cluster/index.js';
import { readVectors } from './vectors.js';

function contentOf({ release, securityMode, nodes, trustStores }: ClusterFileContent): ClusterFileContent {
  return { release, securityMode, nodes, trustStores };
}

function errorOf(action: () => unknown): InputError {
  try {
    action();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

describe('files that are right', () => {
  test('one node', () => {
    const [good] = readVectors((name) => name === 'good-one-node.yaml');
    expect(contentOf(parseClusterFile(good!.text, good!.name))).toEqual({
      release: parseRelease('10.5.1'),
      securityMode: 'mixed',
      nodes: [
        {
          name: 'cucm-1051-a-pub',
          address: '14.48.42.82',
          services: ['CallManager', 'TFTP', 'CAPF', 'TVS'],
          certificates: { CallManager: 'CallManager.pem', CAPF: 'CAPF.pem', TVS: 'TVS.pem' },
          keys: {},
        },
      ],
      trustStores: {},
    });
  });

  test('two nodes, an alias, flow style, quotes, comments, a token, empty mappings', () => {
    const [good] = readVectors((name) => name === 'good-two-nodes.yaml');
    const file = parseClusterFile(good!.text, good!.name);
    const all = ['CallManager', 'TFTP', 'TVS'];
    expect(contentOf(file)).toEqual({
      release: parseRelease('14.0.1.13900-155'),
      securityMode: 'non-secure',
      nodes: [
        {
          name: 'pub.example.lab',
          address: '10.1.1.5',
          services: all,
          certificates: { CallManager: 'CallManager.pem', TVS: 'TVS.pem', ITLRecovery: 'ITLRecovery.pem' },
          keys: {
            CallManager: { kind: 'file', path: './keys/CallManager.key' },
            ITLRecovery: {
              kind: 'token',
              uri: 'pkcs11:token=SAST%20one;serial=0054f509;id=%01?module-path=/usr/lib/libeToken.so&pin-source=file:/run/pin',
            },
          },
        },
        {
          name: 'sub1',
          address: '2001:db8::6',
          services: all,
          certificates: { CallManager: 'CallManager.pem', TVS: 'TVS.pem' },
          keys: {},
        },
        { name: 'sub2', address: '10.1.1.7', services: [], certificates: {}, keys: {} },
      ],
      trustStores: { 'Phone-SAST-trust': ['SAST-1.pem', 'SAST-2.pem'], 'CAPF-trust': ['CAPF.pem'], 'tomcat-trust': [] },
    });
    expect(file.placeOf('nodes[1].certificates.TVS')).toEqual({ line: 21, column: 53 });
  });

  test('with a byte order mark and the line ends of Windows', () => {
    const [good] = readVectors((name) => name === 'good-one-node.yaml');
    const text = `\ufeff${good!.text.replaceAll('\n', '\r\n')}`;
    expect(contentOf(parseClusterFile(text, 'x'))).toEqual(contentOf(parseClusterFile(good!.text, 'x')));
    const { problems } = checkClusterFile(text.replace('TVS.pem', ''), 'x');
    expect(problems.map(({ line, column }) => [line, column])).toEqual([[11, 12]]);
  });

  test('a release without quotes stays text: 12.0 and 12.50 are no numbers', () => {
    const [good] = readVectors((name) => name === 'good-one-node.yaml');
    for (const text of ['12.0', '14', '10.5', '15SU2']) {
      expect(parseClusterFile(good!.text.replace('10.5.1', text), 'x').release.text).toBe(text);
    }
  });
});

describe('files that are wrong', () => {
  const vectors = readVectors((name) => !name.startsWith('good-') && !name.startsWith('files-'));

  test('there are many', () => {
    expect(vectors.length).toBeGreaterThan(25);
  });

  test.each(vectors)('$name', ({ text, name, expected }) => {
    expect(expected.length).toBeGreaterThan(0);
    const { file, problems } = checkClusterFile(text, name);
    expect(file).toBeUndefined();
    expect(problems.map(({ code, line, column, keyPath }) => ({ code, line, column, keyPath }))).toEqual(
      expected.map(({ code, line, column, keyPath }) => ({ code, line, column, keyPath })),
    );
    const error = errorOf(() => parseClusterFile(text, name));
    expect(error.code).toBe('cluster-file');
    for (const [index, problem] of problems.entries()) {
      const { words, secrets } = expected[index]!;
      const said = `${formatClusterProblem(name, problem)} ${problem.hint}`;
      for (const word of words) expect(said).toContain(word);
      for (const secret of secrets) {
        expect(`${said} ${error.message} ${error.hint ?? ''}`).not.toContain(secret);
      }
      expect(error.message).toContain(`${name}:${String(problem.line)}:${String(problem.column)}: `);
      expect(problem.hint).not.toBe('');
    }
  });

  test('a file of nothing', () => {
    for (const text of ['', '\n', '\ufeff', '---\n', 'null\n']) {
      expect(checkClusterFile(text, 'x').problems.map(({ code }) => code)).toEqual(['empty']);
    }
  });

  test('one problem has its hint in the hint; several have theirs beside them, the rest is counted', () => {
    const one = errorOf(() => parseClusterFile('nodes: [', 'a.yaml'));
    expect(one.message).toMatch(/^a\.yaml:1:\d+: not YAML/);
    expect(one.message).not.toContain('\n');
    expect(one.hint).toBeDefined();
    const many = errorOf(() => parseClusterFile(`nodes:\n${'- x\n'.repeat(30)}`, 'a.yaml'));
    const lines = many.message.split('\n');
    expect(lines[0]).toBe('a.yaml has 32 problems:');
    expect(lines[1]).toBe('  a.yaml:1:1: release: the key "release" is missing (write e.g. release: 14SU3)');
    expect(lines).toHaveLength(22);
    expect(lines.at(-1)).toBe('  and 12 more');
  });
});

describe('hostile files', () => {
  const size = 200_000;
  const fill = (text: string) => text.repeat(Math.floor(size / text.length));
  const cases: Record<string, string> = {
    'a file of 100 MB': 'x'.repeat(100_000_000),
    'open brackets': fill('['),
    'brackets that close': '['.repeat(1000) + ']'.repeat(1000),
    'open braces': fill('{a: '),
    'nested dashes': fill('- '),
    'nested keys': fill('? '),
    colons: fill(': '),
    'deep indentation': Array.from({ length: 600 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
    'one key again and again': fill('a: 1\n'),
    'many keys': Array.from({ length: 15_000 }, (_, index) => `key${String(index)}: 1`).join('\n'),
    quotes: fill('"\n'),
    'quotes in a list': fill('- "\n'),
    'open quote': `a: "${fill('x\n ')}`,
    anchors: fill('- &a b\n'),
    aliases: fill('- *a\n'),
    tabs: fill('\t'),
    documents: fill('---\n'),
    comments: fill('#\n'),
    tags: fill('!!str '),
    commas: `[${fill(',,')}`,
    'block scalars': fill('|\n '),
    'NUL bytes': fill('\0'),
    'a prototype': '__proto__: {nodes: []}\nconstructor: 1\ntoString: 2\n',
    'many nodes': `nodes:\n${'- {name: x}\n'.repeat(4000)}`,
    'a JPEG': '\xff\xd8\xff\xe0\0\x10JFIF',
  };

  test.each(Object.entries(cases))('%s', (_name, text) => {
    const began = performance.now();
    const { file, problems } = checkClusterFile(text, 'x');
    expect(performance.now() - began).toBeLessThan(5000);
    expect(file).toBeUndefined();
    expect(problems.length).toBeGreaterThan(0);
    const { message } = errorOf(() => parseClusterFile(text, 'x'));
    expect(message.length).toBeLessThan(20_000);
    expect(message.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  });

  test('any text is a file or a list of problems that lie inside it', () => {
    const pieces = [
      'nodes:',
      'release: 14',
      '- ',
      '  ',
      '\n',
      '"',
      "'",
      '[',
      ']',
      '{',
      '}',
      '*a',
      '&a ',
      '#',
      '|',
      '>',
      '?',
      ':',
      '!t ',
      '\t',
      'name',
      ',',
    ];
    const text = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string()), { maxLength: 40 });
    fc.assert(
      fc.property(
        text.map((parts) => parts.join('')),
        (joined) => {
          const { problems } = checkClusterFile(joined, 'x');
          const lines = joined.split('\n');
          for (const { line, column, message, hint } of problems) {
            expect(line).toBeGreaterThanOrEqual(1);
            expect(line).toBeLessThanOrEqual(lines.length);
            expect(column).toBeGreaterThanOrEqual(1);
            expect(message).not.toBe('');
            expect(hint).not.toBe('');
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('every single byte of a good file dropped or changed: read, or our own error', () => {
    const [good] = readVectors((name) => name === 'good-two-nodes.yaml');
    const { text } = good!;
    for (let index = 0; index < text.length; index += 1) {
      for (const replacement of ['', '"', '{']) {
        const { file, problems } = checkClusterFile(text.slice(0, index) + replacement + text.slice(index + 1), 'x');
        expect(file === undefined).toBe(problems.length > 0);
      }
    }
  });
});

describe('formatClusterFile', () => {
  const outline = {
    release: '12.0',
    securityMode: 'mixed',
    nodes: [
      { name: 'pub', address: '10.1.1.5', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
      { name: 'sub', address: '2001:db8::6', services: ['TFTP', 'TVS'] },
      { name: 'on', address: '10.1.1.7', services: [] },
    ],
  } as const;

  test('a new file explains every key, and reads back as what it was made from', () => {
    const content = draftClusterFile(outline);
    const text = formatClusterFile(content);
    expect(contentOf(parseClusterFile(text, 'x'))).toEqual(content);
    const lines = text.split('\n');
    for (const key of [
      'release',
      'securityMode',
      'nodes',
      '- name',
      'address',
      'services',
      'certificates',
      'trustStores',
    ]) {
      const at = lines.findIndex((line) => line.trimStart().startsWith(`${key}:`));
      expect(lines[at - 1]).toMatch(/^ *# /);
    }
    expect(text).toContain('    # keys:\n    #   CallManager: keys/CallManager.key\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(125);
    expect(content.nodes[1]!.certificates).toEqual({
      CallManager: 'certificates/sub/CallManager.pem',
      TVS: 'certificates/sub/TVS.pem',
    });
    expect(content.nodes.map((node) => 'ITLRecovery' in node.certificates)).toEqual([true, false, false]);
  });

  test('its commented examples are right once their marks are taken off', () => {
    const text = formatClusterFile(draftClusterFile(outline))
      .replace(/^( *)# (keys:|  CallManager: keys|  ITLRecovery: pkcs11)/gm, '$1$2')
      .replace('    # - certificates/', '    - certificates/');
    const file = parseClusterFile(text, 'x');
    expect(file.nodes[0]!.keys.ITLRecovery?.kind).toBe('token');
    expect(file.trustStores['Phone-SAST-trust']).toHaveLength(1);
  });

  test('a release without ITLRecovery gets none; keys only when asked for', () => {
    const old = draftClusterFile({ ...outline, release: '9.1(2)' }, true);
    expect(old.nodes[0]!.certificates.ITLRecovery).toBeUndefined();
    expect(old.nodes[0]!.keys.CallManager).toEqual({ kind: 'file', path: 'keys/pub/CallManager.key' });
    expect(draftClusterFile(outline).nodes[0]!.keys).toEqual({});
    expect(() => draftClusterFile({ ...outline, release: 'x' })).toThrow(/"x" is not a release/);
    expect(() => draftClusterFile({ ...outline, nodes: [] })).toThrow(/no publisher/);
    expect(() => draftClusterFile({ ...outline, nodes: outline.nodes.slice(1) })).toThrow(/no node runs the service/);
  });

  test('whatever the paths, what is written reads back the same', () => {
    const path = fc
      .oneof(
        fc.string({ minLength: 1, maxLength: 30, unit: 'grapheme' }),
        fc.constantFrom(
          '12.0',
          'null',
          '~',
          '- x',
          'a: b',
          'a #b',
          '#',
          '%x',
          '@',
          "it's",
          'a"b',
          ' x ',
          '[a]',
          '1e5',
          'C:\\x.pem',
        ),
      )
      .filter((text) => text.trim() !== '' && !/\p{Cc}|\p{Cs}|^[a-z][a-z0-9+.-]+:|-----BEGIN/iu.test(text));
    const node = fc.record({
      services: fc.subarray([...services]),
      certificates: fc.record({ CallManager: path, CAPF: path, TVS: path, ITLRecovery: path }),
      key: path,
    });
    const stores = fc.dictionary(fc.constantFrom(...trustStoreNames), fc.array(path, { maxLength: 4 }));
    fc.assert(
      fc.property(fc.array(node, { minLength: 1, maxLength: 4 }), stores, (drawn, trustStores) => {
        const nodes = drawn.map(({ services: some, certificates, key }, index): ClusterFileNode => ({
          name: `node${String(index)}`,
          address: `10.0.0.${String(index + 1)}`,
          services: index === 0 ? ['CallManager'] : some,
          certificates,
          keys: { TVS: { kind: 'file', path: key }, CAPF: { kind: 'token', uri: 'pkcs11:token=a%20b;id=%01' } },
        }));
        const content: ClusterFileContent = {
          release: parseRelease('14SU3'),
          securityMode: 'mixed',
          nodes,
          trustStores: { ...trustStores },
        };
        expect(contentOf(parseClusterFile(formatClusterFile(content), 'x'))).toEqual(content);
      }),
    );
  });
});

test('nothing of this room is loaded with it that only reading a file needs', () => {
  const folder = new URL('../../src/cluster/', import.meta.url);
  for (const name of ['yaml-text.ts', 'schema.ts', 'cluster-file.ts', 'libraries.ts']) {
    const source = readFileSync(new URL(name, folder), 'utf8');
    expect(source).not.toMatch(/^import (?!type)[^;]*from '(?:yaml|zod)';/m);
  }
});
