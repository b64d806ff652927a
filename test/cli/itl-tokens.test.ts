import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decodeTrustList } from '../../src/trust-list/index.js';
import { formatCertificatePem } from '../../src/x509/index.js';
import { expectOpensslVerifies } from '../itl/openssl.js';
import { skipReason } from '../skip-reason.js';
import { expectFailure } from './etoken-bridge.js';
import { signerOf } from './itl-lab.js';
import { makeSoftTokens } from './soft-tokens.js';
import { noTerminal, openTerminal } from './terminal.js';

const tokens = await makeSoftTokens();
const { folder, first, second, run } = tokens;
writeFileSync(join(folder, 'cluster/on-token.pem'), formatCertificatePem(first.certificate));

/** The cluster file with its ITLRecovery key on the first token. */
function clusterFile(name: string, release: string, key: string): string {
  const text = readFileSync(join(folder, tokens.cluster), 'utf8');
  const changed = text
    .replace('release: 11.5.1', `release: ${release}`)
    .replace(/ITLRecovery: .*\.pem/, 'ITLRecovery: on-token.pem')
    .replace(/ITLRecovery: .*\.key/, `ITLRecovery: '${key}'`);
  expect(changed).toContain(key);
  writeFileSync(join(folder, 'cluster', name), changed);
  return join('cluster', name);
}

const pin = ['--pin-file', first.pinFile];
const named = clusterFile('named.yaml', '11.5.1', first.token.uri);

function signers(out: string): string[] {
  return ['cucm-pub', 'cucm-sub1'].map((node) => {
    const list = decodeTrustList(new Uint8Array(readFileSync(join(folder, out, node, 'ITLFile.tlv'))));
    expectOpensslVerifies(list, first.certificate);
    return signerOf(list);
  });
}

describe('the recovery key on a token', () => {
  test('that the cluster file names by its URI', () => {
    const { status, stdout } = run(['itl', 'reset', 'localkey', '--cluster', named, '--out', 'named', ...pin]);
    expect(status).toBe(0);
    expect(stdout).toContain('Successfully transferred reset ITL to node cucm-sub1\n');
    expect(signers('named')).toEqual([`CN=${first.commonName}`, `CN=${first.commonName}`]);
  });

  test('that --token names, where the cluster file names a key that is gone', () => {
    const gone = clusterFile('gone.yaml', '11.5.1', 'keys/gone.key');
    const words = ['itl', 'reset', 'localkey', '--cluster', gone, '--out', 'by-option'];
    expectFailure(run(words), 2, 'gone.key');
    expect(run([...words, ...first.options]).status).toBe(0);
    expect(signers('by-option')[0]).toBe(`CN=${first.commonName}`);
  });

  test('from 12.0 it signs the lists of all nodes', () => {
    const twelve = clusterFile('twelve.yaml', '12.5.1', first.token.uri);
    expect(run(['itl', 'create', '--cluster', twelve, '--out', 'twelve', ...pin]).status).toBe(0);
    expect(signers('twelve')).toEqual([`CN=${first.commonName}`, `CN=${first.commonName}`]);
    const file = 'twelve/cucm-pub/ITLFile.tlv';
    expect(run(['itl', 'empty', file, '--cluster', twelve, '--out', 'empty.tlv', ...pin]).status).toBe(0);
    expect(run(['itl', 'verify', 'empty.tlv']).status).toBe(0);
    expect(run(['itl', 'empty', file, '--out', 'empty-2.tlv', ...first.options]).status).toBe(0);
    expect(run(['itl', 'verify', 'empty-2.tlv']).status).toBe(0);
  });

  test.skipIf(noTerminal !== undefined)(
    `a person types the PIN once for the lists of all nodes${skipReason(noTerminal)}`,
    async () => {
      const twelve = clusterFile('typed.yaml', '12.5.1', first.token.uri);
      const words = ['itl', 'create', '--cluster', twelve, '--out', 'typed'];
      const terminal = openTerminal(words, { cwd: folder, env: tokens.environment });
      await terminal.waitFor('PIN of ');
      terminal.type(`${first.pin}\r`);
      await terminal.waitFor('typed/cucm-sub1/ITLFile.tlv: ');
      expect(await terminal.ended).toBe(0);
      expect(signers('typed')).toEqual([`CN=${first.commonName}`, `CN=${first.commonName}`]);
    },
  );

  test('another token is refused (A9), a wrong PIN tried once; neither leaves a file', () => {
    const words = ['itl', 'reset', 'localkey', '--cluster', named, '--out', 'none'];
    expectFailure(run([...words, ...second.options]), 4, 'A9');
    expectFailure(run([...words, '--pin-file', tokens.wrongPinFile]), 3, /PIN/);
    expect(readdirSync(folder)).not.toContain('none');
    // The right PIN makes the token forget the wrong one.
    expect(run(['itl', 'reset', 'localkey', '--cluster', named, '--out', 'last', ...pin]).status).toBe(0);
  });
});
