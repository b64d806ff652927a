import { checkToken, nameToken, type SigningTrial, type TokenCheck } from '../../token/index.js';
import { printable } from '../../bytes/index.js';
import { formatName } from '../../x509/index.js';
import { readCertificate } from '../certificates.js';
import { exitCode } from '../exit-code.js';
import { describeFailure, describeTokenReference } from '../token-document.js';
import { formatTable, type Output } from '../output.js';
import { pinRequest, signaturePinRequest, tokenChoice } from '../token-choice.js';
import type { TokenCommandOptions } from './token.js';

/** `token check`. Exit code 3 when a digest cannot be signed in any way. */
export async function showCheck(options: TokenCommandOptions, output: Output): Promise<number> {
  const choice = tokenChoice(options);
  const certificate = options.certificate === undefined ? undefined : await readCertificate(options.certificate);
  const check = await checkToken({
    ...choice,
    pin: pinRequest(options, choice, output),
    signaturePin: signaturePinRequest(options, output),
    useFinalPinTry: options.useFinalPinTry === true,
    ...(certificate === undefined ? {} : { certificate }),
  });
  output.result(formatCheck(check), describeCheck(check));
  return check.ok ? exitCode.done : exitCode.device;
}

function formatCheck(check: TokenCheck): string {
  const rows = check.trials.map((trial) => [
    trial.digest,
    trial.mechanism,
    trial.ok ? 'signed and verified' : 'failed',
    `${trial.milliseconds.toFixed(1)} ms`,
    trial.error?.message ?? '',
  ]);
  const opened = `${nameToken(check.token)}, ${formatName(check.certificate.subject)}: opened in ${check.openMilliseconds.toFixed(0)} ms`;
  const pin = `${nameOfPin(check)}: ${check.pin?.words ?? 'the token does not answer any more'}`;
  const hints = [...new Set(check.trials.flatMap(({ error }) => hintOf(error) ?? []))];
  const advice = hints.map((hint) => `hint: ${printable(hint)}\n`).join('');
  return `${printable(opened)}\n${formatTable(['DIGEST', 'MECHANISM', 'RESULT', 'TOOK', ''], rows)}${advice}${pin}\n`;
}

/** That of a refused mechanism names this very command. */
function hintOf(error: SigningTrial['error']): string | undefined {
  return error?.code === 'mechanism-refused' ? undefined : error?.hint;
}

/** The token tells of the user's PIN only, which says nothing of the other one that was refused. */
function nameOfPin({ trials }: TokenCheck): string {
  const ofPin = trials.some(({ error }) => error?.code === 'pin-incorrect' || error?.code === 'pin-locked');
  return ofPin ? 'PIN of the user' : 'PIN';
}

function describeCheck(check: TokenCheck): object {
  const trial = ({ error, ...rest }: SigningTrial): object => ({
    ...rest,
    error: error === undefined ? null : { ...describeFailure(error), hint: hintOf(error) ?? null },
  });
  return {
    token: describeTokenReference(check.token),
    subject: formatName(check.certificate.subject),
    ok: check.ok,
    openMilliseconds: check.openMilliseconds,
    trials: check.trials.map(trial),
    pin: check.pin ?? null,
    warnings: check.warnings,
  };
}
