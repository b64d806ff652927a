import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Cluster } from '../../src/cluster/index.js';
import { createLabToken } from '../../src/lab/index.js';
import {
  diagnose,
  readPhoneLog,
  type DiagnosisCheck,
  type DiagnosisEvidence,
  type DiagnosisFinding,
} from '../../src/migration/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import { answering, now, SmallCluster, start } from './diagnosis-cluster.js';

const folder = mkdtempSync(join(tmpdir(), 'etb-doubt-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const known = (list: TrustList) => ({ kind: 'known', list }) as const;
const unknown = { kind: 'unknown', digest: 'deadbeef'.repeat(5) } as const;
const none = { kind: 'none' } as const;
const file = (certificate: Uint8Array) => [{ name: 'TVS.pem', certificate }];

// Before 10.0 no ITLRecovery key could save a phone. One node, both renewed.
const one = await SmallCluster.make({ folder, release: '9.1.2' });
const oldItl = await one.itl();
const oldEmpty = await one.emptyItl();
const oldCluster = one.cluster;
const tokens = [await createLabToken('0054f509', start), await createLabToken('008580ef', start)];
const oldCtl = await one.tokenCtl(tokens);
const mixed = one.cluster;
await one.renew('CallManager', 'TVS');
const newItl = await one.itl();
const newCtl = await one.updateCtl(oldCtl, tokens[0]);

/** Everything that makes all four conditions true, for a phone without a CTL. */
const stuck = {
  served: { itl: newItl.bytes },
  held: { itl: known(oldItl), ctl: none },
  tvsCertificates: file(one.tvsCertificate()),
  verificationFailed: true,
  oldKeyBackup: false,
  now,
} satisfies DiagnosisEvidence;

// Two nodes, only the publisher's CallManager and TVS renewed.
const two = await SmallCluster.make({ folder, release: '9.1.2', nodes: 2, name: 'pair' });
const pairItl = await two.itl();
const pairTvs = two.tvsCertificate();
await two.renew('CallManager', 'TVS');
const pair = {
  ...stuck,
  served: { itl: (await two.itl()).bytes },
  held: { itl: known(pairItl), ctl: none },
  tvsCertificates: file(two.tvsCertificate()),
} satisfies DiagnosisEvidence;

// A node renamed: all its certificates are made anew.
const renamed = await SmallCluster.make({ folder, release: '9.1.2', name: 'renamed' });
const renamedItl = await renamed.itl();

const deletionOf = (evidence: DiagnosisEvidence) => diagnose(evidence).deletion;
const conditionOf = (evidence: DiagnosisEvidence, index: number) => deletionOf(evidence).conditions[index]!;
const find = (evidence: DiagnosisEvidence, check: DiagnosisCheck): DiagnosisFinding | undefined =>
  diagnose(evidence).findings.find((finding) => finding.check === check);
const log = (text: string, name = 'phone.log') => readPhoneLog(text, name);

test('what makes all four conditions true says that it must be deleted', () => {
  expect(deletionOf(stuck).verdict).toBe('must');
});

describe('a CTL that the phone may hold, and nobody gave (P9)', () => {
  test.each<[string, DiagnosisEvidence]>([
    ['is known by its checksum only', { ...stuck, held: { itl: known(oldItl), ctl: unknown } }],
    [
      'is served, and nobody told of the one of the phone',
      { ...stuck, held: { itl: known(oldItl) }, served: { ...stuck.served, ctl: newCtl.bytes } },
    ],
    ['is to be expected in a mixed cluster', { ...stuck, held: { itl: known(oldItl) }, cluster: mixed }],
    ['counts too when the ITL names no TVS', { ...stuck, held: { itl: known(oldEmpty), ctl: unknown } }],
  ])('%s: nobody can tell, and --held-ctl is missing', (_name, evidence) => {
    expect(conditionOf(evidence, 1)).toMatchObject({
      answer: 'unknown',
      evidence: expect.stringContaining('CTL') as string,
    });
    const { verdict, missing } = deletionOf(evidence);
    expect([verdict, missing.length]).toEqual(['cannot-tell', 1]);
    expect(missing[0]).toMatch(/--held-ctl.*--phone-ctl-checksum none/);
    expect(find(evidence, 'must-be-deleted')).toBeUndefined();
  });

  test('A1 is a warning then, for a token may have signed it', () => {
    expect(find(stuck, 'both-renewed')?.severity).toBe('error');
    const untold = { ...stuck, held: { itl: known(oldItl) }, cluster: mixed };
    expect(find(untold, 'both-renewed')?.severity).toBe('warning');
  });

  test('one that nobody has reason to expect is taken for none', () => {
    expect(deletionOf({ ...stuck, held: { itl: known(oldItl) } }).verdict).toBe('must');
  });
});

describe('a second TVS server (A1)', () => {
  test('that the cluster file names, and the phone: nothing is deleted', () => {
    const evidence = { ...pair, cluster: two.cluster };
    expect(conditionOf(evidence, 1)).toMatchObject({
      answer: 'no',
      evidence: expect.stringContaining('pair-sub') as string,
    });
    expect(deletionOf(evidence).verdict).toBe('need-not');
    const publisher = answering(two.tvsCertificate(), {}, () => ({ status: 'not-trusted' }));
    expect(conditionOf({ ...evidence, tvsCertificates: [], tvs: [publisher] }, 1).answer).toBe('no');
    expect(find(evidence, 'both-renewed')).toBeUndefined();
  });

  test("that stands in the phone's ITL and in the server's, without the cluster file", () => {
    expect(conditionOf(pair, 1)).toMatchObject({
      answer: 'no',
      evidence: expect.stringContaining('pair-sub') as string,
    });
    expect(deletionOf(pair).verdict).toBe('need-not');
    expect(find(pair, 'both-renewed')).toBeUndefined();
  });

  test('that is shown with another certificate than the lists have does not count', async () => {
    const subscriber = two.certificates.identity('pair-sub', 'TVS').certificate.der;
    expect(conditionOf({ ...pair, tvsCertificates: [...pair.tvsCertificates, ...file(subscriber)] }, 1).answer).toBe(
      'no',
    );
    await two.certificates.renew('pair-sub', 'TVS', start);
    const renewedSubscriber = file(two.certificates.identity('pair-sub', 'TVS').certificate.der);
    // The ITL of the server is older than that.
    const both = { ...pair, tvsCertificates: [...pair.tvsCertificates, ...renewedSubscriber] };
    expect(conditionOf(both, 1).answer).toBe('yes');
    expect(deletionOf(both).verdict).toBe('must');
    expect(conditionOf({ ...pair, cluster: two.cluster }, 1).answer).toBe('yes');
    // The cluster file is of before, and the server shows the new one.
    const stale = { ...stuck, cluster: oldCluster };
    expect(conditionOf(stale, 1).answer).toBe('yes');
  });

  test('of which nobody told the present certificate: nobody can tell', async () => {
    const evidence = { ...pair, served: { itl: (await two.itl()).bytes } };
    expect(conditionOf(evidence, 1)).toMatchObject({
      answer: 'unknown',
      evidence: expect.stringContaining('CN=pair-sub') as string,
    });
    expect(deletionOf(evidence)).toMatchObject({ verdict: 'cannot-tell' });
    expect(deletionOf(evidence).missing[0]).toMatch(/--tvs HOST or --tvs-certificate FILE for each TVS server/);
    // A node that the cluster file has no more.
    const [publisher] = two.cluster.nodes;
    const alone: Cluster = { ...two.cluster, nodes: [publisher!] };
    expect(conditionOf({ ...evidence, cluster: alone }, 1).answer).toBe('yes');
    // A cluster file that does not tell the certificate.
    const { TVS: _without, ...rest } = two.cluster.nodes[1]!.certificates;
    const partial: Cluster = { ...two.cluster, nodes: [publisher!, { ...two.cluster.nodes[1]!, certificates: rest }] };
    expect(conditionOf({ ...evidence, cluster: partial }, 1).answer).toBe('unknown');
    expect(conditionOf({ ...evidence, tvsCertificates: file(pairTvs) }, 1).answer).toBe('no');
  });
});

describe('a failed verification of the ITL, as logs tell it', () => {
  const ctlAccepted = 'SECUREAPP-TL file verified successfully. CTL (P5: yes)';
  const ctlRejected = 'SECUREAPP-Trust List update failed. CTL (P5: no)';
  const itlAccepted = 'SECUREAPP-TL file verified successfully. ITL (P5: yes)';
  const itlRejected = 'SECUREAPP-Trust List update failed. ITL (P5: no)';
  const failed = '10:01:01a Trust List Update Failed';
  const updated = '10:05:00a Trust List Updated';
  const rejectedFile = '10:05:01a File Auth Fail SEP001122334455.cnf.xml.sgn';
  const { verificationFailed: _told, ...untold } = stuck;

  test.each<[string, readonly string[], string]>([
    ['only the CTL was accepted', [ctlAccepted], 'unknown'],
    ['only the CTL was rejected', [ctlRejected], 'unknown'],
    ['only the configuration was rejected', [rejectedFile], 'unknown'],
    ['the CTL was rejected and the ITL accepted', [ctlRejected, itlAccepted], 'no'],
    ['the ITL was rejected and the CTL accepted', [itlRejected, ctlAccepted], 'yes'],
    ['a list failed', [failed], 'yes'],
    ['a list failed, and the ITL was accepted', [failed, itlAccepted], 'no'],
    ['a list failed, and a list was updated', [failed, updated], 'no'],
    ['a list failed, and the CTL was accepted', [failed, ctlAccepted], 'unknown'],
    ['the ITL was rejected, and a list updated', [itlRejected, updated], 'unknown'],
    ['the ITL was accepted, and rejected later', [itlAccepted, itlRejected], 'yes'],
    ['the ITL was rejected, and accepted later', [itlRejected, itlAccepted], 'no'],
  ])('%s', (_name, lines, answer) => {
    expect(conditionOf({ ...untold, logs: [log(lines.join('\n'))] }, 2).answer).toBe(answer);
  });

  test('two logs that contradict each other tell nothing, in either order', () => {
    const [good, bad] = [log(itlAccepted, 'good.log'), log(itlRejected, 'bad.log')];
    for (const logs of [
      [good, bad],
      [bad, good],
    ]) {
      expect(deletionOf({ ...untold, logs }).verdict).toBe('cannot-tell');
      expect(conditionOf({ ...untold, logs }, 2).evidence).toMatch(/contradicts itself.*(good|bad)\.log, line 1/);
    }
    expect(conditionOf({ ...untold, logs: [bad, log(ctlAccepted)] }, 2).answer).toBe('yes');
    expect(conditionOf({ ...stuck, logs: [good] }, 2).answer).toBe('unknown');
    expect(conditionOf({ ...stuck, verificationFailed: false, logs: [bad] }, 2).answer).toBe('unknown');
    expect(conditionOf({ ...stuck, logs: [bad] }, 2).answer).toBe('yes');
  });
});

describe('a list that nobody told of', () => {
  const recent = SmallCluster.make({ folder, release: '11.5.1' }).then(async (lab) => {
    const ctl = await lab.tokenlessCtl();
    const itl = await lab.itl();
    const before = lab.cluster;
    await lab.renew('CallManager');
    return { ctl, itl, before, cluster: lab.cluster, renewed: await lab.updateCtl(ctl) };
  });

  test('decides whether the phone takes the CTL: no deletion is ordered, --held-itl is asked for', async () => {
    const { ctl, cluster, renewed } = await recent;
    const evidence = { served: { ctl: renewed.bytes }, held: { ctl: known(ctl) }, cluster, now };
    const { findings } = diagnose(evidence);
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(find(evidence, 'list-rejected')).toBeUndefined();
    const said = find(evidence, 'list-differs');
    expect(said).toMatchObject({ severity: 'warning', list: 'ctl' });
    expect(said?.what).toContain('cannot be told before its ITL is at hand');
    expect(said?.whatToDo[0]).toMatch(/give --held-itl \(or --phone-itl-checksum none/);
    expect(findings.flatMap(({ whatToDo }) => whatToDo).join('\n')).not.toMatch(/nothing else can vouch/);
    // Near miss: it is known that there is none.
    const without = { ...evidence, held: { ...evidence.held, itl: none } };
    expect(find(without, 'list-rejected')).toMatchObject({ severity: 'error', rule: 'P4' });
  });

  test('is not taken for none where that would make the phone take anything (P3)', async () => {
    const { renewed } = await recent;
    const evidence = { served: { ctl: renewed.bytes }, held: { ctl: none }, now };
    expect(find(evidence, 'list-would-be-taken')).toBeUndefined();
    expect(find(evidence, 'list-differs')?.severity).toBe('warning');
    const nothing = { ...evidence, held: { ctl: none, itl: none } };
    expect(find(nothing, 'list-would-be-taken')).toMatchObject({ rule: 'P3' });
  });

  test('does not matter where the signer is in the one that is at hand', async () => {
    const { ctl, itl, before } = await recent;
    const evidence = { served: { itl: itl.bytes, ctl: ctl.bytes }, held: { itl: none, ctl: known(ctl) }, now };
    expect(find({ ...evidence, cluster: before }, 'list-would-be-taken')).toMatchObject({ rule: 'P4' });
  });
});

describe('another cluster, or another name', () => {
  test('of which one list is not at hand: whether the phone takes the lists cannot be told', () => {
    const evidence = { served: { itl: renamedItl.bytes }, held: { itl: known(oldItl), ctl: unknown }, now };
    const said = find(evidence, 'other-cluster');
    expect(said).toMatchObject({ severity: 'warning', rule: 'A10' });
    expect(said?.what).toContain('cannot be told');
    expect(said?.what).not.toContain('all the same');
    expect(said?.whatToDo[0]).toContain('--held-ctl');
    // An empty ITL takes anything, unless there is a CTL (P6).
    const expected = { ...renamed.cluster, securityMode: 'mixed' } as const;
    const empty = { ...evidence, held: { itl: known(oldEmpty) }, cluster: expected };
    expect(find(empty, 'other-cluster')).toMatchObject({ severity: 'warning' });
    const free = { ...evidence, held: { itl: known(oldEmpty), ctl: none } };
    expect(find(free, 'other-cluster')).toMatchObject({ severity: 'note' });
  });

  test('than the cluster file: a warning that names rename, move and central TFTP', () => {
    const said = find({ held: { itl: known(oldItl) }, cluster: renamed.cluster, now }, 'other-cluster');
    expect(said).toMatchObject({ severity: 'warning', rule: 'A10' });
    expect(said?.what).toMatch(/renamed.*moved.*central TFTP.*cluster file is another one/);
    expect(find({ held: { itl: known(oldItl) }, cluster: oldCluster, now }, 'other-cluster')).toBeUndefined();
  });

  test('a node renamed before 10.0: A1 stays, and the advice does not need the old cluster', () => {
    const evidence = {
      ...stuck,
      served: { itl: renamedItl.bytes },
      tvsCertificates: [],
      cluster: renamed.cluster,
    };
    expect(find(evidence, 'both-renewed')).toMatchObject({ rule: 'A1', severity: 'warning' });
    expect(find(evidence, 'both-renewed')?.what).toContain('renamed');
    const moved = find(evidence, 'other-cluster');
    expect(moved?.what).toContain('renamed');
    expect(moved?.whatToDo.join('\n')).toMatch(/if the phone was moved.*old cluster is still there/);
    expect(moved?.whatToDo.join('\n')).toMatch(/if the nodes were renamed.*A1/);
    // The TVS of the old name may be another cluster's, which still vouches.
    expect(deletionOf(evidence).verdict).toBe('cannot-tell');
    expect(deletionOf(evidence).missing[0]).toMatch(/where nodes were renamed.*this condition holds/);
  });

  test('a configuration of a node of the same cluster, that the older ITL does not name, is of no central TFTP', async () => {
    const grown = await SmallCluster.make({ folder, release: '11.5.1', nodes: 2, name: 'grown' });
    const [publisher] = grown.cluster.nodes;
    const before = await grown.itlOf({ ...grown.cluster, nodes: [publisher!] });
    const evidence = {
      held: { itl: known(before), ctl: none },
      configuration: await grown.configuration('grown-sub'),
      now,
    };
    expect(find({ ...evidence, cluster: grown.cluster }, 'other-cluster')).toBeUndefined();
    expect(find({ ...evidence, cluster: grown.cluster }, 'configuration-rejected')).toBeDefined();
    expect(find(evidence, 'other-cluster')).toMatchObject({ rule: 'A13', severity: 'warning' });
  });
});

describe("a server's ITL that does not verify (A9)", () => {
  const broken = Uint8Array.from(newItl.bytes);
  broken[broken.length - 1]! ^= 1;

  test.each<[string, Partial<DiagnosisEvidence>]>([
    ['TVS is known', { tvsCertificates: file(oldCluster.nodes[0]!.certificates.TVS!.der) }],
    ['a backup exists', { oldKeyBackup: true }],
    ['nothing failed', { verificationFailed: false }],
    ['nothing else is missing', {}],
  ])('is repaired first, and nothing else is said: %s', (_name, more) => {
    const deletion = deletionOf({ ...stuck, ...more, served: { itl: broken } });
    expect(deletion).toMatchObject({ verdict: 'cannot-tell', whatToDo: [] });
    expect(deletion.missing).toEqual([expect.stringContaining('repair it first')]);
  });
});

describe('a device without Security by Default (P11)', () => {
  test('is not sent to TVS for a new signer of its CTL', async () => {
    const lab = await SmallCluster.make({ folder, release: '11.5.1', name: 'plain' });
    const [tokenless, token] = [await lab.tokenlessCtl(), await lab.tokenCtl(tokens)];
    const toTokens = await lab.toToken(tokenless, tokens);
    const toTokenless = await lab.toTokenless(token);
    await lab.renew('CallManager');
    const renewed = await lab.updateCtl(tokenless);
    for (const [held, served, check] of [
      [tokenless, renewed, 'signer-renewed'],
      [tokenless, toTokens, 'tokenless-to-tokens'],
      [token, toTokenless, 'tokens-to-tokenless'],
    ] as const) {
      const evidence = { served: { ctl: served.bytes }, held: { ctl: known(held) }, now };
      const plain = find({ ...evidence, securityByDefault: false }, check);
      expect(plain?.whatToDo.join('\n')).not.toMatch(/see that TVS|Phone-SAST-trust/);
      expect(plain?.whatToDo.join('\n')).toMatch(/its CTL must be deleted at the device by hand/);
      expect(find(evidence, check)?.whatToDo.join('\n')).toMatch(/TVS/);
    }
  });
});

test('an ITL that was emptied names no TVS: that is no A1 (P6)', () => {
  const held = { itl: known(oldEmpty), ctl: known(newCtl) };
  const evidence = { ...stuck, held, served: { itl: renamedItl.bytes } };
  expect(find(evidence, 'list-rejected')).toBeDefined();
  expect(find(evidence, 'both-renewed')).toBeUndefined();
});
