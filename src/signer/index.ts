export { digestAlgorithms, digestOf, encodeDigestInfo, equalDigests, type DigestAlgorithm } from './digest.js';
export { createSoftwareSigner } from './software-signer.js';
export { verifyDigest, type Signer, type SignRequest } from './signer.js';
