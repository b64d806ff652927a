import { equalBytes, printable } from '../../bytes/index.js';
import { loadCluster, type Cluster } from '../../cluster/index.js';
import { InputError } from '../../errors.js';
import { emptyItl, type ItlSigner } from '../../itl/index.js';
import type { Signer } from '../../signer/index.js';
import { describeTrustList, signingRecords, trustListKind, type TrustList } from '../../trust-list/index.js';
import { exitCode } from '../exit-code.js';
import { checkOutput } from '../files.js';
import { warnOfOthers, writeLists } from '../itl-files.js';
import { openItlSigner } from '../itl-signer.js';
import type { Output } from '../output.js';
import { openSoftwareSigner, SignerSource } from '../signers.js';
import { namesToken, tokenChoice } from '../token-choice.js';
import { ctlOptions } from './ctl-build.js';
import { devicesOf, itlInputs } from './itl-create.js';
import type { ItlOptions } from './itl-options.js';
import { loadTrustList } from './trust-list.js';

/** `itl empty`: the list that a cluster serves before a rollback, signed by the signer that it has. */
export async function emptyItlFile(path: string, options: ItlOptions, output: Output): Promise<number> {
  const out = options.out ?? path;
  if (path === '-' && options.out === undefined) {
    throw new InputError('missing-option', 'there is no file to write to', { hint: 'give --out FILE' });
  }
  const { timestamp, digestAlgorithm } = ctlOptions(options);
  const place = { path: out, inputs: await itlInputs(path, options), ...(path === '-' ? {} : { updates: path }) };
  await checkOutput(place);
  const devices = await devicesOf(options);
  const present = await loadTrustList(path);
  if (trustListKind(present.header.fileName) === 'CTL') {
    throw new InputError('usage', `${printable(path)} is a CTL, which is emptied otherwise`, {
      hint: 'use "ctl to-non-secure"',
    });
  }
  const cluster = options.cluster === undefined ? undefined : await loadCluster(options.cluster);
  const signers = new SignerSource(options, output);
  try {
    const signer = await openPresentSigner(present, cluster, options, signers);
    const digest = digestAlgorithm === undefined ? {} : { digestAlgorithm };
    const places = { ...place, targets: [{ node: '', path: out }], devices };
    const make = async (): Promise<ReadonlyMap<string, TrustList>> =>
      new Map([['', await emptyItl(present, signer, { timestamp, ...digest })]]);
    for (const { list, path: written, backup, others } of await writeLists(places, make)) {
      report(list, written, backup ?? undefined, output);
      warnOfOthers(others, output);
    }
    return exitCode.done;
  } finally {
    await signers.close();
  }
}

/** The key of the list's signer: given, or the one of the cluster file's certificate that the signing record has. */
async function openPresentSigner(
  present: TrustList,
  cluster: Cluster | undefined,
  options: ItlOptions,
  signers: SignerSource,
): Promise<Signer> {
  const owner = cluster === undefined ? undefined : ownerOf(present, cluster);
  if (owner !== undefined) return openItlSigner(owner, options, signers);
  if (options.key !== undefined) return openSoftwareSigner(options, undefined);
  const keys = signingRecords(present).map(({ publicKey }) => publicKey);
  if (namesToken(tokenChoice(options, {}))) {
    return signers.openToken((certificate) =>
      keys.some((key) => key !== undefined && equalBytes(key, certificate.publicKey)),
    );
  }
  const signer = printable(present.header.signerName);
  throw cluster === undefined
    ? new InputError('missing-option', `the key of ${signer} is wanted, which signs this ITL`, {
        hint: 'give --cluster FILE, which names it, or --key FILE',
      })
    : new InputError('usage', `no CallManager or ITLRecovery certificate of the cluster file is that of ${signer}`, {
        hint: 'take the ITL that the cluster serves now, or give --key FILE',
      });
}

function ownerOf(present: TrustList, { nodes }: Cluster): ItlSigner | undefined {
  const keys = signingRecords(present).map(({ publicKey }) => publicKey);
  for (const node of nodes) {
    for (const name of ['CallManager', 'ITLRecovery'] as const) {
      const certificate = node.certificates[name];
      if (certificate === undefined) continue;
      if (keys.some((key) => key !== undefined && equalBytes(key, certificate.publicKey))) {
        return { name, node, certificate };
      }
    }
  }
  return undefined;
}

function report(list: TrustList, path: string, backup: string | undefined, output: Output): void {
  const view = describeTrustList(list);
  const lines = [
    `${printable(path)}: ${String(view.length)} bytes, ${String(view.records.length)} records, emptied, ${view.digestAlgorithm}`,
    `signed by: ${printable(view.signer.name)}`,
    `SHA1:      ${view.sha1}`,
    ...(backup === undefined ? [] : [`backup:    ${printable(backup)}`]),
  ];
  output.result(`${lines.join('\n')}\n`, { path, backup: backup ?? null, list: view });
  output.note(
    'next: put it on every TFTP node, and reset the phones; one that also holds a CTL is still bound by that (P6)',
  );
}
