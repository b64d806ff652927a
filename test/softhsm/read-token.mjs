// Reads a soft token with pkcs11js alone, in a process of its own, so that the tests do not believe the code they test.
// Gets one message { module, serialNumber, pin, digestInfo } and answers with what is on the token.
import pkcs11 from 'pkcs11js';

/**
 * @typedef {{ module: string, serialNumber: string, pin: string, digestInfo: Uint8Array }} Request
 * @typedef {{ [name: string]: Uint8Array | string }} Attributes bytes, or the name of the return value
 * @typedef {{ flags: number, objects: Attributes[], signature: Uint8Array | undefined }} Found
 */

const wanted = {
  class: pkcs11.CKA_CLASS,
  token: pkcs11.CKA_TOKEN,
  private: pkcs11.CKA_PRIVATE,
  label: pkcs11.CKA_LABEL,
  id: pkcs11.CKA_ID,
  value: pkcs11.CKA_VALUE,
  subject: pkcs11.CKA_SUBJECT,
  issuer: pkcs11.CKA_ISSUER,
  serialNumber: pkcs11.CKA_SERIAL_NUMBER,
  sensitive: pkcs11.CKA_SENSITIVE,
  alwaysSensitive: pkcs11.CKA_ALWAYS_SENSITIVE,
  extractable: pkcs11.CKA_EXTRACTABLE,
  neverExtractable: pkcs11.CKA_NEVER_EXTRACTABLE,
  local: pkcs11.CKA_LOCAL,
  sign: pkcs11.CKA_SIGN,
  decrypt: pkcs11.CKA_DECRYPT,
  unwrap: pkcs11.CKA_UNWRAP,
  modulus: pkcs11.CKA_MODULUS,
  publicExponent: pkcs11.CKA_PUBLIC_EXPONENT,
  privateExponent: pkcs11.CKA_PRIVATE_EXPONENT,
  prime1: pkcs11.CKA_PRIME_1,
};

/** @param {Request} request @returns {Found} */
function read(request) {
  const lib = new pkcs11.PKCS11();
  lib.load(request.module);
  lib.C_Initialize();
  const slot = lib
    .C_GetSlotList(true)
    .find((one) => lib.C_GetTokenInfo(one).serialNumber.trim() === request.serialNumber);
  if (slot === undefined) throw new Error('no such token');
  const { flags } = lib.C_GetTokenInfo(slot);
  const session = lib.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION);
  lib.C_Login(session, pkcs11.CKU_USER, request.pin);
  lib.C_FindObjectsInit(session, []);
  const handles = lib.C_FindObjects(session, 100);
  lib.C_FindObjectsFinal(session);
  const objects = handles.map((handle) => readAttributes(lib, session, handle));
  const key = handles.find((_, index) => isPrivateKey(objects[index]));
  const signature = key === undefined ? undefined : sign(lib, session, key, request.digestInfo);
  lib.C_Finalize();
  return { flags, objects, signature };
}

/** One attribute at a time: a single refusal would hide all the others. */
function readAttributes(/** @type {pkcs11.PKCS11} */ lib, /** @type {Buffer} */ session, /** @type {Buffer} */ handle) {
  /** @type {Attributes} */
  const attributes = {};
  for (const [name, type] of Object.entries(wanted)) {
    try {
      attributes[name] = new Uint8Array(
        /** @type {Buffer} */ (lib.C_GetAttributeValue(session, handle, [{ type }])[0]?.value),
      );
    } catch (error) {
      attributes[name] = error instanceof Error ? error.message : String(error);
    }
  }
  return attributes;
}

function isPrivateKey(/** @type {Attributes | undefined} */ attributes) {
  const found = attributes?.['class'];
  return found instanceof Uint8Array && found[0] === pkcs11.CKO_PRIVATE_KEY;
}

function sign(
  /** @type {pkcs11.PKCS11} */ lib,
  /** @type {Buffer} */ session,
  /** @type {Buffer} */ key,
  /** @type {Uint8Array} */ digestInfo,
) {
  lib.C_SignInit(session, { mechanism: pkcs11.CKM_RSA_PKCS }, key);
  return new Uint8Array(lib.C_Sign(session, Buffer.from(digestInfo), Buffer.alloc(512)));
}

process.once('message', (/** @type {Request} */ request) => {
  process.send?.(read(request), () => process.exit());
});
