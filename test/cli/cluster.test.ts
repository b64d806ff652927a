import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { expectFailure, jsonOf, run as runAnywhere, snapshot, temporaryFolder, type Outcome } from './etoken-bridge.js';

const folder = temporaryFolder();
const run = (...words: readonly string[]): Outcome => runAnywhere(words, { cwd: folder });
const nodes = ['--node', 'cucm-pub,10.48.47.153', '--node', 'cucm-sub1,10.48.47.154,CallManager,TFTP'];

describe('cluster init', () => {
  test('writes a commented file to be filled in, and says what is next', () => {
    const { status, stdout, stderr } = run('cluster', 'init', 'draft', '--release', '12.5(1)SU2', ...nodes);
    expect(stdout).toBe('draft/cluster.yaml\n');
    expect(stderr).toBe(
      'next: edit draft/cluster.yaml, put the certificates where it says, then: etoken-bridge cluster show draft/cluster.yaml\n',
    );
    expect(status).toBe(0);
    const text = readFileSync(join(folder, 'draft/cluster.yaml'), 'utf8');
    expect(text).toContain('release: 12.5(1)SU2');
    expect(text).toContain('name: cucm-sub1');
    expect(text.match(/^ *#/gm)!.length).toBeGreaterThan(10);
    // It names files that are not there yet: each is told with its line and column.
    const shown = run('cluster', 'show', 'draft/cluster.yaml');
    expectFailure(
      shown,
      2,
      /draft\/cluster\.yaml:\d+:\d+: nodes\[0\]\.certificates\.CallManager: /,
      'correct these places',
    );
  });

  test('without a folder it writes here', () => {
    const here = join(folder, 'here');
    mkdirSync(here);
    const outcome = runAnywhere(['cluster', 'init'], { cwd: here });
    expect(outcome.stdout).toBe('cluster.yaml\n');
    expect(outcome.stderr).toContain('the release is taken to be 11.5.1');
    expect(readdirSync(here)).toEqual(['cluster.yaml']);
  });

  test('--lab also makes keys and certificates; --json lists the files', () => {
    const outcome = run('cluster', 'init', 'lab', '--lab', '--key-bits', '1024', '--json', ...nodes);
    const { clusterFile, files } = jsonOf(outcome) as { clusterFile: string; files: string[] };
    expect(clusterFile).toBe('lab/cluster.yaml');
    expect(files.at(-1)).toBe(clusterFile);
    expect([...files].sort()).toEqual(
      [...snapshot(join(folder, 'lab')).keys()].map((path) => path.slice(folder.length + 1)),
    );
    for (const path of files) {
      expect(statSync(join(folder, path)).mode & 0o777).toBe(path.endsWith('.key') ? 0o600 : 0o644);
    }
    // No keys were listed on the screen, and progress is for terminals.
    expect(outcome.stderr).toBe('The keys and certificates are for practice: no cluster knows them.\n');
    expect(outcome.status).toBe(0);
  });

  test('what is there is not replaced without --force, and kept in backups/ with it', () => {
    for (const [name, more] of [
      ['draft', []],
      ['lab', ['--lab', '--key-bits', '1024']],
    ] as const) {
      const before = snapshot(join(folder, name));
      const outcome = run('cluster', 'init', name, ...more, ...nodes);
      expectFailure(outcome, 2, 'already', 'give another folder, or --force to replace what is there');
      expect(snapshot(join(folder, name))).toEqual(before);
      const old = before.get(join(folder, name, 'cluster.yaml'));
      expect(run('cluster', 'init', name, '--force', '--release', '10.5.2', ...more, ...nodes).status).toBe(0);
      const kept = [...snapshot(join(folder, name, 'backups')).values()];
      expect(kept).toContain(old);
    }
  });

  test.each([
    [['--node', 'cucm-pub'], '--node cucm-pub: a name and an address are wanted', 'NAME,ADDRESS[,SERVICE…]'],
    [['--node', 'cucm-pub,10.0.0.300'], '--node cucm-pub,10.0.0.300', 'NAME,ADDRESS'],
    [['--node', 'cucm-pub,10.0.0.1,Tomcat'], 'Tomcat is no service', 'CallManager, TFTP, CAPF, TVS'],
    [['--release', 'latest'], '"latest" is not a release', '14SU3'],
  ])('%j: 2, and nothing is written', (words, error, hint) => {
    expectFailure(run('cluster', 'init', 'never', ...words), 2, error, hint);
    expectFailure(run('cluster', 'init', 'never', '--lab', ...words), 2, error, hint);
    expect(readdirSync(folder)).not.toContain('never');
  });

  test('a file in place of the folder: 2', () => {
    writeFileSync(join(folder, 'a-file'), '');
    expectFailure(
      run('cluster', 'init', 'a-file'),
      2,
      'the folder a-file cannot be made: a file of this name is there',
    );
    expectFailure(run('cluster', 'init', 'a-file', '--lab'), 2, 'a-file');
    expect(statSync(join(folder, 'a-file')).size).toBe(0);
  });
});

describe('cluster show', () => {
  test('lists nodes, services and certificates, and no key', () => {
    expect(run('cluster', 'init', 'shown', '--lab', '--key-bits', '1024', '-q', ...nodes).status).toBe(0);
    const { status, stdout, stderr } = run('cluster', 'show', 'shown/cluster.yaml');
    expect(stdout).toMatch(/^Release: +11\.5\.1\nSecurity mode: +mixed\nNodes: +2\n\nNode 1: cucm-pub \(publisher\)\n/);
    expect(stdout).toMatch(/\nNode 2: cucm-sub1\n {2}Address: +10\.48\.47\.154\n {2}Services: +CallManager, TFTP\n/);
    expect(stdout.match(/^ {2}Certificate /gm)!.length).toBeGreaterThanOrEqual(5);
    expect(stdout).not.toContain('PRIVATE KEY');
    expect([status, stderr]).toEqual([0, '']);
  });

  test('--json has stable keys', () => {
    const outcome = run('cluster', 'show', '--json', 'shown/cluster.yaml');
    const document = jsonOf(outcome) as { nodes: Record<string, unknown>[] };
    expect(Object.keys(document)).toEqual(['release', 'securityMode', 'nodes', 'trustStores', 'recoveryBackup']);
    expect(document.nodes.map((node) => [node['name'], node['publisher']])).toEqual([
      ['cucm-pub', true],
      ['cucm-sub1', false],
    ]);
    expect([outcome.status, outcome.stderr]).toEqual([0, '']);
  });

  test.each([
    ['none.yaml', '', 'the cluster file none.yaml does not exist', 'check the path'],
    ['shown', '', 'is a folder', 'give a cluster file'],
    ['broken.yaml', 'release: [1\n', /broken\.yaml:\d+:\d+: /, 'line the entries'],
    ['typo.yaml', 'relaese: 11.5.1\nsecurityMode: mixed\nnodes: []\n', 'relaese', 'correct'],
  ])('%s: 2, with the place', (name, text, error, hint) => {
    if (text !== '') writeFileSync(join(folder, name), text);
    expectFailure(run('cluster', 'show', name), 2, error, hint);
  });
});
