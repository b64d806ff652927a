import { nodesWith, type Cluster } from '../cluster/index.js';
import type { Decision, ListKind, PhoneState } from '../phone/index.js';
import { recordFunction, recordHolds, type TrustList } from '../trust-list/index.js';
import { offerList, phoneThatHolds, tvsIsSilent, tvsOfCluster, tvsVouches, type TvsAnswers } from './fleet-offer.js';
import { untold } from './inventory-phone.js';
import type { HeldList, PhoneGroup } from './situation.js';
import { findNode } from './world.js';

/** A list that phones are offered. */
export interface OfferedList {
  /** The file, for people. */
  readonly name: string;
  readonly list: TrustList;
}

/** What phones are offered at their next boot. */
export interface Offer {
  readonly ctl?: OfferedList | undefined;
  /** Those of several TFTP nodes: a phone gets the one of its TFTP server. */
  readonly itls: readonly OfferedList[];
  /** Whose TVS servers answer the phones, all of them running. Without it: TVS vouches for every signer. */
  readonly cluster?: Cluster | undefined;
}

/** What the phones of a group make of one list. */
export interface ListVerdict {
  readonly kind: ListKind;
  readonly name: string;
  /** While TVS answers. `undefined`: nobody can tell, because a list that they hold is not at hand. */
  readonly withTvs: Decision | undefined;
  /** While no TVS server answers. */
  readonly withoutTvs: Decision | undefined;
}

/**
 * What becomes of a group. `kept`: accepts all it is offered, with TVS or without. `needs-tvs`: only while TVS answers.
 * `lost`: rejects a list even then. `unknown`: a list that it holds is not at hand.
 */
export type FleetFate = 'kept' | 'needs-tvs' | 'lost' | 'unknown';

/** A group of phones, and what becomes of it. */
export interface FleetVerdict {
  readonly group: PhoneGroup;
  /** `undefined` where nothing is offered to anybody: then nobody can be kept or lost. */
  readonly fate: FleetFate | undefined;
  /** The CTL first. Devices without Security by Default are offered no ITL (rule P11). */
  readonly lists: readonly ListVerdict[];
  /** What decided that a group is lost or cannot be told. */
  readonly because: { readonly rule: string; readonly reason: string } | undefined;
}

/**
 * Says what the phones of a group make of the lists they are offered, as they boot: the CTL, then their ITL, each with
 * all that they hold by then.
 *
 * @param now seconds since 1970-01-01 UTC.
 */
export function judgeGroup(group: PhoneGroup, offer: Offer, answers: TvsAnswers, now: number): FleetVerdict {
  const unknown = unknownLists(group);
  const phone = phoneThatHolds({
    ctl: listOf(group.ctl),
    itl: listOf(group.itl),
    securityByDefault: group.securityByDefault,
    tvsServers: group.tvsServers,
  });
  const withTvs = offerAll(phone, group, offer, answers, now);
  const withoutTvs = offerAll(phone, group, offer, tvsIsSilent, now);
  // What no phone takes, such as a list whose signature fails (P7), these do not take either.
  const certain = (decision: Decision | undefined): Decision | undefined =>
    unknown.length === 0 || decision?.rule === 'P7' ? decision : undefined;
  const lists = withTvs.map(({ kind, name, decision }, index) => ({
    kind,
    name,
    withTvs: certain(decision),
    withoutTvs: certain(withoutTvs[index]?.decision),
  }));
  const isOffered = offer.ctl !== undefined || offer.itls.length > 0;
  return { group, lists, ...(isOffered ? concludeGroup(lists, unknown) : { fate: undefined, because: undefined }) };
}

/**
 * Says for each group of a fleet what becomes of it.
 *
 * @param progress told after each group how many phones were judged.
 */
export function judgeFleet(
  groups: readonly PhoneGroup[],
  offer: Offer,
  now: number,
  progress: (phones: number) => void = () => undefined,
): readonly FleetVerdict[] {
  const answers = offer.cluster === undefined ? tvsVouches : tvsOfCluster(offer.cluster, offer.ctl?.list);
  let phones = 0;
  return groups.map((group) => {
    const verdict = judgeGroup(group, offer, answers, now);
    phones += group.devices.length;
    progress(phones);
    return verdict;
  });
}

interface Offered {
  readonly kind: ListKind;
  readonly name: string;
  readonly decision: Decision;
}

function offerAll(
  phone: PhoneState,
  group: PhoneGroup,
  offer: Offer,
  answers: TvsAnswers,
  now: number,
): readonly Offered[] {
  const decisions: Offered[] = [];
  let state = phone;
  if (offer.ctl !== undefined) {
    const outcome = offerList(state, 'ctl', offer.ctl.list, answers, now);
    decisions.push({ kind: 'ctl', name: offer.ctl.name, decision: outcome.decision });
    state = outcome.state;
  }
  if (!group.securityByDefault) return decisions;
  for (const { name, list } of itlsFor(group, offer)) {
    decisions.push({ kind: 'itl', name, decision: offerList(state, 'itl', list, answers, now).decision });
  }
  return decisions;
}

/**
 * The ITL of the TFTP server that a group asks, where that shows: it is the one with the CallManager certificate of
 * that node. Otherwise all of them, for the phones may get any.
 */
function itlsFor({ tftpServer }: PhoneGroup, { itls, cluster }: Offer): readonly OfferedList[] {
  if (cluster === undefined || tftpServer === undefined || itls.length < 2) return itls;
  const node = findNode(cluster, tftpServer);
  const certificate = nodesWith(cluster, 'TFTP').some(({ name }) => name === node?.name)
    ? node?.certificates.CallManager
    : undefined;
  if (certificate === undefined) return itls;
  const roles: readonly number[] = [recordFunction.ccmTftp, recordFunction.tftp];
  const own = itls.filter(({ list }) =>
    list.records.some((record) => roles.includes(record.function) && recordHolds(record, certificate.der)),
  );
  return own.length === 0 ? itls : own;
}

function concludeGroup(
  lists: readonly ListVerdict[],
  unknown: readonly string[],
): Pick<FleetVerdict, 'fate' | 'because'> {
  for (const { name, withTvs } of lists) {
    if (withTvs?.accepted !== false) continue;
    return { fate: 'lost', because: { rule: withTvs.rule, reason: `${name}: ${withTvs.reason}` } };
  }
  if (unknown.length > 0 && lists.length > 0) {
    return { fate: 'unknown', because: { rule: '', reason: unknown.join('; ') } };
  }
  const needsTvs = lists.some(({ withoutTvs }) => withoutTvs?.accepted === false);
  return { fate: needsTvs ? 'needs-tvs' : 'kept', because: undefined };
}

/** Why nobody can tell what phones of a group decide. */
function unknownLists({ ctl, itl, securityByDefault }: PhoneGroup): readonly string[] {
  const held = [['CTL', ctl] as const, ...(securityByDefault ? [['ITL', itl] as const] : [])];
  const missing: string[] = [];
  const silent: string[] = [];
  for (const [name, list] of held) {
    if (list.kind !== 'unknown') continue;
    if (list.digest === untold) silent.push(`their ${name}`);
    else missing.push(`the ${name} ${list.digest}`);
  }
  return [
    ...(missing.length === 0 ? [] : [`they hold ${missing.join(' and ')}, not at hand`]),
    ...(silent.length === 0 ? [] : [`the inventory does not tell ${silent.join(' and ')}`]),
  ];
}

function listOf(held: HeldList): TrustList | undefined {
  return held.kind === 'known' ? held.list : undefined;
}
