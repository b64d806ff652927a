/**
 * Runs in the token host only. The signing path: tokens, login, keys, signatures, with pkcs11js alone. graphene would
 * add 25 ms to a command that signs one file, and has no promise form that holds its buffers.
 */
import type { PKCS11 } from 'pkcs11js';
import {
  attributeType,
  describeKey,
  describeLibrary,
  describeToken,
  HostFailureError,
  objectClass,
  openLibrary,
  readAttribute,
  readUlong,
  trimText,
  type Announce,
} from './host-library.js';
import type {
  CertificateObject,
  HostExchange,
  HostFailure,
  KeyObjectDescription,
  TokenDescription,
  TokenList,
  TokenObjects,
} from './host-protocol.js';

const serialSession = 4;
const user = { normal: 1, contextSpecific: 2 } as const;
/** Some tokens show no objects in the first moments after they were opened (native-notes/). */
const objectWait = 250;
/** A token that signs faster than this, in milliseconds, is called directly; see {@link HostModule.sign}. */
const slowSignature = 20;
const userAlreadyLoggedIn = 0x100;

type SignRequest = HostExchange<string>['sign']['ask'];

interface Slot {
  readonly id: number;
  readonly handle: Buffer;
}

/** One module, loaded and initialised; at most one token of it is unlocked. */
export class HostModule {
  readonly library: PKCS11;
  #slots: readonly Slot[] = [];
  /** All of the token that was unlocked, with one login between them. */
  #sessions: Buffer[] = [];
  #slot: Slot | undefined;
  #slow = true;
  #loginFailed = false;

  constructor(path: string, announce: Announce) {
    this.library = openLibrary(path, announce);
  }

  /** The slots with a token in them; read anew each time, because that is how modules notice a token. */
  slots(): readonly Slot[] {
    const handles = this.library.C_GetSlotList(true);
    this.#slots = handles.map((handle) => ({ id: readUlong(handle), handle }));
    return this.#slots;
  }

  tokens(): TokenList {
    const library = describeLibrary(this.library);
    const problems: HostFailure[] = [];
    const tokens: TokenDescription[] = [];
    for (const slot of this.slots()) {
      try {
        tokens.push(this.token(slot.id));
      } catch (error) {
        if (!(error instanceof HostFailureError)) throw error;
        problems.push(error.failure);
      }
    }
    return { library, tokens, problems };
  }

  token(slotId: number): TokenDescription {
    const { handle } = this.#findSlot(slotId);
    const token = this.library.C_GetTokenInfo(handle);
    return describeToken(slotId, this.#readSlot(handle), token);
  }

  /** Some modules fail here for tokens that work (OpenSC and eToken 5110+), and nothing needs what it says. */
  #readSlot(handle: Buffer): { readonly slotDescription: string; readonly manufacturerID: string } | undefined {
    try {
      return this.library.C_GetSlotInfo(handle);
    } catch {
      return undefined;
    }
  }

  #findSlot(slotId: number): Slot {
    const slot = this.#slots.find(({ id }) => id === slotId);
    if (slot !== undefined) return slot;
    throw new HostFailureError({ kind: 'internal', message: `slot ${slotId} was not listed before` });
  }

  async unlock({ slotId, pin }: HostExchange<string>['unlock']['ask']): Promise<TokenObjects> {
    const slot = this.#findSlot(slotId);
    const session = this.library.C_OpenSession(slot.handle, serialSession);
    this.#slot = slot;
    this.#sessions = [session];
    if (pin !== undefined) this.#login(session, user.normal, pin);
    const objects = this.#readObjects(session);
    if (objects.certificates.length > 0 || objects.keys.length > 0) return objects;
    await new Promise((resolve) => setTimeout(resolve, objectWait));
    return this.#readObjects(session);
  }

  /** A PIN that failed is not given to the token a second time, whoever asks. */
  #login(session: Buffer, who: number, pin: string): void {
    const functionName = 'C_Login';
    if (this.#loginFailed) {
      throw new HostFailureError({ kind: 'refused', functionName, message: 'a login failed before' });
    }
    try {
      this.library.C_Login(session, who, pin);
    } catch (error) {
      if (!(error instanceof HostFailureError)) throw error;
      if (error.failure.returnValue === userAlreadyLoggedIn) return;
      // Whatever the return value: some modules report a wrong PIN as a general error.
      this.#loginFailed = true;
      const tokenFlags = this.#readTokenFlags();
      throw new HostFailureError({ ...error.failure, ...(tokenFlags === undefined ? {} : { tokenFlags }) });
    }
  }

  #readTokenFlags(): number | undefined {
    try {
      return this.#slot === undefined ? undefined : this.library.C_GetTokenInfo(this.#slot.handle).flags;
    } catch {
      // The failure of the login is what is reported.
      return undefined;
    }
  }

  #readObjects(session: Buffer): TokenObjects {
    const certificates = this.#find(session, objectClass.certificate).flatMap((handle) => {
      const read = this.#reader(session, handle);
      const der = readAttribute(read, attributeType.value);
      return der === undefined || der.length === 0 ? [] : [describeCertificate(der, read)];
    });
    const keys = this.#describeKeys(session, 'private', objectClass.privateKey);
    // Public keys only help where a private key does not tell its modulus.
    if (keys.every((key) => key.modulus !== undefined)) return { certificates, keys };
    return { certificates, keys: [...keys, ...this.#describeKeys(session, 'public', objectClass.publicKey)] };
  }

  #describeKeys(session: Buffer, kind: 'private' | 'public', which: number): readonly KeyObjectDescription[] {
    return this.#find(session, which).map((handle) => describeKey(kind, handle, this.#reader(session, handle)));
  }

  #reader(session: Buffer, handle: Buffer): (type: number) => Buffer {
    return (type) => {
      const [attribute] = this.library.C_GetAttributeValue(session, handle, [{ type }]);
      return attribute?.value ?? Buffer.alloc(0);
    };
  }

  #find(session: Buffer, which: number): readonly Buffer[] {
    const atOnce = 64;
    const found: Buffer[] = [];
    this.library.C_FindObjectsInit(session, [{ type: attributeType.class, value: which }]);
    try {
      for (;;) {
        const handles = this.library.C_FindObjects(session, atOnce);
        found.push(...handles);
        if (handles.length === 0) return found;
      }
    } finally {
      this.library.C_FindObjectsFinal(session);
    }
  }

  /**
   * Signs the inputs in their order. One session calls C_Sign directly, which is fastest; with more, all but the first
   * sign on threads of libuv while this thread signs too. The first signatures, and all of a token that is slow, are
   * made on a thread even with one session, so that the host still notices when its command is gone.
   */
  async sign(request: SignRequest): Promise<{ readonly signatures: readonly Uint8Array[] }> {
    const sessions = this.#openSessions(request.sessions);
    const signatures: Uint8Array[] = [];
    try {
      for (let first = 0; first < request.inputs.length; first += sessions.length) {
        const count = Math.min(sessions.length, request.inputs.length - first);
        signatures.push(...(await this.#signTogether(request, first, sessions.slice(0, count))));
      }
    } catch (error) {
      this.#replaceSessions();
      throw error;
    }
    return { signatures };
  }

  /** One signature on each session at the same time. It ends only when all of them have ended, also when one fails. */
  async #signTogether(request: SignRequest, first: number, sessions: readonly Buffer[]): Promise<Uint8Array[]> {
    const started = performance.now();
    const pending: Promise<Buffer>[] = [];
    // What is being signed is held here until its thread is done: pkcs11js does not hold it.
    const held: Buffer[] = [];
    let direct: Buffer | undefined;
    let failure: unknown;
    try {
      for (const [index, session] of [...sessions.entries()].reverse()) {
        const input = asBuffer(request.inputs[first + index] ?? new Uint8Array());
        const output = Buffer.alloc(request.signatureLength);
        this.#startSignature(session, request, first + index);
        held.push(input, output);
        if (index > 0 || this.#slow) pending.unshift(this.library.C_SignAsync(session, input, output));
        else direct = this.library.C_Sign(session, input, output);
      }
    } catch (error) {
      failure = error;
    }
    const settled = await Promise.allSettled(pending);
    held.length = 0;
    this.#slow = performance.now() - started > slowSignature;
    if (failure !== undefined) throw failure as Error;
    const signatures = settled.map((one) => {
      if (one.status === 'rejected') throw one.reason as Error;
      return one.value;
    });
    // Plain bytes: a Buffer would arrive as a Buffer.
    return (direct === undefined ? signatures : [direct, ...signatures]).map((bytes) => new Uint8Array(bytes));
  }

  #startSignature(session: Buffer, request: SignRequest, index: number): void {
    const mechanism = { mechanism: request.mechanisms[index] ?? 0 };
    this.library.C_SignInit(session, mechanism, asBuffer(request.key));
    // PKCS#11 v2.40, 4.9 (CKA_ALWAYS_AUTHENTICATE): between C_SignInit and C_Sign, on the same session.
    if (request.signaturePin !== undefined) this.#login(session, user.contextSpecific, request.signaturePin);
  }

  /** As many sessions as wanted, or as many as the token has: the rest is done without. */
  #openSessions(wanted: number): readonly Buffer[] {
    while (this.#sessions.length < wanted && this.#slot !== undefined) {
      try {
        this.#sessions.push(this.library.C_OpenSession(this.#slot.handle, serialSession));
      } catch (error) {
        if (this.#sessions.length === 0) throw error;
        break;
      }
    }
    return this.#sessions.slice(0, wanted);
  }

  /** After a failure the operation may still be active in a session; the new one is opened first to stay logged in. */
  #replaceSessions(): void {
    const old = this.#sessions;
    this.#sessions = [];
    try {
      this.#openSessions(1);
      for (const session of old) this.library.C_CloseSession(session);
    } catch {
      // The failure that led here is what is reported; a token that is gone fails again at the next request.
    }
  }

  /** Logs out by closing the sessions, and finalises. Nothing may be outstanding. */
  close(): void {
    try {
      if (this.#slot !== undefined) this.library.C_CloseAllSessions(this.#slot.handle);
    } finally {
      this.library.C_Finalize();
    }
  }
}

/** A certificate object, from whatever reads its attributes. */
export function describeCertificate(der: Buffer, read: (type: number) => Buffer): CertificateObject {
  return {
    der: new Uint8Array(der),
    id: new Uint8Array(readAttribute(read, attributeType.id) ?? []),
    label: trimText(readAttribute(read, attributeType.label)?.toString('utf8') ?? ''),
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
