import { basename } from 'node:path';
import { DeviceError, InputError } from '../errors.js';
import { openTokenHost, type TokenHost } from './host-client.js';
import type { HostFailure, ModuleToOpen, TokenDescription } from './host-protocol.js';
import {
  findModules,
  moduleName,
  requireModule,
  usableModules,
  type Environment,
  type ModuleCandidate,
} from './modules.js';
import { chooseToken, matchesToken, nameToken, tokenInfo, type TokenInfo } from './token-info.js';
import type { TokenUri } from './token-uri.js';

/** Which modules are asked, and how. */
export interface TokenAccess {
  /** The only module to ask; else that of the URI, of the environment, or all that are installed. */
  readonly modulePath?: string;
  /** The environment; that of this process unless given. */
  readonly environment?: Environment;
  /**
   * How long one PKCS#11 call may take, in milliseconds: as ETOKEN_BRIDGE_TOKEN_TIMEOUT says in seconds, else 10,000.
   */
  readonly callTimeout?: number;
  /** The same for calls that may wait for a person, in milliseconds; 60,000 where nothing says anything. */
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

/** What a host is asked to load. */
export function moduleToOpen({ path, parameters }: ModuleCandidate): ModuleToOpen {
  return { modulePath: path, ...(parameters === undefined ? {} : { parameters }) };
}

/** Starts a host for each module, all at once: Node.js takes its time to start, and they do it side by side. */
export function openHosts(
  modules: readonly ModuleCandidate[],
  access: TokenAccess,
  pinVariables: readonly string[],
): readonly OpenedModule[] {
  return modules.map((module) => ({ module, host: openHost(module, access, pinVariables) }));
}

/** Starts a host for a module. */
export function openHost(module: ModuleCandidate, access: TokenAccess, pinVariables: readonly string[]): TokenHost {
  const { environment } = access;
  const limit = timeoutOf(environment ?? process.env);
  const { callTimeout = limit, interactionTimeout = limit } = access;
  return openTokenHost({
    modulePath: module.path,
    pinVariables,
    ...(environment === undefined ? {} : { environment }),
    ...(callTimeout === undefined ? {} : { callTimeout }),
    ...(interactionTimeout === undefined ? {} : { interactionTimeout }),
  });
}

const timeoutVariable = 'ETOKEN_BRIDGE_TOKEN_TIMEOUT';

/**
 * How long a call may take, in milliseconds, where the environment says it.
 *
 * @throws InputError `usage`
 */
function timeoutOf(environment: Environment): number | undefined {
  const text = environment[timeoutVariable] ?? '';
  if (text === '') return undefined;
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= 0.1 && seconds <= 86_400) return Math.round(seconds * 1000);
  throw new InputError('usage', `${timeoutVariable} is not a number of seconds from 0.1 to 86400`, {
    hint: `for a token that is far away or slow: ${timeoutVariable}=120`,
  });
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
    const { usable, tried } = await lookTwice(hosts, wanted);
    const token = chooseToken(
      usable.map((one) => one.token),
      wanted,
      tried,
      usable.some((one) => matchesToken(one.token, wanted)) ? [] : await explainAbsence(hosts, usable, access),
    );
    kept = usable.find((one) => one.token === token)?.opened;
    if (kept === undefined) throw new DeviceError('token-not-found', `${nameToken(token)} is gone`);
    return { token, opened: kept, warnings: warningsOf([kept.module]) };
  } finally {
    await closeHosts(hosts.filter((opened) => opened !== kept));
  }
}

/** Loaded only when a token is missing: a command that signs should not wait for it. */
async function explainAbsence(
  hosts: readonly OpenedModule[],
  usable: Look['usable'],
  { environment }: TokenAccess,
): Promise<readonly string[]> {
  const { explainAbsentTokens } = await import('./absent-tokens.js');
  const empty = hosts.filter((opened) => !usable.some((one) => one.opened === opened));
  return explainAbsentTokens(
    empty.map(({ module }) => module),
    environment,
  );
}

/** The tokens of all modules that can be used, each once, and what each module answered, in words. */
interface Look {
  readonly usable: readonly { readonly token: TokenInfo; readonly opened: OpenedModule }[];
  readonly tried: string[];
}

/** A token that is busy shows itself again after this long, in milliseconds. */
const secondLookAfter = 500;

/**
 * A token that is not there is looked for once more, in modules that are started anew: some show nothing in the first
 * moments, and SoftHSM2 misses a token that another process is logging in to.
 */
async function lookTwice(hosts: readonly OpenedModule[], wanted: TokenUri): Promise<Look> {
  const first = await lookAround(hosts, false);
  if (first.usable.some(({ token }) => matchesToken(token, wanted))) return first;
  await new Promise((resolve) => setTimeout(resolve, secondLookAfter));
  try {
    const second = await lookAround(hosts, true);
    return second.usable.length < first.usable.length ? first : second;
  } catch {
    // A module that does not stand a new start is no reason to say anything else than before.
    return first;
  }
}

async function lookAround(hosts: readonly OpenedModule[], anew: boolean): Promise<Look> {
  const found: { readonly token: TokenInfo; readonly opened: OpenedModule }[] = [];
  const tried: string[] = [];
  for (const opened of hosts) {
    const { tokens, words } = await readTokens(opened, hosts.length === 1, anew);
    tried.push(`${opened.module.path}: ${words}`);
    found.push(...tokens.map((token) => ({ token, opened })));
  }
  return { usable: withoutRepeats(found.filter(({ token }) => token.initialised)), tried };
}

async function readTokens(
  { host, module }: OpenedModule,
  isOnly: boolean,
  anew: boolean,
): Promise<{ readonly tokens: readonly TokenInfo[]; readonly words: string }> {
  try {
    const { library, tokens, problems } = await host.request('tokens', { ...moduleToOpen(module), anew });
    const infos = tokens.map((token: TokenDescription) => tokenInfo(token, library, module.path));
    const usable = infos.filter(({ initialised }) => initialised).length;
    const failed = await describeProblems(problems, module.path);
    return { tokens: infos, words: [usable === 0 ? 'no token' : `${usable} tokens`, ...failed].join('; ') };
  } catch (error) {
    return { tokens: [], words: besidePath(toleratedFailure(error, isOnly).message, module.path) };
  }
}

/** A message that stands after the path of a module does not repeat it. */
function besidePath(message: string, path: string): string {
  return message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message.replace(path, basename(path));
}

/** A slot that could not be read, in words. */
export function slotOf({ slotId }: HostFailure): string {
  return slotId === undefined ? 'a slot' : `slot ${slotId}`;
}

/** Loaded only when something failed: a command that signs should not wait for it. */
async function describeProblems(problems: readonly HostFailure[], modulePath: string): Promise<readonly string[]> {
  if (problems.length === 0) return [];
  const { deviceError } = await import('./device-failure.js');
  return problems.map((problem) => deviceError(problem, { modulePath, subject: slotOf(problem) }).message);
}
