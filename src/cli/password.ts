import { readInput } from './files.js';

/** The password of a key file: one newline at the end is not part of it. */
export async function readPassword(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  return new TextDecoder().decode(await readInput(path, 'password file')).replace(/\r?\n$/, '');
}
