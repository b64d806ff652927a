export { findSoftHsm, softHsmCandidates, type SoftHsmInstallation, type SoftHsmSearch } from './find.js';
export {
  installSoftHsm,
  planInstallation,
  type InstallationConditions,
  type InstallationPlan,
  type InstallOptions,
} from './install.js';
export { createSoftHsm, type SoftHsm } from './configuration.js';
export {
  createSoftToken,
  generateTokenKey,
  listSoftTokens,
  storeTokenCertificate,
  type SoftToken,
  type SoftTokenRequest,
  type TokenCertificateRequest,
  type TokenKey,
  type TokenKeyRequest,
} from './token.js';
export {
  createSastCommonName,
  createSastToken,
  createStandInAuthority,
  issueSastCertificate,
  type SastCertificateRequest,
  type SastIdentity,
  type SastTokenRequest,
  type StandInAuthority,
} from './sast.js';
