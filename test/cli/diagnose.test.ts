import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { uploadedCertificates } from '../../src/cluster/index.js';
import { createTvsKnowledge, startTvsServer, type TvsServer } from '../../src/tvs/index.js';
import { formatCertificatePem } from '../../src/x509/index.js';
import { SmallCluster } from '../migration/diagnosis-cluster.js';
import { wireQuery } from '../migration/phone-log-transcripts.js';
import { expectFailure, plainEnvironment, program, run, temporaryFolder, type Outcome } from './etoken-bridge.js';

const folder = temporaryFolder();
function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
const sha1 = (path: string): string => createHash('sha1').update(readFileSync(path)).digest('hex');

// A cluster before 10.0, so that no ITLRecovery key saves its phones; then CallManager, then TVS renewed.
const lab = await SmallCluster.make({ folder, release: '9.1.2' });
const firstItl = write('first.tlv', (await lab.itl()).bytes);
const firstCertificates = lab.cluster;
const firstTvs = lab.certificates.identity('cucm-pub', 'TVS');
await lab.renew('CallManager');
const secondItl = write('second.tlv', (await lab.itl()).bytes);
const secondCluster = lab.cluster;
await lab.renew('TVS');
const thirdItl = write('third.tlv', (await lab.itl()).bytes);
const thirdTvs = lab.certificates.identity('cucm-pub', 'TVS');
const thirdTvsFile = write('TVS.pem', formatCertificatePem(thirdTvs.certificate));
const phoneLog = write(
  'phone.log',
  'dgetfile-GETXXTP [src=ITLFile.tlv]\nSECUREAPP-Trust List update failed. ITL (P5: not in its lists)\n',
);

const servers: TvsServer[] = [];
afterAll(() => Promise.all(servers.map((server) => server.close())));

/** A TVS server with a certificate of the cluster, that knows what the cluster had at a time. */
async function serve(identity: typeof firstTvs, cluster: typeof secondCluster): Promise<string> {
  const knowledge = createTvsKnowledge({ trustStores: uploadedCertificates(cluster) });
  const server = await startTvsServer({ ...identity, knowledge, host: '127.0.0.1', port: 0 });
  servers.push(server);
  return `127.0.0.1:${String(server.port)}`;
}

/** Runs the command while the servers of this process go on. */
function diagnose(...words: readonly string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [program, 'diagnose', ...words], { env: plainEnvironment(), cwd: folder });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

interface Document {
  readonly wrong: boolean;
  readonly findings: readonly {
    readonly rule: string | null;
    readonly check: string;
    readonly severity: string;
    readonly list: string | null;
    readonly what: string;
    readonly evidence: readonly string[];
    readonly whatToDo: readonly string[];
  }[];
  readonly deletion: {
    readonly rule: string;
    readonly verdict: string;
    readonly reason: string;
    readonly conditions: readonly { readonly condition: string; readonly answer: string; readonly evidence: string }[];
    readonly whatToDo: readonly string[];
    readonly missing: readonly string[];
  };
}

async function document(...words: readonly string[]): Promise<Document & { readonly status: number | null }> {
  const { status, stdout, stderr } = await diagnose('--json', ...words);
  expect(stderr).toBe('');
  return { status, ...(JSON.parse(stdout) as Document) };
}

const checksOf = ({ findings }: Document): readonly string[] =>
  findings.map(({ severity, rule, check }) => `${severity} ${rule ?? '-'} ${check}`);

describe('a live TVS server', () => {
  test('that the phone knows and that vouches: nothing is wrong, exit 0', async () => {
    const tvs = await serve(firstTvs, secondCluster);
    const found = await document(
      '--itl',
      secondItl,
      '--held-itl',
      firstItl,
      '--phone-ctl-checksum',
      'none',
      '--tvs',
      tvs,
    );
    expect(checksOf(found)).toEqual(['note P5 list-would-be-taken']);
    expect([found.status, found.wrong, found.deletion.verdict]).toEqual([0, false, 'need-not']);
  });

  test('that does not know the new signer, for it was not restarted: exit 1', async () => {
    const tvs = await serve(firstTvs, firstCertificates);
    const found = await document(
      '--itl',
      secondItl,
      '--held-itl',
      firstItl,
      '--phone-ctl-checksum',
      'none',
      '--tvs',
      tvs,
    );
    expect(checksOf(found)).toEqual(['error P5 list-rejected', 'error P10 tvs-not-trusted']);
    expect(found.status).toBe(1);
  });

  test('whose certificate the phone does not know: A1, and A12 asks for what is missing', async () => {
    const tvs = await serve(thirdTvs, lab.cluster);
    const found = await document(
      '--itl',
      thirdItl,
      '--held-itl',
      firstItl,
      '--phone-ctl-checksum',
      'none',
      '--tvs',
      tvs,
    );
    expect(checksOf(found)).toEqual(['error A1 both-renewed', 'error P5 list-rejected', 'error P9 tvs-certificate']);
    expect(found.deletion.conditions.map(({ answer }) => answer)).toEqual(['yes', 'yes', 'unknown', 'unknown']);
    expect(found.deletion.verdict).toBe('cannot-tell');
    const given = ['--itl', thirdItl, '--held-itl', firstItl, '--phone-ctl-checksum', 'none', '--tvs', tvs];
    const must = await document(...given, '--log', phoneLog, '--old-key-backup', 'no');
    expect(must.deletion.verdict).toBe('must');
    expect(checksOf(must)[0]).toBe('error A12 must-be-deleted');
    const backup = await document(...given, '--phone-verification', 'failed', '--old-key-backup', 'yes');
    expect(backup.deletion.verdict).toBe('need-not');
    expect(backup.deletion.whatToDo[0]).toContain('restore the old CallManager certificate');
  });

  test('that cannot be reached, or is none: a finding, and the rest is said all the same', async () => {
    const silent = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
      socket.resume();
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const given = ['--itl', secondItl, '--held-itl', firstItl, '--phone-ctl-checksum', 'none'];
    const noTls = await document(...given, '--tvs', `127.0.0.1:${String(port)}`);
    expect(checksOf(noTls)).toEqual(['error P5 list-rejected', 'error P10 tvs-unreachable']);
    await new Promise((resolve) => silent.close(resolve));
    const closed = await document(...given, '--tvs', `127.0.0.1:${String(port)}`);
    expect(closed.findings.at(-1)?.evidence[0]).toContain('cannot be reached');
    expect(closed.status).toBe(1);
    // A second server that answers is enough (P10).
    const second = await document(
      ...given,
      '--tvs',
      `127.0.0.1:${String(port)}`,
      '--tvs',
      await serve(firstTvs, secondCluster),
    );
    expect(checksOf(second)).toEqual(['warning P10 tvs-unreachable', 'note P5 list-would-be-taken']);
  });
});

describe('files and checksums', () => {
  test('the phone has what the server has: exit 0', () => {
    const words = [
      'diagnose',
      '--itl',
      firstItl,
      '--phone-itl-checksum',
      sha1(firstItl).replaceAll(/../g, '$& ').trim(),
    ];
    const { status, stdout, stderr } = run(words);
    expect(stdout).toMatch(/^nothing wrong was found in what was given\n\nnote: the phone holds the very ITL/);
    expect(stdout).toMatch(/Answer: no, it need not be deleted: the phone holds no ITL that differs/);
    expect([status, stderr]).toEqual([0, '']);
  });

  test('the text names each finding with its rule, its evidence and what to do, then A12', () => {
    const words = ['--itl', thirdItl, '--held-itl', firstItl, '--tvs-certificate', thirdTvsFile, '--log', phoneLog];
    const { status, stdout } = run(['diagnose', ...words, '--old-key-backup', 'no']);
    expect(stdout).toMatch(/^\d+ errors, \d+ warnings?\n\nerror \(A12\): the ITL of the phone must be deleted by hand/);
    expect(stdout).toMatch(/^error \(A1\): CallManager and TVS were both renewed/m);
    expect(stdout).toMatch(/^ {4}.*TVS\.pem: not the certificate of a TVS record/m);
    expect(stdout).toMatch(/^ {2}do: restore the old CallManager or TVS certificate/m);
    expect(stdout).toMatch(/^ {2}yes {6}the phone's ITL differs from the server's \(the phone's is [0-9a-f]{40}/m);
    expect(stdout).toMatch(/^Answer: yes, it must be deleted by hand: all four conditions hold/m);
    expect(status).toBe(1);
  });

  test('the cluster file stands for TVS, and the JSON has stable keys', async () => {
    const found = await document('--itl', firstItl, '--cluster', lab.clusterFile, '--held-itl', firstItl);
    expect(Object.keys(found)).toEqual(['status', 'wrong', 'findings', 'deletion']);
    expect(found.findings.map((finding) => Object.keys(finding))).toEqual([
      ['rule', 'check', 'severity', 'list', 'what', 'evidence', 'whatToDo'],
    ]);
    expect(Object.keys(found.deletion)).toEqual(['rule', 'verdict', 'reason', 'conditions', 'whatToDo', 'missing']);
    expect(found.deletion.conditions.map(({ condition }) => condition)).toEqual([
      'itl-differs',
      'tvs-certificate-differs',
      'verification-failed',
      'no-old-key-backup',
    ]);
  });

  test('a log of a tech note alone: what it shows, and nothing wrong', async () => {
    const found = await document('--log', write('wire.txt', wireQuery));
    expect(found.findings.map(({ what }) => what)).toEqual([
      'the phone accepted its CTL (CTLSEPB000B4BA0AEE.tlv)',
      'the phone accepted its ITL (ITLSEPB000B4BA0AEE.tlv)',
      'TVS was asked for CN=ucm11pub.stormin.local;OU=IST;O=Stormin;L=Brisbane;ST=QLD;C=AU (serial 24000000179479B8F124AC3F3B000000000017): knows it, roles {0, 3}',
      'TVS 192.168.11.32 vouched for what the phone asked about',
    ]);
    expect(found.status).toBe(0);
  });

  test('what a file says cannot move the cursor', () => {
    const hostile = write('hostile.log', 'SECUREAPP-Trust List update failed. ITL (P5: \u001b[2Jall is well)\n');
    const { status, stdout } = run(['diagnose', '--log', hostile]);
    expect(stdout).toContain('\\u{1b}[2Jall is well');
    expect(stdout).not.toContain('\u001b');
    expect(status).toBe(1);
  });
});

describe('bad input ends with 2', () => {
  test('nothing given: what could be, and how to get it', () => {
    expectFailure(run(['diagnose']), 2, 'nothing was given to diagnose', /any of:\n {2}--itl[\s\S]*--old-key-backup/);
    expectFailure(run(['diagnose', '--no-security-by-default']), 2, 'nothing was given to diagnose');
  });

  const cases: readonly (readonly [words: readonly string[], error: string, hint: string])[] = [
    [['--phone-itl-checksum', 'xyz'], 'xyz is no checksum of a list', '40 hex digits of SHA-1'],
    [['--phone-itl-checksum', 'abcd'], 'abcd is no checksum of a list', 'as the phone shows them'],
    [['--held-itl', firstItl, '--phone-itl-checksum', 'none'], 'say the same', 'give --held-itl alone'],
    [['--held-ctl', firstItl], 'is an ITL, and the CTL of the phone is wanted', 'mixed up'],
    [['--held-itl', phoneLog], 'is no trust list', 'CTL, ITL and .sgn files begin with'],
    [['--itl', 'missing.tlv'], 'there is no ITL of the server missing.tlv', 'check the path'],
    [['--log', 'missing.log'], 'there is no log missing.log', 'check the path'],
    [['--tvs', 'a:b:c'], 'is not HOST or HOST:PORT', 'brackets'],
    [['--tvs', 'a', '--tvs', 'b', '--tvs', 'c', '--tvs', 'd'], 'three TVS servers at most, and 4', 'leave --tvs out'],
    [['--tvs', 'a', '--timeout', 'soon'], 'soon is no time to wait', 'seconds'],
    [['--tvs-certificate', phoneLog], 'cannot be used', 'DER or PEM'],
  ];

  test.each(cases)('%j', (words, error, hint) => {
    expectFailure(run(['diagnose', ...words], { cwd: folder }), 2, error, hint);
  });

  test('an answer that is none of its choices', () => {
    const { status, stderr } = run(['diagnose', '--old-key-backup', 'perhaps']);
    expect(stderr).toMatch(/argument 'perhaps' is invalid.*yes, no/);
    expect(status).toBe(2);
  });
});
