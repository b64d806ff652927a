import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseRelease } from '../../src/cluster/index.js';
import { createLabToken } from '../../src/lab/index.js';
import { diagnose, type DiagnosisEvidence } from '../../src/migration/index.js';
import { createPhone, decide, deleteTrustList, offerTrustList, type PhoneState } from '../../src/phone/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import { now, SmallCluster, start } from './diagnosis-cluster.js';

const folder = mkdtempSync(join(tmpdir(), 'etb-after-deletion-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const known = (list: TrustList) => ({ kind: 'known', list }) as const;
const none = { kind: 'none' } as const;
const tokens = [await createLabToken('0054f509', start), await createLabToken('008580ef', start)];

/** A phone of the rules that boots: the CTL, then the ITL; no TVS answers. */
function boot(phone: PhoneState, lists: { readonly ctl?: TrustList; readonly itl: TrustList }): readonly boolean[] {
  let state = phone;
  return (['ctl', 'itl'] as const).flatMap((kind) => {
    const list = lists[kind];
    if (list === undefined) return [];
    const silent = () => ({ status: 'unreachable', reason: 'down' }) as const;
    const outcome = decide(offerTrustList(state, kind, list, now), silent);
    state = outcome.state;
    return [outcome.decision.accepted];
  });
}

function phoneWith(held: { readonly ctl?: TrustList; readonly itl?: TrustList }): PhoneState {
  return createPhone(
    { mac: '001122334455', model: 'CP-8861', securityByDefault: true, encryptedConfiguration: false },
    held,
  );
}

interface Renewed {
  readonly lab: SmallCluster;
  readonly old: { readonly ctl: TrustList; readonly itl: TrustList };
  readonly itl: TrustList;
  readonly evidence: DiagnosisEvidence;
}

let clusters = 0;

/** A phone with the lists of before, a cluster in which everything was renewed since, and no backup. */
async function renewAll(release: string, kind: 'tokens' | 'tokenless'): Promise<Renewed> {
  clusters += 1;
  const lab = await SmallCluster.make({ folder, release, name: `cluster${String(clusters)}` });
  const ctl = kind === 'tokens' ? await lab.tokenCtl(tokens) : await lab.tokenlessCtl();
  const old = { ctl, itl: await lab.itl() };
  await lab.renew('CallManager', 'TVS', ...(release.startsWith('9') ? [] : (['ITLRecovery'] as const)));
  const itl = await lab.itl();
  const evidence = {
    served: { itl: itl.bytes },
    held: { ctl: known(ctl), itl: known(old.itl) },
    cluster: lab.cluster,
    verificationFailed: true,
    oldKeyBackup: false,
    now,
  };
  return { lab, old, itl, evidence };
}

describe('a phone with the CTL of before', () => {
  test('is freed by deleting both lists, not the ITL alone', async () => {
    const { lab, old, itl, evidence } = await renewAll('11.5.1', 'tokenless');
    const ctl = await lab.tokenlessCtl();
    const { deletion, findings } = diagnose({ ...evidence, served: { ctl: ctl.bytes, itl: itl.bytes } });
    expect(deletion.verdict).toBe('must');
    expect(deletion.reason).toMatch(/its CTL must be deleted with it.*P4/);
    expect(deletion.whatToDo.join('\n')).toMatch(/delete CTL and ITL: .*Erase both CTL File and ITL File/);
    // The CTL does not wait for an ITL that the phone does not take.
    const text = findings.flatMap(({ whatToDo }) => whatToDo).join('\n');
    expect(text).not.toContain('settle the ITL first');
    expect(text).toContain('the CTL is deleted at the phone by hand');
    // What it says is what the rules do.
    const phone = phoneWith(old);
    expect(boot(deleteTrustList(phone, 'itl'), { ctl, itl })).toEqual([false, false]);
    expect(boot(deleteTrustList(phone, 'both'), { ctl, itl })).toEqual([true, true]);
  });

  test('that knows the new signer all the same does not need it', async () => {
    const { old, itl, evidence } = await renewAll('9.1.2', 'tokens');
    expect(boot(phoneWith(old), { itl })).toEqual([false]);
    const { deletion } = diagnose({ ...evidence, held: { itl: known(old.itl), ctl: none } });
    expect(deletion.verdict).toBe('must');
    expect(deletion.reason).not.toContain('CTL');
    expect(deletion.whatToDo.join('\n')).toMatch(/ITL File, unlock/);
    expect(boot(deleteTrustList(phoneWith({ itl: old.itl }), 'itl'), { itl })).toEqual([true]);
  });

  test('and a server whose CTL knows the signer of its ITL no more: not even both help, which is said', async () => {
    const { old, itl, evidence } = await renewAll('11.5.1', 'tokenless');
    const { deletion, findings } = diagnose({ ...evidence, served: { ctl: old.ctl.bytes, itl: itl.bytes } });
    expect(deletion.verdict).toBe('cannot-tell');
    expect(deletion.reason).toMatch(/not even a phone without CTL and ITL.*P4/);
    expect(deletion.missing[0]).toContain('update the CTL');
    expect(findings.some(({ check }) => check === 'must-be-deleted')).toBe(false);
    expect(boot(phoneWith({}), { ctl: old.ctl, itl })).toEqual([true, false]);
  });
});

describe('a CTL that tokens signed', () => {
  const carries = /signed by a token, which carries it over/;

  test('carries the phone over before 12.0: done as it is said, it is taken', async () => {
    const { lab, old, itl, evidence } = await renewAll('11.5.1', 'tokens');
    const { deletion } = diagnose(evidence);
    expect(deletion.verdict).toBe('need-not');
    expect(deletion.reason).toMatch(carries);
    const ctl = await lab.updateCtl(old.ctl, tokens[0]);
    expect(boot(phoneWith(old), { ctl, itl })).toEqual([true, true]);
    // Whatever the ITL is signed by, a cluster from 12.0 on signs with ITLRecovery.
    for (const release of ['12.5.1', '14SU3']) {
      const later = { ...evidence, cluster: { ...lab.cluster, release: parseRelease(release) } };
      expect(diagnose(later).deletion.reason).not.toMatch(carries);
    }
  });

  test('does not from 12.0 on, for it does not hold ITLRecovery', async () => {
    const { lab, old, itl, evidence } = await renewAll('12.5.1', 'tokens');
    const ctl = await lab.updateCtl(old.ctl, tokens[0]);
    expect(boot(phoneWith(old), { ctl, itl })).toEqual([true, false]);
    const { cluster: _file, ...withoutFile } = evidence;
    for (const given of [
      evidence,
      { ...withoutFile, tvsCertificates: [{ name: 'TVS', certificate: lab.tvsCertificate() }] },
    ]) {
      const { deletion } = diagnose(given);
      expect(deletion.reason).not.toMatch(carries);
      expect(deletion.whatToDo.join('\n')).not.toMatch(/update the CTL with one of its tokens/);
    }
    const done = diagnose({ ...evidence, served: { ctl: ctl.bytes, itl: itl.bytes } }).deletion;
    expect(done.whatToDo.join('\n')).not.toMatch(/update the CTL with one of its tokens/);
    // A CTL of tokens does not let the phone have this ITL, whatever is deleted.
    expect(done.verdict).toBe('cannot-tell');
    expect(boot(phoneWith({}), { ctl, itl })).toEqual([true, false]);
    const tokenless = await lab.tokenlessCtl();
    const after = diagnose({ ...evidence, served: { ctl: tokenless.bytes, itl: itl.bytes } }).deletion;
    expect(after).toMatchObject({ verdict: 'must' });
    expect(after.reason).toContain('its CTL must be deleted with it');
    expect(boot(phoneWith({}), { ctl: tokenless, itl })).toEqual([true, true]);
  });
});

test('the ITLRecovery certificate in the CTL of the phone is as good as in its ITL', async () => {
  const lab = await SmallCluster.make({ folder, release: '11.5.1', name: 'recovery' });
  const ctl = await lab.tokenlessCtl();
  const itl = await lab.emptyItl();
  await lab.renew('CallManager', 'TVS');
  const { deletion } = diagnose({
    served: { itl: (await lab.itl()).bytes },
    held: { ctl: known(ctl), itl: known(itl) },
    cluster: lab.cluster,
    verificationFailed: true,
    oldKeyBackup: false,
    now,
  });
  expect(deletion.verdict).toBe('need-not');
  expect(deletion.whatToDo[0]).toContain('utils itl reset localkey');
  expect(boot(phoneWith({ ctl, itl }), { itl: await lab.recoveryItl() })).toEqual([true]);
});
