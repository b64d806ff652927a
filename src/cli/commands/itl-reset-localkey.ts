import { loadCluster, publisherOf } from '../../cluster/index.js';
import { InputError } from '../../errors.js';
import { itlSigner } from '../../itl/index.js';
import { runReset } from '../itl-reset.js';
import { openItlSigner } from '../itl-signer.js';
import type { Output } from '../output.js';
import { SignerSource } from '../signers.js';
import { ctlOptions } from './ctl-build.js';
import { devicesOf, itlInputs } from './itl-create.js';
import type { ItlOptions } from './itl-options.js';

/** `itl reset localkey`: the recovery key is the cluster's own, in a file or on a token. */
export async function resetWithLocalKey(options: ItlOptions, output: Output): Promise<number> {
  const { cluster: clusterFile = '', out = '', itl, signer: signedBy = 'ITLRecovery' } = options;
  if (options.hash !== undefined && itl !== undefined) {
    throw new InputError('usage', '--hash is for a list that is made, and the records of --itl are kept as they are', {
      hint: 'leave one of them out',
    });
  }
  const cluster = await loadCluster(clusterFile);
  const { timestamp, digestAlgorithm } = ctlOptions(options);
  const inputs = await itlInputs(undefined, options);
  const devices = await devicesOf(options);
  const signers = new SignerSource(options, output);
  try {
    const recovery = await openItlSigner(itlSigner(cluster, publisherOf(cluster), signedBy), options, signers);
    const digests = { digestAlgorithm, hashAlgorithm: options.hash };
    const request = { cluster, clusterFile, recovery, signedBy, itl, out, timestamp, devices, inputs, ...digests };
    return await runReset(request, output);
  } finally {
    await signers.close();
  }
}
