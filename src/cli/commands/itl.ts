import { Option, type Command } from 'commander';
import { declareCommand } from '../program.js';
import { declareClusterOption, declareListOptions, declareSigningOptions } from './ctl-options.js';
import { collect, declareDeviceOptions, declareHashOption, type ItlOptions } from './itl-options.js';
import type { BackupOptions } from './itl-backup.js';
import type { RemoteKeyOptions } from './itl-remotekey.js';
import { declareSftpOptions } from '../sftp-options.js';
import { declareReadingCommands } from './trust-list.js';

/** Declares the commands of the group `itl`. */
export function declareItlCommands(group: Command): void {
  declareReadingCommands(group, 'ITL');
  declareCommand<ItlOptions>(
    group,
    'create',
    'the ITL of each TFTP node, signed by its CallManager, from 12.0 by the ITLRecovery of the publisher',
    (command) => {
      declareClusterOption(command, true);
      command
        .requiredOption('--out <path>', 'a folder, which gets a folder for each node; or a file, for one node')
        .option('--node <name>', 'a node; every node that runs TFTP unless given; may be repeated', collect);
      declareHashOption(command);
      declareDeviceOptions(command);
      declareSigningOptions(command);
    },
    async (_operands, options, output) => {
      await startToken(options);
      return (await import('./itl-create.js')).createItls(options, output);
    },
  );
  declareCommand<ItlOptions>(
    group,
    'empty <file>',
    'take the TFTP and TVS certificates out, as a cluster does before a rollback (P6)',
    (command) => {
      declareClusterOption(command, false);
      command.option('--out <file>', 'write there instead of updating the file');
      declareDeviceOptions(command);
      declareSigningOptions(command);
    },
    async ([path = ''], options, output) => {
      await startToken(options);
      return (await import('./itl-empty.js')).emptyItlFile(path, options, output);
    },
  );
  declareBackup(group);
  declareReset(group.command('reset').description('sign the ITL with the recovery key, for phones that lost trust'));
}

/** Declares the commands below `itl reset`. */
function declareReset(reset: Command): void {
  declareCommand<ItlOptions>(
    reset,
    'localkey',
    "sign the publisher's ITL with the cluster's own recovery key, and give it to every TFTP node",
    (command) => {
      declareClusterOption(command, true);
      command
        .requiredOption('--out <folder>', 'gets a folder for each TFTP node, with its ITLFile.tlv')
        .option('--itl <file>', "the publisher's ITL, kept as it is; made from the cluster file unless given")
        .addOption(
          new Option('--signer <name>', 'which of the two signers in the list signs; ITLRecovery unless given').choices(
            ['ITLRecovery', 'CallManager'],
          ),
        );
      declareHashOption(command);
      declareDeviceOptions(command);
      declareSigningOptions(command);
      command.addHelpText('after', resetHelp);
    },
    async (_operands, options, output) => {
      await startToken(options);
      return (await import('./itl-reset-localkey.js')).resetWithLocalKey(options, output);
    },
  );
  declareCommand<RemoteKeyOptions>(
    reset,
    'remotekey <host> <user> <path>',
    'fetch ITLRecovery.p12 by SFTP, put its key in the place of the local one, and reset with it',
    (command) => {
      declareClusterOption(command, true);
      command
        .requiredOption('--out <folder>', 'gets a folder for each TFTP node, with its ITLFile.tlv')
        .option('--itl <file>', "the publisher's ITL, kept as it is; made from the cluster file unless given")
        .option('--recovery-password-file <file>', 'file with the password of ITLRecovery.p12; asked for unless given')
        .option('--key-password-file <file>', 'file with the password of the local key, where that is encrypted');
      declareSftpOptions(command);
      declareDeviceOptions(command);
      declareListOptions(command);
      command.addHelpText('after', remoteKeyHelp);
    },
    async ([host = '', user = '', path = ''], options, output) =>
      (await import('./itl-remotekey.js')).resetWithRemoteKey({ host, user, path }, options, output),
  );
}

/** Declares `itl backup-key`. */
function declareBackup(group: Command): void {
  declareCommand<BackupOptions>(
    group,
    'backup-key',
    'write the ITLRecovery key with a password (ITLRecovery.p12) to a folder or by SFTP, and note it',
    (command) => {
      declareClusterOption(command, true);
      command
        .option('--out <folder>', 'the folder that gets ITLRecovery.p12')
        .option('--sftp <USER@HOST:PATH>', 'the server and the file or folder there that get it')
        .option('--recovery-password-file <file>', 'file with the password for ITLRecovery.p12; asked for unless given')
        .option('--key-password-file <file>', 'file with the password of the local key, where that is encrypted')
        .addOption(
          new Option('--encryption <name>', 'aes-256 unless given; 3des is the old one, for old clusters').choices([
            'aes-256',
            '3des',
          ]),
        )
        .option('--password-changed', 'write nothing, and note that earlier backups open with an old password');
      declareSftpOptions(command);
    },
    async (_operands, options, output) => (await import('./itl-backup.js')).backUpKey(options, output),
  );
}

const remoteKeyHelp = `
The key must be the one of the ITLRecovery record in the list that is signed: with --itl of that list, else
of the cluster file. Nothing is replaced before it was read, and the list was signed with it once. The old key
and certificate are kept in backups/ beside them. The host key of the server is checked against known_hosts, or
is the one that --host-key names; the password is not sent to any other server.
`;

const resetHelp = `
An ITL has two signers: the CallManager certificate of its node and the ITLRecovery certificate.
  before 12.0  CallManager signs. A reset signs the same list with ITLRecovery, and phones that no
               longer know CallManager take it. The next restart of Cisco Tftp signs with
               CallManager again, which those phones then have.
  from 12.0    ITLRecovery signs already. A reset gives every TFTP node the publisher's list with a
               new signature. Phones that know only the CallManager of it, because ITLRecovery was
               renewed, take it with --signer CallManager.
A phone whose ITL has neither takes none of them: its ITL is deleted by hand.
`;

/** A token that is named is looked for while the rest of the command is loaded. */
async function startToken(options: ItlOptions): Promise<void> {
  if (options.key === undefined) (await import('../named-token.js')).startNamedToken(options);
}
