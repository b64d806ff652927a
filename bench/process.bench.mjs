// Whole processes: what a person or a script waits for, against an empty node.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';

export const name = 'Whole processes (median of interleaved runs)';

const rounds = 25;
const command = fileURLToPath(new URL('../dist/command/main.js', import.meta.url));

/** Milliseconds that one run of node took. */
function timeOf(/** @type {string[]} */ words, /** @type {NodeJS.ProcessEnv} */ env) {
  const started = process.hrtime.bigint();
  const result = spawnSync(process.execPath, words, { env, encoding: 'utf8' });
  const took = Number(process.hrtime.bigint() - started) / 1e6;
  if (result.status !== 0) throw new Error(`${words.join(' ')}: ${result.stderr}`);
  return took;
}

const median = (/** @type {number[]} */ values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

export async function run() {
  const folder = mkdtempSync(join(tmpdir(), 'etb-bench-'));
  try {
    const softHsm = await createSoftHsm(join(folder, 'softhsm'));
    const authority = await createStandInAuthority();
    const identity = { pin: '123456', soPin: '12345678', bits: /** @type {const} */ (2048), authority };
    const one = await createSastToken(softHsm, { label: 'one', ...identity });
    const two = await createSastToken(softHsm, { label: 'two', ...identity });
    const pinFile = join(folder, 'pin');
    writeFileSync(pinFile, '123456', { mode: 0o600 });
    writeFileSync(join(folder, 'two.cer'), two.certificate.der);
    const env = { ...process.env, ...softHsm.environment, ETOKEN_BRIDGE_MODULE: softHsm.module };
    const list = join(folder, 'CTLFile.tlv');
    const token = ['--token', `${one.token.uri}`, '--pin-file', pinFile];
    timeOf([command, 'cluster', 'init', folder, '--lab', '--quiet'], env);
    const cluster = ['--cluster', join(folder, 'cluster.yaml')];
    timeOf([command, 'ctl', 'create', '--mode', 'token', '--out', list, ...cluster, ...token], env);

    const show = [command, 'ctl', 'show', list];
    const signed = join(folder, 'signed.tlv');
    const sign = [command, 'ctl', 'sign', list, '--out', signed, ...token];
    const empty = ['-e', '0'];
    /** @type {Record<'empty' | 'show' | 'sign', number[]>} */
    const times = { empty: [], show: [], sign: [] };
    for (let round = 0; round < rounds; round += 1) {
      times.empty.push(timeOf(empty, env));
      times.show.push(timeOf(show, env));
      times.sign.push(timeOf(sign, env));
      rmSync(signed);
    }
    const base = median(times.empty);
    const row = (/** @type {string} */ what, /** @type {number} */ ours, /** @type {string} */ limit) => ({
      what,
      ours: `${ours.toFixed(0)} ms`,
      theirs: `${base.toFixed(0)} ms (node -e 0)`,
      ratio: ours / base,
      limit,
    });
    return [
      row('ctl show FILE', median(times.show), '<= 1.5'),
      row('ctl sign through the token', median(times.sign), '<= 3'),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
