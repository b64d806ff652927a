import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import type { BuildOptions } from './ctl-options.js';

/** The options of the commands that change a cluster as its own command line does. */
export interface OperationOptions extends BuildOptions {
  /** `cluster.yaml` unless given. */
  readonly cluster: string;
  readonly ctl?: string;
  readonly yes?: boolean;
}

/** `--cluster FILE` of a command that changes the cluster, and `--yes`. */
export function declareOperationOptions(command: Command): void {
  command
    .option('--cluster <file>', 'the cluster file (see "cluster init")', 'cluster.yaml')
    .option('-y, --yes', 'answer the question of the cluster with yes');
}

/** Where the CTL of a cluster is, unless it is told: beside the cluster file. */
export function ctlPath(options: { readonly cluster: string; readonly ctl?: string | undefined }): string {
  return options.ctl ?? join(dirname(options.cluster), 'CTLFile.tlv');
}

/** The CTL that is there: the one that was named, or the one beside the cluster file if there is one. */
export function presentCtl(options: {
  readonly cluster: string;
  readonly ctl?: string | undefined;
}): string | undefined {
  const path = ctlPath(options);
  return options.ctl !== undefined || existsSync(path) ? path : undefined;
}
