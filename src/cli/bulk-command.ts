import { printable } from '../bytes/index.js';
import { InputError, RefusalError } from '../errors.js';
import { runBulk, type BulkWork } from './bulk-files.js';
import { collectFiles, identityAt, type CollectedFiles, type Collecting, type InputFile } from './bulk-inputs.js';
import { placeOutputs, requireOut, type PlacedFile, type Placing } from './bulk-places.js';
import { reportBulk, type BulkWords } from './bulk-report.js';
import { OutputFolders } from './new-file.js';
import type { Output, OutputOptions } from './output.js';

/** Files that were found and have their places, before anything is written. */
export interface FoundWork {
  readonly collected: CollectedFiles;
  readonly files: readonly PlacedFile[];
}

/**
 * Finds the files that a command works on, and the places of what it writes. What the command reads itself, such as its
 * key, is no file to work on: in a folder it is passed over, and told.
 *
 * @throws InputError when nothing is found; RefusalError `unsafe-input` for a key that was given as a file; as
 *   {@link collectFiles} and {@link placeOutputs}
 */
export function findWork(paths: readonly string[], search: Collecting & Placing): FoundWork {
  requireOut(search.out);
  const collected = withoutGuarded(collectFiles(paths, search), search.guarded);
  const { files, unusable, passedOver } = collected;
  if (files.length === 0 && unusable.length === 0) {
    const [first] = passedOver;
    const hint =
      first === undefined
        ? 'the folder is empty'
        : `all is passed over there, such as ${first.path}: ${first.reason}; a file that is given by its name is not`;
    throw new InputError('file-missing', 'there is no file to work on', { hint });
  }
  const unplaced: CollectedFiles['unusable'][number][] = [];
  const onUnusable = (path: string, error: Error): void => void unplaced.push({ path, error });
  const placed = placeOutputs(files, { ...search, onUnusable });
  return { collected: { ...collected, unusable: [...unusable, ...unplaced] }, files: placed };
}

const readByCommand = 'read by this command itself, as a key, PIN, list or certificate';

function withoutGuarded({ files, passedOver, unusable }: CollectedFiles, guarded: readonly string[]): CollectedFiles {
  const identities = new Set(guarded.map(identityAt).filter((one) => one !== undefined));
  const isGuarded = ({ identity }: InputFile): boolean => identities.has(identity);
  const named = files.find((file) => file.named && isGuarded(file));
  if (named !== undefined) {
    throw new RefusalError('unsafe-input', `${printable(named.path)} is ${readByCommand}`, {
      hint: 'give the files without it; nothing was written',
    });
  }
  const left = files.filter(isGuarded).map(({ path }) => ({ path, reason: readByCommand, unexpected: true }));
  return { files: files.filter((file) => !isGuarded(file)), passedOver: [...passedOver, ...left], unusable };
}

/** What is done with each file. */
export interface BulkCommand extends Pick<BulkWork, 'jobs' | 'doing'> {
  readonly words: BulkWords;
  readonly work: (
    file: PlacedFile,
    folders: OutputFolders,
    advance: (count: number) => void,
  ) => ReturnType<BulkWork['work']>;
}

/** Works on the files that were found, and tells what became of them. @returns the exit code */
export async function runWork(
  { collected, files }: FoundWork,
  command: BulkCommand,
  options: OutputOptions,
  output: Output,
): Promise<number> {
  const folders = new OutputFolders(files.flatMap(({ outputs }) => outputs));
  const { jobs, doing, words } = command;
  const bulk: BulkWork = {
    jobs,
    doing,
    work: (file, advance) => command.work(file, folders, advance),
    onInterrupt: (result) => void reportBulk(result, collected, words, options, output),
  };
  const result = await runBulk(files, bulk, output);
  await folders.sync();
  return reportBulk(result, collected, words, options, output);
}
