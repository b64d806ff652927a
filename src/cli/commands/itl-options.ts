import { Option, type Command } from 'commander';
import type { DigestAlgorithm } from '../../signer/index.js';
import type { LinkKind } from '../device-names.js';
import type { BuildOptions } from './ctl-options.js';

/** The options of the commands that build or sign an ITL. */
export interface ItlOptions extends BuildOptions {
  readonly node?: readonly string[];
  readonly itl?: string;
  readonly signer?: 'ITLRecovery' | 'CallManager';
  readonly hash?: DigestAlgorithm;
  readonly device?: readonly string[];
  readonly devices?: string;
  readonly link?: LinkKind;
}

/** `--hash`. */
export function declareHashOption(command: Command): void {
  const words = 'digest of the CAPF and TVS certificates, which stand in the list by their hash';
  const hash = new Option('--hash <name>', `${words}; sha1 unless given`);
  command.addOption(hash.choices(['sha1', 'sha256', 'sha512']));
}

/** The names under which phones ask for their own list. */
export function declareDeviceOptions(command: Command): void {
  command
    .option('--device <mac>', 'put the list beside it as ITLSEP<MAC>.tlv too; may be repeated', collect)
    .option('--devices <file>', 'the same for each MAC address or device name of this file, one a line')
    .addOption(
      new Option(
        '--link <kind>',
        'what ITLSEP<MAC>.tlv is: a link to the list, or a copy; symbolic unless given',
      ).choices(['symbolic', 'hard', 'copy']),
    );
}

export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}
