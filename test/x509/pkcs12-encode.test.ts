import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { decodeCertificates, decodePkcs12, encodePkcs12, looksLikePkcs12 } from '../../src/x509/index.js';
import { ProofError } from '../../src/errors.js';
import { makeCertificate, makeFolder, openssl, runOpenssl } from './openssl.js';

const folder = makeFolder();
afterAll(() => folder.remove());

const made = makeCertificate(folder, 'recovery', { subject: '/CN=ITLRECOVERY_cucm-pub.example/O=Société' });
const large = makeCertificate(folder, 'large', { subject: '/CN=large', newKey: ['rsa:2048'] });
const password = 'pass word, 8+';

function load(files: { readonly key: string; readonly certificate: string }) {
  return {
    key: createPrivateKey(readFileSync(files.key)),
    certificate: decodeCertificates(new Uint8Array(readFileSync(files.certificate)))[0]!,
  };
}

const own = load(made);
const other = load(large);

describe.each(['aes-256', '3des'] as const)('a file in %s', (encryption) => {
  const bytes = encodePkcs12({
    ...own,
    others: [other.certificate],
    friendlyName: 'ITLRecovery',
    password,
    encryption,
  });
  const path = folder.write(`${encryption}.p12`, bytes);
  // The provider of old algorithms is wanted for none of it: 3DES is in the default one.
  const words = ['pkcs12', '-in', path, '-passin', 'env:PASSWORD', '-nodes'];

  test('is read by openssl: the same key, the same certificates, the MAC verified', () => {
    const text = openssl(words, password).toString();
    expect(text).toContain('friendlyName: ITLRecovery');
    expect(createPrivateKey(/-----BEGIN PRIVATE KEY[\s\S]*?END PRIVATE KEY-----/.exec(text)![0]).equals(own.key)).toBe(
      true,
    );
    const certificates = decodeCertificates(new TextEncoder().encode(text));
    expect(certificates.map(({ der }) => Buffer.from(der))).toEqual(
      [own.certificate, other.certificate].map(({ der }) => Buffer.from(der)),
    );
  });

  test('openssl names its encryption', () => {
    const { stderr } = runOpenssl([...words, '-info', '-noout'], password);
    const expected =
      encryption === '3des'
        ? ['MAC: sha1, Iteration 2048', 'pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048']
        : ['MAC: sha256, Iteration 10000', 'PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256'];
    for (const line of expected) expect(stderr).toContain(line);
  });

  test('openssl refuses it with another password, and when one byte was changed', () => {
    expect(runOpenssl(words, 'another').stderr).toContain('Mac verify error: invalid password?');
    const changed = bytes.slice();
    changed[bytes.length >> 1] = (changed[bytes.length >> 1] ?? 0) ^ 1;
    const damaged = folder.write(`${encryption}-damaged.p12`, changed);
    expect(runOpenssl(['pkcs12', '-in', damaged, ...words.slice(3)], password).status).not.toBe(0);
  });

  test('is read back', async () => {
    expect(looksLikePkcs12(bytes)).toBe(true);
    const opened = await decodePkcs12(bytes, password);
    expect(opened.key.equals(own.key)).toBe(true);
    expect(opened.certificate).toEqual(own.certificate);
    expect(opened.others).toEqual([other.certificate]);
    await expect(decodePkcs12(bytes, 'another')).rejects.toMatchObject({ code: 'bad-password' });
  });

  test.each(['', 'pässwörd', '密码🔑', 'a'.repeat(200)])('with the password %j', async (secret) => {
    const written = encodePkcs12({ ...own, password: secret, encryption });
    expect((await decodePkcs12(written, secret)).key.equals(own.key)).toBe(true);
    const file = folder.write('password.p12', written);
    const text = openssl(['pkcs12', '-in', file, '-passin', 'env:PASSWORD', '-nodes'], secret).toString();
    expect(text).toContain('BEGIN PRIVATE KEY');
  });

  test('shows nothing of the key, and no two files are alike', () => {
    const again = encodePkcs12({ ...own, password, encryption });
    expect(Buffer.from(again).equals(encodePkcs12({ ...own, password, encryption }))).toBe(false);
    const { d } = own.key.export({ format: 'jwk' });
    expect(Buffer.from(again).includes(Buffer.from(d!, 'base64url').subarray(0, 32))).toBe(false);
    expect(Buffer.from(again).includes(Buffer.from(password))).toBe(false);
  });

  test('is the same from the same random bytes', () => {
    const random = (length: number): Uint8Array => new Uint8Array(length).fill(7);
    const first = encodePkcs12({ ...own, password, encryption, random });
    expect(encodePkcs12({ ...own, password, encryption, random })).toEqual(first);
  });

  test('of a key that is not the one of the certificate is not written', () => {
    expect(() => encodePkcs12({ key: other.key, certificate: own.certificate, password, encryption })).toThrow(
      ProofError,
    );
  });
});

test('a file with a large content has its lengths in three bytes', async () => {
  const others = Array.from({ length: 90 }, () => other.certificate);
  const bytes = encodePkcs12({ ...own, others, password });
  expect(bytes.length).toBeGreaterThan(0x1_0000);
  const opened = await decodePkcs12(bytes, password);
  expect(opened.others).toHaveLength(90);
});
