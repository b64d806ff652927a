export {
  decodeTvsHeader,
  decodeTvsMessage,
  encodeTvsMessage,
  largestTvsBody,
  tvsElements,
  tvsHeaderLength,
  type SignerNames,
  type TvsAnswer,
  type TvsGrant,
  type TvsHeader,
  type TvsMessage,
  type TvsMessageKind,
  type TvsQueryAnswer,
  type TvsQueryRequest,
  type TvsRefusal,
  type TvsRequest,
  type TvsVerifyAnswer,
  type TvsVerifyRequest,
} from './message.js';
export { TvsMessageReader } from './framing.js';
export { createTvsKnowledge, type TvsKnowledge, type TvsKnowledgeRequest } from './knowledge.js';
export { usualLimits, type TvsLimits } from './limits.js';
export { startTvsServer, tvsPort, type TvsServer, type TvsServerRequest } from './server.js';
export { openTvsClient, type TvsClient, type TvsClientRequest } from './client.js';
