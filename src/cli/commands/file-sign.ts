import { basename } from 'node:path';
import { printable } from '../../bytes/index.js';
import { InputError } from '../../errors.js';
import { encryptedForPhone, encryptedInstead, refuseEncrypted } from '../encrypted-names.js';
import { findWork, runWork } from '../bulk-command.js';
import type { FinishedWork } from '../bulk-files.js';
import type { PlacedFile } from '../bulk-places.js';
import { signingInputs, withFileSigner } from '../file-signers.js';
import type { PutFile } from '../new-file.js';
import type { Output } from '../output.js';
import { signOneFile, type SignedOutput, type Signing } from '../sign-file.js';
import { whyPassedOver } from '../watched-names.js';
import { ctlOptions } from './ctl-build.js';
import { jobsOf, type SignOptions } from './file-options.js';

/** `file sign`. */
export async function signFiles(paths: readonly string[], options: SignOptions, output: Output): Promise<number> {
  const jobs = jobsOf(options, options.key === undefined);
  const signing = signingOf(options);
  const found = findWork(paths, {
    whyPassedOver,
    outputNames: ({ path }) => [`${basename(path)}.sgn`],
    out: options.out,
    guarded: await signingInputs(options),
  });
  return withFileSigner(options, output, (signer) => {
    const words = { command: 'file sign', done: 'signed' };
    return runWork(
      found,
      {
        jobs,
        words,
        doing: 'signing',
        work: async (file, folders, onRead) => {
          const [place = ''] = file.outputs;
          if (file.named) refuseEncrypted(file.path, place);
          else if (encryptedInstead(place) !== undefined) return { state: 'passed-over', text: encryptedForPhone };
          try {
            return describeSigned(await signOneFile(file.path, place, signer, { ...signing, folders, onRead }));
          } catch (error) {
            return passOverOthers(error, file);
          }
        },
      },
      options,
      output,
    );
  });
}

/** How the options want files signed. @throws InputError `usage` */
export function signingOf(options: SignOptions): Signing {
  const { timestamp, digestAlgorithm } = ctlOptions(options);
  const keepFinished = options.timestamp === undefined ? 'any-time' : 'same-time';
  return {
    timestamp,
    digestAlgorithm,
    ...(options.continue === true ? { keepFinished } : {}),
  };
}

/** What a file can be whatever its name says. */
const notForPhones: Readonly<Partial<Record<string, string>>> = {
  'already-signed': 'signed already',
  'private-key': 'it holds a private key: keep it where no phone looks',
};

/** A signed file or a key is passed over in a folder, and told; it is refused when it was given itself. */
export function passOverOthers(error: unknown, { named }: PlacedFile): FinishedWork {
  const text = error instanceof InputError ? notForPhones[error.code] : undefined;
  if (named || text === undefined) throw error;
  return { state: 'passed-over', text };
}

function describeSigned(put: SignedOutput): FinishedWork {
  if (put.alreadyDone) return { state: 'already-done', text: 'already done', details: { backup: null } };
  return { state: 'done', text: `signed, ${formatPut(put)}`, details: { backup: put.backup ?? null } };
}

/** Where an output is, and what became of the one before. */
export function formatPut({ path, backup }: Pick<PutFile, 'path' | 'backup'>): string {
  return backup === undefined ? printable(path) : `${printable(path)} (backup: ${printable(backup)})`;
}
