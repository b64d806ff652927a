export {
  certificateNames,
  nodeCertificate,
  publisherOf,
  securityModes,
  services,
  trustStoreNames,
  uploadedCertificates,
  type CertificateName,
  type Cluster,
  type ClusterNode,
  type KeyReference,
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
export { formatClusterProblem, type ClusterProblem, type ClusterProblemCode, type Place } from './problem.js';
export { loadCluster } from './load.js';
export { loadPrivateKey } from './private-key.js';
export { draftClusterFile, formatClusterFile, type ClusterOutline, type NodeOutline } from './format-file.js';
export { createLabCluster, issueLabCertificate, type LabCluster, type LabClusterRequest } from './lab.js';
export {
  describeCluster,
  formatCluster,
  validityState,
  type CertificateDescription,
  type ClusterDescription,
  type NodeDescription,
  type ValidityState,
} from './describe.js';
