import { basename } from 'node:path';
import { requirePlain } from '../../signed-file/index.js';
import { holdsCompanion } from '../encrypted-names.js';
import { findWork, runWork } from '../bulk-command.js';
import type { FinishedWork } from '../bulk-files.js';
import { extractFile, type Extracted } from '../extract-file.js';
import { loadJudge, verifyingInputs } from '../file-keys.js';
import type { Output } from '../output.js';
import { jobsOf, type StripOptions } from './file-options.js';
import { formatPut } from './file-sign.js';
import { isSignedName, nameWarnings } from './file-verify.js';

/** `file strip`. */
export async function stripFiles(paths: readonly string[], options: StripOptions, output: Output): Promise<number> {
  const judge = await loadJudge(options, output);
  const found = findWork(paths, {
    whyPassedOver: whyNotStripped,
    // The name of the file, not what its header says: that comes from whoever made it.
    outputNames: ({ path }) => [basename(path).replace(/\.sgn$/i, '')],
    out: options.out,
    guarded: verifyingInputs(options),
  });
  if (judge === undefined)
    output.note('the signatures are not checked: give --ctl, --itl or --certificate to check them');
  return runWork(
    found,
    {
      jobs: jobsOf(options, false),
      words: { command: 'file strip', done: 'stripped', no: 'not verified' },
      doing: 'stripping',
      work: async ({ path, named, outputs: [place = ''] }, folders, onRead) => {
        const isCompanion = holdsCompanion(path);
        if (isCompanion && !named) return { state: 'passed-over', text: companionOnly };
        const begin = (header: Parameters<typeof requirePlain>[0]): typeof asItIs => {
          requirePlain(header);
          return asItIs;
        };
        const extraction = { begin, judge, mode: 0o644, folders, onRead };
        const work = describeExtracted(await extractFile(path, place, extraction), path, 'stripped');
        return isCompanion ? { ...work, warnings: [...(work.warnings ?? []), companionOnly] } : work;
      },
    },
    options,
    output,
  );
}

const companionOnly =
  'it is the companion of an encrypted configuration, and holds a few lines of it: "file decrypt" gives all of it';

const asItIs = {
  update: (part: Uint8Array): Uint8Array => part,
  finish: (): Uint8Array => new Uint8Array(),
};

function whyNotStripped(name: string): string | undefined {
  if (/\.enc\.sgn$/i.test(name)) return 'encrypted: "file decrypt"';
  return isSignedName(name) ? undefined : 'no .sgn file';
}

/** What became of a plain file that was taken out of a signed one. */
export function describeExtracted({ header, answer, put }: Extracted, path: string, done: string): FinishedWork {
  const known = answer === undefined ? { checked: false } : { checked: true, ...answer.details };
  const details = { ...known, fileName: header.fileName, backup: put?.backup ?? null };
  const warnings = nameWarnings(path, header);
  if (put === undefined) return { state: 'no', text: answer?.text ?? '', details, warnings };
  const checked = answer === undefined ? '' : `; ${answer.text}`;
  if (put.unchanged) return { state: 'already-done', text: `already done${checked}`, details, warnings };
  return { state: 'done', text: `${done}, ${formatPut(put)}${checked}`, details, warnings };
}
