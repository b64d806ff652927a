import { beforeAll, describe, expect, test } from 'vitest';
import { concatBytes, encodeNumber, formatHex } from '../../src/bytes/index.js';
import {
  addToken,
  createTokenCtl,
  ctlMode,
  removeToken,
  signCtl,
  tokenRecords,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
  type CtlResult,
} from '../../src/ctl/index.js';
import { headerTag } from '../../src/signed-file/index.js';
import { digestOf, type Signer } from '../../src/signer/index.js';
import {
  decodeTrustList,
  draftOfRecord,
  type RecordDraft,
  type TrustList,
  type TrustListRecord,
} from '../../src/trust-list/index.js';
import type { Certificate } from '../../src/x509/index.js';
import {
  clusterIdentity,
  clusterOf,
  issue,
  node,
  options,
  publisher,
  publisherCapf,
  publisherOutline,
  recovery,
  subscriber,
  subscriberOutline,
  subscriberRenewed,
  tokenA,
  tokenB,
  tokenC,
} from './clusters.js';
import {
  bytesOf,
  expectProven,
  foreignList,
  foreignRecord,
  holdersOf,
  outlineOf,
  recordsOf,
  spellingOf,
  tagsOf,
  valueOf,
} from './lists.js';

const nowhere = { name: '', address: new Uint8Array(4) };
const pub = { name: '10.48.47.153', address: Uint8Array.of(10, 48, 47, 153) };
const sub = { name: 'CUCM-1051-a-sub1.lab.example', address: Uint8Array.of(10, 48, 47, 154) };
const unknown = { tag: 40, value: Uint8Array.of(1, 2, 3) };
const shuffled = [10, 9, 40, 6, 5, 3, 4, 7, 2];

const srst: RecordDraft = [
  { tag: 2, value: Buffer.from('srst-branch\0') },
  { tag: 4, value: encodeNumber(5, 2) },
  { tag: 10, value: Uint8Array.of(10, 9, 8, 7) },
];

/** What another program may have written: every record in a spelling of its own, servers before tokens. */
async function unusualTokenList(): Promise<TrustList> {
  const vpn = await clusterIdentity('vpn.lab', { key: tokenC.key });
  return foreignList(
    [
      srst,
      foreignRecord(subscriber.certificate, 2, sub, { separator: ',', reversedNames: true, extra: [unknown, unknown] }),
      foreignRecord(tokenB.certificate, 0, nowhere, { separator: ', ', withSignature: true, extra: [unknown] }),
      foreignRecord(publisherCapf.certificate, 4, pub, { separator: ',', order: shuffled, extra: [unknown] }),
      foreignRecord(tokenA.certificate, 0, nowhere, { reversedNames: true, withoutHost: true, withoutAddress: true }),
      foreignRecord(publisher.certificate, 2, pub, { reversedSerial: true, withoutHost: true, withSignature: true }),
      foreignRecord(vpn.certificate, 26, { name: 'vpn', address: pub.address }, { extra: [unknown], order: shuffled }),
    ],
    2,
    tokenB.signer,
    { signerVersion: { major: 1, minor: 1 }, signatureAlgorithm: 7, digestAlgorithm: 'sha512' },
  );
}

let present: TrustList;

beforeAll(async () => {
  present = await unusualTokenList();
});

function held(list: TrustList, certificate: Certificate, role: number): TrustListRecord {
  return holdersOf(list, certificate).find((record) => record.function === role)!;
}

const uploaded = clusterOf({ uploaded: [tokenA, tokenB] });

describe('a token list of another writer', () => {
  test('is read as what it is', () => {
    expect(ctlMode(present)).toBe('token');
    expect(tokenRecords(present).map(({ offset }) => offset)).toEqual([
      present.records[2]!.offset,
      present.records[4]!.offset,
    ]);
  });

  const flows: readonly (readonly [string, (signer: Signer) => Promise<CtlResult>, (records: string[]) => string[]])[] =
    [
      ['update', (signer) => updateCtl(present, uploaded, signer, options), (records) => records],
      ['sign', (signer) => signCtl(present, signer, options), (records) => records],
      [
        'remove-token',
        (signer) => removeToken(present, '45DAA2AF00000027F93C', signer, { ...options, accept: ['A5'] }),
        (records) => records.filter((_, index) => index !== 4),
      ],
    ];

  test.each(flows)('%s repeats every record that stays, byte for byte and in its place', async (_, flow, staying) => {
    const list = expectProven(await flow(tokenB.signer), tokenB.signer);
    expect(recordsOf(list)).toEqual(staying(recordsOf(present)));
    expect(list.header).toMatchObject({
      signerVersion: { major: 1, minor: 1 },
      signatureAlgorithm: 7,
      digestAlgorithm: 'sha512',
    });
    expect(list.header.signerName).toBe('CN=SAST-ADN008580ef        , OU=IPCBU, O=Cisco Systems, Inc.');
    expect(formatHex(list.header.serialNumber)).toBe('31af455500000008e983');
  });

  test('add-token leaves all of it alone', async () => {
    const list = expectProven(await addToken(present, tokenC.certificate, tokenA.signer, options), tokenA.signer);
    expect(recordsOf(list).slice(0, -1)).toEqual(recordsOf(present));
    expect(formatHex(list.header.serialNumber)).toBe('45daa2af00000027f93c');
  });

  test('update changes only the record of a renewed certificate, and that is fresh', async () => {
    const nodes = [node(publisherOutline), node({ ...subscriberOutline, callManager: subscriberRenewed })];
    const list = expectProven(await updateCtl(present, clusterOf({ nodes }), tokenA.signer, options), tokenA.signer);
    const [before, after] = [recordsOf(present), recordsOf(list)];
    expect(after.filter((record, index) => record !== before[index])).toHaveLength(1);
    expect(list.records[1]!.dnsName).toBe('10.48.47.154');
    expect(list.records[1]!.subjectName).toBe('CN=cucm-1051-a-sub1;OU=TAC;O=Cisco;L=Krakow;ST=Malopolska;C=PL');
    expect(tagsOf(list.records[1])).toEqual([1, 2, 3, 4, 5, 6, 7, 9, 10]);
  });

  test('to-non-secure empties what is emptied, whatever was in it', async () => {
    const list = expectProven(await toNonSecure(present, tokenB.signer, options), tokenB.signer);
    expect(list.records.map(tagsOf)).toEqual([
      [1, 2, 4, 10],
      [1, 2, 4, 10],
      ...[2, 3, 4].map((index) => tagsOf(present.records[index])),
      // Its writer left DNSNAME out, and so does the emptied record.
      [1, 4, 10],
      tagsOf(present.records[6]),
    ]);
    const [before, after] = [recordsOf(present), recordsOf(list)];
    for (const index of [0, 2, 3, 4, 6]) expect(after[index]).toBe(before[index]);
    expect(list.records[1]!.dnsName).toBe('CUCM-1051-a-sub1.lab.example');
  });

  test('to-tokenless takes names, serials and unknown elements into the other layout; to-token takes them back', async () => {
    const away = expectProven(await toTokenless(present, uploaded, publisher.signer, options), publisher.signer);
    expect(outlineOf(away)).toEqual([
      '0 cucm-1051-a-pub',
      '5 srst-branch',
      '2 cucm-1051-a-sub1',
      '4 cucm-1051-a-pub',
      '2 cucm-1051-a-pub',
      '26 vpn',
    ]);
    // The signer is new as function 0: it is spelled as its server record is, serial reversed.
    expect(spellingOf(away.records[0]!)).toBe(spellingOf(held(present, publisher.certificate, 2)));
    expect(formatHex(away.header.serialNumber)).toBe('bbc54f759ff422dfb95107094ef6ca70');
    for (const { certificate } of [publisher, publisherCapf, subscriber]) {
      const spelling = spellingOf(holdersOf(present, certificate)[0]!);
      for (const record of holdersOf(away, certificate)) expect(spellingOf(record)).toBe(spelling);
    }
    const [before, after] = [recordsOf(present), recordsOf(away)];
    expect([after[1], after[5]]).toEqual([before[0], before[6]]);
    // DNSNAME, SIGNATURE and IPADDRESS come as the layout has them; order and unknown elements stay.
    const order = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    expect(away.records.map(tagsOf)).toEqual([
      order,
      [1, 2, 4, 10],
      [...order, 40, 40],
      [1, 10, 9, 40, 6, 5, 3, 4, 7, 8, 2],
      order,
      tagsOf(present.records[6]),
    ]);
    expect(formatHex(valueOf(away.records[3]!, 8)!)).toBe(formatHex(publisherCapf.certificate.signature));
    expect(formatHex(valueOf(away.records[3]!, 40)!)).toBe('010203');

    const certificates = [tokenA.certificate, tokenB.certificate];
    const back = expectProven(await toToken(away, uploaded, certificates, tokenA.signer, options), tokenA.signer);
    expect(outlineOf(back)).toEqual([
      '0',
      '5 srst-branch',
      '2 10.48.47.154',
      '0',
      '4 10.48.47.153',
      '2 10.48.47.153',
      '26 vpn',
    ]);
    for (const { certificate } of [publisher, publisherCapf, subscriber]) {
      const [record] = holdersOf(back, certificate);
      expect(spellingOf(record!)).toBe(spellingOf(holdersOf(present, certificate)[0]!));
      expect(tagsOf(record)).not.toContain(8);
    }
    // The tokens had left the list: they are new to it, and are written as the CTL client writes them.
    expect(back.records[0]!.subjectName).toBe('cn="SAST-ADN0054f509        ";ou=IPCBU;o="Cisco Systems');
  });
});

describe('spelling', () => {
  test('a new record follows the function-0 record of its certificate, and any other where there is none', async () => {
    const shared = await clusterIdentity('cucm-ms.lab');
    const at = (name: string, last: number) => ({ name, address: Uint8Array.of(10, 48, 47, last) });
    const server = foreignRecord(shared.certificate, 2, at('cucm-1051-a-pub', 153), { separator: ',' });
    const signer = foreignRecord(shared.certificate, 0, at('cucm-1051-a-pub', 153), { reversedSerial: true });
    const present = await foreignList([server, signer], 1, shared.signer);
    const outline = { ...publisherOutline, callManager: shared, services: ['CallManager', 'TFTP'] as const };
    const nodes = [node(outline), node({ ...subscriberOutline, callManager: shared })];
    const { list } = await updateCtl(present, clusterOf({ nodes }), shared.signer, options);
    expect(outlineOf(list)).toEqual(['2 cucm-1051-a-pub', '2 cucm-1051-a-sub1', '0 cucm-1051-a-pub']);
    expect(recordsOf(list).filter((_, index) => index !== 1)).toEqual(recordsOf(present));
    expect(spellingOf(list.records[1]!)).toBe(spellingOf(present.records[1]!));

    const soft = await issue({ subject: [{ type: 'CN', value: 'soft token' }], serialNumber: '0a0b0c0d' });
    const drafts = [
      foreignRecord(soft.certificate, 7, pub, { separator: ',', reversedSerial: true }),
      foreignRecord(tokenA.certificate, 0, nowhere, {}),
    ];
    const tokens = await foreignList(drafts, 1, tokenA.signer);
    const added = await addToken(tokens, soft.certificate, tokenA.signer, options);
    expect(spellingOf(added.list.records[2]!)).toBe(spellingOf(tokens.records[0]!));
  });

  test('an emptied record of another writer stays as it is while the cluster is non-secure', async () => {
    const { list: emptied } = await toNonSecure(present, tokenB.signer, options);
    const nonSecure = clusterOf({ securityMode: 'non-secure' });
    // The record of the publisher has no DNSNAME, that of the subscriber a name with its domain.
    expect(emptied.records[5]!.dnsName).toBeUndefined();
    const { list } = await updateCtl(emptied, nonSecure, tokenA.signer, options);
    expect(recordsOf(list)).toEqual(recordsOf(emptied));
    const { list: filled } = await updateCtl(emptied, clusterOf(), tokenA.signer, options);
    expect(outlineOf(filled).filter((line) => line.startsWith('2 '))).toEqual(['2 10.48.47.154', '2 10.48.47.153']);
  });

  test('one node twice with the same certificate becomes one record, the first one', async () => {
    const { list } = await createTokenCtl(
      clusterOf(),
      [tokenA.certificate, tokenB.certificate],
      tokenA.signer,
      options,
    );
    const drafts = list.records.map(draftOfRecord);
    const twice = await foreignList([...drafts, drafts[1]!], 0, tokenA.signer);
    const updated = await updateCtl(twice, clusterOf(), tokenA.signer, options);
    expect(recordsOf(updated.list)).toEqual(recordsOf(list));
  });

  test('a CCM and a TFTP record of one node become one CCM+TFTP record with the same names', async () => {
    const style = { reversedSerial: true, separator: ',' } as const;
    const split = await foreignList(
      [
        foreignRecord(publisher.certificate, 1, pub, style),
        foreignRecord(publisher.certificate, 3, pub, style),
        foreignRecord(tokenA.certificate, 0, nowhere, {}),
        foreignRecord(tokenB.certificate, 0, nowhere, {}),
      ],
      2,
      tokenA.signer,
    );
    const nodes = [node({ ...publisherOutline, services: ['CallManager', 'TFTP'] })];
    const { list } = await updateCtl(split, clusterOf({ nodes }), tokenA.signer, options);
    expect(outlineOf(list)).toEqual(['2 10.48.47.153', '0', '0']);
    expect(spellingOf(list.records[0]!)).toBe(spellingOf(split.records[0]!));
  });

  test('of a CCM and a TFTP record, the one that fits stays as it is', async () => {
    const drafts = [
      foreignRecord(publisher.certificate, 1, pub, {}),
      foreignRecord(publisher.certificate, 3, pub, { reversedNames: true, extra: [unknown] }),
      foreignRecord(tokenA.certificate, 0, nowhere, {}),
      foreignRecord(tokenB.certificate, 0, nowhere, {}),
    ];
    const split = await foreignList(drafts, 2, tokenA.signer);
    const nodes = [node({ ...publisherOutline, services: ['TFTP'] })];
    const { list } = await updateCtl(split, clusterOf({ nodes }), tokenA.signer, options);
    expect(recordsOf(list)).toEqual(recordsOf(split).slice(1));
  });

  test('nodes that share a certificate keep their own records, each in its own spelling', async () => {
    const shared = await clusterIdentity('cucm-ms.lab');
    const nodes = [
      node({ ...publisherOutline, callManager: shared, services: ['CallManager', 'TFTP'] }),
      node({ ...subscriberOutline, callManager: shared }),
    ];
    const present = await foreignList(
      [
        foreignRecord(shared.certificate, 2, { ...sub, name: '10.48.47.154' }, { separator: ',' }),
        foreignRecord(tokenA.certificate, 0, nowhere, {}),
        foreignRecord(tokenB.certificate, 0, nowhere, {}),
        foreignRecord(shared.certificate, 2, pub, { reversedSerial: true }),
      ],
      1,
      tokenA.signer,
    );
    const { list } = await updateCtl(present, clusterOf({ nodes }), tokenA.signer, options);
    expect(recordsOf(list)).toEqual(recordsOf(present));
    const { list: one } = await updateCtl(present, clusterOf({ nodes: nodes.slice(0, 1) }), tokenA.signer, options);
    expect(recordsOf(one)).toEqual(recordsOf(present).slice(1));
  });

  test('a record with a hash instead of the certificate holds it all the same', async () => {
    const hashed = (certificate: Certificate, role: number): RecordDraft =>
      foreignRecord(certificate, role, role === 0 ? nowhere : pub, { separator: ',' }).flatMap((element) =>
        element.tag === 9
          ? [
              { tag: 11, value: digestOf('sha1', certificate.der) },
              { tag: 12, value: Uint8Array.of(1) },
            ]
          : [element],
      );
    const drafts = [hashed(tokenA.certificate, 0), hashed(publisher.certificate, 2), hashed(tokenB.certificate, 0)];
    const present = await foreignList(drafts, 0, tokenA.signer);
    const nodes = [node({ ...publisherOutline, services: ['CallManager', 'TFTP'] })];
    const updated = await updateCtl(present, clusterOf({ nodes }), tokenB.signer, options);
    expect(recordsOf(updated.list)).toEqual(recordsOf(present));
    await expect(addToken(present, tokenA.certificate, tokenB.signer, options)).rejects.toMatchObject({
      code: 'already-present',
    });
    // Its serial, read the other way, is the certificate's.
    const removed = await removeToken(present, '83E9080000005545AF31', tokenA.signer, { ...options, accept: ['A5'] });
    expect(recordsOf(removed.list)).toEqual(recordsOf(present).slice(0, 2));
    // A layout of CTLs has the whole certificate; names and serial are those of the record.
    const { list } = await toTokenless(present, clusterOf({ nodes }), publisher.signer, options);
    expect(tagsOf(list.records[1])).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(spellingOf(list.records[1]!)).toBe(spellingOf(present.records[1]!));
  });
});

describe('tokenless lists of other writers', () => {
  const nodes = [node({ ...publisherOutline, services: ['CallManager', 'TFTP'] })];
  const bare = {
    withoutHost: true,
    withoutAddress: true,
    separator: ',',
    order: [3, 5, 6, 4, 7, 8, 9],
    withSignature: true,
  } as const;

  test('records without DNSNAME and IPADDRESS stay as they are', async () => {
    const present = await foreignList(
      [
        foreignRecord(publisher.certificate, 0, pub, bare),
        foreignRecord(publisher.certificate, 2, pub, bare),
        foreignRecord(recovery.certificate, 0, pub, bare),
      ],
      2,
      recovery.signer,
    );
    expect(ctlMode(present)).toBe('tokenless');
    const cluster = clusterOf({ release: '12.5', nodes });
    const result = await updateCtl(present, cluster, recovery.signer, options);
    expect(recordsOf(expectProven(result, recovery.signer))).toEqual(recordsOf(present));
    expect(result.notices).toEqual([]);
    expect(tagsOf(result.list.records[0])).toEqual([1, 3, 5, 6, 4, 7, 8, 9]);
  });

  test('a signer of someone else stays, and is named; a stale signer of the cluster goes', async () => {
    const elsewhere = await clusterIdentity('other-cluster-pub');
    const foreign = foreignRecord(
      elsewhere.certificate,
      0,
      { name: 'other-cluster-pub', address: Uint8Array.of(10, 77, 0, 1) },
      {},
    );
    const stale = foreignRecord(subscriber.certificate, 0, { name: 'cucm-1051-a-pub', address: pub.address }, {});
    const present = await foreignList(
      [foreign, stale, foreignRecord(publisher.certificate, 0, { ...pub, name: 'cucm-1051-a-pub' }, {})],
      2,
      publisher.signer,
    );
    const { list, notices } = await updateCtl(
      present,
      clusterOf({ nodes, uploaded: [tokenA, tokenB] }),
      publisher.signer,
      options,
    );
    expect(outlineOf(list)).toEqual(['0 other-cluster-pub', '0 cucm-1051-a-pub', '2 cucm-1051-a-pub']);
    expect(bytesOf(list, list.records[0]!)).toBe(bytesOf(present, present.records[0]!));
    expect(holdersOf(list, subscriber.certificate)).toEqual([]);
    expect(notices.map(({ check }) => check)).toEqual(['other-signer']);
    expect(notices[0]!.message).toContain('other-cluster-pub');
    const certificates = [tokenA.certificate, tokenB.certificate];
    const tokens = await toToken(
      list,
      clusterOf({ nodes, uploaded: [tokenA, tokenB] }),
      certificates,
      tokenA.signer,
      options,
    );
    expect(outlineOf(tokens.list)).toEqual(['0', '0 other-cluster-pub', '2 10.48.47.153', '0']);
    expect(tokens.notices.map(({ check }) => check)).toEqual(['A3', 'other-signer']);
  });

  test('the signer of a publisher that was replaced goes with its servers', async () => {
    const before = clusterOf({ nodes });
    const drafts = [
      foreignRecord(subscriber.certificate, 0, { name: 'old-pub', address: Uint8Array.of(10, 1, 1, 1) }, {}),
      foreignRecord(subscriber.certificate, 2, { name: 'old-pub', address: Uint8Array.of(10, 1, 1, 1) }, {}),
    ];
    const present = await foreignList(drafts, 0, subscriber.signer);
    const { list, notices } = await updateCtl(present, before, publisher.signer, options);
    expect(outlineOf(list)).toEqual(['0 cucm-1051-a-pub', '2 cucm-1051-a-pub']);
    expect(notices.map(({ check }) => check)).toEqual(['A6', 'server-removed']);
  });
});

describe('a list with tokens and the CallManager as signers', () => {
  const at = { name: '10.48.47.153', address: pub.address };

  test('is a token list, whose tokens and CallManager signer stay; phones know the next signer', async () => {
    const mixed = await foreignList(
      [
        foreignRecord(tokenA.certificate, 0, nowhere, { separator: ',' }),
        foreignRecord(publisher.certificate, 0, at, { reversedSerial: true }),
        foreignRecord(publisher.certificate, 2, at, {}),
        foreignRecord(tokenB.certificate, 0, nowhere, { separator: ',' }),
      ],
      0,
      tokenA.signer,
    );
    const nodes = [node({ ...publisherOutline, services: ['CallManager', 'TFTP'] })];
    const updated = await updateCtl(mixed, clusterOf({ nodes }), publisher.signer, options);
    expect(recordsOf(expectProven(updated, publisher.signer))).toEqual(recordsOf(mixed));
    // No A4: the CallManager is a signer of the list already.
    const away = await toTokenless(mixed, clusterOf({ nodes }), publisher.signer, options);
    expect(outlineOf(expectProven(away, publisher.signer))).toEqual(['0 cucm-1051-a-pub', '2 cucm-1051-a-pub']);
    expect(spellingOf(away.list.records[0]!)).toBe(spellingOf(mixed.records[1]!));
    expect(spellingOf(away.list.records[1]!)).toBe(spellingOf(mixed.records[2]!));
    expect(away.notices).toEqual([]);
    // CallManager does not count as a second token.
    const alone = removeToken(mixed, '31AF455500000008E983', tokenA.signer, options);
    await expect(alone).rejects.toMatchObject({ code: 'A5' });
  });
});

describe('which lists are token lists', () => {
  const at = { name: 'cucm-1051-a-pub', address: pub.address };

  test.each([
    ['the CTL client wrote it', foreignRecord(tokenA.certificate, 0, nowhere, {}), 'token'],
    [
      'a SAST with a host name',
      foreignRecord(tokenA.certificate, 0, at, { separator: ',', reversedNames: true }),
      'token',
    ],
    [
      'no DNSNAME, no address',
      foreignRecord(tokenA.certificate, 0, at, { withoutHost: true, withoutAddress: true }),
      'token',
    ],
    ['the blank of an ITL', foreignRecord(tokenA.certificate, 0, { ...nowhere, name: ' ' }, {}), 'token'],
  ])('%s', async (_, draft, mode) => {
    expect(ctlMode(await foreignList([draft], 0, tokenA.signer))).toBe(mode);
  });

  test('a token of one’s own is known by its empty DNSNAME, whatever its subject', async () => {
    const soft = await issue({ subject: [{ type: 'CN', value: 'soft token' }], serialNumber: '01' });
    expect(ctlMode(await foreignList([foreignRecord(soft.certificate, 0, nowhere, {})], 0, soft.signer))).toBe('token');
    expect(ctlMode(await foreignList([foreignRecord(soft.certificate, 0, at, {})], 0, soft.signer))).toBe('tokenless');
    const addressOnly = foreignRecord(soft.certificate, 0, at, { withoutHost: true });
    expect(ctlMode(await foreignList([addressOnly], 0, soft.signer))).toBe('tokenless');
  });

  test('ITLRecovery and what also serves as CallManager are the cluster’s', async () => {
    const bare = { withoutHost: true, withoutAddress: true };
    const server = foreignRecord(publisher.certificate, 2, at, bare);
    const drafts = [foreignRecord(publisher.certificate, 0, at, bare), server];
    expect(ctlMode(await foreignList(drafts, 0, publisher.signer))).toBe('tokenless');
    expect(ctlMode(await foreignList(drafts.slice(0, 1), 0, publisher.signer))).toBe('token');
    const signer = foreignRecord(recovery.certificate, 0, at, bare);
    expect(ctlMode(await foreignList([signer], 0, recovery.signer))).toBe('tokenless');
  });
});

describe('unknown elements of the header', () => {
  /** The list with a further element behind SIGNATURE, signed again. */
  async function withHeaderElement(list: TrustList, element: Uint8Array, signer: Signer): Promise<TrustList> {
    const { end, start } = list.header.signatureSpan;
    const rest = list.header.elements.filter(({ tag }) => tag === headerTag.fileName || tag === headerTag.timestamp);
    const last = rest.at(-1)!;
    const after = list.bytes.subarray(end, last.offset + 3 + last.value.length);
    const unpadded = end + element.length + after.length;
    const padding = new Uint8Array((4 - (unpadded % 4)) % 4).fill(headerTag.padding);
    const body = list.bytes.subarray(list.header.length);
    const bytes = concatBytes(list.bytes.subarray(0, end), element, after, padding, body);
    bytes.set(encodeNumber(unpadded + padding.length, 2), 8);
    const digest = digestOf('sha1', bytes.subarray(0, start), bytes.subarray(end));
    bytes.set(await signer.sign({ digestAlgorithm: 'sha1', digest }), start + 3);
    return decodeTrustList(bytes);
  }

  test('are not signed on, and that is said', async () => {
    const { list } = await createTokenCtl(
      clusterOf(),
      [tokenA.certificate, tokenB.certificate],
      tokenA.signer,
      options,
    );
    const odd = await withHeaderElement(list, Uint8Array.of(60, 0, 2, 7, 7), tokenA.signer);
    expect(odd.header.elements.map(({ tag }) => tag)).toContain(60);
    const result = await signCtl(odd, tokenA.signer, options);
    expect(Buffer.from(result.list.bytes).equals(list.bytes)).toBe(true);
    expect(result.notices.map(({ check, message }) => `${check}: ${message}`)).toEqual([
      'header-element: the header of the present list has an element 60, which the new header lacks',
    ]);
  });

  test.each([[{ signatureAlgorithm: 7 }, /keeps SIGNATUREALGORITHM 7 /]])(
    '%j is kept, and that is said',
    async (header, words) => {
      const drafts = present.records.map(draftOfRecord);
      const { list, notices } = await signCtl(
        await foreignList(drafts, 2, tokenB.signer, header),
        tokenB.signer,
        options,
      );
      expect(list.header).toMatchObject(header);
      expect(notices.map(({ check }) => check)).toEqual(['header-element']);
      expect(notices[0]!.message).toMatch(words);
    },
  );
});
