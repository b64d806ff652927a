import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { equalBytes } from '../../src/bytes/index.js';
import { FormatError } from '../../src/errors.js';
import { createSoftwareSigner, type DigestAlgorithm } from '../../src/signer/index.js';
import {
  clusterIdentity,
  decodeHeaderElements,
  decodeSignedFile,
  decodeSignedHeader,
  digestCode,
  digestCodes,
  headerElements,
  signedParts,
  signFile,
  signWithHeader,
  verifySignature,
  verifySignedFile,
} from '../../src/signed-file/index.js';
import { encodeElements, encodeText } from '../../src/tlv/index.js';
import { decodeCertificate, generateRsaKey, issueCertificate } from '../../src/x509/index.js';
import { cutSignature } from '../trust-list/pieces.js';
import { decodeOrRefuse } from '../trust-list/read-or-refuse.js';
import { makeListSigner } from '../trust-list/small-lists.js';
import { makeFolder, openssl } from '../x509/openssl.js';

const folder = makeFolder();
afterAll(() => folder.remove());

const signer = await makeListSigner();
const other = await makeListSigner();
const content = new TextEncoder().encode('<device><fullConfig>false</fullConfig></device>\n');
const options = { name: 'SEP001122334455.cnf.xml', timestamp: 1_425_675_367 };
const file = await signFile(content, options, signer.signer);

describe('a signed file', () => {
  test('is a header of version 1.0 and the plain file', () => {
    const decoded = decodeSignedFile(file);
    expect(decoded.header).toMatchObject({
      version: { major: 1, minor: 0 },
      signerName: 'CN=cucm-1051-a-pub',
      issuerName: 'CN=cucm-1051-a-pub',
      serialNumber: signer.serialNumber,
      digestAlgorithm: 'sha1',
      signatureAlgorithm: 0,
      fileName: 'SEP001122334455.cnf.xml.sgn',
      timestamp: 1_425_675_367,
    });
    expect(decoded.header.length % 4).toBe(0);
    expect(decoded.content).toEqual(content);
    expect(decoded.content.buffer).toBe(file.buffer);
    expect(equalBytes(decoded.bytes, file)).toBe(true);
  });

  test('has its elements in the order of clusters', () => {
    const { elements } = decodeHeaderElements(file);
    const tags = elements.flatMap(({ tag, children }) => [tag, ...(children ?? []).map((child) => child.tag)]);
    expect(tags.filter((tag) => tag !== 13)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15]);
    expect(
      equalBytes(encodeElements(elements, headerElements), file.subarray(0, decodeSignedHeader(file).length)),
    ).toBe(true);
  });

  test('comes back for any content, name and time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 500 }),
        fc.string({ unit: 'grapheme', maxLength: 40 }).filter((name) => !name.includes('\0')),
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.constantFrom<DigestAlgorithm>('sha1', 'sha256', 'sha512'),
        async (bytes, name, timestamp, digestAlgorithm) => {
          const signed = await signFile(bytes, { name, timestamp, digestAlgorithm }, signer.signer);
          const decoded = decodeSignedFile(signed);
          expect(decoded.content).toEqual(bytes);
          expect(decoded.header).toMatchObject({ fileName: `${name}.sgn`, timestamp, digestAlgorithm });
          expect(verifySignedFile(decoded, signer.certificate)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('openssl accepts the signature over the bytes that the format page says are signed', () => {
  test.each<[DigestAlgorithm, number]>([
    ['sha1', 1024],
    ['sha512', 2048],
  ])('%s with %i bits', async (digestAlgorithm, bits) => {
    const key = await generateRsaKey(bits);
    const request = { ...signer.certificate, publicKey: key };
    const certificate = await issueCertificate(request, { name: request.subject, key });
    const signed = await signFile(content, { ...options, digestAlgorithm }, createSoftwareSigner(certificate, key));
    const cut = cutSignature(signed);
    const publicKey = createPublicKey(key).export({ format: 'pem', type: 'spki' }).toString();
    const printed = openssl([
      ...['dgst', `-${digestAlgorithm}`, '-verify', folder.write('public.pem', publicKey)],
      ...['-signature', folder.write('signature', cut.signature), folder.write('signed', cut.signed)],
    ]);
    expect(printed.toString()).toBe('Verified OK\n');
    const parts = signedParts(signed, decodeSignedHeader(signed));
    expect(Buffer.concat(parts)).toEqual(Buffer.from(cut.signed));
  });
});

describe('verification', () => {
  test('wants the certificate whose key signed', () => {
    const decoded = decodeSignedFile(file);
    expect(verifySignedFile(decoded, signer.certificate)).toBe(true);
    expect(verifySignedFile(decoded, other.certificate)).toBe(false);
  });

  test('fails for every single byte changed', () => {
    const changed = file.slice();
    for (let index = 0; index < file.length; index += 1) {
      changed[index] = (file[index] ?? 0) ^ (1 << (index % 8));
      const decoded = decodeOrRefuse(changed, decodeSignedFile);
      if (!(decoded instanceof FormatError)) expect(verifySignedFile(decoded, signer.certificate)).toBe(false);
      changed[index] = file[index] ?? 0;
    }
  });

  test('fails for content cut off or made longer', () => {
    for (const wrong of [file.subarray(0, -1), new Uint8Array([...file, 13])]) {
      expect(verifySignedFile(decodeSignedFile(wrong), signer.certificate)).toBe(false);
    }
  });

  test('says no for keys that are not RSA', () => {
    const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(verifySignature(file, decodeSignedHeader(file), curve.publicKey)).toBe(false);
    const strange = { ...signer.certificate, keyType: 'ec' } as const;
    expect(verifySignedFile(decodeSignedFile(file), strange)).toBe(false);
  });
});

describe('what is no signed file', () => {
  test('a trust list', async () => {
    const list = await signWithHeader(
      {
        version: { major: 1, minor: 2 },
        signer: clusterIdentity(signer.certificate),
        digestAlgorithm: 'sha1',
        fileName: encodeText('CTLFile.tlv'),
        timestamp: 0,
      },
      new Uint8Array(),
      signer.signer,
    );
    expect(() => decodeSignedFile(list)).toThrow(
      expect.objectContaining({ code: 'bad-value', offset: 3, element: 'VERSION' }),
    );
    expect(() => decodeSignedFile(list)).toThrow('version 1.0 expected, 1.2 found');
  });

  test('a file cut off inside its header, anywhere', () => {
    const { length } = decodeSignedHeader(file);
    for (let end = 0; end < length; end += 1) {
      expect(decodeOrRefuse(file.subarray(0, end), decodeSignedFile)).toBeInstanceOf(FormatError);
    }
  });

  test('plain text and a certificate', () => {
    expect(() => decodeSignedFile(content)).toThrow(expect.objectContaining({ code: 'bad-value', offset: 0 }));
    const refused = decodeOrRefuse(signer.certificate.der, decodeSignedFile) as FormatError;
    expect(refused.hint).toContain('a certificate or key in DER');
  });
});

describe('signing refuses', () => {
  test('a name with a NUL, which no phone could read', async () => {
    await expect(signFile(content, { ...options, name: 'a\0b' }, signer.signer)).rejects.toMatchObject({
      code: 'bad-text',
      element: 'FILENAME',
    });
  });

  test('a time that does not fit', async () => {
    await expect(signFile(content, { ...options, timestamp: 2 ** 32 }, signer.signer)).rejects.toMatchObject({
      code: 'bad-value',
      element: 'TIMESTAMP',
      hint: 'TIMESTAMP holds whole seconds since 1970-01-01 UTC',
    });
  });
});

test('a file names its signer as the phones’ lists spell it', async () => {
  const identity = {
    signerName: encodeText('cn="SAST"'),
    serialNumber: Uint8Array.of(9, 8),
    issuerName: Uint8Array.of(0xff, 0),
  };
  const decoded = decodeSignedFile(await signFile(content, { ...options, identity }, signer.signer));
  expect(decoded.header).toMatchObject({
    signerName: 'cn="SAST"',
    serialNumber: Uint8Array.of(9, 8),
    issuerName: '\ufffd',
  });
  const fromCertificate = clusterIdentity(decodeCertificate(signer.certificate.der));
  expect(fromCertificate.signerName).toEqual(encodeText('CN=cucm-1051-a-pub'));
  expect(fromCertificate.serialNumber).toEqual(signer.serialNumber);
});

test('digests and their numbers belong together', () => {
  expect([...digestCodes].map(([code, name]) => [code, digestCode(name)])).toEqual([
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
});
