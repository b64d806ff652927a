import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SoftHsm, SoftToken } from 'softhsm-config';
import { makeTemporaryFolder } from '../temporary-folders.js';

export type Attributes = Readonly<Record<string, Uint8Array | string>>;

/** What an independent reader found on a token. */
export interface TokenContents {
  readonly flags: number;
  readonly certificates: readonly Attributes[];
  readonly publicKeys: readonly Attributes[];
  readonly privateKeys: readonly Attributes[];
  readonly signature: Uint8Array | undefined;
}

/** A folder that is gone when the tests of the file are done. */
export function temporaryFolder(): string {
  return makeTemporaryFolder('softhsm-config-');
}

/** Reads a token in a process of its own, with pkcs11js alone, and signs with its private key. */
export async function readToken(
  softHsm: SoftHsm,
  token: SoftToken,
  pin: string,
  digestInfo: Uint8Array = new Uint8Array(35),
): Promise<TokenContents> {
  const child = fork(fileURLToPath(new URL('read-token.mjs', import.meta.url)), [], {
    serialization: 'advanced',
    execArgv: [],
    env: { ...process.env, ...softHsm.environment },
  });
  child.send({ module: softHsm.module, serialNumber: token.serialNumber, pin, digestInfo });
  const ended = once(child, 'exit').then(([code]) =>
    Promise.reject(new Error(`the reader ended with ${String(code)}`)),
  );
  ended.catch(() => undefined);
  const [found] = (await Promise.race([once(child, 'message'), ended])) as [
    { flags: number; objects: Attributes[]; signature: Uint8Array | undefined },
  ];
  // CKO_CERTIFICATE is 1, CKO_PUBLIC_KEY 2, CKO_PRIVATE_KEY 3.
  const ofClass = (wanted: number): Attributes[] => found.objects.filter((one) => one['class']?.[0] === wanted);
  return {
    flags: found.flags,
    certificates: ofClass(1),
    publicKeys: ofClass(2),
    privateKeys: ofClass(3),
    signature: found.signature,
  };
}

/** Everything in the files below a folder. */
export function filesBelow(folder: string): { path: string; mode: number; bytes: Buffer }[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => ({ path, mode: statSync(path).mode & 0o777, bytes: readFileSync(path) }));
}

/** The text of an attribute that is text. */
export function textOf(attributes: Attributes | undefined, name: string): string {
  const value = attributes?.[name];
  return value instanceof Uint8Array ? Buffer.from(value).toString() : `(${value ?? 'absent'})`;
}
