import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createLabCluster, loadPrivateKey, publisherOf, type Cluster } from '../../src/cluster/index.js';
import { createItl, emptyItl, itlSigner } from '../../src/itl/index.js';
import { signedParts } from '../../src/signed-file/index.js';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import { trustListKind, verifyTrustList, type TrustList } from '../../src/trust-list/index.js';

const folder = mkdtempSync(join(tmpdir(), 'etb-itl-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options = { timestamp: 1_700_000_000 };
const services = ['CallManager', 'TFTP', 'CAPF', 'TVS'] as const;

async function makeCluster(release: string, securityMode: 'mixed' | 'non-secure' = 'mixed'): Promise<Cluster> {
  const { cluster } = await createLabCluster({
    directory: join(folder, `${release}-${securityMode}`),
    release,
    securityMode,
    keyBits: 1024,
    now: new Date('2026-01-01T00:00:00Z'),
    nodes: [
      { name: 'pub', address: '10.0.0.1', services },
      { name: 'sub', address: '10.0.0.2', services: ['CallManager', 'TFTP', 'TVS'] },
    ],
  });
  return cluster;
}

async function signerOf(cluster: Cluster, index: number): Promise<Signer> {
  const { name, node, certificate } = itlSigner(cluster, cluster.nodes[index]!);
  const key = node.keys[name];
  if (key?.kind !== 'file') throw new Error('the lab keeps its keys in files');
  return createSoftwareSigner(certificate, await loadPrivateKey(key, certificate));
}

const functions = (list: TrustList): number[] => list.records.map((record) => record.function);

describe('createItl', () => {
  test('before 12.0 each TFTP node signs its own with its CallManager', async () => {
    const cluster = await makeCluster('11.5.1');
    const lists = await Promise.all(
      [0, 1].map(async (index) => createItl(cluster, cluster.nodes[index]!, await signerOf(cluster, index), options)),
    );
    for (const [index, list] of lists.entries()) {
      expect(trustListKind(list.header.fileName)).toBe('ITL');
      expect(verifyTrustList(list)).toMatchObject({ verified: true });
      // CallManager twice, CAPF, TVS of the publisher, ITLRecovery, TVS of the other.
      expect(functions(list)).toEqual([0, 2, 4, 21, 0, 21]);
      const { CallManager } = cluster.nodes[index]!.certificates;
      expect(list.records[0]!.certificate).toEqual(CallManager!.der);
      expect(list.records[1]!.certificate).toEqual(CallManager!.der);
      expect(list.records.map(({ dnsName }) => dnsName)).toEqual(new Array(6).fill(' '));
      expect(list.records.every(({ ipAddress }) => ipAddress === undefined)).toBe(true);
    }
    expect(lists[0]!.header.serialNumber).not.toEqual(lists[1]!.header.serialNumber);
  });

  test('CAPF and TVS stand there by their hash, SHA-1 or another one', async () => {
    const cluster = await makeCluster('10.5.2', 'non-secure');
    const signer = await signerOf(cluster, 0);
    for (const [hash, length] of [
      [undefined, 20],
      ['sha256', 32],
      ['sha512', 64],
    ] as const) {
      const more = hash === undefined ? {} : { hashAlgorithm: hash };
      const list = await createItl(cluster, publisherOf(cluster), signer, { ...options, ...more });
      const hashed = list.records.filter(({ certificate }) => certificate === undefined);
      expect(hashed.map((record) => record.function)).toEqual([4, 21, 21]);
      for (const record of hashed) {
        expect(record.certificateHash).toHaveLength(length);
        expect(record.hashAlgorithm).toBe(hash ?? 'sha1');
      }
      // In a non-secure cluster the server is TFTP only.
      expect(functions(list)[1]).toBe(3);
    }
  });

  test('from 12.0 the publisher’s ITLRecovery signs for every node', async () => {
    const cluster = await makeCluster('12.5.1');
    const list = await createItl(cluster, cluster.nodes[1]!, await signerOf(cluster, 1), options);
    expect(list.header.serialNumber).toEqual(publisherOf(cluster).certificates.ITLRecovery!.serialNumber);
    expect(functions(list)).toEqual([0, 2, 4, 21, 0, 21]);
  });

  test('another key than the signer’s is refused, and a node without its certificate', async () => {
    const cluster = await makeCluster('11.0.1');
    const other = await signerOf(cluster, 1);
    await expect(createItl(cluster, cluster.nodes[0]!, other, options)).rejects.toMatchObject({ code: 'key-mismatch' });
    const [first, second] = cluster.nodes;
    const bare = { ...cluster, nodes: [{ ...first!, certificates: {} }, second!] };
    await expect(createItl(bare, bare.nodes[0]!, other, options)).rejects.toMatchObject({ code: 'cluster-file' });
  });

  test('openssl verifies the signature', async () => {
    const cluster = await makeCluster('11.5.2');
    const list = await createItl(cluster, publisherOf(cluster), await signerOf(cluster, 0), options);
    const path = (name: string): string => join(folder, name);
    writeFileSync(path('signed'), Buffer.concat(signedParts(list.bytes, list.header)));
    writeFileSync(path('signature'), list.header.signature);
    writeFileSync(path('cert.der'), publisherOf(cluster).certificates.CallManager!.der);
    execFileSync('openssl', [
      'x509',
      '-inform',
      'DER',
      '-in',
      path('cert.der'),
      '-pubkey',
      '-noout',
      '-out',
      path('pub.pem'),
    ]);
    const words = ['dgst', '-sha1', '-verify', path('pub.pem'), '-signature', path('signature'), path('signed')];
    expect(execFileSync('openssl', words, { encoding: 'utf8' })).toContain('Verified OK');
  });
});

describe('emptyItl', () => {
  test('keeps the signers and CAPF, and takes the certificates of TFTP and TVS out', async () => {
    const cluster = await makeCluster('11.5.3');
    const signer = await signerOf(cluster, 0);
    const full = await createItl(cluster, publisherOf(cluster), signer, options);
    const list = await emptyItl(full, signer, { timestamp: options.timestamp + 1 });
    expect(verifyTrustList(list)).toMatchObject({ verified: true });
    expect(functions(list)).toEqual(functions(full));
    const holds = list.records.map(
      ({ certificate, certificateHash }) => (certificate ?? certificateHash) !== undefined,
    );
    expect(holds).toEqual([true, false, true, false, true, false]);
    expect(list.header.timestamp).toBe(options.timestamp + 1);
  });
});
