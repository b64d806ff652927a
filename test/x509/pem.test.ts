import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.js';
import { decodeCertificate, decodeCertificates, decodePrivateKey, formatCertificatePem } from '../../src/x509/index.js';
import { makeCertificate, makeFolder, openssl } from './openssl.js';

const folder = makeFolder();
afterAll(() => folder.remove());

const made = makeCertificate(folder, 'made', { subject: '/CN=one' });
const second = makeCertificate(folder, 'second', { subject: '/CN=two', key: made.key });
const onePem = readFileSync(made.certificate, 'utf8');
const twoPem = readFileSync(second.certificate, 'utf8');
const oneDer = new Uint8Array(openssl(['x509', '-in', made.certificate, '-outform', 'DER']));

function fromText(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function subjects(text: string): string[] {
  return decodeCertificates(fromText(text)).map(({ subject }) => subject[0]!.value);
}

describe('certificates', () => {
  test('in DER and in PEM are the same', () => {
    expect(decodeCertificates(oneDer)).toEqual([decodeCertificate(oneDer)]);
    expect(decodeCertificates(fromText(onePem))).toEqual([decodeCertificate(oneDer)]);
  });

  test('are written as openssl writes them, and come back', () => {
    const [certificate] = decodeCertificates(fromText(onePem));
    expect(formatCertificatePem(certificate!)).toBe(onePem);
  });

  test.each([
    ['line ends of Windows', onePem.replaceAll('\n', '\r\n')],
    ['a byte order mark', `\ufeff${onePem}`],
    ['text around it', `subject=CN = one\n\n${onePem}\nbye`],
    ['a first digit that is the tag of DER', `0 s:CN = one\n${onePem}`],
    ['one long line', onePem.replaceAll(/(?<=[A-Za-z0-9+/=])\n(?=[A-Za-z0-9+/=])/g, '')],
    ['blanks at line ends', onePem.replaceAll('\n', ' \t\n')],
    ['the old label', onePem.replaceAll('CERTIFICATE', 'X509 CERTIFICATE')],
    ['its key before it', `${readFileSync(made.key, 'utf8')}${onePem}`],
  ])('in PEM with %s', (_what, text) => {
    expect(subjects(text)).toEqual(['one']);
  });

  test('several are given in the order of the file', () => {
    expect(subjects(`${twoPem}text\n${onePem}${twoPem}`)).toEqual(['two', 'one', 'two']);
  });

  test('with what openssl trusts them for', () => {
    const trusted = openssl([
      'x509',
      '-in',
      made.certificate,
      '-addtrust',
      'serverAuth',
      '-setalias',
      'x',
      '-trustout',
    ]);
    expect(trusted.toString()).toContain('BEGIN TRUSTED CERTIFICATE');
    expect(decodeCertificates(new Uint8Array(trusted))).toEqual([decodeCertificate(oneDer)]);
  });

  const at = 'text\n'.length;
  test.each([
    ['no base64', 'text\n-----BEGIN CERTIFICATE-----\nMII§\n-----END CERTIFICATE-----\n', /not base64/, at],
    [
      'base64 after its end',
      'text\n-----BEGIN CERTIFICATE-----\nMI==MI==\n-----END CERTIFICATE-----\n',
      /not base64/,
      at,
    ],
    ['nothing inside', 'text\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n', /not base64/, at],
    ['no end', `text\n${onePem.slice(0, -30)}`, /CERTIFICATE\) without its END line/, at],
    ['another end', `text\n${onePem.replace('END CERTIFICATE', 'END NOTHING')}`, /without its END line/, at],
    ['base64 of something else', `text\n${onePem.replace(/\nM/, '\nA')}`, /in this PEM block: .*not a certificate/, at],
    ['no certificate in it', readFileSync(made.key, 'utf8'), /PEM without a CERTIFICATE block/, 0],
  ])('in PEM with %s are refused where the block is', (_what, text, message, offset) => {
    expect(() => decodeCertificates(fromText(text))).toThrow(
      expect.objectContaining({ code: 'bad-certificate', offset }),
    );
    expect(() => decodeCertificates(fromText(text))).toThrow(message);
  });

  test('a hundred thousand beginnings without an end are refused at once', () => {
    const started = performance.now();
    expect(() => decodeCertificates(fromText('-----BEGIN CERTIFICATE-----\n'.repeat(100_000)))).toThrow('END line');
    expect(performance.now() - started).toBeLessThan(1000);
  });

  test('any text decodes or is refused', () => {
    const changes = fc.array(fc.tuple(fc.nat(onePem.length - 1), fc.constantFrom('-', '\n', 'A', '=', ' ', 'é')), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(changes, (all) => {
        const characters = onePem.split('');
        for (const [index, character] of all) characters[index] = character;
        const bytes = fromText(characters.join(''));
        try {
          decodeCertificates(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          expect((error as FormatError).code).toBe('bad-certificate');
          expect((error as FormatError).offset).toBeLessThanOrEqual(bytes.length);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('private keys', () => {
  const password = 'a passwörd';
  const pkcs8 = readFileSync(made.key, 'utf8');
  const plain = createPrivateKey(pkcs8);
  const outputs = {
    'PKCS#8 in PEM': fromText(pkcs8),
    'PKCS#8 in DER': new Uint8Array(openssl(['pkey', '-in', made.key, '-outform', 'DER'])),
    'PKCS#1 in PEM': new Uint8Array(openssl(['rsa', '-in', made.key, '-traditional'])),
    'PKCS#1 in DER': new Uint8Array(openssl(['rsa', '-in', made.key, '-traditional', '-outform', 'DER'])),
  };
  const encryption = ['-in', made.key, '-topk8', '-passout', 'env:PASSWORD'];
  const encrypted = {
    'PKCS#8 in PEM': new Uint8Array(openssl(['pkcs8', ...encryption], password)),
    'PKCS#8 in DER': new Uint8Array(openssl(['pkcs8', ...encryption, '-outform', 'DER'], password)),
    'PKCS#8 in PEM, 3DES': new Uint8Array(openssl(['pkcs8', ...encryption, '-v1', 'PBE-SHA1-3DES'], password)),
    'PKCS#1 in PEM': new Uint8Array(
      openssl(['rsa', '-in', made.key, '-traditional', '-aes128', '-passout', 'env:PASSWORD'], password),
    ),
  };

  function expectSameKey(key: KeyObject): void {
    expect(key.equals(plain)).toBe(true);
  }

  test.each(Object.entries(outputs))('%s', (_form, bytes) => {
    expectSameKey(decodePrivateKey(bytes));
    expectSameKey(decodePrivateKey(bytes, 'a password that nobody asked for'));
  });

  test('behind a certificate in the same file', () => {
    expectSameKey(decodePrivateKey(fromText(`${onePem}${pkcs8}`)));
  });

  describe.each(Object.entries(encrypted))('encrypted: %s', (_form, bytes) => {
    test('opens with its password', () => {
      expectSameKey(decodePrivateKey(bytes, password));
    });

    test('without a password says that it wants one', () => {
      const decode = (): KeyObject => decodePrivateKey(bytes);
      expect(decode).toThrow(expect.objectContaining({ code: 'bad-password', hint: 'give the password of the key' }));
      expect(decode).toThrow('the private key is encrypted');
    });

    test.each(['', 'wrong', `${password}\n`])('does not open with %j, and does not repeat it', (wrong) => {
      const error = failureOf(() => decodePrivateKey(bytes, wrong));
      expect(error.code).toBe('bad-password');
      expect(error.cause).toBeUndefined();
      expect(error.message).toBe('at byte 0: the password does not open the private key');
    });
  });

  function failureOf(run: () => unknown): FormatError {
    try {
      run();
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
      return error as FormatError;
    }
    throw new Error('nothing failed');
  }

  test.each([
    ['nothing', new Uint8Array()],
    ['a certificate in PEM', fromText(onePem)],
    ['a certificate in DER', oneDer],
    ['text', fromText('hello')],
    ['a public key', new Uint8Array(openssl(['pkey', '-in', made.key, '-pubout']))],
    ['a key cut off', outputs['PKCS#8 in DER'].subarray(0, 300)],
    ['a key in PEM cut off', fromText(pkcs8.slice(0, 400))],
  ])('%s is none', (_what, bytes) => {
    expect(failureOf(() => decodePrivateKey(bytes))).toMatchObject({ code: 'bad-key', offset: 0 });
  });

  test('no error shows a piece of the key', () => {
    const der = Buffer.from(outputs['PKCS#8 in DER']);
    const secrets = (plain.export({ format: 'jwk' }) as Record<string, string>)['d']!;
    const pieces = [
      der.toString('hex'),
      der.toString('base64'),
      Buffer.from(secrets, 'base64url').toString('hex'),
      secrets,
    ];
    for (let length = 1; length < der.length; length += 7) {
      const cut = new Uint8Array(der.subarray(0, length));
      const pem = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(cut).toString('base64')}\n-----END PRIVATE KEY-----\n`;
      for (const bytes of [cut, fromText(pem), fromText(pem.slice(0, -20))]) {
        const error = failureOf(() => decodePrivateKey(bytes));
        const said = `${error.message} ${error.hint ?? ''} ${error.stack ?? ''} ${JSON.stringify(error.cause ?? '')}`;
        for (const piece of pieces) {
          for (let start = 0; start + 12 <= piece.length; start += 12) {
            expect(said.includes(piece.slice(start, start + 12))).toBe(false);
          }
        }
      }
    }
  });

  test('EC keys are read too: whether they fit is the signer’s question', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ format: 'pem', type: 'sec1' }).toString();
    expect(decodePrivateKey(fromText(pem)).asymmetricKeyType).toBe('ec');
  });
});
