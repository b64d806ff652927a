import {
  createHash,
  createPublicKey,
  generateKeyPair as generateKeyPairCallback,
  sign,
  type KeyObject,
} from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import type { asn1, pki as forgePki } from 'node-forge';
import { concatBytes, formatHex } from '../bytes/index.js';
import { ProofError } from '../errors.js';
import { decodeCertificate, type Certificate } from './certificate.js';
import { derTag } from './der.js';
import { digestNames, loadForge } from './forge.js';
import { objectIdentifierOf, type DistinguishedName } from './name.js';

const generatePair = promisify(generateKeyPairCallback);

/** A certificate to be issued. Nothing is chosen by itself: serial, dates and digest are the caller's. */
export interface CertificateRequest {
  readonly subject: DistinguishedName;
  /** The subject's RSA key; from a private key the public half is taken. */
  readonly publicKey: KeyObject;
  /**
   * Big-endian. A leading zero byte is added where the number would be negative, and left out where it says nothing
   * (X.690, 8.3.2).
   */
  readonly serialNumber: Uint8Array;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly digest?: 'sha1' | 'sha256' | 'sha512';
  /** Whether the certificate may issue others (basicConstraints CA). */
  readonly authority?: boolean;
  /** DNS names and IP addresses of subjectAltName, as TLS servers need them. */
  readonly alternativeNames?: readonly string[];
}

/** Who issues: the name in its certificate, and its RSA private key. */
export interface Issuer {
  readonly name: DistinguishedName;
  readonly key: KeyObject;
}

/** A function of node-forge that its type package leaves out. */
interface TbsBuilder {
  getTBSCertificate(certificate: forgePki.Certificate): asn1.Asn1;
}

/** An RSA key pair made in memory. @param bits size of the modulus. */
export async function generateRsaKey(bits: number): Promise<KeyObject> {
  const pair = await generatePair('rsa', { modulusLength: bits });
  return pair.privateKey;
}

/**
 * Issues an X.509 v3 certificate, for labs, tests and soft tokens (RFC 5280, 4.1). Self-signed when the issuer's name
 * and key are the subject's.
 *
 * @throws ProofError `unsupported-key` for keys that are not RSA.
 */
export async function issueCertificate(request: CertificateRequest, issuer: Issuer): Promise<Certificate> {
  const forge = await loadForge();
  const digest = digestNames[request.digest ?? 'sha256'];
  for (const key of [request.publicKey, issuer.key]) {
    if (key.asymmetricKeyType !== 'rsa') {
      throw new ProofError('unsupported-key', 'certificates are issued for and with RSA keys only');
    }
  }
  const publicKey = request.publicKey.type === 'private' ? createPublicKey(request.publicKey) : request.publicKey;
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey.export({ format: 'pem', type: 'spki' }).toString());
  certificate.serialNumber = formatHex(positiveInteger(request.serialNumber));
  certificate.validity.notBefore = request.notBefore;
  certificate.validity.notAfter = request.notAfter;
  certificate.setSubject(toForgeName(request.subject));
  certificate.setIssuer(toForgeName(issuer.name));
  certificate.setExtensions(extensionsOf(request, keyIdentifierOf(issuer.key, publicKey)));
  certificate.signatureOid = digest.oid;
  (certificate as unknown as { siginfo: { algorithmOid: string } }).siginfo.algorithmOid = digest.oid;

  const tbs = (forge.pki as unknown as TbsBuilder).getTBSCertificate(certificate);
  const tbsDer = Buffer.from(forge.asn1.toDer(tbs).getBytes(), 'latin1');
  const { Type, create, oidToDer } = forge.asn1;
  const universal = forge.asn1.Class.UNIVERSAL;
  const whole = create(universal, Type.SEQUENCE, true, [
    tbs,
    create(universal, Type.SEQUENCE, true, [
      create(universal, Type.OID, false, oidToDer(digest.oid).getBytes()),
      create(universal, Type.NULL, false, ''),
    ]),
    create(universal, Type.BITSTRING, false, `\0${sign(digest.name, tbsDer, issuer.key).toString('latin1')}`),
  ]);
  return decodeCertificate(new Uint8Array(Buffer.from(forge.asn1.toDer(whole).getBytes(), 'latin1')));
}

/** The kinds of string that are not UTF8String (RFC 5280, appendix A). */
const stringTags: Readonly<Record<string, number>> = {
  C: derTag.printableString,
  SERIALNUMBER: derTag.printableString,
  DC: derTag.ia5String,
  EMAILADDRESS: derTag.ia5String,
};

function toForgeName(name: DistinguishedName): forgePki.CertificateField[] {
  return name.map(({ type, value }) => {
    // node-forge calls it a class; it is the tag of the string.
    const field: object = {
      type: objectIdentifierOf(type),
      value,
      valueTagClass: stringTags[type] ?? derTag.utf8String,
    };
    return field;
  });
}

function positiveInteger(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0);
  const digits = start < 0 ? Uint8Array.of(0) : number.subarray(start);
  return (digits[0] ?? 0) < 0x80 ? digits : concatBytes(Uint8Array.of(0), digits);
}

/** The SHA-1 of the issuer's key (RFC 5280, 4.2.1.2); nothing for a self-signed certificate, which needs none. */
function keyIdentifierOf(issuer: KeyObject, subject: KeyObject): string | undefined {
  const publicKey = createPublicKey(issuer);
  if (publicKey.equals(subject)) return undefined;
  return createHash('sha1')
    .update(publicKey.export({ format: 'der', type: 'pkcs1' }))
    .digest()
    .toString('latin1');
}

function extensionsOf(request: CertificateRequest, authorityKeyIdentifier: string | undefined): object[] {
  const isAuthority = request.authority === true;
  const extensions: object[] = [
    { name: 'basicConstraints', cA: isAuthority, critical: isAuthority },
    isAuthority
      ? { name: 'keyUsage', keyCertSign: true, cRLSign: true, digitalSignature: true, critical: true }
      : { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, dataEncipherment: true },
    { name: 'subjectKeyIdentifier' },
  ];
  if (authorityKeyIdentifier !== undefined) {
    extensions.push({ name: 'authorityKeyIdentifier', keyIdentifier: authorityKeyIdentifier });
  }
  if (request.alternativeNames !== undefined && request.alternativeNames.length > 0) {
    const altNames = request.alternativeNames.map((name) =>
      isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name },
    );
    extensions.push({ name: 'subjectAltName', altNames });
  }
  return extensions;
}
