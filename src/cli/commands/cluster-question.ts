import { createInterface } from 'node:readline/promises';
import { InputError } from '../../errors.js';
import { Interrupted } from '../exit-code.js';
import { isInteractive } from '../prompts.js';

/** A question that clusters ask before they change something, in their words. */
export interface ClusterQuestion {
  readonly text: string;
  /** Clusters ask for `y` in some places and for `yes` in others; both take either. */
  readonly yes?: boolean | undefined;
}

/**
 * Refuses a question that nobody can answer.
 *
 * @throws InputError `usage`
 */
export function checkQuestion({ yes }: ClusterQuestion): void {
  if (yes === true || isInteractive()) return;
  throw new InputError('usage', 'this changes the cluster file, and nobody can be asked: this is no terminal', {
    hint: 'give --yes to answer the question of the cluster beforehand',
  });
}

/**
 * Asks on the terminal, on standard error, until the answer is one.
 *
 * @returns whether to go on.
 * @throws InputError `usage` when there is no terminal; Interrupted when the user breaks off.
 */
export async function askQuestion(question: ClusterQuestion): Promise<boolean> {
  checkQuestion(question);
  if (question.yes === true) return true;
  const { stdin, stderr } = process;
  const lines = createInterface({ input: stdin, output: stderr, terminal: true, historySize: 0 });
  const brokenOff = new AbortController();
  // Ctrl-C, and a terminal that is gone or that Ctrl-D closes.
  lines.once('SIGINT', () => brokenOff.abort()).once('close', () => brokenOff.abort());
  try {
    for (;;) {
      const answer = (await lines.question(`${question.text} `, { signal: brokenOff.signal })).trim().toLowerCase();
      if (answer === 'y' || answer === 'yes') return true;
      if (answer === 'n' || answer === 'no') return false;
    }
  } catch (error) {
    if (brokenOff.signal.aborted) throw new Interrupted('interrupted');
    throw error;
  } finally {
    lines.close();
  }
}
