import { Option, type Command } from 'commander';
import type { OutputOptions } from '../output.js';
import { declareAction } from '../program.js';

/** The options of `lab`. */
export interface LabOptions extends OutputOptions {
  readonly dir?: string;
  readonly clusterMode: 'non-secure' | 'tokenless' | 'token';
  readonly release: string;
  readonly nodes: string;
  readonly phones: string;
  readonly host: string;
  readonly tftpPort: string;
  readonly tvsPort: string;
  readonly keyBits: string;
  readonly once?: boolean;
  readonly log?: boolean;
  readonly story?: string;
  readonly stories?: boolean;
}

/** Declares `lab`. */
export function declareLab(command: Command): void {
  command
    .option('--stories', 'list the stories that --story can tell')
    .option('--story <name>', 'tell one story of the tech notes, then end; only --dir, --key-bits, --log count')
    .option('--dir <folder>', 'keep keys, certificates and served files here; a temporary folder unless given')
    .addOption(
      new Option('--cluster-mode <mode>', 'who signs the CTL; none in a non-secure cluster')
        .choices(['non-secure', 'tokenless', 'token'])
        .default('non-secure'),
    )
    .option('--release <release>', "release of the cluster's software", '11.5.1')
    .option('--nodes <number>', 'how many nodes, each with TFTP and TVS', '1')
    .option('--phones <number>', 'how many virtual phones boot', '3')
    .option('--host <address>', 'where the servers listen', '127.0.0.1')
    .option('--tftp-port <number>', 'UDP port of the first TFTP server; 0 takes free ports', '0')
    .option('--tvs-port <number>', 'TCP port of the first TVS server; 0 takes free ports', '0')
    .addOption(new Option('--key-bits <bits>', 'size of the keys').choices(['1024', '2048', '4096']).default('2048'))
    .option('--log', "also print the phones' console logs")
    .option('--once', 'end when the phones have booted, instead of serving until interrupted');
  declareAction<LabOptions>(command, async (_operands, options, output) =>
    (await import('./lab-run.js')).runLab(options, output),
  );
}
