import type { DigestAlgorithm } from '../signer/index.js';
import { elementTable, type ElementDefinition, type ElementTable } from '../tlv/index.js';

/** The tags of the signed header (trust-list-format.md, Header). */
export const headerTag = {
  version: 1,
  headerLength: 2,
  signerId: 3,
  signerName: 4,
  serialNumber: 5,
  issuerName: 6,
  signatureInfo: 7,
  digestAlgorithm: 8,
  signatureAlgorithmInfo: 9,
  signatureAlgorithm: 10,
  signatureModulus: 11,
  signature: 12,
  padding: 13,
  fileName: 14,
  timestamp: 15,
  signerVersion: 28,
} as const;

/** The tags that follow TIMESTAMP in the header of an encrypted file (trust-list-format.md, Encrypted signed files). */
export const encryptionTag = {
  encryption: 16,
  cipherInfo: 17,
  cipherMode: 18,
  initializationVector: 19,
  fillerLength: 20,
  keyInfo: 21,
  keyFormat: 22,
  keyBits: 23,
  cipher: 24,
  contentKey: 25,
  contentDigestAlgorithm: 26,
  contentDigest: 27,
} as const;

const signedElements: readonly ElementDefinition[] = [
  { tag: headerTag.version, name: 'VERSION', kind: 'plain', lengths: [2] },
  { tag: headerTag.headerLength, name: 'HEADERLENGTH', kind: 'number', lengths: [2] },
  { tag: headerTag.signerVersion, name: 'SIGNERVERSION', kind: 'plain', lengths: [2] },
  { tag: headerTag.signerId, name: 'SIGNERID', kind: 'container' },
  { tag: headerTag.signerName, name: 'SIGNERNAME', kind: 'text', parent: headerTag.signerId },
  { tag: headerTag.serialNumber, name: 'SERIALNUMBER', kind: 'plain', parent: headerTag.signerId },
  { tag: headerTag.issuerName, name: 'CANAME', kind: 'text', parent: headerTag.signerId },
  { tag: headerTag.signatureInfo, name: 'SIGNATUREINFO', kind: 'container' },
  {
    tag: headerTag.digestAlgorithm,
    name: 'DIGESTALGORTITHM',
    kind: 'number',
    lengths: [1],
    parent: headerTag.signatureInfo,
  },
  {
    tag: headerTag.signatureAlgorithmInfo,
    name: 'SIGNATUREALGOINFO',
    kind: 'container',
    parent: headerTag.signatureInfo,
  },
  {
    tag: headerTag.signatureAlgorithm,
    name: 'SIGNATUREALGORTITHM',
    kind: 'number',
    lengths: [1],
    parent: headerTag.signatureAlgorithmInfo,
  },
  {
    tag: headerTag.signatureModulus,
    name: 'SIGNATUREMODULUS',
    kind: 'number',
    lengths: [1],
    parent: headerTag.signatureAlgorithmInfo,
  },
  { tag: headerTag.signature, name: 'SIGNATURE', kind: 'plain' },
  { tag: headerTag.fileName, name: 'FILENAME', kind: 'text' },
  { tag: headerTag.timestamp, name: 'TIMESTAMP', kind: 'number', lengths: [4] },
  { tag: headerTag.padding, name: 'PADDING', kind: 'padding' },
];

/** The elements of the signed header, with the names that clusters print, misspellings included. */
export const headerElements: ElementTable = elementTable(signedElements);

/** The elements of the header of an encrypted file. No cluster prints those after TIMESTAMP: the names are ours. */
export const encryptedHeaderElements: ElementTable = elementTable([
  ...signedElements,
  { tag: encryptionTag.encryption, name: 'ENCRYPTIONINFO', kind: 'container' },
  { tag: encryptionTag.cipherInfo, name: 'CIPHERINFO', kind: 'container', parent: encryptionTag.encryption },
  {
    tag: encryptionTag.cipherMode,
    name: 'CIPHERMODE',
    kind: 'number',
    lengths: [1],
    parent: encryptionTag.cipherInfo,
  },
  {
    tag: encryptionTag.initializationVector,
    name: 'INITIALIZATIONVECTOR',
    kind: 'plain',
    lengths: [16],
    parent: encryptionTag.cipherInfo,
  },
  {
    tag: encryptionTag.fillerLength,
    name: 'FILLERLENGTH',
    kind: 'number',
    lengths: [2],
    parent: encryptionTag.cipherInfo,
  },
  { tag: encryptionTag.keyInfo, name: 'KEYINFO', kind: 'container', parent: encryptionTag.encryption },
  { tag: encryptionTag.keyFormat, name: 'KEYFORMAT', kind: 'number', lengths: [1], parent: encryptionTag.keyInfo },
  { tag: encryptionTag.keyBits, name: 'KEYBITS', kind: 'number', lengths: [2], parent: encryptionTag.keyInfo },
  { tag: encryptionTag.cipher, name: 'CIPHER', kind: 'number', lengths: [1], parent: encryptionTag.keyInfo },
  { tag: encryptionTag.contentKey, name: 'CONTENTKEY', kind: 'plain', parent: encryptionTag.keyInfo },
  { tag: encryptionTag.contentDigestAlgorithm, name: 'CONTENTDIGESTALGORITHM', kind: 'number', lengths: [1] },
  { tag: encryptionTag.contentDigest, name: 'CONTENTDIGEST', kind: 'plain' },
]);

/** The version of the header of an encrypted file begins with this number. */
export const encryptedMajor = 2;

/** Every element but SIGNERVERSION and padding must be there. */
export const mandatoryHeaderTags: readonly number[] = Object.values(headerTag).filter(
  (tag) => tag !== headerTag.padding && tag !== headerTag.signerVersion,
);

/** DIGESTALGORITHM and HASH ALGORITHM by number. */
export const digestCodes: ReadonlyMap<number, DigestAlgorithm> = new Map([
  [1, 'sha1'],
  [2, 'sha256'],
  [3, 'sha512'],
]);

/** The number of a digest in DIGESTALGORITHM and HASH ALGORITHM. */
export function digestCode(algorithm: DigestAlgorithm): number {
  return algorithm === 'sha1' ? 1 : algorithm === 'sha256' ? 2 : 3;
}

/** SIGNATUREMODULUS by number: the length of the signature in bytes. */
export const modulusLengths: readonly number[] = [64, 128, 256, 512];
