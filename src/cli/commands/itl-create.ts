import { statSync } from 'node:fs';
import { join } from 'node:path';
import { printable } from '../../bytes/index.js';
import { loadCluster, type Cluster, type ClusterNode } from '../../cluster/index.js';
import { InputError } from '../../errors.js';
import { createItl, itlSigner, type ItlOptions as ListOptions } from '../../itl/index.js';
import type { Signer } from '../../signer/index.js';
import { describeTrustList, type TrustList } from '../../trust-list/index.js';
import type { Certificate } from '../../x509/index.js';
import { readDevices, type DeviceFiles } from '../device-names.js';
import { exitCode } from '../exit-code.js';
import { inputFiles } from '../inputs.js';
import { formatDevices, warnOfOthers, writeLists, type ListTarget, type WrittenList } from '../itl-files.js';
import { openItlSigner } from '../itl-signer.js';
import type { Output } from '../output.js';
import { SignerSource } from '../signers.js';
import { tftpNodes } from '../tftp-folders.js';
import { ctlOptions } from './ctl-build.js';
import type { ItlOptions } from './itl-options.js';

/** `itl create`: the ITL of each TFTP node, signed by the key that signs it on a cluster. */
export async function createItls(options: ItlOptions, output: Output): Promise<number> {
  const { cluster: path = '', out = '' } = options;
  const cluster = await loadCluster(path);
  const nodes = tftpNodes(cluster, options.node);
  const { targets, folder } = placesOf(out, nodes);
  const devices = await devicesOf(options);
  const inputs = await itlInputs(undefined, options);
  if (options.key !== undefined) refuseOneKeyForAll(cluster, nodes);
  const signers = new SignerSource(options, output);
  try {
    const progress = (done: number, total: number): void => output.progress(done, total, 'names of phones');
    const places = { targets, inputs, devices, progress, ...(folder === undefined ? {} : { out: folder }) };
    const written = await writeLists(places, () => makeLists(cluster, nodes, options, signers));
    report(written, output);
    for (const { others } of written) warnOfOthers(others, output);
    return exitCode.done;
  } finally {
    await signers.close();
  }
}

/** Every file that a command of this group reads: none may be overwritten. */
export async function itlInputs(path: string | undefined, options: ItlOptions): Promise<readonly string[]> {
  const own = [options.itl, options.devices].filter((one) => one !== undefined && one !== '-') as string[];
  return [...(await inputFiles(path, options)), ...own];
}

/** The phones that the options name, and what their names become. @throws InputError `usage` */
export async function devicesOf({ device = [], devices, link }: ItlOptions): Promise<DeviceFiles> {
  const names = await readDevices(device, devices);
  if (link !== undefined && names.length === 0) {
    throw new InputError('usage', '--link says what the names of phones become, and no phone is named', {
      hint: 'name phones with --device MAC or --devices FILE',
    });
  }
  return { names, kind: link ?? 'symbolic' };
}

/** One file for one node, or a folder with a folder for each node. @throws InputError `usage` */
function placesOf(
  out: string,
  nodes: readonly ClusterNode[],
): { readonly targets: readonly ListTarget[]; readonly folder?: string } {
  const isFile = /\.tlv$/i.test(out) || statSync(out, { throwIfNoEntry: false })?.isFile() === true;
  if (!isFile) {
    return { folder: out, targets: nodes.map(({ name: node }) => ({ node, path: join(out, node, 'ITLFile.tlv') })) };
  }
  const [first, ...others] = nodes;
  if (first !== undefined && others.length === 0) return { targets: [{ node: first.name, path: out }] };
  throw new InputError('usage', `${printable(out)} is one file, and ${String(nodes.length)} nodes run TFTP`, {
    hint: 'each has an ITL of its own: give a folder as --out, or one node with --node',
  });
}

/** @throws InputError `usage` when the nodes' lists are signed by different keys */
function refuseOneKeyForAll(cluster: Cluster, nodes: readonly ClusterNode[]): void {
  const owners = new Set(nodes.map((node) => itlSigner(cluster, node).certificate));
  if (owners.size === 1) return;
  throw new InputError(
    'usage',
    `--key is one key, and the ITLs of ${String(nodes.length)} nodes are signed by their own`,
    {
      hint: 'name the keys in the cluster file, or one node with --node',
    },
  );
}

async function makeLists(
  cluster: Cluster,
  nodes: readonly ClusterNode[],
  options: ItlOptions,
  signers: SignerSource,
): Promise<ReadonlyMap<string, TrustList>> {
  const { timestamp, digestAlgorithm } = ctlOptions(options);
  const listOptions: ListOptions = {
    timestamp,
    ...(digestAlgorithm === undefined ? {} : { digestAlgorithm }),
    ...(options.hash === undefined ? {} : { hashAlgorithm: options.hash }),
  };
  // A key that is missing is told of before one is used, and one that signs for all nodes is opened once.
  const opened = new Map<Certificate, Signer>();
  for (const node of nodes) {
    const owner = itlSigner(cluster, node);
    if (!opened.has(owner.certificate)) opened.set(owner.certificate, await openItlSigner(owner, options, signers));
  }
  const lists = new Map<string, TrustList>();
  for (const node of nodes) {
    const signer = opened.get(itlSigner(cluster, node).certificate);
    if (signer !== undefined) lists.set(node.name, await createItl(cluster, node, signer, listOptions));
  }
  return lists;
}

function report(written: readonly WrittenList[], output: Output): void {
  const lines = written.flatMap(({ node, path, backup, devices, list }) => {
    const view = describeTrustList(list);
    return [
      `${printable(path)}: ITL of ${printable(node)}, ${String(view.length)} bytes, ${String(view.records.length)} records, ${view.digestAlgorithm}`,
      `signed by: ${printable(view.signer.name)}`,
      `SHA1:      ${view.sha1}`,
      ...(devices.length === 0 ? [] : [`beside it: ${formatDevices(devices, '')}`]),
      ...(backup === null ? [] : [`backup:    ${printable(backup)}`]),
    ];
  });
  output.result(`${lines.join('\n')}\n`, {
    files: written.map(({ node, path, backup, devices, list }) => ({
      node,
      path,
      backup,
      devices,
      list: describeTrustList(list),
    })),
  });
  output.note('next: put each file on its TFTP node, and reset the phones');
}
