import type { Command } from 'commander';
import type { OutputOptions } from '../output.js';
import { declareCommand } from '../program.js';

/** What a virtual phone is, and what it holds. */
export interface PhoneOptions extends OutputOptions {
  readonly mac: string;
  readonly model: string;
  readonly securityByDefault: boolean;
  readonly encryptedConfiguration?: boolean;
  readonly ctl?: string;
  readonly itl?: string;
  readonly tvs?: readonly string[];
}

/** The options of `phone boot`. */
export interface BootOptions extends PhoneOptions {
  readonly save?: string;
  readonly log?: boolean;
}

/** The options of `phone clusters`. */
export interface ClustersOptions extends PhoneOptions {
  readonly cluster?: string;
}

/** Declares the commands of the group `phone`. */
export function declarePhoneCommands(group: Command): void {
  declareCommand<BootOptions>(
    group,
    'boot <server>',
    'one virtual phone boots from a TFTP server, HOST or HOST:PORT; exit 0 if it takes its configuration',
    (command) => {
      declarePhone(command);
      command
        .option('--save <folder>', 'keep the lists that the phone holds afterwards, for the next boot')
        .option('--log', 'also print the console log of the phone');
    },
    async ([server = ''], options, output) => (await import('./phone-boot.js')).bootPhone(server, options, output),
  );
  declareCommand<PhoneOptions>(
    group,
    'offer <file...>',
    'offer one virtual phone files in this order; exit 0 if it takes all of them',
    declarePhone,
    async (files, options, output) => (await import('./phone-offer.js')).offerFiles(files, options, output),
  );
  declareCommand<ClustersOptions>(
    group,
    'clusters <name=folder...>',
    'whose lists one virtual phone would take, of several clusters; exit 0 if those of one at least',
    (command) => {
      declarePhone(command);
      command.option('--cluster <file>', 'the cluster file of the cluster that the phone leaves: its TVS answers');
    },
    async (clusters, options, output) =>
      (await import('./phone-clusters.js')).askForClusters(clusters, options, output),
  );
}

function declarePhone(command: Command): void {
  command
    .option('--ctl <file>', 'the CTL that the phone holds; none unless given')
    .option('--itl <file>', 'the ITL that the phone holds; none unless given')
    .option(
      '--tvs <server>',
      'a TVS server of its configuration, HOST or HOST:PORT; three at most',
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    )
    .option('--mac <hex>', 'its MAC address', '001122334455')
    .option('--model <name>', 'its model, as TVS is told', 'CP-8861')
    .option('--no-security-by-default', 'a device without Security by Default: no ITL, no TVS (P11)')
    .option('--encrypted-configuration', 'a device whose configuration is encrypted');
}
