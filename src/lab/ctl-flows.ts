import { publisherOf, type Cluster } from '../cluster/index.js';
import {
  createTokenCtl,
  createTokenlessCtl,
  tokenlessSigner,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
  type AcceptableCheck,
  type CtlOptions,
} from '../ctl/index.js';
import { InputError } from '../errors.js';
import type { Signer } from '../signer/index.js';
import type { TrustList } from '../trust-list/index.js';
import type { LabCertificates } from './certificates.js';

/** Builds the CTLs of a lab from its present certificates, as its administrator would. None of them is served by it. */
export class CtlFlows {
  readonly #certificates: LabCertificates;
  readonly #clock: () => Date;

  constructor(certificates: LabCertificates, clock: () => Date) {
    this.#certificates = certificates;
    this.#clock = clock;
  }

  get #cluster(): Cluster {
    return this.#certificates.cluster;
  }

  /** The publisher's key that signs tokenless lists. */
  clusterSigner(): Signer {
    return this.#certificates.signer(publisherOf(this.#cluster).name, tokenlessSigner(this.#cluster).name);
  }

  /** With tokens, of which the first signs; with the cluster's own key where none is given. */
  async create(tokens: readonly Signer[]): Promise<TrustList> {
    const [first] = tokens;
    const { list } =
      first === undefined
        ? await createTokenlessCtl(this.#cluster, this.clusterSigner(), this.#options([]))
        : await createTokenCtl(this.#cluster, certificatesOf(tokens), first, this.#options(['A5']));
    return list;
  }

  async update(present: TrustList | undefined, signer: Signer = this.clusterSigner()): Promise<TrustList> {
    return (await updateCtl(requireCtl(present), this.#cluster, signer, this.#options([]))).list;
  }

  async toTokenless(present: TrustList | undefined): Promise<TrustList> {
    return (await toTokenless(requireCtl(present), this.#cluster, this.clusterSigner(), this.#options([]))).list;
  }

  /** @throws InputError `usage` without a token */
  async toToken(
    present: TrustList | undefined,
    tokens: readonly Signer[],
    accept: readonly AcceptableCheck[],
  ): Promise<TrustList> {
    const [first] = tokens;
    if (first === undefined) throw new InputError('usage', 'a token list wants tokens');
    const options = this.#options(['A5', ...accept]);
    return (await toToken(requireCtl(present), this.#cluster, certificatesOf(tokens), first, options)).list;
  }

  async toNonSecure(present: TrustList | undefined, signer: Signer = this.clusterSigner()): Promise<TrustList> {
    return (await toNonSecure(requireCtl(present), signer, this.#options([]))).list;
  }

  #options(accept: readonly AcceptableCheck[]): CtlOptions {
    const now = this.#clock();
    return { now, timestamp: Math.floor(now.getTime() / 1000), accept };
  }
}

function requireCtl(present: TrustList | undefined): TrustList {
  if (present === undefined) throw new InputError('usage', 'the lab has no CTL: it was never in mixed mode');
  return present;
}

function certificatesOf(tokens: readonly Signer[]): readonly Signer['certificate'][] {
  return tokens.map(({ certificate }) => certificate);
}
