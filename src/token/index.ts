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
export {
  Pin,
  pinFromEnvironment,
  pinVariable,
  readPinFile,
  readPinSource,
  signaturePinVariable,
  type PinReading,
} from './pin.js';
export { openTokenHost, prepareTokenHost, type TokenHost, type TokenHostOptions } from './host-client.js';
export {
  chooseToken,
  matchesToken,
  nameToken,
  tokenFlagNames,
  type ListedCertificate,
  type PinState,
  type TokenContents,
  type TokenInfo,
  type TokenKey,
} from './token-info.js';
export {
  changeTokenPin,
  checkToken,
  exportSastCertificates,
  listSastCertificates,
  listTokens,
  openTokenSigner,
  surveyTokens,
  watchTokens,
} from './tokens.js';
export { knownTrouble } from './known-troubles.js';
export { takesUserPinForSignatures } from './signature-pin.js';
export { hintOfUncertainChange, requireFittingPin } from './new-pin.js';
export type { ChangePinOptions } from './change-pin.js';
export type { TokenEvent, WatchTokensOptions } from './watch-tokens.js';
export type { ListTokensOptions, ModuleSurvey, TokenSurvey } from './inventory.js';
export { wantedUri, type TokenAccess, type WantedToken } from './module-hosts.js';
export type { ExportedCertificate, SastCertificate, SastCertificateOptions } from './sast-certificates.js';
export type { SigningWay, TokenSigner, TokenSignerOptions } from './token-signer.js';
export type { PinRequest, UnlockOptions } from './unlock.js';
export type { SigningTrial, TokenCheck, TokenCheckOptions } from './check-token.js';
