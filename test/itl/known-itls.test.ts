import { describe, expect, test } from 'vitest';
import { publisherOf } from '../../src/cluster/index.js';
import { createItl, resetItl } from '../../src/itl/index.js';
import {
  formatFunction,
  formatTrustList,
  readTrustList,
  verifyTrustList,
  type TrustList,
} from '../../src/trust-list/index.js';
import { knownList, rebuildCluster, serial } from './known-clusters.js';
import type { KnownList } from '../trust-list/known-lists.js';
import { expectOpensslVerifies } from './openssl.js';

const options = { timestamp: 1_393_439_067 };
const old = await rebuildCluster('itl-8x', '8.6.1', 'mixed');
const ten = await rebuildCluster('itl-10-callmanager', '10.0.1', 'non-secure');
const before = await createItl(ten.cluster, ten.publisher, ten.callManager, options);
const after = await resetItl(before, ten.recovery!, { timestamp: options.timestamp + 619 });

/** All that was printed of a list, but the hashes of certificates that are not ours. */
function expectAsPrinted(list: TrustList, known: KnownList): void {
  expect(list.bytes.length).toBe(known.length);
  expect(list.header).toMatchObject({
    version: { major: 1, minor: 2 },
    length: known.header.headerLength,
    signerName: known.header.signerName,
    issuerName: known.header.caName,
    digestAlgorithm: 'sha1',
    fileName: 'ITLFile.tlv',
  });
  expect(serial(list.header.serialNumber)).toBe(known.header.serialNumber);
  expect(list.header.signature).toHaveLength(known.header.signatureLength);
  const shown = formatTrustList(readTrustList(list.bytes), { kind: 'ITL' });
  const used = [...shown.matchAll(/^This etoken was (not )?used to sign the ITL file\.$/gm)].map(
    ([, not]) => not === undefined,
  );
  const records = list.records.map((record) => ({
    recordLength: record.length,
    dnsName: record.dnsName,
    subjectName: record.subjectName,
    function: formatFunction(record.function),
    issuerName: record.issuerName,
    serialNumber: serial(record.serialNumber!),
    publicKeyLength: record.publicKey?.length,
    signatureLength: record.signature?.length,
    certificateLength: record.certificate?.length ?? null,
    hashLength: record.certificateHash?.length ?? null,
    ipAddress: record.ipAddress !== undefined,
    usedToSign: record.function === 0 ? used.shift() : null,
  }));
  expect(records).toEqual(
    known.records.map((record) => ({
      recordLength: record.recordLength,
      dnsName: ' ',
      subjectName: record.subjectName,
      function: record.function,
      issuerName: record.issuerName,
      serialNumber: record.serialNumber,
      publicKeyLength: record.publicKeyLength,
      signatureLength: record.signatureLength,
      certificateLength: record.certificateLength,
      hashLength: record.certificateHash === null ? null : 20,
      ipAddress: record.ipAddress,
      usedToSign: record.usedToSign,
    })),
  );
  expect(shown).toMatch(/^The ITL file was verified successfully\.$/m);
}

describe('the three ITLs that real clusters printed, to the byte', () => {
  test('8.x, mixed: 5438 bytes, TVS before CAPF, the authority without its domain, no ITLRecovery', async () => {
    const list = await createItl(old.cluster, old.publisher, old.callManager, options);
    expectAsPrinted(list, old.list);
    expect(list.bytes).toHaveLength(5438);
    expectOpensslVerifies(list, old.callManager.certificate);
  });

  test('10.0, non-secure: 5302 bytes, signed by CallManager', () => {
    expectAsPrinted(before, ten.list);
    expect(before.bytes).toHaveLength(5302);
    expectOpensslVerifies(before, ten.callManager.certificate);
  });

  test('10.0 after the reset: 5322 bytes, signed by ITLRecovery', () => {
    expectAsPrinted(after, knownList('itl-10-recovery'));
    expect(after.bytes).toHaveLength(5322);
    expectOpensslVerifies(after, ten.recovery!.certificate);
  });

  test('the reset changes the header and the signature, and no byte of the records', () => {
    expect(after.bytes.subarray(after.header.length)).toEqual(before.bytes.subarray(before.header.length));
    expect(after.bytes.length - before.bytes.length).toBe(20);
    expect([before.header.length, after.header.length]).toEqual([324, 344]);
    const signers = [before, after].map((list) => {
      const verification = verifyTrustList(list);
      return verification.verified ? list.records.indexOf(verification.signer) : verification.reason;
    });
    expect(signers).toEqual([0, 4]);
    // The rows of `show` below the header are the same but for who was used to sign.
    const rows = [before, after].map((list) => {
      const shown = formatTrustList(readTrustList(list.bytes), { kind: 'ITL' });
      return shown.slice(shown.indexOf('ITL Record #:1')).replaceAll(/was (not )?used/g, 'was');
    });
    expect(rows[1]).toBe(rows[0]);
  });

  test('the list that ITLRecovery signs from the beginning is the one that a reset gives', async () => {
    const direct = { timestamp: options.timestamp + 619, signedBy: 'ITLRecovery' } as const;
    const list = await createItl(ten.cluster, publisherOf(ten.cluster), ten.recovery!, direct);
    expect(Buffer.from(list.bytes).equals(after.bytes)).toBe(true);
  });
});
