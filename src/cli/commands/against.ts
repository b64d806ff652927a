import { createPhone, decide, offerTrustList, type Decision, type TvsReply } from '../../phone/index.js';
import { signingRecords, type TrustList } from '../../trust-list/index.js';
import { describeDecision, formatDecision } from '../virtual-phone.js';

/** What a phone that holds an older list makes of a list. */
export interface Acceptance {
  /** A phone with Security by Default, while no TVS server answers. */
  readonly withoutTvs: Decision;
  /** The same, when TVS vouches for the signer of the list. */
  readonly withTvs: Decision;
  /** A device without Security by Default (P11); only for a CTL. */
  readonly plainDevice: Decision | undefined;
}

/** @param held what the phone holds: the older list, and the list of the other kind where it is known. */
export function judgeAgainst(
  list: TrustList,
  kind: 'ctl' | 'itl',
  held: { readonly ctl?: TrustList | undefined; readonly itl?: TrustList | undefined },
): Acceptance {
  const now = Math.floor(Date.now() / 1000);
  const offer = (securityByDefault: boolean, reply: TvsReply): Decision => {
    const profile = { mac: '000000000000', model: 'CP-8861', securityByDefault, encryptedConfiguration: false };
    const phone = createPhone(profile, { ...held, tvsServers: ['TVS'] });
    return decide(offerTrustList(phone, kind, list, now), () => reply).decision;
  };
  const unreachable = { status: 'unreachable', reason: 'no TVS server answers' } as const;
  return {
    withoutTvs: offer(true, unreachable),
    withTvs: offer(true, vouchFor(list)),
    plainDevice: kind === 'ctl' ? offer(false, unreachable) : undefined,
  };
}

/** What a TVS server answers that knows the signer. */
function vouchFor(list: TrustList): TvsReply {
  const certificate = signingRecords(list)[0]?.certificate;
  if (certificate === undefined) return { status: 'not-trusted' };
  return { status: 'success', certificate, roles: [0], timeToLive: 86_400 };
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
