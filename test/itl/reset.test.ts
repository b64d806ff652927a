import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseRelease, publisherOf, type Cluster, type ClusterNode } from '../../src/cluster/index.js';
import { createItl, emptyItl, itlSigner, resetItl } from '../../src/itl/index.js';
import { encodeText, findElement } from '../../src/tlv/index.js';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import {
  decodeTrustList,
  draftOfRecord,
  recordFunction,
  signTrustList,
  verifyTrustList,
  type TrustList,
} from '../../src/trust-list/index.js';
import { generateRsaKey, issueCertificate } from '../../src/x509/index.js';
import { expectOpensslVerifies } from './openssl.js';

const options = { timestamp: 1_700_000_000 };

let serialNumber = 1;

async function makeSigner(commonName: string, key?: Awaited<ReturnType<typeof generateRsaKey>>): Promise<Signer> {
  const own = key ?? (await generateRsaKey(1024));
  const name = [
    { type: 'CN', value: commonName },
    { type: 'O', value: 'Cisco' },
  ];
  serialNumber += 1;
  const request = {
    subject: name,
    publicKey: own,
    serialNumber: Uint8Array.of(0x61, serialNumber),
    notBefore: new Date('2020-01-01T00:00:00Z'),
    notAfter: new Date('2040-01-01T00:00:00Z'),
  };
  return createSoftwareSigner(await issueCertificate(request, { name, key: own }), own);
}

const recoveryKey = await generateRsaKey(1024);
const callManager = await makeSigner('pub');
// The name is that of the host when the certificate was made, and stays when the host gets another one.
const recovery = await makeSigner('ITLRECOVERY_old-host-name', recoveryKey);
const capf = await makeSigner('CAPF-12345678');
const tvs = await Promise.all(Array.from({ length: 4 }, (_, index) => makeSigner(`tvs${index}`)));
const stranger = await makeSigner('stranger');

interface ClusterChoice {
  readonly release: string;
  readonly isMixed: boolean;
  /** How many nodes run TVS, the publisher first. */
  readonly tvs: number;
  readonly hasCapf: boolean;
}

function clusterOf({ release, isMixed, tvs: count, hasCapf }: ClusterChoice): Cluster {
  const publisher: ClusterNode = {
    name: 'pub',
    address: '10.0.0.1',
    services: [
      'CallManager',
      'TFTP',
      ...(hasCapf ? (['CAPF'] as const) : []),
      ...(count > 0 ? (['TVS'] as const) : []),
    ],
    certificates: {
      CallManager: callManager.certificate,
      CAPF: capf.certificate,
      TVS: tvs[0]!.certificate,
      ITLRecovery: recovery.certificate,
    },
    keys: {},
  };
  const others = tvs.slice(1, Math.max(1, count)).map(({ certificate }, index): ClusterNode => ({
    name: `sub${index}`,
    address: `10.0.0.${index + 2}`,
    services: ['TVS'],
    certificates: { TVS: certificate },
    keys: {},
  }));
  return {
    release: parseRelease(release),
    securityMode: isMixed ? 'mixed' : 'non-secure',
    nodes: [publisher, ...others],
    trustStores: {},
  };
}

const usual: ClusterChoice = { release: '11.5.1', isMixed: true, tvs: 2, hasCapf: true };
let list: TrustList;
beforeAll(async () => {
  const cluster = clusterOf(usual);
  list = await createItl(cluster, publisherOf(cluster), callManager, options);
});

describe('resetItl', () => {
  test('keeps the records, FILENAME and the digest; names with an old host name stay as they are', async () => {
    const sha512 = await createItl(clusterOf(usual), publisherOf(clusterOf(usual)), callManager, {
      ...options,
      digestAlgorithm: 'sha512',
      fileName: 'ITLSEP001122334455.tlv',
    });
    const reset = await resetItl(sha512, recovery, { timestamp: options.timestamp + 60 });
    expect(reset.bytes.subarray(reset.header.length)).toEqual(sha512.bytes.subarray(sha512.header.length));
    expect(reset.header).toMatchObject({
      digestAlgorithm: 'sha512',
      fileName: 'ITLSEP001122334455.tlv',
      timestamp: options.timestamp + 60,
      signerName: 'CN=ITLRECOVERY_old-host-name;O=Cisco',
    });
    expectOpensslVerifies(reset, recovery.certificate);
    const other = await resetItl(sha512, recovery, { ...options, digestAlgorithm: 'sha1' });
    expect(other.header.digestAlgorithm).toBe('sha1');
  });

  test('keeps the signer version and the algorithm number of the present header', async () => {
    const records = list.records.map(draftOfRecord);
    const present = await signTrustList(
      {
        version: { major: 1, minor: 2 },
        signerVersion: { major: 1, minor: 1 },
        digestAlgorithm: 'sha1',
        signatureAlgorithm: 1,
        fileName: encodeText('ITLFile.tlv'),
        timestamp: options.timestamp,
        records,
        signingRecord: 0,
      },
      callManager,
    );
    for (const made of [await resetItl(present, recovery, options), await emptyItl(present, callManager, options)]) {
      expect(made.header).toMatchObject({ signerVersion: { major: 1, minor: 1 }, signatureAlgorithm: 1 });
    }
  });

  test('takes a list whose own signature is wrong, as a restored backup leaves it', async () => {
    const bytes = Uint8Array.from(list.bytes);
    bytes[list.header.signatureSpan.end - 1]! ^= 1;
    const broken = decodeTrustList(bytes);
    expect(verifyTrustList(broken)).toMatchObject({ verified: false, code: 'signature-mismatch' });
    const reset = await resetItl(broken, recovery, options);
    expect(verifyTrustList(reset)).toMatchObject({ verified: true });
  });

  test('and back: the CallManager signs again, and gives the list that was there, byte for byte', async () => {
    const reset = await resetItl(list, recovery, options);
    const back = await resetItl(reset, callManager, options);
    expect(Buffer.from(back.bytes).equals(list.bytes)).toBe(true);
  });

  test('refuses a key that no function-0 record has, and another certificate of the same key', async () => {
    const unknown = resetItl(list, stranger, options);
    await expect(unknown).rejects.toMatchObject({ name: 'ProofError', code: 'no-signing-record' });
    // CAPF stands in the list, and signs nothing.
    await expect(resetItl(list, capf, options)).rejects.toMatchObject({ code: 'no-signing-record' });
    const renewed = await makeSigner('ITLRECOVERY_new-host-name', recoveryKey);
    await expect(resetItl(list, renewed, options)).rejects.toMatchObject({ code: 'key-mismatch' });
  });

  test('a list of 9.1 has no ITLRecovery: nothing to reset with', async () => {
    const cluster = clusterOf({ ...usual, release: '9.1.2' });
    const nine = await createItl(cluster, publisherOf(cluster), callManager, options);
    expect(nine.records.map((record) => record.function)).toEqual([0, 2, 21, 4, 21]);
    await expect(resetItl(nine, recovery, options)).rejects.toMatchObject({ code: 'no-signing-record' });
    const direct = createItl(cluster, publisherOf(cluster), recovery, { ...options, signedBy: 'ITLRecovery' });
    await expect(direct).rejects.toMatchObject({ name: 'InputError', code: 'usage' });
  });
});

describe('who signs', () => {
  test.each([
    ['10.0', 'CallManager'],
    ['11.5(1)SU11', 'CallManager'],
    ['12.0', 'ITLRecovery'],
    ['15', 'ITLRecovery'],
  ] as const)('release %s: %s', (release, name) => {
    const cluster = clusterOf({ ...usual, release });
    expect(itlSigner(cluster, publisherOf(cluster)).name).toBe(name);
    expect(itlSigner(cluster, publisherOf(cluster), 'CallManager').certificate).toBe(callManager.certificate);
    expect(itlSigner(cluster, publisherOf(cluster), 'ITLRecovery').certificate).toBe(recovery.certificate);
  });

  test('a list that phones would not load is refused before its key is used', async () => {
    const cluster = clusterOf(usual);
    const [publisher, subscriber] = cluster.nodes;
    const many = Array.from({ length: 200 }, (_, index) => ({ ...subscriber!, name: `sub${index}` }));
    const unused: Signer = { ...callManager, sign: () => Promise.reject(new Error('the key was used')) };
    const large = createItl({ ...cluster, nodes: [publisher!, ...many] }, publisher!, unused, options);
    await expect(large).rejects.toMatchObject({ name: 'FormatError', code: 'too-large' });
  });
});

const choices = fc.record({
  release: fc.constantFrom('8.6.1', '9.1.2', '10.0.1', '11.5.1', '12.0', '14SU3'),
  isMixed: fc.boolean(),
  tvs: fc.integer({ min: 0, max: 4 }),
  hasCapf: fc.boolean(),
});
const digests = fc.constantFrom('sha1', 'sha256', 'sha512');

describe('for every cluster', () => {
  test('what is created decodes to itself, verifies, and has the records of the layout', async () => {
    await fc.assert(
      fc.asyncProperty(choices, digests, digests, async (choice, digestAlgorithm, hashAlgorithm) => {
        const cluster = clusterOf(choice);
        const signer = itlSigner(cluster, publisherOf(cluster)).name === 'CallManager' ? callManager : recovery;
        const more = { ...options, digestAlgorithm, hashAlgorithm };
        const made = await createItl(cluster, publisherOf(cluster), signer, more);
        const read = decodeTrustList(made.bytes);
        const verification = verifyTrustList(read);
        expect(verification).toMatchObject({ verified: true });
        expect(verification.verified && verification.signer.certificate).toEqual(signer.certificate.der);
        expect(read.header.digestAlgorithm).toBe(digestAlgorithm);
        const count = (role: number): number => read.records.filter((record) => record.function === role).length;
        const hasRecovery = !['8.6.1', '9.1.2'].includes(choice.release);
        expect(count(recordFunction.sast)).toBe(hasRecovery ? 2 : 1);
        expect(count(choice.isMixed ? recordFunction.ccmTftp : recordFunction.tftp)).toBe(1);
        expect(count(recordFunction.capf)).toBe(choice.hasCapf ? 1 : 0);
        expect(count(recordFunction.tvs)).toBe(choice.tvs);
        const hashes = read.records.flatMap((record) => record.hashAlgorithm ?? []);
        expect(new Set(hashes).size).toBeLessThanOrEqual(1);
        for (const hash of hashes) expect(hash).toBe(hashAlgorithm);
        expect(read.header.length % 4).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  test('a reset keeps the body, and only its signer is told as used', async () => {
    await fc.assert(
      fc.asyncProperty(choices, fc.integer({ min: 0, max: 0xffff_ffff }), async (choice, timestamp) => {
        fc.pre(!['8.6.1', '9.1.2'].includes(choice.release));
        const cluster = clusterOf(choice);
        const name = itlSigner(cluster, publisherOf(cluster)).name;
        const [first, second] = name === 'CallManager' ? [callManager, recovery] : [recovery, callManager];
        const made = await createItl(cluster, publisherOf(cluster), first, options);
        const reset = await resetItl(made, second, { timestamp });
        expect(reset.bytes.subarray(reset.header.length)).toEqual(made.bytes.subarray(made.header.length));
        const verification = verifyTrustList(reset);
        expect(verification.verified && verification.signer.certificate).toEqual(second.certificate.der);
        expect(reset.header.timestamp).toBe(timestamp);
      }),
      { numRuns: 30 },
    );
  });

  test('one bit that is changed anywhere breaks it', async () => {
    const reset = await resetItl(list, recovery, options);
    fc.assert(
      fc.property(
        fc.constantFrom(list, reset),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 0, max: 7 }),
        (of, place, bit) => {
          const bytes = Uint8Array.from(of.bytes);
          bytes[Math.floor(place * bytes.length)]! ^= 1 << bit;
          let verified: boolean;
          try {
            verified = verifyTrustList(decodeTrustList(bytes)).verified;
          } catch (error) {
            expect(error).toMatchObject({ name: 'FormatError' });
            verified = false;
          }
          expect(verified).toBe(false);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a wrong key is refused, before it is used', async () => {
    await fc.assert(
      fc.asyncProperty(choices, async (choice) => {
        const cluster = clusterOf(choice);
        const unused: Signer = { ...stranger, sign: () => Promise.reject(new Error('the key was used')) };
        const wrong = createItl(cluster, publisherOf(cluster), unused, options);
        await expect(wrong).rejects.toMatchObject({ code: 'key-mismatch' });
        await expect(resetItl(list, unused, options)).rejects.toMatchObject({ code: 'no-signing-record' });
        await expect(emptyItl(list, unused, options)).rejects.toMatchObject({ code: 'key-mismatch' });
      }),
      { numRuns: 12 },
    );
  });
});

test('DNSNAME is two bytes in every record', () => {
  for (const record of list.records) expect(findElement(record.elements, 2)?.value).toEqual(Uint8Array.of(0x20, 0));
});
