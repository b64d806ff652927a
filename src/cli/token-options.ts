import type { Command } from 'commander';

/** How a token is chosen on the command line (cli.md, Choosing a token). */
export interface TokenOptions {
  readonly token?: string;
  readonly module?: string;
  readonly tokenLabel?: string;
  readonly tokenSerial?: string;
  readonly pinFile?: string;
  readonly signaturePinFile?: string;
  readonly useFinalPinTry?: boolean;
}

/** Which module and token: for commands that only look. */
export function declareModuleOptions(command: Command): void {
  command
    .option('--token <uri>', 'the token, as a pkcs11: URI (RFC 7512); "token list" prints them')
    .option('--module <path>', 'the PKCS#11 module; found by itself unless given')
    .option('--token-label <label>', 'the token with this label')
    .option('--token-serial <serial>', 'the token with this serial number');
}

/** Which token, and its PIN: for commands that log in. There is no option for the PIN itself. */
export function declareLoginOptions(command: Command): void {
  declareModuleOptions(command);
  command
    .option('--pin-file <file>', 'file with the PIN; else ETOKEN_BRIDGE_PIN_FILE, ETOKEN_BRIDGE_PIN, or a prompt')
    .option('--use-final-pin-try', 'go on although a wrong PIN would lock the token');
}

/** The same for commands that sign: some keys want a second PIN. */
export function declareTokenOptions(command: Command): void {
  declareLoginOptions(command);
  command.option(
    '--signature-pin-file <file>',
    'for a key with a PIN of its own for signatures; else ETOKEN_BRIDGE_SIGNATURE_PIN_FILE, ETOKEN_BRIDGE_SIGNATURE_PIN, or a prompt',
  );
}
