import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { formatCertificatePem } from '../../src/x509/index.js';
import { expectFailure, jsonOf, run, snapshot, temporaryFolder, type Outcome } from './etoken-bridge.js';
import { makeLiveLab, runBeside, sha1, type LiveLab } from './migrate-lab.js';

let lab: LiveLab;
let files: readonly string[];

beforeAll(async () => {
  lab = await makeLiveLab({ nodes: ['cucm-pub', 'cucm-sub'] });
  files = [
    ...['--cluster', lab.clusterFile],
    ...['--ctl', join(lab.served('cucm-pub'), 'CTLFile.tlv')],
    ...['--itl', `cucm-pub=${join(lab.served('cucm-pub'), 'ITLFile.tlv')}`],
    ...['--itl', `cucm-sub=${join(lab.served('cucm-sub'), 'ITLFile.tlv')}`],
  ];
});

/** `--token-certificate` of both tokens; no token is plugged in. */
function tokenFiles(): readonly string[] {
  const paths = lab.tokens.map((certificate, index) => {
    const path = join(lab.folder, `token-${index}.pem`);
    writeFileSync(path, formatCertificatePem(certificate));
    return path;
  });
  return paths.flatMap((path) => ['--token-certificate', path]);
}

function plan(words: readonly string[], folder = temporaryFolder()): Outcome & { readonly folder: string } {
  return { ...run(['migrate', 'plan', ...files, ...words], { cwd: folder }), folder };
}

interface PlanDocument {
  readonly path: string;
  readonly lost: string | null;
  readonly plan: {
    readonly findings: readonly { readonly check: string }[];
    readonly steps: readonly { readonly id: string; readonly who: string }[];
    readonly phones: { readonly kept: number; readonly lost: number; readonly unknown: number };
  };
}

const heading = 'device,model,CTL SHA-1,ITL SHA-1,TVS servers,Security by Default,Room\r\n';

/** An inventory of phones that hold what is served, of some that have no ITL, and of one with a list nobody knows. */
function inventory(folder: string): string {
  const ctl = sha1(lab.tokenless);
  const itl = sha1(new Uint8Array(readFileSync(join(lab.served('cucm-pub'), 'ITLFile.tlv'))));
  const path = join(folder, 'phones.csv');
  const rows = [
    `SEP000000000001,CP-8861,${ctl},${itl},cucm-pub;cucm-sub,yes,Hall`,
    `SEP000000000002,CP-8861,${ctl},${itl},cucm-pub;cucm-sub,yes,=2+2`,
    `SEP000000000003,CP-7960,${ctl},,,no,Cellar`,
    `SEP000000000004,CP-8861,${'ab'.repeat(20)},${itl},cucm-pub,yes,Attic`,
  ];
  writeFileSync(path, `${heading}${rows.join('\r\n')}\r\n`);
  return path;
}

describe('migrate plan', () => {
  test('names the steps, who does them, and the phones that are lost', () => {
    const folder = temporaryFolder();
    const outcome = plan(
      ['--to', 'token', ...tokenFiles(), '--phones', inventory(folder), '--lost', 'lost.csv', '--json'],
      folder,
    );
    const { plan: made, path, lost } = jsonOf(outcome) as PlanDocument;
    expect(path).toBe('migration.yaml');
    expect(made.findings.map(({ check }) => check)).toEqual(['A3']);
    expect(made.steps.map(({ id, who }) => `${id} ${who}`)).toEqual([
      '1-upload administrator',
      '2-build-ctl tool',
      '3-publish-ctl administrator',
      '4-restart-phones phones',
      '5-delete-list administrator',
      '6-restart-phones phones',
    ]);
    expect(made.phones).toMatchObject({ kept: 2, lost: 1, unknown: 1 });
    // Phones are lost: the answer is no.
    expect(outcome.status).toBe(1);
    expect(lost).toBe('lost.csv');
    const [titles, ...rows] = readFileSync(join(folder, 'lost.csv'), 'utf8').trimEnd().split('\r\n');
    expect(titles).toMatch(/^device,model,.*,Room,.*rule/);
    expect(rows.map((row) => row.split(',')[0])).toEqual(['SEP000000000003', 'SEP000000000004']);
    expect(rows[0]).toMatch(/Cellar,lost,P11,.*4-restart-phones/);
  });

  test('the plan is a file that "migrate show" reads, the former one is kept', () => {
    const first = plan(['--renew', 'cucm-sub=CallManager', '--timestamp', '2026-03-01T10:00:00Z']);
    expect(first.stderr).toMatch(/no inventory was given/);
    expect(first.status).toBe(0);
    const text = readFileSync(join(first.folder, 'migration.yaml'), 'utf8');
    expect(text).toMatch(/^created: 2026-03-01T10:00:00.000Z$/m);
    const shown = run(['migrate', 'show', 'migration.yaml'], { cwd: first.folder });
    expect(shown.stdout).toBe(first.stdout);
    expect(shown.stdout).toMatch(/1-renew +administrator +yes +Renew the CallManager certificate of cucm-sub/);
    const again = plan(['--renew', 'cucm-sub=CallManager', '--timestamp', '2026-03-01T10:00:00Z'], first.folder);
    expect(again.status).toBe(0);
    expect(readFileSync(join(first.folder, 'migration.yaml'), 'utf8')).toBe(text);
    expect([...snapshot(first.folder).keys()].filter((name) => name.includes('backups')).length).toBeLessThanOrEqual(1);
  });

  test('without --to and without anything else that is wanted there is nothing to plan', () => {
    expectFailure(plan([]), 2, 'nothing is wanted', 'a mode, certificates to renew, a release, or another cluster');
  });

  test('without an inventory the ITL of each TFTP node is wanted: a phone that holds none takes any', () => {
    const words = files.filter((_, index) => index < files.length - 2);
    const outcome = run(['migrate', 'plan', ...words, '--to', 'tokenless'], { cwd: temporaryFolder() });
    expectFailure(outcome, 2, 'the ITL of cucm-sub is not given', '--itl cucm-sub=FILE');
  });

  test('what is refused is refused by its check, and no plan is written', () => {
    const before = plan(['--to', 'token']);
    expectFailure(before, 4, 'refused (A5)', '--accept A5');
    expect(snapshot(before.folder).size).toBe(0);
    expectFailure(plan(['--to-release', '9.1.2']), 4, 'refused (A8)');
  });

  test.each([
    ['a node that is not there', ['--renew', 'nobody=TVS'], /--renew names nobody/],
    ['a certificate that no node has', ['--renew', 'cucm-pub=tomcat'], /tomcat is no certificate of a node/],
    ['no node', ['--renew', 'TVS'], /--renew TVS does not name a node/],
    ['a mode that is none', ['--to', 'mixed'], /Allowed choices are token, tokenless, non-secure, no-ctl/],
    ['a check that is none', ['--to', 'tokenless', '--accept', 'A15'], /the checks are A1 to A14/],
    ['a release that is none', ['--to-release', 'new'], /not a release/],
    [
      'a TVS that is both',
      ['--to', 'tokenless', '--tvs-stopped', 'cucm-sub', '--tvs-unreachable', 'cucm-sub'],
      /stopped and unreachable/,
    ],
    [
      'a central TFTP of another kind',
      ['--to', 'tokenless', '--central-tftp', 'one=both'],
      /neither per-device nor common/,
    ],
    ['--lost without an inventory', ['--to', 'tokenless', '--lost', 'lost.csv'], /none is given/],
    ['an output that is an input', ['--to', 'tokenless', '--out', 'CLUSTER'], /is an input|input/],
  ])('wrong usage: %s', (_name, words, message) => {
    const given = words.map((word) => (word === 'CLUSTER' ? lab.clusterFile : word));
    const outcome = plan(given);
    expectFailure(outcome, 2, message);
    expect(snapshot(outcome.folder).size).toBe(0);
  });

  test('a cluster file that contradicts the lists', () => {
    const folder = temporaryFolder();
    expect(run(['cluster', 'init', folder, '--lab', '--key-bits', '1024', '--node', 'other,192.0.2.77']).status).toBe(
      0,
    );
    const ctl = join(lab.served('cucm-pub'), 'CTLFile.tlv');
    const phones = join(folder, 'phones.csv');
    writeFileSync(phones, `${heading}SEP000000000001,CP-8861,none,none,other,yes,\r\n`);
    const words = [
      'migrate',
      'plan',
      '--cluster',
      join(folder, 'cluster.yaml'),
      '--to',
      'tokenless',
      '--phones',
      phones,
    ];
    expectFailure(run([...words, '--ctl', ctl], { cwd: folder }), 2, /the cluster file and the CTL.* contradict/);
    expectFailure(run(words, { cwd: folder }), 2, /mixed, and there is no CTL/, /securityMode: non-secure/);
  });

  test('a broken line of the inventory is told with its number; --strict refuses', () => {
    const folder = temporaryFolder();
    const path = inventory(folder);
    writeFileSync(path, `${readFileSync(path, 'utf8')}SEP00000000000X,CP-8861,zz,,,yes,\r\n`);
    const lax = plan(['--to', 'tokenless', '--phones', path], folder);
    expect(lax.stderr).toMatch(/phones\.csv, line 6: /);
    expect(lax.status).toBe(1);
    const strict = plan(['--to', 'tokenless', '--phones', path, '--strict'], temporaryFolder());
    expectFailure(strict, 2, /line 6/, /--strict/);
    expect(snapshot(strict.folder).size).toBe(0);
  });
});

test('a plan is made, walked to its end against the live servers, and the phones have the new CTL', async () => {
  const own = await makeLiveLab();
  const folder = temporaryFolder();
  const given = [
    ...[
      '--cluster',
      own.clusterFile,
      '--ctl',
      join(own.served(), 'CTLFile.tlv'),
      '--itl',
      join(own.served(), 'ITLFile.tlv'),
    ],
  ];
  const paths = own.tokens.map((certificate, index) => {
    const path = join(folder, `token-${index}.pem`);
    writeFileSync(path, formatCertificatePem(certificate));
    return path;
  });
  const tokenWords = paths.flatMap((path) => ['--token-certificate', path]);
  const made = run(['migrate', 'plan', ...given, '--to', 'token', ...tokenWords], { cwd: folder });
  expect(made.stdout).toMatch(/1-upload[\s\S]*2-build-ctl[\s\S]*3-publish-ctl/);

  const apply = (more: readonly string[] = []): Promise<Outcome> =>
    runBeside(['migrate', 'apply', 'migration.yaml', ...own.serverOptions, ...own.tokenOptions, '--yes', ...more], {
      cwd: folder,
    });
  const waiting = await apply();
  expect(waiting.stderr).toMatch(/1-upload is not done: the TVS server of cucm-pub .* does not vouch/);
  expect(waiting.status).toBe(1);

  own.upload(...own.tokens);
  const clusterText = readFileSync(own.clusterFile, 'utf8');
  writeFileSync(
    own.clusterFile,
    clusterText.replace(
      / {2}Phone-SAST-trust:.*\n/,
      `  Phone-SAST-trust:\n${paths.map((path) => `    - ${path}\n`).join('')}`,
    ),
  );
  const built = await apply();
  expect(built.stderr).toMatch(/3-publish-ctl is not done: .*serves/);
  const list = join(folder, 'migration.yaml.work', '2-build-ctl-CTLFile.tlv');
  own.putCtl(new Uint8Array(readFileSync(list)));
  const restarts = ['4-restart-phones', '6-restart-phones'].flatMap((step) => ['--phones-restarted', step]);
  const done = await apply(restarts);
  expect(done.stdout).toMatch(/all \d+ steps are done/);
  expect(done.status).toBe(0);
  expect(run(['ctl', 'verify', join(own.served(), 'CTLFile.tlv')]).status).toBe(0);
});
