export { createLabToken, LabCertificates } from './certificates.js';
export { formatConfiguration, parseTvsServers, type TvsAddress } from './configuration.js';
export { Lab, type LabRequest } from './lab.js';
export { LabNode, type NodePorts, type TvsIdentity } from './node.js';
export { LabPhone } from './phone.js';
export type { PhoneIdentity } from './phone-certificate.js';
export { SharedTransport, socketTransport, type PhoneTransport } from './transport.js';
export { stories } from './stories.js';
export { Stage, tellStory, type PhoneInScene, type Scene, type StageRequest, type Story } from './story.js';
