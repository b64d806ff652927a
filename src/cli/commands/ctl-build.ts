import { loadCluster, type Cluster } from '../../cluster/index.js';
import {
  addToken,
  createTokenCtl,
  createTokenlessCtl,
  ctlMode,
  removeToken,
  signCtl,
  tokenlessSigner,
  tokenRecords,
  toNonSecure,
  toToken,
  toTokenless,
  updateCtl,
  type AcceptableCheck,
  type CtlOptions,
  type CtlResult,
} from '../../ctl/index.js';
import { equalBytes, printable } from '../../bytes/index.js';
import { InputError, RefusalError } from '../../errors.js';
import type { Signer } from '../../signer/index.js';
import { describeTrustList, type TrustList } from '../../trust-list/index.js';
import { decodeCertificates, formatName, type Certificate } from '../../x509/index.js';
import { exitCode } from '../exit-code.js';
import { readInput, writeOutput } from '../files.js';
import type { Output } from '../output.js';
import { openSoftwareSigner, SignerSource } from '../signers.js';
import type { BuildOptions } from './ctl-options.js';
import { loadTrustList } from './trust-list.js';

/** What a flow works with. */
interface Work {
  readonly options: BuildOptions;
  readonly ctl: CtlOptions;
  /** The list that is there; `create` has none. */
  readonly present: TrustList | undefined;
  readonly cluster: Cluster | undefined;
  readonly signers: SignerSource;
  /** Every file that was read: none of them may be overwritten. */
  readonly inputs: string[];
}

/** Makes the new list. The signer is left open until the list is on the disk. */
export type Flow = (work: Work) => Promise<CtlResult>;

/** The flows, as the commands name them. */
export type FlowName =
  'create' | 'update' | 'addToken' | 'removeToken' | 'toTokenless' | 'toToken' | 'toNonSecure' | 'sign';

/** What each flow needs, and the function of the library that it ends in. */
export const flows: Readonly<Record<FlowName, Flow>> = {
  create: async (work) => {
    const cluster = needCluster(work);
    if (work.options.mode === 'tokenless') {
      return createTokenlessCtl(cluster, await openClusterSigner(work, cluster), work.ctl);
    }
    if (work.options.mode !== 'token') {
      throw new InputError('usage', `--mode ${work.options.mode ?? ''}: token or tokenless is wanted`);
    }
    const tokens = await pluggedAndGiven(work);
    return createTokenCtl(cluster, tokens, await openTokenOf(work, tokens), work.ctl);
  },
  update: async (work) => {
    const cluster = needCluster(work);
    return updateCtl(needPresent(work), cluster, await openPresentSigner(work), work.ctl);
  },
  addToken: async (work) => {
    const present = needPresent(work);
    const token = await newToken(work, present);
    const release = work.cluster?.release;
    return addToken(present, token, await openPresentSigner(work), { ...work.ctl, release });
  },
  removeToken: async (work) => {
    const { serial = '' } = work.options;
    return removeToken(needPresent(work), serial, await openPresentSigner(work, serial), work.ctl);
  },
  toTokenless: async (work) => {
    const cluster = needCluster(work);
    return toTokenless(needPresent(work), cluster, await openClusterSigner(work, cluster), work.ctl);
  },
  toToken: async (work) => {
    const tokens = await pluggedAndGiven(work);
    return toToken(needPresent(work), needCluster(work), tokens, await openTokenOf(work, tokens), work.ctl);
  },
  toNonSecure: async (work) => toNonSecure(needPresent(work), await openPresentSigner(work), work.ctl),
  sign: async (work) => {
    const release = work.cluster?.release;
    return signCtl(needPresent(work), await openPresentSigner(work), { ...work.ctl, release });
  },
};

/** Runs a flow: reads, signs, writes, and only then lets go of the token (vendors' libraries crash there). */
export async function buildCtl(
  flow: Flow,
  path: string | undefined,
  options: BuildOptions,
  output: Output,
): Promise<number> {
  const out = options.out ?? path;
  if (out === undefined || (path === '-' && options.out === undefined)) {
    throw new InputError('missing-option', 'there is no file to write to', { hint: 'give --out FILE' });
  }
  const inputs: string[] = [];
  const ctl = ctlOptions(options);
  // The token host starts while the files are read: both take their time.
  const signers = new SignerSource(options, output);
  try {
    const present = path === undefined ? undefined : await loadTrustList(path);
    const cluster = options.cluster === undefined ? undefined : await loadCluster(options.cluster);
    inputs.push(...[path, options.cluster, options.key, options.certificate].filter((one) => one !== undefined));
    inputs.push(
      ...[options.pinFile, options.keyPasswordFile, ...(options.tokenCertificate ?? [])].filter(
        (one) => one !== undefined,
      ),
    );
    const result = await flow({ options, ctl, present, cluster, signers, inputs });
    const written = await writeOutput({
      path: out,
      bytes: result.list.bytes,
      inputs,
      ...(path === undefined ? {} : { updates: path }),
    });
    report(result, written.path, written.backup, output);
    return exitCode.done;
  } finally {
    await signers.close();
  }
}

function report(result: CtlResult, path: string, backup: string | undefined, output: Output): void {
  const { list, notices } = result;
  const view = describeTrustList(list);
  for (const { check, message } of notices) output.warning(`${check}: ${message}`);
  const lines = [
    `${path}: ${String(view.length)} bytes, ${String(view.records.length)} records, ${ctlMode(list)}, ${view.digestAlgorithm}`,
    `signed by: ${printable(view.signer.name)}`,
    `SHA1:      ${view.sha1}`,
    ...(backup === undefined ? [] : [`backup:    ${backup}`]),
  ];
  output.result(`${lines.join('\n')}\n`, {
    path,
    backup: backup ?? null,
    mode: ctlMode(list),
    notices,
    list: view,
  });
  output.note(
    'next: put it on every TFTP server, then restart the TFTP and CallManager services on all nodes that run them',
  );
}

function ctlOptions(options: BuildOptions): CtlOptions {
  const now = new Date();
  const chosen = options.timestamp === undefined ? now : parseTimestamp(options.timestamp);
  return {
    now,
    timestamp: Math.floor(chosen.getTime() / 1000),
    ...(options.digest === undefined ? {} : { digestAlgorithm: options.digest }),
    accept: (options.accept ?? []).map(parseCheck),
  };
}

/** A UTC time in ISO 8601 that fits into the four bytes of TIMESTAMP. @throws InputError `usage` */
function parseTimestamp(text: string): Date {
  const moment = new Date(/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?Z)?$/.test(text) ? text : Number.NaN);
  const seconds = Math.floor(moment.getTime() / 1000);
  if (seconds >= 0 && seconds <= 0xffff_ffff) return moment;
  throw new InputError('usage', `--timestamp ${text} is no UTC time from 1970 to 2106`, {
    hint: 'write it as 2026-01-31T12:00:00Z',
  });
}

function parseCheck(text: string): AcceptableCheck {
  if (/^A([1-9]|1[0-4])$/.test(text)) return text as AcceptableCheck;
  throw new InputError('usage', `--accept ${text}: the checks are A1 to A14`, {
    hint: 'name one check, e.g. --accept A5',
  });
}

function needPresent(work: Work): TrustList {
  if (work.present === undefined) throw new InputError('missing-option', 'a CTL file is wanted');
  return work.present;
}

function needCluster(work: Work): Cluster {
  if (work.cluster === undefined) {
    throw new InputError('missing-option', 'the cluster file is wanted', { hint: 'give --cluster FILE' });
  }
  return work.cluster;
}

/** The signer of a cluster's tokenless lists: its key, wherever the cluster file says it is. */
async function openClusterSigner(work: Work, cluster: Cluster): Promise<Signer> {
  const { name, certificate } = tokenlessSigner(cluster);
  if (work.options.key !== undefined) return openSoftwareSigner(work.options, certificate);
  const key = cluster.nodes[0]?.keys[name];
  if (key === undefined) {
    throw new InputError(
      'missing-option',
      `the cluster file names no key for the publisher's ${name}, which signs tokenless lists`,
      {
        hint: `add "${name}" to the keys of the first node, or give --key FILE`,
      },
    );
  }
  return work.signers.openKey(key, certificate);
}

/** A signer of the list that is there: a token that is in it, or the cluster's key. */
async function openPresentSigner(work: Work, leaving?: string): Promise<Signer> {
  const present = needPresent(work);
  if (work.options.key !== undefined) return openSoftwareSigner(work.options, undefined);
  if (ctlMode(present) === 'tokenless') return openClusterSigner(work, needCluster(work));
  const known = tokenRecords(present).filter((record) => !isSerial(record.serialNumber, leaving));
  return work.signers.openToken((certificate) =>
    known.some((record) => record.publicKey !== undefined && equalBytes(record.publicKey, certificate.publicKey)),
  );
}

function isSerial(serialNumber: Uint8Array | undefined, text: string | undefined): boolean {
  if (serialNumber === undefined || text === undefined) return false;
  const wanted = text.replaceAll(/[\s:]/g, '').toLowerCase();
  const bytes = Buffer.from(serialNumber);
  return wanted === bytes.toString('hex') || wanted === Buffer.from(bytes).reverse().toString('hex');
}

async function openTokenOf(work: Work, tokens: readonly Certificate[]): Promise<Signer> {
  if (work.options.key !== undefined) return openSoftwareSigner(work.options, undefined);
  return work.signers.openToken(
    (certificate) => tokens.some((token) => equalBytes(token.der, certificate.der)),
    'first',
  );
}

/** The tokens of a new token list: those that are plugged in, then those whose certificates were given. */
async function pluggedAndGiven(work: Work): Promise<readonly Certificate[]> {
  const given = await givenCertificates(work);
  const plugged = work.options.key === undefined ? await work.signers.pluggedCertificates() : [];
  return [...plugged, ...given];
}

async function givenCertificates(work: Work): Promise<readonly Certificate[]> {
  const certificates: Certificate[] = [];
  for (const path of work.options.tokenCertificate ?? []) {
    const [certificate] = decodeCertificates(await readInput(path, 'certificate'));
    if (certificate !== undefined) certificates.push(certificate);
  }
  return certificates;
}

/** The one token that `add-token` adds: given as a file, or plugged in and not in the list yet. */
async function newToken(work: Work, present: TrustList): Promise<Certificate> {
  const given = await givenCertificates(work);
  const inList = (certificate: Certificate): boolean =>
    present.records.some(
      (record) => record.certificate !== undefined && equalBytes(record.certificate, certificate.der),
    );
  const candidates =
    given.length > 0 ? given : (await work.signers.pluggedCertificates()).filter((one) => !inList(one));
  const [token, ...others] = candidates;
  if (token === undefined) {
    throw new RefusalError('already-present', 'every token that is plugged in is in the list already', {
      hint: 'plug in the token to add beside one that is in the list, or give its certificate with --token-certificate',
    });
  }
  if (others.length > 0) {
    const names = candidates.map((one) => formatName(one.subject)).join('; ');
    throw new InputError(
      'usage',
      `one token is added at a time, and there are ${String(candidates.length)}: ${names}`,
      {
        hint: 'name one with --token-certificate',
      },
    );
  }
  return token;
}
