import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { createLabToken } from '../../src/lab/index.js';
import { diagnose, judgeDeletion, type Answer, type DiagnosisEvidence } from '../../src/migration/index.js';
import { createPhone, decide, offerTrustList } from '../../src/phone/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import { answering, now, SmallCluster, start } from './diagnosis-cluster.js';

const folder = mkdtempSync(join(tmpdir(), 'etb-deletion-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Before 10.0 no ITLRecovery key could save a phone: the four conditions decide alone.
const cluster = await SmallCluster.make({ folder, release: '9.1.2' });
const oldItl = await cluster.itl();
const oldTvs = cluster.tvsCertificate();
const oldConfiguration = await cluster.configuration();
await cluster.renew('CallManager', 'TVS');
const newItl = await cluster.itl();
const newTvs = cluster.tvsCertificate();

const known = (list: TrustList) => ({ kind: 'known', list }) as const;
const file = (certificate: Uint8Array) => [{ name: 'TVS.pem', certificate }];

/** Everything that makes all four conditions true. */
const stuck = {
  served: { itl: newItl.bytes },
  held: { itl: known(oldItl) },
  tvsCertificates: file(newTvs),
  verificationFailed: true,
  oldKeyBackup: false,
  now,
} satisfies DiagnosisEvidence;

const answers = ['yes', 'no', 'unknown'] as const;

describe('the four conditions of A12', () => {
  /**
   * The verdicts by hand, M must, N need not, ? cannot be told. Rows are (ITL differs, TVS differs), columns (failed
   * verification, no backup), both in the order yy yn yu, ny nn nu, uy un uu.
   */
  const verdicts = [
    'MN?NNN?N?',
    'NNNNNNNNN',
    '?N?NNN?N?',
    'NNNNNNNNN',
    'NNNNNNNNN',
    'NNNNNNNNN',
    '?N?NNN?N?',
    'NNNNNNNNN',
    '?N?NNN?N?',
  ];
  const words = { M: 'must', N: 'need-not', '?': 'cannot-tell' } as const;

  const combinations = answers.flatMap((itl, one) =>
    answers.flatMap((tvs, two) =>
      answers.flatMap((failed, three) =>
        answers.map((noBackup, four) => {
          const letter = verdicts[one * 3 + two]![three * 3 + four] as keyof typeof words;
          return { itl, tvs, failed, noBackup, verdict: words[letter] };
        }),
      ),
    ),
  );

  test('there are 81 combinations, one of which says that it must be deleted', () => {
    expect(combinations).toHaveLength(81);
    expect(combinations.filter(({ verdict }) => verdict === 'must')).toHaveLength(1);
  });

  const servedFor = { yes: newItl.bytes, no: oldItl.bytes, unknown: undefined };
  const tvsFor = { yes: file(newTvs), no: file(oldTvs), unknown: [] };
  const told = { yes: true, no: false, unknown: undefined };

  test.each(combinations)(
    'ITL differs $itl, TVS differs $tvs, failed $failed, no backup $noBackup: $verdict',
    ({ itl, tvs, failed, noBackup, verdict }) => {
      const { deletion, findings } = diagnose({
        served: { itl: servedFor[itl] },
        held: { itl: known(oldItl) },
        tvsCertificates: tvsFor[tvs],
        verificationFailed: told[failed],
        oldKeyBackup: noBackup === 'unknown' ? undefined : noBackup === 'no',
        now,
      });
      expect(deletion.conditions.map(({ condition, answer }) => [condition, answer])).toEqual([
        ['itl-differs', itl],
        ['tvs-certificate-differs', tvs],
        ['verification-failed', failed],
        ['no-old-key-backup', noBackup],
      ]);
      expect(deletion.verdict).toBe(verdict);
      expect(findings.some(({ check }) => check === 'must-be-deleted')).toBe(verdict === 'must');
      const unknown = [itl, tvs, failed, noBackup].filter((answer) => answer === 'unknown').length;
      expect(deletion.missing).toHaveLength(verdict === 'cannot-tell' ? unknown : 0);
      expect(deletion.whatToDo.length > 0).toBe(verdict !== 'cannot-tell');
      expect(
        judgeDeletion({
          'itl-differs': itl,
          'tvs-certificate-differs': tvs,
          'verification-failed': failed,
          'no-old-key-backup': noBackup,
        }),
      ).toBe(verdict);
    },
  );
});

function answerOf(evidence: DiagnosisEvidence, index: number): readonly [Answer, string] {
  const condition = diagnose(evidence).deletion.conditions[index]!;
  return [condition.answer, condition.evidence];
}

describe('each condition, from other evidence', () => {
  const digest = (algorithm: string, { bytes }: TrustList): string => createHash(algorithm).update(bytes).digest('hex');
  const unknown = (hex: string) => ({ kind: 'unknown', digest: hex }) as const;

  test.each(['sha1', 'md5'])('the ITL differs or not by its %s', (algorithm) => {
    const served = { itl: newItl.bytes };
    expect(answerOf({ served, held: { itl: unknown(digest(algorithm, newItl)) }, now }, 0)[0]).toBe('no');
    const [answer, evidence] = answerOf({ served, held: { itl: unknown(digest(algorithm, oldItl)) }, now }, 0);
    expect(answer).toBe('yes');
    expect(evidence).toContain(digest(algorithm, oldItl));
    expect(evidence).toContain(digest(algorithm, newItl));
  });

  test('a phone without an ITL has none to delete', () => {
    expect(answerOf({ ...stuck, held: { itl: { kind: 'none' } } }, 0)).toEqual(['no', 'the phone holds no ITL']);
  });

  test("a checksum that is the server's makes the list known, so that TVS can be compared", () => {
    const held = { itl: unknown(digest('sha1', newItl)) };
    expect(answerOf({ ...stuck, held }, 1)[0]).toBe('no');
    expect(answerOf({ ...stuck, held: { itl: unknown(digest('sha1', oldItl)) } }, 1)[0]).toBe('unknown');
  });

  test('the TVS certificate: shown by servers, or of the cluster file', () => {
    const without = { ...stuck, tvsCertificates: [] };
    const yes = answering(newTvs, {}, () => ({ status: 'not-trusted' }));
    const no = answering(oldTvs, {}, () => ({ status: 'not-trusted' }), '192.0.2.11:2445');
    const silent = { kind: 'unreachable', server: '192.0.2.12:2445', reason: 'ECONNREFUSED' } as const;
    expect(answerOf({ ...without, tvs: [yes] }, 1)[0]).toBe('yes');
    // A second server that the phone knows is enough.
    expect(answerOf({ ...without, tvs: [yes, no] }, 1)[0]).toBe('no');
    // A server that shows nothing might be the one that the phone knows.
    expect(answerOf({ ...without, tvs: [silent] }, 1)).toEqual(['unknown', 'TVS 192.0.2.12:2445 showed none']);
    expect(answerOf({ ...without, tvs: [yes, silent] }, 1)[0]).toBe('unknown');
    expect(answerOf({ ...without, tvs: [silent], cluster: cluster.cluster }, 1)[0]).toBe('yes');
    expect(answerOf({ ...without, held: { itl: known(newItl) }, cluster: cluster.cluster }, 1)[0]).toBe('no');
  });
});

describe('ways out that leave the ITL where it is', () => {
  test('the ITLRecovery key from 10.0 on: the phone takes what it signs, and nothing is deleted', async () => {
    const recent = await SmallCluster.make({ folder, release: '11.5.1' });
    const held = await recent.itl();
    await recent.renew('CallManager', 'TVS');
    const evidence = {
      ...stuck,
      served: { itl: (await recent.itl()).bytes },
      held: { itl: known(held) },
      tvsCertificates: file(recent.tvsCertificate()),
    };
    const { deletion } = diagnose(evidence);
    expect(deletion.conditions.map(({ answer }) => answer)).toEqual(['yes', 'yes', 'yes', 'yes']);
    expect(deletion.verdict).toBe('need-not');
    expect(deletion.whatToDo[0]).toContain('utils itl reset localkey');
    // What it says is true: the phone of the rules takes that list, and TVS is not needed.
    const phone = createPhone(
      { mac: '001122334455', model: 'CP-8861', securityByDefault: true, encryptedConfiguration: false },
      { itl: held },
    );
    const offer = (list: TrustList) =>
      decide(offerTrustList(phone, 'itl', list, now), () => ({ status: 'unreachable', reason: 'down' })).decision;
    expect(offer(await recent.recoveryItl())).toMatchObject({ accepted: true, rule: 'P5' });
    expect(offer(await recent.itl())).toMatchObject({ accepted: false, rule: 'P5' });
    // Near miss: ITLRecovery was renewed too.
    await recent.renew('ITLRecovery');
    const renewed = { ...evidence, served: { itl: (await recent.itl()).bytes }, cluster: recent.cluster };
    expect(diagnose(renewed).deletion.verdict).toBe('must');
  });

  test('a CTL that a token signed carries the phone over; a tokenless one of the old key does not', async () => {
    const old = await SmallCluster.make({ folder, release: '9.1.3' });
    const held = await old.itl();
    const tokens = [await createLabToken('0054f509', start), await createLabToken('008580ef', start)];
    const ctl = await old.tokenCtl(tokens);
    const mixed = await SmallCluster.make({ folder, release: '10.0.1' });
    await old.renew('CallManager', 'TVS');
    const evidence = {
      ...stuck,
      served: { itl: (await old.itl()).bytes },
      held: { itl: known(held), ctl: known(ctl) },
      tvsCertificates: file(old.tvsCertificate()),
    };
    const { deletion } = diagnose(evidence);
    expect(deletion.verdict).toBe('need-not');
    expect(deletion.reason).toContain('signed by a token');
    const other = { ...evidence, held: { itl: known(held), ctl: known(await mixed.tokenlessCtl()) } };
    expect(diagnose(other).deletion.verdict).toBe('must');
    // The updated CTL is there already: the phone takes it, then the ITL by it.
    const served = { itl: evidence.served.itl, ctl: (await old.updateCtl(ctl, tokens[0])).bytes };
    const updated = diagnose({ ...evidence, served });
    expect(updated.deletion.reason).toContain('by the lists that it holds (P5)');
  });

  test('a phone without Security by Default has no ITL to delete (P11)', () => {
    const { deletion } = diagnose({ ...stuck, securityByDefault: false });
    expect(deletion.verdict).toBe('need-not');
    expect(deletion.reason).toContain('(P11)');
  });

  test("a server's ITL that does not verify is repaired first: a deletion would not help", () => {
    const broken = Uint8Array.from(newItl.bytes);
    broken[broken.length - 1]! ^= 1;
    const { deletion } = diagnose({ ...stuck, served: { itl: broken } });
    expect(deletion.verdict).toBe('cannot-tell');
    expect(deletion.missing[0]).toContain('repair it first');
  });

  test('with nothing but a configuration everything is missing, and it is said how to get it', () => {
    const { deletion, wrong } = diagnose({ configuration: oldConfiguration, now });
    expect(wrong).toBe(false);
    expect(deletion.conditions.map(({ answer }) => answer)).toEqual(['unknown', 'unknown', 'unknown', 'unknown']);
    expect(deletion.missing).toHaveLength(4);
    expect(deletion.missing.join('\n')).toMatch(/--itl[\s\S]*--held-itl[\s\S]*--log[\s\S]*--old-key-backup/);
  });
});
