import { nodesWith, type Cluster } from '../cluster/index.js';
import {
  createPhone,
  decide,
  offerTrustList,
  type Decision,
  type ListKind,
  type Outcome,
  type PhoneState,
  type TvsQuestion,
  type TvsReply,
} from '../phone/index.js';
import { signingRecords, type TrustList } from '../trust-list/index.js';
import type { PhoneGroup } from './situation.js';
import { answerOfTvs } from './tvs-answer.js';
import { knowledgeOf } from './world.js';

/** How TVS answers phones: as the servers of a cluster would, or as it is assumed. */
export type TvsAnswers = (question: TvsQuestion, state: PhoneState, offered: TrustList) => TvsReply;

/** No TVS server answers. */
export const tvsIsSilent: TvsAnswers = () => ({ status: 'unreachable', reason: 'no TVS server answers' });

/** Every TVS server knows the signer of the list that is offered. */
export const tvsVouches: TvsAnswers = (_question, _state, offered) => {
  const certificate = signingRecords(offered)[0]?.certificate;
  if (certificate === undefined) return { status: 'not-trusted' };
  return { status: 'success', certificate, roles: [0], timeToLive: 86_400 };
};

/**
 * The TVS servers of a cluster, all of them running, as a phone meets them: each by its name or address, and none whose
 * certificate is not in the phone's lists (rule P9). They know what was uploaded, and their CTL.
 */
export function tvsOfCluster(cluster: Cluster, ctl: TrustList | undefined): TvsAnswers {
  const knowledge = knowledgeOf(cluster, ctl);
  return (question, state) => answerOfTvs({ cluster, knowledge, tvs: {} }, question, state);
}

/** The TVS servers of phones of which no others are known: the first three nodes with TVS. */
export function tvsServersOf(cluster: Cluster): readonly string[] {
  return nodesWith(cluster, 'TVS')
    .slice(0, 3)
    .map(({ name }) => name);
}

/** What a phone is offered a list with. */
export type HeldByPhone = Pick<PhoneGroup, 'securityByDefault' | 'tvsServers'> & {
  readonly ctl: TrustList | undefined;
  readonly itl: TrustList | undefined;
};

/** A phone that holds what is told; what it is called makes no difference to what it decides. */
export function phoneThatHolds({ ctl, itl, securityByDefault, tvsServers }: HeldByPhone): PhoneState {
  const profile = { mac: '000000000000', model: 'CP-8861', securityByDefault, encryptedConfiguration: false };
  return createPhone(profile, { ctl, itl, tvsServers });
}

/** What a phone makes of a list. @param now seconds since 1970-01-01 UTC. */
export function offerList(
  phone: PhoneState,
  kind: ListKind,
  list: TrustList,
  answers: TvsAnswers,
  now: number,
): Outcome {
  return decide(offerTrustList(phone, kind, list, now), (question) => answers(question, phone, list));
}

/** What a phone that holds an older list makes of a list. */
export interface Acceptance {
  /** A phone with Security by Default, while no TVS server answers. */
  readonly withoutTvs: Decision;
  /** The same, when TVS vouches for the signer of the list. */
  readonly withTvs: Decision;
  /** A device without Security by Default (P11); only for a CTL. */
  readonly plainDevice: Decision | undefined;
}

/**
 * @param held what the phone holds: the older list, and the list of the other kind where it is known.
 * @param now seconds since 1970-01-01 UTC.
 */
export function judgeAgainst(
  list: TrustList,
  kind: ListKind,
  held: { readonly ctl?: TrustList | undefined; readonly itl?: TrustList | undefined },
  now: number,
): Acceptance {
  const { ctl, itl } = held;
  const phone = phoneThatHolds({ ctl, itl, securityByDefault: true, tvsServers: ['TVS'] });
  const plain = phoneThatHolds({ ctl, itl, securityByDefault: false, tvsServers: [] });
  return {
    withoutTvs: offerList(phone, kind, list, tvsIsSilent, now).decision,
    withTvs: offerList(phone, kind, list, tvsVouches, now).decision,
    plainDevice: kind === 'ctl' ? offerList(plain, kind, list, tvsIsSilent, now).decision : undefined,
  };
}
