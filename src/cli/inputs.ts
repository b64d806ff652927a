import { dirname, resolve } from 'node:path';
import { certificateNames, parseClusterFile } from '../cluster/index.js';
import type { BuildOptions } from './commands/ctl-options.js';
import { readInput } from './files.js';
import { pinFileOf, tokenChoice } from './token-choice.js';

/**
 * Every file that a command which builds a list reads or may read, the PIN file and the keys of the cluster file
 * included: none of them may be overwritten by the list.
 *
 * @throws InputError `bad-uri`, and what is wrong with the cluster file
 */
export async function inputFiles(path: string | undefined, options: BuildOptions): Promise<readonly string[]> {
  const named = [
    path,
    options.cluster,
    options.key,
    options.keyPasswordFile,
    options.certificate,
    ...(options.tokenCertificate ?? []),
    pinFileOf(options, tokenChoice(options)),
  ].filter((one) => one !== undefined && one !== '-') as string[];
  return options.cluster === undefined ? named : [...named, ...(await filesOfCluster(options.cluster))];
}

async function filesOfCluster(path: string): Promise<readonly string[]> {
  const file = parseClusterFile(new TextDecoder().decode(await readInput(path, 'cluster file')), path);
  const ofNodes = file.nodes.flatMap(({ certificates, keys }) =>
    certificateNames.flatMap((name) => {
      const key = keys[name];
      return [certificates[name], key?.kind === 'file' ? key.path : undefined];
    }),
  );
  const all = [...ofNodes, ...Object.values(file.trustStores).flat()].filter((one) => one !== undefined);
  return all.map((one) => resolve(dirname(path), one));
}
