import { InputError } from '../errors.js';
import { readPassword } from './password.js';
import { askSecret } from './prompts.js';

const otherwise = 'give --recovery-password-file FILE';

/** The password of an ITLRecovery.p12 that is there: from a file, or asked for. */
export async function readRecoveryPassword(path: string | undefined): Promise<string> {
  return (await readPassword(path)) ?? askSecret('Enter the password of ITLRecovery.p12', otherwise);
}

/**
 * The password that an ITLRecovery.p12 is to get: from a file, or asked for twice.
 *
 * @throws InputError `usage` for an empty one, and for two that differ.
 */
export async function readNewRecoveryPassword(path: string | undefined): Promise<string> {
  const given = await readPassword(path);
  const password = given ?? (await askSecret('Enter a password for ITLRecovery.p12', otherwise));
  if (password === '') {
    throw new InputError('usage', 'the password for ITLRecovery.p12 is empty', {
      hint: 'whoever has the file and its password signs lists that phones accept: give a long one',
    });
  }
  if (given === undefined && (await askSecret('The same password again', otherwise)) !== password) {
    throw new InputError('usage', 'the two passwords differ', { hint: 'nothing was written: run the command again' });
  }
  return password;
}
