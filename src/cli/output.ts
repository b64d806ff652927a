import { printable } from '../bytes/index.js';
import {
  DeviceError,
  EtokenBridgeError,
  FormatError,
  InputError,
  ProofError,
  RefusalError,
  type DeviceErrorCode,
} from '../errors.js';
import { Interrupted } from './exit-code.js';

/** Where a command's words go. */
export interface Streams {
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** The options that every command has. */
export interface OutputOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly color?: boolean;
  readonly debug?: boolean;
}

/** For a key file that is encrypted. */
export const passwordHint = 'give the file with the right password as --key-password-file FILE';

/** Hints of the library in the words of the command, where options say more. */
const hints: Readonly<Partial<Record<DeviceErrorCode | 'bad-password', string>>> = {
  'several-tokens': 'give one of these URIs with --token, in quotes',
  'token-not-found': 'give one of these URIs with --token, in quotes, or plug in the token that is meant',
  'several-keys': 'add the id or object of one of them to the URI of --token',
  'certificate-not-found': 'give the certificate of this key with --certificate FILE',
  'bad-password': passwordHint,
};

/** Results on standard output, everything else on standard error. */
export class Output {
  readonly json: boolean;
  readonly #quiet: boolean;
  readonly #color: boolean;
  readonly #streams: Streams;

  constructor(options: OutputOptions, streams: Streams = process, environment: NodeJS.ProcessEnv = process.env) {
    this.json = options.json === true;
    this.#quiet = options.quiet === true;
    const wanted = options.color !== false && (environment['NO_COLOR'] ?? '') === '';
    this.#color = wanted && streams.stderr.isTTY === true;
    this.#streams = streams;
  }

  /** The result: text, or with --json one document. */
  result(text: string, document: unknown): void {
    this.#streams.stdout.write(this.json ? formatJson(document) : text);
  }

  /** One thing that happened, of a command that goes on: a line of text, or with --json a document on one line. */
  event(text: string, document: unknown): void {
    this.#streams.stdout.write(this.json ? formatJson(document, 0) : `${printable(text)}\n`);
  }

  /** Something to know on the way. Left out with --quiet. */
  note(text: string): void {
    if (!this.#quiet) this.#streams.stderr.write(`${printableLines(text)}\n`);
  }

  /** Something to read before going on. Not left out. */
  warning(text: string): void {
    this.#streams.stderr.write(`${this.#paint('33', 'warning:')} ${printable(text)}\n`);
  }

  /** What a person has to do now. Not left out. */
  instruction(text: string): void {
    this.#streams.stderr.write(`${printableLines(text)}\n`);
  }

  /** How far a longer work is: one line that replaces itself, on a terminal only. */
  progress(done: number, total: number, what: string): void {
    if (this.#quiet || this.#streams.stderr.isTTY !== true) return;
    const line = done < total ? `${what}: ${String(done)} of ${String(total)}` : '';
    this.#streams.stderr.write(`\r\u001b[K${line}`);
  }

  /** Why the command ends without having done its work. */
  error(error: unknown, debug: boolean): void {
    const { stderr } = this.#streams;
    if (error instanceof Interrupted) {
      stderr.write('interrupted\n');
      return;
    }
    stderr.write(`${this.#paint('31', 'error:')} ${formatMessage(error)}\n`);
    const hint = hintOf(error, debug);
    if (hint !== undefined) stderr.write(`${this.#paint('36', 'hint:')} ${printableLines(hint)}\n`);
    if (debug && error instanceof Error) stderr.write(`${printableLines(error.stack ?? '')}\n`);
  }

  #paint(code: string, text: string): string {
    return this.#color ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

function formatMessage(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const check = checkOf(error);
  const text = check === undefined ? message : `refused (${check}): ${message}`;
  // Lists of tokens and of problems have lines of their own. Elsewhere a line break comes from a file.
  return error instanceof DeviceError || error instanceof InputError ? printableLines(text) : printable(text);
}

/** The number of the check that an error stands for, or the word where there is none. */
function checkOf(error: unknown): string | undefined {
  if (error instanceof RefusalError) return error.code;
  return error instanceof ProofError && error.code === 'key-mismatch' ? 'A9' : undefined;
}

function hintOf(error: unknown, debug: boolean): string | undefined {
  if (error instanceof DeviceError) return hints[error.code] ?? error.hint;
  if (error instanceof FormatError && error.code === 'bad-password') return hints[error.code];
  if (error instanceof EtokenBridgeError) return error.hint;
  return debug ? undefined : 'this is a defect of etoken-bridge; run again with --debug and report what it prints';
}

/** Messages may list things on lines of their own; nothing else in them may move the cursor. */
function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** JSON leaves control characters above 127 and direction marks as they are; a terminal would obey them. */
function formatJson(document: unknown, indent = 2): string {
  const escape = (character: string): string =>
    Array.from(
      { length: character.length },
      (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`,
    ).join('');
  const text = JSON.stringify(document, undefined, indent);
  return `${text.replaceAll(/(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu, escape)}\n`;
}

/** Rows in columns as wide as their widest cell, two blanks apart. */
export function formatTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [titles, ...rows.map((row) => row.map(printable))];
  const widths = titles.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
    .concat('\n');
}
