import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { InputError } from '../../errors.js';
import {
  decodeTrustList,
  describeTrustList,
  diffTrustLists,
  formatFunction,
  formatMissingTrustList,
  formatTrustList,
  readTrustList,
  verifyTrustList,
  type RecordView,
  type TrustList,
  type TrustListDifference,
  type TrustListRecord,
} from '../../trust-list/index.js';
import { formatHex, printable } from '../../bytes/index.js';
import { exitCode } from '../exit-code.js';
import { readInput } from '../files.js';
import type { Output, OutputOptions } from '../output.js';
import { declareCommand } from '../program.js';

type Kind = 'CTL' | 'ITL';

/** Reads and strictly decodes a trust list. @throws InputError, FormatError */
export async function loadTrustList(path: string): Promise<TrustList> {
  return decodeTrustList(await readInput(path, 'trust list'));
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
  declareCommand(
    group,
    'verify <file>',
    'exit 0 if the list is signed by the key of its own signing record, else 1 and say why',
    () => undefined,
    ([path = ''], _options, output) => verify(path, output),
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
    if (error instanceof InputError && error.code === 'file-missing' && !output.json) {
      output.result(formatMissingTrustList(kind), null);
    }
    throw error;
  }
  const reading = readTrustList(bytes);
  const modified = path === '-' ? undefined : statSync(path).mtime.toISOString();
  const text = formatTrustList(reading, { kind, values, ...(modified === undefined ? {} : { modified }) });
  if (reading.list === undefined) {
    const faults = reading.faults.map(({ code, offset, element, message }) => ({ code, offset, element, message }));
    output.result(text, { length: bytes.length, parsed: false, verified: false, faults });
    return exitCode.usage;
  }
  const view = describeTrustList(reading.list);
  output.result(text, view);
  return view.verified ? exitCode.done : exitCode.no;
}

async function verify(path: string, output: Output): Promise<number> {
  const list = await loadTrustList(path);
  const verification = verifyTrustList(list);
  if (verification.verified) {
    const signer = verification.signer.subjectName ?? '';
    output.result(`${path}: verified, signed by ${printable(signer)}\n`, {
      path,
      verified: true,
      signer,
      reason: null,
    });
    return exitCode.done;
  }
  const { code, reason } = verification;
  output.result(`${path}: not verified: ${printable(reason)}\n`, { path, verified: false, signer: null, code, reason });
  return exitCode.no;
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
