import type { DeviceError } from '../errors.js';
import { deviceError } from './device-failure.js';
import type { TokenHost } from './host-client.js';
import type { LibraryDescription, TokenObjects } from './host-protocol.js';
import type { ModuleCandidate } from './modules.js';
import {
  closeHosts,
  openHosts,
  pinVariablesOf,
  selectModules,
  toleratedFailure,
  warningsOf,
  withoutRepeats,
  type TokenAccess,
} from './module-hosts.js';
import { matchesToken, tokenInfo, type TokenInfo } from './token-info.js';
import { keysOf } from './token-keys.js';
import type { TokenUri } from './token-uri.js';

export interface ListTokensOptions extends TokenAccess {
  /** Only tokens that this URI means, and only in its module. */
  readonly uri?: TokenUri;
  /** Also tokens that hold nothing yet. SoftHSM2 always has one. */
  readonly includeUninitialised?: boolean;
}

/** What one module answered. */
export interface ModuleSurvey {
  readonly path: string;
  readonly family: string;
  readonly library?: LibraryDescription;
  /** How many tokens it showed. */
  readonly tokenCount: number;
  /** Why it could not be asked, or which slot of it could not be read. */
  readonly failures: readonly DeviceError[];
}

/** The tokens of all modules, and what went wrong on the way. */
export interface TokenSurvey {
  readonly tokens: readonly TokenInfo[];
  readonly modules: readonly ModuleSurvey[];
  /** Things to know before a PIN is given, such as a module that spies. */
  readonly warnings: readonly string[];
}

/** A token with the objects that were seen on it. */
export interface SurveyedToken {
  readonly token: TokenInfo;
  readonly objects: TokenObjects;
}

/** A survey, the tokens with their objects, and whether it is worth anything. */
export interface TakenSurvey {
  readonly survey: TokenSurvey;
  readonly found: readonly SurveyedToken[];
  /** Why there is nothing to choose from: set when a module failed and none showed any token, whichever is meant. */
  readonly failure: DeviceError | undefined;
}

/** Asks all modules for their tokens, and for the objects that need no PIN. */
export async function takeSurvey(options: ListTokensOptions): Promise<TakenSurvey> {
  const modules = selectModules(options, options.uri ?? {});
  const found: SurveyedToken[] = [];
  const surveys: ModuleSurvey[] = [];
  const hosts = openHosts(modules, options, pinVariablesOf(options.uri ?? {}));
  try {
    // One after the other: two modules that talk to the same card at the same moment disturb each other.
    for (const { module, host } of hosts) {
      const answer = await askModule(host, module, modules.length === 1);
      surveys.push(answer.survey);
      found.push(...answer.found);
    }
  } finally {
    await closeHosts(hosts);
  }
  const kept = withoutRepeats(found).filter(({ token }) => token.initialised || options.includeUninitialised === true);
  const matching =
    options.uri === undefined ? kept : kept.filter(({ token }) => matchesToken(token, options.uri ?? {}));
  const survey = { tokens: matching.map(({ token }) => token), modules: surveys, warnings: warningsOf(modules) };
  const failure = kept.length > 0 ? undefined : surveys.flatMap(({ failures }) => failures)[0];
  return { survey, found: matching, failure };
}

async function askModule(
  host: TokenHost,
  module: ModuleCandidate,
  isOnly: boolean,
): Promise<{ readonly survey: ModuleSurvey; readonly found: readonly SurveyedToken[] }> {
  const { path, family } = module;
  try {
    const { library, tokens, problems } = await host.request('inventory', { modulePath: path });
    const found = tokens.map((token) => ({ token: tokenInfo(token, library, path, keysOf(token)), objects: token }));
    const failures = problems.map((failure) => deviceError(failure, { modulePath: path, subject: path }));
    return { survey: { path, family, library, tokenCount: tokens.length, failures }, found };
  } catch (error) {
    return { survey: { path, family, tokenCount: 0, failures: [toleratedFailure(error, isOnly)] }, found: [] };
  }
}
