import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.js';
import { decodeCertificates, decodePkcs12, looksLikePkcs12 } from '../../src/x509/index.js';
import { makeCertificate, makeFolder, openssl } from './openssl.js';

const folder = makeFolder();
afterAll(() => folder.remove());

const password = 'pass word, 8+';
const made = makeCertificate(folder, 'made', { subject: '/CN=the one/O=Société' });
const other = makeCertificate(folder, 'other', { subject: '/CN=another', strings: 'MASK:0x800', serial: '-5' });
const curve = makeCertificate(folder, 'curve', {
  subject: '/CN=curve',
  newKey: ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
});
const plain = makeCertificate(folder, 'plain', { subject: '/CN=plain' });
const key = createPrivateKey(readFileSync(made.key));
const certificate = decodeCertificates(new Uint8Array(readFileSync(made.certificate)))[0]!;

/** A PKCS#12 file of the certificate, its key and others, as openssl exports it. */
function exportPkcs12(options: readonly string[] = [], secret = password): Uint8Array {
  const words = ['pkcs12', '-export', '-in', made.certificate, '-inkey', made.key, '-passout', 'env:PASSWORD'];
  return new Uint8Array(openssl([...words, ...options], secret));
}

const others = folder.write(
  'others.pem',
  readFileSync(other.certificate, 'utf8') + readFileSync(curve.certificate, 'utf8'),
);
const old = ['-legacy', '-keypbe', 'PBE-SHA1-3DES'];

describe('a key and its certificate', () => {
  test.each<[string, readonly string[]]>([
    ['in the new encryption', []],
    ['in AES-128', ['-certpbe', 'AES-128-CBC', '-keypbe', 'AES-128-CBC']],
    ['in the old encryption: RC2-40 and 3DES', [...old, '-certpbe', 'PBE-SHA1-RC2-40']],
    ['in 3DES', [...old, '-certpbe', 'PBE-SHA1-3DES']],
    ['with the certificates in the open', ['-certpbe', 'NONE']],
    ['with everything in the open', ['-certpbe', 'NONE', '-keypbe', 'NONE']],
    ['with a MAC over SHA-1', ['-macalg', 'sha1']],
    ['with a MAC over SHA-512', ['-macalg', 'sha512']],
    ['without a MAC', ['-nomac']],
  ])('%s', async (_what, options) => {
    const bytes = exportPkcs12([...options, '-certfile', others, '-name', 'friendly']);
    expect(looksLikePkcs12(bytes)).toBe(true);
    const opened = await decodePkcs12(bytes, password);
    expect(opened.key.equals(key)).toBe(true);
    expect(opened.certificate).toEqual(certificate);
    const expected = decodeCertificates(new Uint8Array(readFileSync(others)));
    expect(opened.others.map(({ der }) => Buffer.from(der))).toEqual(expected.map(({ der }) => Buffer.from(der)));
  });

  test.each(['', 'x', 'pässwörd', '密码', 'a'.repeat(200)])(
    'with the password %j, in both encryptions',
    async (secret) => {
      for (const options of [[], [...old, '-certpbe', 'PBE-SHA1-3DES']]) {
        const opened = await decodePkcs12(exportPkcs12(options, secret), secret);
        expect(opened.key.equals(key)).toBe(true);
      }
    },
  );
});

async function failureOf(bytes: Uint8Array, secret: string): Promise<FormatError> {
  const failure: unknown = await decodePkcs12(bytes, secret).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(FormatError);
  return failure as FormatError;
}

describe('a wrong password', () => {
  test.each<[string, readonly string[]]>([
    ['the new encryption', []],
    ['the old encryption', [...old, '-certpbe', 'PBE-SHA1-RC2-40']],
  ])('of %s is named as such and not repeated', async (_what, options) => {
    const bytes = exportPkcs12(options);
    for (const wrong of ['', 'wrong word', `${password}\n`]) {
      const error = await failureOf(bytes, wrong);
      expect(error.code).toBe('bad-password');
      expect(error.message).toContain('the password does not open the PKCS#12 file');
      const said = `${error.message} ${error.hint ?? ''} ${error.stack ?? ''}`;
      expect(said).not.toContain(password);
      if (wrong !== '') expect(said).not.toContain(wrong);
    }
  });

  test('of a file without a MAC does not open it either', async () => {
    const error = await failureOf(exportPkcs12(['-nomac']), 'wrong word');
    expect(['bad-password', 'bad-value']).toContain(error.code);
  });
});

describe('what a PKCS#12 file lacks is named', () => {
  test('the key', async () => {
    const bytes = exportPkcs12(['-nokeys']);
    expect(await failureOf(bytes, password)).toMatchObject({
      code: 'bad-key',
      message: expect.stringContaining('holds no RSA private key') as string,
    });
  });

  test('an RSA key', async () => {
    const words = ['pkcs12', '-export', '-in', curve.certificate, '-inkey', curve.key, '-passout', 'env:PASSWORD'];
    const bytes = new Uint8Array(openssl(words, password));
    expect(await failureOf(bytes, password)).toMatchObject({ code: 'bad-key' });
  });

  test('the certificate', async () => {
    const bytes = exportPkcs12(['-nocerts']);
    expect(await failureOf(bytes, password)).toMatchObject({
      code: 'bad-certificate',
      message: expect.stringContaining('holds a private key and no certificate') as string,
    });
  });

  test('a certificate that fits the key', async () => {
    // openssl refuses to join the two.
    const forge = (await import('node-forge')).default;
    const safe = forge.pkcs12.toPkcs12Asn1(
      forge.pki.privateKeyFromPem(key.export({ format: 'pem', type: 'pkcs1' }).toString()),
      [forge.pki.certificateFromPem(readFileSync(plain.certificate, 'utf8'))],
      password,
      { algorithm: '3des' },
    );
    const bytes = new Uint8Array(Buffer.from(forge.asn1.toDer(safe).getBytes(), 'latin1'));
    expect(await failureOf(bytes, password)).toMatchObject({
      code: 'bad-key',
      message: expect.stringContaining('holds no certificate for its private key') as string,
    });
  });
});

describe('damaged files', () => {
  const bytes = exportPkcs12();

  test('cut off anywhere are refused', async () => {
    for (let length = 0; length < bytes.length; length += 37) {
      const error = await failureOf(bytes.subarray(0, length), password);
      expect(['bad-value', 'bad-password']).toContain(error.code);
      expect(error.offset).toBeLessThanOrEqual(length);
    }
  });

  test('changed anywhere open to the same key or are refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(254), async (index, change) => {
        const changed = bytes.slice();
        changed[index] = (changed[index] ?? 0) ^ (change + 1);
        try {
          expect((await decodePkcs12(changed, password)).key.equals(key)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          expect((error as FormatError).offset).toBeLessThanOrEqual(changed.length);
        }
      }),
      { numRuns: 150 },
    );
  });

  test.each([
    ['nothing', new Uint8Array()],
    ['text', new TextEncoder().encode('hello')],
    ['a certificate', certificate.der],
  ])('%s is none', async (_what, none) => {
    expect(looksLikePkcs12(none)).toBe(false);
    expect(await failureOf(none, password)).toMatchObject({ code: 'bad-value', offset: 0 });
  });
});
