import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.js';
import { decodeCertificate, decodeCertificates, looksLikePkcs12 } from '../../src/x509/index.js';

const vectors = new URL('../vectors/x509/', import.meta.url);
const certificates = readdirSync(vectors)
  .filter((name) => name.endsWith('.der'))
  .map((name) => [name, new Uint8Array(readFileSync(new URL(name, vectors)))] as const);

/** Decodes, or is refused as no certificate with an offset inside the input; nothing else may happen. */
function decodesOrRefuses(bytes: Uint8Array): boolean {
  try {
    decodeCertificate(bytes);
    return true;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    expect(error.code).toBe('bad-certificate');
    expect(error.offset).toBeGreaterThanOrEqual(0);
    expect(error.offset).toBeLessThanOrEqual(bytes.length);
    return false;
  }
}

describe.each(certificates)('%s', (_name, der) => {
  test('cut off anywhere, or with a byte too many, is refused', () => {
    for (let length = 0; length < der.length; length += 1) {
      expect(decodesOrRefuses(der.subarray(0, length))).toBe(false);
    }
    expect(decodesOrRefuses(new Uint8Array([...der, 0]))).toBe(false);
  });

  test('with any byte changed decodes or is refused', () => {
    const refused = Array.from(der, (_, index) => {
      const changed = der.slice();
      changed[index] = (changed[index] ?? 0) ^ (1 << (index % 8));
      return decodesOrRefuses(changed) ? 0 : 1;
    });
    expect(refused).toContain(1);
    expect(refused).toContain(0);
  });

  test('changed in several places decodes or is refused', () => {
    const change = fc.tuple(fc.nat(der.length - 1), fc.oneof(fc.nat(255), fc.constantFrom(0, 0x7f, 0x80, 0x84, 0xff)));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const changed = der.slice();
        for (const [index, value] of changes) changed[index] = value;
        decodesOrRefuses(changed);
      }),
      { numRuns: 500 },
    );
  });
});

test('any bytes decode or are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      decodesOrRefuses(bytes);
      decodesOrRefuses(new Uint8Array([0x30, bytes.length % 128, ...bytes]));
      looksLikePkcs12(bytes);
    }),
    { numRuns: 2000 },
  );
});

test.each<[string, string, RegExp]>([
  ['an indefinite length', '3080020100', /^at byte 1: .*indefinite/],
  ['a length of five bytes', '308500000000010000000000', /^at byte 1: .*oversized/],
  ['a length longer than it need be', '30810130', /^at byte 1: .*longer than it need be/],
  ['a length beyond the end', '3082ffff30', /^at byte 4: .*65535 bytes expected, 1 left/],
  ['another tag', '040100', /^at byte 0: .*DER tag 0x30 expected, 0x04 found/],
])('%s is refused where it stands', (_what, hex, message) => {
  expect(() => decodeCertificate(new Uint8Array(Buffer.from(hex, 'hex')))).toThrow(message);
});

test('something after the signature, inside the certificate, is refused', () => {
  const der = certificates.find(([name]) => name === 'rsa-2048-printable.der')![1];
  const longer = new Uint8Array([...der, 5, 0]);
  const length = longer.length - 4;
  longer.set([length >> 8, length & 0xff], 2);
  expect(() => decodeCertificate(longer)).toThrow(expect.objectContaining({ offset: der.length }));
});

test('what is refused inside the key is refused at its place in the certificate', () => {
  const der = certificates.find(([name]) => name === 'rsa-1024-utf8.der')![1].slice();
  const key = Buffer.from(der).indexOf(Buffer.from('30818902818100', 'hex'));
  der[key + 3] = 0x04;
  expect(() => decodeCertificate(der)).toThrow(expect.objectContaining({ offset: key + 3 }));
});

test('a certificate that holds the words of PEM is still DER', () => {
  const der = certificates.find(([name]) => name === 'rsa-2048-printable.der')![1].slice();
  der.set(Buffer.from('-----BEGIN '), der.length - 100);
  expect(decodeCertificates(der)).toHaveLength(1);
});
