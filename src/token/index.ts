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
export { openTokenHost, prepareTokenHost, type TokenHost, type TokenHostOptions } from './host-client.js';
export { chooseToken, matchesToken, nameToken, type PinState, type TokenInfo, type TokenKey } from './token-info.js';
export {
  checkToken,
  exportSastCertificates,
  listSastCertificates,
  listTokens,
  openTokenSigner,
  surveyTokens,
} from './tokens.js';
export type { ListTokensOptions, ModuleSurvey, TokenSurvey } from './inventory.js';
export type { TokenAccess, WantedToken } from './module-hosts.js';
export type { ExportedCertificate, SastCertificate, SastCertificateOptions } from './sast-certificates.js';
export type { SigningWay, TokenSigner, TokenSignerOptions } from './token-signer.js';
export type { PinRequest, UnlockOptions } from './unlock.js';
export type { SigningTrial, TokenCheck, TokenCheckOptions } from './check-token.js';
