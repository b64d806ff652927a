import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createLabCluster } from '../../src/cluster/index.js';
import { clusterNames, makeNode, makeToken, signCtlOf, tokenNames } from '../tvs/identities.js';
import { formatCertificatePem } from '../../src/x509/index.js';
import { expectFailure, jsonOf, plainEnvironment, program, run, temporaryFolder } from './etoken-bridge.js';

const folder = temporaryFolder();
const { clusterFile, cluster } = await createLabCluster({
  directory: join(folder, 'cluster'),
  release: '10.5.2',
  securityMode: 'mixed',
  nodes: [
    { name: 'cucm-pub', address: '10.48.46.195', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
    { name: 'cucm-sub', address: '10.48.46.196', services: ['CallManager', 'TVS'] },
  ],
  now: new Date(),
  keyBits: 1024,
});
const [pub, sub] = cluster.nodes;
const fileOf = (node: string, name: string): string => join(folder, 'cluster', 'certificates', node, `${name}.pem`);

const token = await makeToken('SAST-ADN008580ef', [0x31, 0xaf, 0x45, 0x55, 0, 0, 0, 0x08, 0xe9, 0x83]);
const uploaded = await makeNode('uploaded-signer', [0x41, 0x42]);
const stranger = await makeNode('stranger', [0x43]);
function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
const ctlFile = write(
  'CTLFile.tlv',
  (await signCtlOf([{ function: 0, identity: token, names: tokenNames(token) }])).bytes,
);
const strangersList = write(
  'strangers.tlv',
  (await signCtlOf([{ function: 0, identity: stranger, names: clusterNames(stranger) }])).bytes,
);
const uploadedFile = write('cluster/uploaded.pem', formatCertificatePem(uploaded.certificate));
const strangerFile = write('stranger.pem', formatCertificatePem(stranger.certificate));

/** The cluster file with a certificate in Phone-SAST-trust. */
function withUpload(): string {
  const text = readFileSync(clusterFile, 'utf8')
    .replace(/^trustStores:[\s\S]*?(?=^\S|(?![\s\S]))/m, '')
    .trimEnd();
  return write('cluster/uploads.yaml', `${text}\ntrustStores:\n  Phone-SAST-trust:\n    - uploaded.pem\n`);
}

interface Served {
  readonly child: ChildProcess;
  readonly address: string;
  readonly stderr: () => string;
  readonly ended: Promise<{ code: number | null; stdout: string }>;
}

const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

/** Starts the server, and waits for its first line. */
async function serve(...words: string[]): Promise<Served> {
  const child = spawn(process.execPath, [program, 'tvs', 'serve', '--port', '0', ...words], {
    env: plainEnvironment(),
  });
  children.push(child);
  let stdout = '';
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<{ code: number | null; stdout: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, stdout })),
  );
  const address = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.includes('\n')) resolve(stdout.split('\n')[0]!);
    });
    child.on('close', () => reject(new Error(stderr)));
  });
  return { child, address, stderr: () => stderr, ended };
}

const served = await serve('--cluster', withUpload(), '--ctl', ctlFile);

describe('tvs serve', () => {
  test('prints its address, logs as clusters do, and ends with 0 when it is stopped', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const server = await serve('--cluster', clusterFile, '--node', 'cucm-sub');
      expect(server.address).toMatch(/^127\.0\.0\.1:\d+$/);
      const outcome = run(['tvs', 'verify', server.address, fileOf('cucm-pub', 'CAPF')]);
      expect(outcome.status).toBe(0);
      server.child.kill(signal);
      expect(await server.ended).toEqual({ code: 0, stdout: `${server.address}\n` });
      expect(server.stderr()).toMatch(/ \| MsgType : TVS_MSG_CERT_VERIFICATION_REQ\n/);
      expect(server.stderr()).toMatch(/CertificateDBCache::getCertificateInformation - \{role : 4\}\n/);
      expect(server.stderr()).not.toMatch(/warning:|interrupted/);
    }
  });

  test('--json gives the address as one document; --quiet logs nothing', async () => {
    const server = await serve('--cluster', clusterFile, '--json', '--quiet');
    server.child.kill('SIGTERM');
    const { code, stdout } = await server.ended;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ host: '127.0.0.1', node: 'cucm-pub', legacyTls: false });
    expect(server.stderr()).toBe('');
  });

  test('shows the certificate of the node, and --legacy-tls says what it means', async () => {
    const server = await serve('--cluster', clusterFile, '--node', 'cucm-sub', '--legacy-tls');
    expect(server.stderr()).toMatch(/^warning: --legacy-tls allows TLS 1\.0 with AES256-SHA.*later can read/);
    const words = ['tvs', 'verify', server.address, fileOf('cucm-pub', 'TVS'), '--server-certificate'];
    expect(run([...words, fileOf('cucm-sub', 'TVS')]).status).toBe(0);
    expectFailure(run([...words, fileOf('cucm-pub', 'TVS')]), 2, /certificate that is not the expected one/, /renewed/);
    server.child.kill('SIGTERM');
    await server.ended;
  });

  test('says what is wrong with the node, the cluster file, the port', () => {
    const words = ['tvs', 'serve', '--port', '0', '--cluster'];
    expectFailure(run([...words, clusterFile, '--node', 'nobody']), 2, /has no node nobody/, 'cucm-pub, cucm-sub');
    expectFailure(run([...words, join(folder, 'none.yaml')]), 2, /none\.yaml/, /cluster init/);
    expectFailure(
      run(['tvs', 'serve', '--cluster', clusterFile, '--port', '70000']),
      2,
      /the port cannot be 70000/,
      /65535/,
    );
    const port = served.address.split(':')[1]!;
    expectFailure(run(['tvs', 'serve', '--cluster', clusterFile, '--port', port]), 2, /EADDRINUSE/, /another program/);
    const withoutTvs = readFileSync(clusterFile, 'utf8').replaceAll(/^ +TVS: .*\n/gm, '');
    const path = write('cluster/without-tvs.yaml', withoutTvs);
    const outcome = run(['tvs', 'serve', '--cluster', path, '--port', '0']);
    expect(outcome.status).toBe(2);
    expect(outcome.stderr).toMatch(/TVS/);
  });
});

describe('tvs query', () => {
  const { address } = served;

  test('the signer of a list that only the CTL of the server knows: trusted, role 0, a day', () => {
    const outcome = run([
      'tvs',
      'query',
      address,
      '--list',
      ctlFile,
      '--server-certificate',
      fileOf('cucm-pub', 'TVS'),
    ]);
    const sha1 = createHash('sha1').update(token.certificate.der).digest('hex').toUpperCase();
    expect(outcome.stdout.split('\n')).toEqual([
      'cn="SAST-ADN008580ef        ";ou=IPCBU;o="Cisco Systems, serial 83:E9:08:00:00:00:55:45:AF:31: ' +
        'trusted for 86400 seconds, roles: System Administrator Security Token (0)',
      '  subject  CN=SAST-ADN008580ef        , OU=IPCBU, O=Cisco Systems, Inc.',
      '  issuer   CN=Cisco Manufacturing CA, O=Cisco Systems',
      '  serial   31:AF:45:55:00:00:00:08:E9:83',
      `  SHA-1    ${sha1.match(/../g)!.join(':')}`,
      '',
    ]);
    expect([outcome.status, outcome.stderr]).toEqual([0, '']);
  });

  test('a certificate in Phone-SAST-trust: roles 0 and 3; --json has stable keys', () => {
    const words = ['tvs', 'query', address, '--certificate', uploadedFile, '--json'];
    const outcome = run(words);
    expect(outcome.stderr).toMatch(/^the server was not checked; its certificate has SHA-1 [\dA-F:]{59} /);
    expect(run([...words, '--quiet']).stderr).toBe('');
    expect(jsonOf(outcome)).toEqual({
      server: { address, certificateSha1: expect.stringMatching(/^[\dA-F:]{59}$/) as string, checked: false },
      subjectName: 'CN=uploaded-signer;OU=TAC;O=Cisco;C=PL',
      issuerName: 'CN=uploaded-signer;OU=TAC;O=Cisco;C=PL',
      serialNumber: '4142',
      trusted: true,
      roles: [0, 3],
      roleNames: ['System Administrator Security Token', 'TFTP'],
      timeToLive: 86_400,
      certificate: {
        subject: 'C=PL, O=Cisco, OU=TAC, CN=uploaded-signer',
        issuer: 'C=PL, O=Cisco, OU=TAC, CN=uploaded-signer',
        serialNumber: '41:42',
        sha1: expect.stringMatching(/^[\dA-F:]{59}$/) as string,
      },
    });
  });

  test('a signer that the server does not know: exit 1', () => {
    const outcome = run(['tvs', 'query', address, '--list', strangersList, '--quiet']);
    expect(outcome).toEqual({
      status: 1,
      stdout: 'CN=stranger;OU=TAC;O=Cisco;C=PL, serial 43: not trusted\n',
      stderr: '',
    });
  });

  test('wants one of --list and --certificate, a server, and a list that is one', () => {
    expectFailure(run(['tvs', 'query', address]), 2, /signer to ask for/, /--certificate FILE and --list FILE/);
    expectFailure(run(['tvs', 'query', 'a:b:c', '--list', ctlFile]), 2, /a:b:c is not HOST/, /brackets/);
    expectFailure(run(['tvs', 'query', address, '--list', strangerFile]), 2, /is no trust list/);
    expectFailure(run(['tvs', 'query', address, '--list', ctlFile, '--timeout', '0']), 2, /no time to wait/, /seconds/);
  });
});

describe('tvs verify', () => {
  const { address } = served;
  const verify = (path: string, ...words: string[]): ReturnType<typeof run> =>
    run(['tvs', 'verify', address, path, '--quiet', ...words]);

  test('certificates of the cluster: trusted, with the roles in words', () => {
    const path = fileOf('cucm-sub', 'CallManager');
    expect(sub?.certificates.CallManager).toBeDefined();
    expect(verify(path)).toEqual({
      status: 0,
      stdout: `${path}: trusted for 86400 seconds, roles: System Administrator Security Token (0), CCM+TFTP (2)\n`,
      stderr: '',
    });
    expect(verify(fileOf('cucm-pub', 'TVS')).stdout).toContain('roles: TVS (21)');
    expect(pub?.certificates.ITLRecovery).toBeDefined();
    expect(verify(fileOf('cucm-pub', 'ITLRecovery')).status).toBe(1);
  });

  test('a stranger: exit 1, also in JSON', () => {
    expect(verify(strangerFile)).toEqual({ status: 1, stdout: `${strangerFile}: not trusted\n`, stderr: '' });
    const outcome = verify(strangerFile, '--json');
    expect(outcome.status).toBe(1);
    expect(jsonOf(outcome)).toMatchObject({ path: strangerFile, trusted: false, roles: [], timeToLive: null });
  });

  test('nobody there: exit 2 with a hint', () => {
    expectFailure(run(['tvs', 'verify', '127.0.0.1:1', strangerFile]), 2, /cannot be reached: ECONNREFUSED/, /2445/);
  });
});
