// A plan for 100,000 phones of 50 distinct states against one for 1,000: what the planner does for a state it does once,
// however many phones are in it. The plan is looked at: a wrong count ends the run.
import { createSoftwareSigner } from 'etoken-bridge';
import { createLabCluster, loadPrivateKey } from 'etoken-bridge/cluster';
import { createTokenlessCtl, tokenlessSigner } from 'etoken-bridge/ctl';
import { createItl, itlSigner } from 'etoken-bridge/itl';
import { planMigration } from 'etoken-bridge/migration';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const name = 'Plans: a migration for many phones';

const stateCount = 50;
const now = new Date('2026-01-31T12:00:00Z');

/** A tokenless cluster of one node, with fifty ITLs that phones may hold, each of another moment. */
async function scene() {
  const directory = mkdtempSync(join(tmpdir(), 'etb-plan-bench-'));
  try {
    const { cluster } = await createLabCluster({
      directory,
      release: '11.5.1',
      securityMode: 'mixed',
      nodes: [{ name: 'cucm-pub', address: '192.0.2.10', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] }],
      keyBits: 2048,
      now,
    });
    const [node] = cluster.nodes;
    if (node === undefined) throw new Error('no node');
    const { certificate } = tokenlessSigner(cluster);
    const reference = node.keys.CallManager;
    if (reference?.kind !== 'file') throw new Error('no key file');
    const signer = createSoftwareSigner(certificate, await loadPrivateKey(reference, certificate));
    const seconds = Math.floor(now.getTime() / 1000);
    const { list: ctl } = await createTokenlessCtl(cluster, signer, { timestamp: seconds, now });
    const itls = await Promise.all(
      Array.from({ length: stateCount }, (_, index) =>
        createItl(cluster, node, signer, { timestamp: seconds - index }),
      ),
    );
    if (itlSigner(cluster, node).certificate !== certificate) throw new Error('another signer');
    return { cluster, ctl, itls };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** @param {Awaited<ReturnType<typeof scene>>} set @param {number} count how many phones */
async function round({ cluster, ctl, itls }, count) {
  const phones = itls.map((itl, state) => ({
    devices: Array.from(
      { length: count / stateCount },
      (_, index) => `SEP${String(state * count + index).padStart(12, '0')}`,
    ),
    securityByDefault: true,
    ctl: /** @type {const} */ ({ kind: 'known', list: ctl }),
    itl: /** @type {const} */ ({ kind: 'known', list: itl }),
    tvsServers: ['cucm-pub'],
  }));
  const [itl] = itls;
  if (itl === undefined) throw new Error('no ITL');
  const started = process.hrtime.bigint();
  const plan = await planMigration(
    { cluster, ctl, itls: { 'cucm-pub': itl }, tvs: {}, tokens: [], phones },
    {
      renewals: [
        { node: 'cucm-pub', certificate: 'CallManager' },
        { node: 'cucm-pub', certificate: 'TVS' },
      ],
    },
    { now },
  );
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  if (plan.phones.kept !== count || plan.phones.lost !== 0)
    throw new Error(`${String(plan.phones.lost)} of ${String(count)} lost`);
  return seconds;
}

const median = (/** @type {number[]} */ values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const milliseconds = (/** @type {number} */ seconds) => `${(seconds * 1000).toFixed(0)} ms`;

export async function run() {
  const set = await scene();
  await round(set, 1_000);
  const few = [];
  const many = [];
  for (let index = 0; index < 7; index += 1) {
    few.push(await round(set, 1_000));
    many.push(await round(set, 100_000));
  }
  const [small, large] = [median(few), median(many)];
  return [
    {
      what: 'a plan for 100,000 phones of 50 states, against one for 1,000',
      ours: milliseconds(large),
      theirs: milliseconds(small),
      ratio: large / small,
      limit: '<= 3',
    },
  ];
}
