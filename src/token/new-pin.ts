import { InputError } from '../errors.js';
import type { Pin } from './pin.js';
import { nameToken, type TokenInfo } from './token-info.js';

/** What to do when nobody knows which PIN holds. The present one may have been wrong, and the new one would be too. */
export const hintOfUncertainChange: string =
  'the present PIN may have counted as a wrong try: look at what `etoken-bridge token list` says of it, then try the ' +
  'new PIN once, with `etoken-bridge token check`; if it is wrong, the old one still holds';

/**
 * Refuses a new PIN that is too short or too long: the token would do that too, but only together with a try of the
 * present one.
 *
 * @throws InputError `usage`
 */
export function requireFittingPin(newPin: Pin, token: TokenInfo): void {
  const { minPinLength: min = 0, maxPinLength: max = Number.MAX_SAFE_INTEGER } = token;
  const bytes = Buffer.byteLength(newPin.reveal());
  if (bytes >= min && bytes <= max) return;
  const characters = Array.from(newPin.reveal()).length;
  // Tokens count bytes; only letters such as ä and é are more than one.
  const [length, unit] = bytes === characters ? ['', ''] : [`, which are ${bytes} bytes`, ' bytes'];
  const limits = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `${min} to ${max}`;
  const has = `the new PIN has ${characters} characters${length}`;
  throw new InputError('usage', `${has}, and ${nameToken(token)} takes ${limits}${unit}`, {
    hint: 'choose another new PIN; nothing was tried, and the present one still holds',
  });
}
