import { join } from 'node:path';
import { printable } from '../../bytes/index.js';
import { exportSastCertificates } from '../../token/index.js';
import { formatName } from '../../x509/index.js';
import { exitCode } from '../exit-code.js';
import { checkOutput, makeFolder, writeOutput } from '../files.js';
import type { Output } from '../output.js';
import { requireToken, tokenChoice } from '../token-choice.js';
import { certificateSearch, wantsLogin } from './token-login.js';
import type { TokenCommandOptions } from './token.js';

/** `token export`. Exit code 1 when the tokens have no SAST certificate. */
export async function exportCertificates(options: TokenCommandOptions, output: Output): Promise<number> {
  const { out = '', format = 'der' } = options;
  const choice = tokenChoice(options);
  const exported = await exportSastCertificates(await certificateSearch(options, choice, output), format);
  if (exported.length === 0) {
    await requireToken(choice, output);
    output.result('', { files: [] });
    const hint = wantsLogin(options) ? '' : '; --login also finds what is hidden without the PIN';
    output.note(`the tokens hold no SAST certificate: nothing was written${hint}`);
    return exitCode.no;
  }
  await makeFolder(out, 'give another --out');
  // All of them before the first is written: half an export is easily taken for a whole one.
  for (const { fileName } of exported) await checkOutput({ path: join(out, fileName) });
  const files: { path: string; subject: string; token: string }[] = [];
  for (const { fileName, bytes, certificate, token } of exported) {
    const { path } = await writeOutput({ path: join(out, fileName), bytes });
    files.push({ path, subject: formatName(certificate.subject), token: token.serialNumber });
  }
  output.result(files.map(({ path }) => `${printable(path)}\n`).join(''), { files });
  output.note('next: upload each file to Phone-SAST-trust, and name it in trustStores of the cluster file');
  return exitCode.done;
}
