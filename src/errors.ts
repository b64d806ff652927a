/**
 * Every error this library throws on purpose. Four meanings are kept apart: bytes that are malformed, a proof that is
 * wrong, a plan that is refused, and a device that failed. A fifth says that the caller's input does not fit.
 */

/** What an error may say besides its message. */
export interface ErrorDetails {
  /** What the reader can do about it, as one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** The base of all errors thrown by etoken-bridge. `code` is stable; `hint` says what to do. */
export abstract class EtokenBridgeError extends Error {
  abstract readonly code: string;
  readonly hint: string | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.hint = details.hint;
  }
}

/** What can be wrong with bytes. */
export type FormatErrorCode =
  | 'truncated'
  | 'bad-length'
  | 'bad-value'
  | 'missing-element'
  | 'duplicate-element'
  | 'unknown-element'
  | 'misplaced-element'
  | 'trailing-bytes'
  | 'too-large'
  | 'bad-certificate'
  | 'bad-key'
  | 'bad-password'
  | 'bad-text'
  | 'bad-filler'
  | 'encrypted'
  | 'not-encrypted';

/** Where malformed bytes are: an offset in bytes from the start of the input, and the element's name if known. */
export interface FormatErrorPlace {
  readonly offset: number;
  readonly element?: string;
}

/** Bytes that do not follow their format. */
export class FormatError extends EtokenBridgeError {
  readonly code: FormatErrorCode;
  /** Bytes from the start of the input. */
  readonly offset: number;
  /** The name of the element that is wrong, if it has one. */
  readonly element: string | undefined;

  constructor(code: FormatErrorCode, message: string, place: FormatErrorPlace, details?: ErrorDetails) {
    const at = place.element === undefined ? '' : `${place.element} `;
    super(`${at}at byte ${String(place.offset)}: ${message}`, details);
    this.code = code;
    this.offset = place.offset;
    this.element = place.element;
  }
}

/** What can be wrong with a proof. */
export type ProofErrorCode =
  | 'no-signing-record'
  | 'signature-mismatch'
  | 'key-mismatch'
  | 'digest-mismatch'
  | 'unsupported-key'
  | 'unsupported-digest';

/** A signature, key or certificate that does not prove what it should. */
export class ProofError extends EtokenBridgeError {
  readonly code: ProofErrorCode;

  constructor(code: ProofErrorCode, message: string, details?: ErrorDetails) {
    super(message, details);
    this.code = code;
  }
}

/**
 * A plan that is unsafe or impossible. `code` is the number of the check in phone-rules.md, or a word where the rules
 * have no number for it.
 */
export type RefusalCode =
  | 'A1'
  | 'A2'
  | 'A3'
  | 'A4'
  | 'A5'
  | 'A6'
  | 'A7'
  | 'A8'
  | 'A9'
  | 'A10'
  | 'A11'
  | 'A12'
  | 'A13'
  | 'A14'
  | 'too-large'
  | 'wrong-mode'
  | 'last-token'
  | 'signing-token'
  | 'no-such-token'
  | 'ambiguous-serial'
  | 'already-present'
  | 'final-pin-try'
  | 'other-state'
  | 'other-plan'
  | 'not-undoable'
  | 'unsafe-output'
  | 'unsafe-input';

/** An operation that was refused because it could lock phones out, or because it does not fit the list it starts from. */
export class RefusalError extends EtokenBridgeError {
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string, details?: ErrorDetails) {
    super(message, details);
    this.code = code;
  }
}

/** What can be wrong with a token, its module or its host. */
export type DeviceErrorCode =
  | 'module-missing'
  | 'module-not-a-library'
  | 'module-wrong-architecture'
  | 'module-failed'
  | 'binding-missing'
  | 'no-token'
  | 'several-tokens'
  | 'token-not-found'
  | 'token-removed'
  | 'pin-missing'
  | 'pin-incorrect'
  | 'pin-final-try'
  | 'pin-locked'
  | 'new-pin-refused'
  | 'mechanism-refused'
  | 'key-not-found'
  | 'several-keys'
  | 'certificate-not-found'
  | 'timeout'
  | 'host-crashed'
  | 'install-failed'
  | 'function-failed';

/** Which PKCS#11 call failed, and how. */
export interface DeviceErrorPlace {
  /** The PKCS#11 function, e.g. `C_Login`. */
  readonly functionName?: string;
  /** The name of the return value, e.g. `CKR_PIN_INCORRECT`. */
  readonly returnValue?: string;
}

/** A token, its library or the process that holds it failed. */
export class DeviceError extends EtokenBridgeError {
  readonly code: DeviceErrorCode;
  /** The message without the function and the return value at its end. */
  readonly words: string;
  readonly functionName: string | undefined;
  readonly returnValue: string | undefined;

  constructor(code: DeviceErrorCode, message: string, place: DeviceErrorPlace = {}, details?: ErrorDetails) {
    const call = [place.functionName, place.returnValue].filter((word) => word !== undefined).join(': ');
    super(call === '' ? message : `${message} (${call})`, details);
    this.code = code;
    this.words = message;
    this.functionName = place.functionName;
    this.returnValue = place.returnValue;
  }
}

/** What can be wrong with what a caller or user passed in. */
export type InputErrorCode =
  | 'usage'
  | 'bad-uri'
  | 'file-missing'
  | 'file-unreadable'
  | 'file-unwritable'
  | 'file-exists'
  | 'already-signed'
  | 'private-key'
  | 'wrong-key'
  | 'cluster-file'
  | 'plan-file'
  | 'journal'
  | 'missing-option';

/** An argument, option, file or configuration that cannot be used as it is. */
export class InputError extends EtokenBridgeError {
  readonly code: InputErrorCode;

  constructor(code: InputErrorCode, message: string, details?: ErrorDetails) {
    super(message, details);
    this.code = code;
  }
}

/** What can be wrong with another program on the network. */
export type NetworkErrorCode =
  | 'unreachable'
  | 'timeout'
  | 'not-accepted'
  | 'malformed'
  | 'not-as-expected'
  | 'cannot-listen'
  | 'file-not-found'
  | 'access-denied'
  | 'too-large'
  | 'tftp-error'
  | 'sftp-error'
  | 'cut-off'
  | 'login-refused'
  | 'host-key-unknown'
  | 'host-key-changed'
  | 'host-key-revoked';

/** A server that cannot be reached, is not the one that is trusted, or does not answer as its protocol says. */
export class NetworkError extends EtokenBridgeError {
  readonly code: NetworkErrorCode;

  constructor(code: NetworkErrorCode, message: string, details?: ErrorDetails) {
    super(message, details);
    this.code = code;
  }
}
