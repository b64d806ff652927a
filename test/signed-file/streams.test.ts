import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError, type EtokenBridgeError } from '../../src/errors.js';
import {
  ContentMeasurement,
  decodeEncryptedFile,
  decryptFile,
  encryptFile,
  FileDecryption,
  FileEncryption,
  FileSigning,
  SignedFileReader,
  signFile,
  type FileVerdict,
} from '../../src/signed-file/index.js';
import { createSoftwareSigner, type DigestAlgorithm, type SignRequest } from '../../src/signer/index.js';
import { importPublicKey } from '../../src/x509/index.js';
import { makeIdentity, sameRandom } from './encrypted-files.js';

const cluster = await makeIdentity('cucm-pub');
const signer = createSoftwareSigner(cluster.certificate, cluster.key);
const phone = await makeIdentity('CP-8861-SEP00005E005301');
const options = { name: 'SEP00005E005301.cnf.xml', timestamp: 1_800_000_000 };

/** Cuts bytes into chunks of the lengths that are given, over and over; empty ones too. */
function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let start = 0, turn = 0; start < bytes.length; turn += 1) {
    const length = lengths[turn % lengths.length] ?? 1;
    // The chunk is overwritten afterwards, as a reader's buffer is: nothing may be kept of it but a copy.
    chunks.push(bytes.slice(start, start + length));
    start += length;
  }
  return chunks;
}

/** Hands chunks out one at a time, and spoils each when the next is wanted. */
function* spoiling(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const chunk of chunks) {
    yield chunk;
    chunk.fill(0xee);
  }
}

const contents = fc.uint8Array({ maxLength: 400 });
const digests = fc.constantFrom<DigestAlgorithm>('sha1', 'sha256', 'sha512');
const chunkings = fc
  .array(fc.nat(50), { minLength: 1, maxLength: 6 })
  .filter((lengths) => lengths.some((length) => length > 0));

/** Reads a signed file in chunks. */
function readAll(file: Uint8Array, lengths: readonly number[]): { body: Uint8Array; verdict: FileVerdict } {
  const reader = new SignedFileReader();
  const body: Uint8Array[] = [];
  for (const chunk of spoiling(cut(file, lengths))) body.push(reader.update(chunk).slice());
  return { body: new Uint8Array(Buffer.concat(body)), verdict: reader.finish() };
}

describe('in chunks of any size', () => {
  test('a file is signed to the same bytes as at once', async () => {
    await fc.assert(
      fc.asyncProperty(contents, digests, chunkings, async (content, digestAlgorithm, lengths) => {
        const whole = await signFile(content, { ...options, digestAlgorithm }, signer);
        const signing = new FileSigning({ ...options, digestAlgorithm }, signer);
        for (const chunk of spoiling(cut(content, lengths))) signing.update(chunk);
        const header = await signing.finish();
        expect(header.length).toBe(signing.headerLength);
        expect(Buffer.concat([header, content])).toEqual(Buffer.from(whole));
      }),
      { numRuns: 60 },
    );
  });

  test('a file is read, stripped and verified', async () => {
    const other = await makeIdentity('cucm-sub');
    await fc.assert(
      fc.asyncProperty(contents, digests, chunkings, async (content, digestAlgorithm, lengths) => {
        const file = await signFile(content, { ...options, digestAlgorithm }, signer);
        const { body, verdict } = readAll(file, lengths);
        expect(body).toEqual(content);
        expect(verdict.bodyLength).toBe(content.length);
        expect(verdict.header.fileName).toBe(`${options.name}.sgn`);
        expect(verdict.isSignedBy(cluster.certificate)).toBe(true);
        expect(verdict.isSignedBy(other.certificate)).toBe(false);
        expect(verdict.isSignedWith(importPublicKey(cluster.certificate.publicKey))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('a file is encrypted to the same bytes as at once, and decrypted', async () => {
    await fc.assert(
      fc.asyncProperty(contents, digests, chunkings, async (content, digestAlgorithm, lengths) => {
        const choices = { ...options, digestAlgorithm };
        const whole = await encryptFile(content, { ...choices, random: sameRandom(7) }, phone.certificate, signer);

        const measurement = new ContentMeasurement(digestAlgorithm);
        for (const chunk of spoiling(cut(content, lengths))) measurement.update(chunk);
        const encryption = new FileEncryption(
          { ...choices, random: sameRandom(7) },
          measurement.finish(),
          phone.certificate,
          signer,
        );
        const parts: Uint8Array[] = [];
        for (const chunk of spoiling(cut(content, lengths))) parts.push(encryption.update(chunk));
        const { header, rest } = await encryption.finish();
        expect(header.length).toBe(encryption.headerLength);
        expect(Buffer.concat([header, ...parts, rest])).toEqual(Buffer.from(whole));

        const reader = new SignedFileReader();
        let decryption: FileDecryption | undefined;
        const plain: Uint8Array[] = [];
        for (const chunk of spoiling(cut(whole, lengths))) {
          const body = reader.update(chunk);
          if (reader.header === undefined) continue;
          decryption ??= new FileDecryption(reader.header, phone.key);
          plain.push(decryption.update(body));
        }
        expect(reader.finish().isSignedBy(cluster.certificate)).toBe(true);
        expect(new Uint8Array(Buffer.concat([...plain, decryption!.finish()]))).toEqual(content);
        expect(decryptFile(decodeEncryptedFile(whole), phone.key)).toEqual(content);
      }),
      { numRuns: 60 },
    );
  });

  test('a file that was cut off in its header is refused, anywhere', async () => {
    const file = await signFile(Uint8Array.of(1, 2, 3), options, signer);
    const headerLength = file.length - 3;
    for (let end = 0; end < headerLength; end += 1) {
      const error = refusalOf(() => readAll(file.subarray(0, end), [7]));
      expect(error).toBeInstanceOf(FormatError);
      expect(error).toMatchObject({ code: 'truncated' });
    }
    for (let end = headerLength; end < file.length; end += 1) {
      expect(readAll(file.subarray(0, end), [7]).verdict.isSignedBy(cluster.certificate)).toBe(false);
    }
  });

  test('what is no signed file is refused at its first bytes', () => {
    const reader = new SignedFileReader();
    expect(refusalOf(() => reader.update(new TextEncoder().encode('<?xml version')))).toMatchObject({
      code: 'bad-value',
      offset: 0,
    });
  });

  test('one byte that is changed is found', async () => {
    const file = await signFile(sameRandom()(100), options, signer);
    for (let index = 0; index < file.length; index += 1) {
      const changed = file.slice();
      changed[index] = (file[index] ?? 0) ^ (1 << (index % 8));
      const error = refusalOf(() => {
        expect(readAll(changed, [64]).verdict.isSignedBy(cluster.certificate)).toBe(false);
      });
      if (error !== undefined) expect(error).toBeInstanceOf(FormatError);
    }
  });
});

/** The error of ours that it threw; nothing when it threw none. */
function refusalOf(action: () => unknown): EtokenBridgeError | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}

test('only a digest goes to the signer, and never the file', async () => {
  const requests: SignRequest[] = [];
  const watching = {
    ...signer,
    sign: (request: SignRequest): Promise<Uint8Array> => {
      requests.push(request);
      return signer.sign(request);
    },
  };
  const signing = new FileSigning(options, watching);
  signing.update(new Uint8Array(100_000));
  await signing.finish();
  const encryption = new FileEncryption(options, new ContentMeasurement().finish(), phone.certificate, watching);
  await encryption.finish();
  expect(requests.map((request) => Object.keys(request).sort())).toEqual([
    ['digest', 'digestAlgorithm'],
    ['digest', 'digestAlgorithm'],
  ]);
});

test('a file that changes between the two passes of an encryption is refused', async () => {
  for (const later of ['<device>2</device>', '<device>1</device> ']) {
    const measurement = new ContentMeasurement();
    measurement.update(new TextEncoder().encode('<device>1</device>'));
    const encryption = new FileEncryption(options, measurement.finish(), phone.certificate, signer);
    encryption.update(new TextEncoder().encode(later));
    await expect(encryption.finish()).rejects.toMatchObject({ code: 'digest-mismatch' });
  }
});

test('a name that no header can hold is refused before anything is read', () => {
  expect(() => new FileSigning({ ...options, name: 'a'.repeat(70_000) }, signer)).toThrow(
    expect.objectContaining({ code: 'too-large' }),
  );
  const strange = { ...signer, digests: ['sha512'] as const };
  expect(() => new FileSigning(options, strange)).toThrow(expect.objectContaining({ code: 'unsupported-digest' }));
});

test('decryption in chunks says what is wrong with the end of a file', async () => {
  const file = await encryptFile(new Uint8Array(20), options, phone.certificate, signer);
  const { header, body } = decodeEncryptedFile(file);
  for (const [end, code] of [
    [0, 'truncated'],
    [17, 'truncated'],
    [16, 'bad-filler'],
  ] as const) {
    const decryption = new FileDecryption(header, phone.key);
    decryption.update(body.subarray(0, end));
    expect(refusalOf(() => decryption.finish())).toMatchObject({ code, offset: header.length + end });
  }
});
