// What phones decide about a list that is parsed already: decisions a second on one core, and a million phones of ten
// distinct states that are offered one ITL. Every decision is compared with what the rules say: a wrong one ends the
// run.
import { createSoftwareSigner, signTrustList } from 'etoken-bridge';
import { createPhone, decide, offerTrustList } from 'etoken-bridge/phone';
import { clusterIdentity } from 'etoken-bridge/signed-file';
import { generateRsaKey, issueCertificate } from 'etoken-bridge/x509';

/** @typedef {import('etoken-bridge').Certificate} Certificate */
/** @typedef {import('etoken-bridge').TrustList} TrustList */
/** @typedef {import('etoken-bridge/phone').PhoneState} PhoneState */
/** @typedef {import('etoken-bridge/phone').TvsQuestion} TvsQuestion */
/** @typedef {import('etoken-bridge/phone').TvsReply} TvsReply */
/** @typedef {{ certificate: Certificate, signer: import('etoken-bridge').Signer }} Identity */
/** @typedef {{ held: import('etoken-bridge/phone').HeldFiles, old?: boolean, verdict: string }} Kind */

export const name = 'Decisions of phones about a list that is parsed already (RSA-2048)';

const wantedRate = 100_000;
const fleetSize = 1_000_000;
const now = 1_769_860_800;

/** @param {string} commonName @returns {Promise<Identity>} */
async function identityOf(commonName) {
  const key = await generateRsaKey(2048);
  const subject = [{ type: 'CN', value: commonName }];
  const dates = { notBefore: new Date('2020-01-01T00:00:00Z'), notAfter: new Date('2040-01-01T00:00:00Z') };
  const serialNumber = Uint8Array.from(Buffer.from(commonName));
  const certificate = await issueCertificate(
    { subject, publicKey: key, serialNumber, ...dates },
    { name: subject, key },
  );
  return { certificate, signer: createSoftwareSigner(certificate, key) };
}

/** @param {Identity | undefined} identity @param {number} role */
function record(identity, role) {
  const opening = [
    { tag: 2, value: Uint8Array.of(0x20, 0) },
    { tag: 4, value: Uint8Array.of(0, role) },
  ];
  if (identity === undefined) return opening;
  const { certificate } = identity;
  const { signerName, issuerName, serialNumber } = clusterIdentity(certificate);
  return [
    ...opening,
    { tag: 3, value: signerName },
    { tag: 5, value: issuerName },
    { tag: 6, value: serialNumber },
    { tag: 7, value: certificate.publicKey },
    { tag: 9, value: certificate.der },
  ];
}

/** @param {'CTL' | 'ITL'} kind @param {Identity} signer @param {(readonly [Identity | undefined, number])[]} others */
function listOf(kind, signer, ...others) {
  return signTrustList(
    {
      version: { major: 1, minor: 2 },
      digestAlgorithm: 'sha1',
      fileName: Buffer.from(`${kind}File.tlv\0`),
      timestamp: now,
      records: [record(signer, 0), ...others.map(([identity, role]) => record(identity, role))],
      signingRecord: 0,
    },
    signer.signer,
  );
}

/** The list that is offered, the ten kinds of phone with the verdict that the rules give, and who answers for TVS. */
async function scene() {
  const [token, callManager, renewed, tvs] = await Promise.all(['token', 'cm', 'cm-renewed', 'tvs'].map(identityOf));
  if (!token || !callManager || !renewed || !tvs) throw new Error('no identities');
  const [ctl, newCtl, itl, emptyItl, offered] = await Promise.all([
    listOf('CTL', token, [callManager, 2]),
    listOf('CTL', token, [callManager, 2], [renewed, 2]),
    listOf('ITL', callManager, [callManager, 3], [tvs, 21]),
    listOf('ITL', callManager, [undefined, 3], [undefined, 21]),
    listOf('ITL', renewed, [renewed, 3], [tvs, 21]),
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
