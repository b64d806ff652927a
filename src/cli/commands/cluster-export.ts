import { join } from 'node:path';
import { printable } from '../../bytes/index.js';
import { certificateSha1, certificatesForMove, loadCluster } from '../../cluster/index.js';
import { formatCertificatePem, formatName } from '../../x509/index.js';
import { exitCode } from '../exit-code.js';
import { checkOutput, makeFolder, writeOutput } from '../files.js';
import type { Output, OutputOptions } from '../output.js';

/** The options of `cluster export`. */
export interface ExportOptions extends OutputOptions {
  readonly out: string;
  readonly format: 'der' | 'pem';
}

/** `cluster export`: what another cluster must be given before phones move between the two (A10). */
export async function exportForMove(path: string, { out, format }: ExportOptions, output: Output): Promise<number> {
  const moving = certificatesForMove(await loadCluster(path));
  await makeFolder(out, 'give another --out');
  const extension = format === 'pem' ? 'pem' : 'cer';
  const files = moving.map((one) => ({ ...one, path: join(out, `${one.fileName}.${extension}`) }));
  // All of them before the first is written: half an export is easily taken for a whole one.
  for (const file of files) await checkOutput({ path: file.path, inputs: [path] });
  for (const { path: place, certificate } of files) {
    const bytes = format === 'pem' ? new TextEncoder().encode(formatCertificatePem(certificate)) : certificate.der;
    await writeOutput({ path: place, inputs: [path], bytes });
  }
  const lines = files.map(({ path: place, owner }) => `${printable(place)}  ${printable(owner)}\n`);
  output.result(lines.join(''), {
    files: files.map(({ path: place, store, owner, certificate }) => ({
      path: place,
      store,
      owner,
      subject: formatName(certificate.subject),
      sha1: certificateSha1(certificate),
    })),
  });
  output.note(
    'next: upload each to Phone-SAST-trust of the cluster that the phones leave, restart TVS there, and leave it running',
  );
  return exitCode.done;
}
