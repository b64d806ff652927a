import { certificateNames, trustStoreNames } from './cluster.js';
import { checkCertificatePath } from './entries.js';
import type { Place } from './problem.js';
import type { YamlText, YamlValue } from './yaml-text.js';

/** A node as far as it could be read: what is wrong with the rest was said already. */
export interface ReadNode {
  readonly keyPath: string;
  readonly name: string | undefined;
  readonly address: string | undefined;
  readonly services: readonly string[] | undefined;
  readonly certificates: Readonly<Record<string, YamlValue>> | undefined;
  readonly keys: Readonly<Record<string, YamlValue>> | undefined;
}

/** A certificate file that a cluster file names, and where. */
export interface NamedCertificate extends Place {
  readonly keyPath: string;
  /** As written. */
  readonly path: string;
}

/** The nodes of a cluster file, right or wrong. */
export function readNodes(value: YamlValue | undefined): readonly ReadNode[] {
  const list = mappingOf(value)?.['nodes'];
  if (!isList(list)) return [];
  return list.flatMap((entry, index) => {
    const node = mappingOf(entry);
    if (node === undefined) return [];
    const { name, address, services: names, certificates, keys } = node;
    return {
      keyPath: `nodes[${index}]`,
      name: typeof name === 'string' ? name : undefined,
      address: typeof address === 'string' ? address : undefined,
      services: isList(names) ? names.map((one) => (typeof one === 'string' ? one : '')) : undefined,
      certificates: certificates == null ? {} : mappingOf(certificates),
      keys: keys == null ? {} : mappingOf(keys),
    };
  });
}

function isList(value: YamlValue | undefined): value is readonly YamlValue[] {
  return Array.isArray(value);
}

function mappingOf(value: YamlValue | undefined): Readonly<Record<string, YamlValue>> | undefined {
  return typeof value === 'object' && value !== null && !isList(value) ? value : undefined;
}

/** Every certificate file that can be told from the text, also when other entries are wrong. */
export function findNamedCertificates(yaml: YamlText): readonly NamedCertificate[] {
  const ofNodes = readNodes(yaml.value).flatMap(({ keyPath, certificates }) =>
    certificateNames.map((name) => [`${keyPath}.certificates.${name}`, certificates?.[name]] as const),
  );
  const stores = mappingOf(mappingOf(yaml.value)?.['trustStores']);
  const ofStores = trustStoreNames.flatMap((store) => {
    const paths = stores?.[store];
    return isList(paths) ? paths.map((path, index) => [`trustStores.${store}[${index}]`, path] as const) : [];
  });
  return [...ofNodes, ...ofStores].flatMap(([keyPath, path]) => {
    const place = yaml.placeOf(keyPath);
    if (typeof path !== 'string' || place === undefined || checkCertificatePath(path) !== undefined) return [];
    return { ...place, keyPath, path };
  });
}
