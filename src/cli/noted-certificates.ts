import { printable } from '../bytes/index.js';
import type { Cluster } from '../cluster/index.js';
import { FormatError, InputError } from '../errors.js';
import type { CertificateNote, Plan, Step } from '../migration/index.js';
import { decodeTrustList } from '../trust-list/index.js';
import { decodeCertificate, type Certificate } from '../x509/index.js';
import { readCertificate } from './certificates.js';
import { sha1Of } from './migration-work.js';
import type { Signers } from './signers.js';

/** Where the certificates that a plan names may come from. */
export interface CertificateSources {
  readonly cluster: () => Cluster;
  /** Files that were given. */
  readonly files: () => readonly string[];
  /** Lists whose records hold whole certificates. */
  readonly lists: () => readonly Uint8Array[];
  readonly signers: Pick<Signers, 'pluggedTokens'>;
}

/** The whole certificates of those that a plan names by their SHA-1. */
export class NotedCertificates {
  readonly #sources: CertificateSources;
  readonly #notes: ReadonlyMap<string, CertificateNote>;
  readonly #files = new Map<string, Promise<Certificate>>();

  constructor(plan: Plan, sources: CertificateSources) {
    this.#sources = sources;
    this.#notes = new Map(notesOf(plan.steps).map((note) => [note.sha1, note]));
  }

  /**
   * Looks in the files that were given, the cluster file and the lists, and only then at the tokens that are plugged in.
   *
   * @throws InputError `missing-option` when it is in none of them; what the tokens throw
   */
  async find(sha1: string): Promise<Certificate> {
    const isIt = (certificate: Certificate): boolean => sha1Of(certificate.der) === sha1;
    const near = [...(await this.#given()), ...ofCluster(this.#sources.cluster()), ...ofLists(this.#sources.lists())];
    const found = near.find(isIt);
    if (found !== undefined) return found;
    const plugged = await this.#pluggedTokens(sha1);
    const onToken = plugged.find(isIt);
    if (onToken !== undefined) return onToken;
    throw this.#missing(sha1, undefined);
  }

  #given(): Promise<readonly Certificate[]> {
    const reading = this.#sources.files().map((path) => {
      const known = this.#files.get(path) ?? readCertificate(path);
      this.#files.set(path, known);
      return known;
    });
    return Promise.all(reading);
  }

  async #pluggedTokens(sha1: string): Promise<readonly Certificate[]> {
    try {
      return (await this.#sources.signers.pluggedTokens()).map(({ certificate }) => certificate);
    } catch (error) {
      throw this.#missing(sha1, error);
    }
  }

  #missing(sha1: string, cause: unknown): InputError {
    const note = this.#notes.get(sha1);
    const name = note === undefined ? '' : `${printable(note.subject)}, `;
    const why = cause instanceof Error ? ` (tokens: ${cause.message})` : '';
    return new InputError(
      'missing-option',
      `the certificate ${name}SHA-1 ${sha1}, which the plan names, is neither in the cluster file nor on a token that is plugged in${why}`,
      { hint: 'plug the token in, or give the certificate with --token-certificate FILE', cause },
    );
  }
}

function ofCluster({ nodes, trustStores }: Cluster): readonly Certificate[] {
  const own = nodes.flatMap(({ certificates }) => Object.values(certificates));
  return [...own, ...Object.values(trustStores).flat()];
}

function ofLists(lists: readonly Uint8Array[]): readonly Certificate[] {
  return lists.flatMap((bytes) => {
    try {
      const ders = decodeTrustList(bytes).records.flatMap(({ certificate }) => certificate ?? []);
      return ders.map((der) => decodeCertificate(der));
    } catch (error) {
      if (error instanceof FormatError) return [];
      throw error;
    }
  });
}

/** Every certificate that some steps name. */
export function notesOf(steps: readonly Step[]): readonly CertificateNote[] {
  return steps.flatMap(({ action, checks }) => {
    const notes: CertificateNote[] = [];
    if (action.kind === 'upload') notes.push(...action.certificates);
    if (action.kind === 'build-ctl') notes.push(...action.tokens);
    if ((action.kind === 'build-ctl' || action.kind === 'cluster-ctl') && action.signer.kind === 'token') {
      notes.push(action.signer.certificate);
    }
    for (const check of checks) {
      if (check.check === 'tvs-vouches') notes.push(check.certificate);
      if (check.check === 'tftp-serves-signed-by' && check.signer.kind === 'token')
        notes.push(check.signer.certificate);
    }
    return notes;
  });
}
