import type { KeyObject } from 'node:crypto';
import { basename } from 'node:path';
import { InputError, ProofError } from '../../errors.js';
import { FileDecryption, type SignedHeader } from '../../signed-file/index.js';
import { findWork, runWork } from '../bulk-command.js';
import { extractFile } from '../extract-file.js';
import { loadJudge, verifyingInputs } from '../file-keys.js';
import type { Output } from '../output.js';
import { readPhoneKey } from '../phone-key.js';
import { jobsOf, type DecryptOptions } from './file-options.js';
import { describeExtracted } from './file-strip.js';

/** `file decrypt`. What comes out can only be read by its owner: configurations have passwords in them. */
export async function decryptFiles(paths: readonly string[], options: DecryptOptions, output: Output): Promise<number> {
  const judge = await loadJudge(options, output);
  const found = findWork(paths, {
    whyPassedOver: (name) => (/\.enc\.sgn$/i.test(name) ? undefined : 'no .enc.sgn file'),
    outputNames: ({ path }) => [basename(path).replace(/(\.enc)?\.sgn$/i, '')],
    out: options.out,
    guarded: [options.key, options.keyPasswordFile ?? [], verifyingInputs(options)].flat(),
  });
  const key = await readPhoneKey(options.key, options.keyPasswordFile);
  if (judge === undefined) {
    output.warning(
      'the signatures are NOT checked: anybody who has the certificate of the phone can have made these files; give --ctl, --itl or --certificate',
    );
  }
  return runWork(
    found,
    {
      jobs: jobsOf(options, false),
      words: { command: 'file decrypt', done: 'decrypted', no: 'not verified' },
      doing: 'decrypting',
      work: async ({ path, outputs: [place = ''] }, folders, onRead) => {
        const begin = (header: SignedHeader): FileDecryption => beginDecryption(header, key);
        const extraction = { begin, judge, mode: 0o600, folders, onRead };
        return describeExtracted(await extractFile(path, place, extraction), path, 'decrypted');
      },
    },
    options,
    output,
  );
}

/** A file for another phone says nothing of the other files: it is one that cannot be decrypted here, and no danger. */
function beginDecryption(header: SignedHeader, key: KeyObject): FileDecryption {
  try {
    return new FileDecryption(header, key);
  } catch (error) {
    if (!(error instanceof ProofError) || error.code !== 'key-mismatch') throw error;
    const hint = error.hint ?? '';
    throw new InputError('wrong-key', error.message, { hint });
  }
}
