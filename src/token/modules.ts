import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { resolve, win32 } from 'node:path';
import { DeviceError } from '../errors.js';
import { inspectLibrary, type LibraryInspection } from './library-header.js';
import {
  familiesByName,
  moduleTables,
  p11KitFolders,
  p11KitModuleFolders,
  passedOverModules,
  triplets,
} from './module-tables.js';

/** Environment variables by name. */
export type Environment = Readonly<Partial<Record<string, string>>>;

/** Names a module when no option does. */
export const moduleVariable = 'ETOKEN_BRIDGE_MODULE';

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
}

interface Search {
  readonly environment: Environment;
  readonly platform: string;
  readonly architecture: string;
  readonly root: string;
}

/** A path and where it comes from, before it is looked at. */
interface Place {
  readonly path: string;
  readonly family: string;
  readonly source: string;
  readonly passedOver?: string;
}

/**
 * Where PKCS#11 modules can be, and what is there. A module that was named, by option or environment, is the only one
 * that is looked at; else all of the built-in table and then those that p11-kit's module files name. Nothing is loaded:
 * only the first bytes of each file are read.
 */
export function findModules(options: ModuleSearch = {}): readonly ModuleCandidate[] {
  const search = completeSearch(options);
  const named = namedModule(options, search);
  const places = named === undefined ? installedPlaces(search) : [named];
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
  const seen = new Set<string>();
  return [...tablePlaces(search), ...(search.platform === 'win32' ? [] : p11KitPlaces(search))].filter(
    ({ path }) => !seen.has(path) && seen.add(path).size > 0,
  );
}

function tablePlaces(search: Search): readonly Place[] {
  return (moduleTables[search.platform] ?? []).flatMap(({ family, paths }) =>
    paths
      .flatMap((pattern) => fillIn(pattern, search))
      .map((path) => ({ path: search.root + path, family, source: 'built-in table' })),
  );
}

/** A path of the table for this machine; none when it has no such place. */
function fillIn(pattern: string, { environment, architecture }: Search): readonly string[] {
  if (pattern.startsWith('{librarypath}')) {
    const folders = (environment['LD_LIBRARY_PATH'] ?? '').split(':').filter((folder) => folder.startsWith('/'));
    return folders.map((folder) => pattern.replace('{librarypath}', () => folder));
  }
  const windows = environment['windir'] ?? environment['SystemRoot'] ?? 'C:\\Windows';
  const values: Readonly<Partial<Record<string, string>>> = {
    triplet: triplets[architecture],
    windows: `${windows}\\${architecture === 'ia32' ? 'SysWOW64' : 'System32'}`,
    programs: environment['ProgramFiles'] ?? 'C:\\Program Files',
  };
  const name = /\{(\w+)\}/.exec(pattern)?.[1];
  if (name === undefined) return [pattern];
  const value = values[name];
  return value === undefined ? [] : [pattern.replace(`{${name}}`, () => value)];
}

/** The modules that p11-kit is configured with (pkcs11.conf(5)), by priority and name. */
function p11KitPlaces(search: Search): readonly Place[] {
  const home = search.environment['XDG_CONFIG_HOME'] ?? `${search.environment['HOME'] ?? ''}/.config`;
  const folders = [...p11KitFolders.map((folder) => search.root + folder), `${home}/pkcs11/modules`];
  const files = new Map<string, { readonly file: string; readonly fields: ReadonlyMap<string, string> }>();
  for (const folder of folders) {
    for (const name of namesIn(folder)) {
      if (!name.endsWith('.module')) continue;
      const fields = readModuleFile(`${folder}/${name}`);
      if (fields === undefined) continue;
      // A file of the same name in a more special folder changes single fields.
      files.set(name, { file: `${folder}/${name}`, fields: new Map([...(files.get(name)?.fields ?? []), ...fields]) });
    }
  }
  const priority = (fields: ReadonlyMap<string, string>): number => Number(fields.get('priority') ?? 0) || 0;
  return [...files.entries()]
    .sort(([left, a], [right, b]) => priority(b.fields) - priority(a.fields) || (left < right ? -1 : 1))
    .flatMap(([, { file, fields }]) => p11KitPlace(file, fields, search));
}

function p11KitPlace(file: string, fields: ReadonlyMap<string, string>, search: Search): readonly Place[] {
  const module = fields.get('module');
  const source = `p11-kit module file ${file}`;
  if (module === undefined || module === '') return [];
  const path = module.startsWith('/') ? search.root + module : resolveBareName(module, search);
  const passedOver = reasonToPassOver(path, fields);
  return [{ path, family: familyOf(path), source, ...(passedOver === undefined ? {} : { passedOver }) }];
}

function reasonToPassOver(path: string, fields: ReadonlyMap<string, string>): string | undefined {
  const program = 'etoken-bridge';
  const list = (name: string): readonly string[] | undefined => fields.get(name)?.split(/[\s,]+/);
  if (fields.get('trust-policy') === 'yes') return 'holds trusted certificates only';
  if (list('disable-in')?.includes(program) === true) return `is disabled for ${program} by its module file`;
  if (list('enable-in')?.includes(program) === false) return 'is enabled for other programs only by its module file';
  return passedOverModules.find(({ pattern }) => pattern.test(baseName(path)))?.reason;
}

function resolveBareName(name: string, search: Search): string {
  const paths = p11KitModuleFolders
    .flatMap((folder) => fillIn(folder, search))
    .map((folder) => `${search.root}${folder}/${name}`);
  return paths.find((path) => inspectLibrary(path, search).state !== 'missing') ?? paths[0] ?? name;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    // A folder that is not there, or not for this user, names no modules.
    return [];
  }
}

function readModuleFile(file: string): ReadonlyMap<string, string> | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const found = /^\s*([\w-]+)\s*:\s*(.*?)\s*$/.exec(line);
    if (found !== null) fields.set(found[1] ?? '', found[2] ?? '');
  }
  return fields;
}

function lookAt(place: Place, search: Search): ModuleCandidate {
  const { path, family, source } = place;
  const inspection = inspectLibrary(path, search);
  const warning = inspection.state === 'found' ? moduleWarning(path, search.environment) : undefined;
  const finding =
    inspection.state === 'found' && place.passedOver !== undefined
      ? { state: 'passed-over' as const, detail: place.passedOver }
      : inspection;
  return { path, family, source, ...finding, ...(warning === undefined ? {} : { warning }) };
}

function familyOf(path: string): string {
  return familiesByName.find(({ pattern }) => pattern.test(baseName(path)))?.family ?? 'unknown';
}

function baseName(path: string): string {
  return win32.basename(path);
}
