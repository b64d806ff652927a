import { equalBytes, formatHex, printable } from '../../bytes/index.js';
import type { Cluster } from '../../cluster/index.js';
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
  type CtlOptions,
  type CtlResult,
} from '../../ctl/index.js';
import { InputError, RefusalError } from '../../errors.js';
import type { Signer } from '../../signer/index.js';
import type { TrustList } from '../../trust-list/index.js';
import type { SastCertificate } from '../../token/index.js';
import { formatName, type Certificate } from '../../x509/index.js';
import { readCertificate } from '../certificates.js';
import { openSoftwareSigner, type Signers } from '../signers.js';
import type { BuildOptions } from './ctl-options.js';

/** What a flow works with. */
export interface Work {
  readonly options: BuildOptions;
  readonly ctl: CtlOptions;
  /** The list that is there; `create` has none. */
  readonly present: TrustList | undefined;
  readonly cluster: Cluster | undefined;
  readonly signers: Signers;
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
    const tokens = await pluggedAndGiven(work);
    const signer = await openTokenOf(work, tokens);
    return createTokenCtl(cluster, signerFirst(tokens, signer), signer, work.ctl);
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
    const signer = await openTokenOf(work, tokens);
    return toToken(needPresent(work), needCluster(work), signerFirst(tokens, signer), signer, work.ctl);
  },
  toNonSecure: async (work) => toNonSecure(needPresent(work), await openPresentSigner(work), work.ctl),
  sign: async (work) => {
    const release = work.cluster?.release;
    return signCtl(needPresent(work), await openPresentSigner(work), { ...work.ctl, release });
  },
};

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
  refuseTokenOptions(work.options, name);
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

/** A person who names a token believes that it signs. */
function refuseTokenOptions({ token, tokenLabel, tokenSerial }: BuildOptions, name: string): void {
  const named = token ?? tokenLabel ?? tokenSerial;
  if (named === undefined) return;
  throw new InputError(
    'usage',
    `a tokenless list is signed by the cluster's ${name} key, not by the token ${printable(named)}`,
    {
      hint: 'leave the token out; "ctl to-token" makes a list that tokens sign',
    },
  );
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

/** As the list has it or, for the CTL client's tokens, reversed. */
function isSerial(serialNumber: Uint8Array | undefined, text: string | undefined): boolean {
  if (serialNumber === undefined || text === undefined) return false;
  const significant = (hex: string): string => hex.toLowerCase().replace(/^0+(?=.)/, '');
  const wanted = significant(text.replaceAll(/[\s:]/g, '').replace(/^0x/i, ''));
  return [serialNumber, serialNumber.slice().reverse()].some((bytes) => significant(formatHex(bytes)) === wanted);
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
  const plugged = work.options.key === undefined ? await work.signers.pluggedTokens() : [];
  if (given.length === 0) requireTwoDevices(work, plugged);
  return [...plugged.map(({ certificate }) => certificate), ...given];
}

/** A5 speaks of what can be lost, and two certificates on one token are lost together. */
function requireTwoDevices(work: Work, plugged: readonly SastCertificate[]): void {
  const devices = new Set(plugged.map(({ token }) => token.uri));
  if (plugged.length < 2 || devices.size > 1 || work.ctl.accept?.includes('A5') === true) return;
  throw new RefusalError('A5', `the ${String(plugged.length)} SAST certificates that are plugged in are on one token`, {
    hint: 'plug in a second token, or give its certificate with --token-certificate; --accept A5 lets this one through',
  });
}

/** Of several tokens, the one that signs stands before the servers. */
function signerFirst(tokens: readonly Certificate[], { certificate }: Signer): readonly Certificate[] {
  const isSigner = (token: Certificate): boolean => equalBytes(token.der, certificate.der);
  return [...tokens.filter(isSigner), ...tokens.filter((token) => !isSigner(token))];
}

async function givenCertificates(work: Work): Promise<readonly Certificate[]> {
  return Promise.all((work.options.tokenCertificate ?? []).map(readCertificate));
}

/** The one token that `add-token` adds: given as a file, or plugged in and not in the list yet. */
async function newToken(work: Work, present: TrustList): Promise<Certificate> {
  const given = await givenCertificates(work);
  const inList = (certificate: Certificate): boolean =>
    present.records.some(
      (record) => record.certificate !== undefined && equalBytes(record.certificate, certificate.der),
    );
  const candidates =
    given.length > 0
      ? given
      : (await work.signers.pluggedTokens()).map((one) => one.certificate).filter((one) => !inList(one));
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
