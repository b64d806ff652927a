import { InputError } from '../errors.js';
import { printable } from '../bytes/index.js';

/** What can be wrong with a cluster file. */
export type ClusterProblemCode =
  | 'too-large'
  | 'not-text'
  | 'syntax'
  | 'alias'
  | 'empty'
  | 'duplicate-key'
  | 'unknown-key'
  | 'missing-key'
  | 'wrong-type'
  | 'bad-value'
  | 'duplicate'
  | 'no-publisher'
  | 'no-callmanager'
  | 'missing-certificate'
  | 'key-without-certificate'
  | 'file-missing'
  | 'file-unreadable'
  | 'bad-certificate';

/** A place in a text file. Lines and columns (in UTF-16 code units) begin with 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** One thing that is wrong with a cluster file. */
export interface ClusterProblem extends Place {
  readonly code: ClusterProblemCode;
  /** The key it is about, e.g. `nodes[0].certificates.CAPF`; empty for the file as a whole. */
  readonly keyPath: string;
  /** What is wrong, and what was expected. */
  readonly message: string;
  /** What to do about it. */
  readonly hint: string;
}

/** How many problems one error spells out. */
const shownProblems = 20;

/** Problems in the order of the file. */
export function inFileOrder(problems: readonly ClusterProblem[]): readonly ClusterProblem[] {
  return problems.toSorted((left, right) => left.line - right.line || left.column - right.column);
}

/** One problem as a line for people: file, line, column, key and what is wrong, without the hint. */
export function formatClusterProblem(name: string, problem: ClusterProblem): string {
  const key = problem.keyPath === '' ? '' : `${printable(problem.keyPath.slice(0, 100))}: `;
  return `${name}:${problem.line}:${problem.column}: ${key}${problem.message}`;
}

/** One error for all problems of a file, in file order. */
export function clusterFileError(
  name: string,
  problems: readonly ClusterProblem[],
  code: 'cluster-file' | 'plan-file' = 'cluster-file',
): InputError {
  const sorted = inFileOrder(problems);
  const [only] = sorted;
  if (only !== undefined && sorted.length === 1) {
    return new InputError(code, formatClusterProblem(name, only), { hint: only.hint });
  }
  const lines = sorted
    .slice(0, shownProblems)
    .map((problem) => `  ${formatClusterProblem(name, problem)} (${problem.hint})`);
  const more = sorted.length - lines.length;
  if (more > 0) lines.push(`  and ${more} more`);
  return new InputError(code, `${name} has ${sorted.length} problems:\n${lines.join('\n')}`, {
    hint: `correct these places in the ${code.replace('-', ' ')}, then run the command again`,
  });
}
