import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { parseWhole } from '../endpoint.js';
import type { VerifyingOptions } from '../file-keys.js';
import type { FileSigningOptions } from '../file-signers.js';
import type { OutputOptions } from '../output.js';
import { declareClusterOption, declareSigningOptions } from './ctl-options.js';

/** What every command for many files has. */
export interface BulkOptions extends OutputOptions {
  readonly out?: string;
  readonly jobs?: string;
}

export interface SignOptions extends FileSigningOptions, BulkOptions {
  readonly continue?: boolean;
}

export interface WatchOptions extends FileSigningOptions {
  readonly out?: string;
  readonly settle: string;
  readonly poll?: string;
  readonly once?: boolean;
  readonly remove?: boolean;
}

export interface EncryptOptions extends SignOptions {
  readonly phoneCertificate?: string;
  readonly phoneCertificates?: string;
}

export interface VerifyOptions extends Omit<BulkOptions, 'out'>, VerifyingOptions {}

/** `--continue` changes nothing: equal bytes are always left as they are. */
export interface StripOptions extends BulkOptions, VerifyingOptions {
  readonly continue?: boolean;
}

export interface DecryptOptions extends StripOptions {
  readonly key: string;
  readonly keyPasswordFile?: string;
}

/** `--jobs`, and `--out` for commands that write. */
export function declareBulkOptions(command: Command, writes: boolean): void {
  if (writes)
    command.option('--out <folder>', 'write here, with the tree of each folder; beside each file unless given');
  command.option('--jobs <number>', 'so many files at a time, 1 to 256');
}

/** Which key signs, and how. */
export function declareFileKeyOptions(command: Command): void {
  declareSigningOptions(command, {
    digest: 'digest of the signatures; sha1 unless given, which all phones know',
    timestamp: 'TIMESTAMP of the signed files',
  });
  declareClusterOption(command, false);
  command.option(
    '--node <name>',
    'with --cluster: sign with the CallManager key of this node; of the publisher unless given',
  );
}

/** The same for commands that go over files once. */
export function declareFileSigningOptions(command: Command): void {
  declareFileKeyOptions(command);
  command.option('--continue', 'leave what an earlier run has finished, told by its content, and do the rest');
}

/** The same words for commands that write what the content of a file says, and nothing of today. */
export function declareContinueOption(command: Command): void {
  command.option('--continue', 'leave what an earlier run has finished, which is always done here, and do the rest');
}

/** Which keys may have signed. */
export function declareVerifyingOptions(command: Command): void {
  command
    .option('--ctl <file>', 'the CTL of the phones: signers are looked up in it, as phones do (P12)')
    .option('--itl <file>', 'the ITL of the phones: signers that the CTL has not are looked up in it')
    .option('--certificate <file>', 'the certificate of the signer, instead of lists');
}

/** A token gathers what is asked of it; a key in memory uses every processor while other files wait for the disk. */
export function jobsOf({ jobs }: BulkOptions, usesToken: boolean): number {
  if (jobs !== undefined) return parseWhole(jobs, '--jobs', 1, 256);
  return usesToken ? 64 : Math.max(16, 2 * availableParallelism());
}
