/**
 * Runs in the token host only, and only for listing: walks module, slots, tokens and objects with graphene-pk11, in
 * sessions without a PIN.
 */
import type * as Graphene from 'graphene-pk11';
import type { PKCS11 } from 'pkcs11js';
import { describeLibrary, HostFailureError, loadBinding, readUlong } from './host-library.js';
import type { HostModule } from './host-module.js';
import {
  attributeType,
  describeCertificate,
  describeKey,
  objectClass,
  readAttribute,
  waitForObjects,
} from './host-objects.js';
import type {
  HostFailure,
  KeyObjectDescription,
  TokenDescription,
  TokenInventory,
  TokenObjects,
} from './host-protocol.js';

const tokenInitialised = 0x400;

/** What is on the tokens of a module, as far as it can be seen without a PIN. */
export async function takeInventory(module: HostModule): Promise<TokenInventory> {
  const graphene = loadBinding('graphene-pk11') as typeof Graphene;
  const library = describeLibrary(module.library);
  // graphene walks over the library that records its calls, and that was initialised once.
  const forgiving = forgiveSlotInfo(module.library);
  const walked = new graphene.Module(forgiving);
  const tokens: TokenInventory['tokens'][number][] = [];
  const problems: HostFailure[] = [];
  for (const { id, handle } of module.slots()) {
    let token: TokenDescription | undefined;
    let objects: TokenObjects = { certificates: [], keys: [] };
    let problem: HostFailure | undefined;
    try {
      token = module.token(id);
      if ((token.flags & tokenInitialised) !== 0) {
        objects = await readObjects(new graphene.Slot(handle, walked, forgiving));
      }
    } catch (error) {
      if (!(error instanceof HostFailureError)) throw error;
      problem = { ...error.failure, slotId: id };
      problems.push(problem);
    }
    // A token whose objects cannot be read is a token all the same.
    if (token !== undefined) tokens.push({ ...token, ...objects, ...(problem === undefined ? {} : { problem }) });
  }
  return { library, tokens, problems };
}

/** graphene insists on C_GetSlotInfo, which some modules refuse for tokens that work; nothing needs what it says. */
function forgiveSlotInfo(library: PKCS11): PKCS11 {
  const version = { major: 0, minor: 0 };
  const unknown = {
    slotDescription: '',
    manufacturerID: '',
    flags: 0,
    hardwareVersion: version,
    firmwareVersion: version,
  };
  const forgiving = Object.create(library) as PKCS11;
  forgiving.C_GetSlotInfo = (slot) => {
    try {
      return library.C_GetSlotInfo(slot);
    } catch {
      return unknown;
    }
  };
  return forgiving;
}

async function readObjects(slot: Graphene.Slot): Promise<TokenObjects> {
  const session = slot.open();
  try {
    const objects = walkObjects(session);
    if (objects.certificates.length > 0 || objects.keys.length > 0) return objects;
    await waitForObjects();
    return walkObjects(session);
  } finally {
    closeQuietly(session);
  }
}

/** What was read is not lost because the session cannot be closed; it ends with the host. */
function closeQuietly(session: Graphene.Session): void {
  try {
    session.close();
  } catch {
    // It is not used any more.
  }
}

function walkObjects(session: Graphene.Session): TokenObjects {
  const certificates: TokenObjects['certificates'][number][] = [];
  const keys: TokenObjects['keys'][number][] = [];
  // Handles first, attributes afterwards: some modules do not read attributes while a search is active.
  const found: Graphene.SessionObject[] = [];
  session.find((object) => {
    found.push(object);
  });
  for (const object of found) {
    const read = (type: number): Buffer => object.getAttribute(type);
    const which = readAttribute(read, attributeType.class);
    const kind = which === undefined ? undefined : readUlong(which);
    if (kind === objectClass.certificate) {
      const der = readAttribute(read, attributeType.value);
      if (der !== undefined && der.length > 0) certificates.push(describeCertificate(der, read));
    } else if (kind === objectClass.privateKey) keys.push(describeKeyWhole('private', object.handle, read));
    else if (kind === objectClass.publicKey) keys.push(describeKeyWhole('public', object.handle, read));
  }
  return { certificates, keys };
}

/** With the exponent, which signing has no use for. */
function describeKeyWhole(
  kind: KeyObjectDescription['kind'],
  handle: Buffer,
  read: (type: number) => Buffer,
): KeyObjectDescription {
  const exponent = readAttribute(read, attributeType.publicExponent);
  const key = describeKey(kind, handle, read);
  return exponent === undefined || exponent.length === 0 ? key : { ...key, publicExponent: new Uint8Array(exponent) };
}
