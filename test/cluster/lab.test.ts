import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  utimesSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { InputError } from '../../src/errors.js';
import {
  createLabCluster,
  describeCluster,
  formatCluster,
  loadCluster,
  loadPrivateKey,
  publisherOf,
  type KeyReference,
  type LabCluster,
  type LabClusterRequest,
} from '../../src/cluster/index.js';
import { commonName, formatClusterName, formatName, type Certificate } from '../../src/x509/index.js';

const root = mkdtempSync(join(tmpdir(), 'cluster-lab-'));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const now = new Date('2024-02-29T12:00:00.750Z');
const twoNodes = [
  { name: 'pub.example.lab', address: '10.1.1.5', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
  { name: 'sub', address: '2001:db8::6', services: ['TFTP'] },
] as const;

let folder: string;
let count = 0;
beforeEach(() => {
  count += 1;
  folder = join(root, `lab-${String(count)}`);
});

function request(more: Partial<LabClusterRequest> = {}): LabClusterRequest {
  return {
    directory: folder,
    release: '12.5(1)SU2',
    securityMode: 'mixed',
    nodes: twoNodes,
    now,
    keyBits: 1024,
    ...more,
  };
}

function openssl(...words: string[]): string {
  const { status, stdout, stderr } = spawnSync('openssl', words, { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

/** Every file below a folder with the SHA-1 of its content, and every folder. */
function contentOf(path: string): Record<string, string> {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries.map((entry) => {
      const whole = join(entry.parentPath, entry.name);
      const digest = entry.isFile() ? createHash('sha1').update(readFileSync(whole)).digest('hex') : 'no file';
      return [relative(path, whole), digest];
    }),
  );
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

function fileOf(key: KeyReference | undefined): Extract<KeyReference, { kind: 'file' }> {
  if (key?.kind !== 'file') throw new Error('a key file expected');
  return key;
}

async function errorOf(action: Promise<unknown>): Promise<InputError> {
  const error = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InputError);
  return error as InputError;
}

describe('a lab cluster', () => {
  let lab: LabCluster;
  let labFolder: string;
  const progress: [number, number][] = [];
  beforeAll(async () => {
    labFolder = join(root, 'parent', 'made', 'with it');
    const onProgress = (done: number, total: number) => progress.push([done, total]);
    lab = await createLabCluster(request({ directory: labFolder, keyBits: 2048, onProgress }));
  });

  test('is written and loads back as what was returned', async () => {
    const loaded = await loadCluster(lab.clusterFile);
    expect(loaded).toEqual(lab.cluster);
    expect(loaded.release.text).toBe('12.5(1)SU2');
    expect(publisherOf(loaded).name).toBe('pub.example.lab');
    expect(Object.keys(contentOf(labFolder)).sort()).toEqual([
      'certificates',
      ...['pub.example.lab', 'sub'].flatMap((node) => [
        `certificates/${node}`,
        ...(node === 'sub' ? ['CallManager'] : ['CAPF', 'CallManager', 'ITLRecovery', 'TVS']).map(
          (name) => `certificates/${node}/${name}.pem`,
        ),
      ]),
      'cluster.yaml',
      'keys',
      ...['pub.example.lab', 'sub'].flatMap((node) => [
        `keys/${node}`,
        ...(node === 'sub' ? ['CallManager'] : ['CAPF', 'CallManager', 'ITLRecovery', 'TVS']).map(
          (name) => `keys/${node}/${name}.key`,
        ),
      ]),
    ]);
    expect(lab.files).toHaveLength(11);
    expect(progress.map(([done, total]) => `${String(done)}/${String(total)}`)).toEqual([
      '1/5',
      '2/5',
      '3/5',
      '4/5',
      '5/5',
    ]);
    expect(readdirSync(join(labFolder, '..'))).toEqual(['with it']);
  });

  test('keys and their folders are only for their owner', () => {
    for (const path of lab.files) expect([path, modeOf(path)]).toEqual([path, path.endsWith('.key') ? '600' : '644']);
    for (const path of ['keys', 'keys/sub', 'keys/pub.example.lab']) expect(modeOf(join(labFolder, path))).toBe('700');
    expect(modeOf(labFolder)).toBe('755');
  });

  test('certificates look like those of a cluster', () => {
    const { certificates } = publisherOf(lab.cluster);
    expect(formatClusterName(certificates.CallManager!.subject)).toBe(
      'CN=pub.example.lab;OU=lab;O=etoken-bridge;L=lab;ST=lab;C=US',
    );
    expect(commonName(certificates.TVS!.subject)).toBe('pub.example.lab');
    expect(commonName(certificates.CAPF!.subject)).toMatch(/^CAPF-[0-9a-f]{8}$/);
    expect(commonName(certificates.ITLRecovery!.subject)).toBe('ITLRECOVERY_pub.example.lab');
    expect(commonName(lab.cluster.nodes[1]!.certificates.CallManager!.subject)).toBe('sub');
    const all = lab.cluster.nodes.flatMap((node) => Object.values(node.certificates));
    expect(all).toHaveLength(5);
    for (const certificate of all) {
      expect(formatName(certificate.issuer)).toBe(formatName(certificate.subject));
      expect(certificate.keyBits).toBe(2048);
      expect(certificate.serialNumber).toHaveLength(16);
      expect(certificate.serialNumber[0]! & 0x80).toBe(0);
      expect(certificate.notBefore.toISOString()).toBe('2024-02-29T12:00:00.000Z');
    }
    expect(new Set(all.map((one) => Buffer.from(one.serialNumber).toString('hex'))).size).toBe(5);
    // There is no 29 February 2029.
    expect(certificates.CallManager!.notAfter.toISOString()).toBe('2029-03-01T12:00:00.000Z');
    expect(certificates.ITLRecovery!.notAfter.toISOString()).toBe('2044-02-29T12:00:00.000Z');
  });

  test('openssl reads each certificate, verifies it, and finds the same key in its key file', () => {
    for (const node of lab.cluster.nodes) {
      for (const [name, certificate] of Object.entries(node.certificates) as ['TVS', Certificate][]) {
        const path = join(labFolder, 'certificates', node.name, `${name}.pem`);
        const described = openssl(
          'x509',
          '-in',
          path,
          '-noout',
          '-subject',
          '-serial',
          '-fingerprint',
          '-sha1',
          '-nameopt',
          'RFC2253',
        );
        const serial = Buffer.from(certificate.serialNumber).toString('hex').toUpperCase();
        expect(described).toContain(`serial=${serial}\n`);
        const { sha1 } = describeCluster(lab.cluster, now).nodes[node.name === 'sub' ? 1 : 0]!.certificates[name]!;
        expect(described.replaceAll(':', '')).toContain(sha1);
        expect(described).toContain(`CN=${commonName(certificate.subject) ?? ''},`);
        const fromCertificate = openssl('x509', '-in', path, '-noout', '-pubkey');
        const { path: keyPath } = fileOf(node.keys[name]);
        expect(openssl('pkey', '-in', keyPath, '-pubout')).toBe(fromCertificate);
        const checked = openssl('verify', '-CAfile', path, '-partial_chain', '-attime', '1720000000', path);
        expect(checked).toContain(': OK');
      }
    }
  });

  test('each key loads with its certificate, and with no other', async () => {
    const { certificates, keys } = publisherOf(lab.cluster);
    for (const [name, certificate] of Object.entries(certificates) as ['TVS', Certificate][]) {
      const key = await loadPrivateKey(fileOf(keys[name]), certificate);
      expect(key.asymmetricKeyDetails?.modulusLength).toBe(2048);
    }
    const wrong = loadPrivateKey(fileOf(keys.TVS), certificates.CAPF!);
    await expect(wrong).rejects.toMatchObject({ name: 'ProofError', code: 'key-mismatch' });
    await expect(wrong).rejects.toThrow(/keys\/pub\.example\.lab\/TVS\.key is not the one of certificate .*CN=CAPF-/);
  });

  test('the text and the JSON of `cluster show`', () => {
    const soon = new Date('2029-02-01T00:00:00Z');
    const text = formatCluster(lab.cluster, soon);
    expect(text).toMatch(
      /^Release: {8}12\.5\(1\)SU2\nSecurity mode: {2}mixed\nNodes: {10}2\n\nNode 1: pub\.example\.lab \(publisher\)\n/,
    );
    expect(text).toContain('  Services:     CallManager, TFTP, CAPF, TVS\n');
    expect(text).toContain('    Valid until:  2029-03-01T12:00:00Z  expires in 28 days\n');
    expect(text).toContain('    Valid until:  2044-02-29T12:00:00Z\n');
    expect(text).toContain('    Key:          RSA, 2048 bits\n');
    expect(text).toContain(`    Private key:  ${join(labFolder, 'keys/sub/CallManager.key')}\n`);
    expect(text).toContain('\nTrust store Phone-SAST-trust: no certificates\n');
    expect(formatCluster(lab.cluster, new Date('2029-03-01T12:00:00.001Z')).match(/ {2}EXPIRED\n/g)).toHaveLength(4);
    expect(formatCluster(lab.cluster, new Date('2024-02-28'))).toContain('  not valid before 2024-02-29T12:00:00Z\n');

    const described = describeCluster(lab.cluster, soon);
    expect(JSON.parse(JSON.stringify(described))).toEqual(described);
    const certificate = lab.cluster.nodes[1]!.certificates.CallManager!;
    expect(described.nodes[1]).toEqual({
      name: 'sub',
      address: '2001:db8::6',
      publisher: false,
      services: ['TFTP'],
      certificates: {
        CallManager: {
          subject: 'C=US, O=etoken-bridge, OU=lab, CN=sub, ST=lab, L=lab',
          issuer: 'C=US, O=etoken-bridge, OU=lab, CN=sub, ST=lab, L=lab',
          selfSigned: true,
          serialNumber: Buffer.from(certificate.serialNumber).toString('hex').toUpperCase().match(/../g)!.join(':'),
          keyType: 'rsa',
          keyBits: 2048,
          notBefore: '2024-02-29T12:00:00Z',
          notAfter: '2029-03-01T12:00:00Z',
          state: 'expires-soon',
          sha1: createHash('sha1').update(certificate.der).digest('hex').toUpperCase(),
        },
      },
      keys: { CallManager: { kind: 'file', path: join(labFolder, 'keys/sub/CallManager.key') } },
      changed: {},
    });
    expect(described.recoveryBackup).toBeNull();
    expect(describeCluster(lab.cluster).nodes[0]!.certificates.TVS).not.toHaveProperty('state');
  });

  test('`cluster show` tells what the cluster file notes of changes and of the backup of the recovery key', () => {
    const [publisher, ...others] = lab.cluster.nodes;
    const sha1 = 'ab'.repeat(20);
    const changed = { CallManager: new Date('2026-01-31T12:00:00.5Z'), TVS: new Date('2026-02-01T08:30:00Z') };
    const recoveryBackup = { time: new Date('2026-02-02T00:00:00Z'), sha1 };
    const noted = { ...lab.cluster, nodes: [{ ...publisher!, changed }, ...others], recoveryBackup };
    const text = formatCluster(noted, now);
    expect(text).toContain('\n  Changed:      CallManager 2026-01-31T12:00:00Z, TVS 2026-02-01T08:30:00Z\n');
    expect(text.match(/Changed: /g)).toHaveLength(1);
    const backedUp = `Recovery key:   backed up 2026-02-02T00:00:00Z (ITLRecovery SHA-1 ${sha1.toUpperCase()})`;
    expect(text).toContain(`\nNodes:          2\n${backedUp}\n\nNode 1: `);
    expect(formatCluster(lab.cluster, now)).not.toMatch(/Changed: |Recovery key: /);
    const described = describeCluster(noted);
    expect(JSON.parse(JSON.stringify(described))).toEqual(described);
    expect(described.nodes[0]!.changed).toEqual({ CallManager: '2026-01-31T12:00:00Z', TVS: '2026-02-01T08:30:00Z' });
    expect(described.recoveryBackup).toEqual({
      time: '2026-02-02T00:00:00Z',
      sha1: sha1.toUpperCase(),
      passwordChanged: null,
    });
    const withPassword = {
      ...noted,
      recoveryBackup: { ...recoveryBackup, passwordChanged: new Date('2026-02-03T00:00:00Z') },
    };
    expect(formatCluster(withPassword, now)).toContain(`${backedUp}, password changed 2026-02-03T00:00:00Z\n`);
    expect(describeCluster(withPassword).recoveryBackup!.passwordChanged).toBe('2026-02-03T00:00:00Z');
  });

  test('no private key is in the text, the JSON or the cluster', () => {
    const said = `${formatCluster(lab.cluster, now)}${JSON.stringify(describeCluster(lab.cluster))}`;
    expect(said).not.toContain('PRIVATE');
    expect(readFileSync(lab.clusterFile, 'utf8')).not.toContain('PRIVATE');
  });
});

describe('what a lab is made from', () => {
  test('the random bytes that are given decide the serial numbers and the name of CAPF', async () => {
    let next = 0;
    const random = (length: number) => Uint8Array.from({ length }, () => (next = (next + 151) % 256));
    const { cluster } = await createLabCluster(request({ random, nodes: twoNodes.slice(0, 1) }));
    const serials = Object.values(publisherOf(cluster).certificates).map((one) =>
      Buffer.from(one.serialNumber).toString('hex'),
    );
    expect(serials[0]).toBe('572ec55cf38a21b84fe67d14ab42d970');
    expect(new Set(serials).size).toBe(4);
    expect(commonName(publisherOf(cluster).certificates.CAPF!.subject)).toBe('CAPF-770ea53c');
  });

  test('below 12.0 ITLRecovery lives five years, below 10.0 there is none', async () => {
    const nodes = twoNodes.slice(0, 1);
    const eleven = await createLabCluster(request({ release: '11.5(1)SU9', nodes }));
    expect(publisherOf(eleven.cluster).certificates.ITLRecovery!.notAfter.toISOString()).toBe(
      '2029-03-01T12:00:00.000Z',
    );
    const nine = await createLabCluster(request({ release: '9.1(2)', nodes, directory: `${folder}-9` }));
    expect(publisherOf(nine.cluster).certificates.ITLRecovery).toBeUndefined();
  });

  test('a request that describes no cluster makes nothing', async () => {
    const [publisher, subscriber] = twoNodes;
    const wrong: [Partial<LabClusterRequest>, RegExp][] = [
      [{ release: 'x' }, /"x" is not a release/],
      [{ nodes: [] }, /nodes: .*no publisher/],
      [{ nodes: [subscriber] }, /CallManager/],
      [
        { nodes: [publisher, { ...subscriber, address: '10.1.1.5' }] },
        /nodes\[1\]\.address: "10\.1\.1\.5" is already the address of nodes\[0\]/,
      ],
      [{ nodes: [{ ...publisher, name: '../pub' }] }, /nodes\[0\]\.name: "\.\.\/pub" is not a host name/],
      [{ nodes: [{ ...publisher, address: 'pub' }] }, /nodes\[0\]\.address/],
      [{ keyBits: 3072 as 2048 }, /keys of 3072 bits/],
    ];
    for (const [more, words] of wrong) {
      const error = await errorOf(createLabCluster(request(more)));
      expect(error.code).toBe('usage');
      expect(error.message).toMatch(words);
      expect(error.hint).toBeDefined();
    }
    expect(readdirSync(root)).not.toContain(relative(root, folder));
  });
});

describe('what is there already', () => {
  test('is not overwritten', async () => {
    mkdirSync(join(folder, 'keys/pub.example.lab'), { recursive: true });
    writeFileSync(join(folder, 'cluster.yaml'), 'mine');
    writeFileSync(join(folder, 'keys/pub.example.lab/TVS.key'), 'mine too');
    const before = contentOf(folder);
    const progress: number[] = [];
    const error = await errorOf(createLabCluster(request({ onProgress: (done) => progress.push(done) })));
    expect(error.code).toBe('file-exists');
    // Not a single key was made for it.
    expect(progress).toEqual([]);
    expect(error.message).toBe(`in ${folder} there is already keys/pub.example.lab/TVS.key, cluster.yaml`);
    expect(contentOf(folder)).toEqual(before);
  });

  test('is kept in backups/ when it is to be overwritten; other files stay', async () => {
    mkdirSync(join(folder, 'certificates'), { recursive: true });
    writeFileSync(join(folder, 'certificates/SAST-1.cer'), 'a token');
    writeFileSync(join(folder, 'README'), 'a note');
    await createLabCluster(request());
    const changed = new Date('2024-02-29T12:00:00Z');
    for (const path of ['cluster.yaml', 'keys/sub/CallManager.key']) utimesSync(join(folder, path), changed, changed);
    const old = contentOf(folder);
    const { clusterFile, cluster } = await createLabCluster(request({ overwrite: true, release: '14' }));
    expect((await loadCluster(clusterFile)).release.text).toBe('14');
    expect(await loadCluster(clusterFile)).toEqual(cluster);
    const fresh = contentOf(folder);
    expect(fresh['certificates/SAST-1.cer']).toBe(old['certificates/SAST-1.cer']);
    expect(fresh['README']).toBe(old['README']);
    const digest = old['cluster.yaml']!;
    expect(fresh[`backups/cluster.yaml.2024-02-29T12-00-00Z.${digest}`]).toBe(digest);
    const keyDigest = old['keys/sub/CallManager.key']!;
    const backup = `backups/keys/sub/CallManager.key.2024-02-29T12-00-00Z.${keyDigest}`;
    expect(fresh[backup]).toBe(keyDigest);
    expect(modeOf(join(folder, backup))).toBe('600');
    expect(fresh['keys/sub/CallManager.key']).not.toBe(keyDigest);
    expect(readdirSync(folder).sort()).toEqual(['README', 'backups', 'certificates', 'cluster.yaml', 'keys']);
  });

  test('a folder where a file is to be, a file where a folder is to be', async () => {
    mkdirSync(join(folder, 'cluster.yaml'), { recursive: true });
    const error = await errorOf(createLabCluster(request({ overwrite: true })));
    expect(error.code).toBe('file-exists');
    expect(error.message).toContain('is there and is not a file');
    writeFileSync(`${folder}-file`, 'x');
    const other = await errorOf(createLabCluster(request({ directory: `${folder}-file` })));
    expect(other.code).toBe('file-unwritable');
    expect(contentOf(folder)).toEqual({ 'cluster.yaml': 'no file' });
    expect(readFileSync(`${folder}-file`, 'utf8')).toBe('x');
  });
});

describe('a failure on the way leaves nothing', () => {
  test('in a new folder: a path that grows too long after half of the files', async () => {
    const longest = process.platform === 'darwin' ? 1024 : 4096;
    let parent = folder;
    const wanted = longest - 200;
    while (parent.length < wanted)
      parent = join(parent, 'x'.repeat(Math.min(200, Math.max(1, wanted - parent.length - 1))));
    mkdirSync(parent, { recursive: true });
    const nodes = [
      { name: 'a', address: '10.1.1.5', services: ['CallManager'] },
      { name: 'b'.repeat(200), address: '10.1.1.6', services: ['TFTP'] },
    ] as const;
    const failing = await errorOf(createLabCluster(request({ directory: join(parent, 'lab', 'c'), nodes })));
    expect(failing.code).toBe('file-unwritable');
    expect(failing.message).toContain('ENAMETOOLONG');
    expect(readdirSync(parent)).toEqual([]);
    // It is the second node that fails: with the first alone it works.
    await createLabCluster(request({ directory: join(parent, 'lab', 'c'), nodes: nodes.slice(0, 1) }));
    expect(readdirSync(join(parent, 'lab', 'c')).sort()).toEqual(['certificates', 'cluster.yaml', 'keys']);
  });

  test('in a folder that is there: what was moved in goes out again, what was replaced comes back', async () => {
    await createLabCluster(request({ nodes: twoNodes.slice(0, 1) }));
    writeFileSync(join(folder, 'certificates/note'), 'mine');
    // The second node has its certificate moved in before its key has nowhere to go.
    symlinkSync(join(folder, 'nowhere', 'at all'), join(folder, 'keys/sub'));
    const before = contentOf(folder);
    const failing = await errorOf(createLabCluster(request({ overwrite: true })));
    expect(failing.code).toBe('file-unwritable');
    expect(contentOf(folder)).toEqual(before);
    expect(readdirSync(folder).sort()).toEqual(['certificates', 'cluster.yaml', 'keys']);
  });

  test('when the random source fails, nothing has begun', async () => {
    const broken = new Error('no more randomness');
    let asked = 0;
    const random = (length: number) => {
      asked += 1;
      if (asked > 3) throw broken;
      return new Uint8Array(length).fill(asked);
    };
    await expect(createLabCluster(request({ random }))).rejects.toBe(broken);
    expect(readdirSync(root).filter((name) => name.includes(relative(root, folder)))).toEqual([]);
  });
});
