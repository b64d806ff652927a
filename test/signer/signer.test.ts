import { generateKeyPairSync, privateEncrypt, sign as signWithNode } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import {
  createSoftwareSigner,
  digestAlgorithms,
  digestOf,
  encodeDigestInfo,
  equalDigests,
  verifyDigest,
  type DigestAlgorithm,
  type Signer,
} from '../../src/signer/index.js';
import { decodeCertificates, decodePrivateKey, generateRsaKey, type Certificate } from '../../src/x509/index.js';
import { makeCertificate, makeFolder, openssl } from '../x509/openssl.js';

const folder = makeFolder();
afterAll(() => folder.remove());

/** A certificate and key made by openssl. */
interface Pair {
  readonly keyFile: string;
  readonly certificate: Certificate;
  readonly signer: Signer;
}

function makePair(bits: number): Pair {
  const made = makeCertificate(folder, `rsa${bits}`, { subject: `/CN=signer of ${bits}`, newKey: [`rsa:${bits}`] });
  const certificate = decodeCertificates(new Uint8Array(readFileSync(made.certificate)))[0]!;
  const signer = createSoftwareSigner(certificate, decodePrivateKey(new Uint8Array(readFileSync(made.key))));
  return { keyFile: made.key, certificate, signer };
}

const pair = makePair(1024);
const message = new TextEncoder().encode('every byte but the SIGNATURE element');

function request(digestAlgorithm: DigestAlgorithm, bytes = message): Parameters<Signer['sign']>[0] {
  return { digestAlgorithm, digest: digestOf(digestAlgorithm, bytes) };
}

describe('DigestInfo', () => {
  test.each<[DigestAlgorithm, string]>([
    ['sha1', '3021300906052b0e03021a05000414'],
    ['sha256', '3031300d060960864801650304020105000420'],
    ['sha512', '3051300d060960864801650304020305000440'],
  ])('of %s has the bytes of RFC 8017', (algorithm, prefix) => {
    const digest = digestOf(algorithm, message);
    expect(Buffer.from(encodeDigestInfo(algorithm, digest)).toString('hex')).toBe(
      prefix + Buffer.from(digest).toString('hex'),
    );
  });

  test('is 35, 51 and 83 bytes long', () => {
    const lengths = digestAlgorithms.map((name) => encodeDigestInfo(name, digestOf(name)).length);
    expect(lengths).toEqual([35, 51, 83]);
  });

  test('of a digest of another length is refused', () => {
    expect(() => encodeDigestInfo('sha1', new Uint8Array(32))).toThrow(
      expect.objectContaining({ code: 'unsupported-digest', message: '32 bytes are no sha1 digest; it has 20' }),
    );
  });
});

test('the digest of parts is that of the whole', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 5 }), (parts) => {
      const whole = Buffer.concat(parts);
      for (const name of digestAlgorithms) expect(digestOf(name, ...parts)).toEqual(digestOf(name, whole));
    }),
  );
  const file = folder.write('message', message);
  for (const name of digestAlgorithms) {
    const printed = openssl(['dgst', `-${name}`, '-binary', file]);
    expect(Buffer.from(digestOf(name, message))).toEqual(printed);
  }
});

test('digests are equal when all bytes are', () => {
  const digest = digestOf('sha1', message);
  expect(equalDigests(digest, digest.slice())).toBe(true);
  expect(equalDigests(digest, digest.subarray(1))).toBe(false);
  expect(equalDigests(digest, digest.with(19, (digest[19] ?? 0) ^ 1))).toBe(false);
});

describe('the software signer', () => {
  test.each([1024, 2048].flatMap((bits) => digestAlgorithms.map((name) => [bits, name] as const)))(
    'of %i bits signs %s as openssl does',
    async (bits, name) => {
      const { signer, keyFile } = bits === 1024 ? pair : makePair(bits);
      const signature = await signer.sign(request(name));
      const file = folder.write('message', message);
      expect(Buffer.from(signature)).toEqual(openssl(['dgst', `-${name}`, '-sign', keyFile, file]));
      expect(signature).toHaveLength(bits / 8);
      expect(signer.digests).toEqual(digestAlgorithms);
    },
  );

  test('takes its key as a text too', async () => {
    const signer = createSoftwareSigner(pair.certificate, readFileSync(pair.keyFile, 'utf8'));
    expect(await signer.sign(request('sha1'))).toEqual(await pair.signer.sign(request('sha1')));
  });

  test.each([
    ['no key', 'hello', 'bad-key'],
    [
      'an encrypted key',
      '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----',
      'bad-password',
    ],
  ])('a text that is %s is refused with our own error', (_what, text, code) => {
    expect(() => createSoftwareSigner(pair.certificate, text)).toThrow(expect.objectContaining({ code }));
  });

  test('a key that is not the certificate’s is refused, and the certificate named', async () => {
    const other = await generateRsaKey(1024);
    expect(() => createSoftwareSigner(pair.certificate, other)).toThrow(
      expect.objectContaining({
        code: 'key-mismatch',
        message: expect.stringContaining('CN=signer of 1024') as string,
        hint: expect.stringContaining('certificate') as string,
      }),
    );
  });

  test('keys that cannot sign a list are refused', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pss = generateKeyPairSync('rsa-pss', { modulusLength: 1024 }).privateKey;
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    for (const key of [privateKey, pss, rsa]) {
      expect(() => createSoftwareSigner(pair.certificate, key)).toThrow(
        expect.objectContaining({ code: 'unsupported-key' }),
      );
    }
  });

  test('a key of 512 bits has no room for SHA-512, and says so', async () => {
    const small = makePair(512);
    expect(small.signer.digests).toEqual(['sha1', 'sha256']);
    expect(await small.signer.sign(request('sha256'))).toHaveLength(64);
  });

  test('a digest of the wrong length is a rejection, not a signature', async () => {
    const wrong = { digestAlgorithm: 'sha1', digest: digestOf('sha512') } as const;
    await expect(pair.signer.sign(wrong)).rejects.toMatchObject({ code: 'unsupported-digest' });
  });

  test('shows nothing of its key', () => {
    expect(JSON.stringify(pair.signer)).not.toMatch(/PRIVATE|"d"/);
    expect(Object.values(pair.signer)).not.toContainEqual(expect.objectContaining({ type: 'private' }));
  });
});

describe('verifyDigest', () => {
  test('says yes to the signature of the digest, and only to it', async () => {
    for (const name of digestAlgorithms) {
      const signature = await pair.signer.sign(request(name));
      expect(verifyDigest(pair.certificate, request(name), signature)).toBe(true);
      expect(verifyDigest(pair.certificate, request(name, message.subarray(1)), signature)).toBe(false);
      const otherName = name === 'sha1' ? 'sha256' : 'sha1';
      expect(verifyDigest(pair.certificate, request(otherName), signature)).toBe(false);
    }
  });

  test('says no to a signature with any bit changed, cut or longer', async () => {
    const signature = await pair.signer.sign(request('sha1'));
    for (let bit = 0; bit < signature.length * 8; bit += 1) {
      const changed = signature.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(verifyDigest(pair.certificate, request('sha1'), changed)).toBe(false);
    }
    for (const wrong of [new Uint8Array(), signature.subarray(1), new Uint8Array([0, ...signature])]) {
      expect(verifyDigest(pair.certificate, request('sha1'), wrong)).toBe(false);
    }
  });

  test('agrees with node:crypto, and wants DigestInfo in its one right form', () => {
    const key = decodePrivateKey(new Uint8Array(readFileSync(pair.keyFile)));
    const signature = new Uint8Array(signWithNode('sha512', message, key));
    expect(verifyDigest(pair.certificate, request('sha512'), signature)).toBe(true);
    const bare = new Uint8Array(privateEncrypt(key, digestOf('sha1', message)));
    expect(verifyDigest(pair.certificate, request('sha1'), bare)).toBe(false);
    const longer = new Uint8Array(
      privateEncrypt(key, Buffer.concat([encodeDigestInfo('sha1', digestOf('sha1', message)), Buffer.of(0)])),
    );
    expect(verifyDigest(pair.certificate, request('sha1'), longer)).toBe(false);
  });

  test('says no for a certificate without an RSA key, or with one that is broken', async () => {
    const signature = await pair.signer.sign(request('sha1'));
    const curve = makeCertificate(folder, 'curve', {
      subject: '/CN=curve',
      newKey: ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
    });
    const certificate = decodeCertificates(new Uint8Array(readFileSync(curve.certificate)))[0]!;
    expect(verifyDigest(certificate, request('sha1'), signature)).toBe(false);
    const broken = { ...pair.certificate, publicKey: new Uint8Array(140) };
    expect(verifyDigest(broken, request('sha1'), signature)).toBe(false);
  });
});
