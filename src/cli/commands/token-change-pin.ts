import { DeviceError, InputError } from '../../errors.js';
import {
  changeTokenPin,
  hintOfUncertainChange,
  nameToken,
  readPinFile,
  requireFittingPin,
  type Pin,
  type PinRequest,
  type TokenInfo,
} from '../../token/index.js';
import { exitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import {
  isPinGiven,
  pinFileOf,
  pinRequest,
  tokenChoice,
  typedPin,
  type PinWords,
  type TokenChoice,
} from '../token-choice.js';
import { describeTokenReference } from '../token-document.js';
import type { TokenCommandOptions } from './token.js';

const presentPin: PinWords = {
  called: 'present PIN',
  atReader: (name) => `enter the present PIN of ${name} at its reader, then the new one twice`,
};

/** `token change-pin`. The new PIN comes from a file or is typed twice; it is no argument and in no variable. */
export async function changePin(options: TokenCommandOptions, output: Output): Promise<number> {
  const choice = tokenChoice(options);
  let release = (): void => undefined;
  try {
    const changed = await changeTokenPin({
      ...choice,
      pin: presentPinRequest(options, choice, output),
      newPin: newPinRequest(options, choice, output),
      useFinalPinTry: options.useFinalPinTry === true,
      beforeChange: (token) => {
        release = tellWhenInterrupted(token, output);
      },
    });
    report(changed, options, choice, output);
    return exitCode.done;
  } finally {
    release();
  }
}

function report(token: TokenInfo, options: TokenCommandOptions, choice: TokenChoice, output: Output): void {
  output.result(`the PIN of ${nameToken(token)} was changed\n`, {
    changed: true,
    token: describeTokenReference(token),
    pin: token.pin,
  });
  // A PIN that is entered at the reader is in no file.
  if (!isEnteredAtReader(token, options, choice)) output.note(`next: ${whereTheOldOneIs(options, choice)}`);
}

/** Where the reader asks for the present PIN, it asks for the new one too. */
function isEnteredAtReader(token: TokenInfo, options: TokenCommandOptions, choice: TokenChoice): boolean {
  return token.protectedAuthenticationPath && !isPinGiven(options, choice);
}

function presentPinRequest(options: TokenCommandOptions, choice: TokenChoice, output: Output): PinRequest {
  const request = pinRequest(options, choice, output, process.env, presentPin);
  return async (token, warnings) => {
    if (options.newPinFile !== undefined && isEnteredAtReader(token, options, choice)) {
      throw new DeviceError(
        'pin-missing',
        `the present PIN of ${nameToken(token)} is missing: its reader asks for both PINs or for none`,
        {},
        { hint: 'leave --new-pin-file out to enter both at the reader, or give the present PIN with --pin-file FILE' },
      );
    }
    return request(token, warnings);
  };
}

function newPinRequest(options: TokenCommandOptions, choice: TokenChoice, output: Output): PinRequest {
  return async (token) => {
    if (options.newPinFile !== undefined) {
      const { pin, warning } = await readPinFile(options.newPinFile);
      if (warning !== undefined) output.warning(warning);
      return pin;
    }
    return isEnteredAtReader(token, options, choice) ? undefined : typeTwice(token);
  };
}

async function typeTwice(token: TokenInfo): Promise<Pin> {
  const name = nameToken(token);
  const { minPinLength: min, maxPinLength: max } = token;
  const length = min === undefined || max === undefined ? '' : ` (${String(min)} to ${String(max)} characters)`;
  const otherwise = 'give --new-pin-file FILE';
  const first = await typedPin(`new PIN of ${name}${length}`, otherwise);
  requireFittingPin(first, token);
  const second = await typedPin(`the new PIN of ${name} again`, otherwise);
  if (first.reveal() === second.reveal()) return first;
  throw new InputError('usage', 'the new PIN was typed differently the second time; nothing was tried', {
    hint: 'repeat the command; the present PIN still holds',
  });
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Says on Ctrl-C what is not known then, before the command ends as it always does. */
function tellWhenInterrupted(token: TokenInfo, output: Output): () => void {
  const tell = (): void =>
    output.warning(`whether the PIN of ${nameToken(token)} was changed is not known; ${hintOfUncertainChange}`);
  for (const signal of signals) process.prependOnceListener(signal, tell);
  return () => {
    for (const signal of signals) process.off(signal, tell);
  };
}

/** The old PIN, left anywhere, is a wrong try at the next run. */
function whereTheOldOneIs(options: TokenCommandOptions, choice: TokenChoice): string {
  const file = pinFileOf(options, choice);
  const here = file === undefined ? 'PIN files' : `${file} and other PIN files`;
  return `put the new PIN into ${here}, variables and services that hold the old one: each use of it is a wrong try`;
}
