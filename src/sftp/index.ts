export { formatFingerprint, formatMd5Fingerprint, parseFingerprint, type Fingerprint } from './fingerprint.js';
export { checkKnownHosts, parseKnownHosts, sshPort, type HostKeyVerdict, type KnownHost } from './known-hosts.js';
export { type HostKeyTrust } from './host-key.js';
export { type SftpLogin, type SftpServer } from './server.js';
export { fetchOverSftp, putOverSftp, type SftpFetchRequest, type SftpPut, type SftpPutRequest } from './transfer.js';
