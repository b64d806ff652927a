import { InputError } from '../errors.js';
import { Interrupted } from './exit-code.js';

/** Whether a person can be asked: both ends are a terminal. */
export function isInteractive(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/**
 * Asks for a secret on the terminal; what is typed is not shown. The prompt goes to standard error.
 *
 * @throws Interrupted when the user breaks off; InputError `missing-option` when there is no terminal.
 */
export async function askSecret(message: string, otherwise: string): Promise<string> {
  if (!isInteractive()) {
    throw new InputError('missing-option', `${message} cannot be asked for: this is no terminal`, { hint: otherwise });
  }
  const { isCancel, password } = await import('@clack/prompts');
  const answer = await password({ message, output: process.stderr });
  if (isCancel(answer)) throw new Interrupted('interrupted');
  return answer;
}
