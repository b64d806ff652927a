// Signatures through the token host against pkcs11js in this process, on the same SoftHSM2 token.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeDigestInfo } from 'etoken-bridge/signer';
import { openTokenSigner, parseTokenUri, Pin } from 'etoken-bridge/token';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';

export const name = 'signatures through the token host, in batches (RSA-2048, SoftHSM2)';

const pin = '1234';
const batch = 600;
const rounds = 7;

/** The bare calls, in a loop, with one session: what the host is measured against. */
function openInProcess(softHsm, serialNumber, keyId) {
  process.env.SOFTHSM2_CONF = softHsm.environment.SOFTHSM2_CONF;
  const pkcs11 = createRequire(import.meta.url)('pkcs11js');
  const library = new pkcs11.PKCS11();
  library.load(softHsm.module);
  library.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK });
  const slot = library
    .C_GetSlotList(true)
    .find((one) => library.C_GetTokenInfo(one).serialNumber.trim() === serialNumber);
  const session = library.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION);
  library.C_Login(session, pkcs11.CKU_USER, pin);
  library.C_FindObjectsInit(session, [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY },
    { type: pkcs11.CKA_ID, value: Buffer.from(keyId) },
  ]);
  const [key] = library.C_FindObjects(session, 1);
  library.C_FindObjectsFinal(session);
  return {
    sign(requests) {
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
async function rate(sign) {
  const requests = Array.from({ length: batch }, () => ({ digestAlgorithm: 'sha512', digest: randomBytes(64) }));
  const started = performance.now();
  await sign(requests);
  return (batch / (performance.now() - started)) * 1000;
}

function median(numbers) {
  return [...numbers].sort((left, right) => left - right)[Math.floor(numbers.length / 2)];
}

export async function run() {
  const folder = mkdtempSync(join(tmpdir(), 'token-host-bench-'));
  const closing = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const softHsm = await createSoftHsm(join(folder, 'softhsm'));
    const authority = await createStandInAuthority();
    const identity = await createSastToken(softHsm, { label: 'bench', pin, soPin: '12345678', bits: 2048, authority });
    const { serialNumber, uri } = identity.token;
    const inProcess = openInProcess(softHsm, serialNumber, identity.keyId);
    closing.unshift(() => inProcess.close());
    const open = async (sessions) => {
      const environment = { ...process.env, ...softHsm.environment };
      const ask = () => Promise.resolve(new Pin(pin));
      const signer = await openTokenSigner({ uri: parseTokenUri(uri), environment, pin: ask, sessions });
      closing.unshift(() => signer.close());
      return signer;
    };
    const sides = [
      { sign: (requests) => inProcess.sign(requests) },
      ...[await open(1), await open(2)].map((signer) => ({ sign: (requests) => signer.signBatch(requests) })),
    ];
    const rates = sides.map(() => []);
    // In turns, so that what else the machine does meets all sides alike; the first round warms up.
    for (let round = 0; round <= rounds; round += 1) {
      for (const [index, side] of sides.entries()) {
        const found = await rate(side.sign);
        if (round > 0) rates[index].push(found);
      }
    }
    const [bare, one, two] = rates.map(median);
    const result = (what, ours, limit) => ({
      what,
      ours: `${Math.round(ours)}/s`,
      theirs: `${Math.round(bare)}/s`,
      ratio: ours / bare,
      limit,
    });
    return [
      result('token host, one session, against pkcs11js in-process', one, 0.9),
      result('token host, two sessions, against pkcs11js in-process', two, 1.5),
    ];
  } finally {
    for (const close of closing) await close();
  }
}
