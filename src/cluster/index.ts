export {
  certificateNames,
  nodeCertificate,
  nodesWith,
  publisherOf,
  securityModes,
  services,
  trustStoreNames,
  uploadedCertificates,
  type CertificateChanges,
  type CertificateName,
  type Cluster,
  type ClusterNode,
  type KeyReference,
  type RecoveryBackup,
  type SecurityMode,
  type Service,
} from './cluster.js';
export { compareReleases, formatRelease, isAtLeast, parseRelease, tokensEnd, type Release } from './release.js';
export {
  checkClusterFile,
  parseClusterFile,
  type ClusterFile,
  type ClusterFileCheck,
  type ClusterFileContent,
  type ClusterFileNode,
} from './cluster-file.js';
export {
  clusterFileError,
  formatClusterProblem,
  inFileOrder,
  type ClusterProblem,
  type ClusterProblemCode,
  type Place,
} from './problem.js';
export { restartsAfterRenewal, serviceNames, type Restart } from './restarts.js';
export { listSignerName } from './list-signer.js';
export { loadCluster } from './load.js';
export { certificatesForMove, type MovingCertificate } from './moving.js';
export { loadPrivateKey } from './private-key.js';
export { encodeRecoveryKey, recoveryKeyFile } from './recovery-key.js';
export { draftClusterFile, formatClusterFile, type ClusterOutline, type NodeOutline } from './format-file.js';
export { type KeySource } from './self-signed.js';
export { createLabCluster, issueLabCertificate, type LabCluster, type LabClusterRequest } from './lab.js';
export {
  describeCluster,
  formatCluster,
  validityState,
  type CertificateDescription,
  type ClusterDescription,
  type NodeDescription,
  type RecoveryBackupDescription,
  type ValidityState,
} from './describe.js';
export { formatKeyPath, readYamlText, type YamlKind, type YamlText, type YamlValue } from './yaml-text.js';
export { loadYaml, loadZod } from './libraries.js';
export { quoted } from './quoted.js';
export { closestWord } from './spelling.js';
export { withChange, withPasswordChange, withRecoveryBackup, withSecurityMode } from './edit-file.js';
export {
  certificateChanges,
  certificateSha1,
  checkFiveMinutes,
  findNode,
  importCertificate,
  renewCertificate,
  type ImportedCertificate,
  type RenewalRequest,
} from './renew.js';
export { renewalDangers, type RenewalDanger, type RenewalDangerRequest } from './renewal-dangers.js';
export { type KeyAndCertificate, type RandomSource } from './self-signed.js';
export { checkCluster, type CheckedKey, type ClusterCheckRequest } from './check.js';
export { type CheckedCtl, type CheckedItl, type CheckedList, type MalformedList } from './check-lists.js';
export { worstFirst, worstSeverity, type ClusterCheckName, type ClusterFinding, type Severity } from './finding.js';
