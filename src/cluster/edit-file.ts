import type { Document, Node, Pair, YAMLMap } from 'yaml';
import { InputError } from '../errors.js';
import type { CertificateName, RecoveryBackup, SecurityMode } from './cluster.js';
import { checkClusterFile, parseClusterFile } from './cluster-file.js';
import { loadYaml } from './libraries.js';
import { formatTime } from './time.js';
import { formatKeyPath, readYamlText, type YamlValue } from './yaml-text.js';

/**
 * A cluster file with another security mode: the word is replaced where it stands, and every other byte stays.
 *
 * @param name the name of the file, for errors.
 * @throws InputError `cluster-file` when the text is no cluster file, or cannot be changed by this function.
 */
export function withSecurityMode(text: string, mode: SecurityMode, name: string): string {
  return editClusterFile(text, [[['securityMode'], mode]], name);
}

/**
 * A cluster file that notes when a certificate was changed: below `changed` of its node. Every other line stays.
 *
 * @param node the position of the node in the file, from 0.
 * @throws InputError `cluster-file` as {@link withSecurityMode}.
 */
export function withChange(text: string, node: number, certificate: CertificateName, time: Date, name: string): string {
  return editClusterFile(text, [[['nodes', node, 'changed', certificate], formatTime(time)]], name);
}

/**
 * A cluster file that notes a backup of the ITLRecovery key. Every other line stays.
 *
 * @throws InputError `cluster-file` as {@link withSecurityMode}.
 */
export function withRecoveryBackup(text: string, { time, sha1 }: RecoveryBackup, name: string): string {
  const edits: readonly Edit[] = [
    [['recoveryBackup', 'time'], formatTime(time)],
    [['recoveryBackup', 'sha1'], quoteDigits(sha1)],
  ];
  return editClusterFile(text, edits, name);
}

/**
 * A cluster file that notes when the password of the backups of the ITLRecovery key was changed. Every other line stays.
 *
 * @throws InputError `cluster-file` as {@link withSecurityMode}, and where no backup is noted.
 */
export function withPasswordChange(text: string, time: Date, name: string): string {
  if (parseClusterFile(text, name).recoveryBackup === undefined) {
    throw new InputError('cluster-file', `${name} notes no backup of the ITLRecovery key, so none is outdated`, {
      hint: 'write a backup with "itl backup-key", with the new password',
    });
  }
  return editClusterFile(text, [[['recoveryBackup', 'passwordChanged'], formatTime(time)]], name);
}

/** Other readers take a SHA-1 of digits alone for a number. */
function quoteDigits(sha1: string): string {
  return /^\d+(?:e\d+)?$/i.test(sha1) ? JSON.stringify(sha1) : sha1;
}

type Path = readonly (string | number)[];

/** What is to stand at a path, as it is written. */
type Edit = readonly [path: Path, written: string];

function editClusterFile(text: string, edits: readonly Edit[], name: string): string {
  // What is wrong with the file is said first; nor must a hostile one be composed without the bounds of reading.
  parseClusterFile(text, name);
  const mark = text.startsWith('\ufeff') ? '\ufeff' : '';
  let edited = text.slice(mark.length);
  for (const [path, written] of edits) edited = setValue(edited, path, written, name);
  const { problems } = checkClusterFile(edited, name);
  if (problems.length > 0) throw cannotEdit(edits[0]?.[0] ?? [], edits[0]?.[1] ?? '', name);
  return `${mark}${edited}`;
}

/** The surest of several ways that leaves everything else as it was. */
function setValue(text: string, path: Path, written: string, name: string): string {
  const before = readYamlText(text).value;
  const value = written.startsWith('"') ? (JSON.parse(written) as string) : written;
  const wanted = canonical(withValue(before, path, value));
  for (const way of [editText, rewriteDocument]) {
    const edited = way(text, path, written, value);
    if (edited === undefined) continue;
    const after = readYamlText(edited);
    if (after.problems.length === 0 && canonical(after.value) === wanted) return edited;
  }
  throw cannotEdit(path, written, name);
}

function cannotEdit(path: Path, written: string, name: string): InputError {
  const keyPath = formatKeyPath(path);
  return new InputError('cluster-file', `${name} is written in a way that ${keyPath} cannot be changed in it`, {
    hint: `write ${keyPath}: ${written} into the file by hand, without aliases or anchors there`,
  });
}

/** The data as it should be after the change. */
function withValue(value: YamlValue | undefined, path: Path, written: string): YamlValue {
  const [step, ...rest] = path;
  if (step === undefined) return written;
  if (typeof step === 'number') {
    const list = Array.isArray(value) ? (value as readonly YamlValue[]) : [];
    return list.map((item, index) => (index === step ? withValue(item, rest, written) : item));
  }
  const mapping = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, YamlValue>>) : {};
  return { ...mapping, [step]: withValue(mapping[step], rest, written) };
}

/** The same text for the same data, in whichever order mappings have their keys. */
function canonical(value: YamlValue | undefined): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).toSorted(([left], [right]) => (left < right ? -1 : 1)));
  });
}

function composed(text: string): Document.Parsed {
  return loadYaml().parseDocument(text, { schema: 'failsafe', resolveKnownTags: false });
}

/** Replaces a scalar where it stands, or adds lines behind a mapping that has lines of its own. */
function editText(text: string, path: Path, written: string): string | undefined {
  const { isMap, isScalar, isSeq } = loadYaml();
  let holder: Node | null = composed(text).contents;
  for (const [index, step] of path.entries()) {
    if (isSeq(holder) && typeof step === 'number') {
      holder = (holder.items[step] ?? null) as Node | null;
      continue;
    }
    if (!isMap(holder) || holder.flow === true) return undefined;
    const pair = holder.items.find(({ key }) => isScalar(key) && String(key.value) === step);
    if (pair === undefined) return addLines(text, holder, path.slice(index).map(String), written, index === 0);
    holder = pair.value as Node | null;
  }
  const [start, end] = holder?.range ?? [];
  if (!isScalar(holder) || start === undefined || end === undefined) return undefined;
  return text.slice(0, start) + written + text.slice(end);
}

function addLines(
  text: string,
  holder: YAMLMap,
  keys: readonly string[],
  written: string,
  atEnd: boolean,
): string | undefined {
  const first = (holder.items[0] as Pair<Node> | undefined)?.key.range?.[0];
  const last = atEnd ? text.trimEnd().length : endOf(holder);
  if (first === undefined || last === undefined) return undefined;
  const indent = first - (text.lastIndexOf('\n', first - 1) + 1);
  const lineBreak = /\r?\n/.exec(text)?.[0] ?? '\n';
  const lines = keys.map((key, depth) => {
    const value = depth === keys.length - 1 ? ` ${written}` : '';
    return `${' '.repeat(indent + 2 * depth)}${key}:${value}`;
  });
  // A comment on the last line belongs to what stands there.
  const found = text.slice(last).search(/\r?\n/);
  const at = found === -1 ? text.length : last + found;
  const blank = atEnd ? [''] : [];
  const added = text.slice(0, at) + ['', ...blank, ...lines].join(lineBreak);
  const rest = text.slice(at);
  return rest === '' ? added + lineBreak : added + rest;
}

/** Where the last value inside a node ends. */
function endOf(node: Node | null): number | undefined {
  const { isCollection, isMap, isPair } = loadYaml();
  if (!isCollection(node) || (node as YAMLMap).flow === true) return node?.range?.[1];
  const last = isMap(node) ? node.items.at(-1) : (node.items.at(-1) as Node | undefined);
  if (isPair(last)) return endOf((last.value ?? last.key) as Node | null);
  return last === undefined ? node.range?.[1] : endOf(last);
}

/** Lets the `yaml` package write the whole file again, comments included, where no line can be added. */
function rewriteDocument(text: string, path: Path, _written: string, value: string): string | undefined {
  const document = composed(text);
  if (document.errors.length > 0) return undefined;
  document.setIn(path, value);
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}
