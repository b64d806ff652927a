import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { createLabCluster, type Cluster } from '../../src/cluster/index.js';

/**
 * A mixed cluster of a publisher and a subscriber, with its keys in files.
 *
 * @returns it, and a folder that is there until the tests of the file are done.
 */
export async function makeTwoNodes(
  release: string,
  now: Date,
): Promise<{ readonly cluster: Cluster; readonly folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'two-nodes-'));
  removed.push(folder);
  const { cluster } = await createLabCluster({
    directory: join(folder, 'lab'),
    release,
    securityMode: 'mixed',
    nodes: [
      { name: 'cucm-pub', address: '10.48.47.153', services: ['CallManager', 'TFTP', 'CAPF', 'TVS'] },
      { name: 'cucm-sub1', address: '10.48.47.154', services: ['CallManager', 'TFTP', 'TVS'] },
    ],
    now,
    keyBits: 1024,
  });
  return { cluster, folder };
}

const removed: string[] = [];
afterAll(() => {
  for (const folder of removed) rmSync(folder, { recursive: true, force: true });
});
