import { basename } from 'node:path';
import { printable } from '../../bytes/index.js';
import { InputError } from '../../errors.js';
import { decodeEncryption, requirePlain, type SignedHeader } from '../../signed-file/index.js';
import { findWork, runWork } from '../bulk-command.js';
import { loadJudge } from '../file-keys.js';
import type { Output } from '../output.js';
import { readSigned } from '../signed-source.js';
import { withSource } from '../source-file.js';
import { jobsOf, type VerifyOptions } from './file-options.js';

/** `file verify`. */
export async function verifyFiles(paths: readonly string[], options: VerifyOptions, output: Output): Promise<number> {
  const judge = await loadJudge(options, output);
  if (judge === undefined) {
    throw new InputError('missing-option', 'there are no keys to verify with', {
      hint: 'give the lists of the phones with --ctl FILE and --itl FILE, or the signer with --certificate FILE',
    });
  }
  const found = findWork(paths, {
    whyPassedOver: (name) => (isSignedName(name) ? undefined : 'no .sgn file'),
    outputNames: () => [],
    guarded: [],
  });
  return runWork(
    found,
    {
      jobs: jobsOf(options, false),
      words: { command: 'file verify', done: 'verified', no: 'not verified' },
      doing: 'verifying',
      work: async ({ path }, _folders, onRead) => {
        const verdict = await withSource(path, (source) => readSigned(source, { onHeader: requireSignedFile, onRead }));
        const { verified, text, details } = judge(verdict);
        const { header } = verdict;
        return {
          state: verified ? 'done' : 'no',
          text,
          details: { encrypted: isEncrypted(header), fileName: header.fileName, ...details },
          warnings: nameWarnings(path, header),
        };
      },
    },
    options,
    output,
  );
}

/** Whether a name is that of a signed file. */
export function isSignedName(name: string): boolean {
  return /\.sgn$/i.test(name);
}

function isEncrypted({ version }: SignedHeader): boolean {
  return version.major === 2;
}

/** @throws FormatError for a trust list, and for an encrypted file that no phone understands */
function requireSignedFile(header: SignedHeader): void {
  if (isEncrypted(header)) decodeEncryption(header);
  else requirePlain(header);
}

/** A phone asks for a file by its name, and rejects one whose FILENAME is another. */
export function nameWarnings(path: string, { fileName }: SignedHeader): readonly string[] {
  if (fileName === basename(path)) return [];
  return [`its FILENAME is ${printable(fileName)}: a phone that asks for ${printable(basename(path))} rejects it`];
}
