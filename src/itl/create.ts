import { encodeNumber } from '../bytes/index.js';
import {
  isAtLeast,
  listSignerName,
  nodesWith,
  nodeCertificate,
  publisherOf,
  type Cluster,
  type ClusterNode,
} from '../cluster/index.js';
import { FormatError, InputError } from '../errors.js';
import { clusterIdentity, digestCode } from '../signed-file/index.js';
import { digestOf, type DigestAlgorithm, type Signer } from '../signer/index.js';
import { encodeText, type ElementDraft } from '../tlv/index.js';
import {
  encodeRecords,
  largestTrustList,
  recordFunction,
  recordTag,
  signTrustList,
  type RecordDraft,
  type TrustList,
} from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';
import type { ExpectedRecord } from './compare.js';

/** How an ITL is written. */
export interface ItlOptions {
  /** Seconds since 1970-01-01 UTC. */
  readonly timestamp: number;
  /** Digest of the signature: SHA-1 unless given. */
  readonly digestAlgorithm?: DigestAlgorithm;
  /** Digest of CAPF and TVS certificates, which stand in the list by their hash: SHA-1 unless given. */
  readonly hashAlgorithm?: DigestAlgorithm;
  /** FILENAME: `ITLFile.tlv` unless given. */
  readonly fileName?: string;
  /**
   * Which of its two signers signs: that of {@link itlSigner} unless given. ITLRecovery before 12.0, and CallManager from
   * 12.0 on, is the list that `utils itl reset` leaves until Cisco Tftp writes it anew.
   */
  readonly signedBy?: ItlSignerName;
}

/** The certificates that have function 0 in an ITL. */
export type ItlSignerName = 'CallManager' | 'ITLRecovery';

/** DNSNAME of an ITL record: two bytes of which nothing is visible. */
const noName = Uint8Array.of(0x20, 0);

/** Who signs an ITL: a certificate, and the node whose it is. */
export interface ItlSigner {
  readonly name: ItlSignerName;
  readonly node: ClusterNode;
  readonly certificate: Certificate;
}

/**
 * Which certificate signs the ITLs of a node: its own CallManager before 12.0, the publisher's ITLRecovery from 12.0.
 *
 * @param name the other one of the two, as a reset wants it.
 * @throws InputError `cluster-file` when the cluster file names none; `usage` for ITLRecovery before 10.0.
 */
export function itlSigner(
  cluster: Cluster,
  node: ClusterNode,
  name: ItlSignerName = listSignerName(cluster.release),
): ItlSigner {
  if (name === 'CallManager') return { name, node, certificate: nodeCertificate(node, name) };
  if (!hasRecovery(cluster)) {
    throw new InputError('usage', `release ${cluster.release.text} has no ITLRecovery: it came with 10.0`, {
      hint: 'before 10.0 the ITL of a phone that trusts no signer any more is deleted by hand',
    });
  }
  const publisher = publisherOf(cluster);
  return { name, node: publisher, certificate: nodeCertificate(publisher, name) };
}

function hasRecovery({ release }: Cluster): boolean {
  return isAtLeast(release, '10.0');
}

/**
 * The ITL that one TFTP node serves (trust-list-format.md, Layouts): the node's CallManager as signer and as TFTP
 * (CCM+TFTP in a mixed cluster), CAPF, the publisher's TVS, ITLRecovery from 10.0, the TVS of the other nodes. Before
 * 10.0 the publisher's TVS stands before CAPF, as in the printed list of 8.x.
 *
 * @param signer holds the key of {@link itlSigner}.
 * @throws InputError `cluster-file` for a certificate that is not there; `usage` for ITLRecovery before 10.0; ProofError
 *   `key-mismatch` when the signer is another; FormatError `too-large`; what the signer throws.
 */
export async function createItl(
  cluster: Cluster,
  node: ClusterNode,
  signer: Signer,
  options: ItlOptions,
): Promise<TrustList> {
  const hash = options.hashAlgorithm ?? 'sha1';
  const wanted = expectedRecords(cluster, node);
  const records = wanted.map((one) => layOut(one, hash));
  refuseLarge(encodeRecords(records).length);
  const { certificate } = itlSigner(cluster, node, options.signedBy);
  const list = await signTrustList(
    {
      version: { major: 1, minor: 2 },
      digestAlgorithm: options.digestAlgorithm ?? 'sha1',
      fileName: encodeText(options.fileName ?? 'ITLFile.tlv'),
      timestamp: options.timestamp,
      records,
      signingRecord: wanted.findIndex((one) => one.certificate === certificate),
    },
    signer,
  );
  refuseLarge(list.bytes.length);
  return list;
}

/** Before a key is used, as far as that shows by then. */
function refuseLarge(length: number): void {
  if (length <= largestTrustList) return;
  throw new FormatError('too-large', `the ITL would have ${String(length)} bytes; phones load no more than 65,535`, {
    offset: 0,
  });
}

/**
 * The certificates of a node's ITL, in the order that clusters write.
 *
 * @throws InputError `cluster-file` for a certificate that is not there
 */
export function expectedRecords(cluster: Cluster, node: ClusterNode): readonly ExpectedRecord[] {
  const publisher = publisherOf(cluster);
  const callManager = nodeCertificate(node, 'CallManager');
  const serverRole = cluster.securityMode === 'mixed' ? recordFunction.ccmTftp : recordFunction.tftp;
  const tvs = nodesWith(cluster, 'TVS');
  const vouching = (nodes: readonly ClusterNode[]): ExpectedRecord[] =>
    nodes.map((one) => ({ certificate: nodeCertificate(one, 'TVS'), role: recordFunction.tvs }));
  const capf = nodesWith(cluster, 'CAPF')
    .slice(0, 1)
    .map((one) => ({ certificate: nodeCertificate(one, 'CAPF'), role: recordFunction.capf }));
  const publisherTvs = vouching(tvs.filter((one) => one === publisher));
  const recovery = hasRecovery(cluster)
    ? [{ certificate: nodeCertificate(publisher, 'ITLRecovery'), role: recordFunction.sast }]
    : [];
  return [
    { certificate: callManager, role: recordFunction.sast },
    { certificate: callManager, role: serverRole },
    ...(hasRecovery(cluster) ? [...capf, ...publisherTvs] : [...publisherTvs, ...capf]),
    ...recovery,
    ...vouching(tvs.filter((one) => one !== publisher)),
  ];
}

/** Signers and TFTP servers stand there whole, CAPF and TVS by their hash. */
function layOut({ certificate, role }: ExpectedRecord, hash: DigestAlgorithm): RecordDraft {
  const isWhole = role !== recordFunction.capf && role !== recordFunction.tvs;
  const proof: ElementDraft[] = isWhole
    ? [{ tag: recordTag.certificate, value: certificate.der }]
    : [
        { tag: recordTag.certificateHash, value: digestOf(hash, certificate.der) },
        { tag: recordTag.hashAlgorithm, value: Uint8Array.of(digestCode(hash)) },
      ];
  const { signerName, issuerName, serialNumber } = clusterIdentity(certificate);
  return [
    { tag: recordTag.dnsName, value: noName },
    { tag: recordTag.subjectName, value: signerName },
    { tag: recordTag.function, value: encodeNumber(role, 2) },
    { tag: recordTag.issuerName, value: issuerName },
    { tag: recordTag.serialNumber, value: serialNumber },
    { tag: recordTag.publicKey, value: certificate.publicKey },
    { tag: recordTag.signature, value: certificate.signature },
    ...proof,
  ];
}
