import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Lab } from '../../src/lab/index.js';
import { decodeTrustList, verifyTrustList } from '../../src/trust-list/index.js';

const folder = mkdtempSync(join(tmpdir(), 'etb-recovery-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const now = new Date('2026-01-01T00:00:00Z');
const nodes = [
  { name: 'pub', address: '192.0.2.10', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
  { name: 'sub', address: '192.0.2.11', services: ['CallManager', 'TFTP', 'TVS'] },
] as const;

/** Who signed what a node serves, as it stands in its folder. */
function signerServed(lab: Lab, node: string): string | undefined {
  const served = decodeTrustList(new Uint8Array(readFileSync(join(lab.node(node).folder, 'ITLFile.tlv'))));
  const verification = verifyTrustList(served);
  return verification.verified ? verification.signer.subjectName : verification.reason;
}

describe('a lab after a reset', () => {
  test.each([
    ['11.5.1', undefined, 'CN=ITLRECOVERY_pub', ['CN=pub', 'CN=sub']],
    ['12.5.1', 'CallManager', 'CN=pub', ['CN=ITLRECOVERY_pub', 'CN=ITLRECOVERY_pub']],
  ] as const)('%s: all nodes serve one list, until Cisco Tftp is restarted', async (release, by, reset, usual) => {
    const directory = join(folder, release);
    const lab = await Lab.start({ directory, release, nodes, keyBits: 1024, clock: () => now });
    try {
      const names = (): (string | undefined)[] =>
        ['pub', 'sub'].map((node) => signerServed(lab, node)?.replace(/;.*/, ''));
      expect(names()).toEqual(usual);
      const before = lab.itl('pub')!;
      const list = await lab.resetItls(by);
      expect(names()).toEqual([reset, reset]);
      expect([lab.itl('pub'), lab.itl('sub')]).toEqual([list, list]);
      expect(list.bytes.subarray(list.header.length)).toEqual(before.bytes.subarray(before.header.length));
      await lab.restartTftp();
      expect(names()).toEqual(usual);
      expect(Buffer.from(lab.itl('pub')!.bytes).equals(before.bytes)).toBe(true);
    } finally {
      await lab.close();
    }
  });
});
