import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { signedParts } from '../../src/signed-file/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import type { Certificate } from '../../src/x509/index.js';

/** `openssl dgst -verify` over all of a list but its SIGNATURE element. */
export function expectOpensslVerifies(list: TrustList, certificate: Certificate): void {
  const folder = mkdtempSync(join(tmpdir(), 'etb-openssl-'));
  try {
    const path = (name: string): string => join(folder, name);
    writeFileSync(path('signed'), Buffer.concat(signedParts(list.bytes, list.header)));
    writeFileSync(path('signature'), list.header.signature);
    writeFileSync(path('key'), certificate.publicKeyInfo);
    const key = ['-verify', path('key'), '-keyform', 'DER', '-signature', path('signature')];
    const words = ['dgst', `-${list.header.digestAlgorithm}`, ...key, path('signed')];
    expect(execFileSync('openssl', words, { encoding: 'utf8' })).toBe('Verified OK\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
