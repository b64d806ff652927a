import { Option, type Command } from 'commander';
import type { OutputOptions } from '../output.js';
import { declareTokenOptions, type TokenOptions } from '../token-options.js';

/** The options of the commands that build a list. */
export interface BuildOptions extends OutputOptions, TokenOptions {
  readonly cluster?: string;
  readonly mode?: 'token' | 'tokenless';
  readonly out?: string;
  readonly serial?: string;
  readonly tokenCertificate?: readonly string[];
  readonly accept?: readonly string[];
  readonly digest?: 'sha1' | 'sha256' | 'sha512';
  readonly timestamp?: string;
  readonly key?: string;
  readonly certificate?: string;
  readonly keyPasswordFile?: string;
}

/** `--cluster FILE`. */
export function declareClusterOption(command: Command, required: boolean): void {
  const words = ['--cluster <file>', 'the cluster file (see "cluster init")'] as const;
  if (required) command.requiredOption(...words);
  else command.option(...words);
}

/** `--token-certificate FILE`, as often as wanted. */
export function declareTokenCertificates(command: Command, description: string): void {
  command.option('--token-certificate <file>', description, collect);
}

/** What every command that builds a CTL has. */
export function declareBuildOptions(command: Command): void {
  declareSigningOptions(command);
  command.option('--accept <check>', 'let one check through, by its number (A4); may be repeated', collect);
}

/** What is said of the options that tell how something is signed. */
export interface SigningWords {
  readonly digest: string;
  readonly timestamp: string;
}

const listWords: SigningWords = {
  digest: 'digest of the signature; that of the present list, else sha1',
  timestamp: 'TIMESTAMP of the list',
};

/** What every command that signs a list has; other words for one that signs something else. */
export function declareSigningOptions(command: Command, words: SigningWords = listWords): void {
  declareTokenOptions(command);
  command
    .option('--key <file>', 'sign with this software key (PEM, DER or PKCS#12) instead of a token')
    .option(
      '--certificate <file>',
      'the certificate of --key (PKCS#12 files have it inside), or of a token that holds none',
    )
    .option('--key-password-file <file>', 'file with the password of the software key');
  declareListOptions(command, words);
}

/** How a list is signed, whoever signs it. */
export function declareListOptions(command: Command, words: SigningWords = listWords): void {
  command
    .addOption(new Option('--digest <name>', words.digest).choices(['sha1', 'sha256', 'sha512']))
    .option('--timestamp <ISO>', `${words.timestamp}, e.g. 2026-01-31T12:00:00Z (reproducible builds)`);
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}
