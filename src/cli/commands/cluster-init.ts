import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, relative, resolve } from 'node:path';
import { printable } from '../../bytes/index.js';
import {
  createLabCluster,
  draftClusterFile,
  formatClusterFile,
  services,
  type NodeOutline,
  type Service,
} from '../../cluster/index.js';
import { InputError } from '../../errors.js';
import { exitCode } from '../exit-code.js';
import { makeFolder, writeOutput } from '../files.js';
import type { Output } from '../output.js';
import type { InitOptions } from './cluster.js';

const clusterFileName = 'cluster.yaml';

const existsHint = 'give another folder, or --force to replace what is there (it is kept in backups/)';

/** A publisher to be edited, when no node is given. Its address is one that is kept for documents (RFC 5737). */
const exampleNode = 'cucm-pub,192.0.2.10';

const exampleRelease = '11.5.1';

/** `cluster init`. */
export async function initCluster(folder: string, options: InitOptions, output: Output): Promise<number> {
  const nodes = (options.node ?? [exampleNode]).map(parseNode);
  const { release = exampleRelease } = options;
  if (options.release === undefined && options.lab !== true) {
    output.warning(`the release is taken to be ${release}; it decides which key signs the lists. Give --release`);
  }
  const outline = { release, securityMode: options.securityMode, nodes };
  const files =
    options.lab === true
      ? await makeLab(folder, outline, options, output)
      : [await writeFile(folder, outline, options)];
  const clusterFile = join(folder, clusterFileName);
  output.result(files.map((file) => `${printable(file)}\n`).join(''), { clusterFile, files });
  output.note(
    options.lab === true
      ? 'The keys and certificates are for practice: no cluster knows them.'
      : `next: edit ${clusterFile}, put the certificates where it says, then: etoken-bridge cluster show ${clusterFile}`,
  );
  return exitCode.done;
}

type Outline = Parameters<typeof draftClusterFile>[0];

async function makeLab(
  folder: string,
  outline: Outline,
  options: InitOptions,
  output: Output,
): Promise<readonly string[]> {
  try {
    const lab = await createLabCluster({
      directory: folder,
      ...outline,
      now: new Date(),
      keyBits: Number(options.keyBits) as 1024 | 2048 | 4096,
      overwrite: options.force === true,
      onProgress: (done, total) => output.progress(done, total, 'keys and certificates'),
    });
    return lab.files.map((file) => join(folder, relative(resolve(folder), file)));
  } catch (error) {
    if (!(error instanceof InputError) || error.code !== 'file-exists') throw error;
    throw new InputError('file-exists', error.message, { hint: existsHint, cause: error });
  }
}

async function writeFile(folder: string, outline: Outline, options: InitOptions): Promise<string> {
  const path = join(folder, clusterFileName);
  if (existsSync(path) && options.force !== true) {
    throw new InputError('file-exists', `${printable(path)} is there already`, { hint: existsHint });
  }
  const text = formatClusterFile(draftClusterFile(outline));
  await makeFolder(folder, 'give another folder');
  await writeOutput({ path, bytes: new TextEncoder().encode(text) });
  return path;
}

/** @throws InputError `usage` */
function parseNode(text: string, index: number): NodeOutline {
  const [name = '', address = '', ...named] = text.split(',').map((part) => part.trim());
  const unknown = named.filter((service) => !(services as readonly string[]).includes(service));
  if (name === '' || isIP(address) === 0 || unknown.length > 0) {
    const what = unknown.length > 0 ? `${unknown.join(', ')} is no service` : 'a name and an address are wanted';
    throw new InputError('usage', `--node ${text}: ${what}`, {
      hint: `write --node NAME,ADDRESS[,SERVICE…] with services of ${services.join(', ')}`,
    });
  }
  // CAPF runs on the publisher only.
  const usual = index === 0 ? services : services.filter((service) => service !== 'CAPF');
  return { name, address, services: named.length === 0 ? usual : (named as Service[]) };
}
