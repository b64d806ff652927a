import type { z as Zod } from 'zod';
import { certificateNames, securityModes, services, trustStoreNames } from './cluster.js';
import {
  checkAddress,
  checkCertificatePath,
  checkKey,
  checkNodeName,
  checkRelease,
  checkSha1,
  checkTime,
  checkWord,
  type EntryCheck,
} from './entries.js';
import { loadZod } from './libraries.js';
import { closestWord } from './spelling.js';
import { formatKeyPath, type YamlText, type YamlValue } from './yaml-text.js';
import type { ClusterProblem, Place } from './problem.js';
import { quoted } from './quoted.js';

/** A cluster file whose shape is right: what {@link checkShape} gives when it finds no problem. */
export interface ClusterShape {
  readonly release: string;
  readonly securityMode: string;
  readonly nodes: readonly NodeShape[];
  readonly trustStores?: Readonly<Record<string, readonly string[] | null | undefined>> | null | undefined;
  readonly recoveryBackup?:
    { readonly time: string; readonly sha1: string; readonly passwordChanged?: string | undefined } | null | undefined;
}

/** One entry of `nodes`. */
export interface NodeShape {
  readonly name: string;
  readonly address: string;
  readonly services: readonly string[];
  readonly certificates?: Readonly<Record<string, string | undefined>> | null | undefined;
  readonly keys?: Readonly<Record<string, string | undefined>> | null | undefined;
  readonly changed?: Readonly<Record<string, string | undefined>> | null | undefined;
}

/** The keys of each mapping, by its place in the file with the positions of lists left out. */
const knownKeys: Readonly<Record<string, readonly string[]>> = {
  '': ['release', 'securityMode', 'nodes', 'trustStores', 'recoveryBackup'],
  'nodes[]': ['name', 'address', 'services', 'certificates', 'keys', 'changed'],
  'nodes[].certificates': certificateNames,
  'nodes[].keys': certificateNames,
  'nodes[].changed': certificateNames,
  trustStores: trustStoreNames,
  recoveryBackup: ['time', 'sha1', 'passwordChanged'],
};

/** What belongs at each place of the file, and an example to go by. */
const expectations: readonly { place: RegExp; expected: string; hint: string }[] = [
  { place: /^$/, expected: 'a mapping', hint: 'begin with release:, securityMode: and nodes:' },
  { place: /^release$/, expected: 'the release', hint: 'write e.g. release: 14SU3' },
  { place: /^securityMode$/, expected: 'the security mode', hint: 'write securityMode: mixed or non-secure' },
  { place: /^nodes$/, expected: 'a list of nodes', hint: 'write each node as `- name: …`, the publisher first' },
  { place: /^nodes\[\]$/, expected: 'a node', hint: 'write it as `- name: …` with address: and services: below' },
  { place: /^nodes\[\]\.name$/, expected: 'a host name', hint: 'write e.g. name: cucm-pub' },
  { place: /^nodes\[\]\.address$/, expected: 'an address', hint: 'write e.g. address: 10.1.1.5' },
  {
    place: /^nodes\[\]\.services$/,
    expected: 'a list of services',
    hint: 'write e.g. services: [CallManager, TFTP], and [] for a node without any',
  },
  { place: /^nodes\[\]\.services\[\]$/, expected: 'a service', hint: `the choices are ${services.join(', ')}` },
  {
    place: /^nodes\[\]\.certificates$/,
    expected: 'a mapping of certificate files',
    hint: 'write e.g. CallManager: certificates/CallManager.pem below it',
  },
  {
    place: /^nodes\[\]\.keys$/,
    expected: 'a mapping of keys',
    hint: 'write e.g. CallManager: keys/CallManager.key below it',
  },
  {
    place: /^nodes\[\]\.certificates\./,
    expected: 'the path of a certificate',
    hint: 'write the path, or no such line',
  },
  {
    place: /^nodes\[\]\.keys\./,
    expected: 'the path of a key or a pkcs11: URI',
    hint: 'write one of them, or no such line',
  },
  {
    place: /^trustStores$/,
    expected: 'a mapping of trust stores',
    hint: 'write e.g. Phone-SAST-trust: below it, with a list of files',
  },
  {
    place: /^trustStores\.[^[]*$/,
    expected: 'a list of certificate files',
    hint: 'write each on a line of its own, as `- certificates/SAST-ADN0054f509.cer`',
  },
  { place: /^trustStores\./, expected: 'the path of a certificate', hint: 'write the path, or no such line' },
  {
    place: /^nodes\[\]\.changed$/,
    expected: 'a mapping of times',
    hint: 'write e.g. CallManager: 2026-01-31T12:00:00Z below it, or no such line',
  },
  {
    place: /^nodes\[\]\.changed\.|^recoveryBackup\.(?:time|passwordChanged)$/,
    expected: 'a time in UTC',
    hint: 'write it as 2026-01-31T12:00:00Z, or no such line',
  },
  { place: /^recoveryBackup$/, expected: 'a mapping', hint: 'write time: and sha1: below it, or no such line' },
  {
    place: /^recoveryBackup\.sha1$/,
    expected: 'the SHA-1 of the ITLRecovery certificate',
    hint: 'write its 40 hex digits, as `cluster show` prints them',
  },
];

let builtSchema: Zod.ZodType<ClusterShape> | undefined;

function clusterSchema(): Zod.ZodType<ClusterShape> {
  builtSchema ??= buildSchema(loadZod());
  return builtSchema;
}

function buildSchema(z: typeof Zod): Zod.ZodType<ClusterShape> {
  const text = (check: EntryCheck) =>
    z.string().superRefine((value, context) => {
      const complaint = check(value);
      if (complaint !== undefined) context.addIssue({ code: 'custom', message: complaint.message, params: complaint });
    });
  const mappingOf = <Value extends Zod.ZodType>(names: readonly string[], value: Value) =>
    z.strictObject(Object.fromEntries(names.map((name) => [name, value] as const)));
  const node = z.strictObject({
    name: text(checkNodeName),
    address: text(checkAddress),
    services: z.array(text(checkWord('a service', services))),
    certificates: mappingOf(certificateNames, text(checkCertificatePath).optional()).nullish(),
    keys: mappingOf(certificateNames, text(checkKey).optional()).nullish(),
    changed: mappingOf(certificateNames, text(checkTime).optional()).nullish(),
  });
  return z.strictObject({
    release: text(checkRelease),
    securityMode: text(checkWord('a security mode', securityModes)),
    nodes: z.array(node).min(1),
    trustStores: mappingOf(trustStoreNames, z.array(text(checkCertificatePath)).nullish()).nullish(),
    recoveryBackup: z
      .strictObject({ time: text(checkTime), sha1: text(checkSha1), passwordChanged: text(checkTime).optional() })
      .nullish(),
  });
}

/** What {@link checkShape} finds. */
export interface ShapeCheck {
  /** There when nothing is wrong with the shape. */
  readonly shape: ClusterShape | undefined;
  readonly problems: readonly ClusterProblem[];
  /** Key paths that are missing only because they are misspelt, so that each slip is reported once. */
  readonly misspelt: ReadonlySet<string>;
}

/** Checks each entry by itself: the keys, the types, the form of each value. */
export function checkShape(yaml: YamlText): ShapeCheck {
  const misspelt = new Set<string>();
  const result = clusterSchema().safeParse(yaml.value);
  if (result.success) return { shape: result.data, problems: [], misspelt };
  const { issues } = result.error;
  const problems: ClusterProblem[] = [];
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') problems.push(...explainUnknownKeys(issue, yaml, misspelt));
  }
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') continue;
    const keyPath = formatKeyPath(issue.path);
    if (!misspelt.has(keyPath)) problems.push(explainIssue(issue, keyPath, yaml));
  }
  return { shape: undefined, problems, misspelt };
}

type UnknownKeysIssue = Extract<Zod.core.$ZodIssue, { code: 'unrecognized_keys' }>;

function explainUnknownKeys(issue: UnknownKeysIssue, yaml: YamlText, misspelt: Set<string>): ClusterProblem[] {
  const keys = knownKeys[generic(formatKeyPath(issue.path))] ?? [];
  const holder = valueAt(yaml.value, issue.path);
  const present = typeof holder === 'object' && holder !== null ? holder : {};
  return issue.keys.map((key) => {
    const keyPath = formatKeyPath([...issue.path, key]);
    const meant = closestWord(key, keys);
    if (meant !== undefined && !(meant in present)) misspelt.add(formatKeyPath([...issue.path, meant]));
    const choice = `the keys here are ${keys.join(', ')}`;
    return {
      code: 'unknown-key',
      ...(yaml.placeOfKey(keyPath) ?? start),
      keyPath,
      message: `unknown key ${quoted(key)}`,
      hint: meant === undefined ? choice : `did you mean ${quoted(meant)}? ${choice}`,
    };
  });
}

const start: Place = { line: 1, column: 1 };

function explainIssue(issue: Zod.core.$ZodIssue, keyPath: string, yaml: YamlText): ClusterProblem {
  if (issue.code === 'custom') {
    const complaint = issue.params as Pick<ClusterProblem, 'code' | 'message' | 'hint'>;
    return { ...complaint, ...(yaml.placeOf(keyPath) ?? start), keyPath };
  }
  const value = valueAt(yaml.value, issue.path);
  const { expected, hint } = expectationFor(keyPath);
  if (value === undefined) {
    const holder = yaml.placeOf(formatKeyPath(issue.path.slice(0, -1))) ?? start;
    const message = `the key ${quoted(String(issue.path.at(-1)))} is missing`;
    return { code: 'missing-key', ...holder, keyPath, message, hint };
  }
  const place = yaml.placeOf(keyPath) ?? yaml.placeOfKey(keyPath) ?? start;
  if (issue.code === 'too_small') {
    const message = 'the list has no nodes, so the cluster has no publisher';
    return { code: 'no-publisher', ...place, keyPath, message, hint };
  }
  return { code: 'wrong-type', ...place, keyPath, message: `${expected} expected, not ${kindOf(value)}`, hint };
}

function expectationFor(keyPath: string): { expected: string; hint: string } {
  const place = generic(keyPath);
  return (
    expectations.find((one) => one.place.test(place)) ?? {
      expected: 'something else',
      hint: 'compare the line with the file that `cluster init` writes',
    }
  );
}

function generic(keyPath: string): string {
  return keyPath.replaceAll(/\[\d+\]/g, '[]');
}

function valueAt(value: YamlValue | undefined, path: readonly PropertyKey[]): YamlValue | undefined {
  let inner: unknown = value;
  for (const step of path) {
    inner = typeof inner === 'object' && inner !== null ? (inner as Record<PropertyKey, unknown>)[step] : undefined;
  }
  return inner as YamlValue | undefined;
}

function kindOf(value: YamlValue): string {
  if (value === null) return 'an empty value';
  // Not what it says: below `keys` that may be a secret in the wrong place.
  if (typeof value === 'string') return 'a text';
  return Array.isArray(value) ? 'a list' : 'a mapping';
}
