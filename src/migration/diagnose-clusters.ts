import type { Cluster } from '../cluster/index.js';
import { FormatError } from '../errors.js';
import { decodeSignedHeader, type SignedHeader } from '../signed-file/index.js';
import { recordHolds, type TrustListRecord } from '../trust-list/index.js';
import { formatClusterName, type Certificate } from '../x509/index.js';
import type { DiagnosisFinding, DiagnosisSeverity } from './diagnosis.js';
import { filledRecords, heldList, shareCertificate, type DiagnosisCase } from './diagnosis-case.js';
import { describeSigner } from './diagnose-served.js';
import { offerAll } from './diagnosis-offers.js';

/** A13 and A10: the phone's lists are of another cluster than what it is served. */
export function checkOtherCluster(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  const lists = [heldList(opened, 'ctl'), heldList(opened, 'itl')].filter((list) => list !== undefined);
  const held = lists.flatMap((list) => filledRecords(list));
  if (held.length === 0) return [];
  const served = [opened.served.ctl?.list, opened.served.itl?.list].filter((list) => list !== undefined);
  const servedRecords = served.flatMap((list) => filledRecords(list));
  const evidence = lists.map((list) => `the phone holds a list signed by ${describeSigner(list)}`);
  if (servedRecords.length > 0 && !isRelated(held, servedRecords)) {
    const theirs = served.map((list) => `the server's list is signed by ${describeSigner(list)}`);
    return [movedPhone(opened, [...evidence, ...theirs, 'no certificate and no name is in both'])];
  }
  const { cluster } = opened.evidence;
  if (cluster !== undefined && !isOfCluster(held, cluster)) {
    const names = cluster.nodes.map(({ name }) => name).join(', ');
    const unknown = `none of its certificates and names is one of the cluster file's (${names})`;
    return [centralTftp('error', [...evidence, unknown])];
  }
  return foreignConfiguration(opened, held, evidence);
}

/** A13: the configuration is signed by a server that the lists of the phone do not even name. */
function foreignConfiguration(
  opened: DiagnosisCase,
  held: readonly TrustListRecord[],
  evidence: readonly string[],
): readonly DiagnosisFinding[] {
  const { configuration, cluster } = opened.evidence;
  const signer = configuration === undefined ? undefined : headerOf(configuration);
  if (signer === undefined || held.some(({ subjectName }) => subjectName === signer.signerName)) return [];
  const decision = offerAll(opened, opened.tvs.length > 0 ? 'asked' : 'silent')?.configuration;
  if (decision?.accepted !== false) return [];
  const ofCluster = certificatesOf(cluster).some(({ subject }) => formatClusterName(subject) === signer.signerName);
  // Another node of the same cluster: TVS must vouch for it, which the findings about TVS say.
  if (ofCluster) return [];
  const signed = `its configuration is signed by ${signer.signerName}, which no list of the phone names`;
  return [centralTftp(cluster === undefined ? 'warning' : 'error', [...evidence, signed])];
}

function centralTftp(severity: DiagnosisSeverity, evidence: readonly string[]): DiagnosisFinding {
  return {
    rule: 'A13',
    check: 'other-cluster',
    severity,
    list: undefined,
    what: 'the lists of the phone are of another cluster than its configuration: a central TFTP server gave it the common list of the central cluster',
    evidence,
    whatToDo: [
      'see whether the TFTP server has ITLSEP<MAC>.tlv for the phone: where it is missing, the ITLFile.tlv of the central cluster is taken',
      'let every cluster behind the central TFTP server serve lists under the names of devices, or none of them',
      'the phone then needs its lists deleted by hand, unless TVS of the cluster that it holds knows the new signer (A10)',
    ],
  };
}

function movedPhone(opened: DiagnosisCase, evidence: readonly string[]): DiagnosisFinding {
  const accepted = (['ctl', 'itl'] as const).every((kind) => {
    const offers = offerAll(opened, opened.tvs.length > 0 ? 'asked' : 'silent');
    return offers?.[kind]?.accepted !== false;
  });
  return {
    rule: 'A10',
    check: 'other-cluster',
    severity: accepted ? 'note' : 'error',
    list: undefined,
    what: accepted
      ? 'the phone holds the lists of another cluster, and takes those of this one all the same'
      : "the phone holds the lists of another cluster: neither they nor that cluster's TVS are known to know the signer of this one",
    evidence,
    whatToDo: accepted
      ? ['reset the phone']
      : [
          "upload this cluster's CallManager (from 12.0 ITLRecovery) certificate to Phone-SAST-trust of the old cluster, restart TVS there, and let the phone reach that TVS while it moves",
          'or let the old cluster serve an empty ITL first (rollback parameter), which frees phones without a CTL only (P6)',
          'else delete the lists at the phone by hand',
          'if the phone was never moved, see which TFTP server it asks: a central one may give it the lists of the central cluster (A13)',
        ],
  };
}

function headerOf(file: Uint8Array): SignedHeader | undefined {
  try {
    return decodeSignedHeader(file);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function certificatesOf(cluster: Cluster | undefined): readonly Certificate[] {
  return (cluster?.nodes ?? []).flatMap(({ certificates }) => Object.values(certificates));
}

function isOfCluster(held: readonly TrustListRecord[], cluster: Cluster): boolean {
  return certificatesOf(cluster).some(({ der, subject }) => {
    const name = formatClusterName(subject);
    return held.some((record) => record.subjectName === name || recordHolds(record, der));
  });
}

/** Whether two sets of records are of one cluster: a certificate or a name is in both. Renewed certificates keep names. */
function isRelated(left: readonly TrustListRecord[], right: readonly TrustListRecord[]): boolean {
  const subjects = new Set(left.map(({ subjectName }) => subjectName));
  return right.some(({ subjectName }) => subjects.has(subjectName)) || shareCertificate(left, right);
}
