import { isIPv4, isIPv6 } from 'node:net';
import { encodeNumber } from '../bytes/index.js';
import type { Cluster, ClusterNode } from '../cluster/index.js';
import { InputError } from '../errors.js';
import { encodeText, type ElementDraft } from '../tlv/index.js';
import {
  recordFunction,
  recordTag,
  type RecordDraft,
  type TrustList,
  type TrustListRecord,
} from '../trust-list/index.js';
import { commonName, formatClusterName, formatTokenName, type Certificate } from '../x509/index.js';
import { presentSpelling, type CertificateSpelling, type CtlMode } from './present.js';

/** Whose tokens the CTL client knows: their serials are written reversed (trust-list-format.md, Serial numbers). */
const manufacturingAuthority = 'Cisco Manufacturing CA';

/** The address of a token record: a token is nowhere. */
const noAddress = new Uint8Array(4);

/** A record for a token, in the CTL client's layout: tags 2 3 4 5 6 7 9 10, an empty DNSNAME, address 0.0.0.0. */
export function tokenRecord(certificate: Certificate, present: TrustList | undefined): RecordDraft {
  const spelling = presentSpelling(present, certificate) ?? tokenSpelling(certificate);
  return certificateRecord({
    certificate,
    spelling,
    role: recordFunction.sast,
    dnsName: '',
    address: noAddress,
    withSignature: false,
  });
}

/** How the CTL client spells a token that is new to a list. */
function tokenSpelling(certificate: Certificate): CertificateSpelling {
  const isVendors = commonName(certificate.issuer) === manufacturingAuthority;
  return {
    subjectName: encodeText(formatTokenName(certificate.subject)),
    issuerName: encodeText(formatTokenName(certificate.issuer)),
    serialNumber: isVendors ? certificate.serialNumber.slice().reverse() : certificate.serialNumber,
  };
}

function clusterSpelling(certificate: Certificate): CertificateSpelling {
  return {
    subjectName: encodeText(formatClusterName(certificate.subject)),
    issuerName: encodeText(formatClusterName(certificate.issuer)),
    serialNumber: certificate.serialNumber,
  };
}

/** A record for a certificate of one of the cluster's nodes, in the layout of the mode. */
export function nodeRecord(
  node: ClusterNode,
  certificate: Certificate,
  role: number,
  mode: CtlMode,
  present: TrustList | undefined,
): RecordDraft {
  return certificateRecord({
    certificate,
    spelling: presentSpelling(present, certificate) ?? clusterSpelling(certificate),
    role,
    // The CTL client names a server by its address, `utils ctl` by its host name.
    dnsName: mode === 'token' ? node.address : node.name,
    address: encodeAddress(node.address),
    withSignature: mode === 'tokenless',
  });
}

/**
 * The records of a cluster's servers, in the order that clusters write: CCM+TFTP and CAPF of the publisher, then those
 * of each further node.
 *
 * @throws InputError `cluster-file` when a node lacks a certificate that its services need.
 */
export function serverRecords(cluster: Cluster, mode: CtlMode, present: TrustList | undefined): RecordDraft[] {
  return cluster.nodes.flatMap((node) => {
    const records: RecordDraft[] = [];
    const role = serverRole(node, mode);
    if (role !== undefined) {
      records.push(nodeRecord(node, certificateOf(node, 'CallManager'), role, mode, present));
    }
    if (node.services.includes('CAPF')) {
      records.push(nodeRecord(node, certificateOf(node, 'CAPF'), recordFunction.capf, mode, present));
    }
    return records;
  });
}

/** The CTL client tells CCM, TFTP and both apart; `utils ctl` writes CCM+TFTP for every node that runs either. */
function serverRole(node: ClusterNode, mode: CtlMode): number | undefined {
  const isCcm = node.services.includes('CallManager');
  const isTftp = node.services.includes('TFTP');
  if (!isCcm && !isTftp) return undefined;
  if (mode === 'tokenless' || (isCcm && isTftp)) return recordFunction.ccmTftp;
  return isCcm ? recordFunction.ccm : recordFunction.tftp;
}

/** A node's certificate. @throws InputError `cluster-file` when the cluster file names none. */
export function certificateOf(node: ClusterNode, name: 'CallManager' | 'CAPF' | 'ITLRecovery'): Certificate {
  const certificate = node.certificates[name];
  if (certificate !== undefined) return certificate;
  throw new InputError('cluster-file', `node ${node.name} has no ${name} certificate in the cluster file`, {
    hint: `add it to the node's certificates, e.g. "${name}: certificates/${node.name}-${name}.pem"`,
  });
}

/** A server record as a non-secure cluster's CTL has it: tags 2 4 10 only. A record that is emptied stays as it is. */
export function emptiedRecord(record: TrustListRecord): RecordDraft {
  const kept: readonly number[] = [recordTag.dnsName, recordTag.function, recordTag.ipAddress];
  return record.elements.filter((element) => kept.includes(element.tag));
}

interface CertificateRecord {
  readonly certificate: Certificate;
  readonly spelling: CertificateSpelling;
  readonly role: number;
  readonly dnsName: string;
  readonly address: Uint8Array;
  readonly withSignature: boolean;
}

function certificateRecord(record: CertificateRecord): RecordDraft {
  const { certificate, spelling } = record;
  const signature: ElementDraft[] = record.withSignature
    ? [{ tag: recordTag.signature, value: certificate.signature }]
    : [];
  return [
    { tag: recordTag.dnsName, value: encodeText(record.dnsName) },
    { tag: recordTag.subjectName, value: spelling.subjectName },
    { tag: recordTag.function, value: encodeNumber(record.role, 2) },
    { tag: recordTag.issuerName, value: spelling.issuerName },
    { tag: recordTag.serialNumber, value: spelling.serialNumber },
    { tag: recordTag.publicKey, value: certificate.publicKey },
    ...signature,
    { tag: recordTag.certificate, value: certificate.der },
    { tag: recordTag.ipAddress, value: record.address },
  ];
}

/**
 * An address as IPADDRESS holds it: 4 bytes, or 16 for IPv6.
 *
 * @throws InputError `cluster-file` for text that is no address.
 */
export function encodeAddress(text: string): Uint8Array {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (!isIPv6(text)) throw new InputError('cluster-file', `${text} is no IPv4 or IPv6 address`);
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
