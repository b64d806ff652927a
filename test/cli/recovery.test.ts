import { spawn, spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { checkCluster, createLabCluster, loadCluster, parseClusterFile } from '../../src/cluster/index.js';
import { decodeTrustList, verifyTrustList, type TrustList } from '../../src/trust-list/index.js';
import { decodeCertificates, decodePkcs12, encodePkcs12, type Certificate } from '../../src/x509/index.js';
import { passwordsMissing, sshdMissing, startSshd, type Sshd } from '../sftp/sshd.js';
import { startTcpRelay } from '../sftp/tcp-relay.js';
import { openssl } from '../x509/openssl.js';
import { skipReason } from '../skip-reason.js';
import {
  expectFailure,
  jsonOf,
  plainEnvironment,
  program,
  snapshot,
  temporaryFolder,
  type Outcome,
} from './etoken-bridge.js';
import { makeSoftwareKey } from './software-keys.js';
import { noTerminal, openTerminal, type Terminal } from './terminal.js';

const withSshd = sshdMissing === '' ? test : test.skip;
const withPasswords = passwordsMissing === '' ? test : test.skip;

/** A user that owns nothing here. */
const nobody = 65_534;

/** Whether the tests can run the command as another user, who must be able to read it. */
const canBeNobody: boolean =
  process.getuid?.() === 0 &&
  spawnSync(process.execPath, [
    ...['-e', `process.setuid(${String(nobody)}); require('node:fs').readFileSync(process.argv[1]);`, program],
  ]).status === 0;

const folder = temporaryFolder();
const master = join(folder, 'master');
const secret = 'recovery pass-word 7';
let here: string;
let count = 0;
let sshd: Sshd;
const printed: string[] = [];

beforeAll(async () => {
  await createLabCluster({
    directory: master,
    release: '10.5.2',
    securityMode: 'non-secure',
    nodes: [
      { name: 'test10pub', address: '10.48.47.153', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
      { name: 'test10sub', address: '10.48.47.154', services: ['CallManager', 'TFTP', 'TVS'] },
    ],
    now: new Date(Date.now() - 400 * 86_400_000),
    keyBits: 1024,
  });
  if (sshdMissing === '') sshd = await startSshd({ hostKeys: ['ed25519', 'rsa'] });
});

afterAll(() => {
  if (sshdMissing === '') sshd.close();
});

beforeEach(() => {
  count += 1;
  here = join(folder, `cluster-${String(count)}`);
  cpSync(master, here, { recursive: true, preserveTimestamps: true });
  writeFileSync(join(here, 'secret'), `${secret}\n`);
  if (sshdMissing === '') writeFileSync(path('known_hosts'), `${sshd.knownHosts.join('\n')}\n`);
});

afterEach(() => rmSync(here, { recursive: true, force: true }));

const path = (name: string): string => join(here, name);
const clusterText = (): string => readFileSync(path('cluster.yaml'), 'utf8');
const keyFile = (): string => path('keys/test10pub/ITLRecovery.key');
const certificateOf = (name: string): Certificate =>
  decodeCertificates(readFileSync(path(`certificates/test10pub/${name}.pem`)))[0]!;
const listOf = (file: string): TrustList => decodeTrustList(new Uint8Array(readFileSync(path(file))));

/** Runs the command without holding up this process, in which the server lives. */
function run(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, 'itl', ...words], { cwd: here, env: plainEnvironment(env) });
    let [stdout, stderr] = ['', ''];
    child.stdin.end();
    child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
    child.once('error', reject);
    child.once('close', (status) => {
      printed.push(stdout, stderr);
      resolve({ status, stdout, stderr });
    });
  });
}

const cluster = ['--cluster', 'cluster.yaml'];
const backUp = [...cluster, '--recovery-password-file', 'secret'];
const openBackup = (file: string, password = secret) => decodePkcs12(new Uint8Array(readFileSync(file)), password);

/** How the server is told and logged in to. */
function sftpWords(): readonly string[] {
  return ['--port', String(sshd.port), '--identity', sshd.keyFile, '--known-hosts', 'known_hosts'];
}

/** A backup of the recovery key on the server. */
function putBackup(bytes: Uint8Array, name = 'ITLRecovery.p12'): string {
  const file = join(sshd.home, name);
  writeFileSync(file, bytes);
  chmodSync(file, 0o644);
  return file;
}

const ownBackup = (password = secret): Uint8Array => {
  const key = createPrivateKey(readFileSync(join(master, 'keys/test10pub/ITLRecovery.key')));
  const [certificate] = decodeCertificates(readFileSync(join(master, 'certificates/test10pub/ITLRecovery.pem')));
  return encodePkcs12({ key, certificate: certificate!, password, encryption: '3des' });
};

describe('itl backup-key', () => {
  test('writes the key into a folder, mode 0600, in the words of the cluster, and notes it', async () => {
    const before = clusterText();
    const { status, stdout, stderr } = await run(['backup-key', ...backUp, '--out', 'safe']);
    const file = path('safe/ITLRecovery.p12');
    const { size, mode } = statSync(file);
    expect(stdout).toBe(
      'Number of files affected: 1\n' +
        `Total size in Bytes: ${String(size)}\n` +
        `Total size in Kbytes: ${String(Number((size / 1024).toPrecision(8)))}\n` +
        'Transfer completed.\n',
    );
    expect(stderr).toMatch(
      /^safe\/ITLRecovery\.p12: the key of .*CN=ITLRECOVERY_test10pub.*, aes-256\nnoted in cluster\.yaml/,
    );
    expect(status).toBe(0);
    expect(mode & 0o777).toBe(0o600);
    const opened = await openBackup(file);
    expect(opened.certificate).toEqual(certificateOf('ITLRecovery'));
    expect(opened.key.equals(createPrivateKey(readFileSync(keyFile())))).toBe(true);
    const { fingerprint } = new X509Certificate(certificateOf('ITLRecovery').der);
    expect(parseClusterFile(clusterText(), 'x').recoveryBackup?.sha1).toBe(
      fingerprint.replaceAll(':', '').toLowerCase(),
    );
    expect(clusterText()).toContain(before.trimEnd());
    const text = openssl(['pkcs12', '-in', file, '-passin', 'env:PASSWORD', '-nodes'], secret).toString();
    expect(text).toContain('friendlyName: ITLRecovery');
  });

  test('in the old encryption for old clusters; with --json', async () => {
    const outcome = await run(['backup-key', ...backUp, '--out', 'safe', '--encryption', '3des', '--json']);
    expect(jsonOf(outcome)).toMatchObject({
      certificate: { subject: expect.stringContaining('CN=ITLRECOVERY_test10pub') as string, keyBits: 1024 },
      encryption: '3des',
      file: { path: join('safe', 'ITLRecovery.p12'), backup: null },
      sftp: null,
      clusterFile: { path: 'cluster.yaml' },
    });
    expect((await openBackup(path('safe/ITLRecovery.p12'))).certificate).toEqual(certificateOf('ITLRecovery'));
  });

  test('cluster check warns until it was done, and again when the password was changed', async () => {
    const warnings = async (): Promise<readonly string[]> => {
      const found = checkCluster({ cluster: await loadCluster(path('cluster.yaml')), now: new Date() });
      return found
        .filter(({ check }) => check === 'recovery-backup')
        .map(({ severity, message }) => `${severity} ${message}`);
    };
    expect(await warnings()).toEqual([expect.stringMatching(/^warning no backup of its key is noted/)]);
    expectFailure(await run(['backup-key', ...cluster, '--password-changed']), 2, 'notes no backup', 'itl backup-key');
    expect((await run(['backup-key', ...backUp, '--out', 'safe'])).status).toBe(0);
    expect(await warnings()).toEqual([expect.stringMatching(/^ok its key was backed up on/)]);
    const noted = await run(['backup-key', ...cluster, '--password-changed']);
    expect(noted.stdout).toBe('Noted: the password of ITLRecovery.p12 was changed.\n');
    expect(noted.status).toBe(0);
    expect(await warnings()).toEqual([expect.stringMatching(/^warning .*opens with the old password/)]);
    // Times in the cluster file are of whole seconds.
    writeFileSync(path('cluster.yaml'), clusterText().replace(/passwordChanged: \d{4}/, 'passwordChanged: 2020'));
    writeFileSync(path('secret'), 'another password');
    expect((await run(['backup-key', ...backUp, '--out', 'safe'])).status).toBe(0);
    expect(await warnings()).toEqual([expect.stringMatching(/^ok /)]);
    expect((await openBackup(path('safe/ITLRecovery.p12'), 'another password')).certificate.keyBits).toBe(1024);
    // The old one is kept.
    expect(readdirSync(path('safe/backups'))).toHaveLength(1);
  });

  test('a file that others could read is theirs no more', async () => {
    mkdirSync(path('safe'));
    writeFileSync(path('safe/ITLRecovery.p12'), 'old', { mode: 0o644 });
    expect((await run(['backup-key', ...backUp, '--out', 'safe'])).status).toBe(0);
    expect(statSync(path('safe/ITLRecovery.p12')).mode & 0o777).toBe(0o600);
  });

  test.skipIf(!canBeNobody)('a file of another user: nothing is written, and who could make room is told', async () => {
    mkdirSync(path('safe'));
    writeFileSync(path('safe/ITLRecovery.p12'), 'old');
    // All that nobody is kept from is the permissions of the old backup.
    for (const name of ['', ...readdirSync(here, { recursive: true, encoding: 'utf8' })]) chmodSync(path(name), 0o777);
    chmodSync(folder, 0o755);
    const before = snapshot(here);
    const code = `process.setuid(${String(nobody)});`;
    const outcome = await run(['backup-key', ...backUp, '--out', 'safe'], {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}`,
    });
    expectFailure(
      outcome,
      2,
      'the permissions of safe/ITLRecovery.p12 cannot be changed: it belongs to another user',
      /let the owner of the file move it away, or give another --out; nothing was written/,
    );
    expect(snapshot(here)).toEqual(before);
  });

  test('what is wrong is said before anything is written', async () => {
    const before = snapshot(here);
    writeFileSync(path('empty'), '\n');
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [[...backUp], /a backup goes to one place/],
      [[...backUp, '--out', 'safe', '--sftp', 'a@b:c'], /a backup goes to one place/],
      [[...cluster, '--password-changed', '--out', 'safe'], /only notes/],
      [[...cluster, '--recovery-password-file', 'empty', '--out', '.'], /the password for ITLRecovery\.p12 is empty/],
      [[...cluster, '--out', '.'], /cannot be asked for/],
      [[...backUp, '--sftp', 'nobody'], /is not USER@HOST:PATH/],
      [[...backUp, '--sftp', 'a@b:c', '--host-key', 'x'], /is not the fingerprint/],
      [[...backUp, '--sftp', 'a@b:c', '--identity', 'secret', '--sftp-password-file', 'secret'], /not by both/],
    ];
    for (const [words, error] of cases) expectFailure(await run(['backup-key', ...words]), 2, error);
    rmSync(path('empty'));
    expect(snapshot(here)).toEqual(before);
  });

  test('a key on a token does not leave it; a key that is another one is not backed up', async () => {
    copyFileSync(path('keys/test10pub/CallManager.key'), keyFile());
    expectFailure(await run(['backup-key', ...backUp, '--out', 'safe']), 4, /A9.*is not the one of certificate/);
    const text = clusterText().replace(/ITLRecovery: .*keys.*/, 'ITLRecovery: "pkcs11:token=SAST;object=ITLRecovery"');
    writeFileSync(path('cluster.yaml'), text);
    expectFailure(await run(['backup-key', ...backUp, '--out', 'safe']), 2, 'is on a token', 'recoveryBackup');
    expect(existsSync(path('safe/ITLRecovery.p12'))).toBe(false);
  });

  withSshd(`by SFTP, into a folder of the server${skipReason(sshdMissing)}`, async () => {
    const target = join(sshd.home, 'inbox');
    mkdirSync(target);
    chmodSync(target, 0o777);
    const words = ['--sftp', `${sshd.user}@127.0.0.1:${target}/`, ...sftpWords()];
    const outcome = await run(['backup-key', ...backUp, ...words, '--json']);
    expect(outcome.stderr).toContain(`${sshd.user}@127.0.0.1:${target}/ITLRecovery.p12`);
    expect(jsonOf(outcome)).toMatchObject({
      file: null,
      sftp: { host: '127.0.0.1', user: sshd.user, path: join(target, 'ITLRecovery.p12'), backup: null },
    });
    expect((await openBackup(join(target, 'ITLRecovery.p12'))).certificate).toEqual(certificateOf('ITLRecovery'));
    expect(parseClusterFile(clusterText(), 'x').recoveryBackup).toBeDefined();
  });

  withSshd(`by SFTP, the backup of the key before stays, and is named${skipReason(sshdMissing)}`, async () => {
    const target = join(sshd.home, 'twice');
    mkdirSync(target);
    chmodSync(target, 0o777);
    const words = ['--sftp', `${sshd.user}@127.0.0.1:${target}`, ...sftpWords()];
    expect((await run(['backup-key', ...backUp, ...words])).status).toBe(0);
    const first = readFileSync(join(target, 'ITLRecovery.p12'));
    const again = await run(['backup-key', ...backUp, ...words, '--json']);
    const [kept] = readdirSync(target).filter((name) => name !== 'ITLRecovery.p12');
    expect(readFileSync(join(target, kept!))).toEqual(first);
    expect(readFileSync(join(target, 'ITLRecovery.p12'))).not.toEqual(first);
    expect(jsonOf(again)).toMatchObject({ sftp: { backup: join(target, kept!) } });
    expect(again.stderr).toContain(`the old one is ${join(target, kept!)} there`);
  });

  withSshd(`not noted when the server does not take it${skipReason(sshdMissing)}`, async () => {
    const before = clusterText();
    const words = ['--sftp', `${sshd.user}@127.0.0.1:/no/such/folder/x.p12`, ...sftpWords()];
    expectFailure(await run(['backup-key', ...backUp, ...words]), 2, 'there is no /no/such/folder/x.p12');
    expect(clusterText()).toBe(before);
  });
});

describe(`itl reset remotekey${skipReason(sshdMissing)}`, () => {
  const reset = (file: string, words: readonly string[] = sftpWords(), more: readonly string[] = []) =>
    run(['reset', 'remotekey', '127.0.0.1', sshd.user, file, ...backUp, '--out', 'out', ...words, ...more]);
  /** Without what is told on the way. */
  const refused = (file: string, words?: readonly string[], more: readonly string[] = []) =>
    reset(file, words, [...more, '--quiet']);
  const makeItl = async (): Promise<void> => {
    const { status, stderr } = await run(['create', ...cluster, '--out', 'present', '--node', 'test10pub']);
    expect([status, stderr]).toEqual([0, expect.any(String)]);
    copyFileSync(path('present/test10pub/ITLFile.tlv'), path('ITLFile.tlv'));
    rmSync(path('present'), { recursive: true });
  };
  const loseLocalKey = async (): Promise<Buffer> => {
    const lost = await makeSoftwareKey('ITLRECOVERY_lost', 9);
    writeFileSync(keyFile(), lost.key.export({ format: 'pem', type: 'pkcs8' }));
    return readFileSync(keyFile());
  };

  withSshd('fetches the key, replaces the local one, keeps the old one, and signs the list', async () => {
    await makeItl();
    const file = putBackup(ownBackup());
    const lost = await loseLocalKey();
    const { status, stdout, stderr } = await reset(file, sftpWords(), ['--itl', 'ITLFile.tlv']);
    expect(stderr).toContain(`fetched ${sshd.user}@127.0.0.1:${file}: `);
    expect(stdout).toContain("['test10pub', 'test10sub']\nThe reset ITL file was generated successfully\n");
    expect(stdout).toContain('Successfully transferred reset ITL to node test10sub\n');
    expect(status).toBe(0);
    expect(readFileSync(keyFile(), 'utf8')).toBe(readFileSync(join(master, 'keys/test10pub/ITLRecovery.key'), 'utf8'));
    const [kept] = readdirSync(path('keys/test10pub/backups'));
    expect(readFileSync(path(`keys/test10pub/backups/${kept!}`))).toEqual(lost);
    for (const node of ['test10pub', 'test10sub']) {
      const verification = verifyTrustList(listOf(`out/${node}/ITLFile.tlv`));
      expect(verification.verified && verification.signer.subjectName).toContain('ITLRECOVERY_test10pub');
    }
    expect(listOf('out/test10pub/ITLFile.tlv').records).toHaveLength(listOf('ITLFile.tlv').records.length);
  });

  withPasswords(`with the password of the user from a file${skipReason(passwordsMissing)}`, async () => {
    writeFileSync(path('sftp-password'), `${sshd.password}\n`);
    writeFileSync(path('wrong-password'), 'wrong sftp word\n');
    const file = putBackup(ownBackup());
    const fingerprint = ['--port', String(sshd.port), '--host-key', sshd.fingerprint('rsa', 'md5')];
    const before = snapshot(here);
    const wrong = await refused(file, [...fingerprint, '--sftp-password-file', 'wrong-password']);
    expectFailure(wrong, 2, `does not let ${sshd.user} in with this password`, 'tried once');
    expect(snapshot(here)).toEqual(before);
    expect((await reset(file, [...fingerprint, '--sftp-password-file', 'sftp-password'])).status).toBe(0);
    expect(existsSync(path('out/test10pub/ITLFile.tlv'))).toBe(true);
  });

  withSshd('with another certificate than the cluster file names, when the list has it', async () => {
    await makeItl();
    const file = putBackup(ownBackup());
    // The publisher was rebuilt: it has a new recovery key, and phones hold the list with the old one.
    const renewed = await makeSoftwareKey('ITLRECOVERY_test10pub', 3);
    renewed.write(path('keys/test10pub'), 'new');
    copyFileSync(path('keys/test10pub/new.key'), keyFile());
    copyFileSync(path('keys/test10pub/new.pem'), path('certificates/test10pub/ITLRecovery.pem'));
    const before = snapshot(here);
    expectFailure(await refused(file), 4, /refused \(A9\).*names another ITLRecovery certificate/, '--itl FILE');
    expect(snapshot(here)).toEqual(before);
    expect((await reset(file, sftpWords(), ['--itl', 'ITLFile.tlv'])).status).toBe(0);
    const masters = readFileSync(join(master, 'certificates/test10pub/ITLRecovery.pem'), 'utf8');
    expect(readFileSync(path('certificates/test10pub/ITLRecovery.pem'), 'utf8')).toBe(masters);
    expect(verifyTrustList(listOf('out/test10pub/ITLFile.tlv')).verified).toBe(true);
  });

  withSshd('an encrypted local key is followed by an encrypted one; a PKCS#12 file by the file itself', async () => {
    const file = putBackup(ownBackup());
    writeFileSync(path('local'), 'local key word');
    const old = createPrivateKey(readFileSync(keyFile()));
    const passphrase = 'local key word';
    writeFileSync(keyFile(), old.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase }));
    const before = snapshot(here);
    expectFailure(await refused(file), 2, /private key is encrypted/, '--key-password-file');
    expect(snapshot(here)).toEqual(before);
    expect((await reset(file, sftpWords(), ['--key-password-file', 'local'])).status).toBe(0);
    const text = readFileSync(keyFile(), 'utf8');
    expect(text).toContain('ENCRYPTED PRIVATE KEY');
    expect(createPrivateKey({ key: text, passphrase }).equals(old)).toBe(true);
    const bytes = ownBackup('word of the local file');
    writeFileSync(keyFile(), bytes);
    expect((await reset(file)).stderr).toContain('opens with its password');
    expect(readFileSync(keyFile())).toEqual(readFileSync(file));
  });

  withSshd('nothing is replaced unless the key was read and fits', async () => {
    await makeItl();
    const other = await makeSoftwareKey('ITLRECOVERY_other', 5);
    const strange = putBackup(encodePkcs12({ ...other, password: secret }), 'strange.p12');
    const server = {
      key: createPrivateKey(readFileSync(path('keys/test10pub/CallManager.key'))),
      certificate: certificateOf('CallManager'),
    };
    const callManager = putBackup(encodePkcs12({ ...server, password: secret }), 'callmanager.p12');
    const damagedBytes = ownBackup();
    const damaged = putBackup(damagedBytes.subarray(0, damagedBytes.length >> 1), 'damaged.p12');
    writeFileSync(path('recovery.pem'), readFileSync(path('certificates/test10pub/ITLRecovery.pem')));
    const noKey = putBackup(
      new Uint8Array(
        openssl(['pkcs12', '-export', '-nokeys', '-in', path('recovery.pem'), '-passout', 'env:PASSWORD'], secret),
      ),
      'no-key.p12',
    );
    const locked = putBackup(ownBackup('another word'), 'locked.p12');
    const large = putBackup(new Uint8Array(300_000), 'large.p12');
    const long = putBackup(new Uint8Array(100_000), 'long.p12');
    const relay = await startTcpRelay(sshd.port, 'from-server', 60_000);
    const itl = ['--itl', 'ITLFile.tlv'];
    const words = sftpWords();
    const fingerprint = ['--identity', sshd.keyFile, '--host-key', sshd.fingerprint('ed25519')];
    const before = snapshot(here);
    const cases: readonly (readonly [string, readonly string[], number, RegExp | string])[] = [
      [strange, itl, 4, /refused \(A9\).*ITLRECOVERY_other, and ITLFile\.tlv has no record of it/],
      [strange, [], 4, /refused \(A9\).*names another/],
      [callManager, itl, 4, /refused \(A9\).*not the recovery key/],
      [damaged, itl, 2, /not a PKCS#12 file, or a damaged one/],
      [noKey, itl, 2, /holds no RSA private key/],
      [locked, itl, 2, /the password does not open/],
      [large, itl, 2, /300000 bytes or more/],
      [join(sshd.home, 'missing.p12'), itl, 2, /there is no .*missing\.p12/],
    ];
    for (const [file, more, status, error] of cases) expectFailure(await refused(file, words, more), status, error);
    const cutOff = ['--port', String(relay.port), ...fingerprint];
    // A short file comes through whole: so it is in the long one that the connection is cut.
    expectFailure(await refused(damaged, cutOff, itl), 2, /not a PKCS#12 file, or a damaged one/);
    expectFailure(await refused(long, cutOff, itl), 2, 'was cut off');
    relay.close();
    expect(snapshot(here)).toEqual(before);
  });

  withSshd('an unknown server is refused with its fingerprint, a changed one with an alarm: exit code 4', async () => {
    const file = putBackup(ownBackup());
    const words = sftpWords();
    writeFileSync(path('known_hosts'), '');
    const unknown = await refused(file, words);
    expectFailure(unknown, 4, /is not known: it presents the ssh-ed25519 key SHA256:/, '--host-key');
    expect(unknown.stderr).toContain(sshd.fingerprint('ed25519'));
    const [line] = sshd.knownHosts;
    const other = await startSshd();
    const key = other.knownHosts[0]!.split(' ').slice(1).join(' ');
    other.close();
    writeFileSync(path('known_hosts'), `${line!.split(' ')[0]!} ${key}\n`);
    const before = snapshot(here);
    expectFailure(await refused(file, words), 4, 'HAS CHANGED', 'somebody may stand between');
    expect(snapshot(here)).toEqual(before);
  });

  withSshd('when the reset fails after all, the local key is put back', async () => {
    const file = putBackup(ownBackup());
    const lost = await loseLocalKey();
    writeFileSync(path('out'), 'a file where a folder is wanted');
    const outcome = await refused(file);
    expectFailure(outcome, 2, /there is no folder out/);
    expect(outcome.stderr).toContain('warning: the local key was put back');
    expect(readFileSync(keyFile())).toEqual(lost);
    expect(existsSync(path('keys/test10pub/backups'))).toBe(false);
  });

  withSshd(
    'a local key that others could read is theirs no more, nor is the old one; else nothing changes',
    async () => {
      const file = putBackup(ownBackup());
      const modeOf = (name: string): number => statSync(name).mode & 0o777;
      const lost = await loseLocalKey();
      chmodSync(keyFile(), 0o644);
      writeFileSync(path('out'), 'a file where a folder is wanted');
      expectFailure(await refused(file), 2, /there is no folder out/);
      expect([readFileSync(keyFile()), modeOf(keyFile())]).toEqual([lost, 0o644]);
      rmSync(path('out'));
      expect((await reset(file)).status).toBe(0);
      expect(modeOf(keyFile())).toBe(0o600);
      const [kept] = readdirSync(path('keys/test10pub/backups'));
      expect(modeOf(path(`keys/test10pub/backups/${kept!}`))).toBe(0o600);
    },
  );

  withSshd('a recovery key on a token: says so, and fetches nothing', async () => {
    const text = clusterText().replace(/ITLRecovery: .*keys.*/, 'ITLRecovery: "pkcs11:token=SAST;object=ITLRecovery"');
    writeFileSync(path('cluster.yaml'), text);
    const log = sshd.log();
    expectFailure(await refused('x'), 2, 'is on a token', 'itl reset localkey');
    expect(sshd.log()).toBe(log);
  });

  withSshd('without a terminal and without a password file, what is wanted is said', async () => {
    const words = ['--port', String(sshd.port), '--known-hosts', 'known_hosts'];
    expectFailure(
      await refused('x', words),
      2,
      /Enter Sftp password of .* cannot be asked for/,
      '--sftp-password-file',
    );
  });
});

describe.skipIf(noTerminal !== undefined)(`on a terminal${skipReason(noTerminal)}`, () => {
  const open = (words: readonly string[]): Terminal => openTerminal(['itl', ...words], { cwd: here });

  test('the password of a backup is asked for twice, and is not seen', async () => {
    const words = ['backup-key', ...cluster, '--out', 'safe'];
    for (const [again, status] of [
      ['something else', 2],
      ['typed pass word', 0],
    ] as const) {
      const terminal = open(words);
      await terminal.waitFor('Enter a password for ITLRecovery.p12');
      terminal.type('typed pass word\r');
      await terminal.waitFor('The same password again');
      terminal.type(`${again}\r`);
      expect(await terminal.ended).toBe(status);
      printed.push(terminal.screen());
      expect(existsSync(path('safe/ITLRecovery.p12'))).toBe(status === 0);
    }
    expect((await openBackup(path('safe/ITLRecovery.p12'), 'typed pass word')).certificate.keyBits).toBe(1024);
  });

  withPasswords(`remotekey asks for both passwords${skipReason(passwordsMissing)}`, async () => {
    const file = putBackup(ownBackup());
    const server = ['--port', String(sshd.port), '--known-hosts', 'known_hosts'];
    const terminal = open(['reset', 'remotekey', '127.0.0.1', sshd.user, file, ...cluster, '--out', 'out', ...server]);
    await terminal.waitFor(`Enter Sftp password of ${sshd.user} on 127.0.0.1`);
    terminal.type(`${sshd.password}\r`);
    await terminal.waitFor('Enter the password of ITLRecovery.p12');
    terminal.type(`${secret}\r`);
    expect(await terminal.ended).toBe(0);
    printed.push(terminal.screen());
    expect(existsSync(path('out/test10sub/ITLFile.tlv'))).toBe(true);
  });

  withPasswords(`broken off at the password: nothing has changed${skipReason(passwordsMissing)}`, async () => {
    const server = ['--port', String(sshd.port), '--known-hosts', 'known_hosts'];
    const before = snapshot(here);
    const terminal = open(['reset', 'remotekey', '127.0.0.1', sshd.user, 'x', ...cluster, '--out', 'out', ...server]);
    await terminal.waitFor(`Enter Sftp password of ${sshd.user} on 127.0.0.1`);
    terminal.type('\u0003');
    expect(await terminal.ended).toBe(130);
    rmSync(path('.terminal-pid'));
    expect(snapshot(here)).toEqual(before);
  });
});

test('no password and no key was ever printed', () => {
  const all = printed.join('\n');
  expect(all.length).toBeGreaterThan(1000);
  const words = [
    secret,
    'another password',
    'local key word',
    'wrong sftp word',
    'another word',
    'typed pass word',
    'PRIVATE KEY',
  ];
  if (sshdMissing === '') words.push(sshd.password);
  for (const word of words) expect(all).not.toContain(word);
});
