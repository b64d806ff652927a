import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.js';
import { exportSastCertificates } from '../../token/index.js';
import { formatName } from '../../x509/index.js';
import { exitCode } from '../exit-code.js';
import { writeOutput } from '../files.js';
import type { Output } from '../output.js';
import { tokenChoice } from '../token-choice.js';
import type { TokenCommandOptions } from './token.js';

/** `token export`. Exit code 1 when the tokens have no SAST certificate. */
export async function exportCertificates(options: TokenCommandOptions, output: Output): Promise<number> {
  const { out = '', format = 'der' } = options;
  const exported = await exportSastCertificates(tokenChoice(options), format);
  if (exported.length === 0) {
    output.result('', { files: [] });
    output.note('the tokens hold no SAST certificate: nothing was written');
    return exitCode.no;
  }
  try {
    await mkdir(out, { recursive: true });
  } catch (error) {
    throw new InputError('file-unwritable', `the folder ${out} cannot be made`, {
      cause: error,
      hint: 'give another --out',
    });
  }
  const files: { path: string; subject: string; token: string }[] = [];
  for (const { fileName, bytes, certificate, token } of exported) {
    const { path } = await writeOutput({ path: join(out, fileName), bytes });
    files.push({ path, subject: formatName(certificate.subject), token: token.serialNumber });
  }
  output.result(files.map(({ path }) => `${path}\n`).join(''), { files });
  output.note('next: upload each file to Phone-SAST-trust, and name it in trustStores of the cluster file');
  return exitCode.done;
}
