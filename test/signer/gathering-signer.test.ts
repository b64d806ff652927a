import { describe, expect, test } from 'vitest';
import {
  createSoftwareSigner,
  digestOf,
  gatherSignatures,
  verifyDigest,
  type BatchSigner,
  type SignRequest,
} from '../../src/signer/index.js';
import { makeIdentity } from '../signed-file/encrypted-files.js';

const { certificate, key } = await makeIdentity('cucm-pub');
const software = createSoftwareSigner(certificate, key);
const bytesOf = (index: number): Uint8Array => new TextEncoder().encode(`file ${String(index)}`);
const requestOf = (index: number): SignRequest => ({
  digestAlgorithm: 'sha1',
  digest: digestOf('sha1', bytesOf(index)),
});

/** Signs batches with a real key, and tells how many came together. */
function batchSigner(fails: (batch: number) => boolean = () => false): { signer: BatchSigner; sizes: number[] } {
  const sizes: number[] = [];
  const signBatch = async (requests: readonly SignRequest[]): Promise<Uint8Array[]> => {
    sizes.push(requests.length);
    if (fails(sizes.length)) throw new Error(`batch ${String(sizes.length)} failed`);
    return Promise.all(requests.map((request) => software.sign(request)));
  };
  return { signer: { ...software, signBatch }, sizes };
}

describe('signatures that are gathered', () => {
  test('are each the one of its own request, and go together while the signer is busy', async () => {
    const { signer, sizes } = batchSigner();
    const gathering = gatherSignatures(signer);
    expect(gathering.certificate).toBe(certificate);
    expect(gathering.digests).toEqual(software.digests);
    const requests = Array.from({ length: 100 }, (_, index) => requestOf(index));
    const signatures = await Promise.all(requests.map((request) => gathering.sign(request)));
    for (const [index, signature] of signatures.entries()) {
      expect(verifyDigest(certificate, requestOf(index), signature)).toBe(true);
    }
    expect(sizes).toEqual([1, 1, 32, 32, 32, 2]);
  });

  test('come when there is one request at a time, too', async () => {
    const { signer, sizes } = batchSigner();
    const gathering = gatherSignatures(signer);
    for (const index of [1, 2, 3]) {
      expect(verifyDigest(certificate, requestOf(index), await gathering.sign(requestOf(index)))).toBe(true);
    }
    expect(sizes).toEqual([1, 1, 1]);
  });

  test('fail with the batch they are in, and the others are made', async () => {
    const { signer } = batchSigner((batch) => batch === 3);
    const gathering = gatherSignatures(signer);
    const requests = Array.from({ length: 40 }, (_, index) => requestOf(index));
    const settled = await Promise.allSettled(requests.map((request) => gathering.sign(request)));
    const failed = settled.flatMap((one, index) => (one.status === 'rejected' ? [index] : []));
    expect(failed).toEqual(Array.from({ length: 32 }, (_, index) => index + 2));
    expect(verifyDigest(certificate, requestOf(7), await gathering.sign(requestOf(7)))).toBe(true);
  });

  test('are refused when the signer gives fewer than were asked for', async () => {
    const gathering = gatherSignatures({ ...software, signBatch: () => Promise.resolve([]) });
    await expect(gathering.sign(requestOf(1))).rejects.toThrow('fewer signatures');
  });
});

test('a software signer that has the message signs the same as from its digest', async () => {
  const request = requestOf(1);
  const [one, two] = [await software.sign(request), await software.sign({ ...request, message: bytesOf(1) })];
  expect(two).toEqual(one);
  await expect(software.sign({ ...request, message: bytesOf(2) })).rejects.toMatchObject({ code: 'key-mismatch' });
});
