import { Option, type Command } from 'commander';
import type { OutputOptions } from '../output.js';
import { declareCommand } from '../program.js';

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
          (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
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
}
