/**
 * What can be asked of tokens. Each function starts the processes that hold the modules first and loads what decodes
 * and verifies while they start: that is what a short command waits for.
 */
import type { ChangePinOptions } from './change-pin.js';
import type { TokenCheck, TokenCheckOptions } from './check-token.js';
import type { ListTokensOptions, TokenSurvey } from './inventory.js';
import { openChosenToken, wantedUri, type ChosenToken } from './module-hosts.js';
import type { ExportedCertificate, SastCertificate, SastCertificateOptions } from './sast-certificates.js';
import type { TokenInfo } from './token-info.js';
import type { HostSigner, TokenSigner, TokenSignerOptions } from './token-signer.js';
import type { TokenEvent, WatchTokensOptions } from './watch-tokens.js';

/**
 * The tokens that are plugged in. A token that two modules show is listed once, by the module that is tried first.
 *
 * @throws DeviceError as {@link surveyTokens}, and the failure of a module when no module shows any token, whichever
 *   is meant
 */
export async function listTokens(options: ListTokensOptions = {}): Promise<readonly TokenInfo[]> {
  const { takeSurvey } = await import('./inventory.js');
  const { survey, failure } = await takeSurvey(options);
  if (failure !== undefined) throw failure;
  return survey.tokens;
}

/**
 * Asks all modules for their tokens. A module that fails does not hide the tokens of the others: its failure is part of
 * the answer, unless it is the only module and was named.
 *
 * @throws DeviceError `module-missing` and the other codes of a module that was named; `binding-missing`
 */
export async function surveyTokens(options: ListTokensOptions = {}): Promise<TokenSurvey> {
  const { takeSurvey } = await import('./inventory.js');
  const { survey } = await takeSurvey(options);
  return survey;
}

/**
 * The certificates on the tokens that are SAST certificates by their name (`SAST-…`), or whose private key can sign.
 * A certificate is matched with its key by public key, then by CKA_ID, then by label.
 *
 * @throws DeviceError as {@link listTokens}; with a PIN also those of a login
 */
export async function listSastCertificates(options: SastCertificateOptions = {}): Promise<readonly SastCertificate[]> {
  const { findSastCertificates } = await import('./sast-certificates.js');
  return findSastCertificates(options);
}

/**
 * The same certificates as files. Nothing is written.
 *
 * @param format `der`, which clusters take as it is, or `pem`.
 * @throws DeviceError as {@link listSastCertificates}
 */
export async function exportSastCertificates(
  options: SastCertificateOptions = {},
  format: 'der' | 'pem' = 'der',
): Promise<readonly ExportedCertificate[]> {
  const { certificateFiles, findSastCertificates } = await import('./sast-certificates.js');
  return certificateFiles(await findSastCertificates(options), format);
}

/**
 * Opens the token that is meant and the key on it. The token's PIN is asked for once, when the token has been chosen
 * and the state of its PIN is known, and tried once.
 *
 * @throws DeviceError `module-missing`, `module-not-a-library`, `module-wrong-architecture`, `module-failed`,
 *   `binding-missing`, `no-token`, `several-tokens`, `token-not-found`, `pin-missing`, `pin-incorrect`,
 *   `pin-final-try`, `pin-locked`, `key-not-found`, `several-keys`, `certificate-not-found`, `timeout`, `host-crashed`
 *   and others; ProofError `key-mismatch` when the given certificate is not for the key
 */
export async function openTokenSigner(options: TokenSignerOptions): Promise<TokenSigner> {
  return openSigner(options);
}

/**
 * Signs a challenge with every digest in both ways and verifies each signature. A way that fails is part of the answer.
 *
 * @throws as {@link openTokenSigner}
 */
export async function checkToken(options: TokenCheckOptions): Promise<TokenCheck> {
  const started = performance.now();
  const signer = await openSigner(options);
  try {
    const { runTrials } = await import('./check-token.js');
    return await runTrials(signer, started, options.challenge);
  } finally {
    await signer.close();
  }
}

/**
 * Changes the PIN of a token's user. The present PIN is tried once, and only after the new one is known to have a length
 * that the token takes.
 *
 * @returns the token as it is afterwards.
 * @throws DeviceError `pin-incorrect`, `pin-locked`, `pin-final-try`, `pin-missing`, `new-pin-refused` and those of
 *   choosing a token; InputError `usage` when the new PIN is the present one, too short or too long
 */
export async function changeTokenPin(options: ChangePinOptions): Promise<TokenInfo> {
  const { changePinOf } = await import('./change-pin.js');
  return changePinOf(options);
}

/**
 * Tells which tokens are there, then each that is plugged in or pulled out, until `signal` says stop. No PIN is asked
 * for. A module that fails is told as an event and tried again.
 *
 * @throws DeviceError `module-missing` and others, see {@link surveyTokens}, when there is nothing to watch
 */
export async function* watchTokens(options: WatchTokensOptions): AsyncGenerator<TokenEvent, void, undefined> {
  const { watchTokenEvents } = await import('./watch-tokens.js');
  yield* watchTokenEvents(options);
}

async function openSigner(options: TokenSignerOptions): Promise<HostSigner> {
  const opening: Promise<ChosenToken> = openChosenToken(options, wantedUri(options));
  const [chosen, { bindSigner }] = await Promise.all([opening, import('./token-signer.js')]);
  return bindSigner(chosen, options);
}
