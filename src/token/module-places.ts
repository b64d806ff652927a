import { win32 } from 'node:path';
import { inspectLibrary } from './library-header.js';
import { familiesByName, triplets } from './module-tables.js';

/** Environment variables by name. */
export type Environment = Readonly<Partial<Record<string, string>>>;

/** For which machine modules are looked for, with nothing left open. */
export interface Search {
  readonly environment: Environment;
  readonly platform: string;
  readonly architecture: string;
  readonly root: string;
}

/** A path and where it comes from, before it is looked at. */
export interface Place {
  readonly path: string;
  readonly family: string;
  readonly source: string;
  readonly passedOver?: string;
  readonly parameters?: string;
}

/** A path of the table for this machine; none when it has no such place. */
export function fillIn(pattern: string, { environment, architecture }: Search): readonly string[] {
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

/** The first of these that is there, or else the first. */
export function firstThere(paths: readonly string[], search: Search): string | undefined {
  return paths.find((path) => inspectLibrary(path, search).state !== 'missing') ?? paths[0];
}

/** By the name of the file. */
export function familyOf(path: string): string {
  return familiesByName.find(({ pattern }) => pattern.test(baseName(path)))?.family ?? 'unknown';
}

/** The name of a file, whichever system the path is of. */
export function baseName(path: string): string {
  return win32.basename(path);
}
