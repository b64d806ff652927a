import { formatHex, printable } from '../../bytes/index.js';
import { DeviceError } from '../../errors.js';
import { chooseToken, matchesToken, surveyTokens, type TokenInfo, type TokenSurvey } from '../../token/index.js';
import { exitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import { moduleOf, namesToken, tokenChoice, wantedToken } from '../token-choice.js';
import type { TokenCommandOptions } from './token.js';

/** `token list`. @throws DeviceError `no-token` when there is none */
export async function showTokens(options: TokenCommandOptions, output: Output): Promise<number> {
  const choice = tokenChoice(options);
  const wanted = wantedToken(choice);
  const survey = await surveyTokens(moduleOf(choice));
  for (const warning of survey.warnings) output.warning(warning);
  for (const { path, failures } of survey.modules) {
    for (const failure of failures) output.note(`${path}: ${failure.message}`);
  }
  if (survey.tokens.length === 0) throw noToken(survey);
  const tokens = namesToken(choice) ? survey.tokens.filter((token) => matchesToken(token, wanted)) : survey.tokens;
  // It says which tokens there are instead.
  if (tokens.length === 0) chooseToken(survey.tokens, wanted);
  output.result(tokens.map(formatToken).join('\n'), describeSurvey({ ...survey, tokens }));
  return exitCode.done;
}

function noToken(survey: TokenSurvey): DeviceError {
  const asked = survey.modules.map(({ path, failures }) => `  ${path}: ${failures[0]?.message ?? 'no token'}`);
  return new DeviceError(
    'no-token',
    `no token was found; asked were:\n${asked.join('\n')}`,
    {},
    {
      hint: 'plug the token in; on Linux pcscd must run and let you in; "token modules" shows which modules there are',
    },
  );
}

function formatToken(token: TokenInfo): string {
  const keys = token.keys.map(
    ({ bits, type, label }) => `${type.toUpperCase()} ${String(bits)}${label === '' ? '' : ` (${label})`}`,
  );
  const rows = [
    [token.label === '' ? '(no label)' : token.label, ''],
    ['  serial', token.serialNumber],
    ['  model', `${token.manufacturer} ${token.model}`.trim()],
    ['  PIN', token.pin.words],
    ['  keys', keys.length === 0 ? 'none to be seen without the PIN' : keys.join(', ')],
    ['  URI', token.uri],
  ];
  return rows
    .map(([name = '', value = '']) => `${printable(name).padEnd(9)} ${printable(value)}`.trimEnd())
    .join('\n')
    .concat('\n');
}

function describeSurvey(survey: TokenSurvey): object {
  return {
    tokens: survey.tokens.map((token) => ({
      ...token,
      keys: token.keys.map((key) => ({ ...key, id: formatHex(key.id) })),
    })),
    modules: survey.modules.map(({ path, family, tokenCount, failures }) => ({
      path,
      family,
      tokenCount,
      failures: failures.map(({ code, message }) => ({ code, message })),
    })),
    warnings: survey.warnings,
  };
}
