import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'src');

/**
 * Which rooms a room may import, lowest first. `errors.ts` may be imported by all. Two rows differ from the first
 * design: `bytes` knows nothing and is of use wherever bytes are compared or shown as hex, so `signer`, `token`'s
 * neighbours `cluster`, `ctl`, `itl` and `phone` may import it; and `ctl` and `itl` write the elements of records, so they may
 * import `tlv`. `sftp` came later: it moves files over SSH for the recovery key, and knows nothing of what is in them.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  bytes: [],
  tlv: ['bytes'],
  x509: ['bytes'],
  signer: ['bytes', 'x509'],
  'signed-file': ['bytes', 'tlv', 'x509', 'signer'],
  'trust-list': ['bytes', 'tlv', 'x509', 'signed-file', 'signer'],
  token: ['bytes', 'x509', 'signer'],
  cluster: ['bytes', 'x509', 'trust-list'],
  ctl: ['bytes', 'tlv', 'trust-list', 'signed-file', 'signer', 'x509', 'cluster'],
  itl: ['bytes', 'tlv', 'trust-list', 'signed-file', 'signer', 'x509', 'cluster'],
  phone: ['bytes', 'trust-list', 'signed-file', 'x509'],
  tvs: ['bytes', 'tlv', 'x509', 'trust-list'],
  tftp: ['bytes'],
  sftp: ['bytes'],
  migration: [
    ...['bytes', 'tlv', 'x509', 'signer', 'signed-file', 'trust-list'],
    ...['cluster', 'ctl', 'itl', 'phone', 'tvs'],
  ],
  lab: [
    ...['bytes', 'tlv', 'x509', 'signer', 'signed-file', 'trust-list'],
    ...['cluster', 'ctl', 'itl', 'phone', 'tvs', 'tftp'],
  ],
  cli: [
    'bytes',
    'tlv',
    'x509',
    'signer',
    'signed-file',
    'trust-list',
    'token',
    'cluster',
    'ctl',
    'itl',
    'phone',
    'tvs',
    'tftp',
    'sftp',
    'migration',
    'lab',
  ],
};

/** Packages and parts of Node that only some rooms may use. */
const reserved: Readonly<Record<string, readonly string[]>> = {
  'graphene-pk11': ['token'],
  pkcs11js: ['token'],
  'node-forge': ['x509'],
  yaml: ['cluster', 'migration'],
  zod: ['cluster', 'migration'],
  // SSH is left to a package that is kept up; one room speaks to it, so that it could be another.
  ssh2: ['sftp'],
  'csv-parse': ['migration'],
  // Inventories are XML; so are the configurations that `signed-file` makes companions of, and the lab's phones read them
  // with what it reads.
  saxes: ['migration', 'signed-file'],
  commander: ['cli'],
  '@clack/prompts': ['cli'],
  'node:child_process': ['token'],
  'node:tls': ['tvs'],
  'node:dgram': ['tftp'],
  'node:http': [],
  'node:https': [],
};

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

/** Every specifier a file imports, exports from, imports when it is needed, or requires by any name of `require`. */
function specifiersOf(path: string): string[] {
  const text = readFileSync(path, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '');
  const pattern =
    /(?:^|[;}\s])(?:import|export)\s[^'";]*?from\s*'([^']+)'|import\s*\(\s*'([^']+)'\s*\)|^import\s*'([^']+)'/gm;
  const imported = [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
  // What is loaded by createRequire can only be told by its name, in quotes, anywhere in the file.
  const required = text.includes('createRequire')
    ? Object.keys(reserved).filter((name) => text.includes(`'${name}'`))
    : [];
  return [...imported, ...required];
}

const sourceFiles = filesBelow(source).filter((path) => path.endsWith('.ts'));

function roomOf(path: string): string {
  return relative(source, path).split('/')[0] ?? '';
}

test('the rooms of src are those of the table, and beside them stand errors.ts and index.ts only', () => {
  const entries = readdirSync(source).sort();
  expect(entries).toEqual([...Object.keys(mayImport), 'errors.ts', 'index.ts'].sort());
});

test('the top level has only what the design names', () => {
  const given = ['package.json', 'tsconfig.json', 'src', 'native-notes', 'test', 'softhsm', 'examples', 'bench'];
  const documents = ['README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md'];
  // The lock file is what makes `npm ci` possible. The rest is made, and git does not keep it.
  const allowed = new Set([
    ...given,
    ...documents,
    'package-lock.json',
    'dist',
    'node_modules',
    'quickstart-out',
    'coverage',
  ]);
  const entries = readdirSync(root).filter((name) => !name.startsWith('.'));
  expect(entries.filter((name) => !allowed.has(name))).toEqual([]);
});

test('errors.ts imports nothing', () => {
  expect(specifiersOf(join(source, 'errors.ts'))).toEqual([]);
});

describe.each(Object.keys(mayImport))('room %s', (room) => {
  const files = sourceFiles.filter((path) => roomOf(path) === room);

  test('has an index, but for the command', () => {
    expect(files.some((path) => relative(join(source, room), path) === 'index.ts')).toBe(room !== 'cli');
  });

  test('imports only the rooms it may, and those through their index', () => {
    const offences = files.flatMap((path) =>
      specifiersOf(path)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => resolve(path, '..', specifier))
        .filter((target) => roomOf(target) !== room && relative(source, target) !== 'errors.js')
        .filter((target) => {
          const other = roomOf(target);
          return !mayImport[room]?.includes(other) || relative(join(source, other), target) !== 'index.js';
        })
        .map((target) => `${relative(root, path)} imports ${relative(root, target)}`),
    );
    expect(offences).toEqual([]);
  });

  test('uses no package or part of Node that is kept for other rooms', () => {
    const offences = files.flatMap((path) =>
      specifiersOf(path)
        .filter((specifier) => reserved[specifier]?.includes(room) === false)
        .map((specifier) => `${relative(root, path)} imports ${specifier}`),
    );
    expect(offences).toEqual([]);
  });
});

test('a file that requires something says what, or hands it on by name', () => {
  const requiring = sourceFiles.filter((path) => readFileSync(path, 'utf8').includes('createRequire'));
  expect(requiring.map((path) => relative(root, path)).sort()).toEqual([
    'src/cluster/libraries.ts',
    'src/migration/inventory-libraries.ts',
    'src/signed-file/xml.ts',
    'src/token/host-library.ts',
  ]);
});

test('PKCS#11 is loaded by the token host only', () => {
  const loaders = sourceFiles.filter((path) =>
    specifiersOf(path).some((specifier) => specifier === 'pkcs11js' || specifier === 'graphene-pk11'),
  );
  const outside = loaders.filter((path) => !relative(source, path).startsWith('token/host'));
  expect(outside.map((path) => relative(root, path))).toEqual([]);
});

test('only the command writes to the console or reads standard input', () => {
  const talkers = sourceFiles.filter(
    (path) => roomOf(path) !== 'cli' && /console\.|process\.std(in|out|err)/.test(readFileSync(path, 'utf8')),
  );
  expect(talkers.map((path) => relative(root, path))).toEqual([]);
});

test('examples use public exports only', () => {
  const offences = filesBelow(join(root, 'examples'))
    .filter((path) => path.endsWith('.mjs'))
    .flatMap((path) =>
      specifiersOf(path)
        .filter((specifier) => !/^(node:|etoken-bridge(\/[a-z0-9-]+)?$|softhsm-config$)/.test(specifier))
        .map((specifier) => `${relative(root, path)} imports ${specifier}`),
    );
  expect(offences).toEqual([]);
});

test('every room but the command is a public subpath', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, string> };
  const rooms = Object.keys(mayImport).filter((room) => room !== 'cli');
  for (const room of rooms) expect(manifest.exports[`./${room}`]).toBe(`./dist/${room}/index.js`);
});
