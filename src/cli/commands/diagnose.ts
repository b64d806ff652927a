import { Option, type Command } from 'commander';
import type { OutputOptions } from '../output.js';
import { declareAction } from '../program.js';

/** The options of `diagnose`. */
export interface DiagnoseOptions extends OutputOptions {
  readonly itl?: string;
  readonly ctl?: string;
  readonly heldItl?: string;
  readonly heldCtl?: string;
  readonly phoneItlChecksum?: string;
  readonly phoneCtlChecksum?: string;
  readonly configuration?: string;
  readonly cluster?: string;
  readonly tvs?: readonly string[];
  readonly tvsCertificate?: readonly string[];
  readonly log?: readonly string[];
  readonly phoneVerification?: 'failed' | 'passed';
  readonly oldKeyBackup?: 'yes' | 'no';
  readonly securityByDefault: boolean;
  readonly timeout: string;
  readonly legacyTls?: boolean;
}

const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), value];

/** Declares `diagnose`. */
export function declareDiagnose(command: Command): void {
  command
    .option('--itl <file>', 'the ITL that the TFTP server serves')
    .option('--ctl <file>', 'the CTL that the TFTP server serves')
    .option('--held-itl <file>', 'the ITL that the phone holds')
    .option('--held-ctl <file>', 'the CTL that the phone holds')
    .option('--phone-itl-checksum <hex>', 'instead: its SHA-1 or MD5, as the phone shows it; none if it holds no ITL')
    .option('--phone-ctl-checksum <hex>', 'instead: its SHA-1 or MD5, as the phone shows it; none if it holds no CTL')
    .option('--configuration <file>', 'the signed configuration that the phone is served (SEP<MAC>.cnf.xml.sgn)')
    .option('--cluster <file>', 'the cluster file')
    .option('--tvs <server>', 'ask a TVS server of the phone, HOST or HOST:PORT; in its order, three at most', collect)
    .option('--tvs-certificate <file>', 'the certificate of TVS, where the server cannot be asked; repeatable', collect)
    .option('--log <file>', 'a log of the phone or of TVS, or alarms of the phone; repeatable', collect)
    .addOption(
      new Option('--phone-verification <outcome>', 'what the status messages of the phone say about its lists').choices(
        ['failed', 'passed'],
      ),
    )
    .addOption(
      new Option('--old-key-backup <answer>', 'whether a backup of the old TFTP private key exists').choices([
        'yes',
        'no',
      ]),
    )
    .option('--no-security-by-default', 'a device without Security by Default: no ITL, no TVS (P11)')
    .option('--timeout <seconds>', 'how long to wait for TVS, and for each answer', '5')
    .option('--legacy-tls', 'also allow TLS 1.0 and 1.1, for old servers')
    .addHelpText('after', exitCodesHelp);
  declareAction<DiagnoseOptions>(command, async (_operands, options, output) =>
    (await import('./diagnose-run.js')).runDiagnose(options, output),
  );
}

const exitCodesHelp = `
Exit codes: 0 nothing is wrong, 1 something is (an error or a warning was found), 2 wrong usage or input file.
`;
