import { FormatError } from '../errors.js';
import { printable } from '../bytes/index.js';
import { decodeSignedHeader, type SignedHeader } from '../signed-file/index.js';
import { recordFunction } from '../trust-list/index.js';
import type { Deciding, Outcome, Rule, Used } from './decision.js';
import { isSignedWith, signerOf } from './held-records.js';
import {
  findHeldSigner,
  findSigner,
  type HeldLists,
  type SignerLookup,
  type WantedFunctions,
} from './signer-lookup.js';
import type { PhoneState } from './state.js';
import { p6Applies } from './trust-list-rules.js';
import { p10KeepAnswer } from './tvs-rules.js';

/** What a phone makes of a signed file. */
export interface SignedFileOutcome extends Outcome {
  /**
   * The file without its header, a view of the bytes that were offered; of an encrypted file what was decrypted, or,
   * when nothing decrypts it, still encrypted, padding and all. Only there when the file was accepted.
   */
  readonly content: Uint8Array | undefined;
  readonly encrypted: boolean;
}

/** What came of an encrypted file: the plain one, or why there is none, as the end of a sentence. */
export type Decrypted = { readonly content: Uint8Array } | { readonly fault: string };

/** Decrypts a whole signed file with the phone's own key. */
export type DecryptFile = (file: Uint8Array) => Decrypted;

const configurationFunctions: readonly number[] = [recordFunction.ccmTftp, recordFunction.tftp];
const fileSigners: WantedFunctions = {
  ctl: configurationFunctions,
  itl: configurationFunctions,
  tvs: configurationFunctions,
};

/**
 * Looks the signer of a signed file up in the CTL, then the ITL (rule P12, without TVS). That its key made the signature
 * is for the caller to check: of a file that is too large to be held, only its digest is known.
 */
export function findFileSigner(lists: HeldLists, header: SignedHeader): SignerLookup {
  return findHeldSigner(lists, header, fileSigners);
}

/**
 * Offers a phone a signed file, such as its configuration (rule P12, and P6): the signer is looked up with function 2
 * or 3 in the CTL, then the ITL, then asked of TVS with these roles, and its key must verify the signature.
 *
 * Of an encrypted file (header version 2.0) signer and signature are checked, and then it must decrypt and match its
 * digest. That needs the phone's own key: without `decrypt` it is the caller's next step, without which P12 is not
 * fulfilled. A phone without encrypted configuration rejects one: it could not decrypt it.
 *
 * @param file the bytes that were received.
 * @param expectedName the name that was asked for, e.g. `SEP001122334455.cnf.xml.sgn`: another FILENAME is rejected.
 * @param now seconds since 1970-01-01 UTC.
 * @param decrypt asked for an encrypted file whose signature is right.
 */
export function* offerSignedFile(
  state: PhoneState,
  file: Uint8Array,
  expectedName: string | undefined,
  now: number,
  decrypt?: DecryptFile,
): Deciding<SignedFileOutcome> {
  const read = readFile(state, file, expectedName);
  if ('fault' in read) return reject(state, read.fault, false);
  const { header, encrypted } = read;
  const signer = `the signer ${signerOf(header).name}`;
  const accept = (rule: Rule, reason: string, used: Used, next: PhoneState = state): SignedFileOutcome => {
    const opened = encrypted && decrypt !== undefined ? decrypt(file) : { content: file.subarray(header.length) };
    if ('fault' in opened) return reject(state, `${reason}; but ${opened.fault}`, encrypted, used);
    const { content } = opened;
    return { decision: { accepted: true, rule, reason, used }, state: next, content, encrypted };
  };
  if (p6Applies(state)) {
    // Nothing that the phone holds could prove the file, and P6 asks for no proof.
    return accept('P6', 'its ITL is empty and it has no CTL, so it accepts any configuration', { kind: 'any' });
  }
  const lookup = yield* findSigner(state, header, fileSigners, now);
  if (!lookup.found) return reject(state, `${signer} is ${lookup.reason}`, encrypted);
  const { used, place, publicKey, vouched } = lookup;
  if (!isSignedWith(file, header, publicKey)) {
    const reason = `${signer} was found (${place}), and the signature was not made with its key over these bytes`;
    return reject(state, reason, encrypted, used);
  }
  const next = vouched === undefined ? state : p10KeepAnswer(state, signerOf(header).cacheKey, vouched, now);
  return accept('P12', `${signer} was found (${place}), and its key verifies the signature`, used, next);
}

type Read = { readonly header: SignedHeader; readonly encrypted: boolean } | { readonly fault: string };

function readFile(state: PhoneState, file: Uint8Array, expectedName: string | undefined): Read {
  let header: SignedHeader;
  try {
    header = decodeSignedHeader(file);
  } catch (error) {
    if (error instanceof FormatError) return { fault: `the file does not parse: ${error.message}` };
    throw error;
  }
  const version = `${String(header.version.major)}.${String(header.version.minor)}`;
  const encrypted = version === '2.0';
  if (!encrypted && version !== '1.0') {
    return { fault: `a signed file has version 1.0 or 2.0, this one has ${version}` };
  }
  if (expectedName !== undefined && header.fileName !== expectedName) {
    return { fault: `${expectedName} was asked for, and the FILENAME is ${printable(header.fileName)}` };
  }
  if (encrypted && !state.profile.encryptedConfiguration) {
    return { fault: 'the file is encrypted, and the phone has no encrypted configuration' };
  }
  return { header, encrypted };
}

function reject(state: PhoneState, reason: string, encrypted: boolean, used?: Used): SignedFileOutcome {
  return { decision: { accepted: false, rule: 'P12', reason, used }, state, content: undefined, encrypted };
}
