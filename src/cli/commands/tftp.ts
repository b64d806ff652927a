import type { Command } from 'commander';
import type { OutputOptions } from '../output.js';
import { declareCommand } from '../program.js';

/** The options of `tftp serve`. */
export interface ServeOptions extends OutputOptions {
  readonly host: string;
  readonly port: string;
  readonly fallback?: readonly string[];
}

/** The options of `tftp get`. */
export interface GetOptions extends OutputOptions {
  readonly out?: string;
  readonly blksize?: string;
  readonly windowsize?: string;
}

/** Declares the commands of the group `tftp`. */
export function declareTftpCommands(group: Command): void {
  declareCommand<ServeOptions>(
    group,
    'serve <folder>',
    'serve the files of a folder by TFTP, for reading only, until Ctrl-C; prints the address it listens on',
    (command) =>
      command
        .option('--host <address>', 'the address to listen on; 0.0.0.0 is all of this machine', '127.0.0.1')
        .option('--port <port>', 'the UDP port to listen on; 0 is any that is free', '69')
        .option(
          '--fallback <server...>',
          'servers (host or host:port) that are asked in this order for files the folder lacks',
        ),
    async ([folder = ''], options, output) => (await import('./tftp-serve.js')).serveTftp(folder, options, output),
  );
  declareCommand<GetOptions>(
    group,
    'get <server> <name>',
    'fetch a file by TFTP from host or host:port; exit code 1 when the server does not have it',
    (command) =>
      command
        .option('--out <file>', 'where it is written; unless given the last part of its name, in this folder')
        .option('--blksize <bytes>', 'block size to ask for, 8 to 65464 (RFC 2348); 1428 unless given')
        .option('--windowsize <blocks>', 'blocks to ask for before each acknowledgement (RFC 7440); 1 unless given'),
    async ([server = '', name = ''], options, output) =>
      (await import('./tftp-get.js')).getByTftp(server, name, options, output),
  );
}
