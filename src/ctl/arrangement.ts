import { equalBytes, printable } from '../bytes/index.js';
import type { Cluster, ClusterNode } from '../cluster/index.js';
import { modulusLengths } from '../signed-file/index.js';
import {
  draftOfRecord,
  formatAddress,
  formatFunction,
  recordFunction,
  type RecordDraft,
  type TrustList,
  type TrustListRecord,
} from '../trust-list/index.js';
import { describeRecord, type Checks } from './checks.js';
import { encodeAddress, emptyRecord, layOut, rewriteRecord, type WantedRecord } from './layout.js';
import {
  ctlMode,
  holdsCertificate,
  hostOf,
  isServerFunction,
  isServerRecord,
  presentSpelling,
  spellingOf,
  type CtlMode,
} from './present.js';
import { certificateName } from './spelling.js';

/** How a list is to be arranged. */
export interface Arrangement {
  readonly wanted: readonly WantedRecord[];
  readonly mode: CtlMode;
  /** The list that is changed, and which of its records are replaced by wanted ones or go. The others stay. */
  readonly present?: { readonly list: TrustList; readonly isReplaced: (record: TrustListRecord) => boolean };
  /** Whether CCM and TFTP records are emptied. */
  readonly emptied?: boolean;
}

interface Placed {
  readonly draft: RecordDraft;
  readonly wanted?: WantedRecord;
}

/**
 * The records of a list that holds what is wanted. What the present list has already keeps its place there, and its
 * bytes unless the layout changes; what is new stands behind the wanted record that comes before it. What phones will
 * notice of it is noticed.
 *
 * @throws InputError `cluster-file` or `usage` when the names of a new certificate cannot be written.
 */
export function arrange(checks: Checks, arrangement: Arrangement): readonly RecordDraft[] {
  const { wanted, present } = arrangement;
  noticeKeySizes(checks, wanted);
  if (present !== undefined) noticeRemovedServers(checks, present, wanted);
  const placed = present === undefined ? [] : placePresent(arrangement, present);
  wanted.forEach((one, index) => {
    if (placed.some((record) => record.wanted === one)) return;
    placed.splice(placeOfNew(placed, one, wanted[index - 1]), 0, { draft: draftOfNew(one, arrangement), wanted: one });
  });
  return placed.map(({ draft }) => draft);
}

/** The first signer of a list stands first; servers stand behind it where none are there yet. */
function placeOfNew(placed: readonly Placed[], { role }: WantedRecord, before: WantedRecord | undefined): number {
  if (before !== undefined) return placed.findIndex((record) => record.wanted === before) + 1;
  if (role === recordFunction.sast) return 0;
  const next = placed.findIndex((record) => record.wanted !== undefined);
  return next < 0 ? Math.min(1, placed.length) : next;
}

function placePresent(arrangement: Arrangement, present: NonNullable<Arrangement['present']>): Placed[] {
  const { list, isReplaced } = present;
  const partners = findPartners(list.records.filter(isReplaced), arrangement.wanted);
  return list.records.flatMap((record): Placed[] => {
    if (!isReplaced(record)) return [{ draft: draftOfRecord(record) }];
    const wanted = partners.get(record);
    return wanted === undefined ? [] : [{ draft: draftOfPartner(record, wanted, list, arrangement), wanted }];
  });
}

/** When a present record is the one that a wanted record replaces, the surest first. */
const fits: readonly ((record: TrustListRecord, wanted: WantedRecord) => boolean)[] = [
  (record, wanted) =>
    holdsCertificate(record, wanted.certificate) && record.function === wanted.role && standsFor(record, wanted.node),
  (record, wanted) =>
    holdsCertificate(record, wanted.certificate) && isSameKind(record, wanted) && standsFor(record, wanted.node),
  (record, wanted) => holdsCertificate(record, wanted.certificate) && isSameKind(record, wanted),
  // A renewed certificate, or an emptied record: it takes the place, and nothing else.
  (record, wanted) => isSameKind(record, wanted) && namesNode(record, wanted.node),
];

function findPartners(
  records: readonly TrustListRecord[],
  wanted: readonly WantedRecord[],
): ReadonlyMap<TrustListRecord, WantedRecord> {
  const partners = new Map<TrustListRecord, WantedRecord>();
  const found = new Set<WantedRecord>();
  for (const fit of fits) {
    for (const one of wanted) {
      if (found.has(one)) continue;
      const partner = records.find((record) => !partners.has(record) && fit(record, one));
      if (partner === undefined) continue;
      partners.set(partner, one);
      found.add(one);
    }
  }
  return partners;
}

/** The servers that phones will no longer find. A renewed certificate, and a second record for the same, are no loss. */
function noticeRemovedServers(
  checks: Checks,
  { list, isReplaced }: NonNullable<Arrangement['present']>,
  wanted: readonly WantedRecord[],
): void {
  const replaced = list.records.filter(isReplaced);
  const partners = findPartners(replaced, wanted);
  for (const record of replaced) {
    if (!isServerRecord(record) || partners.has(record) || wanted.some((one) => servesInstead(record, one))) continue;
    const { ipAddress } = record;
    const host = hostOf(record) || (ipAddress === undefined ? '' : formatAddress(ipAddress));
    checks.notice(
      'server-removed',
      `${printable(host || 'a server without a name')} leaves the list as ${formatFunction(record.function)}: ${describeRecord(record)}; phones will not find it there any more`,
    );
  }
}

/** Whether a wanted record does what a present one does, for the same node. */
function servesInstead(record: TrustListRecord, wanted: WantedRecord): boolean {
  const isBoth = wanted.role === recordFunction.ccmTftp;
  const doesTheSame = isBoth ? isSameKind(record, wanted) : record.function === wanted.role;
  if (!doesTheSame) return false;
  if (namesNode(record, wanted.node)) return true;
  const says = hostOf(record) !== '' || holdsCertificate(record, wanted.certificate);
  return says && standsFor(record, wanted.node);
}

/** Signed lists and files have a number for some sizes of RSA keys only. */
function noticeKeySizes(checks: Checks, wanted: readonly WantedRecord[]): void {
  const messages = wanted.flatMap(({ certificate, node }) => {
    if (node === undefined || modulusLengths.includes(certificate.keyBits / 8)) return [];
    const name = certificateName(certificate, node);
    return [
      `the ${name} certificate of node ${node.name} has a key of ${certificate.keyBits} bits, for which SIGNATUREMODULUS has no number (512, 1024, 2048 and 4096 have one): it cannot sign lists or files for phones`,
    ];
  });
  for (const message of new Set(messages)) checks.notice('key-size', message);
}

/** CCM, TFTP and CCM+TFTP are one kind: which of them a node is may have changed. */
function isSameKind(record: TrustListRecord, { role }: WantedRecord): boolean {
  const kindOf = (value: number): number =>
    isServerFunction(value) && value !== recordFunction.capf ? recordFunction.ccmTftp : value;
  return kindOf(record.function) === kindOf(role);
}

/**
 * Whether a record says nothing else than that it is the node's. Other writers leave DNSNAME or IPADDRESS out, or write
 * the name with its domain.
 */
function standsFor(record: TrustListRecord, node: ClusterNode | undefined): boolean {
  const host = hostOf(record).toLowerCase();
  if (node === undefined) return host === '';
  const [name, address] = [node.name.toLowerCase(), node.address.toLowerCase()];
  const isHost = host === '' || host === address || isSameHost(host, name);
  return isHost && (record.ipAddress === undefined || hasAddress(record, node));
}

/** With or without the domain. */
function isSameHost(left: string, right: string): boolean {
  return left === right || left.startsWith(`${right}.`) || right.startsWith(`${left}.`);
}

/** Whether a record says that it is the node's, by its name or its address. */
function namesNode(record: TrustListRecord, node: ClusterNode | undefined): boolean {
  if (node === undefined) return false;
  const host = hostOf(record).toLowerCase();
  return host === node.name.toLowerCase() || host === node.address.toLowerCase() || hasAddress(record, node);
}

function hasAddress({ ipAddress }: TrustListRecord, node: ClusterNode): boolean {
  return ipAddress !== undefined && equalBytes(ipAddress, encodeAddress(node.address));
}

/** The bytes stay where the record fits as it is; a renewed certificate gets a fresh record. */
function draftOfPartner(
  record: TrustListRecord,
  wanted: WantedRecord,
  list: TrustList,
  arrangement: Arrangement,
): RecordDraft {
  const { mode, emptied } = arrangement;
  const keepsLayout = ctlMode(list) === mode && record.function === wanted.role && standsFor(record, wanted.node);
  const isEmptied = emptied === true && record.serialNumber === undefined;
  if (keepsLayout && isEmptied) return draftOfRecord(record);
  if (!holdsCertificate(record, wanted.certificate)) return draftOfNew(wanted, arrangement);
  if (keepsLayout) return emptiedWhere(emptied, draftOfRecord(record));
  return emptiedWhere(emptied, rewriteRecord(record, layOut(wanted, mode, spellingOf(record))));
}

function draftOfNew(wanted: WantedRecord, { mode, present, emptied }: Arrangement): RecordDraft {
  return emptiedWhere(emptied, layOut(wanted, mode, presentSpelling(present?.list, wanted.certificate)));
}

function emptiedWhere(emptied: boolean | undefined, draft: RecordDraft): RecordDraft {
  return emptied === true ? emptyRecord(draft) : draft;
}

/**
 * Whether a function-0 record that is no token's is the cluster's own, which its cluster file speaks for: it stands
 * for a node, or bears the name of a server of the list (a node that is gone). Any other is a signer of someone else,
 * e.g. of the cluster that the phones move to (phone-rules.md, A10), and stays.
 */
export function isOwnSigner(record: TrustListRecord, list: TrustList, cluster: Cluster): boolean {
  if (record.function !== recordFunction.sast) return false;
  const host = hostOf(record).toLowerCase();
  if (host === '' || cluster.nodes.some((node) => namesNode(record, node) || standsFor(record, node))) return true;
  return list.records.some((other) => isServerRecord(other) && hostOf(other).toLowerCase() === host);
}
