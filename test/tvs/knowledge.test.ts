import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { decodeTrustList } from '../../src/trust-list/index.js';
import { createTvsKnowledge } from '../../src/tvs/index.js';
import { clusterNames, makeNode, makeToken, signCtlOf, tokenNames } from './identities.js';

const folder = mkdtempSync(join(tmpdir(), 'etoken-bridge-tvs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pub = await makeNode('cucm-1051-a-pub', [0x6b, 0x1d, 0x35, 0x7b]);
const capf = await makeNode('CAPF-e41e7d87', [0x74, 0x4b, 0x51]);
// The serial begins with a high bit, so DER puts a zero byte before it.
const stranger = await makeNode('cucm-other', [0x8f, 0x01, 0x02]);
// Certificate serial 31AF455500000008E983: lists have 83E908000000 5545AF31 (trust-list-format.md, Serial numbers).
const token = await makeToken('SAST-ADN008580ef', [0x31, 0xaf, 0x45, 0x55, 0, 0, 0, 0x08, 0xe9, 0x83]);
const second = await makeToken('SAST-ADN0054f509', [0x3c, 0xf9, 0xc2, 0x7c, 0, 0, 0, 0x1f, 0x1d, 0x6c]);

const tokenEntry = { function: 0, identity: token, names: tokenNames(token) };
const secondEntry = { function: 0, identity: second, names: tokenNames(second) };
const ccmEntry = { function: 2, identity: pub, names: clusterNames(pub) };
const capfEntry = { function: 4, identity: capf, names: clusterNames(capf) };

function fileOf(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const tokenCtl = await signCtlOf([tokenEntry, ccmEntry, capfEntry]);
const bothTokensCtl = await signCtlOf([tokenEntry, secondEntry, ccmEntry], 1_425_675_000);

describe('uploaded certificates', () => {
  test.each([
    ['CallManager', [0, 2]],
    ['Phone-SAST-trust', [0, 3]],
    ['CAPF', [4]],
    ['TVS', [21]],
    ['tomcat', [7]],
    ['tomcat-trust', [7]],
    ['ipsec', [7]],
    ['Phone-trust', [7]],
    ['Phone-CTL-trust', [7]],
    ['Phone-VPN-trust', [26]],
    ['CallManager-trust', []],
    ['TVS-trust', []],
    ['ipsec-trust', []],
    ['constructor', []],
  ])('those in %s have the roles %j, for 86,400 seconds', (store, roles) => {
    const knowledge = createTvsKnowledge({ trustStores: { [store]: [pub.certificate] } });
    const answer = { status: 'success', roles, timeToLive: 86_400, certificate: pub.certificate.der };
    expect(knowledge.query(clusterNames(pub))).toEqual(answer);
    expect(knowledge.verify(pub.certificate.der)).toEqual(answer);
    expect(knowledge.query(clusterNames(capf))).toEqual({ status: 'not-trusted' });
    expect(knowledge.verify(capf.certificate.der)).toEqual({ status: 'not-trusted' });
  });

  test('a token in Phone-SAST-trust is found as clusters spell it and as the CTL client does', () => {
    const knowledge = createTvsKnowledge({ trustStores: { 'Phone-SAST-trust': [token.certificate] } });
    for (const names of [clusterNames(token), tokenNames(token)]) {
      expect(knowledge.query(names)).toMatchObject({ status: 'success', roles: [0, 3] });
    }
    const { serialNumber } = clusterNames(token);
    // The reversed serial belongs to the CTL client's spelling only.
    const mixed = { ...clusterNames(token), serialNumber: serialNumber.slice().reverse(), issuerName: 'CN=other' };
    expect(knowledge.query(mixed)).toEqual({ status: 'not-trusted' });
  });

  test('a serial is found with its leading zero byte and without', () => {
    const knowledge = createTvsKnowledge({ trustStores: { TVS: [stranger.certificate] } });
    expect([...stranger.certificate.serialNumber]).toEqual([0, 0x8f, 1, 2]);
    for (const serialNumber of [Uint8Array.of(0, 0x8f, 1, 2), Uint8Array.of(0x8f, 1, 2)]) {
      expect(knowledge.query({ ...clusterNames(stranger), serialNumber })).toMatchObject({ status: 'success' });
    }
  });

  test('one that is in several stores has the roles of all of them', () => {
    const trustStores = { 'CallManager-trust': [pub.certificate], CallManager: [pub.certificate] };
    expect(createTvsKnowledge({ trustStores }).query(clusterNames(pub))).toMatchObject({ roles: [0, 2] });
    const more = { ...trustStores, 'Phone-SAST-trust': [pub.certificate] };
    expect(createTvsKnowledge({ trustStores: more }).query(clusterNames(pub))).toMatchObject({ roles: [0, 2, 3] });
  });

  test('verify wants the very certificate, not another one of its issuer and serial', async () => {
    const imposter = await makeNode('cucm-1051-a-pub', [0x6b, 0x1d, 0x35, 0x7b]);
    const knowledge = createTvsKnowledge({ trustStores: { CallManager: [pub.certificate] }, timeToLive: 60 });
    expect(clusterNames(imposter)).toEqual(clusterNames(pub));
    expect(knowledge.verify(imposter.certificate.der)).toEqual({ status: 'not-trusted' });
    expect(knowledge.verify(pub.certificate.der)).toMatchObject({ status: 'success', timeToLive: 60 });
    expect(knowledge.verify(Uint8Array.of(0x30, 0x03, 1))).toEqual({ status: 'not-trusted' });
  });
});

describe('the CTL file of the server', () => {
  test('a token that is only there is found under the spelling of the list, with the role 0 for 86,400 seconds', () => {
    const ctlFile = fileOf('token.tlv', tokenCtl.bytes);
    const knowledge = createTvsKnowledge({ trustStores: { CallManager: [pub.certificate] }, ctlFile });
    const { header } = decodeTrustList(tokenCtl.bytes);
    expect(Buffer.from(header.serialNumber).toString('hex')).toBe('83e908000000' + '5545af31');
    const { signerName: subjectName, issuerName, serialNumber } = header;
    expect(issuerName).toBe('cn=Cisco Manufacturing CA;o=Cisco Systems');
    const answer = { status: 'success', roles: [0], timeToLive: 86_400, certificate: token.certificate.der };
    expect(knowledge.query({ subjectName, issuerName, serialNumber })).toEqual(answer);
    expect(knowledge.query(clusterNames(token))).toEqual(answer);
    expect(knowledge.verify(token.certificate.der)).toEqual(answer);
    // The uploaded store is asked first; other records have the role of their FUNCTION.
    expect(knowledge.query(clusterNames(pub))).toMatchObject({ roles: [0, 2] });
    expect(knowledge.query(clusterNames(capf))).toMatchObject({ roles: [4] });
    expect(knowledge.query(clusterNames(stranger))).toEqual({ status: 'not-trusted' });
  });

  test('the signer of a tokenless list has the roles of both its records', async () => {
    const list = await signCtlOf([{ ...ccmEntry, function: 0 }, ccmEntry, { ...capfEntry, function: 300 }]);
    const knowledge = createTvsKnowledge({ trustStores: {}, ctlFile: fileOf('tokenless.tlv', list.bytes) });
    expect(knowledge.query(clusterNames(pub))).toMatchObject({ roles: [0, 2] });
    expect(knowledge.query(clusterNames(capf))).toMatchObject({ roles: [] });
  });

  test('is read again when it is replaced, changed in place, removed, and put back', () => {
    const ctlFile = fileOf('CTLFile.tlv', tokenCtl.bytes);
    const lines: string[] = [];
    const knowledge = createTvsKnowledge({ trustStores: {}, ctlFile, log: (line) => lines.push(line) });
    const knows = (): boolean[] => [token, second].map((one) => knowledge.query(tokenNames(one)).status === 'success');
    expect(knows()).toEqual([true, false]);
    renameSync(fileOf('new.tlv', bothTokensCtl.bytes), ctlFile);
    expect(knows()).toEqual([true, true]);
    // At once, in place: the time of the file may not have moved on.
    writeFileSync(ctlFile, tokenCtl.bytes);
    expect(knows()).toEqual([true, false]);
    rmSync(ctlFile);
    expect(knows()).toEqual([false, false]);
    writeFileSync(ctlFile, bothTokensCtl.bytes);
    expect(knows()).toEqual([true, true]);
    const monitor = 'CertificateCache::localCTLCacheMonitor - CTLFile.tlv has been';
    expect(lines.filter((line) => line.startsWith(monitor)).map((line) => line.slice(monitor.length))).toEqual([
      ' modified. Recaching CTL Certificate Cache',
      ' modified. Recaching CTL Certificate Cache',
      ' modified. Recaching CTL Certificate Cache',
      ' removed. Clearing CTL Certificate Cache',
      ' modified. Recaching CTL Certificate Cache',
    ]);
  });

  test('that is cut off, empty, garbage or unsigned is not taken: the last good one stands, and it is said once', () => {
    const ctlFile = fileOf('broken.tlv', tokenCtl.bytes);
    const lines: string[] = [];
    const knowledge = createTvsKnowledge({ trustStores: {}, ctlFile, log: (line) => lines.push(line) });
    const { bytes, records } = bothTokensCtl;
    const otherBytes = bytes.slice();
    otherBytes[otherBytes.length - 1]! ^= 1;
    const broken: [Uint8Array, RegExp][] = [
      [new Uint8Array(), /broken\.tlv is not taken, the last good one stands/],
      [bytes.subarray(0, bytes.length - 100), /left in the file/],
      // At the end of a record: only the signature tells.
      [bytes.subarray(0, records[2]!.offset), /the signature was not made/],
      [otherBytes, /the signature was not made/],
      [new TextEncoder().encode('no trust list'), /version 1\.2 expected|truncated|expected/],
      [new Uint8Array(2 * 1024 * 1024), /phones load 65,535/],
    ];
    for (const [content, reason] of broken) {
      writeFileSync(ctlFile, tokenCtl.bytes);
      knowledge.query(tokenNames(token));
      lines.length = 0;
      writeFileSync(ctlFile, content);
      for (let turn = 0; turn < 3; turn += 1) {
        expect(knowledge.query(tokenNames(token))).toMatchObject({ status: 'success', roles: [0] });
        expect(knowledge.query(tokenNames(second))).toEqual({ status: 'not-trusted' });
      }
      const complaints = lines.filter((line) => line.startsWith('ERROR:CertificateCache::localCTLCacheMonitor'));
      expect(complaints).toHaveLength(1);
      expect(complaints[0]).toMatch(reason);
    }
    writeFileSync(ctlFile, bytes);
    expect(knowledge.query(tokenNames(second))).toMatchObject({ status: 'success', roles: [0] });
  });

  test('need not be there, and may be broken, when the server starts', () => {
    const trustStores = { CallManager: [pub.certificate] };
    for (const ctlFile of [join(folder, 'missing.tlv'), folder, fileOf('garbage.tlv', Uint8Array.of(1, 2, 3))]) {
      const knowledge = createTvsKnowledge({ trustStores, ctlFile });
      expect(knowledge.query(clusterNames(pub))).toMatchObject({ status: 'success' });
      expect(knowledge.query(tokenNames(token))).toEqual({ status: 'not-trusted' });
    }
  });

  test('of a real cluster: its signer is vouched for', () => {
    const ctlFile = new URL('../vectors/trust-list/ctl-tokenless.tlv', import.meta.url).pathname;
    const { header } = decodeTrustList(new Uint8Array(readFileSync(ctlFile)));
    const { signerName: subjectName, issuerName, serialNumber } = header;
    const answer = createTvsKnowledge({ trustStores: {}, ctlFile }).query({ subjectName, issuerName, serialNumber });
    expect(answer).toMatchObject({ status: 'success', roles: [0], timeToLive: 86_400 });
  });
});

describe('the log', () => {
  test('has the words of tvs-server-log-etoken-query-10.5.1.txt', () => {
    const lines: string[] = [];
    const ctlFile = fileOf('log.tlv', tokenCtl.bytes);
    const knowledge = createTvsKnowledge({ trustStores: {}, ctlFile, log: (line) => lines.push(line) });
    lines.length = 0;
    knowledge.query(tokenNames(token));
    const key = '83E9080000005545AF31cn=Cisco Manufacturing CA;o=Cisco Systems';
    const wanted = [
      'tvsHandleQueryCertReq',
      'tvsHandleQueryCertReq : Subject Name is: cn="SAST-ADN008580ef        ";ou=IPCBU;o="Cisco Systems',
      'tvsHandleQueryCertReq : Issuer Name is: cn=Cisco Manufacturing CA;o=Cisco Systems',
      'tvsHandleQueryCertReq : This is SAST eToken cert',
      'tvsHandleQueryCertReq : Serial Number is: 83E9080000005545AF31',
      `CertificateDBCache::getCertificateInformation - Looking up the certificate cache using Unique MAP ID : ${key}`,
      'ERROR:CertificateDBCache::getCertificateInformation - Cannot find the certificate in the cache',
      `CertificateCTLCache::getCertificateInformation - Looking up the certificate cache using Unique MAP ID : ${key}, len : 61`,
      'CertificateCTLCache::getCertificateInformation - Found entry {rolecount : 1}',
      'CertificateCTLCache::getCertificateInformation - {role : 0}',
    ];
    expect(lines.filter((line) => wanted.includes(line))).toEqual(wanted);
  });

  test('has the words of tvs-wire-cert-verification-118699.txt', () => {
    const lines: string[] = [];
    const knowledge = createTvsKnowledge({
      trustStores: { CallManager: [pub.certificate] },
      log: (line) => lines.push(line),
    });
    knowledge.verify(pub.certificate.der);
    expect(lines).toEqual([
      'tvsGetIssuerNameFromX509 - issuerName : CN=cucm-1051-a-pub;OU=TAC;O=Cisco;C=PL and Length: 38',
      'tvsGetSerialNumberFromX509 - serialNumber : 6B1D357B and Length: 4',
      'CertificateDBCache::getCertificateInformation - Looking up the certificate cache using Unique MAP ID : 6B1D357BCN=cucm-1051-a-pub;OU=TAC;O=Cisco;C=PL',
      'CertificateDBCache::getCertificateInformation - Certificate compare return =0',
      'CertificateDBCache::getCertificateInformation - Certificate found and equal',
      'CertificateDBCache::getCertificateInformation - Found entry {rolecount : 2}',
      'CertificateDBCache::getCertificateInformation - {role : 0}',
      'CertificateDBCache::getCertificateInformation - {role : 2}',
    ]);
  });

  test('cannot be forged: what a client sends has no control characters in it', () => {
    const lines: string[] = [];
    const knowledge = createTvsKnowledge({ trustStores: {}, log: (line) => lines.push(line) });
    const evil = 'CN=x\r\n17:21:51 | debug trusted\u001b[31m\u202e';
    knowledge.query({ subjectName: evil, issuerName: evil, serialNumber: Uint8Array.of(1) });
    expect(lines.join('')).toContain('CN=x\\u{d}\\u{a}17:21:51');
    expect(lines.join('')).not.toMatch(/[\p{Cc}\u202e]/u);
  });
});
