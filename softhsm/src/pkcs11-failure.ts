// Failures inside the child, and the one place that turns what pkcs11js throws into them.
import type { Failure } from './messages.js';

/** Ends an operation in the child; the failure goes to the parent as it is. */
export class OperationFailure extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** What some return values mean, by their name. All others are `function-failed`. */
const meanings: Readonly<Record<string, Pick<Failure, 'code' | 'message' | 'hint'>>> = {
  CKR_PIN_INCORRECT: {
    code: 'pin-incorrect',
    message: 'the token does not take this PIN',
    hint: 'give the PIN that the token was made with',
  },
  CKR_PIN_LOCKED: { code: 'pin-locked', message: 'the PIN of the token is locked' },
  CKR_TOKEN_NOT_PRESENT: { code: 'token-removed', message: 'the token is gone' },
  // A process that reads a token's object while another writes it takes the token for broken until it ends.
  CKR_GENERAL_ERROR: {
    code: 'function-failed',
    message: 'SoftHSM2 failed',
    hint: 'if another process works with the same tokens, let it end, and run this again',
  },
  CKR_MECHANISM_INVALID: { code: 'mechanism-refused', message: 'the token does not know the mechanism' },
};

/** Runs one PKCS#11 function and names it, with its return value, when it fails. */
export function callPkcs11<T>(functionName: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new OperationFailure(describe(error, functionName));
  }
}

function describe(error: unknown, functionName: string): Failure {
  const text = error instanceof Error ? error.message : String(error);
  // Pkcs11Error has the name alone as its message; some functions throw `CKR_X:number`, others no name at all.
  const returnValue = /CKR_\w+/.exec(text)?.[0];
  if (returnValue === undefined) return { code: 'function-failed', message: text, functionName };
  const meaning = meanings[returnValue] ?? { code: 'function-failed', message: 'SoftHSM2 refused' };
  return { ...meaning, functionName, returnValue };
}
