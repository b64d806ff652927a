import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import {
  decodeCertificate,
  decodeCertificates,
  formatSerialNumber,
  importPublicKey,
  isIssuedBy,
  isValidAt,
  rsaModulus,
  rsaModulusBits,
  type Certificate,
} from '../../src/x509/index.js';
import { makeCertificate, makeFolder, openssl, printCertificate } from './openssl.js';

const vectors = fileURLToPath(new URL('../vectors/x509/', import.meta.url));
const folder = makeFolder();
afterAll(() => folder.remove());

function load(file: string): Certificate {
  return decodeCertificates(new Uint8Array(readFileSync(file)))[0]!;
}

/** A serial's bytes as openssl prints the number: two's complement, upper case, no leading zero bytes. */
function asPrinted(serialNumber: Uint8Array): string {
  const bits = BigInt(serialNumber.length * 8);
  const unsigned = BigInt(`0x${Buffer.from(serialNumber).toString('hex')}`);
  const number = (serialNumber[0] ?? 0) >= 0x80 ? unsigned - (1n << bits) : unsigned;
  const digits = (number < 0n ? -number : number).toString(16).toUpperCase();
  return `${number < 0n ? '-' : ''}${digits.length % 2 === 0 ? digits : `0${digits}`}`;
}

/** Everything that is read of a certificate is what openssl prints and what node:crypto reads. */
function expectAsOpensslPrints(file: string): Certificate {
  const certificate = load(file);
  const printed = printCertificate(file);
  expect(asPrinted(certificate.serialNumber)).toBe(printed.serial);
  expect(certificate.notBefore).toEqual(printed.notBefore);
  expect(certificate.notAfter).toEqual(printed.notAfter);
  const printNames = (name: Certificate['subject']): string[] => name.map(({ type, value }) => `${type}=${value}`);
  const spelledOurWay = (line: string): string => line.replace('serialNumber=', 'SERIALNUMBER=');
  expect(printNames(certificate.subject)).toEqual(printed.subject.map(spelledOurWay));
  expect(printNames(certificate.issuer)).toEqual(printed.issuer.map(spelledOurWay));
  expect(Buffer.from(certificate.signature)).toEqual(printed.signature);

  const other = new X509Certificate(certificate.der);
  expect(Buffer.from(certificate.der)).toEqual(other.raw);
  expect(Buffer.from(certificate.publicKeyInfo)).toEqual(other.publicKey.export({ format: 'der', type: 'spki' }));
  expect(certificate.notAfter).toEqual(new Date(other.validTo));
  const details = other.publicKey.asymmetricKeyDetails;
  if (certificate.keyType === 'rsa') {
    expect(Buffer.from(certificate.publicKey)).toEqual(other.publicKey.export({ format: 'der', type: 'pkcs1' }));
    expect(certificate.keyBits).toBe(details?.modulusLength);
    expect(Buffer.from(rsaModulus(certificate.publicKey)).toString('hex').toUpperCase()).toBe(printed.modulus);
  }
  return certificate;
}

/** One key for all certificates whose key does not matter. */
const { key } = makeCertificate(folder, 'shared', { subject: '/CN=shared' });

describe('certificates made by openssl are read as openssl prints them', () => {
  const files = readdirSync(vectors).filter((name) => name.endsWith('.der'));

  test('all vectors are here', () => {
    expect(files).toHaveLength(6);
  });

  test.each(files)('%s', (name) => {
    expectAsOpensslPrints(vectors + name);
  });

  test.each([
    ['UTF8String', 'utf8only', '/CN=Małopolska 東京/OU=  blanks around  '],
    ['PrintableString', 'MASK:0x2', '/CN=cucm-1051-a-pub/OU=TAC/O=Cisco/L=Krakow/ST=Malopolska/C=PL'],
    ['BMPString', 'MASK:0x800', '/CN=Gdańsk/O=“quoted”'],
    ['TeletexString', 'MASK:0x4', '/CN=Genève/O=Ærø'],
    ['UniversalString', 'MASK:0x100', '/CN=😀 emoji/O=x'],
    ['several values in one RDN', 'utf8only', '/CN=one+OU=two/O=three+L=four+ST=five/DC=lab/UID=me'],
  ])('names in %s', (_kind, strings, subject) => {
    const { certificate } = makeCertificate(folder, 'names', { subject, strings, key });
    expectAsOpensslPrints(certificate);
  });

  test.each(['0', '1', '127', '128', '255', '-1', '-128', '-129', `0x7F${'11'.repeat(19)}`, `0xFF${'00'.repeat(18)}`])(
    'serial %s',
    (serial) => {
      const { certificate } = makeCertificate(folder, 'serial', { subject: '/CN=serial', serial, key });
      expectAsOpensslPrints(certificate);
    },
  );

  test('dates before and after 2050', () => {
    const { certificate } = makeCertificate(folder, 'late', { subject: '/CN=late', days: 20_000, key });
    expect(expectAsOpensslPrints(certificate).notAfter.getUTCFullYear()).toBeGreaterThan(2075);
  });

  test('EC keys: the uncompressed point, and its coordinate’s size', () => {
    for (const [curve, bits, length] of [
      ['prime256v1', 256, 65],
      ['secp384r1', 384, 97],
    ] as const) {
      const newKey = ['ec', '-pkeyopt', `ec_paramgen_curve:${curve}`];
      const { certificate } = makeCertificate(folder, curve, { subject: '/CN=ec', newKey });
      const decoded = expectAsOpensslPrints(certificate);
      expect(decoded).toMatchObject({ keyType: 'ec', keyBits: bits });
      expect(decoded.publicKey).toHaveLength(length);
      expect(decoded.publicKey[0]).toBe(4);
      const publicKey = openssl(['x509', '-in', certificate, '-noout', '-pubkey']);
      const spki = openssl(['pkey', '-pubin', '-in', folder.write('ec.pub', publicKey), '-outform', 'DER']);
      expect(spki.subarray(-length)).toEqual(Buffer.from(decoded.publicKey));
    }
  });

  test('a compressed EC point has one coordinate', () => {
    const newKey = ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-pkeyopt', 'ec_param_enc:named_curve'];
    const made = makeCertificate(folder, 'point', { subject: '/CN=ec', newKey });
    const compressed = folder.path('compressed.key');
    openssl(['ec', '-in', made.key, '-conv_form', 'compressed', '-out', compressed]);
    const { certificate: file } = makeCertificate(folder, 'compressed', { subject: '/CN=ec', key: compressed });
    expect(load(file).publicKey).toHaveLength(33);
    expect(load(file).keyBits).toBe(256);
  });

  test('other keys are kept as bytes', () => {
    const { certificate } = makeCertificate(folder, 'ed', { subject: '/CN=ed', newKey: ['ed25519'] });
    expect(expectAsOpensslPrints(certificate)).toMatchObject({ keyType: 'other', keyBits: 0 });
  });
});

describe('what a record of a trust list repeats', () => {
  test.each([
    [1024, 140],
    [2048, 270],
    [4096, 526],
  ])('an RSA key of %i bits is %i bytes of RSAPublicKey', (bits, length) => {
    const name = { 1024: 'rsa-1024-utf8', 2048: 'rsa-2048-printable', 4096: 'rsa-4096-after-2050' }[bits]!;
    const certificate = load(`${vectors}${name}.der`);
    expect(certificate.publicKey).toHaveLength(length);
    expect(rsaModulusBits(certificate.publicKey)).toBe(bits);
    expect(certificate.signature).toHaveLength(bits / 8);
  });

  test('the serial is the certificate’s own bytes, its leading zero included', () => {
    const certificate = load(`${vectors}rsa-2048-printable.der`);
    expect(Buffer.from(certificate.serialNumber).toString('hex')).toBe('00c3d4e5f60718293a');
    expect(formatSerialNumber(certificate.serialNumber)).toBe('c3d4e5f60718293a');
    expect(formatSerialNumber(load(`${vectors}rsa-1024-t61.der`).serialNumber)).toBe('00');
    expect(formatSerialNumber(Uint8Array.of(1, 2))).toBe('0102');
  });
});

describe('dates', () => {
  const certificate = load(`${vectors}rsa-1024-utf8.der`);

  test('both ends are part of the validity', () => {
    const { notBefore, notAfter } = certificate;
    const moments = [notBefore.getTime() - 1, notBefore.getTime(), notAfter.getTime(), notAfter.getTime() + 1];
    const answers = moments.map((moment) => isValidAt(certificate, new Date(moment)));
    expect(answers).toEqual([false, true, true, false]);
  });

  /** The certificate with another notBefore of the same length. */
  function withNotBefore(text: string, tag = 0x17): Uint8Array {
    const der = Buffer.from(certificate.der);
    const at = der.indexOf(Buffer.of(0x17, 13));
    der.set([tag, 13], at);
    der.write(text, at + 2, 'latin1');
    return new Uint8Array(der);
  }

  test.each([
    ['500101000000Z', '1950-01-01T00:00:00Z'],
    ['991231235959Z', '1999-12-31T23:59:59Z'],
    ['491231235959Z', '2049-12-31T23:59:59Z'],
    ['000229120000Z', '2000-02-29T12:00:00Z'],
  ])('UTCTime %s is %s', (text, iso) => {
    expect(decodeCertificate(withNotBefore(text)).notBefore).toEqual(new Date(iso));
  });

  test.each([
    '010229120000Z',
    '261301000000Z',
    '260001000000Z',
    '260100000000Z',
    '260431000000Z',
    '260101240000Z',
    '260101006000Z',
    '260101000060Z',
    '2601010000000',
    '26010100000 Z',
    '+60101000000Z',
  ])('UTCTime %s does not exist', (text) => {
    expect(() => decodeCertificate(withNotBefore(text))).toThrow(
      expect.objectContaining({ code: 'bad-certificate', message: expect.stringContaining('notBefore') as string }),
    );
  });

  test('another type than the two of RFC 5280 is refused, whatever its digits', () => {
    expect(() => decodeCertificate(withNotBefore('260101000000Z', 0x04))).toThrow('not a UTCTime or GeneralizedTime');
  });
});

describe('keys', () => {
  test('an RSA public key is prepared once', () => {
    const certificate = load(`${vectors}rsa-1024-utf8.der`);
    const key = importPublicKey(certificate.publicKey);
    expect(importPublicKey(certificate.publicKey.slice())).toBe(key);
    expect(key.export({ format: 'der', type: 'spki' })).toEqual(Buffer.from(certificate.publicKeyInfo));
  });

  test('many keys do not fill the memory, and the right one is given all the same', () => {
    const certificate = load(`${vectors}rsa-1024-utf8.der`);
    for (let index = 0; index < 200; index += 1) {
      const publicKey = certificate.publicKey.slice();
      publicKey[20] = index;
      const key = importPublicKey(publicKey);
      expect(key.export({ format: 'der', type: 'pkcs1' })).toEqual(Buffer.from(publicKey));
    }
  });

  test.each([
    ['nothing', new Uint8Array()],
    ['an EC point', new Uint8Array(65).fill(4)],
    ['other DER', Uint8Array.of(0x30, 3, 2, 1, 1)],
  ])('%s is no RSA key', (_what, bytes) => {
    expect(() => importPublicKey(bytes)).toThrow(expect.objectContaining({ code: 'bad-key', offset: 0 }));
    expect(() => rsaModulus(bytes)).toThrow(expect.objectContaining({ name: 'FormatError' }));
  });
});

describe('isIssuedBy', () => {
  test('only the issuer’s key made the signature', () => {
    const self = load(`${vectors}rsa-1024-utf8.der`);
    const other = load(`${vectors}rsa-2048-printable.der`);
    const curve = load(`${vectors}ec-p256-bmp.der`);
    expect([isIssuedBy(self, self), isIssuedBy(other, other), isIssuedBy(curve, curve)]).toEqual([true, true, true]);
    expect([isIssuedBy(self, other), isIssuedBy(self, curve), isIssuedBy(curve, self)]).toEqual([false, false, false]);
  });

  test('a key that OpenSSL cannot read issues nothing', () => {
    const self = load(`${vectors}rsa-1024-utf8.der`);
    const der = Buffer.from(self.der);
    const oid = der.indexOf(Buffer.from('06092a864886f70d010101', 'hex'));
    der[oid + 10] = 0x7f;
    const strange = decodeCertificate(new Uint8Array(der));
    expect(strange.keyType).toBe('other');
    expect(isIssuedBy(self, strange)).toBe(false);
  });
});
