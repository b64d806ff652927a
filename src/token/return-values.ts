import type { DeviceErrorCode } from '../errors.js';
import type { PinKind } from './host-protocol.js';

/** The names of PKCS#11's return values (PKCS#11 v2.40, pkcs11t.h). */
const returnValueNames: Readonly<Partial<Record<number, string>>> = {
  0x0: 'CKR_OK',
  0x1: 'CKR_CANCEL',
  0x2: 'CKR_HOST_MEMORY',
  0x3: 'CKR_SLOT_ID_INVALID',
  0x5: 'CKR_GENERAL_ERROR',
  0x6: 'CKR_FUNCTION_FAILED',
  0x7: 'CKR_ARGUMENTS_BAD',
  0x8: 'CKR_NO_EVENT',
  0x9: 'CKR_NEED_TO_CREATE_THREADS',
  0xa: 'CKR_CANT_LOCK',
  0x10: 'CKR_ATTRIBUTE_READ_ONLY',
  0x11: 'CKR_ATTRIBUTE_SENSITIVE',
  0x12: 'CKR_ATTRIBUTE_TYPE_INVALID',
  0x13: 'CKR_ATTRIBUTE_VALUE_INVALID',
  0x1b: 'CKR_ACTION_PROHIBITED',
  0x20: 'CKR_DATA_INVALID',
  0x21: 'CKR_DATA_LEN_RANGE',
  0x30: 'CKR_DEVICE_ERROR',
  0x31: 'CKR_DEVICE_MEMORY',
  0x32: 'CKR_DEVICE_REMOVED',
  0x40: 'CKR_ENCRYPTED_DATA_INVALID',
  0x41: 'CKR_ENCRYPTED_DATA_LEN_RANGE',
  0x50: 'CKR_FUNCTION_CANCELED',
  0x51: 'CKR_FUNCTION_NOT_PARALLEL',
  0x54: 'CKR_FUNCTION_NOT_SUPPORTED',
  0x60: 'CKR_KEY_HANDLE_INVALID',
  0x62: 'CKR_KEY_SIZE_RANGE',
  0x63: 'CKR_KEY_TYPE_INCONSISTENT',
  0x64: 'CKR_KEY_NOT_NEEDED',
  0x65: 'CKR_KEY_CHANGED',
  0x66: 'CKR_KEY_NEEDED',
  0x67: 'CKR_KEY_INDIGESTIBLE',
  0x68: 'CKR_KEY_FUNCTION_NOT_PERMITTED',
  0x69: 'CKR_KEY_NOT_WRAPPABLE',
  0x6a: 'CKR_KEY_UNEXTRACTABLE',
  0x70: 'CKR_MECHANISM_INVALID',
  0x71: 'CKR_MECHANISM_PARAM_INVALID',
  0x82: 'CKR_OBJECT_HANDLE_INVALID',
  0x90: 'CKR_OPERATION_ACTIVE',
  0x91: 'CKR_OPERATION_NOT_INITIALIZED',
  0xa0: 'CKR_PIN_INCORRECT',
  0xa1: 'CKR_PIN_INVALID',
  0xa2: 'CKR_PIN_LEN_RANGE',
  0xa3: 'CKR_PIN_EXPIRED',
  0xa4: 'CKR_PIN_LOCKED',
  0xb0: 'CKR_SESSION_CLOSED',
  0xb1: 'CKR_SESSION_COUNT',
  0xb3: 'CKR_SESSION_HANDLE_INVALID',
  0xb4: 'CKR_SESSION_PARALLEL_NOT_SUPPORTED',
  0xb5: 'CKR_SESSION_READ_ONLY',
  0xb6: 'CKR_SESSION_EXISTS',
  0xb7: 'CKR_SESSION_READ_ONLY_EXISTS',
  0xb8: 'CKR_SESSION_READ_WRITE_SO_EXISTS',
  0xc0: 'CKR_SIGNATURE_INVALID',
  0xc1: 'CKR_SIGNATURE_LEN_RANGE',
  0xd0: 'CKR_TEMPLATE_INCOMPLETE',
  0xd1: 'CKR_TEMPLATE_INCONSISTENT',
  0xe0: 'CKR_TOKEN_NOT_PRESENT',
  0xe1: 'CKR_TOKEN_NOT_RECOGNIZED',
  0xe2: 'CKR_TOKEN_WRITE_PROTECTED',
  0xf0: 'CKR_UNWRAPPING_KEY_HANDLE_INVALID',
  0xf1: 'CKR_UNWRAPPING_KEY_SIZE_RANGE',
  0xf2: 'CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT',
  0x100: 'CKR_USER_ALREADY_LOGGED_IN',
  0x101: 'CKR_USER_NOT_LOGGED_IN',
  0x102: 'CKR_USER_PIN_NOT_INITIALIZED',
  0x103: 'CKR_USER_TYPE_INVALID',
  0x104: 'CKR_USER_ANOTHER_ALREADY_LOGGED_IN',
  0x105: 'CKR_USER_TOO_MANY_TYPES',
  0x110: 'CKR_WRAPPED_KEY_INVALID',
  0x112: 'CKR_WRAPPED_KEY_LEN_RANGE',
  0x113: 'CKR_WRAPPING_KEY_HANDLE_INVALID',
  0x114: 'CKR_WRAPPING_KEY_SIZE_RANGE',
  0x115: 'CKR_WRAPPING_KEY_TYPE_INCONSISTENT',
  0x120: 'CKR_RANDOM_SEED_NOT_SUPPORTED',
  0x121: 'CKR_RANDOM_NO_RNG',
  0x130: 'CKR_DOMAIN_PARAMS_INVALID',
  0x140: 'CKR_CURVE_NOT_SUPPORTED',
  0x150: 'CKR_BUFFER_TOO_SMALL',
  0x160: 'CKR_SAVED_STATE_INVALID',
  0x170: 'CKR_INFORMATION_SENSITIVE',
  0x180: 'CKR_STATE_UNSAVEABLE',
  0x190: 'CKR_CRYPTOKI_NOT_INITIALIZED',
  0x191: 'CKR_CRYPTOKI_ALREADY_INITIALIZED',
  0x1a0: 'CKR_MUTEX_BAD',
  0x1a1: 'CKR_MUTEX_NOT_LOCKED',
  0x1b0: 'CKR_NEW_PIN_MODE',
  0x1b1: 'CKR_NEXT_OTP',
  0x1b5: 'CKR_EXCEEDED_MAX_ITERATIONS',
  0x1b6: 'CKR_FIPS_SELF_TEST_FAILED',
  0x1b7: 'CKR_LIBRARY_LOAD_FAILED',
  0x1b8: 'CKR_PIN_TOO_WEAK',
  0x1b9: 'CKR_PUBLIC_KEY_INVALID',
  0x200: 'CKR_FUNCTION_REJECTED',
};

const vendorDefined = 0x80000000;

/** The name of a return value; a vendor's own, or one without a name, as a hexadecimal number. */
export function returnValueName(value: number): string {
  const hex = `0x${value.toString(16).padStart(8, '0')}`;
  return returnValueNames[value] ?? (value >= vendorDefined ? `CKR_VENDOR_DEFINED ${hex}` : hex);
}

/** What a return value means to a user. */
export interface ReturnValueMeaning {
  readonly code: DeviceErrorCode;
  readonly words: string;
  readonly hint?: string;
}

const plugIn = 'plug the token in again, wait until its light is steady, and repeat the command';
const unlockPin =
  'the holder of the administrator PIN or PUK can unlock it with the software of the vendor; nothing here can';
/** What a PIN is called in messages. */
const pinNames: Readonly<Record<PinKind, string>> = { user: 'the PIN', signature: 'the PIN for signatures' };
/** The flags of a token are those of the user's PIN. */
const whereTries: Readonly<Record<PinKind, string>> = {
  user: 'look at what `etoken-bridge token list` says of it before another',
  signature: 'look at it with the software of the vendor before another',
};
const triedHint = (pin: PinKind): string =>
  `${pinNames[pin]} was given once and may have counted as a wrong try; ${whereTries[pin]}`;
const enteredHint = (pin: PinKind): string =>
  `if it waits for a PIN at the reader, be quicker; one that was entered may have counted as a wrong try; ${whereTries[pin]}`;
const whyLoginsFail = 'some tokens answer a wrong PIN like this, and some a login while another program uses them';
const whatVendorMeans = 'the manual of the vendor says what its own number means';
const askVendor = `${whatVendorMeans}; ${plugIn}`;
const askPinHint = (pin: PinKind): string =>
  `check ${pinNames[pin]}; it was tried once and is not tried again, so that the token does not lock`;

const removed = (words: string): ReturnValueMeaning => ({ code: 'token-removed', words, hint: plugIn });
const refused = (words: string): ReturnValueMeaning => ({
  code: 'mechanism-refused',
  words,
  hint: '`etoken-bridge token check` shows which digests the token signs, and in which way',
});

/** What a token says of a PIN. Only the user's can be changed here. */
function meaningsOfPin(pin: PinKind): Readonly<Partial<Record<number, ReturnValueMeaning>>> {
  const name = pinNames[pin];
  const hint = askPinHint(pin);
  const change = pin === 'user' ? '`etoken-bridge token change-pin` or ' : '';
  return {
    0xa0: { code: 'pin-incorrect', words: `${name} is wrong`, hint },
    0xa1: { code: 'pin-incorrect', words: `${name} has characters that the token does not take`, hint },
    0xa2: { code: 'pin-incorrect', words: `${name} is too short or too long for the token`, hint },
    0xa3: {
      code: 'function-failed',
      words: `${name} has expired`,
      hint: `change it with ${change}the software of the vendor, then repeat the command`,
    },
    0xa4: { code: 'pin-locked', words: `${name} is locked`, hint: unlockPin },
  };
}

/** What users are told, by return value. Those without an entry are `function-failed` in their plain name. */
export const returnValueMeanings: Readonly<Partial<Record<number, ReturnValueMeaning>>> = {
  0x2: {
    code: 'function-failed',
    words: 'the library of the token ran out of memory',
    hint: 'end other programs and repeat the command',
  },
  0x3: removed('the slot is no longer there'),
  0x5: {
    code: 'function-failed',
    words: 'the library of the token failed without saying why',
    hint: plugIn,
  },
  0x6: {
    code: 'function-failed',
    words: 'the token failed without saying why',
    hint: `${plugIn}; a key that wants a second PIN for signatures, and does not tell of it, may fail like this too: it cannot be used here`,
  },
  0x30: removed('the token does not answer any more, or was removed'),
  0x31: {
    code: 'function-failed',
    words: 'the memory of the token is full',
    hint: 'remove what is not needed from it with the software of the vendor, or plug it in again',
  },
  0x32: removed('the token was removed'),
  0x50: {
    code: 'function-failed',
    words: 'it was cancelled at the reader or in the window of the vendor',
    hint: 'repeat the command, and confirm there',
  },
  0x62: refused('the token refuses a key of this size'),
  0x63: refused('the token refuses the mechanism for this kind of key'),
  0x68: {
    code: 'key-not-found',
    words: 'the key is not allowed to sign',
    hint: 'choose another key with id or object',
  },
  0x70: refused('the token refuses the mechanism'),
  0x71: refused('the token refuses the mechanism'),
  ...meaningsOfPin('user'),
  0xb0: removed('the session with the token was closed'),
  0xb1: {
    code: 'function-failed',
    words: 'the token has no session left',
    hint: 'end other programs that use the token',
  },
  0xb3: removed('the session with the token is gone'),
  0xe0: removed('no token is in the slot any more'),
  0xe1: removed('the token is not recognised'),
  0xe2: { code: 'function-failed', words: 'the token is write-protected' },
  0x101: {
    code: 'function-failed',
    words: 'the token wants another login before it signs',
    hint: 'the key has a second PIN, for signatures: give it with --signature-pin-file FILE or ETOKEN_BRIDGE_SIGNATURE_PIN',
  },
  0x102: {
    code: 'pin-missing',
    words: 'no user PIN has been set on the token',
    hint: 'set one with the software of the vendor',
  },
  0x190: {
    code: 'function-failed',
    words: 'the library of the token has forgotten that it was started',
    hint: 'repeat the command; if it happens again, update the software of the token vendor',
  },
  0x104: {
    code: 'function-failed',
    words: 'the security officer is logged in to the token',
    hint: 'end the program that initialises the token',
  },
};

/**
 * Return values of C_SignInit and C_Sign that mean the mechanism, not the token: what a token says that wants to hash
 * by itself. ARGUMENTS_BAD, DATA_INVALID, DATA_LEN_RANGE, FUNCTION_NOT_SUPPORTED.
 */
const refusalsOfSigning: readonly number[] = [0x7, 0x20, 0x21, 0x54];

const anotherPin = 'choose another new PIN; the old one still holds';
const newPinRefused = (words: string): ReturnValueMeaning => ({ code: 'new-pin-refused', words, hint: anotherPin });

/** What is different when a PIN is changed: characters and length are then those of the new one. */
const meaningsOfChange: Readonly<Partial<Record<number, ReturnValueMeaning>>> = {
  0x101: {
    code: 'function-failed',
    words: 'the token wants another login before it changes the PIN',
    hint: 'change it with the software of the vendor',
  },
  0x54: {
    code: 'function-failed',
    words: 'the library of the token cannot change PINs',
    hint: 'change it with the software of the vendor',
  },
  0xa1: newPinRefused('the new PIN has characters that the token does not take'),
  0xa2: newPinRefused('the new PIN is too short or too long for the token'),
  // That `token change-pin` helps is what other functions say.
  0xa3: {
    code: 'function-failed',
    words: 'the PIN has expired, and the token does not let it be changed in this way',
    hint: 'change it with the software of the vendor',
  },
  0x1b8: newPinRefused('the new PIN is too simple for the token'),
};

/**
 * After these of C_Login the PIN was not looked at, or the token says what became of it: CANCEL, SLOT_ID_INVALID,
 * FUNCTION_CANCELED, FUNCTION_NOT_SUPPORTED, PIN_*, SESSION_*, TOKEN_NOT_PRESENT, TOKEN_NOT_RECOGNIZED, USER_*,
 * CRYPTOKI_NOT_INITIALIZED. Vendors have numbers of their own for a wrong PIN.
 */
const clearOfLogin: readonly number[] = [
  ...[0x1, 0x3, 0x50, 0x54, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xb0, 0xb3, 0xe0, 0xe1],
  ...[0x100, 0x101, 0x102, 0x103, 0x104, 0x105, 0x190],
];
/** After these of C_SetPIN the old PIN holds for certain. */
const clearOfChange: readonly number[] = [
  ...[0x50, 0x54, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xb5, 0xe2, 0x100, 0x101, 0x102, 0x1b8],
];

/** The names of the return values of C_SetPIN after which the old PIN holds for certain. */
export const refusalsOfChange: readonly string[] = clearOfChange.map(returnValueName);

/** A function that a PIN is given to. */
interface PinCall {
  readonly special: Readonly<Partial<Record<number, ReturnValueMeaning>>>;
  readonly clear: readonly number[];
  readonly failed: string;
}

const ofLogin: Readonly<Record<PinKind, PinCall>> = {
  user: { special: meaningsOfPin('user'), clear: clearOfLogin, failed: 'the login failed' },
  signature: {
    special: meaningsOfPin('signature'),
    clear: clearOfLogin,
    failed: 'the login for the signature failed',
  },
};
const ofChange: PinCall = { special: meaningsOfChange, clear: clearOfChange, failed: 'the change failed' };

/** Functions that give a PIN to the token. */
export const pinFunctions: readonly string[] = ['C_Login', 'C_SetPIN'];

/**
 * What a return value of a function means.
 *
 * @param pin which PIN was given, for C_Login.
 */
export function meaningOf(functionName: string | undefined, value: number, pin: PinKind = 'user'): ReturnValueMeaning {
  const ofSigning = functionName === 'C_SignInit' || functionName === 'C_Sign';
  if (ofSigning && refusalsOfSigning.includes(value)) return refused('the token refuses the mechanism');
  if (functionName === 'C_SetPIN') return meaningOfPinCall(value, 'user', ofChange);
  if (functionName === 'C_Login') return meaningOfPinCall(value, pin, ofLogin[pin]);
  return returnValueMeanings[value] ?? unnamed(value);
}

function unnamed(value: number): ReturnValueMeaning {
  const hint = value >= vendorDefined ? askVendor : plugIn;
  return { code: 'function-failed', words: 'the token or its library failed', hint };
}

/** A PIN was given: what is not clear may have cost a try, and must not say that the command be repeated. */
function meaningOfPinCall(value: number, pin: PinKind, { special, clear, failed }: PinCall): ReturnValueMeaning {
  const known = special[value] ?? returnValueMeanings[value];
  if (clear.includes(value)) return known ?? unnamed(value);
  const says = known !== undefined && !doesNotSayWhy.includes(value);
  const words = `${failed}, and the token does not say why`;
  const why = value >= vendorDefined ? whatVendorMeans : whyLoginsFail;
  return {
    code: known?.code ?? 'function-failed',
    words: says ? known.words : words,
    hint: says ? triedHint(pin) : `${why}; ${triedHint(pin)}`,
  };
}

/** GENERAL_ERROR and FUNCTION_FAILED: known, and of no help. */
const doesNotSayWhy: readonly number[] = [0x5, 0x6];

export const pinHints: {
  readonly unlock: string;
  readonly ask: (pin: PinKind) => string;
  /** For a call with a PIN that was not answered. */
  readonly tried: (pin: PinKind) => string;
  /** The same where it was to be entered at the reader. */
  readonly entered: (pin: PinKind) => string;
} = { unlock: unlockPin, ask: askPinHint, tried: triedHint, entered: enteredHint };
