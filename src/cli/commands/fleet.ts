import type { Command } from 'commander';
import type { InventoryOptions } from '../inventory.js';
import { declareCommand } from '../program.js';

/** The options of `fleet check`. */
export interface FleetCheckOptions extends InventoryOptions {
  readonly ctl?: string;
  readonly itl?: readonly string[];
  readonly cluster?: string;
  readonly lost?: string;
}

/** Declares the commands of the group `fleet`. */
export function declareFleetCommands(group: Command): void {
  declareCommand<FleetCheckOptions>(
    group,
    'check',
    'what each phone of an inventory holds, and would make of a CTL and ITL; exit 0 if none is lost',
    (command) => {
      declareInventoryOptions(command);
      command
        .option('--ctl <file>', 'the CTL that the phones are offered')
        .option('--itl <file...>', 'the ITL that they are offered; several where TFTP nodes have one each')
        .option('--cluster <file>', 'the cluster file: its TVS servers answer; without it TVS vouches for every signer')
        .option(
          '--lost <file.csv>',
          'write the phones that are lost, with all their columns, verdict, rule and reason',
        );
    },
    async (_operands, options, output) => (await import('./fleet-check.js')).checkFleet(options, output),
  );
}

/** Declares the options with which a command reads an inventory of phones. */
export function declareInventoryOptions(command: Command): void {
  command
    .requiredOption(
      '--phones <file...>',
      'the inventory: CSV (device, model, CTL SHA-1, ITL SHA-1, TVS servers, Security by Default), or logs with the ' +
        "phones' DeviceTLInfo alarms",
    )
    .option('--lists <folder>', 'trust lists that phones may hold, found by SHA-1 or MD5')
    .option('--strict', 'refuse an inventory with lines that cannot be used');
}
