import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadCluster } from '../../src/cluster/index.js';
import { decodeCertificates } from '../../src/x509/index.js';
import { expectFailure, jsonOf, run, snapshot, temporaryFolder } from './etoken-bridge.js';

let folder: string;
let lists: { readonly old: string; readonly other: string };

/** Two clusters, each of two nodes, with the ITL of its publisher in a folder. */
beforeAll(() => {
  folder = temporaryFolder();
  const make = (name: string, network: string): string => {
    const home = join(folder, name);
    const nodes = ['--node', `${name}-pub,${network}.1`, '--node', `${name}-sub,${network}.2`];
    const words = ['cluster', 'init', home, '--lab', '--key-bits', '1024', '--security-mode', 'non-secure', ...nodes];
    expect(run(words).status).toBe(0);
    const served = join(home, 'served');
    const made = run([
      'itl',
      'create',
      '--cluster',
      join(home, 'cluster.yaml'),
      '--node',
      `${name}-pub`,
      '--out',
      served,
    ]);
    expect(made.stderr).not.toMatch(/error:/);
    const itl =
      readdirSync(served, { recursive: true, encoding: 'utf8' }).find((path) => path.endsWith('ITLFile.tlv')) ?? '';
    if (itl !== 'ITLFile.tlv') copyFileSync(join(served, itl), join(served, 'ITLFile.tlv'));
    return served;
  };
  lists = { old: make('old', '192.0.2'), other: make('other', '198.51.100') };
});

function cluster(name: string): string {
  return join(folder, name, 'cluster.yaml');
}

describe('cluster export', () => {
  test('what another cluster must be given: CallManager of each TFTP node, and ITLRecovery', async () => {
    const out = join(temporaryFolder(), 'moving');
    const outcome = run(['cluster', 'export', cluster('other'), '--out', out, '--json']);
    expect(outcome.stderr).toMatch(/upload each to Phone-SAST-trust of the cluster that the phones leave/);
    const { files } = jsonOf(outcome) as { files: readonly { path: string; store: string; owner: string }[] };
    expect(files.map(({ store, owner }) => `${store}: ${owner}`)).toEqual([
      'Phone-SAST-trust: CallManager of other-pub',
      'Phone-SAST-trust: ITLRecovery of other-pub',
      'Phone-SAST-trust: CallManager of other-sub',
    ]);
    const { nodes } = await loadCluster(cluster('other'));
    const own = nodes
      .flatMap(({ certificates }) => Object.values(certificates))
      .map(({ der }) => Buffer.from(der).toString('hex'));
    for (const { path } of files) {
      const [certificate] = decodeCertificates(new Uint8Array(readFileSync(path)));
      expect(own).toContain(Buffer.from(certificate?.der ?? []).toString('hex'));
    }
    expect(outcome.status).toBe(0);
  });

  test('once more, in PEM: the same files, and what was there is kept', () => {
    const out = join(temporaryFolder(), 'moving');
    expect(run(['cluster', 'export', cluster('other'), '--out', out, '--format', 'pem']).status).toBe(0);
    const before = snapshot(out);
    const again = run(['cluster', 'export', cluster('other'), '--out', out, '--format', 'pem']);
    expect(again.status).toBe(0);
    const after = snapshot(out);
    for (const [path, content] of before) expect(after.get(path)).toBe(content);
    for (const content of before.values()) expect(content).toMatch(/^-----BEGIN CERTIFICATE-----/);
  });
});

describe('phone clusters', () => {
  test('a phone takes the lists of its own cluster, and not those of another', () => {
    const words = [
      'phone',
      'clusters',
      `old=${lists.old}`,
      `other=${lists.other}`,
      '--itl',
      join(lists.old, 'ITLFile.tlv'),
    ];
    const outcome = run(words);
    expect(outcome.stdout).toMatch(/^old: the phone takes its lists\n {2}ITLFile\.tlv: accepted by P5/);
    expect(outcome.stdout).toMatch(/^other: the phone does not take its lists\n {2}ITLFile\.tlv: rejected by P5/m);
    expect(outcome.stderr).toMatch(/no TVS was asked/);
    expect(outcome.status).toBe(0);
  });

  test('once the signers of the other are in Phone-SAST-trust of the old one, its TVS vouches (A10)', () => {
    const out = join(temporaryFolder(), 'moving');
    expect(run(['cluster', 'export', cluster('other'), '--out', out]).status).toBe(0);
    const moved = join(temporaryFolder(), 'cluster.yaml');
    const text = readFileSync(cluster('old'), 'utf8').replaceAll(
      /: (certificates|keys)\//g,
      `: ${join(folder, 'old')}/$1/`,
    );
    const names = readdirSync(out).map((name) => `    - ${join(out, name)}\n`);
    const changed = text.replace(/ {2}Phone-SAST-trust:.*\n/, `  Phone-SAST-trust:\n${names.join('')}`);
    writeFileSync(moved, changed);
    expect(
      run([
        'phone',
        'clusters',
        `other=${lists.other}`,
        '--itl',
        join(lists.old, 'ITLFile.tlv'),
        '--cluster',
        moved,
        '--json',
      ]),
    ).toMatchObject({ status: 0 });
    const before = run([
      'phone',
      'clusters',
      `other=${lists.other}`,
      '--itl',
      join(lists.old, 'ITLFile.tlv'),
      '--cluster',
      cluster('old'),
    ]);
    expect(before.stdout).toMatch(/rejected by P5: .*does not know it/);
    expect(before.status).toBe(1);
  });

  test.each([
    ['no name', ['folder'], /folder names no cluster/],
    ['a folder without lists', ['old=/'], /holds neither CTLFile\.tlv nor ITLFile\.tlv/],
  ])('%s', (_name, words, message) => {
    expectFailure(run(['phone', 'clusters', ...words]), 2, message);
  });
});
