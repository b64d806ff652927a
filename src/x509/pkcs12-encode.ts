import {
  createCipheriv,
  createHash,
  createHmac,
  createPublicKey,
  pbkdf2Sync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';
import { concatBytes, equalBytes } from '../bytes/index.js';
import { ProofError } from '../errors.js';
import type { Certificate } from './certificate.js';
import { derTag } from './der.js';
import {
  derNull,
  encodeDer,
  encodeInteger,
  encodeObjectIdentifier,
  encodeOctetString,
  encodeSequence,
  encodeSet,
} from './der-write.js';
import { bmpString, derivedFor, derivePkcs12 } from './pkcs12-keys.js';

/**
 * How a PKCS#12 file is encrypted. `aes-256`: PBES2 with AES-256-CBC and PBKDF2 over HMAC-SHA-256, MAC over SHA-256.
 * `3des`: the old way, 3DES and SHA-1, which every cluster reads and writes.
 */
export type Pkcs12Encryption = 'aes-256' | '3des';

/** What {@link encodePkcs12} writes. */
export interface Pkcs12Request {
  readonly key: KeyObject;
  /** The certificate of the key. */
  readonly certificate: Certificate;
  readonly others?: readonly Certificate[];
  /** The name that tools show for key and certificate. */
  readonly friendlyName?: string;
  readonly password: string;
  /** `aes-256` unless given. */
  readonly encryption?: Pkcs12Encryption;
  /** Random bytes for salts and initialization vectors: those of node:crypto unless given. */
  readonly random?: (length: number) => Uint8Array;
}

const oid = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacSha256: '1.2.840.113549.2.9',
  aes256: '2.16.840.1.101.3.4.1.42',
  oldTripleDes: '1.2.840.113549.1.12.1.3',
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const;

/** As often as openssl does it for the old way; more for the new one, as far as readers in script bear it. */
const iterations: Readonly<Record<Pkcs12Encryption, number>> = { 'aes-256': 10_000, '3des': 2048 };

/** What encrypts one content: its AlgorithmIdentifier, and the encrypted bytes. */
interface Encrypted {
  readonly algorithm: Uint8Array;
  readonly bytes: Uint8Array;
}

type Encrypt = (plain: Uint8Array) => Encrypted;

/**
 * Writes a PKCS#12 file with a key, its certificate and others (RFC 7292). Key and certificates are encrypted with the
 * password, and a MAC is over all of it.
 *
 * @throws ProofError `key-mismatch` when the key is not the one of the certificate.
 */
export function encodePkcs12(request: Pkcs12Request): Uint8Array {
  const { key, certificate, others = [], password, encryption = 'aes-256', friendlyName } = request;
  const random = request.random ?? ((length: number) => new Uint8Array(randomBytes(length)));
  const publicKeyInfo = createPublicKey(key).export({ format: 'der', type: 'spki' });
  if (!equalBytes(publicKeyInfo, certificate.publicKeyInfo)) {
    throw new ProofError(
      'key-mismatch',
      'the private key is not the one of the certificate, and both are to be kept together',
    );
  }
  const encrypt = encryption === '3des' ? oldEncryption(password, random) : newEncryption(password, random);
  const own = [
    ...(friendlyName === undefined ? [] : [attribute(oid.friendlyName, encodeBmp(friendlyName))]),
    attribute(oid.localKeyId, encodeOctetString(sha1(certificate.der))),
  ];
  const certificates = encodeSequence(
    certificateBag(certificate, own),
    ...others.map((other) => certificateBag(other, [])),
  );
  const keys = encodeSequence(keyBag(key, own, encrypt));
  const safe = encodeSequence(encryptedContent(certificates, encrypt), dataContent(keys));
  return encodeSequence(encodeInteger(3), dataContent(safe), macData(safe, password, encryption, random));
}

function newEncryption(password: string, random: (length: number) => Uint8Array): Encrypt {
  return (plain) => {
    const [salt, iv] = [random(16), random(16)];
    const count = iterations['aes-256'];
    const cipher = createCipheriv('aes-256-cbc', pbkdf2Sync(password, salt, count, 32, 'sha256'), iv);
    const derivation = encodeSequence(
      encodeObjectIdentifier(oid.pbkdf2),
      encodeSequence(encodeOctetString(salt), encodeInteger(count), algorithm(oid.hmacSha256, derNull)),
    );
    const scheme = algorithm(oid.aes256, encodeOctetString(iv));
    return {
      algorithm: algorithm(oid.pbes2, encodeSequence(derivation, scheme)),
      bytes: concatBytes(cipher.update(plain), cipher.final()),
    };
  };
}

function oldEncryption(password: string, random: (length: number) => Uint8Array): Encrypt {
  return (plain) => {
    const salt = random(8);
    const from = { hash: 'sha1', password, salt, iterations: iterations['3des'] } as const;
    const key = derivePkcs12({ ...from, purpose: derivedFor.key, length: 24 });
    const iv = derivePkcs12({ ...from, purpose: derivedFor.iv, length: 8 });
    const cipher = createCipheriv('des-ede3-cbc', key, iv);
    return {
      algorithm: algorithm(oid.oldTripleDes, encodeSequence(encodeOctetString(salt), encodeInteger(from.iterations))),
      bytes: concatBytes(cipher.update(plain), cipher.final()),
    };
  };
}

function algorithm(identifier: string, parameters: Uint8Array): Uint8Array {
  return encodeSequence(encodeObjectIdentifier(identifier), parameters);
}

/** [0] IMPLICIT OCTET STRING, as EncryptedContentInfo has it. */
const implicit0 = 0x80;

/** ContentInfo with data in the open. */
function dataContent(content: Uint8Array): Uint8Array {
  return encodeSequence(encodeObjectIdentifier(oid.data), encodeDer(derTag.explicit0, encodeOctetString(content)));
}

/** ContentInfo with EncryptedData (RFC 2315, 13). */
function encryptedContent(content: Uint8Array, encrypt: Encrypt): Uint8Array {
  const encrypted = encrypt(content);
  const information = encodeSequence(
    encodeObjectIdentifier(oid.data),
    encrypted.algorithm,
    encodeDer(implicit0, encrypted.bytes),
  );
  return encodeSequence(
    encodeObjectIdentifier(oid.encryptedData),
    encodeDer(derTag.explicit0, encodeSequence(encodeInteger(0), information)),
  );
}

function certificateBag({ der }: Certificate, attributes: readonly Uint8Array[]): Uint8Array {
  const value = encodeSequence(
    encodeObjectIdentifier(oid.x509Certificate),
    encodeDer(derTag.explicit0, encodeOctetString(der)),
  );
  return bag(oid.certificateBag, value, attributes);
}

function keyBag(key: KeyObject, attributes: readonly Uint8Array[], encrypt: Encrypt): Uint8Array {
  const plain = new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }));
  const encrypted = encrypt(plain);
  plain.fill(0);
  return bag(oid.shroudedKeyBag, encodeSequence(encrypted.algorithm, encodeOctetString(encrypted.bytes)), attributes);
}

/** SafeBag ::= SEQUENCE { bagId, bagValue [0] EXPLICIT, bagAttributes SET OPTIONAL } */
function bag(identifier: string, value: Uint8Array, attributes: readonly Uint8Array[]): Uint8Array {
  return encodeSequence(
    encodeObjectIdentifier(identifier),
    encodeDer(derTag.explicit0, value),
    ...(attributes.length === 0 ? [] : [encodeSet(...inOrder(attributes))]),
  );
}

/** The order of a SET OF in DER (X.690, 11.6). */
function inOrder(values: readonly Uint8Array[]): readonly Uint8Array[] {
  return values.toSorted((left, right) => Buffer.compare(left, right));
}

function attribute(identifier: string, value: Uint8Array): Uint8Array {
  return encodeSequence(encodeObjectIdentifier(identifier), encodeSet(value));
}

/** A BMPString, which has no closing zero, unlike a password. */
function encodeBmp(text: string): Uint8Array {
  return encodeDer(derTag.bmpString, bmpString(text).slice(0, -2));
}

/** MacData ::= SEQUENCE { mac DigestInfo, macSalt OCTET STRING, iterations INTEGER } */
function macData(
  content: Uint8Array,
  password: string,
  encryption: Pkcs12Encryption,
  random: (length: number) => Uint8Array,
): Uint8Array {
  const hash = encryption === '3des' ? 'sha1' : 'sha256';
  const salt = random(encryption === '3des' ? 8 : 16);
  const count = iterations[encryption];
  const length = hash === 'sha1' ? 20 : 32;
  const key = derivePkcs12({ hash, password, salt, iterations: count, purpose: derivedFor.mac, length });
  const mac = createHmac(hash, key).update(content).digest();
  const digestInfo = encodeSequence(algorithm(oid[hash], derNull), encodeOctetString(mac));
  return encodeSequence(digestInfo, encodeOctetString(salt), encodeInteger(count));
}

function sha1(bytes: Uint8Array): Uint8Array {
  return createHash('sha1').update(bytes).digest();
}
