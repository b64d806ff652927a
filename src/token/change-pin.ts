import { DeviceError, InputError } from '../errors.js';
import { openChosenToken, wantedUri, type ChosenToken, type TokenAccess, type WantedToken } from './module-hosts.js';
import { hintOfUncertainChange, requireFittingPin } from './new-pin.js';
import { Pin } from './pin.js';
import { refusalsOfChange } from './return-values.js';
import { nameToken, tokenInfo, type TokenInfo } from './token-info.js';
import { requireUsablePin, type PinRequest } from './unlock.js';

export interface ChangePinOptions extends TokenAccess, Pick<WantedToken, 'uri' | 'tokenLabel' | 'tokenSerial'> {
  /** The present PIN. `undefined` from it and from `newPin` lets a reader with keys of its own ask for both. */
  readonly pin: PinRequest;
  /** Asked for after the present one. */
  readonly newPin: PinRequest;
  /** Try the present PIN even when it is the last try before it locks. */
  readonly useFinalPinTry?: boolean;
  /**
   * Called with the token just before it is given both PINs: from here until the end nobody knows which of them holds.
   */
  readonly beforeChange?: (token: TokenInfo) => void;
}

/** Before the token had the new one. */
const before: readonly (string | undefined)[] = ['C_OpenSession', 'C_Login'];

/** See `changeTokenPin`. */
export async function changePinOf(options: ChangePinOptions): Promise<TokenInfo> {
  const chosen = await openChosenToken(options, wantedUri(options));
  const { token, opened } = chosen;
  const name = nameToken(token);
  try {
    requireChangeablePin(token);
    requireUsablePin(token, options.useFinalPinTry === true);
    const { pin, newPin } = await askBoth(chosen, options);
    const ask = { slotId: token.slotId, pin, newPin };
    options.beforeChange?.(token);
    const changed = await opened.host.request('changePin', ask, name).catch((error: unknown) => {
      throw error instanceof DeviceError ? orUncertain(error, name) : error;
    });
    return changed.token === undefined ? token : tokenInfo(changed.token, token.library, token.modulePath);
  } finally {
    await opened.host.close();
  }
}

function requireChangeablePin(token: TokenInfo): void {
  const name = nameToken(token);
  if (!token.loginRequired) throw new DeviceError('pin-missing', `${name} has no PIN: it lets everybody in`);
  if (!token.writeProtected) return;
  throw new DeviceError('function-failed', `${name} is write-protected: its PIN cannot be changed`);
}

async function askBoth(
  { token, warnings }: ChosenToken,
  options: ChangePinOptions,
): Promise<{ readonly pin: Pin; readonly newPin: Pin }> {
  const name = nameToken(token);
  const pin = await options.pin(token, warnings);
  const newPin = await options.newPin(token, warnings);
  if (pin === undefined && newPin === undefined && token.protectedAuthenticationPath) {
    return { pin: new Pin(''), newPin: new Pin('') };
  }
  if (pin === undefined || newPin === undefined) {
    const missing = pin === undefined ? 'present' : 'new';
    throw new DeviceError(
      'pin-missing',
      `the ${missing} PIN of ${name} is missing`,
      {},
      { hint: 'give both, or neither where the reader asks for them' },
    );
  }
  requireFittingPin(newPin, token);
  if (pin.reveal() === newPin.reveal()) {
    throw new InputError('usage', 'the new PIN is the present one; nothing was tried');
  }
  return { pin, newPin };
}

/** Whether the old PIN holds for certain after this. */
function isClear({ code, functionName, returnValue }: DeviceError): boolean {
  if (before.includes(functionName) || code === 'pin-locked' || code === 'binding-missing') return true;
  return functionName === 'C_SetPIN' && returnValue !== undefined && refusalsOfChange.includes(returnValue);
}

function orUncertain(error: DeviceError, name: string): DeviceError {
  if (isClear(error)) return error;
  const { functionName, returnValue } = error;
  const place = {
    ...(functionName === undefined ? {} : { functionName }),
    ...(returnValue === undefined ? {} : { returnValue }),
  };
  const message = `${error.words}. Whether the PIN of ${name} was changed is not known`;
  return new DeviceError(error.code, message, place, { hint: hintOfUncertainChange, cause: error });
}
