import { createPublicKey } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { equalBytes } from '../../src/bytes/index.js';
import { createSoftwareSigner, type DigestAlgorithm, type Signer } from '../../src/signer/index.js';
import {
  decodeTrustList,
  draftOfRecord,
  largestTrustList,
  signTrustList,
  trustListKind,
  verifyTrustList,
  type TrustListDraft,
} from '../../src/trust-list/index.js';
import { generateRsaKey, issueCertificate } from '../../src/x509/index.js';
import { makeFolder, openssl, runOpenssl } from '../x509/openssl.js';
import { cutSignature, tags, text } from './pieces.js';
import { hashRecordPieces, makeListSigner, recordPieces } from './small-lists.js';

const folder = makeFolder();
afterAll(() => folder.remove());

const signer = await makeListSigner();
const other = await makeListSigner('another', 0x11);

function draft(changes: Partial<TrustListDraft> = {}): TrustListDraft {
  return {
    version: { major: 1, minor: 2 },
    digestAlgorithm: 'sha1',
    fileName: text('CTLFile.tlv'),
    timestamp: 1_425_675_367,
    records: [recordPieces(2, other), recordPieces(0, other), recordPieces(0, signer), hashRecordPieces(4, signer)],
    signingRecord: 2,
    ...changes,
  };
}

describe('openssl accepts the signature over the bytes that the format page says are signed', () => {
  test.each<[DigestAlgorithm, number]>([
    ['sha1', 1024],
    ['sha256', 1024],
    ['sha512', 1024],
    ['sha512', 2048],
  ])('%s with %i bits', async (digestAlgorithm, bits) => {
    const key = await generateRsaKey(bits);
    const request = { ...signer.certificate, publicKey: key };
    const certificate = await issueCertificate(request, { name: request.subject, key });
    const own = { ...signer, certificate, key };
    const records = [recordPieces(0, own), recordPieces(2, own)];
    const list = await signTrustList(
      draft({ digestAlgorithm, records, signingRecord: 0 }),
      createSoftwareSigner(certificate, key),
    );
    const { signed, signature } = cutSignature(list.bytes);
    expect(signature).toHaveLength(bits / 8);
    expect(signed).toHaveLength(list.bytes.length - 3 - signature.length);
    const publicKey = createPublicKey(key).export({ format: 'pem', type: 'spki' }).toString();
    const verify = ['dgst', `-${digestAlgorithm}`, '-verify', folder.write('public.pem', publicKey)];
    const files = ['-signature', folder.write('signature', signature)];
    expect(openssl([...verify, ...files, folder.write('signed', signed)]).toString()).toBe('Verified OK\n');
    signed[signed.length - 1]! ^= 1;
    expect(runOpenssl([...verify, ...files, folder.write('signed', signed)]).stdout.toString()).toBe(
      'Verification failure\n',
    );
  });
});

describe('what signTrustList writes', () => {
  test('names the signing record byte for byte in its header', async () => {
    const list = await signTrustList(draft(), signer.signer);
    expect(verifyTrustList(list)).toMatchObject({ verified: true, signer: { offset: list.records[2]!.offset } });
    expect(list.header).toMatchObject({
      version: { major: 1, minor: 2 },
      signerName: 'CN=cucm-1051-a-pub',
      issuerName: 'CN=cucm-1051-a-pub',
      serialNumber: signer.serialNumber,
      digestAlgorithm: 'sha1',
      signatureAlgorithm: 0,
      fileName: 'CTLFile.tlv',
      timestamp: 1_425_675_367,
    });
    expect(list.header.signerVersion).toBeUndefined();
    expect(list.header.length % 4).toBe(0);
  });

  test('repeats strange bytes of names and serials, as a present file has them', async () => {
    const name = Uint8Array.of(0xff, 0x22, 0x20, 0);
    const serialNumber = Uint8Array.of(0, 0, 0x83, 0xe9);
    const record = recordPieces(0, { ...signer, name, serialNumber });
    const list = await signTrustList(draft({ records: [record], signingRecord: 0 }), signer.signer);
    const { start } = cutSignature(list.bytes);
    expect(Buffer.from(list.bytes.subarray(0, start)).includes(Buffer.from(name))).toBe(true);
    expect(list.header.serialNumber).toEqual(serialNumber);
    expect(verifyTrustList(list).verified).toBe(true);
  });

  test('is the file again when its own records are signed again', async () => {
    const list = await signTrustList(draft({ signerVersion: { major: 1, minor: 1 } }), signer.signer);
    const records = list.records.map(draftOfRecord);
    const again = await signTrustList(draft({ records, signerVersion: { major: 1, minor: 1 } }), signer.signer);
    expect(equalBytes(again.bytes, list.bytes)).toBe(true);
    expect(equalBytes(decodeTrustList(list.bytes).bytes, list.bytes)).toBe(true);
  });

  test('may be larger than phones load: that is for the builder to refuse', async () => {
    const records = Array.from({ length: 100 }, () => recordPieces(2, other));
    const list = await signTrustList(
      draft({ records: [recordPieces(0, signer), ...records], signingRecord: 0 }),
      signer.signer,
    );
    expect(list.bytes.length).toBeGreaterThan(largestTrustList);
  });
});

describe('what signTrustList refuses', () => {
  test.each([
    ['a record that is not there', 9],
    ['a negative one', -1],
    ['a record of another function', 0],
  ])('%s as signing record', async (_what, signingRecord) => {
    await expect(signTrustList(draft({ signingRecord }), signer.signer)).rejects.toMatchObject({
      code: 'no-signing-record',
    });
  });

  test.each([tags.record.subjectName, tags.record.issuerName, tags.record.serialNumber])(
    'a signing record without element %i',
    async (tag) => {
      const records = [recordPieces(0, signer).filter((piece) => piece.tag !== tag)];
      const wrong = draft({ records, signingRecord: 0 });
      await expect(signTrustList(wrong, signer.signer)).rejects.toMatchObject({ code: 'no-signing-record' });
    },
  );

  test('a signer whose key is not in the signing record', async () => {
    await expect(signTrustList(draft({ signingRecord: 1 }), signer.signer)).rejects.toMatchObject({
      code: 'key-mismatch',
      message: expect.stringContaining('CN=cucm-1051-a-pub') as string,
      hint: 'sign with the key of the certificate in the signing record',
    });
  });

  test('two signing records with different keys', async () => {
    const impostor = recordPieces(0, { ...other, name: signer.name, serialNumber: signer.serialNumber });
    const records = [recordPieces(0, signer), impostor];
    await expect(signTrustList(draft({ records, signingRecord: 0 }), signer.signer)).rejects.toMatchObject({
      code: 'no-signing-record',
    });
  });

  test('a signer that gives a signature of something else', async () => {
    const wrong: Signer = { ...signer.signer, sign: () => Promise.resolve(new Uint8Array(128)) };
    await expect(signTrustList(draft(), wrong)).rejects.toMatchObject({ code: 'signature-mismatch' });
    const short: Signer = { ...signer.signer, sign: () => Promise.resolve(new Uint8Array(127)) };
    await expect(signTrustList(draft(), short)).rejects.toMatchObject({ code: 'key-mismatch' });
  });

  test('a digest that the signer cannot sign', async () => {
    const old: Signer = { ...signer.signer, digests: ['sha1'] };
    await expect(signTrustList(draft({ digestAlgorithm: 'sha512' }), old)).rejects.toMatchObject({
      code: 'unsupported-digest',
    });
  });

  test('a key of a size that SIGNATUREMODULUS has no number for', async () => {
    const key = await generateRsaKey(1536);
    const certificate = await issueCertificate({ ...signer.certificate, publicKey: key }, { name: [], key });
    const records = [recordPieces(0, { ...signer, certificate })];
    await expect(
      signTrustList(draft({ records, signingRecord: 0 }), createSoftwareSigner(certificate, key)),
    ).rejects.toMatchObject({ code: 'unsupported-key', message: expect.stringContaining('1536 bits') as string });
  });

  test.each([-1, 2 ** 32, 1.5, Number.NaN, 1_700_000_000_000])('the timestamp %d', async (timestamp) => {
    await expect(signTrustList(draft({ timestamp }), signer.signer)).rejects.toMatchObject({
      code: 'bad-value',
      element: 'TIMESTAMP',
    });
  });

  test('a draft that is no list: the element is named', async () => {
    await expect(signTrustList(draft({ fileName: Buffer.from('CTLFile.tlv') }), signer.signer)).rejects.toMatchObject({
      code: 'bad-text',
      element: 'FILENAME',
    });
    const records = [recordPieces(0, signer), recordPieces(2, signer).slice(1, 3)];
    await expect(signTrustList(draft({ records, signingRecord: 0 }), signer.signer)).rejects.toMatchObject({
      code: 'missing-element',
      element: 'ISSUERNAME',
    });
  });

  test('a record or header that is too large', async () => {
    const huge = { tag: 99, value: new Uint8Array(65_000) };
    const records = [[...recordPieces(0, signer), huge]];
    await expect(signTrustList(draft({ records, signingRecord: 0 }), signer.signer)).rejects.toMatchObject({
      code: 'too-large',
      element: 'RECORDLENGTH',
    });
    await expect(signTrustList(draft({ fileName: text('x'.repeat(65_400)) }), signer.signer)).rejects.toMatchObject({
      code: 'too-large',
      element: 'HEADERLENGTH',
    });
  });
});

test('a file says by its name what it is', () => {
  const kinds = [
    'CTLFile.tlv',
    'ITLFile.tlv',
    'ITLSEP001122334455.tlv',
    'ctlfile.tlv',
    'SEP001122334455.cnf.xml.sgn',
    '',
  ];
  expect(kinds.map(trustListKind)).toEqual(['CTL', 'ITL', 'ITL', 'CTL', undefined, undefined]);
});
