import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  certificateSha1,
  checkCluster,
  loadPrivateKey,
  parseRelease,
  renewCertificate,
  worstFirst,
  worstSeverity,
  type CertificateName,
  type CheckedCtl,
  type CheckedItl,
  type Cluster,
  type ClusterCheckRequest,
  type ClusterFinding,
  type KeyReference,
} from '../../src/cluster/index.js';
import {
  createTokenCtl,
  createTokenlessCtl,
  ctlMode,
  isEmptied,
  removeToken,
  tokenRecords,
  toNonSecure,
} from '../../src/ctl/index.js';
import { createItl, itlSigner } from '../../src/itl/index.js';
import { createSoftwareSigner, type Signer } from '../../src/signer/index.js';
import { decodeTrustList, type TrustList } from '../../src/trust-list/index.js';
import {
  decodeCertificate,
  formatSerialNumber,
  generateRsaKey,
  issueCertificate,
  type Certificate,
} from '../../src/x509/index.js';
import { makeTwoNodes } from './two-nodes.js';

const began = new Date('2026-01-01T00:00:00Z');
const now = new Date('2026-06-01T00:00:00Z');
const options = { timestamp: now.getTime() / 1000, now };
const day = 86_400_000;

let cluster: Cluster;
let folder: string;
let tokens: readonly Signer[];

beforeAll(async () => {
  const made = await makeTwoNodes('11.5.1', began);
  ({ folder } = made);
  const sha1 = certificateSha1(made.cluster.nodes[0]!.certificates.ITLRecovery!);
  cluster = { ...made.cluster, recoveryBackup: { time: began, sha1 } };
  tokens = await Promise.all(['SAST-one', 'SAST-two'].map((name, index) => makeToken(name, index + 1)));
});

async function makeToken(name: string, serial: number): Promise<Signer> {
  const key = await generateRsaKey(1024);
  const certificate = await issue({ commonName: name, serial, key });
  return createSoftwareSigner(certificate, key);
}

interface Wish {
  readonly commonName?: string;
  readonly serial?: number;
  readonly bits?: number;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly key?: Awaited<ReturnType<typeof generateRsaKey>>;
}

async function issue(wish: Wish): Promise<Certificate> {
  const key = wish.key ?? (await generateRsaKey(wish.bits ?? 1024));
  const subject = [{ type: 'CN', value: wish.commonName ?? 'cucm-pub' }];
  return issueCertificate(
    {
      subject,
      publicKey: key,
      serialNumber: Uint8Array.of(0x40, wish.serial ?? 9),
      notBefore: wish.notBefore ?? began,
      notAfter: wish.notAfter ?? new Date('2031-01-01T00:00:00Z'),
    },
    { name: subject, key },
  );
}

/** The cluster with another certificate on one of its nodes. */
function having(name: CertificateName, certificate: Certificate, index = 0, of = cluster): Cluster {
  const nodes = of.nodes.map((node, position) =>
    position === index ? { ...node, certificates: { ...node.certificates, [name]: certificate } } : node,
  );
  return { ...of, nodes };
}

const released = (text: string, of = cluster): Cluster => ({ ...of, release: parseRelease(text) });

async function signerOf(name: CertificateName, index = 0): Promise<Signer> {
  const node = cluster.nodes[index]!;
  const [certificate, key] = [node.certificates[name]!, node.keys[name]!];
  if (key.kind !== 'file') throw new Error('the lab has its keys in files');
  return createSoftwareSigner(certificate, await loadPrivateKey(key, certificate));
}

function ctlOf(list: TrustList): CheckedCtl {
  const mode = ctlMode(list);
  return { kind: 'CTL', path: 'CTLFile.tlv', list, mode, emptied: isEmptied(list), tokens: tokenRecords(list).length };
}

const itlOf = (list: TrustList): CheckedItl => ({ kind: 'ITL', path: 'ITLFile.tlv', list });

async function tokenless(of = cluster): Promise<TrustList> {
  const name = of.release.major >= 12 ? 'ITLRecovery' : 'CallManager';
  return (await createTokenlessCtl(of, await signerOf(name), { ...options, accept: ['A8'] })).list;
}

async function withTokens(): Promise<TrustList> {
  const [first] = tokens;
  const certificates = tokens.map(({ certificate }) => certificate);
  return (await createTokenCtl(cluster, certificates, first!, options)).list;
}

async function itl(of = cluster, index = 0): Promise<TrustList> {
  const node = of.nodes[index]!;
  const { name } = itlSigner(of, node);
  return createItl(of, node, await signerOf(name, name === 'ITLRecovery' ? 0 : index), options);
}

/** The findings that are worse than ok, each in a few words. */
function bad(request: Partial<ClusterCheckRequest>): string[] {
  return checkCluster({ cluster, now, ...request })
    .filter(({ severity }) => severity !== 'ok')
    .map(brief);
}

const brief = ({ severity, check, node, certificate, list }: ClusterFinding): string =>
  [severity, check, node, certificate, list].filter((word) => word !== undefined).join(' ');

test('nothing is wrong: no finding that is worse than ok', async () => {
  const lists = [ctlOf(await tokenless()), itlOf(await itl()), itlOf(await itl(cluster, 1)), ctlOf(await withTokens())];
  const keys = [{ node: 'cucm-pub', certificate: 'TVS', state: 'fits' }] as const;
  const findings = checkCluster({ cluster, now, lists, keys });
  expect(findings.map(brief)).toEqual([
    'ok recovery-backup cucm-pub ITLRecovery',
    'ok list CTLFile.tlv',
    'ok list ITLFile.tlv',
    'ok list ITLFile.tlv',
    'ok list CTLFile.tlv',
  ]);
  expect(worstSeverity(findings)).toBe('ok');
  expect(worstSeverity([])).toBe('ok');
});

describe('expiry', () => {
  const notAfter = new Date('2031-01-01T00:00:00Z');
  const at = (days: number): Date => new Date(notAfter.getTime() - days * day);
  const find = (moment: Date, days?: number): ClusterFinding[] =>
    checkCluster({ cluster, now: moment, ...(days === undefined ? {} : { days }) }).filter(
      ({ check, node, certificate }) => check === 'expiry' && node === 'cucm-pub' && certificate === 'TVS',
    );

  test.each([
    [90, undefined, []],
    [89.99, undefined, [['warning', 'expires in 89 days, on 2031-01-01T00:00:00Z', /^renew it with/]]],
    [30, undefined, [['warning', 'expires in 30 days, on 2031-01-01T00:00:00Z', /^renew it with/]]],
    [29.99, undefined, [['warning', 'expires in 29 days, on 2031-01-01T00:00:00Z', /^now: renew it with/]]],
    [1, undefined, [['warning', 'expires in 1 day, on 2031-01-01T00:00:00Z', /^now: /]]],
    [0, undefined, [['warning', 'expires in 0 days, on 2031-01-01T00:00:00Z', /^now: /]]],
    [-0.01, undefined, [['critical', 'expired on 2031-01-01T00:00:00Z', /cluster renew TVS --node cucm-pub/]]],
    [15, 14, []],
    [13.9, 14, [['warning', 'expires in 13 days, on 2031-01-01T00:00:00Z', /^now: /]]],
  ] as const)('%d days before the end, warned of %j days before: %j', (left, days, expected) => {
    const found = find(at(left), days);
    expect(found.map(({ severity, message, hint }) => [severity, message, hint])).toEqual(
      expected.map(([severity, message, hint]) => [severity, message, expect.stringMatching(hint) as string]),
    );
  });

  test('before its beginning, a warning', () => {
    expect(find(new Date(began.getTime() - 1000))[0]).toMatchObject({
      severity: 'warning',
      message: 'is not valid before 2026-01-01T00:00:00Z',
    });
    expect(find(began)).toEqual([]);
  });

  test('a token in a trust store: a warning that names it; a copy of a node certificate is told once', async () => {
    const token = await issue({ commonName: 'SAST-old', notAfter: began });
    const own = cluster.nodes[0]!.certificates.CallManager!;
    const stores = { ...cluster, trustStores: { 'Phone-SAST-trust': [token, own] } };
    const found = checkCluster({ cluster: stores, now }).filter(({ check }) => check === 'expiry');
    expect(found).toMatchObject([
      { severity: 'warning', certificate: 'Phone-SAST-trust', message: 'CN=SAST-old expired on 2026-01-01T00:00:00Z' },
    ]);
    const late = checkCluster({ cluster: stores, now: new Date('2032-01-01T00:00:00Z') });
    expect(late.filter(({ check, certificate }) => check === 'expiry' && certificate === 'CallManager')).toHaveLength(
      2,
    );
  });
});

describe('key sizes', () => {
  test('1024 beside 2048: the small ones are told; all alike: none', async () => {
    const mixed = having('TVS', await issue({ bits: 2048 }));
    const found = bad({ cluster: mixed });
    expect(found).toContain('warning key-size cucm-pub CallManager');
    expect(found).not.toContain('warning key-size cucm-pub TVS');
    expect(found).toHaveLength(6 - 1);
    expect(bad({})).toEqual([]);
  });

  test('a size that SIGNATUREMODULUS has no number for: of a certificate that signs only', async () => {
    const odd = await issue({ bits: 1536 });
    expect(bad({ cluster: having('CallManager', odd) })).toEqual(['critical key-size cucm-pub CallManager']);
    expect(bad({ cluster: having('TVS', odd) })).toEqual([]);
  });

  test('an EC key: critical where it signs', () => {
    const [key, file] = ['ec.key', 'ec.der'].map((name) => join(folder, name)) as [string, string];
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    writeFileSync(key, privateKey.export({ format: 'pem', type: 'pkcs8' }));
    const words = ['req', '-x509', '-new', '-key', key, '-subj', '/CN=cucm-pub', '-days', '3650'];
    expect(spawnSync('openssl', [...words, '-outform', 'DER', '-out', file]).status).toBe(0);
    const certificate = { ...decodeCertificate(new Uint8Array(readFileSync(file))), notBefore: began };
    expect(bad({ cluster: having('CallManager', certificate) })).toEqual(['critical key-size cucm-pub CallManager']);
    expect(bad({ cluster: having('TVS', certificate) })).toEqual(['warning key-size cucm-pub TVS']);
  });
});

test('keys: of another certificate, unreadable, not looked at, fitting', () => {
  const base = { node: 'cucm-pub', certificate: 'TVS' } as const;
  const found = checkCluster({
    cluster,
    now,
    keys: [
      { ...base, state: 'other' },
      { ...base, state: 'unreadable', reason: 'the key file x does not exist' },
      { ...base, state: 'unread', reason: 'its private key is on a token' },
      { ...base, state: 'fits' },
    ],
  }).filter(({ check }) => check === 'key-file');
  expect(found.map(({ severity, message }) => [severity, message])).toEqual([
    ['critical', expect.stringContaining('is not the one of the certificate') as string],
    ['warning', 'the key file x does not exist'],
    ['ok', 'its private key is on a token'],
  ]);
});

describe('ITLRecovery', () => {
  const warning = 'warning recovery-backup cucm-pub ITLRecovery';

  test('no backup noted; one of another certificate; one of this', async () => {
    expect(bad({ cluster: { ...cluster, recoveryBackup: undefined } })).toEqual([warning]);
    const other = { time: began, sha1: '0'.repeat(40) };
    expect(bad({ cluster: { ...cluster, recoveryBackup: other } })).toEqual([warning]);
    const { certificate } = await renewCertificate({ cluster, node: 'cucm-pub', certificate: 'ITLRecovery', now });
    expect(bad({ cluster: having('ITLRecovery', certificate) })).toEqual([warning]);
    const { recoveryBackup } = cluster;
    const upper = { ...recoveryBackup!, sha1: recoveryBackup!.sha1.toUpperCase() };
    expect(bad({ cluster: { ...cluster, recoveryBackup: upper } })).toEqual([]);
  });

  test('a backup that opens with an old password, until the next one', () => {
    const backedUp = (time: string, passwordChanged: string): Cluster => ({
      ...cluster,
      recoveryBackup: {
        sha1: cluster.recoveryBackup!.sha1,
        time: new Date(time),
        passwordChanged: new Date(passwordChanged),
      },
    });
    const outdated = backedUp('2026-02-01T00:00:00Z', '2026-02-02T00:00:00Z');
    expect(bad({ cluster: outdated })).toEqual([warning]);
    const [finding] = checkCluster({ cluster: outdated, now }).filter(({ check }) => check === 'recovery-backup');
    expect(finding?.message).toContain('opens with the old password: it was changed on 2026-02-02T00:00:00Z');
    expect(bad({ cluster: backedUp('2026-02-03T00:00:00Z', '2026-02-02T00:00:00Z') })).toEqual([]);
  });

  test('how to back it up depends on where the key is', () => {
    const hintWith = (key: KeyReference | undefined): string => {
      const [publisher, ...others] = cluster.nodes;
      const { ITLRecovery: _own, ...keys } = publisher!.keys;
      const node = { ...publisher!, keys: key === undefined ? keys : { ...keys, ITLRecovery: key } };
      const kept = { ...cluster, recoveryBackup: undefined, nodes: [node, ...others] };
      return checkCluster({ cluster: kept, now }).find(({ check }) => check === 'recovery-backup')?.hint ?? '';
    };
    expect(hintWith({ kind: 'file', path: 'x' })).toContain('itl backup-key');
    expect(hintWith({ kind: 'token', uri: 'pkcs11:token=x' })).toContain('does not leave it');
    expect(hintWith(undefined)).toContain('file get tftp ITLRecovery.p12');
  });

  test.each([
    ['11.5.1', 'five'],
    ['12.5.1', 'twenty'],
  ])('near its end, in release %s: how long a new one lasts, and what to do with it', (release, years) => {
    const publisher = cluster.nodes[0]!;
    const present = publisher.certificates.ITLRecovery!;
    const close = new Date(present.notAfter.getTime() - 60 * day);
    const found = checkCluster({ cluster: released(release), now: close, days: 90 });
    const [finding] = found.filter(({ check, certificate }) => check === 'expiry' && certificate === 'ITLRecovery');
    expect(finding?.message).toContain('expires in 60 days');
    expect(finding?.hint).toContain(`gives it ${years} years`);
    expect(finding?.hint).toContain('(A7)');
  });

  test('a key of 1024 bits beside servers of 2048', async () => {
    const key = await generateRsaKey(2048);
    const server = await issue({ commonName: 'cucm-pub', serial: 77, key });
    const found = checkCluster({
      cluster: { ...having('CallManager', server), recoveryBackup: cluster.recoveryBackup },
      now,
    });
    const [finding] = found.filter(({ check, certificate }) => check === 'key-size' && certificate === 'ITLRecovery');
    expect(finding).toMatchObject({ severity: 'warning', message: 'has a key of 1024 bits, beside others of 2048' });
    expect(finding?.hint).toContain('itl backup-key');
  });

  test('not in the cluster file: from 10.0 on a warning', () => {
    const [publisher, ...others] = cluster.nodes;
    const { ITLRecovery: _gone, ...certificates } = publisher!.certificates;
    const without = { ...cluster, nodes: [{ ...publisher!, certificates }, ...others] };
    expect(bad({ cluster: without })).toEqual(['warning recovery-backup cucm-pub']);
    expect(bad({ cluster: released('9.1.2', without) })).toEqual([]);
  });

  test('named after an old host name: said, and right; with or without its domain: nothing to say', () => {
    const named = (name: string): ClusterFinding[] => {
      const [publisher, ...others] = cluster.nodes;
      const renamed = { ...cluster, nodes: [{ ...publisher!, name }, ...others] };
      return checkCluster({ cluster: renamed, now }).filter(({ check }) => check === 'recovery-name');
    };
    expect(named('cucm-new')).toMatchObject([
      {
        severity: 'ok',
        message: expect.stringContaining('is named after cucm-pub, and the host is cucm-new') as string,
      },
    ]);
    expect(named('CUCM-PUB')).toEqual([]);
    expect(named('cucm-pub.example.com')).toEqual([]);
  });
});

describe('lists', () => {
  test('a list that does not verify (A9)', async () => {
    const spoilt = ({ bytes, header }: TrustList): TrustList => {
      const other = Uint8Array.from(bytes);
      other[header.signatureSpan.end - 1]! ^= 1;
      return decodeTrustList(other);
    };
    expect(bad({ lists: [ctlOf(spoilt(await tokenless()))] })).toEqual(['critical A9 CTLFile.tlv']);
    expect(bad({ lists: [itlOf(spoilt(await itl()))] })).toEqual(['critical A9 ITLFile.tlv']);
  });

  test('a file that is no list', () => {
    const malformed = { kind: 'malformed', path: 'CTLFile.tlv', reason: 'is no trust list' } as const;
    expect(bad({ lists: [malformed] })).toEqual(['critical list-format CTLFile.tlv']);
  });

  test('one token (A5), two tokens', async () => {
    const two = await withTokens();
    const [first, second] = tokens;
    const serial = formatSerialNumber(second!.certificate.serialNumber);
    const one = await removeToken(two, serial, first!, { ...options, accept: ['A5'] });
    expect(bad({ lists: [ctlOf(one.list)] })).toEqual(['warning A5 CTLFile.tlv']);
    expect(bad({ lists: [ctlOf(two)] })).toEqual([]);
  });

  test('tokens from 14SU3 on (A14); before, and tokenless, not', async () => {
    const list = ctlOf(await withTokens());
    expect(bad({ cluster: released('14SU3'), lists: [list] })).toEqual(['critical A14 CTLFile.tlv']);
    expect(bad({ cluster: released('14SU2'), lists: [list] })).toEqual([]);
    const newest = released('14SU3');
    expect(bad({ cluster: newest, lists: [ctlOf(await tokenless(newest))] })).toEqual([]);
  });

  test('tokenless before 10.0 (A8); from 10.0 on, and with tokens, not', async () => {
    const list = ctlOf(await tokenless());
    expect(bad({ cluster: released('9.1.2'), lists: [list] })).toEqual(['critical A8 CTLFile.tlv']);
    expect(bad({ cluster: released('10.0'), lists: [list] })).toEqual([]);
    expect(bad({ cluster: released('9.1.2'), lists: [ctlOf(await withTokens())] })).toEqual([]);
  });

  test('a list of the other security mode', async () => {
    const whole = await tokenless();
    const { list: emptied } = await toNonSecure(whole, await signerOf('CallManager'), options);
    const nonSecure: Cluster = { ...cluster, securityMode: 'non-secure' };
    expect(bad({ lists: [ctlOf(emptied)] })).toEqual(['critical security-mode CTLFile.tlv']);
    expect(bad({ cluster: nonSecure, lists: [ctlOf(whole)] })).toEqual(['warning security-mode CTLFile.tlv']);
    expect(bad({ cluster: nonSecure, lists: [ctlOf(emptied)] })).toEqual([]);
    expect(bad({ lists: [ctlOf(whole)] })).toEqual([]);
  });

  const renewed = async (name: CertificateName, node: string, of = cluster, at = now): Promise<Cluster> => {
    const { certificate } = await renewCertificate({ cluster: of, node, certificate: name, now: at });
    const index = of.nodes.findIndex((one) => one.name === node);
    return { ...having(name, certificate, index, of), recoveryBackup: undefined };
  };
  const lists = (request: Partial<ClusterCheckRequest>): string[] =>
    bad(request).filter((finding) => finding.endsWith('.tlv'));

  test('a CTL without the present certificate of a server; it says whether it is the older one', async () => {
    const list = ctlOf(await tokenless());
    const later = await renewed('CallManager', 'cucm-sub1', cluster, new Date(now.getTime() + day));
    const missing = 'critical list-certificate cucm-sub1 CallManager CTLFile.tlv';
    expect(lists({ cluster: later, lists: [list] })).toEqual([missing]);
    const [older] = checkCluster({ cluster: later, now, lists: [list] }).filter((one) => one.list !== undefined);
    expect(older?.message).toBe(
      'is older (2026-06-01T00:00:00Z) than the present CallManager certificate of cucm-sub1, which is valid from 2026-06-02T00:00:00Z',
    );
    const earlier = await renewed('CallManager', 'cucm-sub1', cluster, new Date(now.getTime() - day));
    const [other] = checkCluster({ cluster: earlier, now, lists: [list] }).filter((one) => one.list !== undefined);
    expect(other?.message).toBe('does not hold the present CallManager certificate of cucm-sub1');
    expect(lists({ cluster: await renewed('CAPF', 'cucm-pub'), lists: [list] })).toEqual([
      'critical list-certificate cucm-pub CAPF CTLFile.tlv',
    ]);
    // CTLs hold no TVS, and before 12.0 no ITLRecovery.
    expect(lists({ cluster: await renewed('TVS', 'cucm-pub'), lists: [list] })).toEqual([]);
    expect(lists({ cluster: await renewed('ITLRecovery', 'cucm-pub'), lists: [list] })).toEqual([]);
    // Nor do emptied ones hold the servers; a list of tokens knows the publisher as a server only.
    const { list: emptied } = await toNonSecure(list.list, await signerOf('CallManager'), options);
    const nonSecure: Cluster = { ...later, securityMode: 'non-secure' };
    expect(lists({ cluster: nonSecure, lists: [ctlOf(emptied)] })).toEqual([]);
    const tokenList = ctlOf(await withTokens());
    expect(lists({ cluster: await renewed('CallManager', 'cucm-pub'), lists: [tokenList] })).toEqual([
      'critical list-certificate cucm-pub CallManager CTLFile.tlv',
    ]);
  });

  test('an ITL without a present certificate', async () => {
    const list = itlOf(await itl());
    for (const [name, node, expected] of [
      ['TVS', 'cucm-sub1', ['critical list-certificate cucm-sub1 TVS ITLFile.tlv']],
      ['CAPF', 'cucm-pub', ['critical list-certificate cucm-pub CAPF ITLFile.tlv']],
      ['ITLRecovery', 'cucm-pub', ['critical list-certificate cucm-pub ITLRecovery ITLFile.tlv']],
      // Another node's CallManager is in the ITL of that node.
      ['CallManager', 'cucm-sub1', []],
    ] as const) {
      expect(lists({ cluster: await renewed(name, node), lists: [list] })).toEqual(expected);
    }
  });

  test('an ITL of a node that serves none any more is that of no node', async () => {
    const [publisher, ...others] = cluster.nodes;
    const moved: Cluster = {
      ...cluster,
      nodes: [{ ...publisher!, services: ['CallManager', 'CAPF', 'TVS'] }, ...others],
    };
    expect(lists({ cluster: moved, lists: [itlOf(await itl())] })).toEqual(['critical list-certificate ITLFile.tlv']);
    expect(lists({ cluster: moved, lists: [itlOf(await itl(cluster, 1))] })).toEqual([]);
  });

  test('what another finding says is refused is not what a finding advises', async () => {
    const hints = (of: Cluster, checked: CheckedCtl): (readonly [string, string | undefined])[] =>
      checkCluster({ cluster: of, now, lists: [checked] })
        .filter(({ list }) => list !== undefined)
        .map(({ check, hint }) => [check, hint]);
    const changed = await renewed('CAPF', 'cucm-pub');
    const [list, tokenList] = [await tokenless(), await withTokens()];
    expect(hints(changed, ctlOf(list))).toEqual([['list-certificate', 'run "cluster update-ctl"']]);
    expect(hints(changed, ctlOf(tokenList))).toEqual([
      ['list-certificate', 'run "ctl update" with a token that is in it'],
    ]);
    const first = (check: string): readonly [string, string] => [
      'list-certificate',
      `first do what ${check} says; then look again`,
    ];
    expect(hints(released('14SU3', changed), ctlOf(tokenList))).toEqual([
      ['A14', 'go tokenless with "cluster set mixed-mode"'],
      first('A14'),
    ]);
    const bytes = Uint8Array.from(list.bytes);
    bytes[list.header.signatureSpan.end - 1]! ^= 1;
    expect(hints(changed, ctlOf(decodeTrustList(bytes)))).toEqual([
      ['A9', expect.stringContaining('restore a backup') as string],
      first('A9'),
    ]);
  });

  test('a signer that the cluster file no longer names: of an ITL critical, of a CTL A6', async () => {
    const changed = await renewed('CallManager', 'cucm-pub');
    expect(lists({ cluster: changed, lists: [itlOf(await itl())] })).toEqual([
      'critical list-signer ITLFile.tlv',
      'critical list-certificate ITLFile.tlv',
    ]);
    expect(lists({ cluster: changed, lists: [ctlOf(await tokenless())] })).toEqual([
      'warning A6 CTLFile.tlv',
      'critical list-certificate cucm-pub CallManager CTLFile.tlv',
    ]);
  });

  test('from 12.0: one of the two signers renewed is A6 or nothing, both are A7', async () => {
    const twelve = released('12.5');
    const list = ctlOf(await tokenless(twelve));
    expect(lists({ cluster: twelve, lists: [list, itlOf(await itl(twelve)), itlOf(await itl(twelve, 1))] })).toEqual(
      [],
    );
    const callManager = await renewed('CallManager', 'cucm-pub', twelve);
    expect(lists({ cluster: callManager, lists: [list] })).toEqual([
      'critical list-certificate cucm-pub CallManager CTLFile.tlv',
    ]);
    const recovery = await renewed('ITLRecovery', 'cucm-pub', twelve);
    expect(lists({ cluster: recovery, lists: [list] })).toEqual([
      'warning A6 CTLFile.tlv',
      'critical list-certificate cucm-pub ITLRecovery CTLFile.tlv',
    ]);
    const both = await renewed('ITLRecovery', 'cucm-pub', callManager, new Date(now.getTime() + day));
    expect(lists({ cluster: both, lists: [list] })).toContain('critical A7 CTLFile.tlv');
  });
});

test('the worst comes first, the rest keeps its order', () => {
  const one = (severity: ClusterFinding['severity'], message: string): ClusterFinding => ({
    severity,
    check: 'list',
    message,
  });
  const findings = [one('ok', 'a'), one('warning', 'b'), one('critical', 'c'), one('warning', 'd'), one('ok', 'e')];
  expect(worstFirst(findings).map(({ message }) => message)).toEqual(['c', 'b', 'd', 'a', 'e']);
  expect(worstSeverity(findings)).toBe('critical');
  expect(worstSeverity(findings.slice(0, 2))).toBe('warning');
});
