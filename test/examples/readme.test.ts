import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLabCluster } from '../../src/cluster/index.js';
import { createTokenCtl } from '../../src/ctl/index.js';
import { openTokenSigner, parseTokenUri, Pin } from '../../src/token/index.js';
import { decodeTrustList, encodeTrustList, verifyTrustList, type TrustList } from '../../src/trust-list/index.js';
import { plugTokens, type PluggedTokens } from './plugged-tokens.js';
import { makeFolder, root, runNode } from './run-example.js';

const folder = makeFolder();
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Readonly<{
  version: string;
  bin: Record<string, string>;
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
}>;

/** The text of a section, without those below it. */
function section(title: string): string {
  const start = readme.indexOf(`# ${title}\n`);
  if (start < 0) throw new Error(`the README has no section ${title}`);
  return readme.slice(start).split(/\n(?=#+ )/)[0] ?? '';
}

/** The first cells of the rows of the table in a section, without their marks. */
function firstCells(title: string): string[] {
  return [...section(title).matchAll(/^\| `?([^`|]+?)`?(?: \(optional\))? \|/gm)].map((match) => match[1]!).slice(2);
}

test('the example of the library is ten lines or little more, and signs a list with a token', async () => {
  const code = /^```js\n([\s\S]*?)^```$/m.exec(readme)?.[1] ?? '';
  expect(code.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(12);
  const plugged = await plugTokens(folder, ['soft-etoken-1', 'soft-etoken-2']);
  const present = await createCtl(plugged);
  writeFileSync(join(folder, '1-token.tlv'), present.bytes);
  // As it is installed for a program of one's own.
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/etoken-bridge'));
  const { environment, pin } = plugged;
  const run = await runNode(['--input-type=module'], { input: code, directory: folder, environment });
  expect({ exitCode: run.exitCode, stderr: run.stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(run.stdout).toContain('The CTL file was verified successfully.');
  expect(run.stdout).not.toContain(pin);
  const signed = decodeTrustList(new Uint8Array(readFileSync(join(folder, 'signed.tlv'))));
  expect(verifyTrustList(signed).verified).toBe(true);
  expect(signed.header.timestamp).toBeGreaterThan(present.header.timestamp);
  expect(encodeTrustList({ header: present.header, records: signed.records })).toEqual(present.bytes);
});

/** A list that the first of the tokens signed, a while ago. */
async function createCtl({ tokens, pin, environment }: PluggedTokens): Promise<TrustList> {
  const node = { name: 'cucm-pub', address: '192.0.2.10', services: ['CallManager', 'TFTP', 'CAPF'] } as const;
  const outline = { release: '11.5.1', securityMode: 'mixed', nodes: [node], keyBits: 1024 } as const;
  const now = new Date();
  const { cluster } = await createLabCluster({ directory: join(folder, 'cluster'), now, ...outline });
  const signer = await openTokenSigner({
    uri: parseTokenUri(tokens[0]!.token.uri),
    environment: { ...process.env, ...environment },
    pin: () => Promise.resolve(new Pin(pin)),
  });
  try {
    const certificates = tokens.map(({ certificate }) => certificate);
    const { list } = await createTokenCtl(cluster, certificates, signer, { timestamp: 1_700_000_000, now });
    return list;
  } finally {
    await signer.close();
  }
}

test('every command and option that it shows is one of the command', async () => {
  const program = join(root, manifest.bin['etoken-bridge'] ?? '');
  const lines = [...readme.matchAll(/^\$ (etoken-bridge .*)$/gm)].map((match) => match[1]!);
  expect(lines.length).toBeGreaterThan(15);
  const helps = new Map<string, string>();
  for (const line of lines) {
    const [, group = '', command = '', below = ''] = line.split(' ');
    // `itl reset` is a group of its own.
    const named = command === 'reset' ? [group, command, below] : [group, command];
    const words = named.filter((word) => /^[a-z]/.test(word));
    const name = words.join(' ');
    if (!helps.has(name)) {
      const { stdout, exitCode } = await runNode([program, ...words, '--help']);
      expect({ name, exitCode }).toEqual({ name, exitCode: 0 });
      expect(stdout.split('\n')[0]).toContain(`Usage: ${['etoken-bridge', ...words].join(' ')}`);
      helps.set(name, stdout);
    }
    for (const [option] of line.matchAll(/--[a-z-]+/g)) {
      expect(helps.get(name), `${option} in: ${line}`).toMatch(new RegExp(String.raw`(^|[ ,])${option}\b`, 'm'));
    }
  }
  for (const [option] of section('Choose a token').matchAll(/`--[a-z-]+`/g)) {
    expect([...helps.values()].join('\n')).toContain(option.replaceAll('`', ''));
  }
});

test('its exit codes are those that the command tells', async () => {
  const { stdout } = await runNode([join(root, manifest.bin['etoken-bridge'] ?? ''), '--help']);
  const told = stdout.split('Exit codes:\n')[1]?.matchAll(/^ +(\d+) /gm) ?? [];
  expect(firstCells('Exit codes')).toEqual([...told].map((match) => match[1]));
});

test('its rooms are those of src, and its dependencies those of package.json', () => {
  const rooms = readdirSync(join(root, 'src')).filter((name) => !name.endsWith('.ts'));
  expect(firstCells('Rooms').sort()).toEqual(rooms.sort());
  const { dependencies, optionalDependencies } = manifest;
  expect(firstCells('Dependencies').sort()).toEqual(Object.keys({ ...dependencies, ...optionalDependencies }).sort());
  for (const name of Object.keys(optionalDependencies))
    expect(section('Dependencies')).toContain(`\`${name}\` (optional)`);
});

test('what it links to is there, and the scripts that it names are', () => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map((match) => match[1]!);
  expect(links.length).toBeGreaterThan(4);
  expect(links.filter((link) => !existsSync(join(root, link)))).toEqual([]);
  const scripts = [...readme.matchAll(/npm (?:run )?([a-z:]+)/g)].map((match) => match[1]!);
  const own = scripts.filter((name) => !['ci', 'pack', 'install', 'builds'].includes(name));
  expect(own.filter((name) => !(name in manifest.scripts))).toEqual([]);
  expect(readme).toContain(`etoken-bridge-${manifest.version}.tgz`);
});

test('each row of the benchmark table says what was measured, and keeps its limit', () => {
  const rows = section('Benchmarks').match(/^\| .*(?:<=|>=).*\|$/gm) ?? [];
  expect(rows.length).toBeGreaterThanOrEqual(5);
  for (const row of rows) {
    const [what, ours, theirs, ratio, limit] = row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    expect([what, ours, theirs], row).toSatisfy((cells: string[]) => cells.every((cell) => /\S/.test(cell)));
    const [sign, bound] = limit!.split(' ');
    expect(Number(ratio), row).toBeGreaterThan(0);
    expect(sign === '>=' ? Number(ratio) >= Number(bound) : Number(ratio) <= Number(bound), row).toBe(true);
  }
});
