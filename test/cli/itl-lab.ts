import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { decodeTrustList, verifyTrustList, type TrustList } from '../../src/trust-list/index.js';
import { decodeCertificates, type Certificate } from '../../src/x509/index.js';
import { run, temporaryFolder, type Outcome, type RunOptions } from './etoken-bridge.js';

/** A practice cluster with its keys, and a folder in which commands run. */
export interface ItlLab {
  readonly folder: string;
  /** Relative to the folder: two nodes that run TFTP and TVS, the publisher CAPF too. */
  readonly cluster: string;
  readonly run: (words: readonly string[], options?: RunOptions) => Outcome;
  readonly read: (name: string) => Uint8Array;
  readonly list: (name: string) => TrustList;
  readonly certificate: (node: string, name: string) => Certificate;
  /** Changes the text of the cluster file; gives the path of the changed copy. */
  readonly change: (name: string, change: (text: string) => string) => string;
}

export function makeItlLab(release: string, mode: 'mixed' | 'non-secure' = 'mixed'): ItlLab {
  const folder = temporaryFolder();
  const runHere = (words: readonly string[], options: RunOptions = {}): Outcome =>
    run(words, { cwd: folder, ...options });
  const nodes = ['--node', 'test10pub,10.48.47.153', '--node', 'test10sub,10.48.47.154'];
  const words = ['cluster', 'init', 'cluster', '--lab', '--key-bits', '1024', '--security-mode', mode];
  expect(runHere([...words, '--release', release, ...nodes]).status).toBe(0);
  const read = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
  return {
    folder,
    cluster: 'cluster/cluster.yaml',
    run: runHere,
    read,
    list: (name) => decodeTrustList(read(name)),
    certificate: (node, name) => decodeCertificates(read(`cluster/certificates/${node}/${name}.pem`))[0]!,
    change: (name, change) => {
      const path = join('cluster', name);
      const text = readFileSync(join(folder, 'cluster/cluster.yaml'), 'utf8');
      const changed = change(text);
      expect(changed).not.toBe(text);
      writeFileSync(join(folder, path), changed);
      return path;
    },
  };
}

/** The common name of the signer of a list that verifies, or why it does not. */
export function signerOf(list: TrustList): string {
  const verification = verifyTrustList(list);
  return verification.verified ? (verification.signer.subjectName ?? '').replace(/;.*/, '') : verification.reason;
}
