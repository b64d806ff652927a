/**
 * The messages between the command and the token host. Only types: nothing of this is loaded when a program runs.
 *
 * The host answers every request once, in the order of the requests. Which function it is in is in its record of calls
 * (call-record.ts).
 */

/** The PIN of the user, or the one that some keys want for each signature. */
export type PinKind = 'user' | 'signature';

/** A failure in the host, reduced to what can be sent. */
export interface HostFailure {
  /**
   * `binding`: pkcs11js or graphene-pk11 cannot be loaded. `library`: the module cannot be loaded. `function`: a
   * PKCS#11 function failed. `refused`: the host did not make the call, because a login failed before. `internal`:
   * an error of the host itself.
   */
  readonly kind: 'binding' | 'library' | 'function' | 'refused' | 'internal';
  readonly message: string;
  readonly functionName?: string;
  /** The CK_RV, when it is known. */
  readonly returnValue?: number;
  /** Which PIN the function was given, or which one failed before. */
  readonly pin?: PinKind;
  /** The flags of CK_TOKEN_INFO, read again after a failed login with the user's PIN: they tell nothing of another. */
  readonly tokenFlags?: number;
  /** The slot that could not be read, where a failure is one of the `problems` of a list. */
  readonly slotId?: number;
}

/** What C_GetInfo says of a module. */
export interface LibraryDescription {
  readonly manufacturer: string;
  readonly description: string;
  /** `major.minor` of the library itself. */
  readonly version: string;
}

/** What C_GetSlotInfo and C_GetTokenInfo say, without padding. */
export interface TokenDescription {
  readonly slotId: number;
  readonly slotDescription: string;
  readonly slotManufacturer: string;
  readonly label: string;
  readonly serialNumber: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly flags: number;
  /** `major.minor` */
  readonly firmware: string;
  /** `major.minor` */
  readonly hardware: string;
  /** How long a PIN of it can be, in bytes, where it tells that. */
  readonly minPinLength?: number;
  readonly maxPinLength?: number;
}

/** A certificate object, with CKA_VALUE as it is. */
export interface CertificateObject {
  readonly der: Uint8Array;
  readonly id: Uint8Array;
  readonly label: string;
}

/** A key object. What the token does not tell is left out. */
export interface KeyObjectDescription {
  readonly kind: 'private' | 'public';
  /** Names the object in later requests to the same host. */
  readonly handle: Uint8Array;
  readonly id: Uint8Array;
  readonly label: string;
  /** CKA_KEY_TYPE: 0 is RSA, 3 is EC. */
  readonly keyType?: number;
  /** CKA_MODULUS without leading zeros. */
  readonly modulus?: Uint8Array;
  /** CKA_PUBLIC_EXPONENT; read for inventories only. */
  readonly publicExponent?: Uint8Array;
  /** CKA_SIGN or CKA_VERIFY. */
  readonly usable?: boolean;
  /** CKA_ALWAYS_AUTHENTICATE. */
  readonly alwaysAuthenticates: boolean;
}

/** The objects of a token that can be seen. */
export interface TokenObjects {
  readonly certificates: readonly CertificateObject[];
  readonly keys: readonly KeyObjectDescription[];
}

/** The tokens of a module. A slot that could not be read is a problem, and does not hide the others. */
export interface TokenList {
  readonly library: LibraryDescription;
  readonly tokens: readonly TokenDescription[];
  readonly problems: readonly HostFailure[];
}

/**
 * The tokens of a module, each with what can be seen on it without a PIN. `problem`: why the objects of a token could
 * not be read; it is one of `problems` too.
 */
export interface TokenInventory {
  readonly library: LibraryDescription;
  readonly tokens: readonly (TokenDescription & TokenObjects & { readonly problem?: HostFailure })[];
  readonly problems: readonly HostFailure[];
}

/** Which module a host is to load. */
export interface ModuleToOpen {
  readonly modulePath: string;
  /** What the module is told when it is initialised, such as where its database is. */
  readonly parameters?: string;
}

/** What the host can be asked for: by kind, what goes in and what comes out. `Secret` is how a PIN is held. */
export interface HostExchange<Secret> {
  /**
   * Loads and initialises the module, and reads slots and tokens. `anew`: a module that is initialised already is
   * finalised and initialised again before, because some notice a token in no other way.
   */
  readonly tokens: {
    readonly ask: ModuleToOpen & { readonly anew?: boolean };
    readonly answer: TokenList;
  };
  /** The same, and the objects that need no PIN. */
  readonly inventory: { readonly ask: ModuleToOpen; readonly answer: TokenInventory };
  /** Reads one token again, for the state of its PIN. */
  readonly token: { readonly ask: { readonly slotId: number }; readonly answer: TokenDescription };
  /** Opens a session, logs in, and reads the objects, and the token as it is after the login. */
  readonly unlock: {
    /** Without a PIN no login is done; an empty PIN lets the reader ask for it. */
    readonly ask: { readonly slotId: number; readonly pin?: Secret };
    readonly answer: TokenObjects & { readonly token: TokenDescription };
  };
  /** Signs many inputs with one key of the token that was unlocked. */
  readonly sign: {
    readonly ask: {
      readonly key: Uint8Array;
      /** CKM number of each input. */
      readonly mechanisms: readonly number[];
      readonly inputs: readonly Uint8Array[];
      /** How long a signature can be, in bytes. */
      readonly signatureLength: number;
      /** How many sessions sign at the same time. */
      readonly sessions: number;
      /** For a key that wants a login before each signature. */
      readonly signaturePin?: Secret;
    };
    readonly answer: { readonly signatures: readonly Uint8Array[] };
  };
  /**
   * Changes the user's PIN; the answer is the token as it is afterwards, where it can be read. Two empty PINs let the
   * reader ask for both.
   */
  readonly changePin: {
    readonly ask: { readonly slotId: number; readonly pin: Secret; readonly newPin: Secret };
    readonly answer: { readonly token?: TokenDescription };
  };
  /** Closes the sessions and finalises the module. */
  readonly close: { readonly ask: object; readonly answer: object };
}

export type HostRequestKind = keyof HostExchange<unknown>;

/** A request as it is sent. */
export type HostRequest = {
  [Kind in HostRequestKind]: { readonly id: number; readonly kind: Kind } & HostExchange<string>[Kind]['ask'];
}[HostRequestKind];

/** The answer to a request. */
export type HostReply =
  | { readonly id: number; readonly answer: HostExchange<string>[HostRequestKind]['answer'] }
  | { readonly id: number; readonly failure: HostFailure };
