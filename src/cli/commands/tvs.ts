import type { Command } from 'commander';
import type { OutputOptions } from '../output.js';
import { declareCommand } from '../program.js';

/** The options of `tvs serve`. */
export interface TvsServeOptions extends OutputOptions {
  readonly cluster: string;
  readonly node?: string;
  readonly ctl?: string;
  readonly host: string;
  readonly port: string;
  readonly legacyTls?: boolean;
  readonly keyPasswordFile?: string;
}

/** The options of `tvs query` and `tvs verify`. */
export interface TvsAskOptions extends OutputOptions {
  readonly certificate?: string;
  readonly list?: string;
  readonly serverCertificate?: string;
  readonly device: string;
  readonly timeout: string;
  readonly legacyTls?: boolean;
}

/** Declares the commands of the group `tvs`. */
export function declareTvsCommands(group: Command): void {
  declareCommand<TvsServeOptions>(
    group,
    'serve',
    'answer phones as the Trust Verification Service of a node, until interrupted',
    (command) =>
      command
        .requiredOption('--cluster <file>', 'the cluster file: certificates, keys and trust stores')
        .option('--node <name>', 'the node to be; the first one with a TVS certificate and its key unless told')
        .option('--ctl <file>', 'the CTL file of the server, read again whenever it changes')
        .option('--host <address>', 'where to listen', '127.0.0.1')
        .option('--port <number>', 'where to listen; 0 takes a free port', '2445')
        .option('--legacy-tls', 'also allow TLS 1.0 with AES256-SHA, which old phones need and which is weak')
        .option('--key-password-file <file>', 'the password of an encrypted key file'),
    async (_operands, options, output) => (await import('./tvs-serve.js')).serveTvs(options, output),
  );
  declareCommand<TvsAskOptions>(
    group,
    'query <server>',
    'ask HOST[:PORT] for the certificate of a signer: exit 0 if it is trusted, else 1',
    (command) => {
      command
        .option('--certificate <file>', 'ask for the signer with this certificate')
        .option('--list <file>', 'ask for the signer of this CTL or ITL');
      declareAskOptions(command);
    },
    async ([server = ''], options, output) => (await import('./tvs-ask.js')).queryTvs(server, options, output),
  );
  declareCommand<TvsAskOptions>(
    group,
    'verify <server> <file>',
    'ask HOST[:PORT] whether it knows a certificate: exit 0 if it is trusted, else 1',
    declareAskOptions,
    async ([server = '', path = ''], options, output) =>
      (await import('./tvs-ask.js')).verifyByTvs(server, path, options, output),
  );
}

function declareAskOptions(command: Command): void {
  command
    .option('--server-certificate <file>', 'the TVS certificate that the server must show')
    .option('--device <name>', 'who asks, as CP-<model>-SEP<MAC>', 'CP-8861-SEP000000000000')
    .option('--timeout <seconds>', 'for the connection, and for the answer', '5')
    .option('--legacy-tls', 'also allow TLS 1.0, which old servers need');
}
