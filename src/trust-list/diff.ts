import { equalBytes, formatHex } from '../bytes/index.js';
import { elementName, findElement } from '../tlv/index.js';
import { headerTag } from '../signed-file/index.js';
import { recordElements, recordTag } from './record-elements.js';
import type { TrustListRecord } from './record.js';
import type { TrustList } from './trust-list.js';

/** A record that both lists have, with different content. */
export interface ChangedRecord {
  readonly before: TrustListRecord;
  readonly after: TrustListRecord;
  /** The names of the elements that differ, e.g. `CERTIFICATE`. */
  readonly elements: readonly string[];
}

/** What became different from one list to another. */
export interface TrustListDifference {
  readonly added: readonly TrustListRecord[];
  readonly removed: readonly TrustListRecord[];
  readonly changed: readonly ChangedRecord[];
  /** Whether the same records stand in another order. */
  readonly reordered: boolean;
  /** Set when the signer's name, issuer or serial changed. */
  readonly signer?: { readonly before: string; readonly after: string };
  readonly digestAlgorithm?: { readonly before: string; readonly after: string };
  /** Bytes. */
  readonly length: { readonly before: number; readonly after: number };
  /** Seconds since 1970-01-01 UTC. */
  readonly timestamp: { readonly before: number; readonly after: number };
  /** Whether the files are the same byte for byte. */
  readonly identical: boolean;
}

/**
 * Compares two lists. Records are the same ones when function, node and certificate (issuer and serial) are; what is
 * left is paired by function and node, so that a renewed certificate shows as a change.
 */
export function diffTrustLists(before: TrustList, after: TrustList): TrustListDifference {
  const pairs: (readonly [TrustListRecord, TrustListRecord])[] = [];
  let removed = [...before.records];
  let added = [...after.records];
  for (const keyOf of [exactKey, certificateKey, placeKey]) {
    const matched = matchRecords(removed, added, keyOf);
    pairs.push(...matched);
    removed = removed.filter((record) => !matched.some(([left]) => left === record));
    added = added.filter((record) => !matched.some(([, right]) => right === record));
  }
  const changed = pairs
    .map(([left, right]) => ({ before: left, after: right, elements: differingElements(left, right) }))
    .filter(({ elements }) => elements.length > 0);
  const order = [...pairs].sort(([left], [right]) => left.offset - right.offset).map(([, right]) => right.offset);
  const sameSigner = [headerTag.signerName, headerTag.issuerName, headerTag.serialNumber].every((tag) =>
    equalBytes(headerValue(before, tag), headerValue(after, tag)),
  );
  const digests = [before.header.digestAlgorithm, after.header.digestAlgorithm] as const;
  return {
    added,
    removed,
    changed,
    reordered: order.some((offset, index) => offset < (order[index - 1] ?? 0)),
    ...(sameSigner ? {} : { signer: { before: signerOf(before), after: signerOf(after) } }),
    ...(digests[0] === digests[1] ? {} : { digestAlgorithm: { before: digests[0], after: digests[1] } }),
    length: { before: before.bytes.length, after: after.bytes.length },
    timestamp: { before: before.header.timestamp, after: after.header.timestamp },
    identical: equalBytes(before.bytes, after.bytes),
  };
}

function matchRecords(
  before: readonly TrustListRecord[],
  after: readonly TrustListRecord[],
  keyOf: (record: TrustListRecord) => string | undefined,
): (readonly [TrustListRecord, TrustListRecord])[] {
  const waiting = new Map<string, TrustListRecord[]>();
  for (const record of after) {
    const key = keyOf(record);
    if (key !== undefined) waiting.set(key, [...(waiting.get(key) ?? []), record]);
  }
  return before.flatMap((record) => {
    const partner = waiting.get(keyOf(record) ?? '')?.shift();
    return partner === undefined ? [] : [[record, partner] as const];
  });
}

function exactKey(record: TrustListRecord): string {
  return record.elements.map((element) => `${String(element.tag)}:${formatHex(element.value)}`).join();
}

/** Names are compared as bytes: two that are no UTF-8 may look the same. */
function certificateKey(record: TrustListRecord): string | undefined {
  if (record.serialNumber === undefined) return undefined;
  const issuerName = findElement(record.elements, recordTag.issuerName)?.value ?? new Uint8Array();
  return `${String(record.function)} ${formatHex(issuerName)} ${formatHex(record.serialNumber)}`;
}

/** A token record has no place of its own: two different tokens are two records, not one that changed. */
function placeKey(record: TrustListRecord): string | undefined {
  const node = record.dnsName?.trim() ?? '';
  return node === '' ? undefined : `${String(record.function)} ${node}`;
}

function differingElements(before: TrustListRecord, after: TrustListRecord): string[] {
  const tags = new Set([...before.elements, ...after.elements].map((element) => element.tag));
  const valueOf = (record: TrustListRecord, tag: number): Uint8Array | undefined =>
    record.elements.find((element) => element.tag === tag)?.value;
  return [...tags]
    .filter((tag) => tag !== recordTag.recordLength)
    .filter((tag) => {
      const [left, right] = [valueOf(before, tag), valueOf(after, tag)];
      return left === undefined || right === undefined || !equalBytes(left, right);
    })
    .map((tag) => elementName(tag, recordElements));
}

function headerValue({ header }: TrustList, tag: number): Uint8Array {
  return findElement(header.elements, tag)?.value ?? new Uint8Array();
}

function signerOf({ header }: TrustList): string {
  return `${header.signerName}, issuer ${header.issuerName}, serial ${formatHex(header.serialNumber, ':').toUpperCase()}`;
}
