import { equalBytes, printable } from '../bytes/index.js';
import type { ClusterNode } from '../cluster/index.js';
import { InputError } from '../errors.js';
import type { ItlSigner } from '../itl/index.js';
import type { Signer } from '../signer/index.js';
import type { BuildOptions } from './commands/ctl-options.js';
import { openSoftwareSigner, type Signers } from './signers.js';
import { namesToken, tokenChoice } from './token-choice.js';

/**
 * The key of an ITL's signer: the one that --key names, or that a token holds which the options name, else the one of
 * the cluster file, which may be a `pkcs11:` URI.
 *
 * @throws InputError `missing-option` when none is named; and what opening it throws
 */
export async function openItlSigner(
  { name, node, certificate }: ItlSigner,
  options: BuildOptions,
  signers: Signers,
): Promise<Signer> {
  if (options.key !== undefined) return openSoftwareSigner(options, certificate);
  if (namesToken(tokenChoice(options, {}))) {
    return signers.openToken((one) => equalBytes(one.der, certificate.der));
  }
  const key = node.keys[name];
  if (key !== undefined) return signers.openKey(key, certificate);
  throw missingKey(name, node);
}

function missingKey(name: string, node: ClusterNode): InputError {
  return new InputError('missing-option', `the cluster file names no key for ${name} of ${printable(node.name)}`, {
    hint: `add "${name}" to the keys of this node (a file or a pkcs11: URI), or give --key FILE or --token URI`,
  });
}
