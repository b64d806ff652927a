import { printable } from '../bytes/index.js';
import { EtokenBridgeError, RefusalError } from '../errors.js';

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
    this.#streams.stdout.write(this.json ? `${JSON.stringify(document, undefined, 2)}\n` : text);
  }

  /** Something to know on the way. Left out with --quiet. */
  note(text: string): void {
    if (!this.#quiet) this.#streams.stderr.write(`${text}\n`);
  }

  /** Something to read before going on. Not left out. */
  warning(text: string): void {
    this.#streams.stderr.write(`${this.#paint('33', 'warning:')} ${printable(text)}\n`);
  }

  /** Why the command ends without having done its work. */
  error(error: unknown, debug: boolean): void {
    const { stderr } = this.#streams;
    const known = error instanceof EtokenBridgeError;
    const check = error instanceof RefusalError ? `refused (${error.code}): ` : '';
    const message = error instanceof Error ? error.message : String(error);
    stderr.write(`${this.#paint('31', 'error:')} ${check}${printableLines(message)}\n`);
    if (known && error.hint !== undefined)
      stderr.write(`${this.#paint('36', 'hint:')} ${printableLines(error.hint)}\n`);
    if (debug && error instanceof Error) stderr.write(`${printableLines(error.stack ?? '')}\n`);
    else if (!known)
      stderr.write(
        `${this.#paint('36', 'hint:')} this is a defect of etoken-bridge; run again with --debug and report what it prints\n`,
      );
  }

  #paint(code: string, text: string): string {
    return this.#color ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

/** Messages may list things on lines of their own; nothing else in them may move the cursor. */
function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
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
