import { isIPv4, isIPv6 } from 'node:net';
import { decodeNumber, encodeNumber } from '../bytes/index.js';
import type { ClusterNode } from '../cluster/index.js';
import { InputError } from '../errors.js';
import { encodeText, type ElementDraft } from '../tlv/index.js';
import {
  draftOfRecord,
  recordFunction,
  recordTag,
  type RecordDraft,
  type TrustListRecord,
} from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import type { CertificateSpelling, CtlMode } from './present.js';
import { freshSpelling } from './spelling.js';

/** A record that a list must have: whose certificate it holds, and what its owner may do. */
export interface WantedRecord {
  readonly certificate: Certificate;
  /** FUNCTION. */
  readonly role: number;
  /** The server that it is for. A token has none. */
  readonly node?: ClusterNode;
}

/** The address of a token record: a token is nowhere. */
const noAddress = new Uint8Array(4);

/** What an emptied record keeps. */
const emptiedTags: readonly number[] = [recordTag.dnsName, recordTag.function, recordTag.ipAddress];

/** Whose records are emptied: CAPF and the signers stay whole. */
export const emptiedFunctions: readonly number[] = [recordFunction.ccm, recordFunction.ccmTftp, recordFunction.tftp];

/**
 * A record in the layout of a mode (trust-list-format.md, Layouts): the CTL client's tags 2 3 4 5 6 7 9 10 with the
 * node's address as DNSNAME, or those of `utils ctl`, 2 3 4 5 6 7 8 9 10 with its host name. A token, which
 * is in token lists only, has an empty DNSNAME and the address 0.0.0.0.
 *
 * @param present how the list that is changed spells the certificate; fresh names and serial when it is new to it.
 * @throws InputError `cluster-file` or `usage` when fresh names cannot be written.
 */
export function layOut(
  { certificate, role, node }: WantedRecord,
  mode: CtlMode,
  present: CertificateSpelling | undefined,
): RecordDraft {
  const spelling = present ?? freshSpelling(certificate, node);
  const host = mode === 'token' ? node?.address : node?.name;
  const signature: ElementDraft[] =
    mode === 'tokenless' ? [{ tag: recordTag.signature, value: certificate.signature }] : [];
  return [
    { tag: recordTag.dnsName, value: encodeText(host ?? '') },
    { tag: recordTag.subjectName, value: spelling.subjectName },
    { tag: recordTag.function, value: encodeNumber(role, 2) },
    { tag: recordTag.issuerName, value: spelling.issuerName },
    { tag: recordTag.serialNumber, value: spelling.serialNumber },
    { tag: recordTag.publicKey, value: certificate.publicKey },
    ...signature,
    { tag: recordTag.certificate, value: certificate.der },
    { tag: recordTag.ipAddress, value: node === undefined ? noAddress : encodeAddress(node.address) },
  ];
}

/**
 * A present record brought into another layout: DNSNAME, FUNCTION and IPADDRESS are the layout's, SIGNATURE comes or
 * goes with it. Names, serial, the order of the elements and whatever nobody knows stay as they are.
 */
export function rewriteRecord(record: TrustListRecord, layout: RecordDraft): RecordDraft {
  // A record with a hash instead of the certificate: the layouts of CTLs have the certificate.
  if (record.certificate === undefined) return layout;
  const replaced: readonly number[] = [recordTag.dnsName, recordTag.function, recordTag.ipAddress];
  const inLayout = (tag: number): ElementDraft | undefined => layout.find((element) => element.tag === tag);
  const elements = draftOfRecord(record)
    .filter(({ tag }) => tag !== recordTag.signature || inLayout(tag) !== undefined)
    .map((element) => (replaced.includes(element.tag) ? (inLayout(element.tag) ?? element) : element));
  layout.forEach((element, index) => {
    if (elements.some(({ tag }) => tag === element.tag)) return;
    const before = layout[index - 1]?.tag;
    elements.splice(elements.findIndex(({ tag }) => tag === before) + 1, 0, element);
  });
  return elements;
}

/** A CCM or TFTP record as a non-secure cluster's CTL has it: tags 2 4 10 only. Any other record stays as it is. */
export function emptyRecord(record: RecordDraft): RecordDraft {
  return emptiedFunctions.includes(functionOf(record)) ? record.filter(({ tag }) => emptiedTags.includes(tag)) : record;
}

/** The value of an element of a record that is to be written. */
export function valueOf(record: RecordDraft, tag: number): Uint8Array | undefined {
  return record.find((element) => element.tag === tag)?.value;
}

/** FUNCTION of a record that is to be written. */
export function functionOf(record: RecordDraft): number {
  return decodeNumber(valueOf(record, recordTag.function) ?? new Uint8Array());
}

/**
 * An address as IPADDRESS holds it: 4 bytes, or 16 for IPv6.
 *
 * @throws InputError `cluster-file` for text that is no address.
 */
export function encodeAddress(text: string): Uint8Array {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (!isIPv6(text) || text.includes('%')) {
    throw new InputError('cluster-file', `${JSON.stringify(text)} is no IPv4 or IPv6 address`, {
      hint: "correct the node's address in the cluster file",
    });
  }
  const [head = '', tail] = text.split('::');
  const groupsOf = (part: string): number[] =>
    part === ''
      ? []
      : part.split(':').flatMap((group) => (isIPv4(group) ? v4Groups(group) : [Number.parseInt(group, 16)]));
  const front = groupsOf(head);
  const back = groupsOf(tail ?? '');
  const gap = new Array<number>(8 - front.length - back.length).fill(0);
  return Uint8Array.from([...front, ...gap, ...back].flatMap((group) => [group >> 8, group & 0xff]));
}

function v4Groups(text: string): number[] {
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number);
  return [a * 256 + b, c * 256 + d];
}
