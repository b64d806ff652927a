import type { CST, Document, LineCounter, Node, Scalar, YAMLError, YAMLMap } from 'yaml';
import { loadYaml } from './libraries.js';
import { printable } from '../bytes/index.js';
import { quoted } from './quoted.js';
import type { ClusterProblem, ClusterProblemCode, Place } from './problem.js';

/** YAML as plain data: text, lists, mappings, and `null` where nothing stands. Numbers and words stay text. */
export type YamlValue = string | null | readonly YamlValue[] | { readonly [key: string]: YamlValue };

/** What a YAML text holds, and where. */
export interface YamlText {
  /** `undefined` when the text could not be read so far that looking inside makes sense. */
  readonly value: YamlValue | undefined;
  readonly problems: readonly ClusterProblem[];
  /** Where a value stands, by its key path, e.g. `nodes[0].name`; `undefined` when there is no such value. */
  placeOf(keyPath: string): Place | undefined;
  /** Where the key of a value stands. */
  placeOfKey(keyPath: string): Place | undefined;
}

/** What kind of file a text is, for messages, and bounds on it, so that a hostile one costs neither time nor memory. */
export interface YamlKind {
  /** E.g. `cluster file`. */
  readonly name: string;
  /** What one file describes, e.g. `cluster`. */
  readonly subject: string;
  /** The command that writes such a file, e.g. `cluster init`. */
  readonly writtenBy: string;
  /** In UTF-16 code units. */
  readonly largestText: number;
  readonly mostValues: number;
}

const clusterFileKind: YamlKind = {
  name: 'cluster file',
  subject: 'cluster',
  writtenBy: 'cluster init',
  largestText: 256 * 1024,
  mostValues: 20_000,
};

const deepestNesting = 16;
const deepestTokens = 3 * deepestNesting;

/** Lexical tokens for each value. */
const tokensOfValue = 5;

/** The size of the largest cluster file that is read, in bytes. */
export const largestClusterFile: number = clusterFileKind.largestText;

/** A path of keys and list positions as text: `nodes[0].name`. */
export function formatKeyPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, step) => extendKeyPath(text, step), '');
}

/** The key path one step further inside. */
export function extendKeyPath(keyPath: string, step: PropertyKey): string {
  if (typeof step === 'number') return `${keyPath}[${step}]`;
  return keyPath === '' ? String(step) : `${keyPath}.${String(step)}`;
}

/**
 * Reads one YAML 1.2 document as text, lists and mappings, with the place of everything. Never throws: what is wrong is
 * in `problems`.
 */
export function readYamlText(text: string, kind: YamlKind = clusterFileKind): YamlText {
  const unreadable = findUnreadable(text, kind);
  if (unreadable !== undefined) return nothingRead([unreadable]);
  const lines = new (loadYaml().LineCounter)();
  const document = composeDocument(text, lines, kind);
  if ('code' in document) return nothingRead([document]);
  const errors = [...document.errors, ...document.warnings];
  if (errors.length > 0) return nothingRead(explainSyntax(errors, document, lines, kind));
  return new DocumentReader(document, lines, kind).read();
}

/** How the `yaml` package is to read. */
const composing = {
  // Every scalar is text: a release 12.0 is no number, and no word turns into a boolean.
  schema: 'failsafe',
  merge: false,
  resolveKnownTags: false,
  // Duplicates are looked for below, in linear time and all of them.
  uniqueKeys: false,
} as const;

/**
 * Parses token by token, so that a text can be refused before it is composed: composing calls itself for each level, and
 * a stack that is full can end the whole process (V8, while it compiles a regular expression).
 */
function composeDocument(text: string, lines: LineCounter, kind: YamlKind): Document.Parsed | ClusterProblem {
  const { Composer, Lexer, Parser, YAMLParseError } = loadYaml();
  const parser = new Parser(lines.addNewLine);
  const composer = new Composer(composing);
  const tokens: CST.Token[] = [];
  let count = 0;
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    count += 1;
    if (parser.stack.length <= deepestTokens && count <= tokensOfValue * kind.mostValues) continue;
    const { line, col } = lines.linePos(parser.offset);
    const place = { line, column: col };
    return parser.stack.length > deepestTokens ? tooDeep(place, kind) : tooMany(place, kind);
  }
  tokens.push(...parser.end());
  // With its second argument set, composing gives a document even for an empty text.
  const [document, second] = composer.compose(tokens, true, text.length) as Iterable<Document.Parsed>;
  if (document === undefined) return emptyText('the file is empty', kind);
  if (second !== undefined) {
    document.errors.push(new YAMLParseError([second.range[0], second.range[0]], 'MULTIPLE_DOCS', 'second document'));
  }
  return document;
}

function tooDeep(place: Place, { name }: YamlKind): ClusterProblem {
  const message = 'the values are nested too deeply';
  return { ...place, code: 'too-large', keyPath: '', message, hint: `check that this is the ${name}` };
}

function tooMany(place: Place, { name, mostValues }: YamlKind): ClusterProblem {
  const message = `the file holds more than ${mostValues.toLocaleString('en')} values, aliases counted each time`;
  return { ...place, code: 'too-large', keyPath: '', message, hint: `check that this is the ${name}` };
}

/** A text in which nothing stands. */
function emptyText(message: string, { writtenBy }: YamlKind): ClusterProblem {
  return atStart('empty', message, `let \`${writtenBy}\` write one to begin with`);
}

function nothingRead(problems: readonly ClusterProblem[]): YamlText {
  return { value: undefined, problems, placeOf: () => undefined, placeOfKey: () => undefined };
}

function findUnreadable(text: string, { name, largestText }: YamlKind): ClusterProblem | undefined {
  if (text.length > largestText) {
    const message = `the file has more than ${largestText / 1024} KiB, and no ${name} is that long`;
    return atStart('too-large', message, `check that this is the ${name}`);
  }
  const nul = text.indexOf('\0');
  if (nul < 0) return undefined;
  const before = text.slice(0, nul).split('\n');
  const problem = atStart('not-text', 'the file is not text: a NUL byte stands here', `save the ${name} as UTF-8 text`);
  return { ...problem, line: before.length, column: (before.at(-1) ?? '').length + 1 };
}

function atStart(code: ClusterProblemCode, message: string, hint: string): ClusterProblem {
  return { code, line: 1, column: 1, keyPath: '', message, hint };
}

/** What the reader's complaints mean for someone who edits the file, and what to do. By the code of the `yaml` package. */
const syntaxWords: Readonly<Record<string, { message?: string; hint: string }>> = {
  TAB_AS_INDENT: {
    message: 'a tab stands where blanks are expected',
    hint: 'indent with blanks, two for each level',
  },
  BAD_INDENT: { hint: 'line the entries of one list or mapping up under each other' },
  MULTILINE_IMPLICIT_KEY: {
    message: 'a key with its colon was expected',
    hint: 'write `key: value`, with a blank after the colon',
  },
  BLOCK_AS_IMPLICIT_KEY: { hint: 'put a value that holds a colon and a blank in quotes; else check the indentation' },
  BAD_SCALAR_START: { hint: 'put the value in quotes' },
  MISSING_CHAR: { hint: 'add what is missing, or line the entry up with the one above it' },
  BAD_DQ_ESCAPE: { hint: 'put the value in single quotes, where a backslash means nothing' },
  MULTIPLE_DOCS: {
    message: 'a second document begins here',
    hint: 'keep one SUBJECT to a file, and take this `---` out',
  },
  TAG_RESOLVE_FAILED: {
    message: 'a tag (`!`) stands here, and tags mean nothing in a FILE',
    hint: 'take the tag out, or put the value in quotes',
  },
};

/** How many lines are explained: further down, errors tell of each other. */
const explainedLines = 100;

/** One problem for each line: what a reader says about a line after its first complaint is seldom true. */
function explainSyntax(
  errors: readonly YAMLError[],
  document: Document,
  lines: LineCounter,
  kind: YamlKind,
): ClusterProblem[] {
  const named = (words: string): string => words.replace('SUBJECT', kind.subject).replace('FILE', kind.name);
  const byLine = new Map<number, ClusterProblem>();
  for (const error of errors) {
    if (byLine.size === explainedLines) break;
    const quote = findOpenQuote(error, document);
    const { line, col } = lines.linePos(quote ?? error.pos[0]);
    if (byLine.has(line)) continue;
    const words = quote === undefined ? syntaxWords[error.code] : openQuote;
    byLine.set(line, {
      code: 'syntax',
      line,
      column: col,
      keyPath: '',
      message: named(words?.message ?? `not YAML: ${printable(error.message)}`),
      hint: named(words?.hint ?? `compare the line with the file that \`${kind.writtenBy}\` writes`),
    });
  }
  return [...byLine.values()];
}

const openQuote = { message: 'a quote opens here and is never closed', hint: 'close it on the same line' };

/** Where a quote opens that is never closed: it is wrong there, not where the file ends. */
function findOpenQuote(error: YAMLError, document: Document): number | undefined {
  if (error.code !== 'MISSING_CHAR' || !/^Missing closing ["']/.test(error.message)) return undefined;
  let opening: number | undefined;
  loadYaml().visit(document, {
    Scalar: (_key, scalar) => {
      const [start, end] = scalar.range ?? [0, 0];
      const isQuoted = scalar.type === 'QUOTE_DOUBLE' || scalar.type === 'QUOTE_SINGLE';
      if (isQuoted && start <= error.pos[0] && error.pos[0] <= end + 1) opening = start;
    },
  });
  return opening;
}

/** Turns a document into plain data, and remembers where everything stood. */
class DocumentReader {
  readonly #yaml = loadYaml();
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #kind: YamlKind;
  readonly #values = new Map<string, number>();
  readonly #keys = new Map<string, number>();
  readonly #anchors = new Map<string, Node>();
  readonly #problems: ClusterProblem[] = [];
  #count = 0;
  #refused = false;
  /** Where the alias stands that is being followed, from outside; `undefined` while none is. */
  #alias: number | undefined;

  constructor(document: Document, lines: LineCounter, kind: YamlKind) {
    this.#document = document;
    this.#lines = lines;
    this.#kind = kind;
  }

  read(): YamlText {
    const value = this.#readNode(this.#document.contents, '', 0);
    const placeIn = (offsets: ReadonlyMap<string, number>) => (keyPath: string) => {
      const offset = offsets.get(keyPath);
      return offset === undefined ? undefined : this.#place(offset);
    };
    return {
      value: this.#refused ? undefined : value,
      problems: this.#problems,
      placeOf: placeIn(this.#values),
      placeOfKey: placeIn(this.#keys),
    };
  }

  /** @param node `null` where nothing stands. */
  #readNode(node: Node | null, keyPath: string, depth: number): YamlValue {
    if (node === null) return null;
    const { isAlias, isMap, isScalar, isSeq } = this.#yaml;
    const offset = node.range?.[0] ?? 0;
    this.#count += 1;
    if (this.#count > this.#kind.mostValues || depth > deepestNesting) return this.#refuse(offset, depth);
    if (isAlias(node)) return this.#readAlias(node.source, offset, keyPath, depth);
    this.#values.set(keyPath, offset);
    let value: YamlValue = null;
    if (isScalar(node)) value = readScalar(node);
    if (isSeq(node)) {
      value = node.items.map((item, index) => this.#readNode(item as Node, extendKeyPath(keyPath, index), depth + 1));
    }
    if (isMap(node)) value = this.#readMapping(node, keyPath, depth);
    // Only now, so that no value can hold itself.
    const { anchor } = node as { readonly anchor?: string };
    if (anchor !== undefined) this.#anchors.set(anchor, node);
    return value;
  }

  #readMapping(node: YAMLMap, keyPath: string, depth: number): YamlValue {
    const mapping = Object.create(null) as Record<string, YamlValue>;
    for (const pair of node.items) {
      const key = pair.key as Node;
      const offset = key.range?.[0] ?? 0;
      const name = this.#yaml.isScalar(key) ? String(key.value) : undefined;
      if (name === undefined) {
        this.#report('wrong-type', offset, keyPath, 'a key must be a word', 'write `key: value`');
        continue;
      }
      const inner = extendKeyPath(keyPath, name);
      const first = this.#keys.get(inner);
      if (name in mapping && first !== undefined) {
        const message = `${quoted(name)} stands here twice: the first is in line ${this.#place(first).line}`;
        this.#report('duplicate-key', offset, inner, message, 'keep one of the two');
        continue;
      }
      this.#keys.set(inner, offset);
      mapping[name] = this.#readNode(pair.value as Node | null, inner, depth + 1);
    }
    return mapping;
  }

  #readAlias(name: string, offset: number, keyPath: string, depth: number): YamlValue {
    const target = this.#anchors.get(name);
    if (target !== undefined) {
      const outer = this.#alias;
      this.#alias ??= offset;
      const value = this.#readNode(target, keyPath, depth);
      this.#alias = outer;
      return value;
    }
    const message = `the alias *${printable(name)} has no anchor &${printable(name)} before it`;
    this.#report('alias', offset, keyPath, message, 'write the value itself, or put it in quotes if it begins with *');
    this.#values.set(keyPath, offset);
    return null;
  }

  #refuse(offset: number, depth: number): null {
    if (this.#refused) return null;
    this.#refused = true;
    const place = this.#place(this.#alias ?? offset);
    this.#problems.push(depth > deepestNesting ? tooDeep(place, this.#kind) : tooMany(place, this.#kind));
    return null;
  }

  #report(code: ClusterProblemCode, offset: number, keyPath: string, message: string, hint: string): void {
    this.#problems.push({ code, ...this.#place(offset), keyPath, message, hint });
  }

  #place(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { line, column: col };
  }
}

/** The text of a scalar; `null` for one without quotes that stands for nothing. */
function readScalar(scalar: Scalar): string | null {
  const text = typeof scalar.value === 'string' ? scalar.value : '';
  return scalar.type === 'PLAIN' && /^(?:~|null)?$/i.test(text) ? null : text;
}
