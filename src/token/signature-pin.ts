import { DeviceError } from '../errors.js';
import type { ChosenToken } from './module-hosts.js';
import { Pin } from './pin.js';
import { nameToken, type TokenInfo } from './token-info.js';
import type { PinRequest } from './unlock.js';

/**
 * Tokens and libraries of which it is known that a key that wants a PIN for each signature wants the user's PIN again
 * (native-notes/). Of all others it is not: the 5110 CC has a second PIN, and the user's, tried on it, would be a wrong
 * try.
 */
const oneForBoth: readonly { readonly manufacturer?: RegExp; readonly library?: RegExp }[] = [
  { manufacturer: /^SoftHSM project/ },
  { manufacturer: /^Yubico/ },
  // It shows each PIN of a card as a slot of its own, so that within a slot there is only one.
  { library: /^OpenSC/ },
];

/** Whether the user's PIN is what a key of this token wants that wants a PIN for each signature. */
export function takesUserPinForSignatures({ manufacturer, library }: TokenInfo): boolean {
  return oneForBoth.some(
    (known) => known.manufacturer?.test(manufacturer) === true || known.library?.test(library.description) === true,
  );
}

/**
 * The PIN for signatures: the one that is given, else the user's where that is known to be it, else the one that the
 * reader asks for.
 *
 * @param userPin `undefined` when it was entered at the reader.
 * @throws DeviceError `pin-missing`, before anything is tried
 */
export async function requireSignaturePin(
  { token, warnings }: ChosenToken,
  request: PinRequest | undefined,
  userPin: Pin | undefined,
): Promise<Pin> {
  const given = await request?.(token, warnings);
  if (given !== undefined) return given;
  if (userPin !== undefined && takesUserPinForSignatures(token)) return userPin;
  if (token.protectedAuthenticationPath) return new Pin('');
  throw new DeviceError(
    'pin-missing',
    `the key of ${nameToken(token)} wants a PIN for each signature, and none was given for that`,
    {},
    {
      hint: 'give it with --signature-pin-file FILE or ETOKEN_BRIDGE_SIGNATURE_PIN; a token with one PIN for both wants that one there too',
    },
  );
}
