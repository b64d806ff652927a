import type { Command } from 'commander';

/** How a server is reached over SFTP, and how it is told from another. */
export interface SftpOptions {
  readonly port?: string;
  readonly sftpPasswordFile?: string;
  readonly identity?: string;
  readonly identityPasswordFile?: string;
  readonly knownHosts?: string;
  readonly hostKey?: string;
  readonly timeout?: string;
}

/** The options of the commands that use SFTP. There is none for a password itself. */
export function declareSftpOptions(command: Command): void {
  command
    .option('--port <number>', 'port of the SFTP server: 22 unless given')
    .option('--sftp-password-file <file>', 'file with the password of the SFTP user; asked for unless given')
    .option('--identity <file>', 'log in with this private key instead of a password')
    .option('--identity-password-file <file>', 'file with the passphrase of --identity')
    .option('--known-hosts <file>', 'known_hosts file: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts unless given')
    .option(
      '--host-key <fingerprint>',
      "fingerprint of the server's host key (SHA256:… or MD5), instead of known_hosts",
    )
    .option('--timeout <seconds>', 'how long the server may take for one answer: 30 unless given');
}
