export { digestAlgorithms, digestOf, encodeDigestInfo, equalDigests, type DigestAlgorithm } from './digest.js';
export { gatherSignatures, type BatchSigner } from './gathering-signer.js';
export { createSoftwareSigner } from './software-signer.js';
export { verifyDigest, verifyDigestWith, type Signer, type SignRequest } from './signer.js';
