// A fleet of 100,000 phones of 50 distinct states against one of 1,000: reading the inventory, and finding out what
// every phone makes of a new CTL and ITL. Every verdict is compared with what it must be: a wrong one ends the run.
import { createHash } from 'node:crypto';
import { groupPhones, judgeFleet, KnownLists, readInventory } from 'etoken-bridge/migration';
import { identityOf, listOf } from './lists.mjs';

/** @typedef {import('etoken-bridge').TrustList} TrustList */
/** @typedef {import('etoken-bridge/migration').Inventory} Inventory */
/** @typedef {import('etoken-bridge/migration').Offer} Offer */
/** @typedef {import('./lists.mjs').Identity} Identity */

export const name = 'Fleets: reading an inventory, and what its phones accept';

const now = 1_769_860_800;
const stateCount = 50;
const [small, large] = [1_000, 100_000];

/** Lists of 50 moments, what is offered, and which states are lost. */
async function scene() {
  const [old, present, tvs] = await Promise.all(['old', 'present', 'tvs'].map(identityOf));
  if (!old || !present || !tvs) throw new Error('no identities');
  /** @param {'CTL' | 'ITL'} kind @param {Identity} signer @param {number} timestamp */
  const list = (kind, signer, timestamp) =>
    listOf(kind, signer, timestamp, [
      [signer, 2],
      [tvs, 21],
    ]);
  const ctls = await Promise.all(
    Array.from({ length: stateCount }, (_, index) => list('CTL', index % 5 === 0 ? old : present, now - index)),
  );
  const itl = await list('ITL', present, now);
  const known = new KnownLists();
  for (const [index, list] of ctls.entries()) known.add(`CTL ${String(index)}`, list);
  const states = ctls.map(({ bytes }) => createHash('sha1').update(bytes).digest('hex'));
  /** @type {Offer} */
  const offer = {
    ctl: { name: 'CTLFile.tlv', list: await list('CTL', present, now + 1) },
    itls: [{ name: 'ITLFile.tlv', list: itl }],
  };
  return { known, states, offer };
}

/** @param {readonly string[]} states @param {number} count */
function inventoryOf(states, count) {
  const rows = Array.from({ length: count }, (_, index) => {
    const device = `SEP${index.toString(16).toUpperCase().padStart(12, '0')}`;
    return `${device},CP-8861,${String(states[index % stateCount])},none,cucm-pub;cucm-sub,yes,"Room ${String(index)}"\r\n`;
  });
  return `device,model,CTL SHA-1,ITL SHA-1,TVS servers,Security by Default,Room\r\n${rows.join('')}`;
}

/** @template T @param {() => T} work @returns {{ value: T, seconds: number }} */
function timed(work) {
  const started = process.hrtime.bigint();
  const value = work();
  return { value, seconds: Number(process.hrtime.bigint() - started) / 1e9 };
}

/** @param {Awaited<ReturnType<typeof scene>>} set @param {number} count */
function round({ known, states, offer }, count) {
  const text = inventoryOf(states, count);
  const reading = timed(() => readInventory([text], 'phones.csv'));
  const judging = timed(() => {
    const { groups } = groupPhones(reading.value, known);
    return judgeFleet(groups, offer, now);
  });
  let lost = 0;
  for (const { fate, group } of judging.value) if (fate === 'lost') lost += group.devices.length;
  // A phone with a CTL and no ITL asks no TVS: those with the old signer are lost (P4).
  if (reading.value.phones.size !== count || judging.value.length !== stateCount || lost !== count / 5) {
    throw new Error(`${String(lost)} of ${String(count)} phones lost, in ${String(judging.value.length)} groups`);
  }
  return { reading: reading.seconds, judging: judging.seconds };
}

const median = (/** @type {number[]} */ values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const milliseconds = (/** @type {number} */ seconds) => `${(seconds * 1000).toFixed(1)} ms`;

export async function run() {
  // What is known of a list is found out once, so that each round has lists of its own.
  const rounds = [];
  for (let index = 0; index < 9; index += 1) {
    rounds.push({ few: round(await scene(), small), many: round(await scene(), large) });
  }
  rounds.shift();
  const whole = median(rounds.map(({ many }) => many.reading + many.judging));
  const few = median(rounds.map(({ few: one }) => one.judging));
  const many = median(rounds.map(({ many: one }) => one.judging));
  const gibibytes = process.resourceUsage().maxRSS / 1024 ** 2;
  return [
    {
      what: 'what 100,000 phones of 50 states accept, against 1,000 of them, the inventory read',
      ours: milliseconds(many),
      theirs: milliseconds(few),
      ratio: many / few,
      limit: '<= 3',
    },
    {
      what: 'the same with reading the inventory of 100,000 phones, against the wanted 2 s',
      ours: milliseconds(whole),
      theirs: '2000 ms',
      ratio: whole / 2,
      limit: '<= 1',
    },
    {
      what: 'peak memory of these runs, in GiB',
      ours: `${gibibytes.toFixed(2)} GiB`,
      theirs: '1 GiB',
      ratio: gibibytes,
      limit: '<= 1',
    },
  ];
}
