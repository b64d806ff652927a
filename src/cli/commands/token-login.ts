import type { SastCertificateOptions } from '../../token/index.js';
import type { Output } from '../output.js';
import { asksForPin, pinRequest, requireOneToken, type TokenChoice } from '../token-choice.js';
import type { TokenCommandOptions } from './token.js';

/** Whether a command is to log in: as --login says, or as a PIN that was given for it does. */
export function wantsLogin({ login, pinFile }: TokenCommandOptions): boolean {
  return login === true || pinFile !== undefined;
}

/**
 * Where SAST certificates are looked for: with a login also behind the PINs of the tokens.
 *
 * @throws DeviceError `several-tokens` and others, see {@link requireOneToken}
 */
export async function certificateSearch(
  options: TokenCommandOptions,
  choice: TokenChoice,
  output: Output,
): Promise<SastCertificateOptions> {
  if (!wantsLogin(options)) return choice;
  if (!asksForPin(options, choice)) await requireOneToken(choice);
  return { ...choice, pin: pinRequest(options, choice, output), useFinalPinTry: options.useFinalPinTry === true };
}
