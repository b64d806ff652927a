// Reading and proving a whole trust list against the bare proof: node's own verify with a key made beforehand, over
// the same signed bytes.
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { decodeTrustList, verifyTrustList } from 'etoken-bridge';

export const name = 'Decode and verify a list of 4,947 bytes (RSA-1024, median of interleaved rounds)';

const rounds = 61;
const turns = 400;

/** Microseconds that one call took, over many. */
function timeOf(/** @type {() => boolean} */ call) {
  const started = process.hrtime.bigint();
  for (let turn = 0; turn < turns; turn += 1) {
    if (!call()) throw new Error('the list does not verify');
  }
  return Number(process.hrtime.bigint() - started) / 1000 / turns;
}

const median = (/** @type {number[]} */ values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** Calls in a second, for people. */
const rate = (/** @type {number} */ microseconds) =>
  `${Math.round(1e6 / microseconds).toLocaleString('en')} per second`;

export async function run() {
  const file = new URL('../test/vectors/trust-list/ctl-tokenless.tlv', import.meta.url);
  const bytes = new Uint8Array(readFileSync(file));
  const { header, records } = decodeTrustList(bytes);
  const { start, end } = header.signatureSpan;
  const signed = Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
  const publicKey = Buffer.from(records[0]?.publicKey ?? []);
  const key = createPublicKey({ key: publicKey, format: 'der', type: 'pkcs1' });

  const ours = () => verifyTrustList(decodeTrustList(bytes)).verified;
  const theirs = () => verify(header.digestAlgorithm, signed, key, header.signature);
  for (let round = 0; round < 5; round += 1) [ours, theirs].forEach(timeOf);
  /** @type {{ ours: number, theirs: number }[]} */
  const times = [];
  for (let round = 0; round < rounds; round += 1) {
    // Whoever comes second finds the caches warm: they take turns at that.
    const first = round % 2 === 0 ? timeOf(ours) : 0;
    const bare = timeOf(theirs);
    times.push({ ours: first === 0 ? timeOf(ours) : first, theirs: bare });
  }
  return [
    {
      what: 'decodeTrustList and verifyTrustList against crypto.verify',
      ours: rate(median(times.map((time) => time.ours))),
      theirs: rate(median(times.map((time) => time.theirs))),
      ratio: median(times.map((time) => time.theirs / time.ours)),
      limit: '>= 0.5',
    },
  ];
}
