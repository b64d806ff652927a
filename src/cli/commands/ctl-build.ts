import { printable } from '../../bytes/index.js';
import { loadCluster } from '../../cluster/index.js';
import { ctlMode, tokenRecords, type AcceptableCheck, type CtlOptions, type CtlResult } from '../../ctl/index.js';
import { FormatError, InputError, RefusalError } from '../../errors.js';
import { digestAlgorithms, type Signer } from '../../signer/index.js';
import { describeTrustList, type TrustListRecord } from '../../trust-list/index.js';
import { decodeCertificate, type Certificate } from '../../x509/index.js';
import { exitCode } from '../exit-code.js';
import { checkOutput, writeOutput } from '../files.js';
import { inputFiles } from '../inputs.js';
import type { Output } from '../output.js';
import { SignerSource, type Signers } from '../signers.js';
import { flows, type Flow, type FlowName, type Work } from './ctl-flows.js';
import type { BuildOptions } from './ctl-options.js';
import { loadTrustList } from './trust-list.js';

/** Runs a flow: reads, signs, writes, and only then lets go of the token (vendors' libraries crash there). */
export async function buildCtl(
  name: FlowName,
  path: string | undefined,
  options: BuildOptions,
  output: Output,
): Promise<number> {
  const out = options.out ?? path;
  if (out === undefined || (path === '-' && options.out === undefined)) {
    throw new InputError('missing-option', 'there is no file to write to', { hint: 'give --out FILE' });
  }
  const ctl = ctlOptions(options);
  const updates = path === undefined || path === '-' ? {} : { updates: path };
  const place = { path: out, inputs: await inputFiles(path, options), ...updates };
  await checkOutput(place);
  const present = path === undefined ? undefined : await loadTrustList(path);
  const cluster = options.cluster === undefined ? undefined : await loadCluster(options.cluster);
  return runFlow(name, { options, ctl, present, cluster }, output, async (result) => {
    const written = await writeOutput({ ...place, bytes: result.list.bytes });
    report(result, written.path, written.backup, output);
    return exitCode.done;
  });
}

/** Runs a flow with signers of its own. They are let go of only when the list was used. */
export async function runFlow<Value>(
  name: FlowName,
  what: Omit<Work, 'signers'>,
  output: Output,
  use: (result: CtlResult) => Promise<Value>,
): Promise<Value> {
  const flow = flows[name];
  const signers = new SignerSource(what.options, output);
  try {
    const work: Work = { ...what, signers };
    signers.setBeforePin(() => refuseEarly(flow, work));
    return await use(await flow(work));
  } finally {
    await signers.close();
  }
}

/** Thrown by a rehearsal that has come as far as the signature. */
class ReachedSignature extends Error {}

/**
 * Throws what the flow refuses whichever token of the present list signs. A token that was named shows its certificate
 * only after its PIN, and these refusals need none.
 */
async function refuseEarly(flow: Flow, work: Work): Promise<void> {
  const candidates = work.present === undefined ? [] : tokenRecords(work.present).map(certificateOf);
  let refusal: Error | undefined;
  for (const certificate of candidates) {
    if (certificate === undefined) return;
    const sign = (): Promise<never> => Promise.reject(new ReachedSignature());
    const openToken = (): Promise<Signer> => Promise.resolve({ certificate, digests: digestAlgorithms, sign });
    const signers: Signers = {
      pluggedTokens: () => work.signers.pluggedTokens(),
      openKey: openToken,
      openToken,
    };
    try {
      await flow({ ...work, signers });
    } catch (error) {
      if (error instanceof ReachedSignature) return;
      // That a token which leaves the list cannot sign it says nothing of the token that was named.
      if (error instanceof RefusalError && error.code === 'signing-token') continue;
      refusal ??= error instanceof Error ? error : new Error(String(error));
    }
  }
  if (refusal !== undefined) throw refusal;
}

function certificateOf({ certificate }: TrustListRecord): Certificate | undefined {
  if (certificate === undefined) return undefined;
  try {
    return decodeCertificate(certificate);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** What must be read before phones get a list. */
export function warnOf(notices: CtlResult['notices'], output: Output): void {
  for (const { check, message } of notices) output.warning(`${check}: ${message}`);
}

function report(result: CtlResult, path: string, backup: string | undefined, output: Output): void {
  const { list, notices } = result;
  const view = describeTrustList(list);
  warnOf(notices, output);
  const lines = [
    `${printable(path)}: ${String(view.length)} bytes, ${String(view.records.length)} records, ${ctlMode(list)}, ${view.digestAlgorithm}`,
    `signed by: ${printable(view.signer.name)}`,
    `SHA1:      ${view.sha1}`,
    ...(backup === undefined ? [] : [`backup:    ${printable(backup)}`]),
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

/** What the options say of a list that is built. @throws InputError `usage` */
export function ctlOptions(options: BuildOptions): CtlOptions {
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
export function parseTimestamp(text: string): Date {
  const moment = new Date(/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?Z)?$/.test(text) ? text : Number.NaN);
  const seconds = Math.floor(moment.getTime() / 1000);
  if (seconds >= 0 && seconds <= 0xffff_ffff) return moment;
  throw new InputError('usage', `--timestamp ${text} is no UTC time from 1970 to 2106`, {
    hint: 'write it as 2026-01-31T12:00:00Z',
  });
}

/** @throws InputError `usage` */
export function parseCheck(text: string): AcceptableCheck {
  if (/^A([1-9]|1[0-4])$/.test(text)) return text as AcceptableCheck;
  throw new InputError('usage', `--accept ${text}: the checks are A1 to A14`, {
    hint: 'name one check, e.g. --accept A5',
  });
}
