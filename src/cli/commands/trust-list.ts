import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { FormatError, InputError } from '../../errors.js';
import {
  decodeTrustList,
  describeTrustList,
  diffTrustLists,
  formatFunction,
  formatMissingTrustList,
  formatTrustList,
  readTrustList,
  trustListKind,
  verifyTrustList,
  type RecordView,
  type TrustList,
  type TrustListDifference,
  type TrustListReading,
  type TrustListRecord,
} from '../../trust-list/index.js';
import { formatHex, printable } from '../../bytes/index.js';
import { exitCode } from '../exit-code.js';
import { readInput } from '../files.js';
import type { Output, OutputOptions } from '../output.js';
import { declareCommand } from '../program.js';

type Kind = 'CTL' | 'ITL';

interface VerifyOptions extends OutputOptions {
  readonly against?: string;
  /** The list of the other kind that the phone holds. */
  readonly ctl?: string;
  readonly itl?: string;
}

/** Reads and strictly decodes a trust list. @throws InputError, which names the file */
export async function loadTrustList(path: string): Promise<TrustList> {
  const bytes = await readInput(path, 'trust list');
  try {
    return decodeTrustList(bytes);
  } catch (error) {
    throw error instanceof FormatError ? unreadable(path, error) : error;
  }
}

/**
 * A list that a phone holds. Its FILENAME must not say that it is of the other kind: what a phone that never was would
 * decide is no answer.
 *
 * @throws InputError as {@link loadTrustList}; `usage`
 */
export async function loadHeldList(path: string, kind: Kind): Promise<TrustList> {
  const list = await loadTrustList(path);
  const named = trustListKind(list.header.fileName);
  if (named === undefined || named === kind) return list;
  throw new InputError(
    'usage',
    `${printable(path)} is ${named === 'ITL' ? 'an' : 'a'} ${named}, and the ${kind} of the phone is wanted`,
    {
      hint: 'the two files may have been mixed up',
    },
  );
}

function unreadable(path: string, error: FormatError): InputError {
  const { hint = '"ctl show" prints as much of it as can be read' } = error;
  const message = `${printable(path)} is no trust list: ${printable(error.message)}`;
  return new InputError('file-unreadable', message, { hint, cause: error });
}

/** Declares show, verify and diff, which CTL and ITL have in common. */
export function declareReadingCommands(group: Command, kind: Kind): void {
  declareCommand<OutputOptions & { values?: boolean }>(
    group,
    'show <file>',
    `print a file as "show ${kind.toLowerCase()}" does on a cluster`,
    (command) => command.option('--values', 'also print what clusters leave blank'),
    ([path = ''], options, output) => show(path, kind, options.values === true, output),
  );
  declareCommand<VerifyOptions>(
    group,
    'verify <file>',
    'exit 0 if the list is signed by the key of its own signing record, else 1 and say why',
    (command) => {
      const other = kind === 'CTL' ? 'itl' : 'ctl';
      command
        .option('--against <old>', `also: would a phone that holds this ${kind} take the list; exit 1 if not`)
        .option(`--${other} <file>`, `with --against: the ${other.toUpperCase()} that the phone holds too`);
    },
    ([path = ''], options, output) => {
      if (options.against !== undefined) return verifyAgainst(path, kind, options, output);
      if (options.ctl === undefined && options.itl === undefined) return verify(path, kind, output);
      throw new InputError('usage', 'the list that a phone holds too is of use with --against only', {
        hint: `give --against and the ${kind} that the phone holds`,
      });
    },
  );
  declareCommand(
    group,
    'diff <old> <new>',
    'records added, removed and changed; change of signer; size',
    () => undefined,
    ([before = '', after = ''], _options, output) => diff(before, after, output),
  );
}

async function show(path: string, kind: Kind, values: boolean, output: Output): Promise<number> {
  let bytes: Uint8Array;
  try {
    bytes = await readInput(path, 'trust list');
  } catch (error) {
    if (error instanceof InputError && error.code === 'file-missing') {
      output.result(formatMissingTrustList(kind), describeFaults(path, undefined, new Uint8Array(), [error]));
    }
    throw error;
  }
  const modified = path === '-' ? undefined : statSync(path).mtime.toISOString();
  let reading: TrustListReading;
  try {
    reading = readTrustList(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    output.result(formatUnreadable(bytes, kind, modified, error), describeFaults(path, modified, bytes, [error]));
    throw unreadable(path, error);
  }
  const text = formatTrustList(reading, { kind, values, ...(modified === undefined ? {} : { modified }) });
  if (reading.list === undefined) {
    output.result(text, describeFaults(path, modified, bytes, reading.faults));
    return exitCode.usage;
  }
  const view = describeTrustList(reading.list);
  output.result(text, { path, modified: modified ?? null, parsed: true, faults: [], ...view });
  return view.verified ? exitCode.done : exitCode.no;
}

/** A file that has not even the header of a trust list, in the words of `show`. */
function formatUnreadable(bytes: Uint8Array, kind: Kind, modified: string | undefined, error: FormatError): string {
  const lines = [
    `The checksum value of the ${kind} file:`,
    `${digestOf('md5', bytes)}(MD5)`,
    `${digestOf('sha1', bytes)}(SHA1)`,
    '',
    `Length of ${kind} file: ${String(bytes.length)}`,
    ...(modified === undefined ? [] : [`The ${kind} File was last modified on ${modified}`]),
    '',
    printable(error.message),
    `Error parsing the ${kind} File!!`,
    `Verification of the ${kind} file failed.`,
  ];
  return `${lines.join('\n')}\n`;
}

/** The JSON view of a file that is no trust list; its keys are among those of a list's. */
function describeFaults(
  path: string,
  modified: string | undefined,
  bytes: Uint8Array,
  faults: readonly (FormatError | InputError)[],
): object {
  return {
    path,
    modified: modified ?? null,
    parsed: false,
    faults: faults.map((fault) => ({
      code: fault.code,
      offset: fault instanceof FormatError ? fault.offset : null,
      element: (fault instanceof FormatError ? fault.element : undefined) ?? null,
      message: fault.message,
    })),
    length: bytes.length,
    md5: digestOf('md5', bytes),
    sha1: digestOf('sha1', bytes),
    sha256: digestOf('sha256', bytes),
    verified: false,
  };
}

function digestOf(algorithm: 'md5' | 'sha1' | 'sha256', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}

async function verify(path: string, kind: Kind, output: Output): Promise<number> {
  const list = await loadTrustList(path);
  const verification = verifyTrustList(list);
  const name = printable(path);
  if (verification.verified) {
    const signer = verification.signer.subjectName ?? '';
    output.result(`${name}: verified, signed by ${printable(signer)}\n`, {
      path,
      verified: true,
      signer,
      code: null,
      reason: null,
      check: null,
      explanation: [],
    });
    return exitCode.done;
  }
  const { code, reason } = verification;
  const explanation = kind === 'ITL' ? (await import('../lost-key.js')).explainLostKey(list, code) : [];
  const lines = [`${name}: not verified: ${printable(reason)}`, ...explanation.map(printable)];
  const answer = { path, verified: false, signer: null, code, reason };
  output.result(`${lines.join('\n')}\n`, { ...answer, check: 'A9', explanation });
  return exitCode.no;
}

/** Exit code 0 only when a phone takes the list, at least once TVS vouches for its signer. */
async function verifyAgainst(path: string, kind: Kind, options: VerifyOptions, output: Output): Promise<number> {
  const { against = '' } = options;
  const list = await loadTrustList(path);
  const old = await loadHeldList(against, kind);
  const { describeAcceptance, formatAcceptance, judgeAgainst } = await import('./against.js');
  const otherPath = options.ctl ?? options.itl;
  const otherKind = kind === 'CTL' ? 'ITL' : 'CTL';
  const other = otherPath === undefined ? undefined : await loadHeldList(otherPath, otherKind);
  const held = kind === 'CTL' ? { ctl: old, itl: other } : { itl: old, ctl: other };
  const acceptance = judgeAgainst(list, kind === 'CTL' ? 'ctl' : 'itl', held);
  const verification = verifyTrustList(list);
  const { verified } = verification;
  const own = verified ? 'verified' : `not verified: ${printable(verification.reason)}`;
  output.result(`${printable(path)}: ${own}\n${formatAcceptance(acceptance)}`, {
    path,
    verified,
    against,
    ...describeAcceptance(acceptance),
  });
  return verified && acceptance.withTvs.accepted ? exitCode.done : exitCode.no;
}

async function diff(before: string, after: string, output: Output): Promise<number> {
  const difference = diffTrustLists(await loadTrustList(before), await loadTrustList(after));
  output.result(formatDifference(difference), describeDifference(difference));
  return difference.identical ? exitCode.done : exitCode.no;
}

function formatDifference(difference: TrustListDifference): string {
  if (difference.identical) return 'the lists are the same, byte for byte\n';
  const { length, timestamp, signer, digestAlgorithm } = difference;
  const time = (seconds: number): string => new Date(seconds * 1000).toISOString();
  const lines = [
    ...difference.removed.map((record) => `- ${formatRecord(record)}`),
    ...difference.added.map((record) => `+ ${formatRecord(record)}`),
    ...difference.changed.map(({ after, elements }) => `~ ${formatRecord(after)}: ${elements.join(', ')}`),
    ...(difference.reordered ? ['records stand in another order'] : []),
    ...(signer === undefined ? [] : [`signer: ${printable(signer.before)}`, `    ->: ${printable(signer.after)}`]),
    ...(digestAlgorithm === undefined ? [] : [`digest: ${digestAlgorithm.before} -> ${digestAlgorithm.after}`]),
    ...(timestamp.before === timestamp.after
      ? []
      : [`timestamp: ${time(timestamp.before)} -> ${time(timestamp.after)}`]),
    `length: ${String(length.before)} -> ${String(length.after)} bytes`,
  ];
  return `${lines.join('\n')}\n`;
}

function formatRecord(record: TrustListRecord): string {
  const serial = formatHex(record.serialNumber ?? new Uint8Array(), ':').toUpperCase();
  const node = record.dnsName?.trim() ?? '';
  const words = [
    formatFunction(record.function),
    node,
    record.subjectName ?? '(emptied)',
    serial && `serial ${serial}`,
  ];
  return words
    .filter((word) => word !== '')
    .map(printable)
    .join('  ');
}

type RecordSummary = Pick<
  RecordView,
  'function' | 'functionName' | 'dnsName' | 'subjectName' | 'issuerName' | 'serialNumber'
>;

function describeDifference(difference: TrustListDifference): object {
  const summary = (record: TrustListRecord): RecordSummary => ({
    function: record.function,
    functionName: formatFunction(record.function),
    dnsName: record.dnsName ?? null,
    subjectName: record.subjectName ?? null,
    issuerName: record.issuerName ?? null,
    serialNumber: record.serialNumber === undefined ? null : formatHex(record.serialNumber),
  });
  return {
    identical: difference.identical,
    added: difference.added.map(summary),
    removed: difference.removed.map(summary),
    changed: difference.changed.map(({ before, after, elements }) => ({
      before: summary(before),
      after: summary(after),
      elements,
    })),
    reordered: difference.reordered,
    signer: difference.signer ?? null,
    digestAlgorithm: difference.digestAlgorithm ?? null,
    timestamp: difference.timestamp,
    length: difference.length,
  };
}
