// A soft token, and the bare calls to it in this process with one session: what the token host is measured against.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { encodeDigestInfo } from 'etoken-bridge/signer';
import { Pin } from 'etoken-bridge/token';
import { createSastToken, createSoftHsm, createStandInAuthority } from 'softhsm-config';

/** @typedef {import('etoken-bridge/signer').SignRequest} SignRequest */
/** @typedef {import('pkcs11js')} Pkcs11js */

const pin = '123456';

/** Makes a token with an RSA key of 2048 bits. @param {string} folder */
export async function makeSoftToken(folder) {
  const softHsm = await createSoftHsm(join(folder, 'softhsm'));
  const authority = await createStandInAuthority();
  const identity = await createSastToken(softHsm, { label: 'bench', pin, soPin: '12345678', bits: 2048, authority });
  return {
    uri: identity.token.uri,
    environment: { ...process.env, ...softHsm.environment },
    askPin: () => Promise.resolve(new Pin(pin)),
    openInProcess: () => openInProcess(softHsm, identity.token.serialNumber),
  };
}

/** @param {import('softhsm-config').SoftHsm} softHsm @param {string} serialNumber */
function openInProcess(softHsm, serialNumber) {
  process.env['SOFTHSM2_CONF'] = softHsm.environment.SOFTHSM2_CONF;
  const pkcs11 = /** @type {Pkcs11js} */ (createRequire(import.meta.url)('pkcs11js'));
  const library = new pkcs11.PKCS11();
  library.load(softHsm.module);
  library.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK });
  const slot = library
    .C_GetSlotList(true)
    .find((one) => library.C_GetTokenInfo(one).serialNumber.trim() === serialNumber);
  if (slot === undefined) throw new Error('the token is not there');
  const session = library.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION);
  library.C_Login(session, pkcs11.CKU_USER, pin);
  library.C_FindObjectsInit(session, [{ type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY }]);
  const [key] = library.C_FindObjects(session, 1);
  library.C_FindObjectsFinal(session);
  if (key === undefined) throw new Error('the key is not there');
  return {
    /** @param {SignRequest} request */
    sign({ digestAlgorithm, digest }) {
      library.C_SignInit(session, { mechanism: pkcs11.CKM_RSA_PKCS }, key);
      library.C_Sign(session, Buffer.from(encodeDigestInfo(digestAlgorithm, digest)), Buffer.alloc(256));
    },
    close() {
      library.C_Finalize();
      library.close();
    },
  };
}
