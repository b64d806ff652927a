import { readdirSync, readFileSync } from 'node:fs';
import { baseName, familyOf, fillIn, firstThere, type Place, type Search } from './module-places.js';
import { p11KitFolders, p11KitModuleFolders, p11KitProxies, passedOverModules } from './module-tables.js';

/** The modules that p11-kit is configured with (pkcs11.conf(5)), by priority and name. */
export function p11KitPlaces(search: Search): readonly Place[] {
  if (search.platform === 'win32') return [];
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
  if ((fields.get('remote') ?? '') !== '') return [remotePlace(source, search)];
  if (module === undefined || module === '') return [];
  const path = module.startsWith('/') ? search.root + module : resolveBareName(module, search);
  const passedOver = reasonToPassOver(path, fields);
  const parameters = fields.get('x-init-reserved') ?? '';
  return [
    {
      ...{ path, family: familyOf(path), source },
      ...(passedOver === undefined ? {} : { passedOver }),
      ...(parameters === '' ? {} : { parameters }),
    },
  ];
}

/** A token elsewhere, by a command that p11-kit runs. Whoever wants that says so: looking around connects to nobody. */
function remotePlace(source: string, search: Search): Place {
  const paths = p11KitProxies.flatMap((pattern) => fillIn(pattern, search)).map((path) => search.root + path);
  const path = firstThere(paths, search) ?? 'p11-kit-proxy.so';
  const passedOver = 'reaches tokens elsewhere, by a command; to use it, name it with --module';
  return { path, family: familyOf(path), source, passedOver };
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
  return firstThere(paths, search) ?? name;
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
