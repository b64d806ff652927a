import { basename } from 'node:path';
import { DeviceError } from '../errors.js';
import { openTokenHost, type TokenHost } from './host-client.js';
import type { HostFailure, TokenDescription } from './host-protocol.js';
import {
  findModules,
  moduleName,
  requireModule,
  usableModules,
  type Environment,
  type ModuleCandidate,
} from './modules.js';
import { chooseToken, nameToken, tokenInfo, type TokenInfo } from './token-info.js';
import type { TokenUri } from './token-uri.js';

/** Which modules are asked, and how. */
export interface TokenAccess {
  /** The only module to ask; else that of the URI, of the environment, or all that are installed. */
  readonly modulePath?: string;
  /** The environment; that of this process unless given. */
  readonly environment?: Environment;
  /** How long one PKCS#11 call may take, in milliseconds: 10,000 unless given. */
  readonly callTimeout?: number;
  /** The same for calls that may wait for a person, in milliseconds: 60,000 unless given. */
  readonly interactionTimeout?: number;
}

/** Which token is meant: a URI, or single words that count beside it. */
export interface WantedToken {
  readonly uri?: TokenUri;
  readonly tokenLabel?: string;
  readonly tokenSerial?: string;
  /** CKA_ID of the key. */
  readonly id?: Uint8Array;
  /** CKA_LABEL of the key or its certificate. */
  readonly object?: string;
}

/** Without its packages no module can be asked, and the only module has none to stand in for it. */
export function toleratedFailure(error: unknown, isOnly: boolean): DeviceError {
  if (!(error instanceof DeviceError) || isOnly || error.code === 'binding-missing') throw error;
  return error;
}

/** The modules to ask. @throws DeviceError `module-missing` and others, see {@link requireModule} */
export function selectModules(access: TokenAccess, uri: TokenUri): readonly ModuleCandidate[] {
  const modulePath = access.modulePath ?? uri.modulePath;
  const wanted = uri.moduleName?.toLowerCase().replace(/^lib/, '');
  const candidates = findModules({
    ...(access.environment === undefined ? {} : { environment: access.environment }),
    ...(modulePath === undefined ? {} : { modulePath }),
    ...(wanted === undefined ? {} : { moduleName: wanted }),
  });
  const [first] = candidates;
  const wasNamed = first?.source.startsWith('option') === true || first?.source.startsWith('environment') === true;
  if (first !== undefined && wasNamed) requireModule(first);
  const usable = usableModules(candidates);
  const named = wanted === undefined ? usable : usable.filter(({ path }) => moduleName(path) === wanted);
  if (named.length > 0) return named;
  const which = wanted === undefined ? 'no PKCS#11 module was found' : `no PKCS#11 module named ${wanted} was found`;
  throw new DeviceError(
    'module-missing',
    `${which}; ${candidates.length} places were looked at`,
    {},
    {
      hint: 'install the software of the token vendor, or name its PKCS#11 library; `etoken-bridge token modules` shows where it was looked for',
    },
  );
}

/** A module and the host that was started for it. */
export interface OpenedModule {
  readonly module: ModuleCandidate;
  readonly host: TokenHost;
}

/** Starts a host for each module, all at once: Node.js takes its time to start, and they do it side by side. */
export function openHosts(
  modules: readonly ModuleCandidate[],
  access: TokenAccess,
  pinVariables: readonly string[],
): readonly OpenedModule[] {
  const { environment, callTimeout, interactionTimeout } = access;
  return modules.map((module) => ({
    module,
    host: openTokenHost({
      modulePath: module.path,
      pinVariables,
      ...(environment === undefined ? {} : { environment }),
      ...(callTimeout === undefined ? {} : { callTimeout }),
      ...(interactionTimeout === undefined ? {} : { interactionTimeout }),
    }),
  }));
}

/** The environment variable that a URI says the PIN is in: modules have no business with it. */
export function pinVariablesOf({ pinSource }: TokenUri): readonly string[] {
  return pinSource?.kind === 'environment' ? [pinSource.name] : [];
}

export async function closeHosts(opened: readonly OpenedModule[]): Promise<void> {
  await Promise.all(opened.map(({ host }) => host.close()));
}

export function warningsOf(modules: readonly ModuleCandidate[]): readonly string[] {
  return modules.flatMap(({ warning }) => (warning === undefined ? [] : [warning]));
}

/** URI and single words as one URI. */
export function wantedUri({ uri, tokenLabel, tokenSerial, id, object }: WantedToken): TokenUri {
  return {
    ...uri,
    ...(tokenLabel === undefined ? {} : { token: tokenLabel }),
    ...(tokenSerial === undefined ? {} : { serial: tokenSerial }),
    ...(id === undefined ? {} : { id }),
    ...(object === undefined ? {} : { object }),
  };
}

/** A token that two modules show, such as the vendor's and OpenSC, is taken from the first. */
export function withoutRepeats<Item extends { readonly token: TokenInfo }>(items: readonly Item[]): readonly Item[] {
  return items.filter(({ token }, index) => {
    // Some software tokens have no serial number, or zeros: these say nothing about being the same.
    if (/^0*$/.test(token.serialNumber)) return true;
    const earlier = items.slice(0, index).map((item) => item.token);
    return !earlier.some((other) => other.serialNumber === token.serialNumber && other.modulePath !== token.modulePath);
  });
}

/** A token that was chosen, with the host that holds its module. */
export interface ChosenToken {
  readonly token: TokenInfo;
  readonly opened: OpenedModule;
  readonly warnings: readonly string[];
}

/**
 * Finds the one token that is meant, without reading its objects, and keeps its host open.
 *
 * @throws DeviceError `no-token`, `several-tokens`, `token-not-found`, and the failures of modules and hosts
 */
export async function openChosenToken(access: TokenAccess, wanted: TokenUri): Promise<ChosenToken> {
  const modules = selectModules(access, wanted);
  const hosts = openHosts(modules, access, pinVariablesOf(wanted));
  let kept: OpenedModule | undefined;
  try {
    const found: { readonly token: TokenInfo; readonly opened: OpenedModule }[] = [];
    const tried: string[] = [];
    for (const opened of hosts) {
      const { path } = opened.module;
      const { tokens, words } = await readTokens(opened, modules.length === 1);
      tried.push(`${path}: ${words}`);
      found.push(...tokens.map((token) => ({ token, opened })));
    }
    const usable = withoutRepeats(found.filter(({ token }) => token.initialised));
    const token = chooseToken(
      usable.map((one) => one.token),
      wanted,
      tried,
    );
    kept = usable.find((one) => one.token === token)?.opened;
    if (kept === undefined) throw new DeviceError('token-not-found', `${nameToken(token)} is gone`);
    return { token, opened: kept, warnings: warningsOf([kept.module]) };
  } finally {
    await closeHosts(hosts.filter((opened) => opened !== kept));
  }
}

async function readTokens(
  { host, module }: OpenedModule,
  isOnly: boolean,
): Promise<{ readonly tokens: readonly TokenInfo[]; readonly words: string }> {
  try {
    const { library, tokens, problems } = await host.request('tokens', { modulePath: module.path });
    const infos = tokens.map((token: TokenDescription) => tokenInfo(token, library, module.path));
    const usable = infos.filter(({ initialised }) => initialised).length;
    const failed = await describeProblems(problems, module.path);
    return { tokens: infos, words: [usable === 0 ? 'no token' : `${usable} tokens`, ...failed].join('; ') };
  } catch (error) {
    return { tokens: [], words: toleratedFailure(error, isOnly).message.replace(module.path, basename(module.path)) };
  }
}

/** Loaded only when something failed: a command that signs should not wait for it. */
async function describeProblems(problems: readonly HostFailure[], modulePath: string): Promise<readonly string[]> {
  if (problems.length === 0) return [];
  const { deviceError } = await import('./device-failure.js');
  return problems.map((failure) => deviceError(failure, { modulePath, subject: 'a slot' }).message);
}
