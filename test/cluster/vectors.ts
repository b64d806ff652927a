import { readdirSync, readFileSync } from 'node:fs';

const folder = new URL('../vectors/cluster/', import.meta.url);

/** A problem that a file of test/vectors/cluster says it has. */
export interface ExpectedProblem {
  readonly code: string;
  readonly line: number;
  readonly column: number;
  readonly keyPath: string;
  readonly words: readonly string[];
  readonly secrets: readonly string[];
}

export interface Vector {
  readonly name: string;
  readonly text: string;
  readonly expected: readonly ExpectedProblem[];
}

/** The cluster files whose names begin so. */
export function readVectors(accept: (name: string) => boolean): readonly Vector[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml') && accept(name))
    .sort()
    .map((name) => {
      const text = readFileSync(new URL(name, folder), 'utf8');
      return { name, text, expected: readExpectations(name, text) };
    });
}

function readExpectations(name: string, text: string): ExpectedProblem[] {
  return [...text.matchAll(/^# expect: (.*)$/gm)].map(([, line = '']) => {
    const [head = '', ...words] = line.split(' | ');
    const match = /^(\S+) (\d+):(\d+) (\S+)$/.exec(head);
    if (match === null) throw new Error(`${name}: not an expectation: ${line}`);
    const [, code = '', row, column, keyPath = ''] = match;
    return {
      code,
      line: Number(row),
      column: Number(column),
      keyPath: keyPath === '-' ? '' : keyPath,
      words: words.filter((word) => !word.startsWith('!')),
      secrets: words.filter((word) => word.startsWith('!')).map((word) => word.slice(1)),
    };
  });
}
