import { spawn, spawnSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createSastCommonName, issueSastCertificate, type StandInAuthority } from 'softhsm-config';
import type { Certificate } from '../../src/x509/index.js';
import { plainEnvironment, program, type Outcome } from '../cli/etoken-bridge.js';
import { makeTemporaryFolder } from '../temporary-folders.js';
import { runProgram, type Variables } from './programs.js';

/** Long enough that it stands nowhere by chance, and short enough for opencryptoki. */
export const userPin = 'Kv7rJ2wq';
export const wrongPin = 'Qx9mT4zs';
export const officerPin = '87654321';

/** A module that tests can start. */
export interface TestedModule {
  readonly name: string;
  /** Why it cannot be started here. */
  readonly missing: string | undefined;
  readonly start: (folder: string, authority: StandInAuthority) => Promise<RunningModule>;
}

/** What a command needs to use a module. */
export interface ModuleAccess {
  readonly modulePath: string;
  /** What the module needs to be told by the environment. */
  readonly environment: Variables;
  /** What a command is put behind, to run where the module's daemon is. */
  readonly inside: readonly string[];
}

/** A module with a token that holds an RSA key, and what belongs to it. */
export interface RunningModule extends ModuleAccess {
  /** The label of the token. */
  readonly label: string;
  /** The certificate of the key. */
  readonly certificate: Certificate;
  /** Whether the certificate is on the token; else it has to be given as a file. */
  readonly holdsCertificate: boolean;
  /** Processes that live as long as the module does. */
  readonly processes: readonly number[];
  close(): Promise<void>;
}

/** A folder that is gone when the tests of the file are done. Its path is short: sockets lie in it. */
export function temporaryFolder(): string {
  return makeTemporaryFolder('etb-modules-');
}

interface RunOptions {
  readonly cwd?: string;
  readonly env?: Variables;
}

/** The command as it is started where the module is, with nothing else to find. */
function commandWith(
  module: ModuleAccess,
  words: readonly string[],
  { cwd = tmpdir(), env }: RunOptions,
): { readonly program: string; readonly words: string[]; readonly env: NodeJS.ProcessEnv } {
  // Who enters a mount namespace is in its root first.
  const [first = '', ...rest] = [...module.inside, 'env', '-C', cwd, process.execPath, program, ...words];
  const variables = { ETOKEN_BRIDGE_MODULE: module.modulePath, ...module.environment, ...env };
  return { program: first, words: rest, env: plainEnvironment(variables) };
}

/** Runs the command where the module is, and waits for its end. */
export function runWith(module: ModuleAccess, words: readonly string[], options: RunOptions = {}): Outcome {
  const command = commandWith(module, words, options);
  const { status, stdout, stderr, error } = spawnSync(command.program, command.words, {
    encoding: 'utf8',
    env: command.env,
    timeout: 120_000,
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/** The same while this process goes on, because what the module needs is served here. */
export async function runBeside(
  module: ModuleAccess,
  words: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const command = commandWith(module, words, options);
  const child = spawn(command.program, command.words, { env: command.env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { status, stdout, stderr };
}

/** `pkcs11-tool` of OpenSC with a module: it prepares tokens, and is not what is tested. */
export function pkcs11Tool(module: ModuleAccess, words: readonly string[]): string {
  return runProgram([...module.inside, 'pkcs11-tool', '--module', module.modulePath, ...words], {
    environment: module.environment,
  });
}

/** A SAST certificate for a public key that a tool has written to a file, as DER. */
export async function certificateFor(publicKeyFile: string, authority: StandInAuthority): Promise<Certificate> {
  const publicKey = createPublicKey({ key: readFileSync(publicKeyFile), format: 'der', type: 'spki' });
  return issueSastCertificate({ publicKey, commonName: createSastCommonName(), authority });
}

/**
 * Reads the public key of a token with `pkcs11-tool`, issues a certificate for it and, where that is wanted, stores it.
 *
 * @param token the words that tell `pkcs11-tool` which token.
 * @param id CKA_ID as hexadecimal digits.
 */
export async function giveCertificate(
  module: ModuleAccess,
  folder: string,
  authority: StandInAuthority,
  { token, id, store }: { readonly token: readonly string[]; readonly id: string; readonly store: boolean },
): Promise<Certificate> {
  const keyFile = join(folder, 'public-key.der');
  const read = ['--read-object', '--type', 'pubkey', '--id', id, '--output-file', keyFile];
  pkcs11Tool(module, [...token, '--login', '--pin', userPin, ...read]);
  const certificate = await certificateFor(keyFile, authority);
  if (store) {
    const file = join(folder, 'certificate.der');
    writeFileSync(file, certificate.der);
    const write = ['--write-object', file, '--type', 'cert', '--id', id, '--label', 'SAST'];
    pkcs11Tool(module, [...token, '--login', '--pin', userPin, ...write]);
  }
  return certificate;
}

/** The name of a module, and why it is left out where it is. */
export function nameOf({ name, missing }: TestedModule): string {
  return missing === undefined ? name : `${name} (skipped: ${missing})`;
}
