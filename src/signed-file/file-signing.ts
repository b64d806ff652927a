import { createHash, type Hash } from 'node:crypto';
import type { DigestAlgorithm, Signer } from '../signer/index.js';
import { layOutHeader, signLayout, type HeaderLayout } from './header-layout.js';
import { signedFileDraft, type SignFileOptions } from './signed-file.js';
import { decodeSignedHeader } from './header.js';

/**
 * Signs a file that comes in chunks of any size and is not kept. The header has the same length whatever the file is:
 * leave {@link FileSigning.headerLength} bytes free, write the chunks behind them, and the header when all is through.
 *
 * Only a digest goes to the signer: a token that insists on hashing by itself refuses.
 */
export class FileSigning {
  readonly #layout: HeaderLayout;
  readonly #hash: Hash;
  readonly #digestAlgorithm: DigestAlgorithm;
  readonly #signer: Signer;

  /**
   * @throws FormatError for a name or identity that no header can hold; ProofError `unsupported-key`,
   *   `unsupported-digest`.
   */
  constructor(options: SignFileOptions, signer: Signer) {
    const draft = signedFileDraft(options, signer.certificate);
    this.#layout = layOutHeader(draft, signer);
    this.#digestAlgorithm = draft.digestAlgorithm;
    this.#hash = createHash(draft.digestAlgorithm).update(this.#layout.before).update(this.#layout.after);
    this.#signer = signer;
  }

  /** How long the header will be, in bytes. */
  get headerLength(): number {
    return this.#layout.length;
  }

  /** Takes the next chunk of the plain file. */
  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  /**
   * Signs what came through.
   *
   * @returns the header.
   * @throws what the signer throws; ProofError `key-mismatch`.
   */
  async finish(): Promise<Uint8Array> {
    const request = { digestAlgorithm: this.#digestAlgorithm, digest: new Uint8Array(this.#hash.digest()) };
    const header = await signLayout(this.#layout, request, this.#signer);
    decodeSignedHeader(header);
    return header;
  }
}
