import { FormatError } from '../errors.js';
import type { DigestAlgorithm, Signer } from '../signer/index.js';
import { encodeText } from '../tlv/index.js';
import { formatClusterName, importPublicKey, type Certificate } from '../x509/index.js';
import { decodeSignedHeader, type SignedHeader } from './header.js';
import { encryptedMajor } from './header-elements.js';
import type { SignedHeaderDraft, SignerIdentity } from './header-layout.js';
import { signWithHeader, verifySignature } from './signing.js';

/** A signed file (.sgn): header and content. */
export interface SignedFile {
  /** The file as it was read. */
  readonly bytes: Uint8Array;
  readonly header: SignedHeader;
  /** The plain file, as a view of the signed one. */
  readonly content: Uint8Array;
}

/** What is chosen when a file is signed. */
export interface SignFileOptions {
  /** The name of the plain file, e.g. `SEP001122334455.cnf.xml`; `.sgn` is added. */
  readonly name: string;
  readonly digestAlgorithm?: DigestAlgorithm;
  /** Seconds since 1970-01-01 UTC. */
  readonly timestamp: number;
  /** Names and serial as the phones' lists spell them; the cluster's spelling unless given. */
  readonly identity?: SignerIdentity;
}

/** The identity of a certificate as clusters write it: their names, the serial big-endian. */
export function clusterIdentity(certificate: Certificate): SignerIdentity {
  return {
    signerName: encodeText(formatClusterName(certificate.subject)),
    serialNumber: certificate.serialNumber,
    issuerName: encodeText(formatClusterName(certificate.issuer)),
  };
}

/** One certificate signs thousands of files. What is kept here is given to nobody who could change it. */
const keptIdentities = new WeakMap<Certificate, SignerIdentity>();

function keptIdentity(certificate: Certificate): SignerIdentity {
  const kept = keptIdentities.get(certificate) ?? clusterIdentity(certificate);
  keptIdentities.set(certificate, kept);
  return kept;
}

/**
 * The header that a file gets.
 */
export function signedFileDraft(options: SignFileOptions, certificate: Certificate): SignedHeaderDraft {
  return {
    version: { major: 1, minor: 0 },
    signer: options.identity ?? keptIdentity(certificate),
    digestAlgorithm: options.digestAlgorithm ?? 'sha1',
    fileName: encodeText(`${options.name}.sgn`),
    timestamp: options.timestamp,
  };
}

/**
 * Signs a file as clusters do for phones (header version 1.0; trust-list-format.md, Signed files).
 *
 * @throws FormatError for a name or identity that no header can hold, e.g. with a NUL inside; ProofError as
 *   {@link signWithHeader}.
 */
export async function signFile(content: Uint8Array, options: SignFileOptions, signer: Signer): Promise<Uint8Array> {
  const bytes = await signWithHeader(signedFileDraft(options, signer.certificate), content, signer);
  decodeSignedFile(bytes);
  return bytes;
}

/**
 * Reads a signed file; `content` is the plain file.
 *
 * @throws FormatError; `encrypted` for a file that is encrypted as well.
 */
export function decodeSignedFile(bytes: Uint8Array): SignedFile {
  const header = decodeSignedHeader(bytes);
  requirePlain(header);
  return { bytes, header, content: bytes.subarray(header.length) };
}

/** @throws FormatError `encrypted` for the header of an encrypted file, `bad-value` for that of a list. */
export function requirePlain({ version: { major, minor } }: SignedHeader): void {
  if (major === 1 && minor === 0) return;
  const isEncrypted = major === encryptedMajor && minor === 0;
  throw new FormatError(
    isEncrypted ? 'encrypted' : 'bad-value',
    `version 1.0 expected, ${String(major)}.${String(minor)} found`,
    { offset: 3, element: 'VERSION' },
    isEncrypted ? { hint: "the file is encrypted for a phone: decrypt it with that phone's private key" } : {},
  );
}

/** Whether a certificate's key made the signature of a signed file. */
export function verifySignedFile(file: Pick<SignedFile, 'bytes' | 'header'>, certificate: Certificate): boolean {
  return (
    certificate.keyType === 'rsa' && verifySignature(file.bytes, file.header, importPublicKey(certificate.publicKey))
  );
}
