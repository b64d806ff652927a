import { X509Certificate } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { spawn } from 'node:child_process';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  certificateSha1,
  createLabCluster,
  loadCluster,
  parseClusterFile,
  type Cluster,
} from '../../src/cluster/index.js';
import { createTokenCtl, ctlMode, isEmptied } from '../../src/ctl/index.js';
import { decodeTrustList, verifyTrustList, type TrustList } from '../../src/trust-list/index.js';
import {
  decodeCertificates,
  decodePrivateKey,
  formatCertificatePem,
  generateRsaKey,
  issueCertificate,
  type Certificate,
} from '../../src/x509/index.js';
import { skipReason } from '../skip-reason.js';
import {
  expectFailure,
  jsonOf,
  plainEnvironment,
  program,
  run as runAnywhere,
  snapshot,
  temporaryFolder,
  type Outcome,
  type RunOptions,
} from './etoken-bridge.js';
import { makeSoftwareKey } from './software-keys.js';
import { noTerminal, openTerminal, type Terminal } from './terminal.js';

const folder = temporaryFolder();
const master = join(folder, 'master');
let here: string;
let count = 0;

beforeAll(async () => {
  await createLabCluster({
    directory: master,
    release: '11.5.1',
    securityMode: 'non-secure',
    nodes: [
      { name: 'cucm-pub', address: '10.48.47.153', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
      { name: 'cucm-sub1', address: '10.48.47.154', services: ['CallManager', 'TFTP', 'TVS'] },
    ],
    // So long ago that no five-minute rule is in the way.
    now: new Date(Date.now() - 400 * 86_400_000),
    keyBits: 1024,
  });
});

beforeEach(() => {
  count += 1;
  here = join(folder, `cluster-${count}`);
  cpSync(master, here, { recursive: true, preserveTimestamps: true });
});

afterEach(() => rmSync(here, { recursive: true, force: true }));

const run = (words: readonly string[], options: RunOptions = {}): Outcome =>
  runAnywhere(['cluster', ...words], { cwd: here, ...options });
const path = (name: string): string => join(here, name);
const clusterText = (): string => readFileSync(path('cluster.yaml'), 'utf8');
const ctl = (name = 'CTLFile.tlv'): TrustList => decodeTrustList(new Uint8Array(readFileSync(path(name))));
const certificate = (name: string, node = 'cucm-pub'): Certificate =>
  decodeCertificates(readFileSync(path(`certificates/${node}/${name}.pem`)))[0]!;
const load = (): Promise<Cluster> => loadCluster(path('cluster.yaml'));
const restart =
  'Please Restart the TFTP and Cisco CallManager services on all nodes in the cluster that run these services\n';

/** Whether the list verifies, who signs it, whether its servers are there. */
const stateOf = (list: TrustList): string =>
  `${ctlMode(list)} ${isEmptied(list) ? 'emptied' : 'whole'} ${verifyTrustList(list).verified ? 'verified' : 'broken'}`;

/** Runs the command beside others. */
function beside(words: readonly string[]): Promise<Pick<Outcome, 'status' | 'stderr'>> {
  const child = spawn(process.execPath, [program, 'cluster', ...words], { cwd: here, env: plainEnvironment() });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => (stderr += part));
  return new Promise((done) => child.on('close', (status) => done({ status, stderr })));
}

/** Makes the command kill itself before it renames a file to its place for the given time, counted from 1. */
function killedAtRename(number: number): RunOptions {
  const code = `
    import { promises } from 'node:fs';
    const { rename } = promises;
    let count = 0;
    promises.rename = (from, to) => {
      count += 1;
      if (count === ${number}) process.kill(process.pid, 'SIGKILL');
      return rename(from, to);
    };`;
  return { env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` } };
}

async function makeTokenList(): Promise<void> {
  const cluster = await load();
  const keys = [await makeSoftwareKey('SAST-one', 1), await makeSoftwareKey('SAST-two', 2)];
  const tokens = keys.map((one) => one.certificate);
  const options = { timestamp: 1_700_000_000, now: new Date() };
  const { list } = await createTokenCtl({ ...cluster, securityMode: 'mixed' }, tokens, keys[0]!.signer, options);
  writeFileSync(path('CTLFile.tlv'), list.bytes);
}

describe('cluster set', () => {
  test('mixed-mode makes the first CTL, in the words of the cluster, and changes one word of the cluster file', () => {
    const before = clusterText();
    const { status, stdout, stderr } = run(['set', 'mixed-mode', '--yes']);
    expect(stdout).toBe(`Moving Cluster to Mixed Mode\nCluster set to Mixed Mode\n${restart}`);
    expect(stderr).toMatch(/^CTLFile\.tlv: \d+ bytes, tokenless, SHA1 [0-9a-f]{40}\n$/);
    expect(status).toBe(0);
    expect(clusterText()).toBe(before.replace('securityMode: non-secure', 'securityMode: mixed'));
    expect(stateOf(ctl())).toBe('tokenless whole verified');
    const kept = readdirSync(path('backups'));
    expect(kept).toHaveLength(1);
    expect(readFileSync(path(`backups/${kept[0]!}`), 'utf8')).toBe(before);
  });

  test('non-secure-mode empties the servers; mixed-mode gives them back; the old files are kept', () => {
    const text = clusterText();
    expect(run(['set', 'mixed-mode', '-y']).status).toBe(0);
    const first = ctl();
    const outcome = run(['set', 'non-secure-mode', '-y']);
    expect(outcome.stdout).toBe(`Moving Cluster to Non Secure Mode\nCluster set to Non Secure Mode\n${restart}`);
    expect(outcome.stderr).toContain('warning: emptied: ');
    expect(outcome.status).toBe(0);
    expect(stateOf(ctl())).toBe('tokenless emptied verified');
    expect(clusterText()).toBe(text);
    expect(run(['set', 'mixed-mode', '-y', '--timestamp', '2026-01-31T12:00:00Z']).status).toBe(0);
    expect(stateOf(ctl())).toBe('tokenless whole verified');
    expect(ctl().header.timestamp).toBe(Date.UTC(2026, 0, 31, 12) / 1000);
    expect(ctl().records.map((record) => record.certificate)).toEqual(
      first.records.map((record) => record.certificate),
    );
    const backups = [...snapshot(path('backups')).values()];
    expect(backups).toContain(Buffer.from(first.bytes).toString('latin1'));
  });

  test('mixed-mode on a token list goes tokenless, with the notice A4', async () => {
    await makeTokenList();
    expect(stateOf(ctl())).toBe('token whole verified');
    const { status, stdout, stderr } = run(['set', 'mixed-mode', '--yes']);
    expect(stderr).toMatch(/^warning: A4: .*CN=cucm-pub/m);
    expect(stdout).toContain('Cluster set to Mixed Mode');
    expect(status).toBe(0);
    expect(stateOf(ctl())).toBe('tokenless whole verified');
  });

  test('--json has stable keys; --quiet leaves only the words of the cluster', () => {
    const outcome = run(['set', 'mixed-mode', '--yes', '--json']);
    const document = jsonOf(outcome) as Record<string, Record<string, unknown>>;
    expect(Object.keys(document)).toEqual(['operation', 'securityMode', 'clusterFile', 'ctl', 'notices', 'list']);
    expect(document).toMatchObject({
      operation: 'mixed-mode',
      securityMode: 'mixed',
      clusterFile: { path: 'cluster.yaml', backup: expect.stringContaining('backups/cluster.yaml.') as string },
      ctl: { path: 'CTLFile.tlv', backup: null, mode: 'tokenless' },
    });
    expect(outcome.status).toBe(0);
    expect(run(['set', 'mixed-mode', '--yes', '--quiet']).stderr).toBe('');
  });

  test('--cluster and --ctl name other files', () => {
    mkdirSync(path('tftp'));
    const words = ['--cluster', join(here, 'cluster.yaml'), '--ctl', 'tftp/CTL.tlv', '--yes', '--digest', 'sha512'];
    expect(run(['set', 'mixed-mode', ...words]).status).toBe(0);
    expect(ctl('tftp/CTL.tlv').header.digestAlgorithm).toBe('sha512');
    expect(existsSync(path('CTLFile.tlv'))).toBe(false);
  });

  test.each([
    [['set', 'mixed-mode'], 2, 'nobody can be asked: this is no terminal', 'give --yes'],
    [['set', 'non-secure-mode'], 2, 'nobody can be asked', 'give --yes'],
    [['update-ctl'], 2, 'nobody can be asked', 'give --yes'],
    [['renew', 'TVS', '--node', 'cucm-pub'], 2, 'nobody can be asked', 'give --yes'],
    [['set', 'mixed'], 2, "'mixed' is invalid", 'mixed-mode, non-secure-mode'],
    [['set'], 2, "missing required argument 'mode'", 'add --help'],
    [['set', 'non-secure-mode', '--yes'], 2, 'there is no trust list CTLFile.tlv', 'check the path'],
    [['update-ctl', '--yes'], 2, 'there is no trust list CTLFile.tlv', 'check the path'],
    [['update-ctl', '--yes', '--ctl', 'none.tlv'], 2, 'there is no trust list none.tlv', 'check the path'],
    [['set', 'mixed-mode', '--yes', '--cluster', 'none.yaml'], 2, 'none.yaml', 'check the path'],
    [['set', 'mixed-mode', '--yes', '--accept', 'B1'], 2, '--accept B1', 'name one check'],
    [['set', 'mixed-mode', '--yes', '--token-label', 'SAST'], 2, 'not by the token SAST', 'leave the token out'],
    [
      ['renew', 'tomcat', '--node', 'cucm-pub', '--yes'],
      2,
      "'tomcat' is invalid",
      'CallManager, CAPF, TVS, ITLRecovery',
    ],
    [['renew', 'TVS', '--yes'], 2, "required option '--node <name>'", 'add --help'],
    [['renew', 'TVS', '--node', 'x', '--yes'], 2, 'no node "x"', 'its nodes are cucm-pub, cucm-sub1'],
    [
      ['renew', 'CAPF', '--node', 'cucm-sub1', '--yes'],
      2,
      'cucm-sub1 has no CAPF certificate',
      'it has CallManager, TVS',
    ],
  ] as const)('%j: %d, and nothing is changed', (words, status, error, hint) => {
    const before = snapshot(here);
    const outcome = run(words);
    // Wrong words are told by commander, in its own form.
    expect(outcome.stderr).toMatch(/^error: /);
    expect(outcome.stderr).toContain(error);
    expect(outcome.stderr).toContain(hint);
    expect([outcome.status, outcome.stdout]).toEqual([status, '']);
    expect(snapshot(here)).toEqual(before);
  });

  test('refused by a check: 4, nothing is changed; --accept lets it through', () => {
    writeFileSync(path('cluster.yaml'), clusterText().replace('11.5.1', '9.1.2'));
    const before = snapshot(here);
    expectFailure(run(['set', 'mixed-mode', '--yes']), 4, 'refused (A8): ', '--accept A8 lets this one through');
    expect(snapshot(here)).toEqual(before);
    const accepted = run(['set', 'mixed-mode', '--yes', '--accept', 'A8']);
    expect(accepted.stderr).toContain('warning: A8: accepted: ');
    expect(accepted.status).toBe(0);
  });

  test.each([
    ['a first CTL', false],
    ['a CTL that was there', true],
  ])('the cluster file cannot be written: %s is taken back too', async (_what, isThere) => {
    mkdirSync(path('tftp'));
    if (isThere) {
      await makeTokenList();
      renameSync(path('CTLFile.tlv'), path('tftp/CTLFile.tlv'));
    }
    // No backup of the cluster file can be made, and without one it is not replaced.
    writeFileSync(path('backups'), 'a file where the folder should be');
    const before = snapshot(here);
    expectFailure(run(['set', 'mixed-mode', '--yes', '--ctl', 'tftp/CTLFile.tlv']), 2, 'cluster.yaml was not written');
    expect(snapshot(here)).toEqual(before);
    expect(existsSync(path('tftp/backups'))).toBe(false);
  });

  test('killed before, between and after the two files: running it again ends as if nothing had happened', async () => {
    await makeTokenList();
    const old = readFileSync(path('CTLFile.tlv'));
    const text = clusterText();
    const wanted = text.replace('securityMode: non-secure', 'securityMode: mixed');
    const words = ['set', 'mixed-mode', '--yes'];
    for (const [renames, ctlIsNew, fileIsNew] of [
      [1, false, false],
      [2, true, false],
      [3, true, true],
    ] as const) {
      writeFileSync(path('CTLFile.tlv'), old);
      writeFileSync(path('cluster.yaml'), text);
      const killed = run(words, killedAtRename(renames));
      expect(killed.status).toBe(renames === 3 ? 0 : null);
      expect(stateOf(ctl())).toBe(ctlIsNew ? 'tokenless whole verified' : 'token whole verified');
      expect(clusterText()).toBe(fileIsNew ? wanted : text);
      if (ctlIsNew) expect([...snapshot(path('backups')).values()]).toContain(old.toString('latin1'));
      expect(run(words).status).toBe(0);
      expect(stateOf(ctl())).toBe('tokenless whole verified');
      expect(clusterText()).toBe(wanted);
      expect(readdirSync(here).filter((name) => name.endsWith('.part'))).toEqual([]);
    }
  });

  test('killed between the two files on the way to non-secure: the check tells of it, and running it again ends it', () => {
    const text = clusterText();
    expect(run(['set', 'mixed-mode', '--yes']).status).toBe(0);
    expect(run(['set', 'non-secure-mode', '--yes'], killedAtRename(2)).status).toBe(null);
    expect(stateOf(ctl())).toBe('tokenless emptied verified');
    expect(clusterText()).not.toBe(text);
    const { findings } = jsonOf(run(['check', 'cluster.yaml', '--json'])) as { findings: object[] };
    expect(findings[0]).toMatchObject({ check: 'security-mode', severity: 'critical', list: 'CTLFile.tlv' });
    expect(run(['set', 'non-secure-mode', '--yes']).status).toBe(0);
    expect(stateOf(ctl())).toBe('tokenless emptied verified');
    expect(clusterText()).toBe(text);
  });

  test('the key of a signer that is not in the cluster file is refused (A9), and a key that is given is used', () => {
    const before = snapshot(here);
    const foreign = ['--key', 'keys/cucm-sub1/TVS.key', '--certificate', 'certificates/cucm-sub1/TVS.pem'];
    expectFailure(
      run(['set', 'mixed-mode', '--yes', ...foreign]),
      4,
      'refused (A9)',
      "sign with the key of the publisher's CallManager",
    );
    expect(snapshot(here)).toEqual(before);
    const text = clusterText();
    writeFileSync(path('cluster.yaml'), text.replace('CallManager: keys/cucm-pub/CallManager.key', ''));
    expectFailure(
      run(['set', 'mixed-mode', '--yes']),
      2,
      "names no key for the publisher's CallManager",
      'give --key FILE',
    );
    expect(run(['set', 'mixed-mode', '--yes', '--key', 'keys/cucm-pub/CallManager.key']).status).toBe(0);
    expect(stateOf(ctl())).toBe('tokenless whole verified');
  });
});

describe('cluster update-ctl', () => {
  test('brings the CTL up to date after a renewal, in the words of the cluster', async () => {
    expect(run(['set', 'mixed-mode', '-y']).status).toBe(0);
    const text = clusterText();
    expect(run(['renew', 'CAPF', '--node', 'cucm-pub', '-y']).status).toBe(0);
    expect(ctl().records.some((record) => equal(record.certificate, certificate('CAPF')))).toBe(false);
    const renewed = clusterText();
    const { status, stdout, stderr } = run(['update-ctl', '--yes']);
    expect(stdout).toBe(`Updating CTL file\nCTL file Updated\n${restart}`);
    expect(stderr).toMatch(/^CTLFile\.tlv: .*, the old one is .*backups\/CTLFile\.tlv\./);
    expect(status).toBe(0);
    expect(ctl().records.some((record) => equal(record.certificate, certificate('CAPF')))).toBe(true);
    expect(clusterText()).toBe(renewed);
    expect(renewed).not.toBe(text);
    expect((await load()).securityMode).toBe('mixed');
  });

  test('after the CallManager of the publisher was renewed: A6 is said', () => {
    expect(run(['set', 'mixed-mode', '-y']).status).toBe(0);
    expect(run(['renew', 'CallManager', '--node', 'cucm-pub', '-y']).status).toBe(0);
    const outcome = run(['update-ctl', '--yes']);
    expect(outcome.stderr).toMatch(/^warning: A6: /);
    expect(outcome.status).toBe(0);
    expect(stateOf(ctl())).toBe('tokenless whole verified');
  });
});

function equal(left: Uint8Array | undefined, { der }: Certificate): boolean {
  return left !== undefined && Buffer.from(left).equals(der);
}

/** The answer of the cluster to `set cert regen`, word for word. */
const regenerated = (name: string): string => `Successfully Regenerated Certificate for ${name}.
Please do a backup of the server as soon as possible. Failure to do
so can stale the cluster in case of a crash.
You must restart services related to ${name} for the regenerated
certificates to become active.
`;

/** Whether the key file and the certificate of a node belong together. */
function keyFits(name: string, password?: string): boolean {
  const key = decodePrivateKey(readFileSync(path(`keys/cucm-pub/${name}.key`)), password);
  return new X509Certificate(certificate(name).der).checkPrivateKey(key);
}

describe('cluster renew', () => {
  test.each(['CallManager', 'CAPF', 'TVS', 'ITLRecovery'])('%s, in the words of the cluster', async (name) => {
    const [old, oldKey] = [certificate(name), readFileSync(path(`keys/cucm-pub/${name}.key`), 'latin1')];
    const before = clusterText();
    const started = Math.floor(Date.now() / 1000) * 1000;
    const { status, stdout, stderr } = run(['renew', name, '--node', 'cucm-pub', '--yes']);
    expect(stdout).toBe(regenerated(name));
    expect(stderr).toContain(`keys/cucm-pub/${name}.key, the old one is keys/cucm-pub/backups/${name}.key.`);
    expect(stderr).toMatch(/^next: restart Cisco /m);
    expect(status).toBe(0);
    const fresh = certificate(name);
    expect(fresh.subject).toEqual(old.subject);
    expect(fresh.serialNumber).not.toEqual(old.serialNumber);
    expect(fresh.keyBits).toBe(old.keyBits);
    expect(keyFits(name)).toBe(true);
    expect(statSync(path(`keys/cucm-pub/${name}.key`)).mode & 0o777).toBe(0o600);
    const kept = readdirSync(path('keys/cucm-pub/backups')).map((one) => path(`keys/cucm-pub/backups/${one}`));
    expect(kept.map((one) => readFileSync(one, 'latin1'))).toEqual([oldKey]);
    expect(statSync(kept[0]!).mode & 0o777).toBe(0o600);
    expect(readdirSync(path('certificates/cucm-pub/backups'))).toHaveLength(1);
    // The note, and nothing else.
    const changed = (await load()).nodes[0]!.changed!;
    expect(Object.keys(changed)).toEqual([name]);
    expect(changed[name as 'TVS']!.getTime()).toBeGreaterThanOrEqual(started);
    expect(clusterText().replace(/ {4}changed:\n {6}.*\n/, '')).toBe(before);
  });

  test('another certificate of the node within five minutes: 4, in the words of the cluster', () => {
    expect(run(['renew', 'CallManager', '--node', 'cucm-pub', '--yes']).status).toBe(0);
    const before = snapshot(here);
    expectFailure(
      run(['renew', 'TVS', '--node', 'cucm-pub', '--yes']),
      4,
      'refused (A11): CallManager certificate was modified in the last 5 minutes. Please re-try regenerating TVS certificate at a later time\n',
      /node cucm-pub: wait until .*Z.*--accept A11 lets this one through/,
    );
    expectFailure(run(['renew', 'TVS', '--node', 'cucm-pub', '--yes', '--accept', 'A5']), 4, 'refused (A11)');
    expect(snapshot(here)).toEqual(before);
    expect(run(['renew', 'CallManager', '--node', 'cucm-pub', '--yes']).status).toBe(0);
    expect(run(['renew', 'TVS', '--node', 'cucm-sub1', '--yes']).status).toBe(0);
    const accepted = run(['renew', 'TVS', '--node', 'cucm-pub', '--yes', '--accept', 'A11']);
    expect([accepted.status, accepted.stdout]).toEqual([0, regenerated('TVS')]);
  });

  test('the note counts, and not the dates of an imported certificate: five minutes after it the rule is silent', () => {
    const note = (ago: number): string => new Date(Date.now() - ago).toISOString();
    const noted = (ago: number): void => {
      const text = readFileSync(join(master, 'cluster.yaml'), 'utf8');
      const at = text.indexOf('\n  - name: cucm-sub1');
      const lines = `    changed:\n      CallManager: ${note(ago)}\n`;
      writeFileSync(path('cluster.yaml'), text.slice(0, at) + lines + text.slice(at));
    };
    noted(120_000);
    expect(run(['renew', 'TVS', '--node', 'cucm-pub', '--yes']).status).toBe(4);
    noted(300_000);
    expect(run(['renew', 'TVS', '--node', 'cucm-pub', '--yes']).status).toBe(0);
  });

  test('--json has stable keys', () => {
    const outcome = run(['renew', 'TVS', '--node', 'CUCM-SUB1', '--yes', '--json']);
    const document = jsonOf(outcome) as { files: { path: string; backup: string }[] };
    expect(Object.keys(document)).toEqual([
      ...['node', 'certificate', 'imported', 'subject', 'serialNumber', 'keyBits', 'notAfter', 'sha1', 'files'],
    ]);
    expect(document).toMatchObject({ node: 'cucm-sub1', certificate: 'TVS', imported: null, keyBits: 1024 });
    expect(document.files.map((file) => file.path)).toEqual([
      'cluster.yaml',
      'keys/cucm-sub1/TVS.key',
      'certificates/cucm-sub1/TVS.pem',
    ]);
    for (const { backup } of document.files) expect(existsSync(path(backup))).toBe(true);
    expect(outcome.status).toBe(0);
  });

  test('killed at any of its three files: nothing is lost, and running it again ends well', () => {
    const old = readFileSync(path('keys/cucm-pub/TVS.key'), 'latin1');
    for (const number of [1, 2, 3]) {
      cpSync(master, here, { recursive: true, preserveTimestamps: true });
      const killed = run(['renew', 'TVS', '--node', 'cucm-pub', '--yes'], killedAtRename(number));
      expect(killed.status).toBe(null);
      expect(clusterText().includes('changed:')).toBe(number > 1);
      expect(keyFits('TVS')).toBe(number < 3);
      expect([...snapshot(path('keys')).values()]).toContain(old);
      const checked = jsonOf(run(['check', 'cluster.yaml', '--json'])) as { findings: { check: string }[] };
      expect(checked.findings.some(({ check }) => check === 'key-file')).toBe(number === 3);
      expect(run(['renew', 'TVS', '--node', 'cucm-pub', '--yes']).status).toBe(0);
      expect(keyFits('TVS')).toBe(true);
    }
  });

  test('a file that cannot be written: all are as they were', () => {
    writeFileSync(path('certificates/cucm-pub/backups'), 'a file where the folder should be');
    const before = snapshot(here);
    const outcome = run(['renew', 'TVS', '--node', 'cucm-pub', '--yes']);
    expectFailure(outcome, 2, 'TVS.pem was not written', 'move away what is in its place');
    expect(outcome.stderr).not.toContain('--out');
    expect(snapshot(here)).toEqual(before);
  });

  test('three at once: never two within five minutes, and each that was made is noted', async () => {
    const names = ['CallManager', 'TVS', 'CAPF'];
    const outcomes = await Promise.all(names.map((name) => beside(['renew', name, '--node', 'cucm-pub', '--yes'])));
    const done = names.filter((_, index) => outcomes[index]!.status === 0);
    expect(done.length).toBeLessThan(2);
    expect(Object.keys((await load()).nodes[0]!.changed ?? {})).toEqual(done);
    for (const [index, name] of names.entries()) {
      expect(keyFits(name)).toBe(true);
      const isOld = existsSync(path(`keys/cucm-pub/backups`))
        ? !readdirSync(path('keys/cucm-pub/backups')).some((one) => one.startsWith(name))
        : true;
      expect(isOld).toBe(outcomes[index]!.status !== 0);
    }
    for (const { status, stderr } of outcomes) {
      if (status !== 0)
        expect(stderr).toMatch(/another process .*works on|was changed since it was read|refused \(A11\)/);
    }
    expect(readdirSync(here).filter((name) => name.includes('lock'))).toEqual([]);
  });

  test('while another process works on the cluster file nothing is changed, and nothing is asked of it again', () => {
    // A process that runs: this one.
    const started = readFileSync('/proc/self/stat', 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')[19];
    const lock = path('cluster.yaml.lock.1');
    writeFileSync(lock, JSON.stringify({ pid: process.pid, started, host: hostname() }));
    const before = snapshot(here);
    for (const words of [
      ['renew', 'TVS', '--node', 'cucm-pub', '--yes'],
      ['set', 'mixed-mode', '--yes'],
    ]) {
      const error = `another process (${process.pid}) works on cluster.yaml`;
      expectFailure(run(words), 2, error, /wait until it has ended.*cluster\.yaml\.lock\.1/);
      expect(snapshot(here)).toEqual(before);
    }
    // One that has ended keeps nobody away.
    writeFileSync(lock, JSON.stringify({ pid: process.pid, started: '1', host: hostname() }));
    expect(run(['renew', 'TVS', '--node', 'cucm-pub', '--yes']).status).toBe(0);
    expect(existsSync(lock)).toBe(false);
  });

  test('a cluster file that is edited while the key is made is not overwritten', () => {
    const edited = `${clusterText()}# by hand\n`;
    // The certificate is read for its form after the new key is made.
    const code = `
      import fs from 'node:fs';
      import { syncBuiltinESMExports } from 'node:module';
      const { readFileSync } = fs;
      fs.readFileSync = (path, ...rest) => {
        if (fs.readdirSync('.').some((name) => /lock\\.\\d/.test(name)) && String(path).endsWith('TVS.pem')) {
          fs.writeFileSync('cluster.yaml', ${JSON.stringify(edited)});
        }
        return readFileSync(path, ...rest);
      };
      syncBuiltinESMExports();`;
    const key = readFileSync(path('keys/cucm-pub/TVS.key'), 'latin1');
    const outcome = run(['renew', 'TVS', '--node', 'cucm-pub', '--yes'], {
      env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` },
    });
    expectFailure(outcome, 2, 'cluster.yaml was changed since it was read', 'run the command again');
    expect(clusterText()).toBe(edited);
    expect(readFileSync(path('keys/cucm-pub/TVS.key'), 'latin1')).toBe(key);
  });

  describe('what would lock phones out is said before the question', () => {
    const twelve = (): void => writeFileSync(path('cluster.yaml'), clusterText().replace('11.5.1', '12.5.1'));
    const renewal = (name: string, ...words: readonly string[]): Outcome =>
      run(['renew', name, '--node', 'cucm-pub', '--yes', ...words]);

    test.each([
      ['CallManager', 'ITLRecovery'],
      ['ITLRecovery', 'CallManager'],
    ])('from 12.0 %s, then %s before the CTL was updated: A7', (first, second) => {
      twelve();
      expect(run(['set', 'mixed-mode', '--yes']).status).toBe(0);
      expect(renewal(first).status).toBe(0);
      const before = snapshot(here);
      expectFailure(
        renewal(second, '--accept', 'A11'),
        4,
        `refused (A7): the CTL CTLFile.tlv knows the present ${second} as a signer, and not the present ${first}`,
        /run "cluster update-ctl".*--accept A7 lets this one through/,
      );
      expect(snapshot(here)).toEqual(before);
      expect(run(['update-ctl', '--yes']).status).toBe(0);
      expect(renewal(second, '--accept', 'A11').stderr).not.toContain('A7');
    });

    test('A7 is let through with a warning, and then no command is named that would be refused', () => {
      twelve();
      expect(run(['set', 'mixed-mode', '--yes']).status).toBe(0);
      expect(renewal('CallManager').status).toBe(0);
      const accepted = renewal('ITLRecovery', '--accept', 'A7', '--accept', 'A11');
      expect(accepted.stderr).toMatch(/^warning: A7: accepted: /m);
      expect(accepted.status).toBe(0);
      expectFailure(run(['update-ctl', '--yes']), 4, 'refused (A7)');
      const { findings } = jsonOf(run(['check', 'cluster.yaml', '--json'])) as {
        findings: Record<string, string | null>[];
      };
      const others = findings.filter(({ check, list }) => list === 'CTLFile.tlv' && check !== 'A7');
      expect(others.map(({ check, hint }) => [check, hint])).toEqual(
        Array(2).fill(['list-certificate', 'first do what A7 says; then look again']),
      );
    });

    test('A7 without a CTL beside the cluster file: a warning', () => {
      twelve();
      writeFileSync(path('cluster.yaml'), clusterText().replace('securityMode: non-secure', 'securityMode: mixed'));
      expect(renewal('CallManager').stderr).not.toContain('A7');
      const outcome = renewal('ITLRecovery', '--accept', 'A11');
      expect(outcome.stderr).toMatch(/^warning: A7: CallManager was renewed on .*no CTL is beside the cluster file/m);
      expect(outcome.status).toBe(0);
    });

    const note = (name: string, ago: number): void => {
      const text = clusterText();
      const time = new Date(Date.now() - ago).toISOString();
      const at = text.indexOf('\n  - name: cucm-sub1');
      writeFileSync(
        path('cluster.yaml'),
        `${text.slice(0, at)}    changed:\n      ${name}: ${time}\n${text.slice(at)}`,
      );
    };
    /** The cluster without TVS on its second node. */
    const oneTvs = (): void =>
      writeFileSync(
        path('cluster.yaml'),
        clusterText().replace('services: [CallManager, TFTP, TVS]', 'services: [CallManager, TFTP]'),
      );

    test.each([
      ['CallManager', 'TVS'],
      ['TVS', 'CallManager'],
    ])('%s, then %s where no other node runs TVS: A1', (first, second) => {
      oneTvs();
      expect(renewal(first).status).toBe(0);
      const before = snapshot(here);
      expectFailure(
        renewal(second, '--accept', 'A11'),
        4,
        `refused (A1): ${first} of cucm-pub was renewed on`,
        /restart all phones first.*--accept A1 lets this one through/,
      );
      expect(snapshot(here)).toEqual(before);
      expect(renewal(second, '--accept', 'A11', '--accept', 'A1').stderr).toMatch(/^warning: A1: accepted: /m);
    });

    test('A1 an hour later is a warning; much later, with another TVS, from 12.0 or under tokens nothing', async () => {
      const original = clusterText();
      const hour = 3_600_000;
      for (const [ago, prepare, said] of [
        [hour, [oneTvs], true],
        [40 * 24 * hour, [oneTvs], false],
        [hour, [], false],
        [hour, [oneTvs, twelve], false],
      ] as const) {
        writeFileSync(path('cluster.yaml'), original);
        for (const edit of prepare) edit();
        note('CallManager', ago);
        const outcome = renewal('TVS');
        expect(outcome.stderr.includes('warning: A1: CallManager of cucm-pub was renewed on')).toBe(said);
        expect(outcome.status).toBe(0);
      }
      writeFileSync(path('cluster.yaml'), original);
      await makeTokenList();
      oneTvs();
      note('CallManager', hour);
      expect(renewal('TVS').stderr).not.toContain('A1:');
    });
  });

  test('no key here, a key on a token, a PKCS#12 file, one file for both: refused, with a way out', () => {
    const text = clusterText();
    const key = 'CallManager: keys/cucm-pub/CallManager.key';
    for (const [line, error, hint] of [
      ['', 'the key of the CallManager certificate of cucm-pub is not in the cluster file', '--import FILE'],
      ['CallManager: pkcs11:token=SAST', 'is on a token: it is not renewed here', '--import FILE'],
      ['CallManager: keys/none.key', /there is no key .*keys\/none\.key/, 'check the path'],
      ['CallManager: both.pem', 'are in one file', 'put them into a file each'],
    ] as const) {
      const certificatePath = 'CallManager: certificates/cucm-pub/CallManager.pem';
      writeFileSync(
        path('both.pem'),
        readFileSync(path('keys/cucm-pub/CallManager.key'), 'utf8') + formatCertificatePem(certificate('CallManager')),
      );
      const edited = text.replace(key, line);
      writeFileSync(
        path('cluster.yaml'),
        line.endsWith('both.pem') ? edited.replace(certificatePath, 'CallManager: both.pem') : edited,
      );
      const before = snapshot(here);
      expectFailure(run(['renew', 'CallManager', '--node', 'cucm-pub', '--yes']), 2, error, hint);
      expect(snapshot(here)).toEqual(before);
    }
  });

  test('a key that another certificate has too is not replaced', () => {
    const text = clusterText();
    writeFileSync(path('cluster.yaml'), text.replace('keys/cucm-sub1/TVS.key', 'keys/cucm-pub/TVS.key'));
    const before = snapshot(here);
    const error = 'TVS.key is that of TVS of cucm-sub1 too';
    expectFailure(run(['renew', 'TVS', '--node', 'cucm-pub', '--yes']), 2, error, 'a key file of its own');
    expect(snapshot(here)).toEqual(before);
    // A certificate that both nodes share, with its key, is renewed for both.
    const shared = text.replaceAll('cucm-sub1/TVS', 'cucm-pub/TVS');
    writeFileSync(path('cluster.yaml'), shared);
    const outcome = run(['renew', 'TVS', '--node', 'cucm-pub', '--yes']);
    expect(outcome.stderr).toMatch(/^warning: the same certificate file is named for TVS of cucm-sub1/);
    expect(outcome.status).toBe(0);
  });

  test('an encrypted key stays encrypted; without its password it is not touched', () => {
    const key = decodePrivateKey(readFileSync(path('keys/cucm-pub/TVS.key')));
    const text = key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'secret words' });
    writeFileSync(path('keys/cucm-pub/TVS.key'), text);
    writeFileSync(path('password'), 'secret words\n');
    writeFileSync(path('wrong'), 'other words\n');
    const before = snapshot(here);
    const words = ['renew', 'TVS', '--node', 'cucm-pub', '--yes'];
    expectFailure(run(words), 2, 'the private key is encrypted', '--key-password-file');
    expectFailure(run([...words, '--key-password-file', 'wrong']), 2, 'the password does not open the private key');
    expect(snapshot(here)).toEqual(before);
    expect(run([...words, '--key-password-file', 'password']).status).toBe(0);
    expect(readFileSync(path('keys/cucm-pub/TVS.key'), 'utf8')).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----/);
    expect(keyFits('TVS', 'secret words')).toBe(true);
  });

  test('a certificate file that other entries name too: said', () => {
    const text = clusterText().replace(
      'Phone-SAST-trust:',
      'CallManager-trust: [certificates/cucm-pub/TVS.pem]\n  Phone-SAST-trust:',
    );
    writeFileSync(path('cluster.yaml'), text);
    const outcome = run(['renew', 'TVS', '--node', 'cucm-pub', '--yes']);
    expect(outcome.stderr).toMatch(/^warning: the same certificate file is named for CallManager-trust/);
    expect(outcome.status).toBe(0);
  });
});

describe('cluster renew --import', () => {
  const words = ['renew', 'CallManager', '--node', 'cucm-pub', '--yes', '--import'];

  /** A certificate that an authority issues for the key of the publisher's CallManager, or for another one. */
  async function issue(file: string, own = true, commonName = 'cucm-pub'): Promise<Certificate> {
    const authority = await generateRsaKey(1024);
    const name = [{ type: 'CN', value: 'Example CA' }];
    const ours = decodePrivateKey(readFileSync(path('keys/cucm-pub/CallManager.key')));
    const [notBefore, notAfter] = [new Date('2020-01-01T00:00:00Z'), new Date('2050-01-01T00:00:00Z')];
    const request = { notBefore, notAfter, serialNumber: Uint8Array.of(5) };
    const root = await issueCertificate({ ...request, subject: name, publicKey: authority }, { name, key: authority });
    const subject =
      commonName === 'cucm-pub' ? certificate('CallManager').subject : [{ type: 'CN', value: commonName }];
    const publicKey = own ? ours : await generateRsaKey(1024);
    const issued = await issueCertificate({ ...request, subject, publicKey }, { name, key: authority });
    writeFileSync(path(file), formatCertificatePem(issued) + formatCertificatePem(root));
    return issued;
  }

  test('a chain for the key that is here: the first counts, the key stays', async () => {
    const issued = await issue('signed.pem');
    const key = readFileSync(path('keys/cucm-pub/CallManager.key'), 'utf8');
    const { status, stdout, stderr } = run([...words, 'signed.pem']);
    expect(stdout).toBe(
      regenerated('CallManager')
        .replace('Successfully Regenerated Certificate', 'Certificate imported')
        .replace('regenerated', 'imported'),
    );
    expect(stderr).not.toContain('warning: ');
    expect(status).toBe(0);
    expect(certificate('CallManager').der).toEqual(issued.der);
    expect(readFileSync(path('certificates/cucm-pub/CallManager.pem'), 'utf8')).toBe(
      readFileSync(path('signed.pem'), 'utf8'),
    );
    expect(readFileSync(path('keys/cucm-pub/CallManager.key'), 'utf8')).toBe(key);
    // Its dates are years ago, and the five-minute rule holds all the same.
    expectFailure(run(['renew', 'TVS', '--node', 'cucm-pub', '--yes']), 4, 'CallManager certificate was modified');
    // What an authority issued is overwritten, as the question says.
    const again = run(['renew', 'CallManager', '--node', 'cucm-pub', '--yes']);
    expect(again.stderr).toContain('warning: CN=Example CA issued the present certificate; the new one is self-signed');
    expect(again.status).toBe(0);
  });

  test('for another key: 4, and nothing is changed', async () => {
    await issue('foreign.pem', false);
    const before = snapshot(here);
    expectFailure(run([...words, 'foreign.pem']), 4, 'refused (A9): the key in ', 'name the key that was made with');
    expect(snapshot(here)).toEqual(before);
  });

  test('where no key is named it is taken as it is; another name and size are said', async () => {
    await issue('other.pem', false, 'other');
    const text = clusterText();
    writeFileSync(path('cluster.yaml'), text.replace('CallManager: keys/cucm-pub/CallManager.key', ''));
    const outcome = run([...words, 'other.pem']);
    expect(outcome.stderr).toMatch(/^warning: .*the name changes from ".*CN=cucm-pub.*" to "CN=other"/);
    expect(outcome.status).toBe(0);
    expect(certificate('CallManager').subject).toEqual([{ type: 'CN', value: 'other' }]);
  });

  test('into a file in DER it is written in DER', async () => {
    const issued = await issue('signed.pem');
    writeFileSync(path('certificates/cucm-pub/CallManager.pem'), certificate('CallManager').der);
    expect(run([...words, 'signed.pem']).status).toBe(0);
    expect(readFileSync(path('certificates/cucm-pub/CallManager.pem'))).toEqual(Buffer.from(issued.der));
  });

  test.each([
    ['none.pem', 'there is no certificate none.pem', 'check the path'],
    ['cluster.yaml', 'the certificate cluster.yaml cannot be used', 'give an X.509 certificate'],
    [
      'certificates/cucm-pub/CallManager.pem',
      'this is the CallManager certificate of cucm-pub already',
      'give the new',
    ],
  ])('%s: 2, and nothing is changed', (file, error, hint) => {
    const before = snapshot(here);
    expectFailure(run([...words, file]), 2, error, hint);
    expect(snapshot(here)).toEqual(before);
  });
});

describe.skipIf(noTerminal !== undefined)(`on a terminal${skipReason(noTerminal)}`, () => {
  const open = (words: readonly string[]): Terminal => openTerminal(['cluster', ...words], { cwd: here });
  const without = (before: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
    new Map([...before].filter(([name]) => !name.endsWith('.terminal-pid')));

  const questions = [
    [
      ['set', 'mixed-mode'],
      'This operation sets the cluster to Mixed mode. Do you want to continue? (y/n):',
      'Cluster set to Mixed Mode',
    ],
    [
      ['renew', 'TVS', '--node', 'cucm-pub'],
      'Proceed with regeneration (yes|no)?',
      'Successfully Regenerated Certificate for TVS.',
    ],
  ] as const;

  test.each(questions)('%j asks, and goes on when the answer is yes', async (words, question, done) => {
    const terminal = open(words);
    await terminal.waitFor(question);
    terminal.type('perhaps\r');
    await terminal.waitFor(/perhaps[^]*(Do you want|Proceed with)/);
    terminal.type('y\r');
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen()).toContain(done);
  });

  test.each(questions)('%j: the answer is no, and nothing is changed', async (words, question) => {
    const before = snapshot(here);
    const terminal = open(words);
    await terminal.waitFor(question);
    terminal.type('no\r');
    expect(await terminal.ended).toBe(1);
    expect(terminal.screen()).toContain('Nothing was changed.');
    expect(without(snapshot(here))).toEqual(before);
  });

  test.each(['\u0003', '\u0004'])('%j breaks off: 130, and nothing is changed', async (key) => {
    const before = snapshot(here);
    const terminal = open(['set', 'mixed-mode']);
    await terminal.waitFor('(y/n):');
    terminal.type(key);
    expect(await terminal.ended).toBe(130);
    expect(terminal.screen()).toContain('interrupted');
    expect(without(snapshot(here))).toEqual(before);
  });

  test.each(questions)(
    '%j: a cluster file that is changed while the question is open is not overwritten',
    async (words, question) => {
      const terminal = open(words);
      await terminal.waitFor(question);
      writeFileSync(path('cluster.yaml'), `${clusterText()}# by hand\n`);
      const before = snapshot(here);
      terminal.type('y\r');
      expect(await terminal.ended).toBe(2);
      expect(terminal.screen()).toContain('cluster.yaml was changed since it was read');
      expect(snapshot(here)).toEqual(before);
    },
  );

  test('the whole question of a renewal is that of the cluster', async () => {
    const terminal = open(['renew', 'CallManager', '--node', 'cucm-pub']);
    await terminal.waitFor('(yes|no)?');
    const screen = terminal.screen().replaceAll('\r', '');
    expect(screen).toContain(
      'WARNING: This operation will overwrite any CA signed certificate\npreviously imported for CallManager\nProceed with regeneration (yes|no)?',
    );
    terminal.type('yes\r');
    expect(await terminal.ended).toBe(0);
  });

  test('an import asks about an import', async () => {
    writeFileSync(path('other.pem'), readFileSync(path('certificates/cucm-sub1/TVS.pem')));
    writeFileSync(path('cluster.yaml'), clusterText().replace('TVS: keys/cucm-pub/TVS.key', ''));
    const terminal = open(['renew', 'TVS', '--node', 'cucm-pub', '--import', 'other.pem']);
    await terminal.waitFor('Proceed with import (yes|no)?');
    expect(terminal.screen()).toContain('put other.pem in the place of the TVS certificate of cucm-pub');
    expect(terminal.screen()).not.toContain('regeneration');
    terminal.type('no\r');
    expect(await terminal.ended).toBe(1);
  });

  test.each([
    ['set non-secure-mode', 'This operation will set the cluster to non secure mode. Do you want to continue? (y/n):'],
    ['update-ctl', 'This operation updates the CTLFile. Do you want to continue? (y/n):'],
  ])('%s asks in the words of the cluster', async (words, question) => {
    expect(run(['set', 'mixed-mode', '-y']).status).toBe(0);
    const terminal = open(words.split(' '));
    await terminal.waitFor(question);
    terminal.type('y\r');
    expect(await terminal.ended).toBe(0);
  });
});

describe('cluster check', () => {
  interface Document {
    readonly path: string;
    readonly status: string;
    readonly findings: Record<string, string | null>[];
  }
  const check = (...words: readonly string[]): Outcome => run(['check', 'cluster.yaml', ...words]);
  const documentOf = (outcome: Outcome): Document => jsonOf(outcome) as Document;

  /** Notes the backup of the ITLRecovery key, without which nothing is ok. */
  function noteBackup(): void {
    const sha1 = certificateSha1(certificate('ITLRecovery'));
    writeFileSync(
      path('cluster.yaml'),
      `${clusterText()}recoveryBackup: {time: 2026-01-31T12:00:00Z, sha1: "${sha1}"}\n`,
    );
  }

  test('all is well: 0, and what there is to say', () => {
    noteBackup();
    expect(run(['set', 'mixed-mode', '-y']).status).toBe(0);
    const { status, stdout, stderr } = check();
    expect(stdout).toBe(
      'OK: cluster.yaml: 0 critical, 0 warnings\n' +
        'ok        cucm-pub ITLRecovery: its key was backed up on 2026-01-31T12:00:00Z (recovery-backup)\n' +
        'ok        CTLFile.tlv: verifies, and holds the present certificates (list)\n',
    );
    expect([status, stderr]).toEqual([0, '']);
  });

  test('something needs attention: 1, the worst first, each with what to do; --json has stable keys', () => {
    expect(run(['set', 'mixed-mode', '-y']).status).toBe(0);
    expect(run(['renew', 'CAPF', '--node', 'cucm-pub', '-y']).status).toBe(0);
    const { status, stdout, stderr } = check();
    expect(stdout).toMatch(
      /^CRITICAL: cluster\.yaml: 1 critical, 1 warning\ncritical {2}CTLFile\.tlv: .*CAPF.*\n {10}run "cluster update-ctl"\nwarning {3}cucm-pub ITLRecovery: no backup/,
    );
    expect([status, stderr]).toEqual([1, '']);
    const outcome = check('--json');
    const document = documentOf(outcome);
    expect(outcome.status).toBe(1);
    expect(Object.keys(document)).toEqual(['path', 'status', 'findings']);
    expect(document).toMatchObject({ path: 'cluster.yaml', status: 'critical' });
    for (const finding of document.findings) {
      expect(Object.keys(finding)).toEqual(['severity', 'check', 'node', 'certificate', 'list', 'message', 'hint']);
    }
    expect(document.findings[0]).toMatchObject({
      severity: 'critical',
      check: 'list-certificate',
      node: 'cucm-pub',
      certificate: 'CAPF',
      list: 'CTLFile.tlv',
    });
    expect(run(['update-ctl', '-y']).status).toBe(0);
    expect(documentOf(check('--json')).status).toBe('warning');
  });

  test('--days', () => {
    noteBackup();
    expect(check('--days', '1000').status).toBe(0);
    const { status, stdout } = check('--days', '2000');
    expect(stdout).toMatch(
      /^WARNING: cluster\.yaml: 0 critical, 6 warnings\nwarning {3}cucm-pub CallManager: expires in 14\d\d days/,
    );
    expect(status).toBe(1);
    expectFailure(check('--days', 'soon'), 2, '--days soon is no number of days', 'write e.g. --days 60');
  });

  test('keys: of another certificate, missing, encrypted', () => {
    noteBackup();
    cpSync(path('keys/cucm-sub1/TVS.key'), path('keys/cucm-pub/TVS.key'));
    rmSync(path('keys/cucm-pub/CAPF.key'));
    const key = decodePrivateKey(readFileSync(path('keys/cucm-pub/CallManager.key')));
    const text = key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'secret' });
    writeFileSync(path('keys/cucm-pub/CallManager.key'), text);
    const briefOf = (...words: readonly string[]): string[] =>
      documentOf(check('--json', ...words))
        .findings.filter((finding) => finding['check'] === 'key-file')
        .map((finding) => `${finding['severity']} ${finding['certificate']}`);
    expect(briefOf()).toEqual(['critical TVS', 'warning CAPF', 'ok CallManager']);
    writeFileSync(path('password'), 'secret');
    expect(briefOf('--key-password-file', 'password')).toEqual(['critical TVS', 'warning CAPF']);
    writeFileSync(path('password'), 'wrong');
    expect(briefOf('--key-password-file', 'password')).toEqual(['critical TVS', 'warning CallManager', 'warning CAPF']);
    expect(check('--key-password-file', 'password').stdout).toContain(
      'the password that was given does not open its private key',
    );
  });

  test('lists: none beside a mixed cluster, one that is named and not there, one that is none, an ITL', () => {
    noteBackup();
    writeFileSync(path('cluster.yaml'), clusterText().replace('securityMode: non-secure', 'securityMode: mixed'));
    const none = check();
    expect(none.stdout).toContain(
      'ok        no CTL was looked at, and the cluster is mixed (list)\n          give it with --ctl',
    );
    expect(none.status).toBe(0);
    expectFailure(check('--ctl', 'none.tlv'), 2, 'there is no CTL none.tlv', 'check the path');
    writeFileSync(path('CTLFile.tlv'), 'nothing of the kind');
    const broken = documentOf(check('--json'));
    expect(broken.findings[0]).toMatchObject({ severity: 'critical', check: 'list-format', list: 'CTLFile.tlv' });
    expect(run(['set', 'mixed-mode', '-y', '--ctl', 'new.tlv']).status).toBe(0);
    expectFailure(check('--ctl', 'new.tlv', '--itl', 'new.tlv'), 2, 'new.tlv is a CTL, and an ITL is wanted');
    expect(check('--ctl', 'new.tlv').status).toBe(0);
  });

  test('a cluster file that cannot be used: 2', () => {
    rmSync(path('certificates/cucm-pub/TVS.pem'));
    expectFailure(check(), 2, 'certificates/cucm-pub/TVS.pem" does not exist', 'put a certificate');
    expectFailure(run(['check', 'none.yaml']), 2, 'the cluster file none.yaml does not exist');
  });
});

test('the file that is left says what it said: notes and mode come and go, comments stay', () => {
  const comments = (text: string): string[] => text.match(/#.*$/gm) ?? [];
  const before = clusterText();
  expect(run(['set', 'mixed-mode', '-y']).status).toBe(0);
  expect(run(['renew', 'TVS', '--node', 'cucm-sub1', '-y']).status).toBe(0);
  expect(run(['renew', 'CAPF', '--node', 'cucm-pub', '-y']).status).toBe(0);
  expect(run(['set', 'non-secure-mode', '-y']).status).toBe(0);
  expect(comments(clusterText())).toEqual(comments(before));
  expect(parseClusterFile(clusterText(), 'x').nodes.map(({ changed }) => Object.keys(changed ?? {}))).toEqual([
    ['CAPF'],
    ['TVS'],
  ]);
});
