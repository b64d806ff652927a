/** Runs in the token host only. The objects of a token: how they are found and what is read of them. */
import type { PKCS11 } from 'pkcs11js';
import { HostFailureError, readUlong, trimText } from './host-library.js';
import type { CertificateObject, KeyObjectDescription, TokenObjects } from './host-protocol.js';

/** Some tokens show no objects in the first moments after they were opened (native-notes/). In milliseconds. */
const objectWait = 250;

/** See `objectWait`. */
export function waitForObjects(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, objectWait));
}

/** Attributes and classes (PKCS#11 v2.40, pkcs11t.h). */
export const attributeType = {
  class: 0x0,
  label: 0x3,
  value: 0x11,
  keyType: 0x100,
  id: 0x102,
  sign: 0x108,
  verify: 0x10a,
  modulus: 0x120,
  publicExponent: 0x122,
  alwaysAuthenticate: 0x202,
} as const;

export const objectClass = { certificate: 1, publicKey: 2, privateKey: 3 } as const;

/** ATTRIBUTE_SENSITIVE, ATTRIBUTE_TYPE_INVALID, ATTRIBUTE_VALUE_INVALID, FUNCTION_NOT_SUPPORTED */
const attributeMissing: readonly (number | undefined)[] = [0x11, 0x12, 0x13, 0x54];

/**
 * One attribute, or `undefined` when the object has none. Attributes are asked for one by one: one that is missing
 * fails the whole call (PKCS#11 v2.40, 5.7, C_GetAttributeValue).
 */
export function readAttribute(read: (type: number) => Buffer, type: number): Buffer | undefined {
  try {
    return read(type);
  } catch (error) {
    if (error instanceof HostFailureError && attributeMissing.includes(error.failure.returnValue)) return undefined;
    throw error;
  }
}

/** A key object, from whatever reads its attributes. */
export function describeKey(
  kind: 'private' | 'public',
  handle: Buffer,
  read: (type: number) => Buffer,
): KeyObjectDescription {
  const keyType = readAttribute(read, attributeType.keyType);
  const modulus = readAttribute(read, attributeType.modulus);
  const usable = readAttribute(read, kind === 'private' ? attributeType.sign : attributeType.verify);
  const always = kind === 'private' ? readAttribute(read, attributeType.alwaysAuthenticate) : undefined;
  const start = modulus?.findIndex((byte) => byte !== 0) ?? -1;
  return {
    kind,
    handle: new Uint8Array(handle),
    id: new Uint8Array(readAttribute(read, attributeType.id) ?? []),
    label: trimText(readAttribute(read, attributeType.label)?.toString('utf8') ?? ''),
    ...(keyType === undefined || keyType.length === 0 ? {} : { keyType: readUlong(keyType) }),
    ...(modulus === undefined || start < 0 ? {} : { modulus: new Uint8Array(modulus.subarray(start)) }),
    ...(usable === undefined || usable.length === 0 ? {} : { usable: usable[0] !== 0 }),
    alwaysAuthenticates: (always?.[0] ?? 0) !== 0,
  };
}

/** A certificate object, from whatever reads its attributes. */
export function describeCertificate(der: Buffer, read: (type: number) => Buffer): CertificateObject {
  return {
    der: new Uint8Array(der),
    id: new Uint8Array(readAttribute(read, attributeType.id) ?? []),
    label: trimText(readAttribute(read, attributeType.label)?.toString('utf8') ?? ''),
  };
}

/** Certificates and keys that a session shows, with pkcs11js alone. */
export function readObjects(library: PKCS11, session: Buffer): TokenObjects {
  const certificates = find(library, session, objectClass.certificate).flatMap((handle) => {
    const read = reader(library, session, handle);
    const der = readAttribute(read, attributeType.value);
    return der === undefined || der.length === 0 ? [] : [describeCertificate(der, read)];
  });
  const keys = describeKeys(library, session, 'private');
  // Public keys only help where a private key does not tell its modulus.
  if (keys.every((key) => key.modulus !== undefined)) return { certificates, keys };
  return { certificates, keys: [...keys, ...describeKeys(library, session, 'public')] };
}

function describeKeys(library: PKCS11, session: Buffer, kind: 'private' | 'public'): readonly KeyObjectDescription[] {
  const which = kind === 'private' ? objectClass.privateKey : objectClass.publicKey;
  return find(library, session, which).map((handle) => describeKey(kind, handle, reader(library, session, handle)));
}

function reader(library: PKCS11, session: Buffer, handle: Buffer): (type: number) => Buffer {
  return (type) => {
    const [attribute] = library.C_GetAttributeValue(session, handle, [{ type }]);
    return attribute?.value ?? Buffer.alloc(0);
  };
}

function find(library: PKCS11, session: Buffer, which: number): readonly Buffer[] {
  const atOnce = 64;
  const found: Buffer[] = [];
  library.C_FindObjectsInit(session, [{ type: attributeType.class, value: which }]);
  try {
    for (;;) {
      const handles = library.C_FindObjects(session, atOnce);
      if (handles.length === 0) break;
      found.push(...handles);
    }
  } catch (error) {
    giveUpSearch(library, session);
    throw error;
  }
  library.C_FindObjectsFinal(session);
  return found;
}

function giveUpSearch(library: PKCS11, session: Buffer): void {
  try {
    library.C_FindObjectsFinal(session);
  } catch {
    // What failed first is what is reported.
  }
}
