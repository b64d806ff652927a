import { DeviceError } from '../errors.js';
import type { TokenDescription, TokenObjects } from './host-protocol.js';
import type { ChosenToken } from './module-hosts.js';
import { Pin } from './pin.js';
import { pinHints } from './return-values.js';
import { nameToken, type TokenInfo } from './token-info.js';

/**
 * Asks for the PIN of a token. It is called once, after the token was chosen and the state of its PIN was read, and not
 * at all when the token needs no PIN or its PIN cannot be tried. `undefined` lets a reader with keys of its own ask.
 *
 * @param warnings what to know before the PIN is given, such as that the module is a spy that writes it to a log.
 */
export type PinRequest = (token: TokenInfo, warnings: readonly string[]) => Promise<Pin | undefined>;

export interface UnlockOptions {
  readonly pin: PinRequest;
  /** Try the PIN even when it is the last try before the PIN locks. */
  readonly useFinalPinTry?: boolean;
}

/** A token that was unlocked: its objects, what it says of itself now, and the PIN that did it. */
export interface UnlockedToken {
  readonly objects: TokenObjects;
  readonly description: TokenDescription;
  readonly pin: Pin | undefined;
}

/**
 * Logs in to a token, once, and reads its objects.
 *
 * @throws DeviceError `pin-locked` and `pin-final-try` without a try; `pin-missing`; `pin-incorrect` after the one try
 */
export async function unlockToken(chosen: ChosenToken, options: UnlockOptions): Promise<UnlockedToken> {
  const { token, warnings } = chosen;
  const { host } = chosen.opened;
  const name = nameToken(token);
  if (!token.loginRequired) {
    const objects = await host.request('unlock', { slotId: token.slotId }, name);
    return { objects, description: objects.token, pin: undefined };
  }
  requireUsablePin(token, options.useFinalPinTry === true);
  const pin = await options.pin(token, warnings);
  if (pin === undefined && !token.protectedAuthenticationPath) {
    throw new DeviceError('pin-missing', `${name} needs a PIN`, {}, { hint: 'give it in a file, or at the prompt' });
  }
  // pkcs11js cannot leave the PIN out, which is how PKCS#11 asks for one at the reader; an empty one is as near as it gets.
  const objects = await host.request('unlock', { slotId: token.slotId, pin: pin ?? new Pin('') }, name);
  return { objects, description: objects.token, pin };
}

/**
 * Refuses to spend a try that could not succeed, or that would be the last one.
 *
 * @throws DeviceError `pin-locked`, `pin-missing`, `pin-final-try`
 */
export function requireUsablePin(token: TokenInfo, useFinalTry: boolean): void {
  const name = nameToken(token);
  switch (token.pin.state) {
    case 'locked':
      throw new DeviceError('pin-locked', `the PIN of ${name} is locked`, {}, { hint: pinHints.unlock });
    case 'not-set':
      throw new DeviceError(
        'pin-missing',
        `${name} has no user PIN yet`,
        {},
        {
          hint: 'set one with the software of the vendor',
        },
      );
    case 'final-try':
      if (useFinalTry) return;
      throw new DeviceError(
        'pin-final-try',
        `the PIN of ${name} has one try left, and it is not used`,
        {},
        {
          hint: 'a login with the right PIN, in the software of the vendor, resets the count; --use-final-pin-try tries it here',
        },
      );
    case 'count-low':
    case 'to-be-changed':
    case 'ok':
  }
}
