#!/usr/bin/env node
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { DeviceError, EtokenBridgeError, InputError } from 'etoken-bridge';
import { createTokens } from './create-command.js';
import { findSoftHsm, missingSoftHsm } from './find.js';
import { installSoftHsm } from './install.js';

const help = `softhsm-config - SoftHSM2 with soft eTokens for tests and trials

Usage: softhsm-config find    [--json]
       softhsm-config install [--json]
       softhsm-config create DIR [--tokens N] [--bits 1024|2048] [--pin-file FILE] [--json]

find     prints the path of SoftHSM2's library
install  finds SoftHSM2, or installs it with apt-get, dnf, apk or brew; prints the path of its library
create   makes a private SoftHSM2 configuration in DIR, and in it tokens that each have an RSA key
         and a SAST certificate; prints the environment that SoftHSM2 needs and a URI for each token

  --tokens N         how many tokens to make (2)
  --bits 1024|2048   the size of their RSA keys (2048)
  --pin-file FILE    the PIN of the tokens; without it a fresh one is written to DIR/pin.
                     The security officer's PIN is always fresh, and written to DIR/so-pin.
  --json             one JSON document instead of lines
  --help             this text

SOFTHSM2_MODULE, when set, names the library to use.
Exit codes: 0 done, 2 wrong usage or input, 3 SoftHSM2 is missing or failed.
`;

const options = {
  tokens: { type: 'string' },
  bits: { type: 'string' },
  'pin-file': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} satisfies ParseArgsConfig['options'];

type OptionName = keyof typeof options;

/** Which options a command takes beside `--json` and `--help`, and how many arguments. */
const commands: Readonly<Record<string, { readonly options: readonly OptionName[]; readonly arguments: number }>> = {
  find: { options: [], arguments: 0 },
  install: { options: [], arguments: 0 },
  create: { options: ['tokens', 'bits', 'pin-file'], arguments: 1 },
};

async function main(words: readonly string[]): Promise<void> {
  const { values, positionals } = readWords(words);
  const [command, ...rest] = positionals;
  if (values.help === true) {
    process.stdout.write(help);
    return;
  }
  checkUsage(command, rest, Object.keys(values) as OptionName[]);
  const json = values.json === true;
  if (command === 'create') {
    const outcome = await createTokens({
      directory: rest[0] ?? '',
      tokens: parseChoice('--tokens', values.tokens ?? '2', /^[1-9]\d?$/, 'a number from 1 to 99'),
      bits: parseChoice('--bits', values.bits ?? '2048', /^(1024|2048)$/, '1024 or 2048') === 1024 ? 1024 : 2048,
      pinFile: values['pin-file'],
    });
    for (const line of outcome.notes) console.error(line);
    console.log(json ? JSON.stringify(outcome.result, undefined, 2) : outcome.lines.join('\n'));
    return;
  }
  const found = command === 'install' ? await installSoftHsm({ log: (line) => console.error(line) }) : findSoftHsm();
  if (found === undefined) throw missingSoftHsm();
  console.log(json ? JSON.stringify(found, undefined, 2) : found.module);
}

function readWords(words: readonly string[]): ReturnType<typeof parseWords> {
  try {
    return parseWords(words);
  } catch (error) {
    // Only its first sentence: the others explain how to write arguments that begin with a dash.
    throw usage((error instanceof Error ? error.message : String(error)).split('. ')[0] ?? '');
  }
}

function parseWords(words: readonly string[]) {
  return parseArgs({ args: [...words], options, allowPositionals: true, strict: true });
}

function checkUsage(command: string | undefined, rest: readonly string[], given: readonly OptionName[]): void {
  if (command === undefined) throw usage('no command given');
  const known = Object.hasOwn(commands, command) ? commands[command] : undefined;
  if (known === undefined) throw usage(`there is no command ${command}`);
  const foreign = given.find((name) => name !== 'json' && name !== 'help' && !known.options.includes(name));
  if (foreign !== undefined) throw usage(`${command} has no option --${foreign}`);
  if (rest.slice(0, known.arguments).filter((word) => word !== '').length < known.arguments)
    throw usage(`${command} needs the folder to make`);
  const extra = rest[known.arguments];
  if (extra !== undefined) throw usage(`${command} does not take ${extra}`);
}

function parseChoice(option: string, text: string, pattern: RegExp, wanted: string): number {
  if (!pattern.test(text)) throw usage(`${option} ${text}: ${wanted} expected`);
  return Number(text);
}

function usage(message: string): InputError {
  return new InputError('usage', message, { hint: 'softhsm-config --help lists what there is' });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  if (error instanceof EtokenBridgeError && error.hint !== undefined) console.error(`hint: ${error.hint}`);
  process.exitCode = error instanceof EtokenBridgeError && !(error instanceof DeviceError) ? 2 : 3;
}
