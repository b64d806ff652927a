import { formatClusterName } from '../x509/index.js';
import type { DiagnosisFinding, DiagnosisSeverity } from './diagnosis.js';
import { bothLists, heldList, signedHeaderOf, type DiagnosisCase } from './diagnosis-case.js';
import { isCertain, offerAll } from './diagnosis-offers.js';
import { certificatesOf, heldRecords, isOfCluster, isUnrelated } from './diagnosis-relation.js';
import { describeSigner } from './diagnose-served.js';

/** A13 and A10: the phone's lists are of another cluster than what it is served. */
export function checkOtherCluster(opened: DiagnosisCase): readonly DiagnosisFinding[] {
  const held = heldRecords(opened);
  if (held.length === 0) return [];
  const lists = bothLists.map((kind) => heldList(opened, kind)).filter((list) => list !== undefined);
  const evidence = lists.map((list) => `the phone holds a list signed by ${describeSigner(list)}`);
  if (isUnrelated(opened)) {
    const served = bothLists.map((kind) => opened.served[kind]?.list).filter((list) => list !== undefined);
    const theirs = served.map((list) => `the server's list is signed by ${describeSigner(list)}`);
    return [movedPhone(opened, [...evidence, ...theirs, 'no certificate and no name is in both'])];
  }
  const foreign = foreignConfiguration(opened, evidence);
  if (foreign.length > 0) return foreign;
  const { cluster } = opened.evidence;
  if (cluster === undefined || isOfCluster(held, cluster)) return [];
  const names = cluster.nodes.map(({ name }) => name).join(', ');
  const unknown = `none of its certificates and names is one of the cluster file's (${names})`;
  return [otherCluster([...evidence, unknown])];
}

/** A13: the configuration is signed by a server that the lists of the phone do not even name. */
function foreignConfiguration(opened: DiagnosisCase, evidence: readonly string[]): readonly DiagnosisFinding[] {
  const { configuration, cluster } = opened.evidence;
  const held = heldRecords(opened);
  const signer = configuration === undefined ? undefined : signedHeaderOf(configuration);
  if (signer === undefined || held.some(({ subjectName }) => subjectName === signer.signerName)) return [];
  const decision = offerAll(opened, opened.tvs.length > 0 ? 'asked' : 'silent')?.configuration;
  if (decision?.accepted !== false) return [];
  const ofCluster = certificatesOf(cluster).some(({ subject }) => formatClusterName(subject) === signer.signerName);
  // Another node of the phone's own cluster: TVS must vouch for it, which the findings about TVS say.
  if (ofCluster && cluster !== undefined && isOfCluster(held, cluster)) return [];
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

/** The cluster file alone does not tell why. */
function otherCluster(evidence: readonly string[]): DiagnosisFinding {
  return {
    rule: 'A10',
    check: 'other-cluster',
    severity: 'warning',
    list: undefined,
    what: 'the lists of the phone have nothing in common with the cluster file: the nodes were renamed, the phone was moved from another cluster, a central TFTP server gave it the list of another one, or the cluster file is another one',
    evidence,
    whatToDo: [
      'check that the cluster file is of the cluster that the phone is to register with',
      ifRenamed,
      'give what the server has for the phone (--itl, --ctl, --configuration SEP<MAC>.cnf.xml.sgn): it tells a move (A10) and a central TFTP server (A13) apart',
    ],
  };
}

const ifRenamed =
  'if the nodes were renamed, all their certificates are new: see the finding A1, and the four conditions of A12 below';

function movedPhone(opened: DiagnosisCase, evidence: readonly string[]): DiagnosisFinding {
  const answer = takesLists(opened);
  const finding = { rule: 'A10', check: 'other-cluster', list: undefined, evidence } as const;
  if (answer === true) {
    const what = 'the phone holds the lists of another cluster, and takes those of this one all the same';
    return { ...finding, severity: 'note', what, whatToDo: ['reset the phone'] };
  }
  const names = 'the phone holds the lists of another cluster, or its nodes were renamed';
  return {
    ...finding,
    severity: answer === undefined ? 'warning' : 'error',
    what:
      answer === undefined
        ? `${names}: whether it takes those of the server cannot be told before both lists that it holds are at hand`
        : `${names}: neither its lists nor a TVS server that they name are known to know the new signer`,
    whatToDo: [
      ...(answer === undefined ? ['give --held-itl and --held-ctl, or tell that it holds none'] : []),
      "if the phone was moved, and the old cluster is still there: upload this cluster's CallManager (from 12.0 ITLRecovery) certificate to Phone-SAST-trust of the old cluster, restart TVS there, and let the phone reach that TVS while it moves",
      'or let the old cluster serve an empty ITL first (rollback parameter), which frees phones without a CTL only (P6)',
      ifRenamed,
      'if the phone was never moved, see which TFTP server it asks: a central one may give it the lists of the central cluster (A13)',
      'whether the lists must be deleted at the phone by hand is said below (A12)',
    ],
  };
}

/** Whether the phone takes what the server has for it; `undefined` when nobody can tell. */
function takesLists(opened: DiagnosisCase): boolean | undefined {
  const offers = offerAll(opened, opened.tvs.length > 0 ? 'asked' : 'silent');
  if (offers === undefined) return undefined;
  const decisions = [offers.ctl, offers.itl].filter((decision) => decision !== undefined);
  if (decisions.some((decision) => !isCertain(opened, offers, decision))) return undefined;
  return decisions.every(({ accepted }) => accepted);
}
