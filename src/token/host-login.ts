/** Runs in the token host only. The one place where PINs are given to a token. */
import type { PKCS11 } from 'pkcs11js';
import { HostFailureError } from './host-library.js';
import type { HostSlot } from './host-module.js';
import type { PinKind } from './host-protocol.js';

/** CKU_USER and CKU_CONTEXT_SPECIFIC. */
const userType: Readonly<Record<PinKind, number>> = { user: 1, signature: 2 };
const userAlreadyLoggedIn = 0x100;
const userNotLoggedIn = 0x101;

/** Logs in, and changes PINs. After one that failed it gives none to the token any more. */
export class HostLogin {
  readonly #library: PKCS11;
  #failedPin: PinKind | undefined;

  constructor(library: PKCS11) {
    this.#library = library;
  }

  login(slot: HostSlot, session: Buffer, kind: PinKind, pin: string): void {
    const login = (): void => this.#library.C_Login(session, userType[kind], pin);
    this.#use(slot, 'C_Login', kind, login, userAlreadyLoggedIn);
  }

  /**
   * C_SetPIN takes the present PIN itself and needs no login (PKCS#11 v2.40, 5.5): so it is used once, and one that has
   * expired can be changed. A token that insists on the login has not looked at the PIN yet.
   */
  changePin(slot: HostSlot, session: Buffer, pin: string, newPin: string): void {
    const setPin = (): void => this.#library.C_SetPIN(session, pin, newPin);
    if (this.#use(slot, 'C_SetPIN', 'user', setPin, userNotLoggedIn)) return;
    this.login(slot, session, 'user', pin);
    this.#use(slot, 'C_SetPIN', 'user', setPin);
  }

  /**
   * A PIN that failed is not given to the token a second time, whoever asks.
   *
   * @param harmless a return value that means that the PIN was not looked at.
   * @returns whether it was.
   */
  #use(slot: HostSlot, functionName: string, pin: PinKind, call: () => void, harmless?: number): boolean {
    if (this.#failedPin !== undefined) {
      const which = this.#failedPin === 'signature' ? ' with the PIN for signatures' : '';
      const message = `a login${which} failed before`;
      throw new HostFailureError({ kind: 'refused', functionName, message, pin: this.#failedPin });
    }
    try {
      call();
      return true;
    } catch (error) {
      if (!(error instanceof HostFailureError)) throw error;
      if (harmless !== undefined && error.failure.returnValue === harmless) return false;
      // Whatever the return value: some modules report a wrong PIN as a general error.
      this.#failedPin = pin;
      const tokenFlags = pin === 'user' ? this.#readFlags(slot) : undefined;
      throw new HostFailureError({ ...error.failure, pin, ...(tokenFlags === undefined ? {} : { tokenFlags }) });
    }
  }

  #readFlags({ handle }: HostSlot): number | undefined {
    try {
      return this.#library.C_GetTokenInfo(handle).flags;
    } catch {
      // The failure of the login is what is reported.
      return undefined;
    }
  }
}
