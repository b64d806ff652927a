export {
  decodeCertificate,
  formatSerialNumber,
  importPublicKey,
  isIssuedBy,
  isValidAt,
  rsaModulus,
  rsaModulusBits,
  type Certificate,
} from './certificate.js';
export {
  commonName,
  isSastName,
  formatClusterName,
  formatName,
  formatTokenName,
  type DistinguishedName,
  type NameAttribute,
} from './name.js';
export { decodeCertificates, decodePrivateKey, formatCertificatePem } from './pem.js';
export { decodePkcs12, looksLikePkcs12, type Pkcs12 } from './pkcs12.js';
export { encodePkcs12, type Pkcs12Encryption, type Pkcs12Request } from './pkcs12-encode.js';
export { generateRsaKey, issueCertificate, type CertificateRequest, type Issuer } from './issue.js';
export { withOtherKey } from './other-key.js';
