import { describe, expect, test } from 'vitest';
import { findElement } from '../../src/tlv/index.js';
import { headerTag } from '../../src/signed-file/index.js';
import { decodeTrustList, encodeTrustList, formatTrustList, verifyTrustList } from '../../src/trust-list/index.js';
import { knownLists, rebuildKnownList, type KnownList } from './known-lists.js';

test('all six lists of real clusters are here', () => {
  expect(knownLists.map((list) => list.id)).toEqual([
    'itl-8x',
    'itl-10-callmanager',
    'itl-10-recovery',
    'ctl-tokenless',
    'ctl-two-tokens',
    'ctl-regenerated-2048',
  ]);
});

/** The rows that `show` must print for a list, in order: tag, name, length, and the value where there is one. */
function expectedRows(list: KnownList): string[] {
  const { header } = list;
  const rows = [
    `3 SIGNERID 2 ${header.signerIdValue}`,
    `4 SIGNERNAME ${header.signerName.length + 1} ${header.signerName}`,
    `5 SERIALNUMBER ${header.serialNumber.split(':').length} ${header.serialNumber}`,
    `6 CANAME ${header.caName.length + 1} ${header.caName}`,
    '7 SIGNATUREINFO 2 15',
    '8 DIGESTALGORTITHM 1',
    '9 SIGNATUREALGOINFO 2 8',
    '10 SIGNATUREALGORTITHM 1',
    '11 SIGNATUREMODULUS 1',
    `12 SIGNATURE ${header.signatureLength}`,
    '14 FILENAME 12',
    '15 TIMESTAMP 4',
  ];
  list.records.forEach((record, index) => {
    rows.push(`${list.kind} Record #:${index + 1}`, `1 RECORDLENGTH 2 ${record.recordLength}`);
    const names: Record<number, string> = { 13: '10.48.47.153', 16: 'cucm-1051-a-pub', 17: 'cucm-1051-a-sub1' };
    const name = names[record.dnsNameLength];
    rows.push(`2 DNSNAME ${record.dnsNameLength} ${name ?? ''}`.trim());
    rows.push(`3 SUBJECTNAME ${record.subjectNameLength} ${record.subjectName}`);
    rows.push(`4 FUNCTION 2 ${record.function}`);
    rows.push(`5 ISSUERNAME ${record.issuerNameLength} ${record.issuerName}`);
    rows.push(`6 SERIALNUMBER ${record.serialNumber.split(':').length} ${record.serialNumber}`);
    rows.push(`7 PUBLICKEY ${record.publicKeyLength}`);
    if (record.signatureLength !== null) rows.push(`8 SIGNATURE ${record.signatureLength}`);
    if (record.certificateLength === null) {
      rows.push(`11 CERTHASH 20 ${record.certificateHash?.match(/../g)?.join(' ') ?? ''}`, '12 HASH ALGORITHM 1 SHA-1');
    } else rows.push(`9 CERTIFICATE ${record.certificateLength} (SHA1 Hash HEX)`);
    if (record.ipAddress) rows.push('10 IPADDRESS 4');
    if (record.usedToSign !== null) {
      rows.push(`This etoken was ${record.usedToSign ? '' : 'not '}used to sign the ${list.kind} file.`);
    }
  });
  return [...rows, `The ${list.kind} file was verified successfully.`];
}

/** What was printed, with columns folded to one blank and the hex of signatures and certificates left out. */
function printedRows(text: string): string[] {
  const body = text.slice(text.indexOf('3       SIGNERID'));
  return body
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^ {8}[0-9a-f]{1,2}( {2}|$)/.test(line))
    .filter((line) => !/^(BYTEPOS|-------| {18}----)/.test(line))
    .map((line) => line.trim().replace(/(CERTIFICATE +\d+ +)[0-9A-F ]{59} /, '$1'))
    .map((line) => line.replace(/^(\d+) +([A-Z]+(?: ALGORITHM)?) +(\d+) */, '$1 $2 $3 ').trim());
}

describe.each(knownLists)('$id rebuilt from what its cluster printed', (known) => {
  test('has the printed header length, record lengths and file length', async () => {
    const list = await rebuildKnownList(known);
    expect(list.header.length).toBe(known.header.headerLength);
    expect(list.records.map((record) => record.length)).toEqual(known.records.map((record) => record.recordLength));
    expect(list.bytes.length).toBe(known.length);
    expect(findElement(list.header.elements, headerTag.signerId)?.value.length).toBe(known.header.signerIdValue);
    const padding = list.header.elements.filter((element) => element.tag === headerTag.padding);
    expect(padding).toHaveLength(known.header.paddingBytes);
  });

  test('decodes and encodes to the same bytes, and verifies', async () => {
    const { bytes } = await rebuildKnownList(known);
    const decoded = decodeTrustList(bytes);
    expect(Buffer.from(encodeTrustList(decoded)).equals(Buffer.from(bytes))).toBe(true);
    expect(verifyTrustList(decoded).verified).toBe(true);
  });

  test('is shown row by row as the cluster printed it', async () => {
    const list = await rebuildKnownList(known);
    const text = formatTrustList(list);
    expect(text).toContain(`Length of ${known.kind} file: ${known.length}\n`);
    expect(text).toContain(`Version:        1.2\nHeaderLength:   ${known.header.headerLength} (BYTES)\n`);
    expect(printedRows(text)).toEqual(expectedRows(known));
  });
});
