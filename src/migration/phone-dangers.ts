import { equalBytes } from '../bytes/index.js';
import { createPhone, decide, offerTrustList, type TvsReply } from '../phone/index.js';
import { recordFunction, recordHolds, type TrustList } from '../trust-list/index.js';
import type { Danger } from './dangers.js';
import type { PhoneGroup, Situation } from './situation.js';
import { findNode, tftpNodes, tvsNodes } from './world.js';

/** A10: a phone at its new cluster asks what it holds, and the TVS of the old one. */
const movedBetweenClusters: Danger = (situation, { destination }) => {
  if (destination === undefined) return undefined;
  const offered = [destination.ctl, ...Object.values(destination.itls)].filter((list) => list !== undefined);
  const unknown = offered.filter((list) => !isVouchedFor(situation, list));
  const hasCtl = situation.phones.some(({ ctl }) => ctl.kind !== 'none');
  if (unknown.length === 0) return undefined;
  return {
    severity: 'warning',
    message: `phones do not know who signs the lists of the new cluster: neither their lists nor Phone-SAST-trust of the old cluster name the signer${hasCtl ? '; they hold a CTL, which emptying the ITLs does not empty' : ''}`,
    advice:
      "upload the new cluster's CallManager and ITLRecovery certificates to Phone-SAST-trust of the old one, and leave its TVS running; without a CTL the ITLs may be emptied instead",
  };
};

function isVouchedFor({ cluster, phones }: Situation, list: TrustList): boolean {
  const signer = list.records.find((record) => isSigner(list, record.serialNumber, record.issuerName));
  const certificate = signer?.certificate;
  if (certificate === undefined) return false;
  const stores = ['Phone-SAST-trust', 'CallManager'].flatMap((store) => cluster.trustStores[store] ?? []);
  if (stores.some(({ der }) => signer !== undefined && recordHolds(signer, der))) return true;
  const holds = (held: PhoneGroup['ctl']): boolean =>
    held.kind === 'known' &&
    held.list.records.some((record) => record.function === recordFunction.sast && recordHolds(record, certificate));
  return phones.length > 0 && phones.every(({ ctl, itl }) => holds(ctl) || holds(itl));
}

function isSigner(
  { header }: TrustList,
  serialNumber: Uint8Array | undefined,
  issuerName: string | undefined,
): boolean {
  return (
    serialNumber !== undefined && equalBytes(serialNumber, header.serialNumber) && issuerName === header.issuerName
  );
}

/** A12, as far as a planner can tell: the phone rejects the ITL, and no TVS is left that it would believe. */
const itlMustBeDeleted: Danger = (situation) => {
  const stuck = situation.phones.filter((phone) => isStuck(situation, phone));
  if (stuck.length === 0) return undefined;
  const count = stuck.reduce((sum, { devices }) => sum + devices.length, 0);
  return {
    severity: 'warning',
    message: `${String(count)} phones reject the ITL that their server serves now, and the TVS certificates are none of those in their ITL: before anything is changed, their ITL must be deleted by hand`,
    advice:
      'first look for a backup of the old CallManager key, which saves them all; "diagnose" goes through the four conditions',
  };
};

function isStuck(situation: Situation, phone: PhoneGroup): boolean {
  const { cluster, itls } = situation;
  if (!phone.securityByDefault || phone.itl.kind !== 'known') return false;
  const held = phone.itl.list;
  const nodes = tftpNodes(cluster);
  const named = phone.tftpServer === undefined ? undefined : findNode(cluster, phone.tftpServer)?.name;
  const offered = itls[named ?? nodes[0]?.name ?? ''];
  if (offered === undefined || offered === held) return false;
  const isKnownTvs = tvsNodes(cluster).some(({ certificates: { TVS } }) => {
    return (
      TVS !== undefined &&
      held.records.some((record) => record.function === recordFunction.tvs && recordHolds(record, TVS.der))
    );
  });
  if (isKnownTvs) return false;
  const profile = { mac: '000000000000', model: '', securityByDefault: true, encryptedConfiguration: false };
  const state = createPhone(profile, { itl: held, ctl: phone.ctl.kind === 'known' ? phone.ctl.list : undefined });
  const nobody: TvsReply = { status: 'unreachable', reason: 'its certificate is not the one in the ITL' };
  // When a list was accepted does not matter to an empty TVS cache.
  return !decide(offerTrustList(state, 'itl', offered, 0), () => nobody).decision.accepted;
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
