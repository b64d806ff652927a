import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createTokenlessCtl, ctlMode } from '../../src/ctl/index.js';
import type { Plan } from '../../src/migration/index.js';
import { decodeTrustList, verifyTrustList } from '../../src/trust-list/index.js';
import { skipReason } from '../skip-reason.js';
import { expectFailure, jsonOf, snapshot } from './etoken-bridge.js';
import {
  confirmStep,
  journalOf,
  makeLiveLab,
  phonesRestarted,
  runBeside,
  sha1,
  start,
  thereAndBack,
  writePlan,
  type LiveLab,
} from './migrate-lab.js';
import { makeSoftTokens } from './soft-tokens.js';
import { noTerminal, openTerminal } from './terminal.js';

/** A plan that has not been begun, and what applies it. */
async function begin(request?: Parameters<typeof makeLiveLab>[0]): Promise<{
  readonly lab: LiveLab;
  readonly plan: Plan;
  readonly path: string;
  readonly words: readonly string[];
  readonly folders: readonly string[];
}> {
  const lab = await makeLiveLab(request);
  const plan = thereAndBack(lab);
  const path = writePlan(lab, plan);
  const words = ['migrate', 'apply', path, ...lab.serverOptions, ...lab.tokenOptions];
  const places = lab.cluster.nodes.flatMap(({ name }) => ['--tftp-folder', `${name}=${lab.served(name)}`]);
  const folders = [...places, ...phonesRestarted(plan)];
  return { lab, plan, path, words, folders };
}

describe('a whole plan', () => {
  test('is walked one step at a time, the administrator doing what he is told', async () => {
    const { lab, path, words } = await begin();
    const waitsFor = async (step: string): Promise<void> => {
      const outcome = await runBeside([...words, '--json']);
      expect(outcome.stderr).not.toContain('error:');
      expect(jsonOf(outcome)).toMatchObject({ state: 'waiting', waiting: { step } });
      expect(outcome.status).toBe(1);
    };
    /** Answers the question of a step of the phones; the step after it then fails, for nothing was copied yet. */
    const answerYes = async (next: string): Promise<void> => {
      const answer = [...words, '--yes', '--phones-restarted', '4-restart-phones'];
      expectFailureOf(await runBeside(answer), 1, `step ${next} is not done: `);
    };
    await waitsFor('1-upload');
    // Nothing happens by itself.
    await waitsFor('1-upload');
    expect(
      existsSync(join(`${path}.work`, 'certificates', `SAST-ADN0054f501-${sha1(lab.tokens[0].der).slice(0, 8)}.cer`)),
    ).toBe(true);
    lab.upload(...lab.tokens);
    await waitsFor('3-publish-ctl');
    lab.putCtl(readFileSync(join(`${path}.work`, '2-build-ctl-CTLFile.tlv')));
    await waitsFor('4-restart-phones');
    await answerYes('6-publish-ctl');
    expect(ctlMode(decodeTrustList(lab.servedCtl()))).toBe('token');
    lab.putCtl(readFileSync(join(`${path}.work`, '5-build-ctl-CTLFile.tlv')));
    await waitsFor('7-restart-phones');
    const done = await runBeside([...words, '--phones-restarted', '7-restart-phones', '--json']);
    expect(done.status).toBe(0);
    const served = lab.servedCtl();
    expect(jsonOf(done)).toMatchObject({ state: 'done', ctl: sha1(served), waiting: null });
    expect(ctlMode(decodeTrustList(served))).toBe('tokenless');
    expect(verifyTrustList(decodeTrustList(served)).verified).toBe(true);
    const again = await runBeside(words);
    expect(again).toMatchObject({ status: 0, stderr: '' });
    expect(again.stdout).toContain('all 7 steps are done');
  });

  test('with a soft token is applied in one go where the folders of the TFTP servers are here', async () => {
    const soft = await makeSoftTokens();
    const { lab, words, folders, path } = await begin({
      nodes: ['cucm-pub', 'cucm-sub'],
      tokens: {
        certificates: [soft.first.certificate, soft.second.certificate],
        options: ['--token', soft.first.token.uri, '--pin-file', soft.first.pinFile],
      },
    });
    lab.upload(...lab.tokens);
    const outcome = await runBeside([...words, '--yes', ...folders], { env: soft.environment });
    expect(outcome.stderr).not.toContain('error:');
    expect(outcome.stdout).toContain('all 7 steps are done');
    expect(outcome.status).toBe(0);
    expect(outcome.stderr + outcome.stdout).not.toContain(soft.first.pin);
    const token = decodeTrustList(new Uint8Array(readFileSync(join(`${path}.work`, '2-build-ctl-CTLFile.tlv'))));
    expect(ctlMode(token)).toBe('token');
    expect(verifyTrustList(token).verified).toBe(true);
    for (const node of ['cucm-pub', 'cucm-sub']) {
      const list = decodeTrustList(lab.servedCtl(node));
      expect(ctlMode(list)).toBe('tokenless');
      expect(verifyTrustList(list).verified).toBe(true);
      // The list of before is kept beside it.
      expect(
        [...snapshot(join(lab.served(node), 'backups')).values()].map((text) => sha1(Buffer.from(text, 'latin1'))),
      ).toContain(sha1(lab.tokenless));
    }
  });

  test('is not signed again where the list is there already', async () => {
    const { lab, words, folders, path } = await begin();
    lab.upload(...lab.tokens);
    expect((await runBeside(words)).status).toBe(1);
    const journal = join(`${path}.work`, 'journal.jsonl');
    const lines = readFileSync(journal, 'utf8').split('\n');
    const built = lines.findIndex((line) => line.includes('"done"') && line.includes('2-build-ctl'));
    // Killed after the list was written, while the line was being written.
    writeFileSync(journal, `${lines.slice(0, built).join('\n')}\n${lines[built]!.slice(0, 20)}`);
    renameSync(join(lab.folder, 'first.key'), join(lab.folder, 'away.key'));
    const outcome = await runBeside([...words, '--yes', ...folders]);
    expect(outcome.stderr).not.toContain('error:');
    expect(outcome.status).toBe(0);
    expect(journalOf(path)[built]).toMatchObject({ entry: 'done', step: '2-build-ctl' });
  });

  test('that "migrate plan" made is applied as it is', async () => {
    const { lab, words, folders: all } = await begin({ nodes: ['cucm-pub', 'cucm-sub'] });
    const folders = all.slice(0, 4);
    const ctl = join(lab.folder, 'present.tlv');
    writeFileSync(ctl, lab.tokenless);
    const itls = lab.cluster.nodes.flatMap(({ name }) => ['--itl', `${name}=${join(lab.served(name), 'ITLFile.tlv')}`]);
    const path = join(lab.folder, 'migration.yaml');
    const certificates = ['first', 'second'].flatMap((name) => [
      '--token-certificate',
      join(lab.folder, `${name}.pem`),
    ]);
    const made = await runBeside([
      ...['migrate', 'plan', '--cluster', lab.clusterFile, '--to', 'token', '--ctl', ctl, '--out', path],
      ...[...itls, ...certificates],
    ]);
    expect(made.stderr).not.toContain('error:');
    const there = words.map((word) => (word.endsWith('plan.yaml') ? path : word));
    expect(jsonOf(await runBeside([...there, '--json']))).toMatchObject({
      state: 'waiting',
      waiting: { step: '1-upload' },
    });
    lab.upload(...lab.tokens);
    const restarts = [...readFileSync(path, 'utf8').matchAll(/id: (\S+-restart-phones)/g)].map(([, id]) => id!);
    const answers = restarts.flatMap((id) => ['--phones-restarted', id]);
    const outcome = await runBeside([...there, '--yes', ...folders, ...answers, '--json']);
    expect(outcome.stderr).not.toContain('error:');
    expect(jsonOf(outcome)).toMatchObject({ state: 'done', ctl: sha1(lab.servedCtl('cucm-sub')) });
    const list = decodeTrustList(lab.servedCtl());
    expect(ctlMode(list)).toBe('token');
    expect(verifyTrustList(list).verified).toBe(true);
    const back = there.map((word) => (word === 'apply' ? 'undo' : word));
    // Restarted phones and built lists leave nothing behind, and the folders are here: nobody is asked.
    const half = await runBeside([...back, ...folders, '--back-to', '1-upload', '--json']);
    expect(jsonOf(half)).toMatchObject({ state: 'undone', to: '1-upload', ctl: sha1(lab.tokenless) });
    expect(half.stderr).toContain('Cluster Security Mode must read 1 (mixed)');
    expect(half.stderr).not.toContain('Put the CTLFile.tlv back');
    const undone = await runBeside([...back, '--yes', ...folders, '--back-to', 'start', '--json']);
    expect(undone.stderr).not.toContain('error:');
    expect(jsonOf(undone)).toMatchObject({ state: 'undone', ctl: sha1(lab.tokenless) });
    expect(sha1(lab.servedCtl('cucm-sub'))).toBe(sha1(lab.tokenless));
  });

  test('is printed by --dry-run, which touches nothing', async () => {
    const { lab, words } = await begin();
    const before = snapshot(lab.folder);
    await lab.close();
    const outcome = await runBeside([...words, '--dry-run']);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    expect(outcome.stdout).toContain('3-publish-ctl (administrator)');
    expect(outcome.stdout).toContain('look: TFTP of cucm-pub serves the CTLFile.tlv that 2-build-ctl builds');
    const shown = await runBeside([...words, '--dry-run', '--json']);
    expect(jsonOf(shown)).toMatchObject({ state: 'dry-run', steps: { length: 7 } });
    expect(snapshot(lab.folder)).toEqual(before);
  });

  test('begins with the CTL that is given where no server can be asked for it', async () => {
    const { lab, words, path } = await begin();
    const ctl = join(lab.folder, 'present.tlv');
    writeFileSync(ctl, lab.tokenless);
    await lab.close();
    const waiting = await runBeside([...words, '--ctl', ctl, '--json']);
    expect(jsonOf(waiting)).toMatchObject({ state: 'waiting', waiting: { step: '1-upload' } });
    expect(waiting.stdout).toContain('could not be asked');
    expect(sha1(new Uint8Array(readFileSync(join(`${path}.work`, 'from-CTLFile.tlv'))))).toBe(sha1(lab.tokenless));
  });

  test('says what must hold before, and which phones it loses', async () => {
    const { lab, plan } = await begin();
    const [first, ...others] = plan.steps;
    const requires = ['Five minutes have gone by since the last renewal (A11).'];
    const groups = plan.phones.groups.map((group) => ({ ...group, outcome: 'lost' as const }));
    const phones = { ...plan.phones, kept: 0, lost: 1, groups };
    const path = writePlan(lab, { ...plan, phones, steps: [{ ...first!, requires }, ...others] }, 'losing.yaml');
    const outcome = await runBeside(['migrate', 'apply', path, ...lab.serverOptions, ...lab.tokenOptions]);
    expect(outcome.stderr).toContain('warning: the plan loses 1 of 1 phones');
    expect(outcome.stderr).toContain('  before: Five minutes have gone by');
  });

  test('is summed up by show', async () => {
    const { path } = await begin();
    const outcome = await runBeside(['migrate', 'show', path]);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    expect(outcome.stdout).toContain('phones: 1, kept 1, lost 0, unknown 0');
    expect(outcome.stdout).toMatch(/3-publish-ctl +administrator +no +the new CTL is served by every TFTP server/);
  });
});

/** A failure after steps that were told of. */
function expectFailureOf(
  outcome: { status: number | null; stdout: string; stderr: string },
  status: number,
  error: string,
): void {
  expect(outcome.stderr).toContain('error: ');
  expect(outcome.stderr).toContain(error);
  expect(outcome.stderr).toMatch(/^hint: /m);
  expect(outcome.stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
  expect(outcome.stdout).toBe('');
  expect(outcome.status).toBe(status);
}

describe('another state than the plan was made for', async () => {
  const { lab, plan, path, words } = await begin({ nodes: ['cucm-pub', 'cucm-sub'] });
  const { list: other } = await createTokenlessCtl(lab.cluster, lab.tokenlessSigner, {
    timestamp: 1_700_000_001,
    now: new Date(),
  });
  const cluster = readFileSync(lab.clusterFile, 'utf8');
  const work = `${path}.work`;
  const refused = async (error: string, more: readonly string[] = []): Promise<void> => {
    expectFailure(await runBeside([...words, ...more]), 4, error, 'nothing was done');
    expect(existsSync(work)).toBe(false);
  };

  test('of the CTL is refused', async () => {
    lab.putCtl(other.bytes);
    await refused(
      `serves a CTL with SHA-1 ${sha1(other.bytes)}, and the plan begins with the one with SHA-1 ${plan.from.ctl!}`,
    );
    lab.putCtl(lab.tokenless);
    writeFileSync(join(lab.served('cucm-sub'), 'CTLFile.tlv'), other.bytes);
    await refused(`the TFTP server of cucm-sub (`);
    rmSync(join(lab.served('cucm-sub'), 'CTLFile.tlv'));
    await refused(`has no CTLFile.tlv, and the plan begins with the one with SHA-1 ${plan.from.ctl!}`);
    lab.putCtl(lab.tokenless);
    const file = join(lab.folder, 'other.tlv');
    writeFileSync(file, other.bytes);
    await refused(`${file} has SHA-1 ${sha1(other.bytes)}`, ['--ctl', file]);
  });

  test('of the cluster file is refused', async () => {
    const edited = async (from: string | RegExp, to: string, error: string): Promise<void> => {
      const text = cluster.replace(from, to);
      expect(text).not.toBe(cluster);
      writeFileSync(lab.clusterFile, text);
      await refused(error);
      writeFileSync(lab.clusterFile, cluster);
    };
    await edited(/^release: .*/m, 'release: 12.0', 'the cluster file says release 12.0, and the plan 11.5.1');
    await edited(
      /^securityMode: .*/m,
      'securityMode: non-secure',
      'the cluster file says securityMode non-secure, and the plan mixed',
    );
    await edited(
      'CAPF: certificates/cucm-pub/CAPF.pem',
      'CAPF: certificates/cucm-sub/TVS.pem',
      'the CAPF certificate of cucm-pub in the cluster file has SHA-1',
    );
    await edited(
      /^ +ITLRecovery: (certificates|keys)\/cucm-pub\/ITLRecovery\.\w+\n/gm,
      '',
      'the cluster file has no ITLRecovery certificate of cucm-pub',
    );
  });

  test('wrong options are wrong usage', async () => {
    expectFailure(
      await runBeside([...words, '--tftp', 'cucm-nowhere=1.2.3.4']),
      2,
      'which is no node',
      'cucm-pub, cucm-sub',
    );
    expectFailure(await runBeside([...words, '--tvs', '1.2.3.4']), 2, 'does not name a node', '--tvs NODE=HOST[:PORT]');
    expect(existsSync(work)).toBe(false);
  });

  test('a server that does not answer ends with exit code 2', async () => {
    await lab.close();
    expectFailure(await runBeside(words), 2, 'the TFTP server of cucm-', '--tftp cucm-');
    expect(existsSync(work)).toBe(false);
  });
});

describe('a live server that answers something else', () => {
  test('TVS that does not vouch, that is another one, and that is not there', async () => {
    const { lab, words, path } = await begin();
    expectFailureOf(await runBeside([...words, '--yes']), 1, 'does not vouch for CN=SAST-ADN0054f501');
    expect(journalOf(path).filter(({ entry }) => entry === 'done')).toEqual([]);
    const other = await makeLiveLab();
    const tvs = other.serverOptions.at(-1)!;
    const elsewhere = words.map((word, index) => (words[index - 1] === '--tvs' ? tvs : word));
    expectFailureOf(await runBeside([...elsewhere, '--yes']), 1, 'shows a certificate with SHA-1');
    await other.close();
    expectFailureOf(await runBeside([...elsewhere, '--yes']), 2, 'the TVS server of cucm-pub (127.0.0.1:');
    expect(journalOf(path).filter(({ entry }) => entry === 'done')).toEqual([]);
    expect(sha1(lab.servedCtl())).toBe(sha1(lab.tokenless));
  });

  test('TFTP that serves a third list', async () => {
    const { lab, words, path, folders } = await begin();
    lab.upload(...lab.tokens);
    expect((await runBeside(words)).status).toBe(1);
    const { list } = await createTokenlessCtl(lab.cluster, lab.tokenlessSigner, {
      timestamp: 1_700_000_001,
      now: new Date(),
    });
    lab.putCtl(list.bytes);
    const before = journalOf(path);
    expectFailureOf(await runBeside([...words, '--yes', ...folders]), 4, `serves a CTL with SHA-1 ${sha1(list.bytes)}`);
    // The folder that is written to must be the one that is served.
    lab.putCtl(lab.tokenless);
    const elsewhere = join(lab.folder, 'elsewhere');
    const { mkdirSync } = await import('node:fs');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, 'CTLFile.tlv'), list.bytes);
    expectFailureOf(
      await runBeside([...words, '--yes', '--tftp-folder', `cucm-pub=${elsewhere}`]),
      4,
      `CTLFile.tlv has SHA-1 ${sha1(list.bytes)}`,
    );
    expect(sha1(new Uint8Array(readFileSync(join(elsewhere, 'CTLFile.tlv'))))).toBe(sha1(list.bytes));
    expect(journalOf(path)).toEqual(before);
  });

  test('a list that the cluster makes itself must be signed by the key of the plan', async () => {
    const { lab, plan } = await begin();
    const step = confirmStep('1-cluster-ctl', {
      who: 'administrator',
      title: 'the cluster makes a new CTL',
      action: {
        kind: 'cluster-ctl',
        flow: 'update',
        signer: { kind: 'cluster', name: 'CallManager' },
        securityMode: 'mixed',
      },
      instructions: ['utils ctl update CTLFile'],
      checks: [
        {
          check: 'tftp-serves-signed-by',
          node: lab.publisher,
          file: 'CTLFile.tlv',
          signer: { kind: 'cluster', name: 'CallManager' },
        },
      ],
      undo: ['utils ctl update CTLFile'],
    });
    const path = writePlan(lab, { ...plan, steps: [step] }, 'cluster-ctl.yaml');
    const words = ['migrate', 'apply', path, ...lab.serverOptions];
    expect(jsonOf(await runBeside([...words, '--json']))).toMatchObject({ state: 'waiting' });
    const { list: own } = await createTokenlessCtl(lab.cluster, lab.tokenlessSigner, {
      timestamp: 1_700_000_001,
      now: new Date(),
    });
    const stranger = await makeLiveLab();
    lab.putCtl(stranger.tokenless);
    expectFailureOf(await runBeside(words), 1, 'signed by C=US');
    lab.putCtl(Uint8Array.from([...own.bytes.slice(0, -1), own.bytes.at(-1)! ^ 1]));
    expectFailureOf(await runBeside(words), 1, 'which ');
    lab.putCtl(own.bytes);
    const done = await runBeside([...words, '--json']);
    expect(done.status).toBe(0);
    expect(jsonOf(done)).toMatchObject({ state: 'done', ctl: sha1(own.bytes) });
    // The cluster makes a new list on the way back too: with the same signer it is taken.
    const undo = words.map((word) => (word === 'apply' ? 'undo' : word));
    expect((await runBeside([...undo, '--json'])).status).toBe(1);
    const { list: back } = await createTokenlessCtl(lab.cluster, lab.tokenlessSigner, {
      timestamp: 1_700_000_002,
      now: new Date(),
    });
    lab.putCtl(back.bytes);
    const undone = await runBeside([...undo, '--yes', '--json']);
    expect(jsonOf(undone)).toMatchObject({ state: 'undone', ctl: sha1(back.bytes) });
  });
});

test('a step that no check tells of is done when somebody says so, and not before', async () => {
  const { lab, plan } = await begin();
  const add = confirmStep('1-add-tvs-servers', {
    who: 'administrator',
    title: 'TVS of the publisher is in the group of the phones',
    action: { kind: 'add-tvs-servers', nodes: [lab.publisher] },
    checks: [{ check: 'tvs-answers', node: lab.publisher }],
  });
  const path = writePlan(lab, { ...plan, steps: [add] }, 'add.yaml');
  const words = ['migrate', 'apply', path, ...lab.serverOptions];
  for (const time of ['first', 'second']) {
    const waiting = await runBeside([...words, '--json']);
    expect([time, jsonOf(waiting)]).toMatchObject([time, { waiting: { reasons: ['Is it done?'] } }]);
  }
  expect((await runBeside([...words, '--yes'])).status).toBe(0);
});

describe('a certificate that is renewed', () => {
  test('must be in the cluster file and in the ITL', async () => {
    const { lab, plan } = await begin();
    const [node] = lab.cluster.nodes;
    const before = sha1(node!.certificates.TVS!.der);
    const renew = confirmStep('1-renew', {
      who: 'administrator',
      title: 'the TVS certificate is renewed',
      action: { kind: 'renew', node: lab.publisher, certificate: 'TVS' },
      instructions: ['regenerate TVS'],
      checks: [{ check: 'certificate-renewed', node: lab.publisher, certificate: 'TVS', before }],
    });
    const path = writePlan(lab, { ...plan, steps: [renew, confirmStep('2-restart-phones')] }, 'renew.yaml');
    const words = ['migrate', 'apply', path, ...lab.serverOptions];
    const waiting = await runBeside(words);
    expect(waiting.stdout).toContain('the cluster file still names the TVS certificate of cucm-pub');
    const renewed = await lab.renew('TVS');
    expect((await runBeside(words)).stdout).toContain('does not hold the TVS certificate C=US');
    await renewed.publishItl();
    const further = await runBeside([...words, '--json']);
    expect(further.stderr).not.toContain('error:');
    expect(jsonOf(further)).toMatchObject({ waiting: { step: '2-restart-phones' } });
    expect((await runBeside([...words, '--phones-restarted', '2-restart-phones'])).status).toBe(0);
    // A plan that has not come so far takes it for another state.
    rmSync(`${path}.work`, { recursive: true });
    expectFailure(await runBeside(words), 4, 'the TVS certificate of cucm-pub in the cluster file has SHA-1');
  });

  test('of a token must be at hand before the first step', async () => {
    const { lab, words, path } = await begin();
    const without = words.filter(
      (word, index) => word !== '--token-certificate' && words[index - 1] !== '--token-certificate',
    );
    expectFailure(
      await runBeside(without),
      2,
      `SHA-1 ${sha1(lab.tokens[1].der)}, which the plan names, is neither in the cluster file nor on a token`,
      '--token-certificate FILE',
    );
    expect(existsSync(`${path}.work`)).toBe(false);
  });
});

describe('the journal', () => {
  test('of another plan, of an edited plan, or broken, is refused', async () => {
    const { lab, plan, path, words } = await begin();
    expect((await runBeside(words)).status).toBe(1);
    const journal = join(`${path}.work`, 'journal.jsonl');
    const text = readFileSync(journal, 'utf8');
    const planText = readFileSync(path, 'utf8');
    writeFileSync(path, planText.replace('title: all phones restart', 'title: no phone restarts'));
    expectFailureOf(await runBeside(words), 4, 'the plan was edited after it was begun');
    // What stands in comments may change.
    writeFileSync(path, `# a note\n${planText}`);
    expect((await runBeside(words)).status).toBe(1);
    writePlan(lab, { ...plan, created: '2026-03-02T10:00:00.000Z' });
    expectFailureOf(await runBeside(words), 4, 'belongs to another plan, made at 2026-03-01T10:00:00.000Z');
    writePlan(lab, plan);
    writeFileSync(journal, text.replace('"begun"', '"began"'));
    expectFailureOf(await runBeside(words), 2, 'line 2 is no entry of a journal');
    writeFileSync(journal, `${text}{"entry":"done","step":"3-publish-ctl"}\n`);
    expectFailureOf(await runBeside(words), 2, 'line 3 (done of step 3-publish-ctl) fits nowhere');
    writeFileSync(journal, `${text}{"entry":"do`);
    expect((await runBeside(words)).status).toBe(1);
    expect(readFileSync(journal, 'utf8')).toMatch(text);
  });

  test('is written by one process at a time, and a killed one keeps nobody out', async () => {
    const { lab, path, words } = await begin();
    lab.upload(...lab.tokens);
    expect((await runBeside(words)).status).toBe(1);
    const lock = join(`${path}.work`, 'lock.7');
    const { hostname } = await import('node:os');
    const ownStart = readFileSync(`/proc/${process.pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')[19];
    writeFileSync(lock, JSON.stringify({ pid: process.pid, started: ownStart, host: hostname() }));
    expectFailureOf(await runBeside(words), 2, `another process (${process.pid}) works on`);
    writeFileSync(lock, JSON.stringify({ pid: process.pid, started: '1', host: hostname() }));
    expect((await runBeside(words)).status).toBe(1);
    expect(existsSync(lock)).toBe(false);
  });

  test('of many processes at once is that of one', async () => {
    const { lab, path, plan, words, folders } = await begin();
    lab.upload(...lab.tokens);
    const all = [...words, '--yes', ...folders];
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => runBeside(all)));
    for (const { status, stderr } of outcomes) {
      // Refused, because another works or has worked here; or done.
      expect([0, 2, 4]).toContain(status);
      if (status !== 0) expect(stderr).toMatch(/another process|made for another state/);
    }
    expect((await runBeside(all)).status).toBe(0);
    for (const { id } of plan.steps) {
      const entries = journalOf(path).filter(({ step }) => step === id);
      expect(entries.map(({ entry }) => entry)).toEqual(['begun', 'done']);
    }
    expect(ctlMode(decodeTrustList(lab.servedCtl()))).toBe('tokenless');
  });

  test('is whole after Ctrl-C', async () => {
    const { lab, path, words, folders } = await begin();
    lab.upload(...lab.tokens);
    const all = [...words, '--yes', ...folders];
    const { child, ended } = start(all);
    const journal = join(`${path}.work`, 'journal.jsonl');
    while (!existsSync(journal)) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGINT');
    const { status, stderr } = await ended;
    expect([status, stderr.includes('interrupted')]).toEqual([130, true]);
    expect(readFileSync(journal, 'utf8')).toMatch(/\n$/);
    expect((await runBeside(all)).status).toBe(0);
  });

  test.skipIf(noTerminal !== undefined)(
    `is gone on with from a terminal, where each step is asked for${skipReason(noTerminal)}`,
    async () => {
      const { lab, path, words } = await begin();
      const first = openTerminal(words, { cwd: lab.folder });
      await first.waitFor('1-upload: is it done? (y/n)');
      first.type('\u0003');
      expect(await first.ended).toBe(130);
      const second = openTerminal(words, { cwd: lab.folder });
      await second.waitFor('1-upload: is it done? (y/n)');
      second.type('n\r');
      expect(await second.ended).toBe(1);
      const third = openTerminal(words, { cwd: lab.folder });
      await third.waitFor('1-upload: is it done? (y/n)');
      lab.upload(...lab.tokens);
      third.type('y\r');
      await third.waitFor('3-publish-ctl: is it done? (y/n)');
      lab.putCtl(readFileSync(join(`${path}.work`, '2-build-ctl-CTLFile.tlv')));
      third.type('y\r');
      await third.waitFor('4-restart-phones: is it done? (y/n)');
      third.type('y\r');
      await third.waitFor('Did all phones come back? (y/n)');
      third.type('n\r');
      expect(await third.ended).toBe(1);
      expect(journalOf(path).at(-1)).toMatchObject({ entry: 'begun', step: '4-restart-phones' });
    },
  );
});
