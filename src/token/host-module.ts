/** Runs in the token host only. One module: how it is loaded, and the slots and tokens that it shows. */
import type { PKCS11 } from 'pkcs11js';
import { describeLibrary, describeToken, HostFailureError, loadLibrary, readUlong } from './host-library.js';
import type { HostFailure, TokenDescription, TokenList } from './host-protocol.js';

const bufferTooSmall = 0x150;
const osLockingOk = 2;

/** A slot, by its number and as pkcs11js wants it. */
export interface HostSlot {
  readonly id: number;
  readonly handle: Buffer;
}

/** One module, loaded and initialised. */
export class HostModule {
  readonly path: string;
  readonly library: PKCS11;
  #slots: readonly HostSlot[] = [];
  readonly #initialisation: { readonly flags: number; readonly libraryParameters?: string };

  constructor(path: string, parameters?: string) {
    this.path = path;
    // pkcs11js cuts the last character off, so that one more is given.
    this.#initialisation = {
      flags: osLockingOk,
      ...(parameters === undefined ? {} : { libraryParameters: `${parameters} ` }),
    };
    this.library = loadLibrary(path, 0);
    this.library.C_Initialize(this.#initialisation);
  }

  /** Finalises and initialises: the only way in which some modules notice tokens that come and go (OpenSC 629). */
  initializeAnew(): void {
    this.library.C_Finalize();
    this.library.C_Initialize(this.#initialisation);
  }

  /** The slots with a token in them; read anew each time, because that is how modules notice a token. */
  slots(): readonly HostSlot[] {
    const handles = this.#listSlots();
    this.#slots = handles.map((handle) => ({ id: readUlong(handle), handle }));
    return this.#slots;
  }

  /** pkcs11js asks for the length first; a token that was plugged in after that makes the list too long for it. */
  #listSlots(): readonly Buffer[] {
    try {
      return this.library.C_GetSlotList(true);
    } catch (error) {
      if (!(error instanceof HostFailureError) || error.failure.returnValue !== bufferTooSmall) throw error;
      return this.library.C_GetSlotList(true);
    }
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
        problems.push({ ...error.failure, slotId: slot.id });
      }
    }
    return { library, tokens, problems };
  }

  token(slotId: number): TokenDescription {
    const { handle } = this.findSlot(slotId);
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

  /** A slot that was listed before. */
  findSlot(slotId: number): HostSlot {
    const slot = this.#slots.find(({ id }) => id === slotId);
    if (slot !== undefined) return slot;
    throw new HostFailureError({ kind: 'internal', message: `slot ${slotId} was not listed before` });
  }

  close(): void {
    this.library.C_Finalize();
  }
}
