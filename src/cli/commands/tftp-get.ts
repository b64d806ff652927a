import { printable } from '../../bytes/index.js';
import { InputError, NetworkError } from '../../errors.js';
import { fetchFile, tftpPort } from '../../tftp/index.js';
import { exitCode } from '../exit-code.js';
import { checkOutput, writeOutput } from '../files.js';
import type { Output } from '../output.js';
import { parseEndpoint, parseWhole } from '../endpoint.js';
import type { GetOptions } from './tftp.js';

/** `tftp get`. Exit code 1 when the server does not have the file: the answer is no. Every other failure is 2. */
export async function getByTftp(server: string, name: string, options: GetOptions, output: Output): Promise<number> {
  const { blksize, windowsize } = options;
  const address = parseEndpoint(server, tftpPort);
  const path = options.out ?? lastPart(name);
  const sizes = {
    ...(blksize === undefined ? {} : { blockSize: parseWhole(blksize, '--blksize', 8, 65_464) }),
    ...(windowsize === undefined ? {} : { windowSize: parseWhole(windowsize, '--windowsize', 1, 65_535) }),
  };
  await checkOutput({ path });
  let bytes: Uint8Array;
  try {
    bytes = await fetchFile({ ...address, name, ...sizes });
  } catch (error) {
    if (!(error instanceof NetworkError) || error.code !== 'file-not-found') throw error;
    output.error(error, options.debug === true);
    return exitCode.no;
  }
  const { backup } = await writeOutput({ path, bytes });
  output.result(`${printable(path)}\n`, { path, length: bytes.length, ...(backup === undefined ? {} : { backup }) });
  return exitCode.done;
}

function lastPart(name: string): string {
  const part = name.split(/[/\\]/).at(-1) ?? '';
  if (part !== '' && part !== '.' && part !== '..') return part;
  throw new InputError('usage', `${name} does not say how the file is to be called`, { hint: 'give --out FILE' });
}
