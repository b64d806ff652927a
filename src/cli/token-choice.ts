import { printable } from '../bytes/index.js';
import { InputError } from '../errors.js';
import {
  chooseToken,
  matchesToken,
  nameToken,
  parseTokenUri,
  Pin,
  pinFromEnvironment,
  readPinFile,
  readPinSource,
  signaturePinVariable,
  surveyTokens,
  takesUserPinForSignatures,
  wantedUri,
  type ListTokensOptions,
  type PinReading,
  type PinRequest,
  type TokenInfo,
  type TokenUri,
} from '../token/index.js';
import type { Output } from './output.js';
import { askSecret, isInteractive } from './prompts.js';
import type { TokenOptions } from './token-options.js';

/** Which token was asked for, by options or environment, in the terms of the token room. */
export interface TokenChoice {
  readonly uri?: TokenUri;
  readonly modulePath?: string;
  readonly tokenLabel?: string;
  readonly tokenSerial?: string;
}

/**
 * The token that the options name, else the environment (cli.md, Choosing a token). ETOKEN_BRIDGE_MODULE is read by the
 * token room itself.
 *
 * @throws InputError `bad-uri`
 */
export function tokenChoice(options: TokenOptions, environment: NodeJS.ProcessEnv = process.env): TokenChoice {
  const named = options.token ?? (hasSingleOptions(options) ? undefined : nonEmpty(environment['ETOKEN_BRIDGE_TOKEN']));
  const isUri = named !== undefined && (options.token !== undefined || /^pkcs11:/i.test(named));
  const label = options.tokenLabel ?? (isUri ? undefined : named);
  const uri = isUri ? parseTokenUri(named) : undefined;
  refuseContradiction('--module', options.module, uri?.modulePath);
  refuseContradiction('--token-label', label, uri?.token);
  refuseContradiction('--token-serial', options.tokenSerial, uri?.serial);
  return {
    ...(uri === undefined ? {} : { uri }),
    ...(options.module === undefined ? {} : { modulePath: options.module }),
    ...(label === undefined ? {} : { tokenLabel: label }),
    ...(options.tokenSerial === undefined ? {} : { tokenSerial: options.tokenSerial }),
  };
}

/** Of two answers, one would win silently, and a PIN meant for one token would be tried on another. */
function refuseContradiction(option: string, given: string | undefined, inUri: string | undefined): void {
  if (given === undefined || inUri === undefined || given === inUri) return;
  throw new InputError('usage', `--token names "${printable(inUri)}", and ${option} names "${printable(given)}"`, {
    hint: 'name the token once',
  });
}

/** Whether a choice names a token, not only a module. */
export function namesToken({ uri, tokenLabel, tokenSerial }: TokenChoice): boolean {
  const { modulePath, moduleName, pinSource, ...words } = uri ?? {};
  return tokenLabel !== undefined || tokenSerial !== undefined || Object.keys(words).length > 0;
}

/** The module that a choice names, for functions that look at all of its tokens. */
export function moduleOf({ uri, modulePath = uri?.modulePath }: TokenChoice): ListTokensOptions {
  const moduleName = uri?.moduleName;
  return {
    ...(modulePath === undefined ? {} : { modulePath }),
    ...(moduleName === undefined ? {} : { uri: { moduleName } }),
  };
}

/**
 * Throws when nothing was found because no token is there, or not the one that was named. Else it notes why more tokens
 * may be there than can be seen.
 *
 * @throws DeviceError `no-token`, `token-not-found`
 */
export async function requireToken(choice: TokenChoice, output: Output): Promise<void> {
  const wanted = wantedUri(choice);
  const { tokens, absence } = await surveyTokens(moduleOf(choice));
  if (!tokens.some((token) => matchesToken(token, wanted))) chooseToken(tokens, wanted, [], absence);
  for (const reason of absence) output.note(reason);
}

/**
 * Throws when a PIN that nobody types would be tried on several tokens: it is right for one of them at the most.
 *
 * @throws DeviceError `several-tokens`, `no-token`, `token-not-found`, and the failure of a module when none shows any
 *   token
 */
export async function requireOneToken(choice: TokenChoice): Promise<void> {
  const { tokens, modules, absence } = await surveyTokens(moduleOf(choice));
  const [failure] = modules.flatMap(({ failures }) => failures);
  if (tokens.length === 0 && failure !== undefined) throw failure;
  chooseToken(tokens, wantedUri(choice), [], absence);
}

function hasSingleOptions({ tokenLabel, tokenSerial }: TokenOptions): boolean {
  return tokenLabel !== undefined || tokenSerial !== undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

/** The file that holds the PIN, where one was named. */
export function pinFileOf(
  options: TokenOptions,
  choice: TokenChoice,
  environment: NodeJS.ProcessEnv = process.env,
): string | undefined {
  const source = choice.uri?.pinSource;
  if (source !== undefined) return source.kind === 'file' ? source.path : undefined;
  return options.pinFile ?? nonEmpty(environment['ETOKEN_BRIDGE_PIN_FILE']);
}

/** Whether the PIN is in a file or a variable, so that no person is asked for it. */
export function isPinGiven(
  options: TokenOptions,
  choice: TokenChoice,
  environment: NodeJS.ProcessEnv = process.env,
): boolean {
  return (
    choice.uri?.pinSource !== undefined ||
    pinFileOf(options, choice, environment) !== undefined ||
    pinFromEnvironment(environment) !== undefined
  );
}

/** Whether a person at a terminal will be asked for the PIN. */
export function asksForPin(
  options: TokenOptions,
  choice: TokenChoice,
  environment: NodeJS.ProcessEnv = process.env,
): boolean {
  return !isPinGiven(options, choice, environment) && isInteractive();
}

/** What a PIN is called where a person is asked for it. */
export interface PinWords {
  readonly called: string;
  readonly atReader: (name: string) => string;
}

const loginWords: PinWords = { called: 'PIN', atReader: (name) => `enter the PIN of ${name} at its reader` };

/**
 * Finds the PIN of a token: pin-source of the URI, --pin-file, ETOKEN_BRIDGE_PIN_FILE, ETOKEN_BRIDGE_PIN, else a prompt
 * that names the token. What is to be known of the module is said before, each thing once.
 */
export function pinRequest(
  options: TokenOptions,
  choice: TokenChoice,
  output: Output,
  environment: NodeJS.ProcessEnv = process.env,
  words: PinWords = loginWords,
): PinRequest {
  const from = async (token: TokenInfo): Promise<PinReading | undefined> => {
    if (choice.uri?.pinSource !== undefined) return readPinSource(choice.uri.pinSource, environment);
    const file = pinFileOf(options, choice, environment);
    if (file !== undefined) return readPinFile(file);
    const pin = pinFromEnvironment(environment);
    if (pin !== undefined) return { pin };
    if (!token.protectedAuthenticationPath) return { pin: await promptForPin(token, words) };
    output.instruction(words.atReader(nameToken(token)));
    return undefined;
  };
  return withWarnings(output, from);
}

/**
 * Finds the PIN that a key wants for each signature: --signature-pin-file, ETOKEN_BRIDGE_SIGNATURE_PIN_FILE,
 * ETOKEN_BRIDGE_SIGNATURE_PIN, the user's PIN where the token is known to take that, the reader, else a prompt. No other
 * PIN is taken for it: a wrong one would cost a try.
 */
export function signaturePinRequest(
  options: TokenOptions,
  output: Output,
  environment: NodeJS.ProcessEnv = process.env,
): PinRequest {
  return withWarnings(output, async (token) => {
    const file = options.signaturePinFile ?? nonEmpty(environment[`${signaturePinVariable}_FILE`]);
    if (file !== undefined) return readPinFile(file);
    const pin = pinFromEnvironment(environment, signaturePinVariable);
    if (pin !== undefined) return { pin };
    if (takesUserPinForSignatures(token)) return undefined;
    if (token.protectedAuthenticationPath) {
      output.instruction(`enter the PIN for signatures of ${nameToken(token)} at its reader`);
      return undefined;
    }
    // Without a terminal the token room says what is missing.
    if (!isInteractive()) return undefined;
    return { pin: await typedPin(`PIN for signatures of ${nameToken(token)}`, '') };
  });
}

/** What was said already, for each command. */
const saidBy = new WeakMap<Output, Set<string>>();

/** What is to be known is said before the PIN is used, each thing once. */
function withWarnings(output: Output, from: (token: TokenInfo) => Promise<PinReading | undefined>): PinRequest {
  const said = saidBy.get(output) ?? new Set<string>();
  saidBy.set(output, said);
  return async (token, warnings) => {
    for (const warning of warnings) {
      if (!said.has(warning)) output.warning(warning);
      said.add(warning);
    }
    const reading = await from(token);
    if (reading?.warning !== undefined) output.warning(reading.warning);
    return reading?.pin;
  };
}

function promptForPin(token: TokenInfo, { called }: PinWords): Promise<Pin> {
  const low = token.pin.state === 'ok' ? '' : ` (${token.pin.words})`;
  return typedPin(
    `${called} of ${nameToken(token)}${low}`,
    'give --pin-file FILE, ETOKEN_BRIDGE_PIN_FILE, ETOKEN_BRIDGE_PIN, or pin-source in the URI',
  );
}

/** A PIN from the terminal. @param otherwise what to do where there is none. */
export async function typedPin(message: string, otherwise: string): Promise<Pin> {
  const answer = await askSecret(message, otherwise);
  if (answer === '') throw new InputError('missing-option', 'no PIN was given; none was tried');
  return new Pin(answer);
}
