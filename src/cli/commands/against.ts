import { judgeAgainst as judge, type Acceptance } from '../../migration/index.js';
import type { TrustList } from '../../trust-list/index.js';
import { describeDecision, formatDecision } from '../virtual-phone.js';

/** What a phone that holds an older list makes of a list, at this moment. */
export function judgeAgainst(list: TrustList, kind: 'ctl' | 'itl', held: Parameters<typeof judge>[2]): Acceptance {
  return judge(list, kind, held, Math.floor(Date.now() / 1000));
}

export function formatAcceptance({ withoutTvs, withTvs, plainDevice }: Acceptance): string {
  return [
    formatDecision('a phone, without TVS', withoutTvs),
    formatDecision('a phone, if TVS vouches for the signer', withTvs),
    ...(plainDevice === undefined ? [] : [formatDecision('a device without Security by Default', plainDevice)]),
  ].join('');
}

export function describeAcceptance({ withoutTvs, withTvs, plainDevice }: Acceptance): object {
  return {
    withoutTvs: describeDecision('list', withoutTvs),
    withTvs: describeDecision('list', withTvs),
    plainDevice: plainDevice === undefined ? null : describeDecision('list', plainDevice),
  };
}
