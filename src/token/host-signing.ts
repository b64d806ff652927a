/**
 * Runs in the token host only. The signing path: login, keys, signatures, with pkcs11js alone. graphene would add 25 ms
 * to a command that signs one file, and has no promise form that holds its buffers.
 */
import type { PKCS11 } from 'pkcs11js';
import { recordCall } from './call-record.js';
import { HostFailureError, signShare } from './host-library.js';
import { HostLogin } from './host-login.js';
import type { HostModule, HostSlot } from './host-module.js';
import { readObjects, waitForObjects } from './host-objects.js';
import type { HostExchange } from './host-protocol.js';
import type { SigningThread } from './host-threads.js';

const serialSession = 4;
const readWriteSession = 2;
/** A token that signs faster than this, in milliseconds, is called directly; see `signOne`. */
const slowSignature = 20;

type Exchange = HostExchange<string>;

/** The token of a module that is unlocked; at most one is. */
export class HostSigning {
  readonly #module: HostModule;
  readonly #library: PKCS11;
  readonly #login: HostLogin;
  readonly #threads: SigningThread[] = [];
  /** All of the token that was unlocked, with one login between them. */
  #sessions: Buffer[] = [];
  #slot: HostSlot | undefined;
  #slow = true;

  constructor(module: HostModule) {
    this.#module = module;
    this.#library = module.library;
    this.#login = new HostLogin(module.library);
  }

  async unlock({ slotId, pin }: Exchange['unlock']['ask']): Promise<Exchange['unlock']['answer']> {
    const { slot, session } = this.#open(slotId, serialSession);
    if (pin !== undefined) this.#login.login(slot, session, 'user', pin);
    let objects = readObjects(this.#library, session);
    if (objects.keys.length === 0 || objects.certificates.length === 0) {
      await waitForObjects();
      objects = readObjects(this.#library, session);
    }
    return { ...objects, token: this.#module.token(slotId) };
  }

  changePin({ slotId, pin, newPin }: Exchange['changePin']['ask']): Exchange['changePin']['answer'] {
    const { slot, session } = this.#open(slotId, serialSession | readWriteSession);
    this.#login.changePin(slot, session, pin, newPin);
    try {
      return { token: this.#module.token(slotId) };
    } catch {
      // The PIN was changed, whatever happens now.
      return {};
    }
  }

  #open(slotId: number, flags: number): { readonly slot: HostSlot; readonly session: Buffer } {
    const slot = this.#module.findSlot(slotId);
    const session = this.#library.C_OpenSession(slot.handle, flags);
    this.#slot = slot;
    this.#sessions = [session];
    return { slot, session };
  }

  /** Signs the inputs in their order: on this thread, and in a large batch on one more for each further session. */
  async sign(request: Exchange['sign']['ask']): Promise<{ readonly signatures: readonly Uint8Array[] }> {
    const threads = await this.#startThreads(request);
    const sessions = this.#openSessions(threads.length + 1);
    const next = new SharedArrayBuffer(4);
    const shares = sessions.map((session, thread) => ({ ...request, thread, session, next }));
    const [own] = shares;
    if (own === undefined) throw new HostFailureError({ kind: 'internal', message: 'no token was unlocked before' });
    const authenticate = this.#authentication(own.session, request.signaturePin);
    recordCall(0, '');
    // The others are told first: this thread does not come back to it while it signs.
    const others = shares.slice(1).map((share, index) => threads[index]?.sign(share));
    const mine = signShare(this.#library, own, (...values) => this.#signOne(...values), authenticate);
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

  /** How a key that wants a login before each signature gets it. */
  #authentication(session: Buffer, pin: string | undefined): (() => void) | undefined {
    const slot = this.#slot;
    if (pin === undefined || slot === undefined) return undefined;
    return () => this.#login.login(slot, session, 'signature', pin);
  }

  /**
   * C_Sign directly is fastest. The first signature, and all of a token that is slow, are made on a thread of libuv, so
   * that the host still notices when its command is gone while a token waits for a touch.
   */
  #signOne(session: Buffer, input: Buffer, output: Buffer): Buffer | Promise<Buffer> {
    if (this.#slow) return this.#signAside(session, input, output);
    const started = performance.now();
    const signature = this.#library.C_Sign(session, input, output);
    this.#slow = performance.now() - started > slowSignature;
    return signature;
  }

  async #signAside(session: Buffer, input: Buffer, output: Buffer): Promise<Buffer> {
    const started = performance.now();
    // Held here until the thread is done: pkcs11js does not hold what it signs.
    const held = [input, output];
    try {
      return await this.#library.C_SignAsync(session, input, output);
    } finally {
      held.length = 0;
      this.#slow = performance.now() - started > slowSignature;
    }
  }

  /** The threads that can help with this batch. They take a while to start, and nothing waits for them. */
  async #startThreads({ sessions, inputs, signaturePin }: Exchange['sign']['ask']): Promise<readonly SigningThread[]> {
    if (sessions < 2 || inputs.length < 2 || signaturePin !== undefined) return [];
    const { SigningThread } = await import('./host-threads.js');
    while (this.#threads.length < sessions - 1) {
      this.#threads.push(new SigningThread(this.#module.path, this.#threads.length + 1));
    }
    return this.#threads.filter(({ ready }) => ready).slice(0, Math.min(sessions, inputs.length) - 1);
  }

  /** As many sessions as wanted, or as many as the token has: the rest is done without. */
  #openSessions(wanted: number): readonly Buffer[] {
    while (this.#sessions.length < wanted && this.#slot !== undefined) {
      try {
        this.#sessions.push(this.#library.C_OpenSession(this.#slot.handle, serialSession));
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
      this.#sessions = [this.#library.C_OpenSession(this.#slot.handle, serialSession)];
    } catch {
      // The failure that led here is what is reported; a token that is gone fails again at the next request.
      return;
    }
    this.#closeSession(kept);
  }

  #closeSession(session: Buffer): void {
    try {
      this.#library.C_CloseSession(session);
    } catch {
      // It is not used any more.
    }
  }

  /** Logs out by closing the sessions, and finalises. Nothing may be outstanding. */
  close(): void {
    try {
      if (this.#slot !== undefined) this.#library.C_CloseAllSessions(this.#slot.handle);
    } finally {
      this.#module.close();
    }
  }
}
