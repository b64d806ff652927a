import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Plan } from '../../src/migration/index.js';
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

/** A lab whose plan was applied as far as it goes without its last steps. */
async function applied(take: number): Promise<{
  readonly lab: LiveLab;
  readonly plan: Plan;
  readonly path: string;
  readonly undo: readonly string[];
  readonly apply: readonly string[];
  readonly folders: readonly string[];
}> {
  const lab = await makeLiveLab();
  lab.upload(...lab.tokens);
  const whole = thereAndBack(lab);
  const plan = firstSteps(whole, take);
  const path = writePlan(lab, plan);
  const common = [path, ...lab.serverOptions, ...lab.tokenOptions];
  const folders = ['--tftp-folder', `${lab.publisher}=${lab.served()}`];
  const apply = [
    ...['migrate', 'apply', ...common, '--timestamp', '2026-03-01T12:00:00Z', '--yes'],
    ...folders,
    ...phonesRestarted(plan),
  ];
  const outcome = await runBeside(apply);
  expect(outcome.stderr).not.toContain('error:');
  expect(outcome.status).toBe(0);
  return { lab, plan, path, undo: ['migrate', 'undo', ...common], apply, folders };
}

function statesOf(outcome: Awaited<ReturnType<typeof runBeside>>): readonly string[] {
  return (jsonOf(outcome) as { readonly steps: readonly { readonly state: string }[] }).steps.map(({ state }) => state);
}

describe('migrate undo', () => {
  test('goes back behind the last safe step, and further when it is run again', async () => {
    // Published, and not yet safe: step 3 is the last.
    const { lab, undo, folders, apply } = await applied(3);
    const published = sha1(lab.servedCtl());
    const shown = await runBeside([...undo, '--dry-run', '--json']);
    expect(jsonOf(shown)).toMatchObject({ state: 'dry-run', to: '2-build-ctl', undo: ['3-publish-ctl'] });
    const first = await runBeside([...undo, ...folders, '--json']);
    expect(first.stderr).not.toContain('error:');
    expect(jsonOf(first)).toMatchObject({ state: 'undone', to: '2-build-ctl', ctl: sha1(lab.tokenless) });
    expect(statesOf(first)).toEqual(['done', 'done', 'open']);
    expect(sha1(lab.servedCtl())).toBe(sha1(lab.tokenless));
    // The upload was there before the plan: there is nothing to take back, and nobody is asked.
    const second = await runBeside([...undo, '--back-to', 'start', '--json']);
    expect(jsonOf(second)).toMatchObject({ state: 'undone', to: null, undo: ['2-build-ctl', '1-upload'] });
    const third = await runBeside(undo);
    expect(third).toMatchObject({ status: 0, stdout: expect.stringContaining('nothing was done') as string });
    // And forth again: the same time makes the same bytes.
    expect((await runBeside(apply)).status).toBe(0);
    expect(sha1(lab.servedCtl())).toBe(published);
  });

  test('waits for the administrator where he has to put the list back, and looks whether he did', async () => {
    const { lab, undo, path } = await applied(4);
    const waiting = await runBeside([...undo, '--back-to', '2-build-ctl', '--json']);
    expect(waiting.status).toBe(1);
    expect(jsonOf(waiting)).toMatchObject({ state: 'waiting', waiting: { step: '3-publish-ctl' } });
    const former = join(`${path}.work`, 'from-CTLFile.tlv');
    expect(waiting.stderr).toContain(former);
    // The phones have taken the list of the way by now.
    expect(waiting.stderr).toContain('warning: phones have restarted since (4-restart-phones)');
    expect(waiting.stderr).toContain('migrate plan --to tokenless');
    const early = await runBeside([...undo, '--yes']);
    expect(early.status).toBe(1);
    expect(early.stderr).toContain(`SHA-1 ${sha1(lab.tokenless)} is expected`);
    // In between nothing is applied.
    const apply = undo.map((word) => (word === 'undo' ? 'apply' : word));
    expect((await runBeside([...apply, '--yes'])).status).toBe(4);
    const other = await runBeside([...undo, '--back-to', 'start']);
    expect(other).toMatchObject({ status: 2, stdout: '' });
    expect(other.stderr).toContain('a way back to 2-build-ctl was begun');
    lab.putCtl(readFileSync(former));
    const done = await runBeside([...undo, '--json']);
    expect(jsonOf(done)).toMatchObject({ state: 'undone', to: '2-build-ctl' });
    expect(journalOf(path).at(-1)).toEqual({ entry: 'undo-finished' });
  });

  test('tells the administrator what he has to take back', async () => {
    const lab = await makeLiveLab();
    const path = writePlan(lab, thereAndBack(lab));
    const words = [path, ...lab.serverOptions, ...lab.tokenOptions];
    expect((await runBeside(['migrate', 'apply', ...words])).status).toBe(1);
    lab.upload(...lab.tokens);
    expect((await runBeside(['migrate', 'apply', ...words])).status).toBe(1);
    const undo = ['migrate', 'undo', ...words, '--back-to', 'start'];
    const waiting = await runBeside([...undo, '--json']);
    // The list of step 3 was never put there, and step 2 left nothing behind.
    expect(jsonOf(waiting)).toMatchObject({
      state: 'waiting',
      waiting: { step: '1-upload', instructions: ['delete both from Phone-SAST-trust'] },
    });
    expect(statesOf(waiting).slice(0, 4)).toEqual(['undo-begun', 'open', 'open', 'open']);
    const outcome = await runBeside([...undo, '--yes', '--json']);
    expect(jsonOf(outcome)).toMatchObject({ state: 'undone', to: null });
  });

  test('says so before it begins when a step cannot be undone', async () => {
    const lab = await makeLiveLab();
    const whole = thereAndBack(lab);
    const renamed = confirmStep('1-change-release', {
      who: 'administrator',
      title: 'the cluster is upgraded',
      action: { kind: 'change-release', release: '11.5.1' },
      undo: [],
    });
    const path = writePlan(lab, { ...whole, steps: [renamed, confirmStep('2-restart-phones')] });
    const words = [path, ...lab.serverOptions, '--yes'];
    const restarted = ['--phones-restarted', '2-restart-phones'];
    expect((await runBeside(['migrate', 'apply', ...words, ...restarted])).status).toBe(0);
    const before = snapshot(`${path}.work`);
    const outcome = await runBeside(['migrate', 'undo', ...words, '--back-to', 'start']);
    expect(outcome).toMatchObject({ status: 4, stdout: '' });
    expect(outcome.stderr).toContain('the step 1-change-release (the cluster is upgraded) cannot be undone');
    expect(snapshot(`${path}.work`)).toEqual(before);
    expect((await runBeside(['migrate', 'undo', ...words, '--back-to', 'nowhere'])).stderr).toContain(
      'no step nowhere',
    );
  });

  test('takes the list away again where there was none', async () => {
    const lab = await makeLiveLab();
    const whole = thereAndBack(lab);
    rmSync(join(lab.served(), 'CTLFile.tlv'));
    const build = whole.steps.find(({ id }) => id === '5-build-ctl')!;
    const steps = [
      { ...build, action: { ...build.action, flow: 'create-tokenless' } as typeof build.action },
      publishStep(lab, '6-publish-ctl', '5-build-ctl'),
    ];
    const { ctl: _, ...from } = whole.from;
    const path = writePlan(lab, { ...whole, from: { ...from, mode: 'no-ctl' }, steps });
    const words = [path, ...lab.serverOptions, '--yes', '--tftp-folder', `${lab.publisher}=${lab.served()}`];
    const outcome = await runBeside(['migrate', 'apply', ...words]);
    expect(outcome.stderr).not.toContain('error:');
    const file = join(lab.served(), 'CTLFile.tlv');
    const published = readFileSync(file);
    // Somebody's list is in the folder: it is not taken away.
    const given = join(lab.folder, 'published.tlv');
    writeFileSync(given, published);
    lab.putCtl(lab.tokenless);
    const refused = await runBeside(['migrate', 'undo', ...words, '--ctl', given]);
    expect(refused.status).toBe(4);
    expect(refused.stderr).toContain(`has SHA-1 ${sha1(lab.tokenless)}, and SHA-1 ${sha1(published)} was expected`);
    expect(sha1(lab.servedCtl())).toBe(sha1(lab.tokenless));
    writeFileSync(file, published);
    const undone = await runBeside(['migrate', 'undo', ...words, '--json']);
    expect(jsonOf(undone)).toMatchObject({ state: 'undone', ctl: null });
    expect(existsSync(file)).toBe(false);
    const backups = [...snapshot(join(lab.served(), 'backups')).values()];
    expect(backups.map((text) => sha1(Buffer.from(text, 'latin1')))).toContain(sha1(published));
  });
});
