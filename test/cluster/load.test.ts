import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FormatError, InputError } from '../../src/errors.js';
import { createLabCluster, loadCluster, loadPrivateKey, publisherOf, type Cluster } from '../../src/cluster/index.js';
import { decodeCertificates, formatCertificatePem, type Certificate } from '../../src/x509/index.js';
import { readVectors, type Vector } from './vectors.js';

const password = 'correct horse 8315';
const folder = mkdtempSync(join(tmpdir(), 'cluster-load-'));
const at = (name: string) => join(folder, name);
const keyFile = (name: string) => ({ kind: 'file', path: at(name) }) as const;
let callManager: Certificate;
let capf: Certificate;

function run(command: string, ...words: string[]): void {
  const { status, stderr } = spawnSync(command, words, { encoding: 'utf8' });
  expect([command, status, stderr]).toEqual([command, 0, expect.any(String)]);
}

async function errorOf(action: Promise<unknown>): Promise<InputError | FormatError> {
  const error = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof InputError || error instanceof FormatError) return error;
  throw new Error('an error of ours expected', { cause: error });
}

beforeAll(async () => {
  const { cluster } = await createLabCluster({
    directory: at('lab'),
    release: '12.0',
    securityMode: 'mixed',
    nodes: [{ name: 'pub', address: '10.1.1.5', services: ['CallManager', 'CAPF', 'TVS'] }],
    now: new Date(),
    keyBits: 2048,
  });
  const { certificates } = publisherOf(cluster);
  callManager = certificates.CallManager!;
  capf = certificates.CAPF!;
  for (const name of ['CallManager', 'TVS', 'ITLRecovery']) {
    copyFileSync(at(`lab/certificates/pub/${name}.pem`), at(`${name}.pem`));
  }
  // One in DER, one a chain whose first certificate counts, one behind text as `openssl x509 -text` writes it.
  writeFileSync(at('CAPF.pem'), capf.der);
  writeFileSync(at('SAST-1.pem'), formatCertificatePem(capf) + formatCertificatePem(callManager));
  writeFileSync(at('SAST-2.pem'), `Certificate:\n  Data\n${formatCertificatePem(callManager)}`);

  mkdirSync(at('folder'));
  writeFileSync(at('text.pem'), 'no certificate');
  copyFileSync(at('lab/keys/pub/TVS.key'), at('key.pem'));
  writeFileSync(at('half.pem'), capf.der.subarray(0, 300));
  writeFileSync(at('large.pem'), new Uint8Array(2 * 1024 * 1024));
  run('mkfifo', at('pipe'));

  const key = at('lab/keys/pub/CallManager.key');
  run('openssl', 'pkey', '-in', key, '-outform', 'DER', '-out', at('pkcs8.der'));
  run('openssl', 'rsa', '-in', key, '-traditional', '-out', at('pkcs1.pem'));
  run('openssl', 'pkey', '-in', key, '-aes-256-cbc', '-passout', `pass:${password}`, '-out', at('encrypted.pem'));
  const certificate = at('CallManager.pem');
  run(
    'openssl',
    'pkcs12',
    '-export',
    '-inkey',
    key,
    '-in',
    certificate,
    '-passout',
    `pass:${password}`,
    '-out',
    at('all.p12'),
  );
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('loadCluster', () => {
  async function load(name: string): Promise<Cluster> {
    const [vector] = readVectors((one) => one === name);
    writeFileSync(at(name), vector!.text);
    return loadCluster(at(name));
  }

  test('one node: PEM and DER', async () => {
    const cluster = await load('good-one-node.yaml');
    const { certificates } = publisherOf(cluster);
    expect(certificates.CallManager!.der).toEqual(callManager.der);
    expect(certificates.CAPF!.der).toEqual(capf.der);
    expect(Object.keys(certificates)).toEqual(['CallManager', 'CAPF', 'TVS']);
  });

  test('two nodes: chains, trust stores, keys that are not looked at', async () => {
    const cluster = await load('good-two-nodes.yaml');
    expect(cluster.nodes.map(({ name }) => name)).toEqual(['pub.example.lab', 'sub1', 'sub2']);
    expect(cluster.nodes[0]!.keys).toEqual({
      CallManager: { kind: 'file', path: at('keys/CallManager.key') },
      ITLRecovery: { kind: 'token', uri: expect.stringMatching(/^pkcs11:token=SAST%20one;/) as string },
    });
    expect(cluster.trustStores['Phone-SAST-trust']!.map(({ der }) => der)).toEqual([capf.der, callManager.der]);
    expect(cluster.trustStores['tomcat-trust']).toEqual([]);
    expect(cluster.trustStores['Phone-trust']).toBeUndefined();
    // One file that two nodes name is one certificate.
    expect(cluster.nodes[1]!.certificates.TVS).toBe(cluster.nodes[0]!.certificates.TVS);
    expect(JSON.stringify(cluster)).not.toContain('PRIVATE');
  });

  test('paths are relative to the cluster file, through whatever name it is opened', async () => {
    await load('good-one-node.yaml');
    mkdirSync(at('elsewhere'));
    const absolute = at('good-one-node.yaml');
    const before = process.cwd();
    process.chdir(at('elsewhere'));
    try {
      expect((await loadCluster('../good-one-node.yaml')).nodes).toHaveLength(1);
      symlinkSync(absolute, at('elsewhere/link.yaml'));
      expect((await errorOf(loadCluster('link.yaml'))).message).toContain('"CallManager.pem" does not exist');
    } finally {
      process.chdir(before);
    }
  });

  test.each(readVectors((name) => name.startsWith('files-')))('$name', async ({ name, expected }) => {
    const error = await errorOf(load(name));
    expect(error.code).toBe('cluster-file');
    const lines = error.message.split('\n');
    expect(lines[0]).toBe(`${at(name)} has ${String(expected.length)} problems:`);
    for (const [index, { line, column, keyPath, words }] of expected.entries()) {
      expect(lines[index + 1]).toContain(`${at(name)}:${String(line)}:${String(column)}: ${keyPath}: `);
      for (const word of words) expect(lines[index + 1]).toContain(word);
    }
    expect(lines).toHaveLength(expected.length + 1);
  });

  test('the problems of the text and those of the files it names come together, in the order of the file', async () => {
    const [{ text, expected }] = readVectors((name) => name === 'files-of-certificates.yaml') as [Vector];
    writeFileSync(at('both.yaml'), `${text.replace('mixed', 'mixd')}  CAPF-trust: [CallManager.pem, {}]\n`);
    const error = await errorOf(loadCluster(at('both.yaml')));
    const lines = error.message.split('\n').slice(1);
    expect(lines).toHaveLength(expected.length + 2);
    expect(lines[0]).toMatch(/both\.yaml:11:15: securityMode: "mixd" is not a security mode \(did you mean "mixed"\?/);
    expect(lines[1]).toContain('both.yaml:16:20: nodes[0].certificates.CallManager: ');
    expect(lines.at(-1)).toContain('both.yaml:28:33: trustStores.CAPF-trust[1]: ');
  });

  test('a cluster file that is not there, a folder, a pipe, too large', async () => {
    expect(await errorOf(loadCluster(at('none.yaml')))).toMatchObject({ code: 'file-missing' });
    expect((await errorOf(loadCluster(at('none.yaml')))).message).toBe(
      `the cluster file ${at('none.yaml')} does not exist`,
    );
    expect(await errorOf(loadCluster(at('folder')))).toMatchObject({ code: 'file-unreadable' });
    expect(await errorOf(loadCluster(at('pipe')))).toMatchObject({ code: 'file-unreadable' });
    expect((await errorOf(loadCluster(at('large.pem')))).message).toContain('is too large: 2097152 bytes');
  });

  test('a cluster file that is not UTF-8, with the place where that shows', async () => {
    writeFileSync(at('latin1.yaml'), Buffer.from('release: 14\n# f\xfcr\n', 'latin1'));
    expect((await errorOf(loadCluster(at('latin1.yaml')))).message).toBe(
      `${at('latin1.yaml')}:2:4: the file is not UTF-8 text`,
    );
    writeFileSync(at('utf16.yaml'), Buffer.from('\ufeffrelease: 14\n', 'utf16le'));
    expect(await errorOf(loadCluster(at('utf16.yaml')))).toMatchObject({
      code: 'cluster-file',
      hint: 'save the cluster file as UTF-8 text',
    });
    writeFileSync(at('der.yaml'), capf.der);
    expect(await errorOf(loadCluster(at('der.yaml')))).toMatchObject({ code: 'cluster-file' });
  });
});

describe('loadPrivateKey', () => {
  test.each(['lab/keys/pub/CallManager.key', 'pkcs8.der', 'pkcs1.pem'])('%s', async (name) => {
    const key = await loadPrivateKey(keyFile(name), callManager);
    expect(key.type).toBe('private');
    expect(key.asymmetricKeyDetails?.modulusLength).toBe(2048);
  });

  test.each(['encrypted.pem', 'all.p12'])('%s with its password', async (name) => {
    expect((await loadPrivateKey(keyFile(name), callManager, password)).type).toBe('private');
  });

  test.each(['encrypted.pem', 'all.p12'])('%s without its password, and with a wrong one', async (name) => {
    for (const wrong of [undefined, 'wrong horse 9112']) {
      const error = await errorOf(loadPrivateKey(keyFile(name), callManager, wrong));
      expect(error).toMatchObject({ name: 'FormatError', code: 'bad-password' });
      expect(error.message).toContain(at(name));
      expect(`${error.message}${String(error.cause)}${error.hint ?? ''}`).not.toContain('wrong horse');
    }
  });

  test('what is no key, not there, or not readable', async () => {
    expect(await errorOf(loadPrivateKey(keyFile('text.pem'), callManager))).toMatchObject({
      name: 'FormatError',
      code: 'bad-key',
    });
    expect(await errorOf(loadPrivateKey(keyFile('CallManager.pem'), callManager))).toMatchObject({ code: 'bad-key' });
    expect(await errorOf(loadPrivateKey(keyFile('none.key'), callManager))).toMatchObject({ code: 'file-missing' });
    expect(await errorOf(loadPrivateKey(keyFile('pipe'), callManager))).toMatchObject({ code: 'file-unreadable' });
    expect((await errorOf(loadPrivateKey(keyFile('text.pem'), callManager))).message).toContain(at('text.pem'));
  });

  test('a key of another certificate', async () => {
    await expect(loadPrivateKey(keyFile('pkcs8.der'), capf)).rejects.toMatchObject({
      name: 'ProofError',
      code: 'key-mismatch',
    });
    await expect(loadPrivateKey(keyFile('all.p12'), capf, password)).rejects.toMatchObject({ code: 'key-mismatch' });
  });

  test('a key on a token is not for this function: the types say so', () => {
    // @ts-expect-error -- the token signer opens keys on tokens.
    const call = () => loadPrivateKey({ kind: 'token', uri: 'pkcs11:token=a' }, callManager);
    expect(call).toBeTypeOf('function');
  });
});

test('publisherOf says what is wrong with a cluster without nodes', () => {
  const [certificate] = decodeCertificates(capf.der);
  expect(certificate!.der).toEqual(capf.der);
  const none: Cluster = {
    release: { major: 14, minor: 0, maintenance: 1, build: 10_000, revision: 0, text: '14' },
    securityMode: 'mixed',
    nodes: [],
    trustStores: {},
  };
  expect(() => publisherOf(none)).toThrow(/no publisher/);
});
