import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CertificateName } from '../../src/cluster/index.js';
import { createTokenlessCtl, toNonSecure } from '../../src/ctl/index.js';
import type { Action, Plan, Step, StepCheck } from '../../src/migration/index.js';
import { decodeTrustList } from '../../src/trust-list/index.js';
import { jsonOf, snapshot } from './etoken-bridge.js';
import {
  confirmStep,
  firstSteps,
  journalOf,
  makeLiveLab,
  phonesRestarted,
  publishStep,
  runBeside,
  sha1,
  thereAndBack,
  writePlan,
  type LiveLab,
} from './migrate-lab.js';

type Outcome = Awaited<ReturnType<typeof runBeside>>;

/** A plan of the administrator's own steps, and what applies it. */
function applying(
  lab: LiveLab,
  steps: readonly Step[],
  more: Partial<Plan> = {},
): { readonly path: string; readonly apply: readonly string[]; readonly undo: readonly string[] } {
  const path = writePlan(lab, { ...thereAndBack(lab), steps, ...more });
  const words = [path, ...lab.serverOptions];
  return { path, apply: ['migrate', 'apply', ...words], undo: ['migrate', 'undo', ...words] };
}

function stepOf(id: string, action: Action, checks: readonly StepCheck[], more: Partial<Step> = {}): Step {
  return confirmStep(id, {
    who: 'administrator',
    title: `the step ${id}`,
    action,
    instructions: [`do ${action.kind}`],
    checks,
    undo: [`undo ${action.kind}`],
    ...more,
  });
}

function renewStep(lab: LiveLab, id: string, which: CertificateName, further: readonly StepCheck[] = []): Step {
  const node = lab.publisher;
  const before = sha1(lab.cluster.nodes[0]!.certificates[which]!.der);
  const renewed: StepCheck = { check: 'certificate-renewed', node, certificate: which, before };
  return stepOf(id, { kind: 'renew', node, certificate: which }, [renewed, ...further]);
}

/** Waits, without an error, for one of these reasons. */
function expectWaiting(outcome: Outcome, step: string, reason: string): void {
  expect(outcome.stderr).not.toContain('error:');
  const { waiting } = jsonOf(outcome) as { readonly waiting: { readonly step: string; readonly reasons: string[] } };
  expect(waiting.step).toBe(step);
  expect(waiting.reasons.join('\n')).toContain(reason);
  expect(outcome.status).toBe(1);
}

function expectError(outcome: Outcome, status: number, message: string): void {
  expect(outcome.stderr).toContain('error:');
  expect(outcome.stderr).toContain(message);
  expect([outcome.status, outcome.stdout]).toEqual([status, '']);
}

describe('a node that is renamed', () => {
  test('is looked for in the cluster file and the ITLs, before any list is built for it', async () => {
    const lab = await makeLiveLab({ nodes: ['cucm-pub', 'cucm-sub'] });
    const renaming: Action = { kind: 'rename', node: 'cucm-pub', name: 'cucm-new' };
    const build = thereAndBack(lab).steps.find(({ id }) => id === '5-build-ctl')!;
    const update = { ...build, action: { ...build.action, flow: 'update' } as typeof build.action };
    const publishing = publishStep(lab, '6-publish-ctl', '5-build-ctl');
    const checks = publishing.checks.map((check) =>
      'node' in check && check.node === 'cucm-pub' ? { ...check, node: 'cucm-new' } : check,
    );
    const check: StepCheck = { check: 'node-renamed', node: 'cucm-pub', name: 'cucm-new' };
    const { apply, path } = applying(lab, [stepOf('1-rename', renaming, [check]), update, { ...publishing, checks }]);
    const json = [...apply, '--json'];
    expectWaiting(await runBeside(json), '1-rename', 'the cluster file has no node cucm-new');
    // Somebody who says yes is not believed.
    expectError(await runBeside([...apply, '--yes']), 1, 'the cluster file has no node cucm-new');
    lab.editCluster('name: cucm-pub', 'name: cucm-new');
    // The addresses that were given for the former name hold for the new one.
    expectWaiting(await runBeside(json), '1-rename', 'still names the CallManager certificate that cucm-pub had');
    for (const which of ['CallManager', 'CAPF', 'TVS'] as const) await lab.renew(which);
    expectWaiting(await runBeside(json), '1-rename', 'the ITL that the TFTP server of cucm-new');
    expect(journalOf(path).filter(({ entry }) => entry === 'done')).toEqual([]);
    // Of the other nodes nothing may have changed meanwhile.
    const cluster = readFileSync(lab.clusterFile, 'utf8');
    lab.editCluster('certificates/cucm-sub/TVS.pem', 'certificates/cucm-sub/CallManager.pem');
    expectError(await runBeside(apply), 4, 'the TVS certificate of cucm-sub in the cluster file has SHA-1');
    writeFileSync(lab.clusterFile, cluster);
    await lab.publishItls();
    const named = apply.map((word) => word.replace(/^cucm-pub=/, 'cucm-new='));
    expectWaiting(await runBeside([...named, '--json']), '6-publish-ctl', 'still serves CTLFile.tlv');
    const built = decodeTrustList(new Uint8Array(readFileSync(join(`${path}.work`, '5-build-ctl-CTLFile.tlv'))));
    expect(built.records.map(({ dnsName }) => dnsName)).toContain('cucm-new');
  });
});

describe('a certificate that is renewed', () => {
  test('of TVS is not there before TVS shows it', async () => {
    const lab = await makeLiveLab();
    const answers: StepCheck = { check: 'tvs-answers', node: lab.publisher };
    const { apply } = applying(lab, [renewStep(lab, '1-renew', 'TVS', [answers])]);
    const json = [...apply, '--json'];
    expect((await runBeside(json)).status).toBe(1);
    await lab.renew('TVS');
    await lab.publishItls();
    expectWaiting(await runBeside(json), '1-renew', 'shows a certificate with SHA-1');
    await lab.restartTvs();
    expect(jsonOf(await runBeside(json))).toMatchObject({ state: 'done' });
  });

  test.each(['TVS', 'CAPF', 'ITLRecovery'] as const)('of %s stands in the ITL of every node', async (which) => {
    const lab = await makeLiveLab({ nodes: ['cucm-pub', 'cucm-sub'] });
    const { apply } = applying(lab, [renewStep(lab, '1-renew', which)]);
    const json = [...apply, '--json'];
    expect((await runBeside(json)).status).toBe(1);
    const { publishItl } = await lab.renew(which);
    await publishItl();
    expectWaiting(await runBeside(json), '1-renew', 'the ITL that the TFTP server of cucm-sub');
    await lab.publishItls();
    expect(jsonOf(await runBeside(json))).toMatchObject({ state: 'done' });
  });

  test('is not followed by another one of its node within five minutes', async () => {
    const lab = await makeLiveLab();
    const { apply, path } = applying(lab, [renewStep(lab, '1-renew', 'TVS'), renewStep(lab, '2-renew', 'CAPF')]);
    expect((await runBeside(apply)).status).toBe(1);
    await lab.renew('TVS');
    await lab.publishItls();
    const refused = await runBeside([...apply, '--yes']);
    expectError(refused, 4, 'TVS certificate was modified in the last 5 minutes');
    expect(refused.stderr).toMatch(/hint: .*wait until \S+/);
    expect(journalOf(path).at(-1)).toMatchObject({ entry: 'done', step: '1-renew' });
    expect((await runBeside([...apply, '--accept', 'A11', '--json'])).status).toBe(1);
    expect(journalOf(path).at(-1)).toMatchObject({ entry: 'begun', step: '2-renew' });
  });

  test('comes back before its step counts as undone, and a way back is gone to its end', async () => {
    const lab = await makeLiveLab();
    const upload = stepOf('1-add-tvs-servers', { kind: 'add-tvs-servers', nodes: [lab.publisher] }, [
      { check: 'tvs-answers', node: lab.publisher },
    ]);
    const { apply, undo, path } = applying(lab, [upload, renewStep(lab, '2-renew', 'CAPF')]);
    const file = join(lab.folder, 'cluster', 'certificates', lab.publisher, 'CAPF.pem');
    const former = readFileSync(file);
    expectError(await runBeside([...apply, '--yes']), 1, 'still names the CAPF certificate');
    await lab.renew('CAPF');
    await lab.publishItls();
    expect((await runBeside([...apply, '--yes'])).status).toBe(0);
    const renewed = readFileSync(file);
    const back = [...undo, '--yes', '--back-to', 'start'];
    expectError(await runBeside(back), 1, 'that of before has');
    expect(journalOf(path).filter(({ entry }) => entry === 'undone')).toEqual([]);
    writeFileSync(file, former);
    expectError(await runBeside(back), 1, 'does not hold the CAPF certificate');
    await lab.publishItls();
    // Interrupted half way, and the certificate is another one again: nobody is locked out.
    const waiting = await runBeside([...undo, '--back-to', 'start']);
    expect(waiting.status).toBe(1);
    expect((await runBeside(back)).status).toBe(0);
    const journal = join(`${path}.work`, 'journal.jsonl');
    const lines = readFileSync(journal, 'utf8').split('\n');
    const half = lines.findIndex((line) => line.includes('"undone"') && line.includes('2-renew'));
    writeFileSync(journal, `${lines.slice(0, half + 1).join('\n')}\n`);
    writeFileSync(file, renewed);
    const outcome = await runBeside([...undo, '--yes', '--json']);
    expect(outcome.stderr).not.toContain('error:');
    expect(jsonOf(outcome)).toMatchObject({ state: 'undone', to: null });
  });
});

test('the certificates of a new release are those that the cluster file is told to name', async () => {
  const lab = await makeLiveLab();
  const question: StepCheck = { check: 'confirm', question: 'Is it so?' };
  const { apply } = applying(lab, [
    stepOf('1-change-release', { kind: 'change-release', release: '11.5.1' }, [question]),
  ]);
  expect((await runBeside(apply)).status).toBe(1);
  await lab.renew('CAPF');
  const outcome = await runBeside([...apply, '--yes']);
  expect(outcome.stderr).not.toContain('error:');
  expect(outcome.status).toBe(0);
});

describe('a list that the cluster makes itself', () => {
  const signer = { kind: 'cluster', name: 'CallManager' } as const;
  const ownStep = (lab: LiveLab, flow: 'update' | 'to-non-secure'): Step =>
    stepOf(
      '1-cluster-ctl',
      { kind: 'cluster-ctl', flow, signer, securityMode: flow === 'update' ? 'mixed' : 'non-secure' },
      lab.cluster.nodes.map(({ name: node }) => ({
        check: 'tftp-serves-signed-by',
        node,
        file: 'CTLFile.tlv',
        signer,
      })),
    );
  const options = { timestamp: 1_700_000_001, now: new Date() };

  test('must be emptied in a non-secure cluster', async () => {
    const lab = await makeLiveLab();
    const to = { ...thereAndBack(lab).to, mode: 'non-secure', wanted: 'non-secure' } as const;
    const { apply } = applying(lab, [ownStep(lab, 'to-non-secure')], { to });
    const { list: mixed } = await createTokenlessCtl(lab.cluster, lab.tokenlessSigner, options);
    expect((await runBeside(apply)).status).toBe(1);
    lab.putCtl(mixed.bytes);
    expectError(await runBeside(apply), 1, 'its servers are not emptied');
    const { list: emptied } = await toNonSecure(decodeTrustList(lab.tokenless), lab.tokenlessSigner, options);
    lab.putCtl(emptied.bytes);
    expect(jsonOf(await runBeside([...apply, '--json']))).toMatchObject({ state: 'done', ctl: sha1(emptied.bytes) });
  });

  test('must hold the present certificates, and not be emptied, in a mixed one', async () => {
    const lab = await makeLiveLab({ nodes: ['cucm-pub', 'cucm-sub'] });
    const { apply } = applying(lab, [ownStep(lab, 'update')]);
    expect((await runBeside(apply)).status).toBe(1);
    const { list: emptied } = await toNonSecure(decodeTrustList(lab.tokenless), lab.tokenlessSigner, options);
    lab.putCtl(emptied.bytes);
    expectError(await runBeside(apply), 1, 'its servers are emptied');
    const alone = { ...lab.cluster, nodes: lab.cluster.nodes.slice(0, 1) };
    const { list: behind } = await createTokenlessCtl(alone, lab.tokenlessSigner, options);
    lab.putCtl(behind.bytes);
    expectError(await runBeside(apply), 1, 'it does not hold the CallManager certificate of cucm-sub');
    const { list } = await createTokenlessCtl(lab.cluster, lab.tokenlessSigner, options);
    lab.putCtl(list.bytes);
    expect(jsonOf(await runBeside([...apply, '--json']))).toMatchObject({ state: 'done' });
  });
});

test('ITLs are emptied and filled when every TFTP server serves them so, and back', async () => {
  const lab = await makeLiveLab({ nodes: ['cucm-pub', 'cucm-sub'] });
  const checks = (check: 'itl-emptied' | 'itl-filled'): readonly StepCheck[] =>
    lab.cluster.nodes.map(({ name: node }) => ({ check, node }));
  const { apply, undo } = applying(lab, [
    stepOf('1-empty-itls', { kind: 'empty-itls' }, checks('itl-emptied')),
    stepOf('2-fill-itls', { kind: 'fill-itls' }, checks('itl-filled')),
  ]);
  expectWaiting(await runBeside([...apply, '--json']), '1-empty-itls', 'has TFTP or TVS records with certificates');
  expectError(await runBeside([...apply, '--yes']), 1, 'has TFTP or TVS records with certificates');
  await lab.publishItls(true);
  expectWaiting(await runBeside([...apply, '--json']), '2-fill-itls', 'has no TFTP or TVS record with the CallManager');
  const back = [...undo, '--back-to', 'start', '--yes'];
  expectError(await runBeside(back), 1, '1-empty-itls (undo)');
  await lab.publishItls();
  expect((await runBeside(back)).status).toBe(0);
});

describe('a folder of a TFTP server', () => {
  test('gets the list, and somebody is still told of the services', async () => {
    const lab = await makeLiveLab();
    lab.upload(...lab.tokens);
    const plan = firstSteps(thereAndBack(lab), 4);
    const path = writePlan(lab, plan);
    const words = ['migrate', 'apply', path, ...lab.serverOptions, ...lab.tokenOptions, '--yes'];
    const missing = await runBeside([...words, '--tftp-folder', `${lab.publisher}=/nonexistent`]);
    expectError(missing, 2, 'the folder /nonexistent of --tftp-folder is not there');
    expect(existsSync(`${path}.work`)).toBe(false);
    const all = [...words, '--tftp-folder', `${lab.publisher}=${lab.served()}`];
    const outcome = await runBeside([...all, '--json']);
    expect(outcome.stderr).toContain('3-publish-ctl (you)');
    expect(outcome.stderr).toContain('1. restart the TFTP service there');
    expect(outcome.stderr).not.toContain('copy it to every TFTP node');
    // --yes does not say that phones have restarted.
    expectWaiting(outcome, '4-restart-phones', 'Did all phones come back?');
    const text = (await runBeside(all)).stdout;
    expect(text).toContain('run the same command again with --phones-restarted 4-restart-phones');
    const wrong = await runBeside([...all, '--phones-restarted', '3-publish-ctl']);
    expectError(wrong, 2, 'the plan has no such step at which phones restart');
    expect((await runBeside([...all, ...phonesRestarted(plan)])).status).toBe(0);
  });

  test('loses the list where the plan takes it away, and keeps a backup', async () => {
    const lab = await makeLiveLab();
    const check: StepCheck = { check: 'tftp-lacks', node: lab.publisher, file: 'CTLFile.tlv' };
    const instructions = ['file delete tftp CTLFile.tlv', 'restart Tftp'];
    const step = stepOf('1-remove-ctl-file', { kind: 'remove-ctl-file' }, [check], { instructions });
    const to = { ...thereAndBack(lab).to, mode: 'no-ctl', wanted: 'no-ctl' } as const;
    const { apply, undo } = applying(lab, [step], { to });
    const folder = ['--tftp-folder', `${lab.publisher}=${lab.served()}`];
    const outcome = await runBeside([...apply, ...folder, '--json']);
    expect(outcome.stderr).not.toContain('file delete');
    expect(jsonOf(outcome)).toMatchObject({ state: 'done', ctl: null });
    const file = join(lab.served(), 'CTLFile.tlv');
    expect(existsSync(file)).toBe(false);
    const backups = [...snapshot(join(lab.served(), 'backups')).values()];
    expect(backups.map((text) => sha1(Buffer.from(text, 'latin1')))).toEqual([sha1(lab.tokenless)]);
    expect((await runBeside([...undo, ...folder])).status).toBe(0);
    expect(sha1(lab.servedCtl())).toBe(sha1(lab.tokenless));
  });
});

describe('a list that is there already', () => {
  const time = ['--timestamp', '2026-03-01T12:00:00Z'];
  async function begin(count: number) {
    const lab = await makeLiveLab();
    lab.upload(...lab.tokens);
    const path = writePlan(lab, firstSteps(thereAndBack(lab), count));
    const words = [path, ...lab.serverOptions, ...lab.tokenOptions];
    const built = join(`${path}.work`, '2-build-ctl-CTLFile.tlv');
    const folder = ['--tftp-folder', `${lab.publisher}=${lab.served()}`];
    return { lab, path, built, folder, apply: ['migrate', 'apply', ...words], undo: ['migrate', 'undo', ...words] };
  }
  const digestOf = (path: string): string => decodeTrustList(new Uint8Array(readFileSync(path))).header.digestAlgorithm;

  test('from before the step was undone is not the one that is built anew', async () => {
    const { lab, built, folder, apply, undo } = await begin(3);
    expect((await runBeside([...apply, ...time, ...folder, '--yes'])).status).toBe(0);
    const first = sha1(new Uint8Array(readFileSync(built)));
    expect((await runBeside([...undo, ...folder, '--back-to', '1-upload'])).status).toBe(0);
    const again = await runBeside([...apply, ...time, ...folder, '--yes', '--digest', 'sha512']);
    expect(again.stderr).not.toContain('error:');
    expect(digestOf(built)).toBe('sha512');
    expect(sha1(lab.servedCtl())).not.toBe(first);
  });

  test('from before an interruption is not it either, when something else is wanted now', async () => {
    const { built, path, apply } = await begin(3);
    expect((await runBeside([...apply, ...time])).status).toBe(1);
    const journal = join(`${path}.work`, 'journal.jsonl');
    const lines = readFileSync(journal, 'utf8').split('\n');
    const done = lines.findIndex((line) => line.includes('"done"') && line.includes('2-build-ctl'));
    writeFileSync(journal, `${lines.slice(0, done).join('\n')}\n`);
    expect(digestOf(built)).toBe('sha1');
    expect((await runBeside([...apply, '--digest', 'sha512'])).status).toBe(1);
    expect(digestOf(built)).toBe('sha512');
  });

  test('was copied for the sake of the plan, and is taken back with it', async () => {
    const { lab, built, path, apply, undo } = await begin(3);
    const before = join(lab.folder, 'before.tlv');
    writeFileSync(before, lab.tokenless);
    expect((await runBeside([...apply, ...time])).status).toBe(1);
    const journal = join(`${path}.work`, 'journal.jsonl');
    const lines = readFileSync(journal, 'utf8').split('\n');
    // Interrupted before the step that publishes was begun; somebody copies the list all the same.
    writeFileSync(journal, lines.filter((line) => !line.includes('3-publish-ctl')).join('\n'));
    lab.putCtl(readFileSync(built));
    const outcome = await runBeside([...apply, '--json']);
    expect(outcome.stderr).not.toContain('error:');
    expect(jsonOf(outcome)).toMatchObject({ state: 'done' });
    expect(journalOf(path).some(({ step, already }) => step === '3-publish-ctl' && already === true)).toBe(false);
    expectError(await runBeside([...undo, '--ctl', before, '--yes']), 1, '3-publish-ctl (undo)');
    lab.putCtl(lab.tokenless);
    expect((await runBeside([...undo, '--ctl', before, '--yes'])).status).toBe(0);
  });
});

test('a plan that was edited is applied with a warning: its phones were never tried', async () => {
  const lab = await makeLiveLab();
  const path = writePlan(lab, thereAndBack(lab));
  const words = ['migrate', 'apply', path, ...lab.serverOptions, ...lab.tokenOptions, '--dry-run'];
  expect((await runBeside(words)).stderr).toBe('');
  writeFileSync(path, readFileSync(path, 'utf8').replace('accept: []', 'accept:\n        - A3'));
  const edited = await runBeside(words);
  expect(edited.status).toBe(0);
  expect(edited.stderr).toContain('warning: ');
  expect(edited.stderr).toContain('is not as "migrate plan" wrote it');
});
