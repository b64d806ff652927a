/**
 * Runs in the token host only, and only for listing: walks module, slots, tokens and objects with graphene-pk11, in
 * sessions without a PIN.
 */
import type * as Graphene from 'graphene-pk11';
import {
  attributeType,
  describeKey,
  describeLibrary,
  HostFailureError,
  loadBinding,
  objectClass,
  readAttribute,
  readUlong,
} from './host-library.js';
import type { HostFailure, TokenDescription, TokenInventory, TokenObjects } from './host-protocol.js';
import { describeCertificate, type HostModule } from './host-signing.js';

const tokenInitialised = 0x400;
const objectWait = 250;

/** What is on the tokens of a module, as far as it can be seen without a PIN. */
export async function takeInventory(module: HostModule): Promise<TokenInventory> {
  const graphene = loadBinding('graphene-pk11') as typeof Graphene;
  const library = describeLibrary(module.library);
  // graphene walks over the library that records its calls, and that was initialised once.
  const walked = new graphene.Module(module.library);
  const tokens: TokenInventory['tokens'][number][] = [];
  const problems: HostFailure[] = [];
  for (const { id, handle } of module.slots()) {
    let token: TokenDescription | undefined;
    let objects: TokenObjects = { certificates: [], keys: [] };
    try {
      // Read without graphene: it insists on C_GetSlotInfo, which some modules refuse for tokens that work.
      token = module.token(id);
      if ((token.flags & tokenInitialised) !== 0) {
        objects = await readObjects(new graphene.Slot(handle, walked, module.library));
      }
    } catch (error) {
      if (!(error instanceof HostFailureError)) throw error;
      problems.push(error.failure);
    }
    // A token whose objects cannot be read is a token all the same.
    if (token !== undefined) tokens.push({ ...token, ...objects });
  }
  return { library, tokens, problems };
}

async function readObjects(slot: Graphene.Slot): Promise<TokenObjects> {
  const session = slot.open();
  try {
    const objects = walkObjects(session);
    if (objects.certificates.length > 0 || objects.keys.length > 0) return objects;
    // Some tokens show no objects in the first moments after they were opened (native-notes/).
    await new Promise((resolve) => setTimeout(resolve, objectWait));
    return walkObjects(session);
  } finally {
    session.close();
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
    } else if (kind === objectClass.privateKey) keys.push(describeKey('private', object.handle, read));
    else if (kind === objectClass.publicKey) keys.push(describeKey('public', object.handle, read));
  }
  return { certificates, keys };
}
