import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  expectFailure,
  jsonOf,
  plainEnvironment,
  program,
  run as runCommand,
  temporaryFolder,
} from './etoken-bridge.js';

const folder = temporaryFolder();
const run = (...words: string[]): ReturnType<typeof runCommand> => runCommand(words, { cwd: folder });

describe('lab', () => {
  test('--stories lists them', () => {
    const { status, stdout } = run('lab', '--stories');
    expect(status).toBe(0);
    expect(stdout).toContain('both-renewed-one-node');
  });

  test('--story tells one: who registers, and by which rule', () => {
    const { status, stdout, stderr } = run('lab', '--story', 'both-renewed-one-node', '--key-bits', '1024');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('2. CallManager and TVS were renewed together\n   phone: IS STUCK\n');
    expect(stdout).toContain('ITLFile.tlv: rejected by P5: ');
    expect(stdout).toContain('3. the ITL was deleted by hand\n   phone: registers\n');
  });

  test('--once boots phones from a cluster of two nodes, and leaves its files in --dir', () => {
    const words = [
      'lab',
      '--once',
      '--dir',
      'kept',
      '--nodes',
      '2',
      '--cluster-mode',
      'token',
      '--key-bits',
      '1024',
      '--json',
    ];
    const outcome = run(...words);
    expect(outcome.status).toBe(0);
    const { phones, servers } = jsonOf(outcome) as { phones: { registered: boolean }[]; servers: object[] };
    expect(servers).toHaveLength(2);
    expect(phones.map(({ registered }) => registered)).toEqual([true, true, true]);
    const served = join(folder, 'kept/tftp/cucm-pub');
    expect(existsSync(join(served, 'CTLFile.tlv'))).toBe(true);
    expect(run('ctl', 'verify', join(served, 'CTLFile.tlv')).status).toBe(0);
    expect(run('itl', 'verify', join(served, 'ITLFile.tlv')).status).toBe(0);
  });

  test.each([
    [['--story', 'nothing'], 'there is no story nothing'],
    [['--nodes', '0'], '--nodes cannot be 0'],
    [['--phones', 'many'], '--phones cannot be many'],
    [['--tftp-port', '70000'], '--tftp-port cannot be 70000'],
    [['--nodes', '2', '--tvs-port', '65535'], 'TVS of 2 nodes from port 65535 on would need 65536'],
    [['--host', '0.0.0.0'], '0.0.0.0 is no address that they can reach'],
  ])('%j: 2', (words, error) => {
    expectFailure(run('lab', '--once', '--key-bits', '1024', ...words), 2, error);
  });
});

describe('phones of a lab that runs', () => {
  const lab = spawn(
    process.execPath,
    [program, 'lab', '--dir', 'running', '--cluster-mode', 'tokenless', '--key-bits', '1024', '--json', '--quiet'],
    { cwd: folder, env: plainEnvironment(), stdio: ['ignore', 'pipe', 'ignore'] },
  );
  afterAll(() => lab.kill('SIGKILL'));
  let server = '';
  let tvs = '';
  const served = (name: string): string => join('running/tftp/cucm-pub', name);

  beforeAll(async () => {
    let text = '';
    for await (const chunk of lab.stdout) {
      text += String(chunk);
      if (text.endsWith('\n}\n')) break;
    }
    const [node] = (JSON.parse(text) as { servers: { tftp: { port: number }; tvs: { port: number } }[] }).servers;
    server = `127.0.0.1:${String(node!.tftp.port)}`;
    tvs = `127.0.0.1:${String(node!.tvs.port)}`;
  });

  test('phone boot: each file with its rule, and the lists it holds afterwards', () => {
    const words = ['phone', 'boot', server, '--mac', '0000.5e00.5301', '--save', 'held', '--log'];
    const { status, stdout, stderr } = run(...words);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^CTLFile\.tlv: accepted by P3: .* \[its own record 1\]$/m);
    expect(stdout).toMatch(/^ITLFile\.tlv: accepted by P4: .* \[CTL record 1\]$/m);
    expect(stdout).toMatch(/^SEP00005E005301\.cnf\.xml\.sgn: accepted by P12: .* \[CTL record 2\]$/m);
    expect(stderr).toContain('TL file verified successfully.');
    expect(readFileSync(join(folder, 'held/CTLFile.tlv'))).toEqual(readFileSync(join(folder, served('CTLFile.tlv'))));
    const again = run(
      'phone',
      'boot',
      server,
      '--mac',
      '00005E005301',
      '--ctl',
      'held/CTLFile.tlv',
      '--itl',
      'held/ITLFile.tlv',
    );
    expect(again.stdout).toMatch(/^CTLFile\.tlv: accepted by P5: /m);
  });

  test('phone boot: a phone that the server has no configuration for: 1', () => {
    expect(run('phone', 'boot', server, '--mac', 'FFFFFFFFFFFF')).toMatchObject({ status: 1 });
  });

  test('phone offer: a list of strangers is rejected, and TVS is really asked', () => {
    const other = run('lab', '--once', '--dir', 'other', '--cluster-mode', 'token', '--key-bits', '1024', '--quiet');
    expect(other.status).toBe(0);
    const foreign = 'other/tftp/cucm-pub/CTLFile.tlv';
    const held = ['--ctl', served('CTLFile.tlv'), '--itl', served('ITLFile.tlv')];
    const outcome = run('phone', 'offer', foreign, ...held, '--tvs', tvs);
    expect(outcome.status).toBe(1);
    expect(outcome.stdout).toContain(`TVS ${tvs} does not know it`);
    const own = run('phone', 'offer', served('CTLFile.tlv'), served('ITLFile.tlv'), '--json');
    expect(own.status).toBe(0);
    expect(jsonOf(own)).toMatchObject({ accepted: true, decisions: [{ rule: 'P3' }, { rule: 'P4' }] });
    const nothing = run('phone', 'offer', foreign, '--no-security-by-default');
    expect(nothing.stdout).toContain('accepted by P3');
  });

  test('phone offer: the configuration under the name that the phone asks for, signed and unsigned', () => {
    const made = run('phone', 'boot', server, '--mac', '00005E005301', '--save', 'offer');
    expect(made.status).toBe(0);
    const lists = ['--ctl', 'offer/CTLFile.tlv', '--itl', 'offer/ITLFile.tlv'];
    copyFileSync(join(folder, served('SEP00005E005301.cnf.xml.sgn')), join(folder, 'saved.sgn'));
    const own = run('phone', 'offer', 'saved.sgn', ...lists, '--mac', '00005E005301');
    expect(own.stdout).toMatch(/^saved\.sgn: accepted by P12: /);
    const others = run('phone', 'offer', served('SEP00005E005301.cnf.xml.sgn'), ...lists, '--mac', '00005E005309');
    expect(others.status).toBe(1);
    expect(others.stdout).toContain('SEP00005E005309.cnf.xml.sgn was asked for');
    const unsigned = served('SEP00005E005301.cnf.xml');
    expect(run('phone', 'offer', unsigned)).toMatchObject({ status: 0 });
    expect(run('phone', 'offer', unsigned, ...lists).stdout).toContain('rejected by P1: ');
  });

  test('lists that were mixed up are refused, not judged', () => {
    const [ctl, itl] = [served('CTLFile.tlv'), served('ITLFile.tlv')];
    const error = /is an ITL, and the CTL of the phone is wanted/;
    expectFailure(run('ctl', 'verify', ctl, '--against', itl), 2, error, 'mixed up');
    expectFailure(run('phone', 'offer', ctl, '--ctl', itl), 2, error, 'mixed up');
    expectFailure(run('phone', 'offer', ctl, '--itl', ctl), 2, /is a CTL/, 'mixed up');
    expectFailure(run('ctl', 'verify', ctl, '--itl', itl), 2, 'with --against only', '--against');
  });

  test('ctl verify --against: without TVS, with TVS, and without Security by Default', () => {
    copyFileSync(join(folder, served('CTLFile.tlv')), join(folder, 'present.tlv'));
    const same = run('ctl', 'verify', 'present.tlv', '--against', 'present.tlv');
    expect(same.status).toBe(0);
    expect(same.stdout).toMatch(/^a phone, without TVS: accepted by P4: /m);
    expect(same.stdout).toMatch(/^a device without Security by Default: accepted by P11: /m);
    const foreign = 'other/tftp/cucm-pub/CTLFile.tlv';
    const withoutItl = run('ctl', 'verify', foreign, '--against', 'present.tlv');
    expect(withoutItl.status).toBe(1);
    expect(withoutItl.stdout).toMatch(/^a phone, if TVS vouches for the signer: rejected by P4: /m);
    const withItl = run('ctl', 'verify', foreign, '--against', 'present.tlv', '--itl', served('ITLFile.tlv'), '--json');
    expect(withItl.status).toBe(0);
    expect(jsonOf(withItl)).toMatchObject({
      verified: true,
      withoutTvs: { accepted: false, rule: 'P5' },
      withTvs: { accepted: true, rule: 'P5' },
      plainDevice: { accepted: false, rule: 'P11' },
    });
    const itl = run('itl', 'verify', 'other/tftp/cucm-pub/ITLFile.tlv', '--against', served('ITLFile.tlv'));
    expect(itl.status).toBe(0);
    expect(itl.stdout).toMatch(/^a phone, without TVS: rejected by P5: /m);
    expect(itl.stdout).not.toContain('without Security by Default');
  });
});

test.each([
  ['while it serves', ['lab', '--key-bits', '1024'], /the servers run until/, 0],
  ['while phones boot', ['lab', '--phones', '10000', '--key-bits', '1024', '--log'], /GETXXTP/, 130],
] as const)('Ctrl-C %s: it ends, and no key is left behind', async (_when, words, until, status) => {
  const temporary = temporaryFolder();
  const child = spawn(process.execPath, [program, ...words], {
    env: plainEnvironment({ TMPDIR: temporary }),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  let text = '';
  for await (const chunk of child.stderr) {
    const before = until.test(text);
    text += String(chunk);
    if (!before && until.test(text)) {
      expect(readdirSync(temporary)).toHaveLength(1);
      child.kill('SIGINT');
    }
  }
  expect(await ended).toBe(status);
  expect(readdirSync(temporary)).toEqual([]);
});

test.each([
  [['boot', 'host:port:more:'], 'host:port:more: is not HOST or HOST:PORT'],
  [['boot', '127.0.0.1:69', '--mac', '12'], '12 is no MAC address'],
  [['offer', 'missing.tlv'], 'missing.tlv'],
  [['offer', 'x', '--tvs', 'foo:99999'], 'the port cannot be 99999'],
  [['offer', 'x', '--tvs', 'a', '--tvs', 'b', '--tvs', 'c', '--tvs', 'd'], 'three TVS servers at most'],
])('phone %j: 2', (words, error) => {
  expectFailure(run('phone', ...words), 2, error);
});
