import { randomBytes } from 'node:crypto';
import { EtokenBridgeError } from '../errors.js';
import { digestAlgorithms, digestOf, type DigestAlgorithm } from '../signer/index.js';
import type { Certificate } from '../x509/index.js';
import type { PinState, TokenInfo } from './token-info.js';
import {
  hashMechanisms,
  plainMechanism,
  type HostSigner,
  type SigningWay,
  type TokenSignerOptions,
} from './token-signer.js';

/** One way of signing that was tried. */
export interface SigningTrial {
  readonly digest: DigestAlgorithm;
  /** `digest-info`: the token signs a digest. `hash`: the token hashes the message by itself. */
  readonly way: SigningWay;
  /** The name of the mechanism, e.g. `CKM_SHA1_RSA_PKCS`. */
  readonly mechanism: string;
  /** The token signed, and the signature verifies with the certificate. */
  readonly ok: boolean;
  /** How long the signature took, in milliseconds. */
  readonly milliseconds: number;
  readonly error?: EtokenBridgeError;
}

/** What a token is able to do. */
export interface TokenCheck {
  readonly token: TokenInfo;
  readonly certificate: Certificate;
  readonly trials: readonly SigningTrial[];
  /** Whether every digest can be signed in one way at least. */
  readonly ok: boolean;
  /** How long it took to find the token, log in and find the key, in milliseconds, the time for the PIN included. */
  readonly openMilliseconds: number;
  /** After the trials; `undefined` when the token does not answer any more. */
  readonly pin: PinState | undefined;
  readonly warnings: readonly string[];
}

export interface TokenCheckOptions extends TokenSignerOptions {
  /** What is signed; 32 random bytes unless given. */
  readonly challenge?: Uint8Array;
}

/** Tries every digest in both ways. @param started when the token began to be opened, see `performance.now`. */
export async function runTrials(signer: HostSigner, started: number, challenge?: Uint8Array): Promise<TokenCheck> {
  const openMilliseconds = performance.now() - started;
  const message = challenge ?? new Uint8Array(randomBytes(32));
  const trials: SigningTrial[] = [];
  for (const digest of digestAlgorithms) {
    for (const way of ['digest-info', 'hash'] as const) trials.push(await trySigning(signer, way, digest, message));
  }
  const { token, certificate, warnings } = signer;
  const ok = digestAlgorithms.every((digest) => trials.some((trial) => trial.digest === digest && trial.ok));
  return { token, certificate, trials, ok, openMilliseconds, pin: await readPinState(signer), warnings };
}

async function trySigning(
  signer: HostSigner,
  way: SigningWay,
  digest: DigestAlgorithm,
  message: Uint8Array,
): Promise<SigningTrial> {
  const { name: mechanism } = way === 'hash' ? hashMechanisms[digest] : plainMechanism;
  const request = { digestAlgorithm: digest, digest: digestOf(digest, message), message };
  const started = performance.now();
  try {
    await signer.signInOneWay(way, [request]);
    return { digest, way, mechanism, ok: true, milliseconds: performance.now() - started };
  } catch (error) {
    if (!(error instanceof EtokenBridgeError)) throw error;
    return { digest, way, mechanism, ok: false, milliseconds: performance.now() - started, error };
  }
}

async function readPinState(signer: HostSigner): Promise<PinState | undefined> {
  try {
    const { pin } = await signer.readToken();
    return pin;
  } catch {
    // The trials have already told that the token is gone.
    return undefined;
  }
}
