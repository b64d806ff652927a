import { findModules, knownTrouble } from '../../token/index.js';
import { exitCode } from '../exit-code.js';
import { formatTable, type Output } from '../output.js';
import type { TokenCommandOptions } from './token.js';

/** `token modules`. Exit code 3 when no module can be used. */
export async function showModules(options: TokenCommandOptions, output: Output): Promise<number> {
  const candidates = findModules(options.module === undefined ? {} : { modulePath: options.module });
  const found = candidates.filter(({ state }) => state === 'found');
  // With nothing found, where it was looked for is what helps.
  const shown =
    options.all === true || found.length === 0 ? candidates : candidates.filter(({ state }) => state !== 'missing');
  const table = formatTable(
    ['STATE', 'FAMILY', 'MODULE', 'FROM', 'DETAIL'],
    shown.map(({ state, family, path, source, detail }) => [state, family, path, source, detail]),
  );
  output.result(table, {
    modules: candidates.map((candidate) => ({
      ...candidate,
      warning: candidate.warning ?? null,
      parameters: candidate.parameters ?? null,
      trouble: knownTrouble(candidate.family) ?? null,
    })),
  });
  for (const { warning } of shown) if (warning !== undefined) output.warning(warning);
  for (const family of new Set(found.map((one) => one.family))) {
    const trouble = knownTrouble(family);
    if (trouble !== undefined) output.note(`${family}: ${trouble}`);
  }
  const missing = candidates.length - shown.length;
  if (missing > 0) output.note(`${String(missing)} more places have no module; --all lists them`);
  if (found.length > 0) return Promise.resolve(exitCode.done);
  output.note(
    'no PKCS#11 module was found: install the software of the token vendor, or name its library with --module',
  );
  return Promise.resolve(exitCode.device);
}
