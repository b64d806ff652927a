/**
 * Runs in the token host only. The signing path: tokens, login, keys, signatures, with pkcs11js alone. graphene would
 * add 25 ms to a command that signs one file, and has no promise form that holds its buffers.
 */
import type { PKCS11 } from 'pkcs11js';
import { recordCall } from './call-record.js';
import {
  attributeType,
  describeKey,
  describeLibrary,
  describeToken,
  HostFailureError,
  objectClass,
  loadLibrary,
  readAttribute,
  readUlong,
  signShare,
  trimText,
} from './host-library.js';
import type { SigningThread } from './host-threads.js';
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
/** A token that signs faster than this, in milliseconds, is called directly; see `signOne`. */
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

  readonly #path: string;
  readonly #threads: SigningThread[] = [];

  constructor(path: string) {
    this.#path = path;
    this.library = loadLibrary(path, 0);
    const osLockingOk = 2;
    this.library.C_Initialize({ flags: osLockingOk });
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

  async unlock({
    slotId,
    pin,
  }: HostExchange<string>['unlock']['ask']): Promise<HostExchange<string>['unlock']['answer']> {
    const slot = this.#findSlot(slotId);
    const session = this.library.C_OpenSession(slot.handle, serialSession);
    this.#slot = slot;
    this.#sessions = [session];
    if (pin !== undefined) this.#login(session, user.normal, pin);
    let objects = this.#readObjects(session);
    if (objects.certificates.length === 0 && objects.keys.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, objectWait));
      objects = this.#readObjects(session);
    }
    return { ...objects, token: this.token(slotId) };
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

  /** Signs the inputs in their order: on this thread, and in a large batch on one more for each further session. */
  async sign(request: SignRequest): Promise<{ readonly signatures: readonly Uint8Array[] }> {
    const threads = await this.#startThreads(request);
    const sessions = this.#openSessions(threads.length + 1);
    const next = new SharedArrayBuffer(4);
    const shares = sessions.map((session, thread) => ({ ...request, thread, session, next }));
    const [own] = shares;
    if (own === undefined) throw new HostFailureError({ kind: 'internal', message: 'no token was unlocked before' });
    const pin = request.signaturePin;
    const authenticate = pin === undefined ? undefined : () => this.#login(own.session, user.contextSpecific, pin);
    recordCall(0, '');
    // The others are told first: this thread does not come back to it while it signs.
    const others = shares.slice(1).map((share, index) => threads[index]?.sign(share));
    const mine = signShare(this.library, own, (...values) => this.#signOne(...values), authenticate);
    // All end before anything is said, also when one fails: a session must not be replaced while it is used.
    const parts = await Promise.allSettled([mine, ...others]);
    const signatures: Uint8Array[] = [];
    for (const part of parts) {
      if (part.status === 'rejected') {
        this.#replaceSessions();
        throw part.reason as Error;
      }
      for (const [index, signature] of part.value ?? []) signatures[index] = signature;
    }
    return { signatures };
  }

  /**
   * C_Sign directly is fastest. The first signature, and all of a token that is slow, are made on a thread of libuv, so
   * that the host still notices when its command is gone while a token waits for a touch.
   */
  #signOne(session: Buffer, input: Buffer, output: Buffer): Buffer | Promise<Buffer> {
    if (this.#slow) return this.#signAside(session, input, output);
    const started = performance.now();
    const signature = this.library.C_Sign(session, input, output);
    this.#slow = performance.now() - started > slowSignature;
    return signature;
  }

  async #signAside(session: Buffer, input: Buffer, output: Buffer): Promise<Buffer> {
    const started = performance.now();
    // Held here until the thread is done: pkcs11js does not hold what it signs.
    const held = [input, output];
    try {
      return await this.library.C_SignAsync(session, input, output);
    } finally {
      held.length = 0;
      this.#slow = performance.now() - started > slowSignature;
    }
  }

  /** The threads that can help with this batch. They take a while to start, and nothing waits for them. */
  async #startThreads({ sessions, inputs, signaturePin }: SignRequest): Promise<readonly SigningThread[]> {
    if (sessions < 2 || inputs.length < 2 || signaturePin !== undefined) return [];
    const { SigningThread } = await import('./host-threads.js');
    while (this.#threads.length < sessions - 1) {
      this.#threads.push(new SigningThread(this.#path, this.#threads.length + 1));
    }
    return this.#threads.filter(({ ready }) => ready).slice(0, Math.min(sessions, inputs.length) - 1);
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

  /**
   * After a failure the operation may still be active in a session, whatever PKCS#11 says. The last session is closed
   * only when another is open, because the login ends with it. A token that has no more sessions keeps it: a C_SignInit
   * or C_Sign that failed leaves no operation active (PKCS#11 v2.40, 5.11).
   */
  #replaceSessions(): void {
    const [kept, ...others] = this.#sessions;
    if (kept === undefined || this.#slot === undefined) return;
    this.#sessions = [kept];
    for (const session of others) this.#closeSession(session);
    try {
      this.#sessions = [this.library.C_OpenSession(this.#slot.handle, serialSession)];
    } catch {
      // The failure that led here is what is reported; a token that is gone fails again at the next request.
      return;
    }
    this.#closeSession(kept);
  }

  #closeSession(session: Buffer): void {
    try {
      this.library.C_CloseSession(session);
    } catch {
      // It is not used any more.
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
