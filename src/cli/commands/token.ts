import { Option, type Command } from 'commander';
import type { OutputOptions } from '../output.js';
import { declareCommand } from '../program.js';
import { declareLoginOptions, declareModuleOptions, declareTokenOptions, type TokenOptions } from '../token-options.js';

/** The options of the commands that look at tokens. */
export interface TokenCommandOptions extends OutputOptions, TokenOptions {
  readonly all?: boolean;
  readonly login?: boolean;
  readonly out?: string;
  readonly format?: 'der' | 'pem';
  readonly certificate?: string;
  readonly newPinFile?: string;
  readonly interval?: string;
}

/** Declares the commands of the group `token`. */
export function declareTokenCommands(group: Command): void {
  declareCommand<TokenCommandOptions>(
    group,
    'modules',
    'where a PKCS#11 module was looked for and what was found',
    (command) =>
      command
        .option('--module <path>', 'look at this module only')
        .option('--all', 'also the places where nothing was found'),
    async (_operands, options, output) => (await import('./token-modules.js')).showModules(options, output),
  );
  declareCommand<TokenCommandOptions>(
    group,
    'list',
    'tokens: label, serial, model, PIN state in words, key sizes, URI',
    declareModuleOptions,
    async (_operands, options, output) => (await import('./token-list.js')).showTokens(options, output),
  );
  declareCommand<TokenCommandOptions>(
    group,
    'certificates',
    'the SAST certificates on the tokens, and whether the private key is there',
    (command) => {
      declareLoginOptions(command);
      command.option('--login', 'log in to each token, to see private keys that are hidden without the PIN');
    },
    async (_operands, options, output) => (await import('./token-certificates.js')).showCertificates(options, output),
  );
  declareCommand<TokenCommandOptions>(
    group,
    'export',
    'write each SAST certificate to <CN>.cer, ready for upload to Phone-SAST-trust',
    (command) => {
      declareLoginOptions(command);
      command
        .option('--login', 'log in to each token, to find certificates that are hidden without the PIN')
        .requiredOption('--out <folder>', 'where the files are written; made when it is not there')
        .addOption(new Option('--format <format>', 'der or pem').choices(['der', 'pem']).default('der'));
    },
    async (_operands, options, output) => (await import('./token-export.js')).exportCertificates(options, output),
  );
  declareCommand<TokenCommandOptions>(
    group,
    'check',
    'sign and verify a random challenge with each digest; what works, how long it took, and the PIN state',
    (command) => {
      declareTokenOptions(command);
      command.option('--certificate <file>', 'the certificate of the key, for a token that has none');
    },
    async (_operands, options, output) => (await import('./token-check.js')).showCheck(options, output),
  );
  declareCommand<TokenCommandOptions>(
    group,
    'watch',
    'which tokens are there, then each that is plugged in or pulled out, until Ctrl-C',
    (command) => {
      declareModuleOptions(command);
      command.option('--interval <seconds>', 'how long to wait between two looks', '2');
    },
    async (_operands, options, output) => (await import('./token-watch.js')).showWatch(options, output),
  );
  declareCommand<TokenCommandOptions>(
    group,
    'change-pin',
    "change the PIN of a token's user",
    (command) => {
      declareModuleOptions(command);
      command
        .option('--pin-file <file>', 'file with the present PIN; else as for commands that sign')
        .option('--new-pin-file <file>', 'file with the new PIN; else it is asked for twice')
        .option('--use-final-pin-try', 'go on although a wrong PIN would lock the token');
    },
    async (_operands, options, output) => (await import('./token-change-pin.js')).changePin(options, output),
  );
}
