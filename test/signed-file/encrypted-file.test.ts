import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { EtokenBridgeError, FormatError, ProofError } from '../../src/errors.js';
import {
  decodeEncryptedFile,
  decodeSignedFile,
  decodeSignedHeader,
  decryptFile,
  encryptFile,
  FileEncryption,
  ContentMeasurement,
  signFile,
  verifySignedFile,
} from '../../src/signed-file/index.js';
import type { DigestAlgorithm } from '../../src/signer/index.js';
import { decodeCertificate } from '../../src/x509/index.js';
import { cutSignature, layOutPieces, signAgain, type Piece } from '../trust-list/pieces.js';
import { makeFolder, openssl } from '../x509/openssl.js';
import { makeIdentity, sameRandom } from './encrypted-files.js';
import { createSoftwareSigner } from '../../src/signer/index.js';

const folder = makeFolder();
afterAll(() => folder.remove());

const cluster = await makeIdentity('cucm-pub');
const signer = createSoftwareSigner(cluster.certificate, cluster.key);
const phone = await makeIdentity('CP-8861-SEP00005E005301');
const otherPhone = await makeIdentity('CP-8861-SEP00005E005302');
const name = 'SEP00005E005301.cnf.xml';
const options = { name, timestamp: 1_800_000_000 };
const content = new TextEncoder().encode('<device><fullConfig>true</fullConfig></device>\n');
const file = await encryptFile(content, options, phone.certificate, signer);

function decrypt(bytes: Uint8Array, key = phone.key): Uint8Array {
  return decryptFile(decodeEncryptedFile(bytes), key);
}

/** What it threw. */
function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** The plain file, or one of our own errors. */
function decryptOrRefuse(bytes: Uint8Array, key = phone.key): Uint8Array | EtokenBridgeError {
  let plain: Uint8Array | undefined;
  const error = thrownBy(() => (plain = decrypt(bytes, key)));
  if (plain !== undefined) return plain;
  if (error instanceof EtokenBridgeError) return error;
  throw error;
}

describe('an encrypted file', () => {
  test('is a header of version 2.0 with its elements in the order of the format page', () => {
    const { header, encryption, body } = decodeEncryptedFile(file);
    expect(header).toMatchObject({
      version: { major: 2, minor: 0 },
      fileName: `${name}.enc.sgn`,
      timestamp: 1_800_000_000,
      digestAlgorithm: 'sha1',
    });
    const tags = header.elements.flatMap(function all({ tag, children = [] }): number[] {
      return [tag, ...children.flatMap(all)];
    });
    expect(tags.filter((tag) => tag !== 13)).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15],
      ...[16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27],
    ]);
    expect(header.length % 4).toBe(0);
    expect(body.length % 16).toBe(0);
    expect(body.length).toBe(content.length + encryption.fillerLength);
    expect(verifySignedFile(decodeEncryptedFile(file), cluster.certificate)).toBe(true);
    expect(verifySignedFile(decodeEncryptedFile(file), otherPhone.certificate)).toBe(false);
  });

  test('is written to the byte as the format page says', async () => {
    const random = sameRandom();
    const made = await encryptFile(content, { ...options, random: sameRandom() }, phone.certificate, signer);
    random(16);
    const { header, encryption, body } = decodeEncryptedFile(made);
    expect(encryption.initializationVector).toEqual(random(16));
    const number = (tag: number, ...value: readonly number[]): Piece => ({ tag, value: Uint8Array.from(value) });
    const further = layOutPieces([
      {
        tag: 16,
        children: [
          {
            tag: 17,
            children: [number(18, 0), { tag: 19, value: encryption.initializationVector }, number(20, 0, 1)],
          },
          {
            tag: 21,
            children: [number(22, 0), number(23, 0, 128), number(24, 1), { tag: 25, value: encryption.encryptedKey }],
          },
        ],
      },
      number(26, 1),
      { tag: 27, value: encryption.contentDigest },
    ]);
    const timestamp = header.elements.find(({ tag }) => tag === 15);
    const start = (timestamp?.offset ?? 0) + 7;
    const padding = header.length - start - further.length;
    expect(padding).toBeLessThan(4);
    const expected = Buffer.concat([further, Buffer.alloc(padding, 0x0d)]);
    expect(Buffer.from(made.subarray(start, header.length))).toEqual(expected);
    expect(body.length).toBe(48);
  });

  test.each([0, 15, 16, 17, 1024 * 1024])('of %i bytes comes back exactly', async (length) => {
    const plain = sameRandom(length + 1)(length);
    for (const digestAlgorithm of ['sha1', 'sha512'] as const) {
      const made = await encryptFile(plain, { ...options, digestAlgorithm }, phone.certificate, signer);
      const { encryption, header } = decodeEncryptedFile(made);
      expect(encryption.fillerLength).toBe(16 - (length % 16));
      expect([encryption.contentDigestAlgorithm, header.digestAlgorithm]).toEqual([digestAlgorithm, digestAlgorithm]);
      expect(Buffer.compare(decrypt(made), plain)).toBe(0);
    }
  });

  test('of any bytes comes back, also of bytes that look like filler', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.nat(40).map((length) => new Uint8Array(length).fill(0x0d)),
        ),
        fc.constantFrom<DigestAlgorithm>('sha1', 'sha256', 'sha512'),
        async (bytes, digestAlgorithm) => {
          const made = await encryptFile(bytes, { ...options, digestAlgorithm }, phone.certificate, signer);
          expect(decrypt(made)).toEqual(bytes);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('has a key and an initialization vector of its own every time', async () => {
    const again = await encryptFile(content, options, phone.certificate, signer);
    const [one, two] = [decodeEncryptedFile(file), decodeEncryptedFile(again)];
    expect(one.encryption.initializationVector).not.toEqual(two.encryption.initializationVector);
    expect(one.body).not.toEqual(two.body);
  });
});

describe('openssl, given the parts that the format page names,', () => {
  test.each<[DigestAlgorithm, number]>([
    ['sha1', 1024],
    ['sha512', 2048],
  ])('verifies and decrypts a file of %s with keys of %i bits', async (digestAlgorithm, bits) => {
    const by = await makeIdentity('cucm-sub', bits);
    const to = await makeIdentity('CP-8861-SEP00005E005303', bits);
    const bySigner = createSoftwareSigner(by.certificate, by.key);
    const made = await encryptFile(content, { ...options, digestAlgorithm }, to.certificate, bySigner);
    const cut = cutSignature(made);
    const publicKey = createPublicKey(by.key).export({ format: 'pem', type: 'spki' }).toString();
    const verified = openssl([
      ...['dgst', `-${digestAlgorithm}`, '-verify', folder.write('public.pem', publicKey)],
      ...['-signature', folder.write('signature', cut.signature), folder.write('signed', cut.signed)],
    ]);
    expect(verified.toString()).toBe('Verified OK\n');

    const { encryption, body } = decodeEncryptedFile(made);
    const privateKey = folder.write('phone.key', to.key.export({ format: 'pem', type: 'pkcs8' }).toString());
    const contentKey = openssl([
      ...['pkeyutl', '-decrypt', '-inkey', privateKey, '-pkeyopt', 'rsa_padding_mode:pkcs1'],
      ...['-in', folder.write('content-key', encryption.encryptedKey)],
    ]);
    expect(contentKey.length).toBe(16);
    const padded = openssl([
      ...['enc', '-d', '-aes-128-cbc', '-nopad', '-K', contentKey.toString('hex')],
      ...['-iv', Buffer.from(encryption.initializationVector).toString('hex'), '-in', folder.write('body', body)],
    ]);
    const filler = Buffer.alloc(encryption.fillerLength, 0x0d);
    expect(padded).toEqual(Buffer.concat([content, filler]));
    const digest = openssl(['dgst', `-${digestAlgorithm}`, '-binary', folder.write('plain', content)]);
    expect(Buffer.from(encryption.contentDigest)).toEqual(digest);
  });
});

/** The file with a value of the encryption replaced, signed again: only what was replaced is wrong. */
function replaced(tag: number, change: (value: Uint8Array) => Uint8Array): Uint8Array {
  const changed = file.slice();
  const element = decodeSignedHeader(file).elements.flatMap(function all(one): (typeof one)[] {
    return [one, ...(one.children ?? []).flatMap(all)];
  });
  const found = element.find((one) => one.tag === tag);
  if (found === undefined) throw new Error(`no element ${String(tag)}`);
  changed.set(change(found.value), found.offset + 3);
  return signAgain(changed, cutSignature(changed), cluster.key);
}

describe('refused, each with an error of its own:', () => {
  test('a wrong filler length', () => {
    const { fillerLength } = decodeEncryptedFile(file).encryption;
    for (let wrong = 0; wrong <= 17; wrong += 1) {
      if (wrong === fillerLength) continue;
      const made = replaced(20, () => Uint8Array.of(0, wrong));
      const error = decryptOrRefuse(made);
      expect(error).toBeInstanceOf(EtokenBridgeError);
      // Fewer fillers than there are leave some in the text: only the digest tells.
      const code = wrong >= 1 && wrong < fillerLength ? 'digest-mismatch' : 'bad-filler';
      expect(error).toMatchObject({ code });
    }
  });

  test('a wrong digest', () => {
    const made = replaced(27, (value) => value.map((byte) => byte ^ 1));
    expect(verifySignedFile(decodeEncryptedFile(made), cluster.certificate)).toBe(true);
    expect(decryptOrRefuse(made)).toMatchObject({ code: 'digest-mismatch' });
  });

  test('the key of another phone, of any size', async () => {
    const large = await makeIdentity('CP-8861-SEP00005E005304', 2048);
    const small = await makeIdentity('CP-8861-SEP00005E005305', 512);
    for (const { key } of [otherPhone, large, small]) {
      const error = decryptOrRefuse(file, key) as ProofError;
      expect(error).toMatchObject({ code: 'key-mismatch' });
      expect(error.hint).toContain('the phone whose certificate');
    }
  });

  test('a key that is not RSA, or not private', () => {
    const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    for (const key of [curve, createPublicKey(phone.key)]) {
      expect(decryptOrRefuse(file, key)).toMatchObject({ code: 'unsupported-key' });
    }
  });

  test('a file that was cut off, at every byte', () => {
    const { header } = decodeEncryptedFile(file);
    for (let end = 0; end < file.length; end += 1) {
      const error = decryptOrRefuse(file.subarray(0, end));
      expect(error).toBeInstanceOf(FormatError);
      const isWhole = end > header.length && (end - header.length) % 16 === 0;
      if (end < header.length) expect((error as FormatError).offset).toBeLessThanOrEqual(end);
      else expect(error).toMatchObject({ code: isWhole ? 'bad-filler' : 'truncated' });
    }
  });

  test('a file that is only signed, and an encrypted one where a signed one is expected', async () => {
    const plain = await signFile(content, options, signer);
    expect(thrownBy(() => decodeEncryptedFile(plain))).toMatchObject({ code: 'not-encrypted', element: 'VERSION' });
    const error = thrownBy(() => decodeSignedFile(file));
    expect(error).toMatchObject({ code: 'encrypted', element: 'VERSION' });
    expect((error as FormatError).hint).toContain("phone's private key");
  });

  test.each([
    ['a mode of the cipher', 18],
    ['a form of the key', 22],
    ['a size of the key', 23],
    ['a cipher', 24],
    ['a digest', 26],
  ])('%s that no phone knows', (_what, tag) => {
    const made = replaced(tag, (value) => value.map(() => 77));
    expect(decryptOrRefuse(made)).toMatchObject({ code: 'bad-value' });
  });

  test('a digest that is not as long as its algorithm says', () => {
    expect(decryptOrRefuse(replaced(26, () => Uint8Array.of(3)))).toMatchObject({
      code: 'bad-length',
      element: 'CONTENTDIGEST',
    });
  });

  test('a file of version 2.0 that does not say how it is encrypted', async () => {
    const plain = await signFile(content, options, signer);
    plain[3] = 2;
    const made = signAgain(plain, cutSignature(plain), cluster.key);
    expect(decryptOrRefuse(made)).toMatchObject({ code: 'missing-element', element: 'ENCRYPTIONINFO' });
  });

  test('a version 2.1', () => {
    expect(decryptOrRefuse(replaced(1, () => Uint8Array.of(2, 1)))).toMatchObject({ code: 'bad-value' });
  });

  test('to encrypt for a key that is not RSA or has no room for the content key', () => {
    const curve = { ...phone.certificate, keyType: 'ec' } as const;
    const tiny = { ...phone.certificate, keyBits: 200 };
    for (const certificate of [curve, tiny]) {
      expect(
        thrownBy(() => new FileEncryption(options, new ContentMeasurement().finish(), certificate, signer)),
      ).toEqual(expect.objectContaining({ code: 'unsupported-key' }));
    }
  });
});

describe('damage', () => {
  test('is found wherever one byte of a file is changed', () => {
    const certificate = decodeCertificate(cluster.certificate.der);
    const changed = file.slice();
    for (let index = 0; index < file.length; index += 1) {
      changed[index] = (file[index] ?? 0) ^ (1 << (index % 8));
      const error = thrownBy(() => {
        const decoded = decodeEncryptedFile(changed);
        if (!verifySignedFile(decoded, certificate)) throw new ProofError('signature-mismatch', 'changed');
      });
      expect(error, `byte ${String(index)}`).toBeInstanceOf(EtokenBridgeError);
      changed[index] = file[index] ?? 0;
    }
  });

  test('of any kind is decoded or refused with our own errors', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(file.length),
        (changes, end) => {
          const changed = file.slice(0, end);
          for (const [index, byte] of changes) if (index < end) changed[index] = byte;
          decryptOrRefuse(changed);
        },
      ),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decryptOrRefuse(bytes)).toBeInstanceOf(FormatError);
      }),
    );
  });

  test('of what is encrypted is found also by who has no certificate of the signer', () => {
    const { header } = decodeEncryptedFile(file);
    for (let index = header.length; index < file.length; index += 1) {
      const changed = file.slice();
      changed[index] = (file[index] ?? 0) ^ 1;
      expect(decryptOrRefuse(changed)).toBeInstanceOf(EtokenBridgeError);
    }
  });
});
