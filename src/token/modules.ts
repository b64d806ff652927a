import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { DeviceError } from '../errors.js';
import { inspectLibrary, type LibraryInspection } from './library-header.js';
import { baseName, familyOf, fillIn, type Environment, type Place, type Search } from './module-places.js';
import { moduleTables } from './module-tables.js';
import { p11KitPlaces } from './p11-kit-modules.js';

export type { Environment } from './module-places.js';

/** Names a module when no option does. */
export const moduleVariable = 'ETOKEN_BRIDGE_MODULE';

/** What a module that was named is told when it is initialised. NSS does not start without it (native-notes/nss.md). */
export const moduleParametersVariable = 'ETOKEN_BRIDGE_MODULE_PARAMETERS';

/** For which machine modules are looked for; everything defaults to this process. */
export interface ModuleSearch {
  readonly environment?: Environment;
  /** As `process.platform` names it. */
  readonly platform?: string;
  /** As `process.arch` names it. */
  readonly architecture?: string;
  /** The only module to look at: a path, or the name of one that is installed in a known place. */
  readonly modulePath?: string;
  /** A name as {@link moduleName} gives it. The environment's module then counts only when it has this name. */
  readonly moduleName?: string;
  /** A folder that stands for the root of the file system, such as that of a container. */
  readonly root?: string;
}

/** One file that was looked at. */
export interface ModuleCandidate {
  readonly path: string;
  /** `SafeNet`, `SoftHSM2`, … or `unknown`. */
  readonly family: string;
  /** `option`, `environment …`, `built-in table`, or `p11-kit module file …`. */
  readonly source: string;
  /** `passed-over`: a PKCS#11 module that is there, and holds no signing tokens. */
  readonly state: LibraryInspection['state'] | 'passed-over';
  /** The finding in words, to stand after the path. */
  readonly detail: string;
  /** Something to know before a PIN is given to this module. */
  readonly warning?: string;
  /**
   * What the module is told when it is initialised (PKCS#11 v2.40, 5.4, `pReserved`): of the environment for a module
   * that was named, else `x-init-reserved` of p11-kit's module file for it.
   */
  readonly parameters?: string;
}

/**
 * Where PKCS#11 modules can be, and what is there. A module that was named, by option or environment, is the only one
 * that is looked at; else all of the built-in table and then those that p11-kit's module files name. Nothing is loaded:
 * only the first bytes of each file are read.
 */
export function findModules(options: ModuleSearch = {}): readonly ModuleCandidate[] {
  const search = completeSearch(options);
  const named = namedModule(options, search);
  const places = named === undefined ? installedPlaces(search) : [withParameters(named, search)];
  return places.map((place) => lookAt(place, search));
}

/** Those candidates that can be loaded, each file once however many paths lead to it. */
export function usableModules(candidates: readonly ModuleCandidate[]): readonly ModuleCandidate[] {
  const seen = new Set<string>();
  return candidates.filter(({ path, state }) => {
    if (state !== 'found') return false;
    const real = realpathSync(path);
    return !seen.has(real) && seen.add(real).size > 0;
  });
}

/**
 * Refuses a module that cannot be loaded, before it is loaded.
 *
 * @throws DeviceError `module-missing`, `module-not-a-library`, `module-wrong-architecture`, `module-failed`
 */
export function requireModule(candidate: ModuleCandidate): void {
  const { state } = candidate;
  if (state === 'found' || state === 'passed-over') return;
  const { code, hint } = refusals[state];
  throw new DeviceError(code, `the PKCS#11 module ${candidate.path} ${candidate.detail}`, {}, { hint });
}

const refusals = {
  missing: {
    code: 'module-missing',
    hint: 'check the path; without one, the places where modules are installed are searched',
  },
  unreadable: { code: 'module-failed', hint: 'run as a user who may read the file' },
  'not-a-library': {
    code: 'module-not-a-library',
    hint: "give the file of the vendor's PKCS#11 library, such as libeTPkcs11.so, eTPKCS11.dll or libsofthsm2.so",
  },
  'wrong-architecture': {
    code: 'module-wrong-architecture',
    hint: "install the vendor's package for this processor, or a Node.js that was built for the module's",
  },
} as const;

/** What to know before a PIN is given to a module: spies write every PIN to their log. */
export function moduleWarning(path: string, environment: Environment): string | undefined {
  const name = baseName(path);
  if (environment['PKCS11SPY'] === undefined && !/spy|logger/i.test(name)) return undefined;
  return `${name} looks like a spy module, or PKCS11SPY is set: a spy writes the PIN to its log in clear text`;
}

/**
 * The name of a module as RFC 7512 has it in `module-name`: without folder, `lib`, ending and version, in lower case.
 */
export function moduleName(path: string): string {
  return baseName(path)
    .replace(/\.(so|dll|dylib)([.\d]*)$/i, '')
    .replace(/^lib/i, '')
    .toLowerCase();
}

function completeSearch(options: ModuleSearch): Search {
  return {
    environment: options.environment ?? process.env,
    platform: options.platform ?? process.platform,
    architecture: options.architecture ?? process.arch,
    root: options.root ?? '',
  };
}

function namedModule({ modulePath: option, moduleName: name }: ModuleSearch, search: Search): Place | undefined {
  const variable = search.environment[moduleVariable] ?? '';
  const counts = variable !== '' && (name === undefined || moduleName(variable) === name);
  const path = option ?? (counts ? variable : undefined);
  if (path === undefined) return undefined;
  const source = option === undefined ? `environment ${moduleVariable}` : 'option';
  const isName = !/[\\/]/.test(path) && inspectLibrary(path, search).state === 'missing';
  const installed = isName
    ? installedPlaces(search).find(
        (place) => moduleName(place.path) === moduleName(path) && inspectLibrary(place.path, search).state === 'found',
      )
    : undefined;
  const absolute = installed?.path ?? resolve(path);
  return { path: absolute, family: familyOf(absolute), source };
}

function installedPlaces(search: Search): readonly Place[] {
  const places = new Map<string, Place>();
  for (const place of [...tablePlaces(search), ...p11KitPlaces(search)]) {
    const { parameters } = place;
    const before = places.get(place.path);
    if (before === undefined) places.set(place.path, place);
    else if (parameters !== undefined) places.set(place.path, { parameters, ...before });
  }
  return [...places.values()];
}

/** A module that was named is told the same as when it is found. */
function withParameters(named: Place, search: Search): Place {
  const own = search.environment[moduleParametersVariable] ?? '';
  const parameters = own === '' ? p11KitPlaces(search).find(({ path }) => path === named.path)?.parameters : own;
  return parameters === undefined ? named : { ...named, parameters };
}

function tablePlaces(search: Search): readonly Place[] {
  return (moduleTables[search.platform] ?? []).flatMap(({ family, paths }) =>
    paths
      .flatMap((pattern) => fillIn(pattern, search))
      .map((path) => ({ path: search.root + path, family, source: 'built-in table' })),
  );
}

function lookAt(place: Place, search: Search): ModuleCandidate {
  const { path, family, source, parameters } = place;
  const inspection = inspectLibrary(path, search);
  const warning = inspection.state === 'found' ? moduleWarning(path, search.environment) : undefined;
  const finding =
    inspection.state === 'found' && place.passedOver !== undefined
      ? { state: 'passed-over' as const, detail: place.passedOver }
      : inspection;
  return {
    ...{ path, family, source, ...finding },
    ...(warning === undefined ? {} : { warning }),
    ...(parameters === undefined ? {} : { parameters }),
  };
}
