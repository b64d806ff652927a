import { ProofError, DeviceError } from '../errors.js';
import { digestAlgorithms, encodeDigestInfo, verifyDigest } from '../signer/index.js';
import type { DigestAlgorithm, Signer, SignRequest } from '../signer/index.js';
import { formatName, rsaModulus, type Certificate } from '../x509/index.js';
import { wantedUri, type ChosenToken, type TokenAccess, type WantedToken } from './module-hosts.js';
import { selectSigningKey, type SigningKey } from './key-matching.js';
import { Pin } from './pin.js';
import { requireSignaturePin } from './signature-pin.js';
import { nameToken, tokenInfo, type TokenInfo } from './token-info.js';
import { contentsOf } from './token-keys.js';
import { unlockToken, type PinRequest, type UnlockOptions } from './unlock.js';

export interface TokenSignerOptions extends TokenAccess, WantedToken, UnlockOptions {
  /** How many signatures are made at the same time, 1 to 4; 1 unless given. Hardware tokens make one at a time. */
  readonly sessions?: number;
  /** The certificate, for a token that has none; it must be for the key on the token. */
  readonly certificate?: Certificate;
  /**
   * For a key that wants a PIN for each signature, asked for only when one does: CKA_ALWAYS_AUTHENTICATE says so, or the
   * first signature fails with CKR_USER_NOT_LOGGED_IN. `undefined` from it is the user's PIN, where the key says so and
   * the token is known to take that one for both; else the one that is entered at a reader with keys. Where there is
   * none of these, a key that says so fails before a signature, and one that does not with that return value.
   */
  readonly signaturePin?: PinRequest;
}

/** A signer whose key is on a token. It holds the token until it is closed. */
export interface TokenSigner extends Signer {
  readonly token: TokenInfo;
  /** Things to know, such as a module that spies. The request for the PIN has had them too. */
  readonly warnings: readonly string[];
  /**
   * Signs many digests with one login, in their order. Nothing is given out when one of them fails.
   *
   * @throws as {@link Signer.sign}
   */
  signBatch(requests: readonly SignRequest[]): Promise<Uint8Array[]>;
  /** Logs out and lets go of the token. Signatures that were asked for before are made. It never fails. */
  close(): Promise<void>;
}

/** How a token is asked: to sign a DigestInfo, or to hash the message and sign it. */
export type SigningWay = 'digest-info' | 'hash';

/** Mechanism numbers and names (PKCS#11 v2.40, 2.1). */
export const hashMechanisms: Readonly<Record<DigestAlgorithm, { readonly value: number; readonly name: string }>> = {
  sha1: { value: 0x06, name: 'CKM_SHA1_RSA_PKCS' },
  sha256: { value: 0x40, name: 'CKM_SHA256_RSA_PKCS' },
  sha512: { value: 0x42, name: 'CKM_SHA512_RSA_PKCS' },
};
export const plainMechanism: { readonly value: number; readonly name: string } = { value: 0x01, name: 'CKM_RSA_PKCS' };

/** How many digests go into one message to the host: it signs some while others are verified here. */
const chunkLength = 32;
/** And how many bytes of messages, where the token hashes by itself. */
const chunkBytes = 1_048_576;
const chunksInFlight = 2;
const mostSessions = 4;

/**
 * Unlocks the token that was chosen and finds the key on it.
 *
 * @throws as `openTokenSigner`, from the login on; the host is closed then
 */
export async function bindSigner(chosen: ChosenToken, options: TokenSignerOptions): Promise<HostSigner> {
  const { host } = chosen.opened;
  try {
    const { objects, description, pin } = await unlockToken(chosen, options);
    const name = nameToken(chosen.token);
    const signingKey = selectSigningKey(objects, wantedUri(options), name, options.certificate);
    const certificate = options.certificate ?? signingKey.certificate?.certificate;
    if (certificate === undefined) {
      throw new DeviceError(
        'certificate-not-found',
        `${name} has no certificate for its key`,
        {},
        { hint: 'give the certificate of this key as a file' },
      );
    }
    const { library, modulePath } = chosen.token;
    const token = tokenInfo(description, library, modulePath, contentsOf(objects));
    const bound: ChosenToken = { ...chosen, token };
    const signaturePin = signingKey.key.alwaysAuthenticates
      ? await requireSignaturePin(bound, options.signaturePin, pin)
      : undefined;
    return new HostSigner(bound, signingKey, certificate, signaturePin, options);
  } catch (error) {
    await host.close();
    throw error;
  }
}

/** A token signer, bound to the host that holds its token. */
export class HostSigner implements TokenSigner {
  readonly certificate: Certificate;
  readonly digests: readonly DigestAlgorithm[] = digestAlgorithms;
  readonly token: TokenInfo;
  readonly warnings: readonly string[];
  readonly #chosen: ChosenToken;
  readonly #key: Uint8Array;
  readonly #signatureLength: number;
  #signaturePin: Pin | undefined;
  readonly #askSignaturePin: () => Promise<Pin | undefined>;
  /** Asked for once, however many signatures wait for it. */
  #asked: Promise<Pin | undefined> | undefined;
  readonly #sessions: number;
  /** The way that the token is known to take; the shorter one until it refuses that. */
  #way: SigningWay = 'digest-info';

  constructor(
    chosen: ChosenToken,
    { key }: SigningKey,
    certificate: Certificate,
    signaturePin: Pin | undefined,
    { sessions = 1, signaturePin: request }: Pick<TokenSignerOptions, 'sessions' | 'signaturePin'>,
  ) {
    this.certificate = certificate;
    this.token = chosen.token;
    this.warnings = chosen.warnings;
    this.#chosen = chosen;
    this.#key = key.handle;
    this.#signatureLength = rsaModulus(certificate.publicKey).length;
    this.#signaturePin = signaturePin;
    const atReader = chosen.token.protectedAuthenticationPath ? new Pin('') : undefined;
    this.#askSignaturePin = async () => (await request?.(chosen.token, chosen.warnings)) ?? atReader;
    // A login for each signature is one after the other by its nature.
    this.#sessions = key.alwaysAuthenticates ? 1 : Math.min(Math.max(Math.trunc(sessions), 1), mostSessions);
  }

  async sign(request: SignRequest): Promise<Uint8Array> {
    const [signature] = await this.#signChunk([request]);
    if (signature === undefined) throw new DeviceError('function-failed', `${nameToken(this.token)} gave no signature`);
    return signature;
  }

  async signBatch(requests: readonly SignRequest[]): Promise<Uint8Array[]> {
    const chunks: Promise<readonly Uint8Array[]>[] = [];
    try {
      for (const chunk of splitRequests(requests)) {
        const before = chunks[chunks.length - chunksInFlight];
        if (before !== undefined) await before;
        const signed = this.#signChunk(chunk);
        // Awaited below or never, after another failed: either way nothing is lost that has to be reported.
        signed.catch(() => undefined);
        chunks.push(signed);
      }
      return (await Promise.all(chunks)).flat();
    } catch (error) {
      await Promise.allSettled(chunks);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#chosen.opened.host.close();
  }

  /**
   * Signs in one way, without falling back to the other.
   *
   * @throws DeviceError; ProofError `key-mismatch`
   */
  async signInOneWay(way: SigningWay, requests: readonly SignRequest[]): Promise<readonly Uint8Array[]> {
    const before = this.#signaturePin;
    try {
      return await this.#ask(way, requests);
    } catch (error) {
      // A key with a PIN of its own, of which the token does not tell (5110 CC). The user's PIN is not tried here.
      const wantsPin = error instanceof DeviceError && error.returnValue === 'CKR_USER_NOT_LOGGED_IN';
      if (!wantsPin || before !== undefined) throw error;
      this.#asked ??= this.#askSignaturePin();
      this.#signaturePin = await this.#asked;
      if (this.#signaturePin === undefined) throw error;
      return this.#ask(way, requests);
    }
  }

  async #ask(way: SigningWay, requests: readonly SignRequest[]): Promise<readonly Uint8Array[]> {
    const mechanisms = requests.map(({ digestAlgorithm }) =>
      way === 'hash' ? hashMechanisms[digestAlgorithm].value : plainMechanism.value,
    );
    const inputs = requests.map((request) => this.#inputOf(way, request));
    const { signatures } = await this.#chosen.opened.host.request(
      'sign',
      {
        key: this.#key,
        mechanisms,
        inputs,
        signatureLength: this.#signatureLength,
        sessions: this.#sessions,
        ...(this.#signaturePin === undefined ? {} : { signaturePin: this.#signaturePin }),
      },
      nameToken(this.token),
    );
    return requests.map((request, index) => this.#verified(request, signatures[index]));
  }

  /** The state of the token now, its PIN's among it. */
  async readToken(): Promise<TokenInfo> {
    const { slotId, library, modulePath } = this.token;
    const description = await this.#chosen.opened.host.request('token', { slotId }, nameToken(this.token));
    return tokenInfo(description, library, modulePath, this.token);
  }

  /** A digest first, because that is all that has to travel to the token; by trying, not by the list of mechanisms. */
  async #signChunk(requests: readonly SignRequest[]): Promise<readonly Uint8Array[]> {
    const way = this.#way;
    try {
      return await this.signInOneWay(way, requests);
    } catch (error) {
      const mayFallBack = way === 'digest-info' && requests.every(({ message }) => message !== undefined);
      if (!mayFallBack || !(error instanceof DeviceError) || error.code !== 'mechanism-refused') throw error;
    }
    const signatures = await this.signInOneWay('hash', requests);
    this.#way = 'hash';
    return signatures;
  }

  #inputOf(way: SigningWay, { digestAlgorithm, digest, message }: SignRequest): Uint8Array {
    if (way === 'digest-info') return encodeDigestInfo(digestAlgorithm, digest);
    if (message !== undefined) return message;
    throw new DeviceError(
      'mechanism-refused',
      `${nameToken(this.token)} signs messages only, and only a digest is at hand`,
      {},
      { hint: 'this token cannot sign what is too large to be held in memory' },
    );
  }

  #verified(request: SignRequest, signature: Uint8Array | undefined): Uint8Array {
    if (signature !== undefined && verifyDigest(this.certificate, request, signature)) return signature;
    throw new ProofError(
      'key-mismatch',
      `a signature of ${nameToken(this.token)} does not verify with the certificate ${formatName(this.certificate.subject)}`,
      { hint: 'the certificate is for another key, or the token signs wrongly; nothing was written' },
    );
  }
}

function* splitRequests(requests: readonly SignRequest[]): Generator<readonly SignRequest[]> {
  let chunk: SignRequest[] = [];
  let bytes = 0;
  for (const request of requests) {
    const size = request.message?.length ?? 0;
    if (chunk.length === chunkLength || (chunk.length > 0 && bytes + size > chunkBytes)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(request);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}
