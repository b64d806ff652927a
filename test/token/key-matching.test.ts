import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { generateRsaKey, issueCertificate, rsaModulus, type Certificate } from '../../src/x509/index.js';
import type { KeyObjectDescription, TokenObjects } from '../../src/token/host-protocol.js';
import { keyOfCertificate, selectSigningKey, type TokenCertificate } from '../../src/token/key-matching.js';
import { sastCertificatesOf } from '../../src/token/sast-certificates.js';
import { tokenInfo } from '../../src/token/token-info.js';

const library = { manufacturer: '', description: '', version: '1.0' };
const description = {
  slotId: 1,
  slotDescription: '',
  slotManufacturer: '',
  manufacturer: '',
  model: '',
  firmware: '1.0',
  hardware: '1.0',
};
const token = tokenInfo({ ...description, label: 'T', serialNumber: '1', flags: 0x40d }, library, '/m.so');

let handles = 0;

function privateKey(fields: Partial<KeyObjectDescription>): KeyObjectDescription {
  handles += 1;
  const handle = Uint8Array.of(handles);
  return {
    kind: 'private',
    handle,
    id: new Uint8Array(),
    label: '',
    keyType: 0,
    usable: true,
    alwaysAuthenticates: false,
    ...fields,
  };
}

async function certificateOf(name: string, years = 10): Promise<Certificate> {
  const key = await generateRsaKey(1024);
  const subject = [{ type: 'CN', value: name }];
  const notAfter = new Date(Date.UTC(2026 + years, 0, 1));
  const notBefore = new Date(Date.UTC(2026, 0, 1));
  return issueCertificate(
    { subject, publicKey: key, serialNumber: Uint8Array.of(1), notBefore, notAfter },
    { name: subject, key },
  );
}

function stored(certificate: Certificate, id: readonly number[] = [], label = ''): TokenCertificate {
  return { certificate, id: Uint8Array.from(id), label };
}

function objectsOf(keys: readonly KeyObjectDescription[], ...certificates: readonly TokenCertificate[]): TokenObjects {
  return {
    keys,
    certificates: certificates.map(({ certificate, id, label }) => ({ der: certificate.der, id, label })),
  };
}

let sast: Certificate;
let other: Certificate;
beforeAll(async () => {
  sast = await certificateOf('SAST-ADN12345678        ');
  other = await certificateOf('Example Person');
});

describe('keyOfCertificate', () => {
  test('goes by public key before id and label', () => {
    const decoy = privateKey({ id: Uint8Array.of(7), label: 'x', modulus: rsaModulus(other.publicKey) });
    const right = privateKey({ id: Uint8Array.of(8), modulus: rsaModulus(sast.publicKey) });
    expect(keyOfCertificate(stored(sast, [7], 'x'), [decoy, right])).toBe(right);
    expect(keyOfCertificate(stored(sast, [7], 'x'), [decoy])).toBeUndefined();
  });

  test('goes by id, then by label, when the key does not tell its modulus', () => {
    const byLabel = privateKey({ id: Uint8Array.of(9), label: 'x' });
    const byId = privateKey({ id: Uint8Array.of(7), label: 'y' });
    expect(keyOfCertificate(stored(sast, [7], 'x'), [byLabel, byId])).toBe(byId);
    expect(keyOfCertificate(stored(sast, [1], 'x'), [byLabel, byId])).toBe(byLabel);
  });

  test('an empty id and an empty label match nothing', () => {
    expect(keyOfCertificate(stored(sast), [privateKey({})])).toBeUndefined();
  });
});

describe('selectSigningKey', () => {
  test('takes the modulus of the public half when the private one does not tell', () => {
    const id = Uint8Array.of(7);
    const mine = privateKey({ id });
    const half = privateKey({ kind: 'public', id, modulus: rsaModulus(sast.publicKey) });
    const found = selectSigningKey(objectsOf([mine, half], stored(sast, [99])), {}, 'T');
    expect(found.key.handle).toBe(mine.handle);
    expect(found.certificate?.certificate.der).toEqual(sast.der);
  });

  test('of several keys takes the one with a SAST certificate, whatever their order', () => {
    const first = privateKey({ modulus: rsaModulus(other.publicKey) });
    const second = privateKey({ modulus: rsaModulus(sast.publicKey) });
    const objects = objectsOf([first, second], stored(other), stored(sast));
    expect(selectSigningKey(objects, {}, 'T').key.handle).toBe(second.handle);
  });

  test('takes the key that id or label name, of the key or of its certificate', () => {
    const first = privateKey({ id: Uint8Array.of(1), label: 'first', modulus: rsaModulus(other.publicKey) });
    const second = privateKey({ id: Uint8Array.of(2), label: 'second', modulus: rsaModulus(sast.publicKey) });
    const objects = objectsOf([first, second], stored(other, [3], 'third'), stored(sast));
    for (const wanted of [
      { id: Uint8Array.of(1) },
      { object: 'first' },
      { id: Uint8Array.of(3) },
      { object: 'third' },
    ]) {
      expect(selectSigningKey(objects, wanted, 'T').key.handle).toBe(first.handle);
    }
    expect(() => selectSigningKey(objects, { object: 'fourth' }, 'T')).toThrow(
      expect.objectContaining({ code: 'key-not-found', message: expect.stringContaining('label "first"') as string }),
    );
  });

  test('several keys that are as good as each other are listed, not guessed', () => {
    const keys = [privateKey({ label: 'a' }), privateKey({ label: 'b' })];
    expect(() => selectSigningKey(objectsOf(keys), {}, 'T')).toThrow(
      expect.objectContaining({
        code: 'several-keys',
        message: expect.stringMatching(/label "a"[\s\S]*label "b"/) as string,
      }),
    );
  });

  test('of two certificates for one key takes the newer', async () => {
    const key = await generateRsaKey(1024);
    const name = [{ type: 'CN', value: 'SAST-X' }];
    const issue = (year: number): Promise<Certificate> =>
      issueCertificate(
        {
          subject: name,
          publicKey: key,
          serialNumber: Uint8Array.of(1),
          notBefore: new Date(0),
          notAfter: new Date(Date.UTC(year, 1)),
        },
        { name, key },
      );
    const [older, newer] = [await issue(2027), await issue(2037)];
    const objects = objectsOf([privateKey({ modulus: rsaModulus(older.publicKey) })], stored(older), stored(newer));
    expect(selectSigningKey(objects, {}, 'T').certificate?.certificate.der).toEqual(newer.der);
  });

  test('a given certificate chooses its key, and no key but its own', () => {
    const first = privateKey({ modulus: rsaModulus(other.publicKey) });
    expect(selectSigningKey(objectsOf([first], stored(sast)), {}, 'T', other).key.handle).toBe(first.handle);
    expect(() => selectSigningKey(objectsOf([first]), {}, 'T', sast)).toThrow(
      expect.objectContaining({ name: 'ProofError', code: 'key-mismatch' }),
    );
  });

  test.each([
    ['no key at all', [], 'no private key'],
    ['an EC key', [privateKey({ keyType: 3 })], 'no RSA key that may sign (1 others)'],
    ['a key that may not sign', [privateKey({ usable: false })], 'no RSA key that may sign (1 others)'],
  ])('%s is said in words', (_, keys, words) => {
    expect(() => selectSigningKey(objectsOf(keys), {}, 'T')).toThrow(
      expect.objectContaining({ code: 'key-not-found', message: expect.stringContaining(words) as string }),
    );
  });
});

describe('which certificates can sign trust lists', () => {
  const half = (certificate: Certificate): KeyObjectDescription =>
    privateKey({ kind: 'public', modulus: rsaModulus(certificate.publicKey) });
  const names = (objects: TokenObjects, allVisible: boolean): unknown[] =>
    sastCertificatesOf(token, objects, allVisible).map(({ certificate, hasPrivateKey }) => [
      certificate.subject[0]?.value.trim(),
      hasPrivateKey,
    ]);

  test('a SAST certificate by its name, also when its key cannot be seen or is not there', () => {
    expect(names(objectsOf([], stored(sast)), false)).toEqual([['SAST-ADN12345678', 'unknown']]);
    expect(names(objectsOf([], stored(sast)), true)).toEqual([['SAST-ADN12345678', false]]);
  });

  test('any certificate whose private key can sign', () => {
    const mine = privateKey({ modulus: rsaModulus(other.publicKey) });
    expect(names(objectsOf([mine], stored(other)), true)).toEqual([['Example Person', true]]);
    expect(names(objectsOf([{ ...mine, usable: false }], stored(other)), true)).toEqual([]);
  });

  test('behind the PIN, a public key beside it tells an own certificate from that of an authority', () => {
    expect(names(objectsOf([half(other)], stored(other)), false)).toEqual([['Example Person', 'unknown']]);
    expect(names(objectsOf([], stored(other)), false)).toEqual([]);
  });

  test('the same certificate stored twice is listed once, and an object that is none not at all', () => {
    const objects = objectsOf([], stored(sast), stored(sast, [1]));
    const broken = { der: Uint8Array.of(0x30, 0x03, 1, 2), id: new Uint8Array(), label: '' };
    expect(names({ ...objects, certificates: [broken, ...objects.certificates] }, false)).toHaveLength(1);
  });

  test('a certificate with an EC key is matched by id', () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const ec = {
      ...other,
      keyType: 'ec' as const,
      publicKeyInfo: pair.publicKey.export({ format: 'der', type: 'spki' }),
    };
    const key = privateKey({ keyType: 3, id: Uint8Array.of(4) });
    expect(keyOfCertificate({ certificate: ec, id: Uint8Array.of(4), label: '' }, [key])).toBe(key);
  });
});
