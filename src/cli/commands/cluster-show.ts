import { describeCluster, formatCluster, loadCluster } from '../../cluster/index.js';
import { exitCode } from '../exit-code.js';
import type { Output } from '../output.js';

/** `cluster show`. */
export async function showCluster(path: string, output: Output): Promise<number> {
  const cluster = await loadCluster(path);
  const now = new Date();
  output.result(formatCluster(cluster, now), describeCluster(cluster, now));
  return exitCode.done;
}
