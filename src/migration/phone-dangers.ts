import { nodesWith } from '../cluster/index.js';
import { recordFunction, recordHolds, type TrustList } from '../trust-list/index.js';
import type { Danger } from './dangers.js';
import { offerList, phoneThatHolds, tvsIsSilent, type TvsAnswers } from './fleet-offer.js';
import type { PhoneGroup, Situation, Wanted } from './situation.js';
import { answerOfTvs } from './tvs-answer.js';
import { findNode, knowledgeOf } from './world.js';

/**
 * A10: a phone at its new cluster decides by what it holds, and asks the TVS of the old one. Whether it takes the lists of
 * the new cluster it is asked as it will be: the CTL first, then the ITL.
 */
const movedBetweenClusters: Danger = (situation, { destination }) => {
  if (destination === undefined) return undefined;
  const stuck = situation.phones.filter((phone) => !takesLists(situation, phone, destination));
  if (stuck.length === 0) return undefined;
  const hasCtl = stuck.some(({ ctl }) => ctl.kind !== 'none');
  const rest = hasCtl ? '; they hold a CTL, which emptying the ITLs does not empty' : '';
  return {
    severity: 'warning',
    message: `${countPhones(stuck)} do not take the lists of the new cluster: neither what they hold nor TVS of the old cluster vouches for the signer${rest}`,
    advice:
      "upload the new cluster's CallManager and ITLRecovery certificates to Phone-SAST-trust of the old one, and leave its TVS running; without a CTL the ITLs may be emptied instead",
  };
};

function countPhones(groups: readonly PhoneGroup[]): string {
  const count = groups.reduce((sum, { devices }) => sum + devices.length, 0);
  return count === 1 ? '1 phone' : `${String(count)} phones`;
}

function takesLists(situation: Situation, phone: PhoneGroup, destination: NonNullable<Wanted['destination']>): boolean {
  const { cluster, ctl, tvs } = situation;
  // Nobody can tell, and the verdict on the phone says so.
  if (phone.ctl.kind === 'unknown' || phone.itl.kind === 'unknown') return true;
  const knowledge = knowledgeOf(cluster, ctl);
  const answers: TvsAnswers = (question, state) => answerOfTvs({ cluster, knowledge, tvs }, question, state);
  const { securityByDefault } = phone;
  const tvsServers =
    phone.tvsServers.length === 0 ? nodesWith(cluster, 'TVS').map(({ name }) => name) : phone.tvsServers;
  let state = phoneThatHolds({ ctl: listOf(phone.ctl), itl: listOf(phone.itl), securityByDefault, tvsServers });
  const [node] = nodesWith(destination.cluster, 'TFTP');
  const offers = [['ctl', destination.ctl] as const, ['itl', destination.itls[node?.name ?? '']] as const];
  for (const [kind, list] of offers) {
    if (list === undefined || (kind === 'itl' && !phone.securityByDefault)) continue;
    // When it happens makes no difference: nothing is in the TVS cache yet.
    const outcome = offerList(state, kind, list, answers, 0);
    if (!outcome.decision.accepted) return false;
    ({ state } = outcome);
  }
  return true;
}

function listOf(held: PhoneGroup['ctl']): TrustList | undefined {
  return held.kind === 'known' ? held.list : undefined;
}

/** A12, as far as a planner can tell: the phone rejects the ITL, and no TVS is left that it would believe. */
const itlMustBeDeleted: Danger = (situation) => {
  const stuck = situation.phones.filter((phone) => isStuck(situation, phone));
  if (stuck.length === 0) return undefined;
  return {
    severity: 'warning',
    message: `${countPhones(stuck)} reject the ITL that their server serves now, and the TVS certificates are none of those in the ITL they hold: before anything is changed, it must be deleted by hand`,
    advice:
      'first look for a backup of the old CallManager key, which saves them all; "diagnose" goes through the four conditions',
  };
};

function isStuck(situation: Situation, phone: PhoneGroup): boolean {
  const { cluster, itls } = situation;
  if (!phone.securityByDefault || phone.itl.kind !== 'known') return false;
  const held = phone.itl.list;
  const nodes = nodesWith(cluster, 'TFTP');
  const named = phone.tftpServer === undefined ? undefined : findNode(cluster, phone.tftpServer)?.name;
  const offered = itls[named ?? nodes[0]?.name ?? ''];
  if (offered === undefined || offered === held) return false;
  const isKnownTvs = nodesWith(cluster, 'TVS').some(({ certificates: { TVS } }) => {
    return (
      TVS !== undefined &&
      held.records.some((record) => record.function === recordFunction.tvs && recordHolds(record, TVS.der))
    );
  });
  if (isKnownTvs) return false;
  const state = phoneThatHolds({ ctl: listOf(phone.ctl), itl: held, securityByDefault: true, tvsServers: [] });
  // When a list was accepted does not matter to an empty TVS cache.
  return !offerList(state, 'itl', offered, tvsIsSilent, 0).decision.accepted;
}

/** A13: the common lists of the central cluster reach phones of the others. */
const centralTftp: Danger = ({ centralTftp: central }) => {
  if (central === undefined) return undefined;
  const lacking = central.clusters.filter(({ perDevice }) => !perDevice).map(({ name }) => name);
  if (lacking.length === 0 || lacking.length === central.clusters.length) return undefined;
  return {
    severity: 'warning',
    message: `the central TFTP serves lists under the names of devices for some clusters and not for ${lacking.join(', ')}: phones of those get ITLFile.tlv of another cluster, and then reject their configuration`,
    advice: 'let every cluster serve lists under the names of its devices, or none',
  };
};

export const phoneDangers: Readonly<Record<'movedBetweenClusters' | 'itlMustBeDeleted' | 'centralTftp', Danger>> = {
  movedBetweenClusters,
  itlMustBeDeleted,
  centralTftp,
};
