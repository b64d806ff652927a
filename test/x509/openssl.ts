import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What one run of openssl gave. */
export interface OpensslResult {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs openssl; a password goes in by the environment (`env:PASSWORD`), not by an argument. */
export function runOpenssl(words: readonly string[], password = ''): OpensslResult {
  const result = spawnSync('openssl', words, {
    env: { ...process.env, PASSWORD: password },
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.error !== undefined) throw result.error;
  return { status: result.status, stdout: result.stdout, stderr: result.stderr.toString() };
}

/** Runs openssl, which must succeed; gives its standard output. */
export function openssl(words: readonly string[], password = ''): Buffer {
  const { status, stdout, stderr } = runOpenssl(words, password);
  if (status !== 0) throw new Error(`openssl ${words.join(' ')}: ${stderr}`);
  return stdout;
}

/** A folder of its own for the files of one test file. Call `remove` after all tests. */
export interface Folder {
  readonly path: (name: string) => string;
  readonly write: (name: string, content: string | Uint8Array) => string;
  readonly remove: () => void;
}

export function makeFolder(): Folder {
  const folder = mkdtempSync(join(tmpdir(), 'etoken-bridge-test-'));
  const path = (name: string): string => join(folder, name);
  return {
    path,
    write: (name, content) => {
      writeFileSync(path(name), content, { mode: 0o600 });
      return path(name);
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}

/** What a certificate made by openssl is to be. */
export interface OpensslRequest {
  /** As `-newkey` and `-pkeyopt` want it; an RSA key of 1024 bits unless given. */
  readonly newKey?: readonly string[];
  /** A key that is there already. */
  readonly key?: string;
  /** As `-subj` wants it, e.g. `/CN=name/O=organization`. */
  readonly subject: string;
  /** As `-set_serial` wants it: decimal, or hex with 0x. */
  readonly serial?: string;
  readonly days?: number;
  /** As `string_mask` of the configuration wants it, e.g. `utf8only` or `MASK:0x800`. */
  readonly strings?: string;
}

/** Makes a self-signed certificate and, unless it is given, its key (PKCS#8, not encrypted); gives both PEM files. */
export function makeCertificate(
  folder: Folder,
  name: string,
  request: OpensslRequest,
): { certificate: string; key: string } {
  const configuration = folder.write(
    `${name}.cnf`,
    `[req]\nprompt = no\ndistinguished_name = name\nstring_mask = ${request.strings ?? 'utf8only'}\n[name]\n`,
  );
  const certificate = folder.path(`${name}.pem`);
  const key = request.key ?? folder.path(`${name}.key`);
  openssl([
    ...['req', '-x509', '-utf8', '-config', configuration, '-out', certificate],
    ...(request.key === undefined ? ['-nodes', '-keyout', key, '-newkey', ...(request.newKey ?? ['rsa:1024'])] : []),
    ...(request.key === undefined ? [] : ['-key', key]),
    ...['-subj', request.subject, '-days', String(request.days ?? 3650)],
    ...(request.serial === undefined ? [] : ['-set_serial', request.serial]),
  ]);
  return { certificate, key };
}

/** What openssl prints of a certificate, in the forms that node:crypto and this library can be compared with. */
export interface PrintedCertificate {
  /** Upper-case hex, with a minus sign for negative numbers. */
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** `type=value` in the certificate's order. */
  readonly subject: readonly string[];
  readonly issuer: readonly string[];
  /** Upper-case hex; openssl's own words for keys that are not RSA. */
  readonly modulus: string;
  readonly signature: Buffer;
}

/** Reads a certificate (PEM or DER) with openssl. */
export function printCertificate(file: string): PrintedCertificate {
  const printed = openssl([
    ...['x509', '-in', file, '-noout', '-serial', '-startdate', '-enddate', '-subject', '-issuer', '-modulus'],
    ...['-nameopt', 'sep_multiline,sname,utf8', '-text'],
    ...['-certopt', 'no_header,no_version,no_serial,no_validity,no_subject,no_issuer,no_pubkey,no_extensions'],
  ]).toString();
  const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(printed)?.[1] ?? '';
  const name = (title: string): string[] => {
    const lines = new RegExp(`^${title}=\\n((?: {4}.*\\n)+)`, 'm').exec(printed)?.[1] ?? '';
    return lines
      .split('\n')
      .slice(0, -1)
      .flatMap((line) => line.slice(4).split(' + '));
  };
  return {
    serial: value('serial'),
    notBefore: new Date(value('notBefore')),
    notAfter: new Date(value('notAfter')),
    subject: name('subject'),
    issuer: name('issuer'),
    modulus: value('Modulus'),
    signature: Buffer.from(printed.slice(printed.lastIndexOf('Value:') + 6).replaceAll(/[^0-9a-f]/g, ''), 'hex'),
  };
}
