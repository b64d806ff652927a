export {
  findModules,
  moduleVariable,
  moduleWarning,
  requireModule,
  usableModules,
  type Environment,
  type ModuleCandidate,
  type ModuleSearch,
} from './modules.js';
export { formatTokenUri, parseTokenUri, type ObjectType, type PinSource, type TokenUri } from './token-uri.js';
export { Pin, pinFromEnvironment, pinVariable, readPinFile, readPinSource, type PinReading } from './pin.js';
export { openTokenHost, type TokenHost, type TokenHostOptions } from './host-client.js';
export { chooseToken, matchesToken, nameToken, type PinState, type TokenInfo, type TokenKey } from './token-info.js';
export {
  listTokens,
  surveyTokens,
  type ListTokensOptions,
  type ModuleSurvey,
  type TokenAccess,
  type TokenSurvey,
  type WantedToken,
} from './inventory.js';
export {
  exportSastCertificates,
  listSastCertificates,
  type ExportedCertificate,
  type SastCertificate,
  type SastCertificateOptions,
} from './sast-certificates.js';
export { openTokenSigner, type SigningWay, type TokenSigner, type TokenSignerOptions } from './token-signer.js';
export { type PinRequest, type UnlockOptions } from './unlock.js';
export { checkToken, type SigningTrial, type TokenCheck, type TokenCheckOptions } from './check-token.js';
