import type { DeviceError } from '../errors.js';
import { explainAbsentTokens } from './absent-tokens.js';
import { deviceError } from './device-failure.js';
import type { TokenHost } from './host-client.js';
import type { LibraryDescription, TokenObjects } from './host-protocol.js';
import type { ModuleCandidate } from './modules.js';
import {
  closeHosts,
  moduleToOpen,
  openHosts,
  pinVariablesOf,
  selectModules,
  slotOf,
  toleratedFailure,
  warningsOf,
  withoutRepeats,
  type TokenAccess,
} from './module-hosts.js';
import { knownTrouble } from './known-troubles.js';
import { matchesToken, nameToken, tokenInfo, type TokenInfo } from './token-info.js';
import { contentsOf } from './token-keys.js';
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
  /** How many tokens it showed, without those that hold nothing yet. */
  readonly tokenCount: number;
  /** Why it could not be asked, or which slot of it could not be read. */
  readonly failures: readonly DeviceError[];
  /** What to know of it: that it spies, or what is known of libraries of its family. */
  readonly warnings: readonly string[];
}

/** The tokens of all modules, and what went wrong on the way. */
export interface TokenSurvey {
  readonly tokens: readonly TokenInfo[];
  /** Which of them could not be read, and why: what they hold is not known. */
  readonly unread: readonly { readonly token: TokenInfo; readonly failure: DeviceError }[];
  readonly modules: readonly ModuleSurvey[];
  /** Things to know before a PIN is given, such as a module that spies. */
  readonly warnings: readonly string[];
  /** Why modules that showed no token may not see it: whoever misses none need not know. */
  readonly absence: readonly string[];
}

/** A token with the objects that were seen on it. */
export interface SurveyedToken {
  readonly token: TokenInfo;
  readonly objects: TokenObjects;
  /** Why its objects could not be read. */
  readonly failure?: DeviceError;
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
  const empty = modules.filter(({ path }) => !surveys.some((one) => one.path === path && one.tokenCount > 0));
  const absence = await explainAbsentTokens(empty, options.environment);
  const unread = matching.flatMap(({ token, failure: why }) => (why === undefined ? [] : [{ token, failure: why }]));
  const survey = {
    tokens: matching.map(({ token }) => token),
    unread,
    modules: surveys,
    warnings: warningsOf(modules),
    absence,
  };
  const failure = kept.length > 0 ? undefined : surveys.flatMap(({ failures }) => failures)[0];
  return { survey, found: matching, failure };
}

async function askModule(
  host: TokenHost,
  module: ModuleCandidate,
  isOnly: boolean,
): Promise<{ readonly survey: ModuleSurvey; readonly found: readonly SurveyedToken[] }> {
  const { path, family } = module;
  const warnings = [module.warning, knownTrouble(family)].filter((text) => text !== undefined);
  const about = { path, family, warnings };
  try {
    const { library, tokens, problems } = await host.request('inventory', moduleToOpen(module));
    const found = tokens.map((token) => {
      const info = tokenInfo(token, library, path, contentsOf(token));
      const subject = nameToken(info);
      const failure =
        token.problem === undefined ? {} : { failure: deviceError(token.problem, { modulePath: path, subject }) };
      return { token: info, objects: token, ...failure };
    });
    const failures = problems.map((failure) => deviceError(failure, { modulePath: path, subject: slotOf(failure) }));
    return {
      survey: { ...about, library, tokenCount: found.filter(({ token }) => token.initialised).length, failures },
      found,
    };
  } catch (error) {
    return { survey: { ...about, tokenCount: 0, failures: [toleratedFailure(error, isOnly)] }, found: [] };
  }
}
