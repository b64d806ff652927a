import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import { Interrupted } from './exit-code.js';

/** Whether a person can be asked: both ends are a terminal. */
export function isInteractive(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/**
 * Asks for a secret on the terminal; what is typed is not shown. The prompt goes to standard error.
 *
 * @throws Interrupted when the user breaks off: Ctrl-C, Escape, Ctrl-D, or a terminal that is gone. InputError
 *   `missing-option` when there is no terminal.
 */
export async function askSecret(message: string, otherwise: string): Promise<string> {
  if (!isInteractive()) {
    throw new InputError('missing-option', `${message} cannot be asked for: this is no terminal`, { hint: otherwise });
  }
  const { isCancel, password } = await import('@clack/prompts');
  const { stdin, stderr } = process;
  // Serial consoles do not tell their width, and the prompt would be one column wide.
  if (stderr.columns === 0) stderr.columns = 80;
  const brokenOff = new AbortController();
  const breakOff = (): void => brokenOff.abort();
  // The package takes neither for an answer, and would leave the command waiting for nothing.
  const onKey = (_text: string | undefined, key: { readonly ctrl?: boolean; readonly name?: string }): void => {
    if (key.ctrl === true && key.name === 'd') breakOff();
  };
  const showCursor = (): void => void stderr.write('\u001b[?25h');
  stdin.on('keypress', onKey).once('end', breakOff).once('close', breakOff);
  // A signal ends the process from within the prompt, which hides the cursor.
  process.once('exit', showCursor);
  try {
    const answer = await password({ message: printable(message), output: stderr, signal: brokenOff.signal });
    if (isCancel(answer)) throw new Interrupted('interrupted');
    return answer;
  } finally {
    process.off('exit', showCursor);
    stdin.off('keypress', onKey).off('end', breakOff).off('close', breakOff);
  }
}
