// Signatures through the token host against pkcs11js in this process, on the same SoftHSM2 token.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeDigestInfo } from 'etoken-bridge/signer';
import { openTokenSigner, parseTokenUri, Pin } from 'etoken-bridge/token';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';

/** @typedef {readonly import('etoken-bridge/signer').SignRequest[]} Requests */
/** @typedef {import('pkcs11js')} Pkcs11js */

export const name = 'Signatures through the token host, in batches (RSA-2048, SoftHSM2, median of turns)';

const pin = '123456';
const batch = 500;
const rounds = 9;

/**
 * The bare calls in a loop with one session: what the host is measured against.
 *
 * @param {import('softhsm-config').SoftHsm} softHsm
 * @param {import('softhsm-config').SastIdentity} identity
 */
function openInProcess(softHsm, identity) {
  process.env['SOFTHSM2_CONF'] = softHsm.environment.SOFTHSM2_CONF;
  const pkcs11 = /** @type {Pkcs11js} */ (createRequire(import.meta.url)('pkcs11js'));
  const library = new pkcs11.PKCS11();
  library.load(softHsm.module);
  library.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK });
  const slot = library
    .C_GetSlotList(true)
    .find((one) => library.C_GetTokenInfo(one).serialNumber.trim() === identity.token.serialNumber);
  if (slot === undefined) throw new Error('the token is not there');
  const session = library.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION);
  library.C_Login(session, pkcs11.CKU_USER, pin);
  library.C_FindObjectsInit(session, [{ type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY }]);
  const [key] = library.C_FindObjects(session, 1);
  library.C_FindObjectsFinal(session);
  if (key === undefined) throw new Error('the key is not there');
  return {
    sign(/** @type {Requests} */ requests) {
      for (const { digestAlgorithm, digest } of requests) {
        library.C_SignInit(session, { mechanism: pkcs11.CKM_RSA_PKCS }, key);
        library.C_Sign(session, Buffer.from(encodeDigestInfo(digestAlgorithm, digest)), Buffer.alloc(256));
      }
    },
    close() {
      library.C_Finalize();
      library.close();
    },
  };
}

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
    const softHsm = await createSoftHsm(join(folder, 'softhsm'));
    const authority = await createStandInAuthority();
    const identity = await createSastToken(softHsm, { label: 'bench', pin, soPin: '12345678', bits: 2048, authority });
    const environment = { ...process.env, ...softHsm.environment };
    const inProcess = openInProcess(softHsm, identity);
    closing.unshift(() => inProcess.close());
    const open = async (/** @type {number} */ sessions) => {
      const ask = () => Promise.resolve(new Pin(pin));
      const signer = await openTokenSigner({ uri: parseTokenUri(identity.token.uri), environment, pin: ask, sessions });
      closing.unshift(() => signer.close());
      return signer;
    };
    const [one, two] = [await open(1), await open(2)];
    /** @type {{ sign: (requests: Requests) => unknown, rates: number[] }[]} */
    const sides = [
      { sign: (requests) => inProcess.sign(requests), rates: [] },
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
