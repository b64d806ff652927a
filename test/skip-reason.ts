/** What stands behind the title of tests that are skipped where something is missing; nothing where nothing is. */
export function skipReason(missing: string | undefined): string {
  return missing === undefined || missing === '' ? '' : ` (skipped: ${missing})`;
}

/**
 * What is missing, given back, so that tests can be skipped for it. In CI nothing is skipped that could be put right.
 *
 * @throws Error in CI, when something is missing
 */
export function notMissingInCi(what: string, missing: string | undefined): string | undefined {
  if (missing === undefined || process.env['CI'] !== 'true') return missing;
  throw new Error(`in CI this is tested and not skipped: ${what} (${missing}); put right what is missing there`);
}
