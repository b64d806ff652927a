import { equalBytes, printable } from '../bytes/index.js';
import { loadPrivateKey, type KeyReference } from '../cluster/index.js';
import { DeviceError, FormatError, InputError } from '../errors.js';
import { createSoftwareSigner, digestAlgorithms, gatherSignatures, type Signer } from '../signer/index.js';
import {
  formatTokenUri,
  listSastCertificates,
  matchesToken,
  nameToken,
  openTokenSigner,
  parseTokenUri,
  type SastCertificate,
  type TokenSigner,
  type TokenSignerOptions,
  wantedUri,
} from '../token/index.js';
import { decodePkcs12, formatName, isSastName, looksLikePkcs12, type Certificate, type Pkcs12 } from '../x509/index.js';
import { notUsable, readCertificate } from './certificates.js';
import type { BuildOptions } from './commands/ctl-options.js';
import { readInput } from './files.js';
import type { Output } from './output.js';
import { readPassword } from './password.js';
import {
  asksForPin,
  moduleOf,
  namesToken,
  pinRequest,
  signaturePinRequest,
  tokenChoice,
  type TokenChoice,
} from './token-choice.js';

/** Where a flow gets its signers from. */
export interface Signers {
  /**
   * The SAST certificates of all tokens that are plugged in. Other cards, such as those that people sign mail with, are
   * left out. No PIN is asked for.
   */
  pluggedTokens(): Promise<readonly SastCertificate[]>;
  /**
   * A signer on a token: the one that the options name, else the one whose certificate fits.
   *
   * @param several what to do when more than one fits.
   * @throws DeviceError `no-token`, `several-tokens`, and the failures of the token; InputError `bad-uri`
   */
  openToken(fits: (certificate: Certificate) => boolean, several?: 'first' | 'refuse'): Promise<Signer>;
  /** The signer of a key in the cluster file. */
  openKey(reference: KeyReference, certificate: Certificate): Promise<Signer>;
}

/** What a token is opened with, besides its PIN. */
type Wanted = TokenChoice & Pick<TokenSignerOptions, 'id' | 'certificate'>;

/** Opens the signers of one command, and closes what it opened. */
export class SignerSource implements Signers {
  readonly #options: BuildOptions;
  readonly #output: Output;
  readonly #sessions: number | undefined;
  readonly #opened: Promise<TokenSigner>[] = [];
  #plugged: Promise<readonly SastCertificate[]> | undefined;
  #beforePin: () => Promise<void> = () => Promise.resolve();

  /** @param sessions for a command with many signatures: a token makes so many at a time, if it can, with one login. */
  constructor(options: BuildOptions, output: Output, sessions?: number) {
    this.#options = options;
    this.#output = output;
    this.#sessions = sessions;
  }

  /**
   * What is still to be looked at when a token is opened whose certificate is not known yet. When it fails, no PIN is
   * read.
   */
  setBeforePin(look: () => Promise<void>): void {
    this.#beforePin = look;
  }

  async pluggedTokens(): Promise<readonly SastCertificate[]> {
    return (await this.#listPlugged()).filter(({ certificate }) => isSastName(certificate.subject));
  }

  async openToken(
    fits: (certificate: Certificate) => boolean,
    several: 'first' | 'refuse' = 'refuse',
  ): Promise<Signer> {
    const choice = tokenChoice(this.#options);
    if (namesToken(choice) || this.#options.certificate !== undefined) return this.#openNamed(choice);
    const plugged = await this.#listPlugged();
    const fitting = plugged.filter(({ certificate }) => fits(certificate));
    // A token that does not fit is given too when it is the only one: the flow then says by which check it is refused.
    const candidates = fitting.length > 0 ? fitting : plugged;
    const [first, ...others] = candidates;
    if (first === undefined) return this.#open(choice, choice);
    if (others.length > 0 && several === 'refuse') throw severalTokens(candidates);
    return this.#whenNeeded(wantedOf(first), choice);
  }

  async openKey(reference: KeyReference, certificate: Certificate): Promise<Signer> {
    if (reference.kind === 'file') {
      const password = await readPassword(this.#options.keyPasswordFile);
      return createSoftwareSigner(certificate, await loadPrivateKey(reference, certificate, password));
    }
    const uri = parseTokenUri(reference.uri);
    const choice = this.#options.module === undefined ? { uri } : { uri, modulePath: this.#options.module };
    return this.#whenNeeded({ ...choice, certificate }, choice);
  }

  /** Lets go of every token. */
  async close(): Promise<void> {
    await Promise.all(this.#opened.map(async (signer) => (await signer).close().catch(() => undefined)));
  }

  /**
   * Where the tokens are read anyway, or a person will type a PIN, the certificate is looked at first: what a flow
   * refuses, it then refuses before the PIN. A script does not wait for a second look at the token.
   */
  async #openNamed(choice: TokenChoice): Promise<Signer> {
    if (this.#options.certificate === undefined && (this.#plugged !== undefined || asksForPin(this.#options, choice))) {
      const wanted = wantedUri(choice);
      const meant = (await this.#listPlugged()).filter(
        ({ token, id, label }) =>
          matchesToken(token, wanted) &&
          (wanted.id === undefined || equalBytes(wanted.id, id)) &&
          (wanted.object === undefined || wanted.object === label),
      );
      const [only, another] = meant;
      if (only !== undefined && another === undefined) return this.#whenNeeded(wantedOf(only), choice);
    }
    const { certificate: path } = this.#options;
    const certificate = path === undefined ? undefined : await readCertificate(path);
    return this.#open({ ...choice, ...(certificate === undefined ? {} : { certificate }) }, choice, this.#beforePin);
  }

  async #open(wanted: Wanted, choice: TokenChoice, beforePin?: () => Promise<void>): Promise<Signer> {
    const readPin = pinRequest(this.#options, choice, this.#output);
    const opening = openTokenSigner({
      ...wanted,
      ...(this.#sessions === undefined ? {} : { sessions: this.#sessions }),
      pin: async (token, warnings) => {
        await beforePin?.();
        return readPin(token, warnings);
      },
      signaturePin: signaturePinRequest(this.#options, this.#output),
      useFinalPinTry: this.#options.useFinalPinTry === true,
    });
    const signer = await opening;
    this.#opened.push(opening);
    return this.#sessions === undefined ? signer : gatherSignatures(signer);
  }

  /**
   * A token whose certificate is known without its PIN: the PIN is asked for when a flow goes as far as signing. Where
   * many files are signed it is asked for before the first of them.
   */
  #whenNeeded(wanted: Wanted & { readonly certificate: Certificate }, choice: TokenChoice): Signer | Promise<Signer> {
    if (this.#sessions !== undefined) return this.#open(wanted, choice);
    let opening: Promise<Signer> | undefined;
    return {
      certificate: wanted.certificate,
      digests: digestAlgorithms,
      sign: async (request) => {
        // Once: of a second signature nobody is asked for the PIN again.
        opening ??= this.#open(wanted, choice);
        return (await opening).sign(request);
      },
    };
  }

  #listPlugged(): Promise<readonly SastCertificate[]> {
    this.#plugged ??= this.#readPlugged();
    return this.#plugged;
  }

  #readPlugged(): Promise<readonly SastCertificate[]> {
    return listSastCertificates(moduleOf(tokenChoice(this.#options)));
  }
}

/** What opens the token that holds a certificate. */
function wantedOf({ token, certificate, id }: SastCertificate): Wanted & { readonly certificate: Certificate } {
  return {
    modulePath: token.modulePath,
    tokenLabel: token.label,
    ...(token.serialNumber === '' ? {} : { tokenSerial: token.serialNumber }),
    ...(id.length === 0 ? {} : { id }),
    certificate,
  };
}

function severalTokens(candidates: readonly SastCertificate[]): DeviceError {
  const lines = candidates.map(({ token, certificate, id }) => {
    const isAlone = candidates.filter((other) => other.token.uri === token.uri).length === 1;
    const uri = isAlone ? token.uri : formatTokenUri({ ...parseTokenUri(token.uri), id });
    return `  ${nameToken(token)}: ${printable(formatName(certificate.subject))}\n    ${uri}`;
  });
  return new DeviceError(
    'several-tokens',
    `${String(candidates.length)} certificates could sign:\n${lines.join('\n')}`,
  );
}

/** A signer from --key and --certificate. @param expected the certificate when the flow knows which it must be. */
export async function openSoftwareSigner(options: BuildOptions, expected: Certificate | undefined): Promise<Signer> {
  const { key: path = '' } = options;
  const bytes = await readInput(path, 'key');
  const password = await readPassword(options.keyPasswordFile);
  const given = options.certificate === undefined ? undefined : await readCertificate(options.certificate);
  if (looksLikePkcs12(bytes)) {
    const { key, certificate } = await openPkcs12(bytes, path, password);
    return createSoftwareSigner(given ?? certificate, key);
  }
  const certificate = given ?? expected;
  if (certificate === undefined) {
    throw new InputError('missing-option', 'the certificate of --key is wanted', { hint: 'give --certificate FILE' });
  }
  return createSoftwareSigner(certificate, await loadPrivateKey({ kind: 'file', path }, certificate, password));
}

async function openPkcs12(bytes: Uint8Array, path: string, password: string | undefined): Promise<Pkcs12> {
  try {
    return await decodePkcs12(bytes, password ?? '');
  } catch (error) {
    throw error instanceof FormatError ? notUsable(path, 'key', error) : error;
  }
}
