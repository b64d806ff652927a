import { loadPrivateKey, type KeyReference } from '../cluster/index.js';
import { DeviceError, InputError } from '../errors.js';
import { createSoftwareSigner, digestAlgorithms, type Signer } from '../signer/index.js';
import type { SastCertificate, TokenSigner, TokenSignerOptions } from '../token/index.js';
import { decodeCertificates, decodePkcs12, looksLikePkcs12, type Certificate } from '../x509/index.js';
import type { BuildOptions } from './commands/ctl-options.js';
import { readInput } from './files.js';
import type { Output } from './output.js';
import { namesToken, pinRequest, tokenChoice, type TokenChoice } from './token-choice.js';

/** Opens the signers of one command, and closes what it opened. */
export class SignerSource {
  readonly #options: BuildOptions;
  readonly #output: Output;
  readonly #opened: Promise<TokenSigner>[] = [];
  #plugged: Promise<readonly SastCertificate[]> | undefined;

  constructor(options: BuildOptions, output: Output) {
    this.#options = options;
    this.#output = output;
  }

  /** The certificates of all tokens that are plugged in. No PIN is asked for. */
  async pluggedCertificates(): Promise<readonly Certificate[]> {
    return (await this.#listPlugged()).map(({ certificate }) => certificate);
  }

  /**
   * A signer on a token: the one that the options name, else the one whose certificate fits.
   *
   * @param several what to do when more than one fits.
   * @throws DeviceError `no-token`, `several-tokens`, and the failures of the token; InputError `bad-uri`
   */
  async openToken(
    fits: (certificate: Certificate) => boolean,
    several: 'first' | 'refuse' = 'refuse',
  ): Promise<Signer> {
    const choice = tokenChoice(this.#options);
    if (namesToken(choice)) return this.#open(choice, choice);
    const plugged = await this.#listPlugged();
    const fitting = plugged.filter(({ certificate }) => fits(certificate));
    // A token that does not fit is given too when it is the only one: the flow then says by which check it is refused.
    const candidates = fitting.length > 0 ? fitting : plugged;
    const [first, ...others] = candidates;
    if (first === undefined) return this.#open(choice, choice);
    if (others.length > 0 && several === 'refuse') throw severalTokens(candidates);
    return this.#whenNeeded(first, choice);
  }

  /** The signer of a key in the cluster file. */
  async openKey(reference: KeyReference, certificate: Certificate): Promise<Signer> {
    if (reference.kind === 'file') {
      const password = await readPassword(this.#options.keyPasswordFile);
      return createSoftwareSigner(certificate, await loadPrivateKey(reference, certificate, password));
    }
    const { parseTokenUri } = await import('../token/index.js');
    const uri = parseTokenUri(reference.uri);
    const choice = this.#options.module === undefined ? { uri } : { uri, modulePath: this.#options.module };
    return this.#open({ ...choice, certificate }, choice);
  }

  /** Lets go of every token. */
  async close(): Promise<void> {
    await Promise.all(this.#opened.map(async (signer) => (await signer).close().catch(() => undefined)));
  }

  async #open(
    wanted: TokenChoice & Pick<TokenSignerOptions, 'id' | 'certificate'>,
    choice: TokenChoice,
  ): Promise<TokenSigner> {
    const { openTokenSigner } = await import('../token/index.js');
    const opening = openTokenSigner({
      ...wanted,
      pin: pinRequest(this.#options, choice, this.#output),
      useFinalPinTry: this.#options.useFinalPinTry === true,
    });
    const signer = await opening;
    this.#opened.push(opening);
    for (const warning of signer.warnings) this.#output.warning(warning);
    return signer;
  }

  /** A token whose certificate is known without its PIN: the PIN is asked for when a flow goes as far as signing. */
  #whenNeeded({ token, certificate, id }: SastCertificate, choice: TokenChoice): Signer {
    const wanted = {
      modulePath: token.modulePath,
      ...(token.serialNumber === '' ? { tokenLabel: token.label } : { tokenSerial: token.serialNumber }),
      ...(id.length === 0 ? {} : { id }),
      certificate,
    };
    return {
      certificate,
      digests: digestAlgorithms,
      sign: async (request) => (await this.#open(wanted, choice)).sign(request),
    };
  }

  #listPlugged(): Promise<readonly SastCertificate[]> {
    this.#plugged ??= this.#readPlugged();
    return this.#plugged;
  }

  async #readPlugged(): Promise<readonly SastCertificate[]> {
    const { listSastCertificates } = await import('../token/index.js');
    const { uri, modulePath = uri?.modulePath } = tokenChoice(this.#options);
    return listSastCertificates(modulePath === undefined ? {} : { modulePath });
  }
}

function severalTokens(candidates: readonly SastCertificate[]): DeviceError {
  const list = candidates.map(({ token }) => `  ${token.label}  ${token.serialNumber}  ${token.uri}`).join('\n');
  return new DeviceError(
    'several-tokens',
    `${String(candidates.length)} tokens could sign:\n${list}`,
    {},
    { hint: 'give one of these URIs with --token' },
  );
}

/** A signer from --key and --certificate. @param expected the certificate when the flow knows which it must be. */
export async function openSoftwareSigner(options: BuildOptions, expected: Certificate | undefined): Promise<Signer> {
  const { key: path = '' } = options;
  const bytes = await readInput(path, 'key');
  const password = await readPassword(options.keyPasswordFile);
  const given = options.certificate === undefined ? undefined : await readCertificate(options.certificate);
  if (looksLikePkcs12(bytes)) {
    const { key, certificate } = await decodePkcs12(bytes, password ?? '');
    return createSoftwareSigner(given ?? certificate, key);
  }
  const certificate = given ?? expected;
  if (certificate === undefined) {
    throw new InputError('missing-option', 'the certificate of --key is wanted', { hint: 'give --certificate FILE' });
  }
  return createSoftwareSigner(certificate, await loadPrivateKey({ kind: 'file', path }, certificate, password));
}

async function readCertificate(path: string): Promise<Certificate | undefined> {
  return decodeCertificates(await readInput(path, 'certificate'))[0];
}

/** The password of a key file: one newline at the end is not part of it. */
async function readPassword(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  return new TextDecoder().decode(await readInput(path, 'password file')).replace(/\r?\n$/, '');
}
