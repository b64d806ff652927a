import { beforeAll, describe, expect, test } from 'vitest';
import { formatHex } from '../../src/bytes/index.js';
import {
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  ctlMode,
  isEmptied,
  removeToken,
  signCtl,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
} from '../../src/ctl/index.js';
import {
  diffTrustLists,
  draftOfRecord,
  signTrustList,
  verifyTrustList,
  type TrustList,
} from '../../src/trust-list/index.js';
import {
  clusterIdentity,
  clusterOf,
  node,
  options,
  publisher,
  publisherOutline,
  publisherRenewed,
  recovery,
  subscriber,
  subscriberOutline,
  subscriberRenewed,
  tokenA,
  tokenB,
  tokenC,
  tokenIdentity,
} from './clusters.js';
import { expectProven, foreignList, holdersOf, outlineOf, recordsOf } from './lists.js';

const cluster = clusterOf();
const newest = clusterOf({ release: '12.5' });
const subscriberTwo = await clusterIdentity('cucm-1051-a-sub2');
const nodeTwo = node({
  name: 'cucm-1051-a-sub2',
  address: '10.48.47.155',
  services: ['CallManager', 'TFTP'],
  callManager: subscriberTwo,
});
const larger = [node(publisherOutline), nodeTwo, node(subscriberOutline)];
const smaller = [node(publisherOutline)];
const renewed = [node(publisherOutline), node({ ...subscriberOutline, callManager: subscriberRenewed })];

let tokens: TrustList;
let tokenless: TrustList;
let recovered: TrustList;

beforeAll(async () => {
  tokens = (await createTokenCtl(cluster, [tokenA.certificate, tokenB.certificate], tokenA.signer, options)).list;
  tokenless = (await createTokenlessCtl(cluster, publisher.signer, options)).list;
  recovered = (await createTokenlessCtl(newest, recovery.signer, options)).list;
});

/** The records of the first list that the second one has too, byte for byte. */
function staying(before: TrustList, after: TrustList): number {
  const bytes = new Set(recordsOf(after));
  return recordsOf(before).filter((record) => bytes.has(record)).length;
}

describe.each(['token', 'tokenless', 'tokenless from 12.0'])('update of a %s list', (kind) => {
  const presentOf = (): TrustList => (kind === 'token' ? tokens : kind === 'tokenless' ? tokenless : recovered);
  const signer = kind === 'token' ? tokenB.signer : kind === 'tokenless' ? publisher.signer : recovery.signer;
  const release = kind === 'tokenless from 12.0' ? '12.5' : '10.5.1';
  const hostOf = (name: string, address: string): string => (kind === 'token' ? address : name);

  test('without a change repeats every record in its place, and the same bytes at the same time', async () => {
    const present = presentOf();
    const result = await updateCtl(present, clusterOf({ release }), signer, options);
    expect(recordsOf(expectProven(result, signer))).toEqual(recordsOf(present));
    expect(result.notices).toEqual([]);
    const again = await updateCtl(result.list, clusterOf({ release }), signer, options);
    expect(Buffer.from(again.list.bytes).equals(result.list.bytes)).toBe(true);
  });

  test('adds a node where the cluster file has it', async () => {
    const present = presentOf();
    const { list } = await updateCtl(present, clusterOf({ release, nodes: larger }), signer, options);
    const difference = diffTrustLists(present, list);
    expect(difference).toMatchObject({ removed: [], changed: [], reordered: false });
    expect(difference.added.map(({ dnsName }) => dnsName)).toEqual([hostOf('cucm-1051-a-sub2', '10.48.47.155')]);
    const hosts = list.records.filter((record) => record.function === 2).map(({ dnsName }) => dnsName);
    expect(hosts).toEqual([
      hostOf('cucm-1051-a-pub', '10.48.47.153'),
      hostOf('cucm-1051-a-sub2', '10.48.47.155'),
      hostOf('cucm-1051-a-sub1', '10.48.47.154'),
    ]);
  });

  test('removes a node', async () => {
    const present = presentOf();
    const result = await updateCtl(present, clusterOf({ release, nodes: smaller }), signer, options);
    const difference = diffTrustLists(present, expectProven(result, signer));
    expect(difference).toMatchObject({ added: [], changed: [], reordered: false });
    expect(difference.removed.map(({ dnsName }) => dnsName)).toEqual([hostOf('cucm-1051-a-sub1', '10.48.47.154')]);
  });

  test('takes over a renewed certificate, in place', async () => {
    const present = presentOf();
    const result = await updateCtl(present, clusterOf({ release, nodes: renewed }), signer, options);
    const list = expectProven(result, signer);
    expect(outlineOf(list)).toEqual(outlineOf(present));
    expect(staying(present, list)).toBe(present.records.length - 1);
    expect(holdersOf(list, subscriber.certificate)).toEqual([]);
    expect(holdersOf(list, subscriberRenewed.certificate).map(({ dnsName }) => dnsName)).toEqual([
      hostOf('cucm-1051-a-sub1', '10.48.47.154'),
    ]);
  });

  test('writes the new address of a node that moved', async () => {
    const present = presentOf();
    const nodes = [node(publisherOutline), node({ ...subscriberOutline, address: '10.48.47.200' })];
    const { list } = await updateCtl(present, clusterOf({ release, nodes }), signer, options);
    const record = list.records.find(({ ipAddress }) => ipAddress?.at(-1) === 200);
    expect(record?.dnsName).toBe(hostOf('cucm-1051-a-sub1', '10.48.47.200'));
    expect(formatHex(record!.certificate!)).toBe(formatHex(subscriber.certificate.der));
    expect(staying(present, list)).toBe(present.records.length - 1);
  });

  test('fills an emptied list again, unless the cluster file says non-secure', async () => {
    const present = presentOf();
    const { list: emptied } = await toNonSecure(present, signer, options);
    expect(isEmptied(emptied)).toBe(true);
    const filled = expectProven(await updateCtl(emptied, clusterOf({ release }), signer, options), signer);
    expect(recordsOf(filled)).toEqual(recordsOf(present));
    const nonSecure = clusterOf({ release, securityMode: 'non-secure', nodes: larger });
    const still = expectProven(await updateCtl(emptied, nonSecure, signer, options), signer);
    expect(isEmptied(still)).toBe(true);
    expect(staying(emptied, still)).toBe(emptied.records.length);
    expect(still.records.length).toBe(emptied.records.length + 1);
  });

  test('does not empty a full list because of the cluster file', async () => {
    const nonSecure = clusterOf({ release, securityMode: 'non-secure' });
    const { list } = await updateCtl(presentOf(), nonSecure, signer, options);
    expect(recordsOf(list)).toEqual(recordsOf(presentOf()));
  });

  test.each(['sha1', 'sha256', 'sha512'] as const)('sign repeats every record and signs over %s', async (digest) => {
    const present = presentOf();
    const result = await signCtl(present, signer, { ...options, digestAlgorithm: digest, timestamp: 1_700_000_000 });
    const list = expectProven(result, signer);
    expect(recordsOf(list)).toEqual(recordsOf(present));
    expect(list.header.digestAlgorithm).toBe(digest);
    expect(list.header.timestamp).toBe(1_700_000_000);
    expect(result.notices.map(({ check }) => check)).toEqual(digest === 'sha256' ? ['sha256'] : []);
    // What follows keeps the digest of the list that is there.
    const next = await signCtl(list, signer, options);
    expect(next.list.header.digestAlgorithm).toBe(digest);
  });
});

describe('where new servers stand in a token list', () => {
  test('behind the first token when there are none yet', async () => {
    const drafts = tokens.records.filter((record) => record.function === 0).map(draftOfRecord);
    const bare = await foreignList(drafts, 0, tokenA.signer);
    const { list } = await updateCtl(bare, cluster, tokenA.signer, options);
    expect(recordsOf(list)).toEqual(recordsOf(tokens));
  });

  test('before those of the nodes that follow', async () => {
    const { list: without } = await updateCtl(
      tokens,
      clusterOf({ nodes: [node(subscriberOutline)] }),
      tokenA.signer,
      options,
    );
    expect(outlineOf(without)).toEqual(['0', '2 10.48.47.154', '0']);
    const { list } = await updateCtl(without, cluster, tokenA.signer, options);
    expect(recordsOf(list)).toEqual(recordsOf(tokens));
  });

  test('behind both tokens where the tokens come first', async () => {
    const [first, server, last] = [0, 3, 4].map((index) => draftOfRecord(tokens.records[index]!));
    const tokensFirst = await foreignList([first!, last!, server!], 0, tokenA.signer);
    const { list } = await updateCtl(tokensFirst, cluster, tokenA.signer, options);
    expect(outlineOf(list)).toEqual(['0', '0', '2 10.48.47.153', '4 10.48.47.153', '2 10.48.47.154']);
  });
});

describe('tokens', () => {
  test('update signs with any token of the list, and the header follows it', async () => {
    const { list } = await updateCtl(tokens, cluster, tokenB.signer, options);
    expect(list.header.signerName).toContain('SAST-ADN008580ef');
    expect(tokens.header.signerName).toContain('SAST-ADN0054f509');
  });

  test('add-token puts the new token behind everything else', async () => {
    const result = await addToken(tokens, tokenC.certificate, tokenB.signer, options);
    const list = expectProven(result, tokenB.signer);
    expect(recordsOf(list).slice(0, -1)).toEqual(recordsOf(tokens));
    expect(list.records.at(-1)!.subjectName).toBe('cn="SAST-ADN00aa55cc        ";ou=IPCBU;o="Cisco Systems');
    expect(verifyTrustList((await signCtl(list, tokenC.signer, options)).list).verified).toBe(true);
  });

  test.each([
    ['as the list prints it', '6C:5B:4A'],
    ['as the certificate has it', '4A5B6C'],
    ['with blanks, in small letters', '4a 5b 6c'],
    ['with a leading zero', '004a5b6c'],
    ['as a number in hex', '0x4A5B6C'],
  ])('remove-token by serial, %s', async (_, serialNumber) => {
    const leaving = await tokenIdentity('SAST-ADN77777777', '4a5b6c', { key: tokenC.key });
    const { list: three } = await addToken(tokens, leaving.certificate, tokenA.signer, options);
    const result = await removeToken(three, serialNumber, tokenB.signer, options);
    expect(recordsOf(expectProven(result, tokenB.signer))).toEqual(recordsOf(tokens));
    expect(result.notices).toEqual([]);
  });

  test('to-tokenless makes the list that utils ctl would have made, and back again', async () => {
    const uploaded = clusterOf({ uploaded: [tokenA, tokenB] });
    const away = await toTokenless(tokens, uploaded, publisher.signer, options);
    expect(recordsOf(expectProven(away, publisher.signer))).toEqual(recordsOf(tokenless));
    expect(away.notices.map(({ check }) => check)).toEqual(['A4']);
    const certificates = [tokenA.certificate, tokenB.certificate];
    const back = await toToken(away.list, uploaded, certificates, tokenA.signer, options);
    expect(Buffer.from(expectProven(back, tokenA.signer).bytes).equals(tokens.bytes)).toBe(true);
    expect(back.notices.map(({ check }) => check)).toEqual(['A3']);
  });

  test('to-tokenless and back with ITLRecovery', async () => {
    const uploaded = clusterOf({ release: '12.5', uploaded: [tokenA, tokenB] });
    const away = await toTokenless(tokens, uploaded, recovery.signer, options);
    expect(recordsOf(expectProven(away, recovery.signer))).toEqual(recordsOf(recovered));
    const certificates = [tokenA.certificate, tokenB.certificate];
    const back = await toToken(away.list, uploaded, certificates, tokenB.signer, options);
    expect(recordsOf(expectProven(back, tokenB.signer))).toEqual(recordsOf(tokens));
  });

  test('takes over what changed in the cluster on the way from tokens and back', async () => {
    const uploaded = [tokenA, tokenB];
    const away = await toTokenless(tokens, clusterOf({ nodes: larger, uploaded }), publisher.signer, options);
    expect(outlineOf(away.list)).toEqual([
      '0 cucm-1051-a-pub',
      '2 cucm-1051-a-pub',
      '4 cucm-1051-a-pub',
      '2 cucm-1051-a-sub2',
      '2 cucm-1051-a-sub1',
    ]);
    const certificates = [tokenA.certificate, tokenB.certificate];
    const back = await toToken(
      away.list,
      clusterOf({ nodes: renewed, uploaded }),
      certificates,
      tokenA.signer,
      options,
    );
    const fresh = await createTokenCtl(clusterOf({ nodes: renewed }), certificates, tokenA.signer, options);
    expect(recordsOf(back.list)).toEqual(recordsOf(fresh.list));
  });

  test('an emptied list of a non-secure cluster stays emptied between tokens and tokenless', async () => {
    const nonSecure = clusterOf({ securityMode: 'non-secure', uploaded: [tokenA, tokenB] });
    const { list: emptied } = await toNonSecure(tokens, tokenA.signer, options);
    const away = await toTokenless(emptied, nonSecure, publisher.signer, options);
    expect(isEmptied(expectProven(away, publisher.signer))).toBe(true);
    const certificates = [tokenA.certificate, tokenB.certificate];
    const back = await toToken(away.list, nonSecure, certificates, tokenA.signer, options);
    expect(recordsOf(expectProven(back, tokenA.signer))).toEqual(recordsOf(emptied));
  });
});

describe('the CallManager of the publisher is renewed', () => {
  const nodes = [node({ ...publisherOutline, callManager: publisherRenewed }), node(subscriberOutline)];

  test('before 12.0: the list has a new signer, in place of the old one', async () => {
    const signer = publisherRenewed.signer;
    const result = await updateCtl(tokenless, clusterOf({ nodes }), signer, options);
    const list = expectProven(result, signer);
    expect(outlineOf(list)).toEqual(outlineOf(tokenless));
    expect(result.notices.map(({ check }) => check)).toEqual(['A6']);
    // 464 bytes: the header length that a cluster printed after its CallManager was renewed with 2048 bits.
    expect(list.header.length).toBe(464);
  });

  test('from 12.0: ITLRecovery signs, and no phone notices', async () => {
    const result = await updateCtl(recovered, clusterOf({ release: '12.5', nodes }), recovery.signer, options);
    expect(outlineOf(expectProven(result, recovery.signer))).toEqual(outlineOf(recovered));
    expect(result.notices).toEqual([]);
    expect(staying(recovered, result.list)).toBe(3);
  });
});

describe('the header of the present list', () => {
  test('FILENAME, the signer version and SIGNATUREALGORITHM stay through every flow', async () => {
    const uploaded = clusterOf({ uploaded: [tokenA, tokenB] });
    const draft = tokens.records.map((record) => record.elements.filter(({ tag }) => tag !== 1));
    const present = await signTrustList(
      {
        version: { major: 1, minor: 2 },
        signerVersion: { major: 1, minor: 1 },
        digestAlgorithm: 'sha512',
        signatureAlgorithm: 2,
        fileName: Buffer.from('CTLSEP001122334455.tlv\0'),
        timestamp: 1,
        records: draft,
        signingRecord: 0,
      },
      tokenA.signer,
    );
    const certificates = [tokenA.certificate, tokenB.certificate];
    const away = await toTokenless(present, uploaded, publisher.signer, options);
    const results = [
      await updateCtl(present, uploaded, tokenA.signer, options),
      await addToken(present, tokenC.certificate, tokenA.signer, options),
      await removeToken(present, '31AF455500000008E983', tokenA.signer, { ...options, accept: ['A5'] }),
      await toNonSecure(present, tokenA.signer, options),
      await signCtl(present, tokenB.signer, options),
      away,
      await updateCtl(away.list, uploaded, publisher.signer, options),
      await toToken(away.list, uploaded, certificates, tokenB.signer, options),
    ];
    for (const { list } of results) {
      expect(verifyTrustList(list).verified).toBe(true);
      expect(list.header).toMatchObject({
        version: { major: 1, minor: 2 },
        signerVersion: { major: 1, minor: 1 },
        digestAlgorithm: 'sha512',
        signatureAlgorithm: 2,
        fileName: 'CTLSEP001122334455.tlv',
        timestamp: options.timestamp,
      });
    }
    expect(results.map(({ list }) => ctlMode(list))).toEqual([
      ...new Array<string>(5).fill('token'),
      ...['tokenless', 'tokenless', 'token'],
    ]);
  });
});
