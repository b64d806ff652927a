import { promises } from 'node:fs';
import { printable } from '../bytes/index.js';
import { nodesWith, type Cluster, type ClusterNode } from '../cluster/index.js';
import { InputError } from '../errors.js';
import { explainRead } from './files.js';

/**
 * The nodes that serve lists.
 *
 * @param wanted names of nodes; every node that runs TFTP unless given.
 * @throws InputError `usage` for a name that is no TFTP node; `cluster-file` when no node runs TFTP.
 */
export function tftpNodes(cluster: Cluster, wanted: readonly string[] = []): readonly ClusterNode[] {
  const serving = nodesWith(cluster, 'TFTP');
  const names = serving.map(({ name }) => name).join(', ');
  if (serving.length === 0) {
    throw new InputError('cluster-file', 'no node of the cluster file runs TFTP', {
      hint: 'add TFTP to the services of the nodes that serve files to phones',
    });
  }
  for (const name of wanted) {
    if (serving.some((node) => node.name === name)) continue;
    const isNode = cluster.nodes.some((node) => node.name === name);
    const what = isNode ? `${name} does not run TFTP` : `the cluster file has no node ${printable(name)}`;
    throw new InputError('usage', what, { hint: `nodes with TFTP: ${names}` });
  }
  return wanted.length === 0 ? serving : serving.filter(({ name }) => wanted.includes(name));
}

/**
 * Those folders that are not there yet, in their order.
 *
 * @throws InputError `file-unreadable`
 */
export async function missingFolders(folders: readonly string[]): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const folder of folders) {
    try {
      await promises.stat(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw explainRead(error, folder, 'folder');
      missing.push(folder);
    }
  }
  return missing;
}

/** Removes folders that were made for files which then were not written. What has something in it stays. */
export async function removeEmpty(folders: readonly string[]): Promise<void> {
  for (const folder of folders.toReversed()) await promises.rmdir(folder).catch(() => undefined);
}
