import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { formatHex } from 'etoken-bridge/bytes';
import { InputError } from 'etoken-bridge';
import { createSoftHsm, type SoftHsm } from './configuration.js';
import { createSastToken, createStandInAuthority, type SastIdentity } from './sast.js';

/** What `softhsm-config create` was asked for. */
export interface CreateRequest {
  readonly directory: string;
  readonly tokens: number;
  readonly bits: 1024 | 2048;
  readonly pinFile: string | undefined;
}

/** What it made, for a program and for people. */
export interface CreateOutcome {
  readonly result: object;
  readonly lines: readonly string[];
  /** What people want to know beside the result. */
  readonly notes: readonly string[];
}

/** Makes a configuration with SAST tokens. When it fails, nothing of it is left. */
export async function createTokens(request: CreateRequest): Promise<CreateOutcome> {
  const directory = resolve(request.directory);
  const givenPin = request.pinFile === undefined ? undefined : await readPin(request.pinFile);
  const made = ['softhsm2.conf', 'tokens', 'pin', 'so-pin'].map((name) => join(directory, name));
  const present = made.find((path) => existsSync(path));
  if (present !== undefined) {
    throw new InputError('file-exists', `${present} is already there`, { hint: 'choose a new folder' });
  }
  const removable = existsSync(directory) ? made : [directory];
  try {
    return await fill(directory, request, givenPin);
  } catch (error) {
    for (const path of removable) await rm(path, { recursive: true, force: true });
    throw error;
  }
}

async function fill(directory: string, request: CreateRequest, givenPin: string | undefined): Promise<CreateOutcome> {
  const softHsm = await createSoftHsm(directory);
  const pin = givenPin ?? freshPin();
  const soPin = freshPin();
  const pinFile = givenPin === undefined ? join(directory, 'pin') : resolve(request.pinFile ?? '');
  const soPinFile = join(directory, 'so-pin');
  if (givenPin === undefined) await writeSecret(pinFile, pin);
  await writeSecret(soPinFile, soPin);

  const authority = await createStandInAuthority();
  const identities: SastIdentity[] = [];
  for (let number = 1; number <= request.tokens; number += 1) {
    const label = `soft-etoken-${String(number)}`;
    identities.push(await createSastToken(softHsm, { label, pin, soPin, bits: request.bits, authority }));
  }
  return describe(softHsm, { pinFile, soPinFile }, identities);
}

function describe(
  softHsm: SoftHsm,
  files: { readonly pinFile: string; readonly soPinFile: string },
  identities: readonly SastIdentity[],
): CreateOutcome {
  return {
    result: {
      ...softHsm,
      ...files,
      tokens: identities.map(({ token, certificate, keyId, commonName }) => ({
        ...token,
        commonName,
        keyId: formatHex(keyId),
        keyBits: certificate.keyBits,
        certificateSerialNumber: formatHex(certificate.serialNumber),
        notAfter: certificate.notAfter.toISOString(),
      })),
    },
    lines: [`export SOFTHSM2_CONF=${quoteWord(softHsm.configuration)}`, ...identities.map(({ token }) => token.uri)],
    notes: [
      ...identities.map(({ token, commonName }) => `made token ${token.label} with ${commonName.trimEnd()}`),
      `the PIN of the tokens is in ${files.pinFile}, that of the security officer in ${files.soPinFile}`,
    ],
  };
}

/** A word as a shell reads it back. */
function quoteWord(text: string): string {
  return /^[\w@%+:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Reads a PIN. One line break at its end is the editor's, and would be a wrong PIN to a token. */
async function readPin(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new InputError(
      missing ? 'file-missing' : 'file-unreadable',
      `the PIN file ${file} ${missing ? 'does not exist' : 'cannot be read'}`,
      { cause: error, hint: 'write the PIN to a file that only you can read, and give its path' },
    );
  }
}

async function writeSecret(path: string, text: string): Promise<void> {
  await writeFile(path, `${text}\n`, { flag: 'wx', mode: 0o600 });
}

/** Eight random digits. */
function freshPin(): string {
  return String(randomInt(100_000_000)).padStart(8, '0');
}
