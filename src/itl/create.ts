import { encodeNumber } from '../bytes/index.js';
import { isAtLeast, nodeCertificate, publisherOf, type Cluster, type ClusterNode } from '../cluster/index.js';
import { FormatError, ProofError } from '../errors.js';
import { clusterIdentity, digestCode } from '../signed-file/index.js';
import { digestOf, type DigestAlgorithm, type Signer } from '../signer/index.js';
import { encodeText, type ElementDraft } from '../tlv/index.js';
import {
  largestTrustList,
  recordFunction,
  recordTag,
  signTrustList,
  type RecordDraft,
  type TrustList,
} from '../trust-list/index.js';
import type { Certificate } from '../x509/index.js';

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
}

/** DNSNAME of an ITL record: two bytes of which nothing is visible. */
const noName = Uint8Array.of(0x20, 0);

/** A record that an ITL must have. */
interface Wanted {
  readonly certificate: Certificate;
  readonly role: number;
}

/**
 * Which certificate signs the ITLs of a node: its own CallManager before 12.0, the publisher's ITLRecovery from 12.0.
 *
 * @throws InputError `cluster-file` when the cluster file names none.
 */
export function itlSigner(
  cluster: Cluster,
  node: ClusterNode,
): { readonly name: 'CallManager' | 'ITLRecovery'; readonly node: ClusterNode; readonly certificate: Certificate } {
  const isRecovery = isAtLeast(cluster.release, '12.0');
  const owner = isRecovery ? publisherOf(cluster) : node;
  const name = isRecovery ? 'ITLRecovery' : 'CallManager';
  return { name, node: owner, certificate: nodeCertificate(owner, name) };
}

/**
 * The ITL that one TFTP node serves (trust-list-format.md, Layouts): the node's CallManager as signer and as TFTP
 * (CCM+TFTP in a mixed cluster), CAPF, the publisher's TVS, ITLRecovery from 10.0, the TVS of the other nodes.
 *
 * @param signer holds the key of {@link itlSigner}.
 * @throws InputError `cluster-file` for a certificate that is not there; ProofError `key-mismatch` when the signer is
 *   another; FormatError `too-large`; what the signer throws.
 */
export async function createItl(
  cluster: Cluster,
  node: ClusterNode,
  signer: Signer,
  options: ItlOptions,
): Promise<TrustList> {
  const hash = options.hashAlgorithm ?? 'sha1';
  const records = wantedRecords(cluster, node).map((wanted) => layOut(wanted, hash));
  const { certificate, name } = itlSigner(cluster, node);
  const signingRecord = wantedRecords(cluster, node).findIndex((wanted) => wanted.certificate === certificate);
  if (signingRecord === -1) {
    throw new ProofError(
      'no-signing-record',
      `the ITL of ${node.name} would have no record of ${name}, which signs it`,
    );
  }
  const list = await signTrustList(
    {
      version: { major: 1, minor: 2 },
      digestAlgorithm: options.digestAlgorithm ?? 'sha1',
      fileName: encodeText(options.fileName ?? 'ITLFile.tlv'),
      timestamp: options.timestamp,
      records,
      signingRecord,
    },
    signer,
  );
  if (list.bytes.length > largestTrustList) {
    throw new FormatError(
      'too-large',
      `the ITL would have ${String(list.bytes.length)} bytes; phones load no more than 65,535`,
      {
        offset: 0,
      },
    );
  }
  return list;
}

/** The certificates of an ITL, in the order that clusters write. */
function wantedRecords(cluster: Cluster, node: ClusterNode): readonly Wanted[] {
  const publisher = publisherOf(cluster);
  const callManager = nodeCertificate(node, 'CallManager');
  const serverRole = cluster.securityMode === 'mixed' ? recordFunction.ccmTftp : recordFunction.tftp;
  const tvs = cluster.nodes.filter(({ services }) => services.includes('TVS'));
  const vouching = (nodes: readonly ClusterNode[]): Wanted[] =>
    nodes.map((one) => ({ certificate: nodeCertificate(one, 'TVS'), role: recordFunction.tvs }));
  return [
    { certificate: callManager, role: recordFunction.sast },
    { certificate: callManager, role: serverRole },
    ...cluster.nodes
      .filter(({ services }) => services.includes('CAPF'))
      .slice(0, 1)
      .map((one) => ({ certificate: nodeCertificate(one, 'CAPF'), role: recordFunction.capf })),
    ...vouching(tvs.filter((one) => one === publisher)),
    ...(isAtLeast(cluster.release, '10.0')
      ? [{ certificate: nodeCertificate(publisher, 'ITLRecovery'), role: recordFunction.sast }]
      : []),
    ...vouching(tvs.filter((one) => one !== publisher)),
  ];
}

/** Signers and TFTP servers stand there whole, CAPF and TVS by their hash. */
function layOut({ certificate, role }: Wanted, hash: DigestAlgorithm): RecordDraft {
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
