import { acceptsTvsServer, type PhoneState, type TvsQuestion, type TvsReply } from '../phone/index.js';
import { findNode, isTvsRunning, type ServedCluster } from './world.js';

/**
 * What a TVS server of a cluster answers a phone: the phone meets each by its name or address, and believes none whose
 * certificate is not in its lists (rule P9).
 */
export function answerOfTvs(
  { cluster, knowledge, tvs }: Pick<ServedCluster, 'cluster' | 'knowledge' | 'tvs'>,
  question: TvsQuestion,
  state: PhoneState,
): TvsReply {
  const unreachable = (reason: string): TvsReply => ({ status: 'unreachable', reason });
  const node = findNode(cluster, question.server);
  if (node === undefined) return unreachable('no node of the cluster file has this name or address');
  const certificate = node.certificates.TVS;
  if (certificate === undefined || !node.services.includes('TVS')) return unreachable('that node has no TVS');
  if (!isTvsRunning({ tvs }, node.name)) return unreachable('TVS does not run there');
  const decision = acceptsTvsServer(state, certificate.der);
  if (!decision.accepted) return unreachable(decision.reason);
  return question.kind === 'query' ? knowledge.query(question) : knowledge.verify(question.certificate);
}
