import type { DeviceErrorCode } from '../errors.js';

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
const askPin = 'check the PIN; it was tried once and is not tried again, so that the token does not lock';

const removed = (words: string): ReturnValueMeaning => ({ code: 'token-removed', words, hint: plugIn });
const refused = (words: string): ReturnValueMeaning => ({
  code: 'mechanism-refused',
  words,
  hint: '`etoken-bridge token check` shows which digests the token signs, and in which way',
});

/** What users are told, by return value. Those without an entry are `function-failed` in their plain name. */
export const returnValueMeanings: Readonly<Partial<Record<number, ReturnValueMeaning>>> = {
  0x2: { code: 'function-failed', words: 'the library of the token ran out of memory' },
  0x3: removed('the slot is no longer there'),
  0x5: {
    code: 'function-failed',
    words: 'the library of the token failed without saying why',
    hint: plugIn,
  },
  0x6: {
    code: 'function-failed',
    words: 'the token failed without saying why',
    hint: `${plugIn}; a key with a PIN of its own for signatures fails like this too`,
  },
  0x30: removed('the token does not answer any more, or was removed'),
  0x31: { code: 'function-failed', words: 'the memory of the token is full' },
  0x32: removed('the token was removed'),
  0x50: { code: 'function-failed', words: 'it was cancelled at the reader or in the window of the vendor' },
  0x62: refused('the token refuses a key of this size'),
  0x63: refused('the token refuses the mechanism for this kind of key'),
  0x68: {
    code: 'key-not-found',
    words: 'the key is not allowed to sign',
    hint: 'choose another key with id or object',
  },
  0x70: refused('the token refuses the mechanism'),
  0x71: refused('the token refuses the mechanism'),
  0xa0: { code: 'pin-incorrect', words: 'the PIN is wrong', hint: askPin },
  0xa1: { code: 'pin-incorrect', words: 'the PIN has characters that the token does not take', hint: askPin },
  0xa2: { code: 'pin-incorrect', words: 'the PIN is too short or too long for the token', hint: askPin },
  0xa3: {
    code: 'function-failed',
    words: 'the PIN has expired',
    hint: 'change it with the software of the vendor, then repeat the command',
  },
  0xa4: { code: 'pin-locked', words: 'the PIN is locked', hint: unlockPin },
  0xb0: removed('the session with the token was closed'),
  0xb1: {
    code: 'function-failed',
    words: 'the token has no session left',
    hint: 'end other programs that use the token',
  },
  0xb3: removed('the session with the token is gone'),
  0xe0: removed('no token is in the slot any more'),
  0xe1: removed('the token is not recognised'),
  0x101: {
    code: 'function-failed',
    words: 'the token wants another login before it signs',
    hint: 'the key has a PIN of its own for signatures: give it as the signature PIN',
  },
  0x102: {
    code: 'pin-missing',
    words: 'no user PIN has been set on the token',
    hint: 'set one with the software of the vendor',
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

/** What a return value of a function means. */
export function meaningOf(functionName: string | undefined, value: number): ReturnValueMeaning {
  const ofSigning = functionName === 'C_SignInit' || functionName === 'C_Sign';
  if (ofSigning && refusalsOfSigning.includes(value)) return refused('the token refuses the mechanism');
  const known = returnValueMeanings[value];
  if (functionName === 'C_Login' && (value === 0x5 || value === 0x6)) {
    const words = 'the login failed, and the token does not say why';
    return { code: 'function-failed', words, hint: 'some tokens answer a wrong PIN like this; it was tried once' };
  }
  return known ?? { code: 'function-failed', words: 'the token or its library failed' };
}

export const pinHints: { readonly unlock: string; readonly ask: string } = { unlock: unlockPin, ask: askPin };
