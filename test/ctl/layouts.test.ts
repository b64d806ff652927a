import { describe, expect, test } from 'vitest';
import { formatHex } from '../../src/bytes/index.js';
import {
  createTokenCtl,
  createTokenlessCtl,
  ctlMode,
  isEmptied,
  tokenlessSigner,
  tokenRecords,
  toNonSecure,
} from '../../src/ctl/index.js';
import { knownLists } from '../trust-list/known-lists.js';
import {
  clusterIdentity,
  clusterOf,
  hex,
  issue,
  node,
  options,
  publisher,
  publisherCapf,
  publisherOutline,
  recovery,
  subscriber,
  subscriberOutline,
  tokenA,
  tokenB,
  tokenC,
  tokenSubject,
} from './clusters.js';
import { expectProven, outlineOf, recordBytes, recordsOf, tagsOf } from './lists.js';

const publisherName = 'CN=cucm-1051-a-pub;OU=TAC;O=Cisco;L=Krakow;ST=Malopolska;C=PL';
const capfName = 'CN=CAPF-e41e7d87;OU=TAC;O=Cisco;L=Krakow;ST=Malopolska;C=PL';
const subscriberName = 'CN=cucm-1051-a-sub1;OU=TAC;O=Cisco;L=Krakow;ST=Malopolska;C=PL';
const manufacturingName = 'cn=Cisco Manufacturing CA;o=Cisco Systems';
const nowhere = Uint8Array.of(0, 0, 0, 0);
const publisherAddress = Uint8Array.of(10, 48, 47, 153);
const subscriberAddress = Uint8Array.of(10, 48, 47, 154);

const tokens = [tokenA.certificate, tokenB.certificate];

describe('the layout of the CTL client', () => {
  test('byte for byte: tags 1 2 3 4 5 6 7 9 10, tokens nowhere, servers by address', async () => {
    const list = expectProven(await createTokenCtl(clusterOf(), tokens, tokenB.signer, options), tokenB.signer);
    const token = (identity: typeof tokenA, subject: string, serial: string): string =>
      recordBytes(
        [2, ''],
        [3, subject],
        [4, 0],
        [5, manufacturingName],
        [6, hex(serial)],
        [7, identity.certificate.publicKey],
        [9, identity.certificate.der],
        [10, nowhere],
      );
    const server = (identity: typeof tokenA, name: string, role: number, host: string, address: Uint8Array): string =>
      recordBytes(
        [2, host],
        [3, name],
        [4, role],
        [5, name],
        [6, identity.certificate.serialNumber],
        [7, identity.certificate.publicKey],
        [9, identity.certificate.der],
        [10, address],
      );
    expect(recordsOf(list)).toEqual([
      token(tokenA, 'cn="SAST-ADN0054f509        ";ou=IPCBU;o="Cisco Systems', '3C:F9:27:00:00:00:AF:A2:DA:45'),
      server(publisher, publisherName, 2, '10.48.47.153', publisherAddress),
      server(publisherCapf, capfName, 4, '10.48.47.153', publisherAddress),
      server(subscriber, subscriberName, 2, '10.48.47.154', subscriberAddress),
      token(tokenB, 'cn="SAST-ADN008580ef        ";ou=IPCBU;o="Cisco Systems', '83:E9:08:00:00:00:55:45:AF:31'),
    ]);
  });

  test('has the header and record lengths of the printed list with two tokens', async () => {
    const known = knownLists.find(({ id }) => id === 'ctl-two-tokens')!;
    const list = expectProven(await createTokenCtl(clusterOf(), tokens, tokenB.signer, options), tokenB.signer);
    expect(list.header.length).toBe(known.header.headerLength);
    expect(list.header.signerName).toBe(known.header.signerName);
    expect(list.header.issuerName).toBe(known.header.caName);
    expect(formatHex(list.header.serialNumber, ':').toUpperCase()).toBe(known.header.serialNumber);
    const lengths = list.records.map(({ length, certificate }) => length - certificate!.length);
    expect(lengths).toEqual(known.records.map((record) => record.recordLength - record.certificateLength!));
    expect(list.records.map(({ subjectName }) => subjectName)).toEqual(
      known.records.map((record) => record.subjectName),
    );
  });

  test('writes the serial big-endian for a token that is not of the Cisco Manufacturing CA', async () => {
    const other = await issue({ subject: tokenSubject('SAST-ADN11223344'), serialNumber: '0102030405' });
    const certificates = [other.certificate, tokenA.certificate];
    const list = expectProven(await createTokenCtl(clusterOf(), certificates, other.signer, options), other.signer);
    expect(formatHex(list.records[0]!.serialNumber!)).toBe('0102030405');
    expect(formatHex(list.records.at(-1)!.serialNumber!)).toBe('3cf927000000afa2da45');
  });

  test('tells CCM, TFTP and both apart', async () => {
    const nodes = [
      node({ ...publisherOutline, services: ['TFTP'] }),
      node({ ...subscriberOutline, services: ['CallManager'] }),
    ];
    const { list } = await createTokenCtl(clusterOf({ nodes }), tokens, tokenA.signer, options);
    expect(outlineOf(list)).toEqual(['0', '3 10.48.47.153', '1 10.48.47.154', '0']);
  });

  test('keeps the order of the tokens; a signer that is none of them becomes the first', async () => {
    const three = [tokenC.certificate, tokenA.certificate, tokenC.certificate, tokenB.certificate];
    const given = await createTokenCtl(clusterOf(), three, tokenB.signer, options);
    const namesOf = (list: typeof given.list): (string | undefined)[] =>
      tokenRecords(list).map(({ subjectName }) => /SAST-\w+/.exec(subjectName ?? '')?.[0]);
    expect(namesOf(given.list)).toEqual(['SAST-ADN00aa55cc', 'SAST-ADN0054f509', 'SAST-ADN008580ef']);
    expect(outlineOf(given.list)).toEqual(['0', '2 10.48.47.153', '4 10.48.47.153', '2 10.48.47.154', '0', '0']);
    const added = await createTokenCtl(clusterOf(), [tokenA.certificate], tokenC.signer, options);
    expect(namesOf(added.list)).toEqual(['SAST-ADN00aa55cc', 'SAST-ADN0054f509']);
  });
});

describe('the layout of utils ctl', () => {
  const record = (identity: typeof publisher, name: string, role: number, host: string, address: Uint8Array): string =>
    recordBytes(
      [2, host],
      [3, name],
      [4, role],
      [5, name],
      [6, identity.certificate.serialNumber],
      [7, identity.certificate.publicKey],
      [8, identity.certificate.signature],
      [9, identity.certificate.der],
      [10, address],
    );
  const pub = (identity: typeof publisher, name: string, role: number): string =>
    record(identity, name, role, 'cucm-1051-a-pub', publisherAddress);

  test('byte for byte: tags 1 to 10 with SIGNATURE, servers by host name, CallManager as signer', async () => {
    const list = expectProven(await createTokenlessCtl(clusterOf(), publisher.signer, options), publisher.signer);
    expect(recordsOf(list)).toEqual([
      pub(publisher, publisherName, 0),
      pub(publisher, publisherName, 2),
      pub(publisherCapf, capfName, 4),
      record(subscriber, subscriberName, 2, 'cucm-1051-a-sub1', subscriberAddress),
    ]);
  });

  test('from 12.0 ITLRecovery signs, and both it and CallManager have function 0', async () => {
    const cluster = clusterOf({ release: '12.0' });
    const list = expectProven(await createTokenlessCtl(cluster, recovery.signer, options), recovery.signer);
    const recoveryName = 'CN=ITLRECOVERY_cucm-1051-a-pub;OU=TAC;O=Cisco;L=Krakow;ST=Malopolska;C=PL';
    expect(recordsOf(list)).toEqual([
      pub(publisher, publisherName, 0),
      pub(publisher, publisherName, 2),
      pub(publisherCapf, capfName, 4),
      record(subscriber, subscriberName, 2, 'cucm-1051-a-sub1', subscriberAddress),
      pub(recovery, recoveryName, 0),
    ]);
    expect(list.header.signerName).toBe(recoveryName);
    expect(list.header.signature).toHaveLength(256);
  });

  test.each([
    ['10.0', 'CallManager', publisher],
    ['11.5(1)SU11', 'CallManager', publisher],
    ['12.0', 'ITLRecovery', recovery],
    ['15', 'ITLRecovery', recovery],
  ] as const)('release %s is signed by %s', (release, name, identity) => {
    const signer = tokenlessSigner(clusterOf({ release }));
    expect(signer.name).toBe(name);
    expect(signer.certificate).toBe(identity.certificate);
  });

  test('has the header and record lengths of the printed tokenless list', async () => {
    const known = knownLists.find(({ id }) => id === 'ctl-tokenless')!;
    const list = expectProven(await createTokenlessCtl(clusterOf(), publisher.signer, options), publisher.signer);
    expect(list.header.length).toBe(known.header.headerLength);
    expect(list.header.signerName).toBe(known.header.signerName);
    expect(formatHex(list.header.serialNumber, ':').toUpperCase()).toBe(known.header.serialNumber);
    const lengths = list.records.map(({ length, certificate }) => length - certificate!.length);
    expect(lengths).toEqual(known.records.map((one) => one.recordLength - one.certificateLength!));
    expect(list.header.timestamp).toBe(1_425_675_367);
    expect(list.header.fileName).toBe('CTLFile.tlv');
    expect(list.header.version).toEqual({ major: 1, minor: 2 });
  });

  test('writes CCM+TFTP for a node that runs either, nothing for one that runs neither', async () => {
    const third = await clusterIdentity('cucm-1051-a-sub2');
    const nodes = [
      node({ ...publisherOutline, services: ['CAPF', 'TVS'] }),
      node({ ...subscriberOutline, services: ['TFTP'] }),
      node({ name: 'sub2', address: '10.48.47.155', services: ['CallManager'], callManager: third }),
      node({ name: 'sub3', address: '10.48.47.156', services: ['TVS'] }),
    ];
    const { list } = await createTokenlessCtl(clusterOf({ nodes }), publisher.signer, options);
    // A publisher without the CallManager service still signs: its certificate is there all the same.
    expect(outlineOf(list)).toEqual(['0 cucm-1051-a-pub', '4 cucm-1051-a-pub', '2 cucm-1051-a-sub1', '2 sub2']);
  });

  test('gives nodes that share a certificate a record each, and every CAPF its own', async () => {
    const shared = await clusterIdentity('cucm-ms.lab');
    const nodes = [
      node({ ...publisherOutline, callManager: shared }),
      node({
        ...subscriberOutline,
        callManager: shared,
        services: ['CallManager', 'TFTP', 'CAPF'],
        capf: publisherCapf,
      }),
    ];
    const { list } = await createTokenlessCtl(clusterOf({ nodes }), shared.signer, options);
    expect(outlineOf(list)).toEqual([
      '0 cucm-1051-a-pub',
      '2 cucm-1051-a-pub',
      '4 cucm-1051-a-pub',
      '2 cucm-1051-a-sub1',
      '4 cucm-1051-a-sub1',
    ]);
  });
});

describe('the layout of a non-secure cluster', () => {
  test('empties CCM+TFTP to tags 1 2 4 10, 33 bytes for an address of 12 characters; the rest stays whole', async () => {
    const { list } = await createTokenCtl(clusterOf(), tokens, tokenA.signer, options);
    const emptied = expectProven(await toNonSecure(list, tokenA.signer, options), tokenA.signer);
    const [first, pub, capf, sub, last] = recordsOf(list);
    expect(recordsOf(emptied)).toEqual([
      first,
      recordBytes([2, '10.48.47.153'], [4, 2], [10, publisherAddress]),
      capf,
      recordBytes([2, '10.48.47.154'], [4, 2], [10, subscriberAddress]),
      last,
    ]);
    expect(emptied.records[1]!.length).toBe(33);
    expect(tagsOf(emptied.records[1])).toEqual([1, 2, 4, 10]);
    expect(pub).not.toBe(recordsOf(emptied)[1]);
    expect(sub).not.toBe(recordsOf(emptied)[3]);
    expect([isEmptied(list), isEmptied(emptied)]).toEqual([false, true]);
    expect(ctlMode(emptied)).toBe('token');
  });

  test('empties a tokenless list too: its signers stay', async () => {
    const cluster = clusterOf({ release: '12.5' });
    const { list } = await createTokenlessCtl(cluster, recovery.signer, options);
    const emptied = expectProven(await toNonSecure(list, publisher.signer, options), publisher.signer);
    expect(emptied.records.map(tagsOf)).toEqual([
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
      [1, 2, 4, 10],
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
      [1, 2, 4, 10],
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    ]);
    expect(ctlMode(emptied)).toBe('tokenless');
  });
});

describe('IPADDRESS', () => {
  test.each([
    ['10.1.1.5', '0a010105'],
    ['2001:db8::5', '20010db8000000000000000000000005'],
    ['2001:DB8:0:1:2:3:4:5', '20010db8000000010002000300040005'],
    ['::ffff:10.1.1.5', '00000000000000000000ffff0a010105'],
    ['fe80::', 'fe800000000000000000000000000000'],
    ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
  ])('%s is %s', async (address, wanted) => {
    const nodes = [node({ ...publisherOutline, address })];
    const result = await createTokenCtl(clusterOf({ nodes }), tokens, tokenA.signer, options);
    const list = expectProven(result, tokenA.signer);
    expect(formatHex(list.records[1]!.ipAddress!)).toBe(wanted);
    expect(list.records[1]!.dnsName).toBe(address);
  });

  test.each(['10.1.1', '10.1.1.300', 'cucm-pub', 'fe80::1%eth0', ''])('%j is no address', async (address) => {
    const nodes = [node({ ...publisherOutline, address })];
    await expect(createTokenCtl(clusterOf({ nodes }), tokens, tokenA.signer, options)).rejects.toMatchObject({
      code: 'cluster-file',
    });
  });
});
