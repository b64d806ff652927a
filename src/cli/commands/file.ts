import type { Command } from 'commander';
import { declareCommand } from '../program.js';
import {
  declareBulkOptions,
  declareContinueOption,
  declareFileKeyOptions,
  declareFileSigningOptions,
  declareVerifyingOptions,
  type DecryptOptions,
  type EncryptOptions,
  type SignOptions,
  type StripOptions,
  type VerifyOptions,
  type WatchOptions,
} from './file-options.js';

/** Declares what there is for signed and encrypted files. */
export function declareFileCommands(group: Command): void {
  declareSign(group);
  declareVerify(group);
  declareStrip(group);
  declareEncrypt(group);
  declareDecrypt(group);
  declareWatch(group);
}

function declareSign(group: Command): void {
  declareCommand<SignOptions>(
    group,
    'sign <path...>',
    'sign files for phones (.sgn), one or whole folders, with a token or a software key',
    (command) => {
      declareBulkOptions(command, true);
      declareFileSigningOptions(command);
    },
    async (paths, options, output) => (await import('./file-sign.js')).signFiles(paths, options, output),
  );
}

function declareWatch(group: Command): void {
  declareCommand<WatchOptions>(
    group,
    'watch <folder>',
    'sign what changes in a folder and below, until it is told to end: each file when nobody writes to it any more',
    (command) => {
      command
        .option('--out <folder>', 'write here, with the tree of the folder; beside each file unless given')
        .option('--settle <seconds>', 'sign a file when nothing happened to it for so long', '1')
        .option('--poll <seconds>', 'look at the whole folder so often instead of waiting for notices of the system')
        .option('--remove', 'when a file is removed, remove its signed file; kept unless given')
        .option('--once', 'sign what is to be signed now, and end');
      declareFileKeyOptions(command);
    },
    async ([folder = ''], options, output) => (await import('./file-watch.js')).watchFolder(folder, options, output),
  );
}

function declareVerify(group: Command): void {
  declareCommand<VerifyOptions>(
    group,
    'verify <path...>',
    'exit 0 if all files are signed by one whom phones believe (P12), else 1; encrypted ones too',
    (command) => {
      declareBulkOptions(command, false);
      declareVerifyingOptions(command);
    },
    async (paths, options, output) => (await import('./file-verify.js')).verifyFiles(paths, options, output),
  );
}

function declareStrip(group: Command): void {
  declareCommand<StripOptions>(
    group,
    'strip <path...>',
    'take the signature off: the plain files',
    (command) => {
      declareBulkOptions(command, true);
      declareContinueOption(command);
      declareVerifyingOptions(command);
    },
    async (paths, options, output) => (await import('./file-strip.js')).stripFiles(paths, options, output),
  );
}

function declareEncrypt(group: Command): void {
  declareCommand<EncryptOptions>(
    group,
    'encrypt <path...>',
    'encrypt configurations for their phones and sign them (.enc.sgn), with the plain file that a phone reads first (.sgn)',
    (command) => {
      command
        .option('--phone-certificate <file>', 'the certificate of the phone that all files are for')
        .option(
          '--phone-certificates <folder>',
          'a folder with SEP<MAC>.cer (.pem, .der, .crt) for each SEP<MAC>.cnf.xml',
        );
      declareBulkOptions(command, true);
      declareFileSigningOptions(command);
    },
    async (paths, options, output) => (await import('./file-encrypt.js')).encryptFiles(paths, options, output),
  );
}

function declareDecrypt(group: Command): void {
  declareCommand<DecryptOptions>(
    group,
    'decrypt <path...>',
    'decrypt files (.enc.sgn) with the private key of their phone',
    (command) => {
      command
        .requiredOption('--key <file>', 'the private key of the phone (PEM, DER or PKCS#12)')
        .option('--key-password-file <file>', 'file with the password of this key');
      declareBulkOptions(command, true);
      declareContinueOption(command);
      declareVerifyingOptions(command);
    },
    async (paths, options, output) => (await import('./file-decrypt.js')).decryptFiles(paths, options, output),
  );
}
