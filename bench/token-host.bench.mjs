// Signatures through the token host against pkcs11js in this process, on the same SoftHSM2 token.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTokenSigner, parseTokenUri } from 'etoken-bridge/token';
import { makeSoftToken } from './soft-token.mjs';

/** @typedef {readonly import('etoken-bridge/signer').SignRequest[]} Requests */

export const name = 'Signatures through the token host, in batches (RSA-2048, SoftHSM2, median of turns)';

const batch = 500;
const rounds = 9;

/** Signatures a second of one batch. */
async function rate(/** @type {(requests: Requests) => unknown} */ sign) {
  const requests = Array.from({ length: batch }, () => ({
    digestAlgorithm: /** @type {const} */ ('sha512'),
    digest: randomBytes(64),
  }));
  const started = performance.now();
  await sign(requests);
  return (batch / (performance.now() - started)) * 1000;
}

const median = (/** @type {number[]} */ values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

export async function run() {
  const folder = mkdtempSync(join(tmpdir(), 'etb-bench-'));
  /** @type {(() => unknown)[]} */
  const closing = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const token = await makeSoftToken(folder);
    const inProcess = token.openInProcess();
    closing.unshift(() => inProcess.close());
    const open = async (/** @type {number} */ sessions) => {
      const { environment, askPin } = token;
      const signer = await openTokenSigner({ uri: parseTokenUri(token.uri), environment, pin: askPin, sessions });
      closing.unshift(() => signer.close());
      return signer;
    };
    const [one, two] = [await open(1), await open(2)];
    /** @type {{ sign: (requests: Requests) => unknown, rates: number[] }[]} */
    const sides = [
      { sign: (requests) => requests.forEach((request) => inProcess.sign(request)), rates: [] },
      { sign: (requests) => one.signBatch(requests), rates: [] },
      { sign: (requests) => two.signBatch(requests), rates: [] },
    ];
    // In turns, so that what else the machine does meets all sides alike; the first round warms up.
    for (let round = 0; round <= rounds; round += 1) {
      for (const { sign, rates } of sides) {
        const found = await rate(sign);
        if (round > 0) rates.push(found);
      }
    }
    const [bare = 0, single = 0, double = 0] = sides.map(({ rates }) => median(rates));
    const row = (/** @type {string} */ what, /** @type {number} */ ours, /** @type {string} */ limit) => ({
      what,
      ours: `${ours.toFixed(0)}/s`,
      theirs: `${bare.toFixed(0)}/s (pkcs11js in-process, one session)`,
      ratio: ours / bare,
      limit,
    });
    return [row('token host, one session', single, '>= 0.9'), row('token host, two sessions', double, '>= 1.5')];
  } finally {
    for (const close of closing) await close();
  }
}
