import { Option, type Command } from 'commander';
import type { WalkOptions } from '../migration-run.js';
import type { OutputOptions } from '../output.js';
import { declareCommand } from '../program.js';
import { declareTokenOptions } from '../token-options.js';
import { declareBuildOptions, declareClusterOption, declareTokenCertificates } from './ctl-options.js';
import type { PlanCommandOptions } from './migrate-plan.js';

/** Declares the commands of the group `migrate`. */
export function declareMigrateCommands(group: Command): void {
  declareCommand<PlanCommandOptions>(
    group,
    'plan',
    'the way from what is there to what is wanted, tried with every phone; exit 0 if none is lost',
    declarePlanOptions,
    async (_operands, options, output) => (await import('./migrate-plan.js')).planFromFiles(options, output),
  );
  declareCommand<OutputOptions>(
    group,
    'show <plan>',
    'what a plan does, who does each step, and which phones it loses',
    () => undefined,
    async ([path = ''], _options, output) => (await import('./migrate-show.js')).showPlan(path, output),
  );
  declareCommand<WalkOptions>(
    group,
    'apply <plan>',
    'walk a plan step by step, each checked against the live servers; run it again to go on',
    (command) => {
      declareWalkOptions(command);
      command.option('--dry-run', 'print what would be done, and do nothing');
    },
    async ([path = ''], options, output) => (await import('./migrate-apply.js')).applyPlan(path, options, output),
  );
  declareCommand<WalkOptions>(
    group,
    'undo <plan>',
    'back to the last safe state, or to a step that is named, each step checked likewise',
    (command) => {
      declareWalkOptions(command);
      command
        .option('--back-to <step>', 'the step behind which the way back ends; start is the beginning of the plan')
        .option('--dry-run', 'print what would be undone, and do nothing');
    },
    async ([path = ''], options, output) => (await import('./migrate-undo.js')).undoPlan(path, options, output),
  );
}

function declarePlanOptions(command: Command): void {
  declareClusterOption(command, true);
  command
    .addOption(
      new Option('--to <mode>', 'how the CTL is to be in the end; no-ctl: no phone holds one').choices([
        'token',
        'tokenless',
        'non-secure',
        'no-ctl',
      ]),
    )
    .option('--renew <node=certificate>', 'renew NODE=CERTIFICATE[,CERTIFICATE…]; may be repeated', collect)
    .option('--rename <node=name>', 'give a node another host name, which renews all it has; may be repeated', collect)
    .option('--to-release <release>', 'upgrade or downgrade the cluster')
    .option('--destination <file>', 'move the phones to the cluster of this cluster file')
    .option('--destination-ctl <file>', 'the CTL that the other cluster serves')
    .option(
      '--destination-itl <node=file>',
      'the ITL that a node of the other cluster serves; may be repeated',
      collect,
    )
    .option('--ctl <file>', 'the CTL that is served; left out where there is none')
    .option('--itl <node=file>', 'the ITL that a TFTP node serves (FILE alone with one node); may be repeated', collect)
    .option('--phones <file...>', 'the inventory (see "fleet check"); typical phones are taken without it')
    .option('--lists <folder>', 'trust lists that phones may hold, found by SHA-1 or MD5')
    .option('--strict', 'refuse an inventory with lines that cannot be used')
    .option('--tvs-stopped <node>', 'TVS of this node does not run, and can be started; may be repeated', collect)
    .option('--tvs-unreachable <node>', 'TVS of this node cannot be reached, and stays so; may be repeated', collect)
    .option(
      '--central-tftp <cluster=how>',
      'a cluster behind a central TFTP server: per-device or common lists',
      collect,
    )
    .option('--out <file>', 'the plan; migration.yaml unless given')
    .option('--lost <file.csv>', 'write the phones that are lost, with all their columns, step, rule and reason')
    .option('--timestamp <ISO>', 'the moment it is made, e.g. 2026-01-31T12:00:00Z (reproducible plans)')
    .option('--accept <check>', 'let one check through, by its number (A4); may be repeated', collect);
  declareTokenCertificates(command, 'certificate of a token that is not plugged in; may be repeated');
  declareTokenOptions(command);
}

function declareWalkOptions(command: Command): void {
  declareClusterOption(command, true);
  command
    .option('--work <folder>', 'journal and lists of the plan; <plan>.work beside the plan unless given')
    .option('--ctl <file>', 'the CTL that is served; unless given the TFTP servers are asked for it')
    .option('--tftp <node=host>', 'where the TFTP server of a node is, NODE=HOST[:PORT]; may be repeated', collect)
    .option('--tvs <node=host>', 'where the TVS server of a node is, NODE=HOST[:PORT]; may be repeated', collect)
    .option(
      '--tftp-folder <node=folder>',
      'a folder that the TFTP server of a node serves, to put the list there; may be repeated',
      collect,
    )
    .option('--yes', 'answer yes to every question but those of the phones; the servers are still looked at')
    .option(
      '--phones-restarted <step>',
      'all phones have restarted, as this step of the plan wants it; may be repeated',
      collect,
    );
  declareTokenCertificates(command, 'certificate of a token that is not plugged in; may be repeated');
  declareBuildOptions(command);
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}
