import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { decodeSignedHeader, signedParts, type SignedHeader } from '../../src/signed-file/index.js';
import { formatCertificatePem, type Certificate } from '../../src/x509/index.js';

/** Has openssl verify the signature of a file, over what the format page says is signed. */
export function verifyWithOpenssl(path: string, certificate: Certificate, folder: string): SignedHeader {
  const bytes = new Uint8Array(readFileSync(path));
  const header = decodeSignedHeader(bytes);
  const place = (name: string): string => join(folder, `openssl-${name}`);
  writeFileSync(place('signed'), Buffer.concat(signedParts(bytes, header)));
  writeFileSync(place('signature'), header.signature);
  writeFileSync(place('certificate'), formatCertificatePem(certificate));
  const key = spawnSync('openssl', ['x509', '-in', place('certificate'), '-noout', '-pubkey']).stdout;
  writeFileSync(place('key'), key);
  const words = ['dgst', `-${header.digestAlgorithm}`, '-verify', place('key'), '-signature', place('signature')];
  const { stdout } = spawnSync('openssl', [...words, place('signed')], { encoding: 'utf8' });
  expect(stdout).toBe('Verified OK\n');
  return header;
}

/** What a command for many files prints with --json. */
export interface BulkDocument {
  readonly command: string;
  readonly done: number;
  readonly alreadyDone: number;
  readonly notVerified: number;
  readonly failed: number;
  readonly notDone: number;
  readonly interrupted: boolean;
  readonly error: { readonly code: string } | null;
  readonly files: readonly {
    readonly path: string;
    readonly outputs: readonly string[];
    readonly state: string;
    readonly backup?: string | null;
    readonly rule?: string | null;
    readonly used?: { readonly kind: string; readonly record: number } | null;
    readonly encrypted?: boolean;
    readonly fileName?: string;
    readonly warnings: readonly string[];
    readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null;
  }[];
  readonly passedOver: readonly { readonly path: string; readonly reason: string }[];
}

/** Makes Node say at its end how much memory it had at the most, in KiB, on standard error. */
export const tellMemory: Readonly<Record<string, string>> = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(
    "process.on('exit', () => process.stderr.write('memory ' + process.resourceUsage().maxRSS + '\\n'))",
  )}`,
};
