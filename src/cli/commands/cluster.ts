import { Option, type Command } from 'commander';
import type { OutputOptions } from '../output.js';
import { declareCommand } from '../program.js';
import { declareOperationOptions, type OperationOptions } from './cluster-options.js';
import type { CheckOptions } from './cluster-check.js';
import type { ExportOptions } from './cluster-export.js';
import type { RenewOptions } from './cluster-renew.js';
import { declareBuildOptions } from './ctl-options.js';

/** The options of `cluster init`. */
export interface InitOptions extends OutputOptions {
  readonly release?: string;
  readonly securityMode: 'mixed' | 'non-secure';
  readonly node?: readonly string[];
  readonly lab?: boolean;
  readonly keyBits: string;
  readonly force?: boolean;
}

/** Declares the commands of the group `cluster`. */
export function declareClusterCommands(group: Command): void {
  declareCommand<InitOptions>(
    group,
    'init [folder]',
    'write a commented cluster file, with --lab also keys and certificates for it',
    (command) =>
      command
        .option('--release <release>', "release of the cluster's software: 11.5.1 unless given, 12.5(1)SU2, 14SU3, …")
        .addOption(
          new Option('--security-mode <mode>', 'security mode').choices(['mixed', 'non-secure']).default('mixed'),
        )
        .option(
          '--node <name,address[,service…]>',
          'a node, the publisher first; services are CallManager, TFTP, CAPF, TVS; may be repeated',
          collect,
        )
        .option('--lab', 'also generate keys and self-signed certificates, to practise with')
        .addOption(
          new Option('--key-bits <bits>', 'size of the keys of --lab')
            .choices(['1024', '2048', '4096'])
            .default('2048'),
        )
        .option('--force', 'replace files that are there already; they are kept in backups/'),
    async ([folder], options, output) =>
      (await import('./cluster-init.js')).initCluster(folder ?? '.', options, output),
  );
  declareCommand(
    group,
    'show <file>',
    'the nodes, services and certificates of a cluster file',
    () => undefined,
    async ([path = ''], _options, output) => (await import('./cluster-show.js')).showCluster(path, output),
  );
  declareCommand<ExportOptions>(
    group,
    'export <file>',
    'write the certificates that another cluster must be given before phones move to this one (A10)',
    (command) =>
      command
        .requiredOption('--out <folder>', 'the folder for the certificates')
        .addOption(new Option('--format <format>', 'format of the files').choices(['der', 'pem']).default('der')),
    async ([path = ''], options, output) => (await import('./cluster-export.js')).exportForMove(path, options, output),
  );
  declareCheck(group);
  declareOperations(group);
}

/** Declares `cluster check`. */
function declareCheck(group: Command): void {
  declareCommand<CheckOptions>(
    group,
    'check <file>',
    'look a cluster file through: expiry, keys, backups, lists; exit 1 when something needs attention',
    (command) =>
      command
        .option('--ctl <file>', 'the CTL to look at: CTLFile.tlv beside the cluster file unless given')
        .option('--itl <file>', 'an ITL to look at; may be repeated', collect)
        .option('--days <number>', 'warn of certificates that expire within so many days', '90')
        .option('--key-password-file <file>', 'file with the password of the private keys'),
    async ([path = ''], options, output) => (await import('./cluster-check.js')).check(path, options, output),
  );
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** Declares the operations of the cluster's own command line. */
function declareOperations(group: Command): void {
  declareCommand<OperationOptions>(
    group,
    'set <mode>',
    'set the cluster to mixed-mode or non-secure-mode, with a CTL that its own key signs',
    (command) => {
      command.registeredArguments[0]?.choices(['mixed-mode', 'non-secure-mode']);
      declareCtlOptions(command);
    },
    async ([mode], options, output) =>
      (await import('./cluster-set.js')).operateOnCtl(
        mode === 'mixed-mode' ? 'mixed-mode' : 'non-secure-mode',
        options,
        output,
      ),
  );
  declareCommand<OperationOptions>(
    group,
    'update-ctl',
    'bring the CTL up to date with the cluster file, as "utils ctl update CTLFile" does',
    declareCtlOptions,
    async (_operands, options, output) =>
      (await import('./cluster-set.js')).operateOnCtl('update-ctl', options, output),
  );
  declareRenewal(group);
}

/** Declares `cluster renew`. */
function declareRenewal(group: Command): void {
  declareCommand<RenewOptions>(
    group,
    'renew <certificate>',
    'renew a certificate of a node with a new key, or put one in its place that was issued elsewhere',
    (command) => {
      command.registeredArguments[0]?.choices(['CallManager', 'CAPF', 'TVS', 'ITLRecovery']);
      declareOperationOptions(command);
      command
        .requiredOption('--node <name>', 'the node that the certificate belongs to')
        .option('--import <file>', 'take this certificate (PEM or DER) instead of making one; it must fit the key')
        .option('--key-password-file <file>', 'file with the password of the private key')
        .option('--accept <check>', 'let a check through: A1, A7, or the five-minute rule with --accept A11', collect);
    },
    async ([certificate = ''], options, output) =>
      (await import('./cluster-renew.js')).renew(certificate, options, output),
  );
}

function declareCtlOptions(command: Command): void {
  declareOperationOptions(command);
  command.option('--ctl <file>', 'the CTL: CTLFile.tlv beside the cluster file unless given');
  declareBuildOptions(command);
}
