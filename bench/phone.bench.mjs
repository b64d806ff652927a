// What phones decide about a list that is parsed already: decisions a second on one core, and a million phones of ten
// distinct states that are offered one ITL. Every decision is compared with what the rules say: a wrong one ends the
// run.
import { createPhone, decide, offerTrustList } from 'etoken-bridge/phone';
import { identityOf, listOf } from './lists.mjs';

/** @typedef {import('etoken-bridge').TrustList} TrustList */
/** @typedef {import('etoken-bridge/phone').PhoneState} PhoneState */
/** @typedef {import('etoken-bridge/phone').TvsQuestion} TvsQuestion */
/** @typedef {import('etoken-bridge/phone').TvsReply} TvsReply */
/** @typedef {{ held: import('etoken-bridge/phone').HeldFiles, old?: boolean, verdict: string }} Kind */

export const name = 'Decisions of phones about a list that is parsed already (RSA-2048)';

const wantedRate = 100_000;
const fleetSize = 1_000_000;
const now = 1_769_860_800;

/** The list that is offered, the ten kinds of phone with the verdict that the rules give, and who answers for TVS. */
async function scene() {
  const [token, callManager, renewed, tvs] = await Promise.all(['token', 'cm', 'cm-renewed', 'tvs'].map(identityOf));
  if (!token || !callManager || !renewed || !tvs) throw new Error('no identities');
  const [ctl, newCtl, itl, emptyItl, offered] = await Promise.all([
    listOf('CTL', token, now, [[callManager, 2]]),
    listOf('CTL', token, now, [
      [callManager, 2],
      [renewed, 2],
    ]),
    listOf('ITL', callManager, now, [
      [callManager, 3],
      [tvs, 21],
    ]),
    listOf('ITL', callManager, now, [
      [undefined, 3],
      [undefined, 21],
    ]),
    listOf('ITL', renewed, now, [
      [renewed, 3],
      [tvs, 21],
    ]),
  ]);
  /** @type {Readonly<Record<string, TvsReply>>} */
  const replies = {
    yes: { status: 'success', certificate: renewed.certificate.der, roles: [0, 2], timeToLive: 86_400 },
    no: { status: 'not-trusted' },
  };
  /** @type {Kind[]} */
  const kinds = [
    { held: {}, verdict: 'P3 true' },
    { held: { ctl }, verdict: 'P4 false' },
    { held: { ctl: newCtl }, verdict: 'P4 true' },
    { held: { itl, tvsServers: ['yes'] }, verdict: 'P5 true' },
    { held: { itl, tvsServers: ['no'] }, verdict: 'P5 false' },
    { held: { itl, tvsServers: ['down'] }, verdict: 'P5 false' },
    { held: { ctl: newCtl, itl }, verdict: 'P5 true' },
    { held: { itl: emptyItl }, verdict: 'P6 true' },
    { held: { ctl, itl: emptyItl }, verdict: 'P5 false' },
    { held: { ctl }, old: true, verdict: 'P11 false' },
  ];
  const ask = (/** @type {TvsQuestion} */ { server }) =>
    replies[server] ?? { status: /** @type {const} */ ('unreachable'), reason: 'connection refused' };
  return { offered, kinds, ask };
}

/** @param {Kind} kind @param {number} number */
function phoneOf({ held, old = false }, number) {
  const mac = number.toString(16).toUpperCase().padStart(12, '0');
  return createPhone({ mac, model: 'CP-8861', securityByDefault: !old, encryptedConfiguration: false }, held);
}

/** @param {Awaited<ReturnType<typeof scene>>} scene @param {number} count */
function offerToFleet({ offered, kinds, ask }, count) {
  const phones = Array.from({ length: count }, (_, number) =>
    phoneOf(/** @type {Kind} */ (kinds[number % 10]), number),
  );
  const started = process.hrtime.bigint();
  const outcomes = phones.map((state) => decide(offerTrustList(state, 'itl', offered, now), ask));
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  // The phones as they were are still held: so a planner compares before and after.
  for (const [number, { decision, state }] of outcomes.entries()) {
    const wanted = kinds[number % 10]?.verdict;
    const found = `${decision.rule} ${String(decision.accepted)}`;
    if (found !== wanted) throw new Error(`phone ${String(number)}: ${found}, not ${String(wanted)}`);
    if ((state === phones[number]) === decision.accepted) throw new Error(`phone ${String(number)}: wrong state`);
  }
  return count / seconds;
}

const people = (/** @type {number} */ value) => Math.round(value).toLocaleString('en');

export async function run() {
  const set = await scene();
  offerToFleet(set, 20_000);
  const rates = Array.from({ length: 15 }, () => offerToFleet(set, 50_000)).sort((a, b) => a - b);
  const rate = rates[7] ?? 0;
  const fleetRate = offerToFleet(set, fleetSize);
  const gibibytes = process.resourceUsage().maxRSS / 1024 ** 2;
  return [
    {
      what: 'offers decided, ten states in turn (median of 15 rounds)',
      ours: `${people(rate)} per second`,
      theirs: `${people(wantedRate)} per second wanted`,
      ratio: rate / wantedRate,
      limit: '>= 1',
    },
    {
      what: `offers decided in one run of ${people(fleetSize)} phones, all states and decisions kept`,
      ours: `${people(fleetRate)} per second`,
      theirs: `${people(wantedRate)} per second wanted`,
      ratio: fleetRate / wantedRate,
      limit: '>= 1',
    },
    {
      what: `peak memory of that run, in GiB`,
      ours: `${gibibytes.toFixed(2)} GiB`,
      theirs: '1 GiB',
      ratio: gibibytes,
      limit: '<= 2',
    },
  ];
}
