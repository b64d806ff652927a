import { printable } from '../../bytes/index.js';
import { DeviceError } from '../../errors.js';
import {
  chooseToken,
  matchesToken,
  surveyTokens,
  wantedUri,
  type TokenInfo,
  type TokenSurvey,
} from '../../token/index.js';
import { exitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import { moduleOf, namesToken, tokenChoice } from '../token-choice.js';
import { describeFailure, describeTokenWithContents, formatFailure } from '../token-document.js';
import type { TokenCommandOptions } from './token.js';

/** `token list`. @throws DeviceError `no-token` when there is none; after the list, why a token could not be read */
export async function showTokens(options: TokenCommandOptions, output: Output): Promise<number> {
  const choice = tokenChoice(options);
  const wanted = wantedUri(choice);
  const survey = await surveyTokens(moduleOf(choice));
  for (const warning of survey.warnings) output.warning(warning);
  for (const { path, failures } of survey.modules) {
    for (const failure of failures) output.note(formatFailure(path, failure));
  }
  if (survey.tokens.length === 0) {
    for (const reason of survey.absence) output.warning(reason);
    throw noToken(survey);
  }
  const tokens = namesToken(choice) ? survey.tokens.filter((token) => matchesToken(token, wanted)) : survey.tokens;
  // It says which tokens there are instead.
  if (tokens.length === 0) chooseToken(survey.tokens, wanted, [], survey.absence);
  if (!namesToken(choice)) for (const reason of survey.absence) output.note(reason);
  const unread = survey.unread.filter(({ token }) => tokens.includes(token));
  output.result(
    tokens.map((token) => formatToken(token, !unread.some((one) => one.token === token))).join('\n'),
    describeSurvey({ ...survey, tokens }),
  );
  const [first] = unread;
  if (first !== undefined) throw first.failure;
  return exitCode.done;
}

function noToken(survey: TokenSurvey): DeviceError {
  const asked = survey.modules.map(({ path, failures: [first] }) =>
    first === undefined ? `  ${path}: no token` : `  ${formatFailure(path, first)}`,
  );
  return new DeviceError(
    'no-token',
    `no token was found; asked were:\n${asked.join('\n')}`,
    {},
    {
      hint: 'plug the token in; on Linux pcscd must run and let you in; "token modules" shows which modules there are',
    },
  );
}

function formatToken(token: TokenInfo, isRead: boolean): string {
  const keys = token.keys.map(({ bits, type, label, alwaysAuthenticates }) => {
    const named = label === '' ? '' : ` (${label})`;
    const wants = alwaysAuthenticates === true ? ', wants a PIN for each signature' : '';
    return `${type.toUpperCase()} ${String(bits)}${named}${wants}`;
  });
  const rows = [
    [token.label === '' ? `(no label, slot ${String(token.slotId)})` : token.label, ''],
    ['  serial', token.serialNumber === '' ? '(none)' : token.serialNumber],
    ['  model', `${token.manufacturer} ${token.model}`.trim()],
    ['  PIN', token.protectedAuthenticationPath ? `${token.pin.words}, entered at the reader` : token.pin.words],
    ['  keys', keys.length > 0 ? keys.join(', ') : isRead ? 'none to be seen without the PIN' : 'could not be read'],
    ['  URI', token.uri],
  ];
  return rows
    .map(([name = '', value = '']) => `${printable(name).padEnd(9)} ${printable(value)}`.trimEnd())
    .join('\n')
    .concat('\n');
}

function describeSurvey(survey: TokenSurvey): object {
  return {
    tokens: survey.tokens.map(describeTokenWithContents),
    modules: survey.modules.map(({ path, family, library, tokenCount, failures, warnings }) => ({
      path,
      family,
      library: library ?? null,
      tokenCount,
      failures: failures.map(describeFailure),
      warnings,
    })),
    warnings: [...survey.warnings, ...survey.absence],
  };
}
