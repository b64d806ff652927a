import { printable } from '../bytes/index.js';
import { findNode, loadCluster, nodeCertificate, publisherOf } from '../cluster/index.js';
import { InputError } from '../errors.js';
import type { Signer } from '../signer/index.js';
import { formatName, isSastName } from '../x509/index.js';
import type { BuildOptions } from './commands/ctl-options.js';
import { inputFiles } from './inputs.js';
import { openItlSigner } from './itl-signer.js';
import type { Output } from './output.js';
import { openSoftwareSigner, SignerSource } from './signers.js';

/** The options of a command that signs files. */
export interface FileSigningOptions extends BuildOptions {
  /** The node of the cluster file whose CallManager key signs. */
  readonly node?: string;
}

/** More than two make no token faster, and some have no more. */
const sessions = 2;

/** Every file that names a key: none may be overwritten. */
export async function signingInputs(options: FileSigningOptions): Promise<readonly string[]> {
  return inputFiles(undefined, options);
}

/**
 * Opens the key that signs files: of `--key`, of the cluster file, or on a token, with one login for all files.
 *
 * @throws InputError `missing-option`, `usage`; and what opening it throws
 */
export async function withFileSigner<Value>(
  options: FileSigningOptions,
  output: Output,
  use: (signer: Signer) => Promise<Value>,
): Promise<Value> {
  if (options.node !== undefined && options.cluster === undefined) {
    throw new InputError('usage', '--node names a node of a cluster file', { hint: 'give --cluster FILE too' });
  }
  const signers = new SignerSource(options, output, sessions);
  try {
    const signer = await openSigner(options, signers);
    const { subject } = signer.certificate;
    if (isSastName(subject)) {
      const name = printable(formatName(subject));
      const what = 'phones look the signer of a file up with function 2 or 3, and a SAST record has function 0';
      output.warning(`P12: ${name} is a SAST certificate: ${what}`);
    }
    return await use(signer);
  } finally {
    await signers.close();
  }
}

async function openSigner(options: FileSigningOptions, signers: SignerSource): Promise<Signer> {
  if (options.cluster !== undefined) {
    const cluster = await loadCluster(options.cluster);
    const node = options.node === undefined ? publisherOf(cluster) : findNode(cluster, options.node);
    const owner = { name: 'CallManager', node, certificate: nodeCertificate(node, 'CallManager') } as const;
    return openItlSigner(owner, options, signers);
  }
  return options.key === undefined ? signers.openToken(() => true) : openSoftwareSigner(options, undefined);
}
